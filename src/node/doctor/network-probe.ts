// What the doctor asks of the network, as a port: connections that are closed at once, and one small HTTP request a service.
import { connect } from 'node:net';
import { NetworkError } from '../../core/errors.ts';
import { systemErrorCode } from '../../core/files.ts';
import type { Names } from './names.ts';

export interface HttpProbe {
  readonly status: number;
  /** Of the Date header, milliseconds since the Unix epoch; null without one. */
  readonly dateMs: number | null;
  readonly tookMs: number;
}

export interface NetworkProbe {
  /** Resolves where the host has an address. Rejects with NetworkError. */
  resolve(host: string): Promise<void>;
  /** Milliseconds until the connection stood. Rejects with NetworkError. */
  reach(host: string, port: number, signal: AbortSignal): Promise<number>;
  /** The status of a GET, whatever it is; the body is not read. Rejects with NetworkError. */
  ask(url: string, signal: AbortSignal): Promise<HttpProbe>;
}

/** Asks nothing of a host whose name cannot be looked up. */
export const realNetwork = (names: Names): NetworkProbe => ({
  resolve: (host) => names.require(host),
  async reach(host, port, signal) {
    await names.require(host);
    return reachAddress(host, port, signal);
  },
  async ask(url, signal) {
    await names.require(new URL(url).hostname);
    return askService(url, signal);
  },
});

function reachAddress(host: string, port: number, signal: AbortSignal): Promise<number> {
  return new Promise((resolve, reject) => {
    const began = performance.now();
    const socket = connect({ host, port });
    const end = (error: unknown): void => {
      signal.removeEventListener('abort', onAbort);
      socket.destroy();
      if (error === undefined) resolve(Math.round(performance.now() - began));
      else reject(new NetworkError('E_UNREACHABLE', `no connection to ${host}:${port}: ${systemErrorCode(error) ?? 'time limit'}`, { cause: error }));
    };
    const onAbort = (): void => end(signal.reason ?? new Error('aborted'));
    socket.once('connect', () => end(undefined));
    socket.once('error', end);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
}

async function askService(url: string, signal: AbortSignal): Promise<HttpProbe> {
  const { Agent, request } = await import('undici');
  const dispatcher = new Agent({ pipelining: 0 });
  const began = performance.now();
  try {
    const { statusCode, headers, body } = await request(url, { dispatcher, signal });
    body.on('error', () => undefined).destroy();
    const date = typeof headers['date'] === 'string' ? Date.parse(headers['date']) : Number.NaN;
    return { status: statusCode, dateMs: Number.isNaN(date) ? null : date, tookMs: Math.round(performance.now() - began) };
  } catch (error) {
    throw new NetworkError('E_UNREACHABLE', `${new URL(url).host} gives no answer: ${signal.aborted ? 'time limit' : systemErrorCode(error) ?? 'connection failed'}`, { cause: error });
  } finally {
    dispatcher.destroy().catch(() => undefined);
  }
}
