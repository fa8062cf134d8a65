// Keeps one connection to one proxy: dials, shakes hands, serves requests until it ends, and dials again with back-off.
// A proxy whose evidence is refused when it is dialled is never dialled again by this process; one that loses its standing
// while it is connected is, because it may have newer evidence by then.
import { abortError } from '../core/deadline.ts';
import { AttestationError, asCocoonError, NetworkError } from '../core/errors.ts';
import { backoffMs, sleep } from '../core/retry.ts';
import type { CocoonError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { Sleep } from '../core/retry.ts';
import type { WorkerSession } from '../wire/worker-session.ts';

/** A connection that has been up this long starts the back-off anew when it ends. */
const STABLE_MS = 60_000;
const BASE_MS = 500;
const MAX_MS = 10_000;

export type UplinkState =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'ready'; readonly session: WorkerSession }
  | { readonly kind: 'waiting'; readonly error: CocoonError; readonly retryInMs: number }
  /** For good: the proxy's evidence was refused. */
  | { readonly kind: 'refused'; readonly error: AttestationError };

export interface UplinkPorts {
  /** One attempt: dial, verify, shake hands. */
  open(signal: AbortSignal): Promise<WorkerSession>;
  readonly log: Log;
  readonly sleep?: Sleep;
  /** Uniform in [0, 1); spreads the redials of many nodes. */
  random?(): number;
}

/** Runs until `signal` is aborted or the proxy is refused; resolves then and never rejects. `onState` hears every change and must not throw. */
export async function runUplink(proxy: string, ports: UplinkPorts, signal: AbortSignal, onState: (state: UplinkState) => void): Promise<void> {
  const wait = ports.sleep ?? sleep;
  for (let attempt = 0; !signal.aborted; attempt += 1) {
    onState({ kind: 'connecting' });
    let readyMs: number | null = null;
    let error: CocoonError;
    try {
      const session = await ports.open(signal);
      readyMs = performance.now();
      ports.log.info('connected to proxy', { proxy, version: session.version });
      onState({ kind: 'ready', session });
      error = await untilClosed(session, signal);
    } catch (thrown) {
      error = asCocoonError(thrown);
    }
    if (signal.aborted) return;
    if (error instanceof AttestationError && readyMs === null) {
      ports.log.error('proxy refused', { proxy, code: error.code, reason: error.message });
      onState({ kind: 'refused', error });
      return;
    }
    // A slow attempt that failed is not a connection that held.
    if (readyMs !== null && performance.now() - readyMs > STABLE_MS) attempt = 0;
    const retryInMs = backoffMs(attempt, { baseMs: BASE_MS, maxMs: MAX_MS, ...(ports.random === undefined ? {} : { random: ports.random }) });
    ports.log.warn('no connection to proxy', { proxy, code: error.code, reason: error.message, retryInMs });
    onState({ kind: 'waiting', error, retryInMs });
    await wait(retryInMs, signal).catch(() => {});
  }
}

async function untilClosed(session: WorkerSession, signal: AbortSignal): Promise<CocoonError> {
  const stop = (): void => session.close(abortError(signal));
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  try {
    return (await session.closed) ?? new NetworkError('E_CLOSED', 'the connection was closed');
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
