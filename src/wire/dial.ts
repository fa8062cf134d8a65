// Makes connections: TCP, proof of work, TLS, tcp.connect (WIRE.md sections 1, 2, 3 and 7), a deadline each. Every error
// says which of them failed at which address; what the peer's certificate is refused for comes through unchanged. The peer
// is judged again while the connection lasts.
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { abortError, withDeadline } from '../core/deadline.ts';
import { NetworkError } from '../core/errors.ts';
import type { VerifiedPeer, VerifyPeer } from '../tee/peer.ts';
import { formatAddress } from './address.ts';
import type { Connection } from './connection.ts';
import { keepAppraised } from './keep-appraised.ts';
import type { ConnectionLimits, ConnectionTimeouts } from './limits.ts';
import { openConnection } from './open-connection.ts';
import { DEFAULT_MAX_DIFFICULTY_BITS } from './pow.ts';
import { proveWork } from './proof-exchange.ts';
import { secureAsDialer } from './tls.ts';
import type { SecureChannel, TlsIdentity } from './tls.ts';

/** Milliseconds for each stage, and the times of the connection afterwards. */
export interface DialTimeouts extends ConnectionTimeouts {
  readonly tcpMs: number;
  readonly challengeMs: number;
  readonly solveMs: number;
  readonly tlsMs: number;
}

/** `tlsMs` has room for fetching collateral, which decides whether the peer may be spoken to. */
const DEFAULT_TIMEOUTS = { tcpMs: 10_000, challengeMs: 10_000, solveMs: 300_000, tlsMs: 30_000 };

export interface PlainDialOptions {
  readonly host: string;
  readonly port: number;
  readonly timeouts?: Partial<DialTimeouts>;
  readonly limits?: Partial<ConnectionLimits>;
  readonly signal?: AbortSignal;
  /** Source of ids; default node:crypto. */
  readonly random?: (length: number) => Uint8Array;
}

export interface DialOptions extends PlainDialOptions {
  /** This side's certificate; a function is asked at each call. */
  readonly identity: TlsIdentity | (() => TlsIdentity);
  readonly verifyPeer: VerifyPeer;
  /** Hardest proof of work to do, in bits. Default 28. */
  readonly maxPowDifficulty?: number;
}

/**
 * A connection to a verified peer, ready to be used; call `handle` on it at once.
 * Throws NetworkError E_UNREACHABLE, E_TIMEOUT, E_CLOSED, E_PROTOCOL; AttestationError from `verifyPeer`; the signal's reason.
 */
export async function dial(options: DialOptions): Promise<Connection> {
  const { identity, verifyPeer, maxPowDifficulty = DEFAULT_MAX_DIFFICULTY_BITS, signal } = options;
  const { challengeMs, solveMs, tlsMs } = { ...DEFAULT_TIMEOUTS, ...options.timeouts };
  const own = typeof identity === 'function' ? identity() : identity;
  const socket = await connectTcp(options);
  const remoteAddress = formatAddress(options.host, options.port);
  try {
    await inStage('proof of work', remoteAddress, () =>
      proveWork(socket, { challengeMs, solveMs, maxDifficultyBits: maxPowDifficulty, signal }));
    const secure = await secureAsDialer(socket, { identity: own, verifyPeer, timeoutMs: tlsMs, remoteAddress, signal });
    return await open(secure.socket, addressOf(socket) ?? remoteAddress, secure, options);
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

/** A connection without proof of work and TLS, to a process on this machine that is known to be `peer`. Errors as for `dial`. */
export async function dialPlain(options: PlainDialOptions & { readonly peer: VerifiedPeer }): Promise<Connection> {
  const socket = await connectTcp(options);
  return open(socket, addressOf(socket) ?? formatAddress(options.host, options.port), { peer: options.peer }, options);
}

async function connectTcp({ host, port, timeouts, signal }: PlainDialOptions): Promise<Socket> {
  const { tcpMs } = { ...DEFAULT_TIMEOUTS, ...timeouts };
  const late = (): NetworkError => new NetworkError('E_TIMEOUT', `${formatAddress(host, port)} did not accept a connection within ${tcpMs} ms`);
  return withDeadline((inner) => new Promise<Socket>((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true });
    inner.addEventListener('abort', () => socket.destroy());
    // Stays for good: an error between two stages must not be thrown into the process.
    socket.on('error', (cause: Error & { code?: string }) => {
      reject(new NetworkError('E_UNREACHABLE', `cannot connect to ${formatAddress(host, port)}: ${cause.code ?? cause.message}`, { cause }));
    });
    socket.once('connect', () => resolve(socket));
  }), { timeoutMs: tcpMs, signal, late });
}

async function open(
  stream: Socket, remoteAddress: string, { peer, channel }: Pick<SecureChannel, 'peer'> & Partial<SecureChannel>, options: PlainDialOptions,
): Promise<Connection> {
  const { limits, timeouts, random, signal } = options;
  const connection = openConnection(stream, { role: 'dialer', remoteAddress, peer, channel, limits, timeouts, random });
  keepAppraised(connection);
  const onAbort = (): void => {
    if (signal !== undefined) connection.close(abortError(signal));
  };
  signal?.addEventListener('abort', onAbort);
  try {
    if (signal?.aborted === true) onAbort();
    await inStage('tcp.connect', remoteAddress, () => connection.ready);
    if (signal?.aborted === true) throw abortError(signal);
    return connection;
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
}

async function inStage<T>(stage: string, address: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof NetworkError)) throw error;
    const hint = error.hint ?? hintOf(stage, error);
    throw new NetworkError(error.code, `${stage} with ${address} failed: ${error.message}`, { cause: error, ...(hint === undefined ? {} : { hint }) });
  }
}

/** In TLS 1.3 a dialer learns only after the handshake that its certificate was refused, often by a mere close. */
function hintOf(stage: string, error: NetworkError): string | undefined {
  if (stage !== 'tcp.connect' || error.code === 'E_TIMEOUT') return undefined;
  return 'The peer may have refused the certificate of this side, or be full: its log says which.';
}

/** Null when the socket is gone already. */
function addressOf({ remoteAddress, remotePort }: Socket): string | null {
  return remoteAddress === undefined || remotePort === undefined ? null : formatAddress(remoteAddress, remotePort);
}
