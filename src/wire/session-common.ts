// What the four session ends share: waiting for a port without outliving the connection, the reason that running requests
// get when it ends, periodic payment queries, and the answer to queries that nobody serves.
import { randomBytes } from 'node:crypto';
import { asCocoonError, AttestationError, NetworkError, RemoteError } from '../core/errors.ts';
import type { CocoonError } from '../core/errors.ts';
import type { Connection, TlPacket } from './connection.ts';
import { UNSPECIFIED } from './remote-codes.ts';
import type { Timers } from './timers.ts';
import type { TlFunction, TlObject, TlObjectByName } from './tl/types.ts';

/** What a request may have received and not yet read. */
export const DEFAULT_MAX_QUEUED_BYTES = 4 * 2 ** 20;
export const DEFAULT_MAX_REQUEST_MS = 3_600_000;
export const DEFAULT_HANDSHAKE_MS = 30_000;
export const DEFAULT_STATUS_MS = 60_000;

/** Random bytes are fetched for many requests at once; none is given out twice. */
const POOL_BYTES = 4_096;
let pool = Buffer.alloc(0);

export function defaultRandom(size: number): Uint8Array {
  if (size > POOL_BYTES) return new Uint8Array(randomBytes(size));
  if (pool.length < size) pool = randomBytes(POOL_BYTES);
  const taken = new Uint8Array(pool.subarray(0, size));
  pool.fill(0, 0, size);
  pool = pool.subarray(size);
  return taken;
}

/** True for 32 zero bytes or nothing: "not encrypted" (WIRE-2026-04.md section 1). */
export const keyOrNull = (key: Uint8Array | undefined): Uint8Array | null => (key === undefined || key.every((byte) => byte === 0) ? null : key);

/** Text of code 0 that the network's proxies answer to a query which nobody serves; the connection stays. */
export const lostPromise = (): RemoteError => new RemoteError(UNSPECIFIED, 'Lost promise');
/** Text of code 0 for a handshake query out of turn. */
export const wrongConstructor = (): RemoteError => new RemoteError(UNSPECIFIED, 'Wrong constructor found at 4');

/** Sends without an owner that could be told: a connection that ends tells everybody by itself. */
export const sendOver = (connection: Connection) => (packet: TlPacket): Promise<void> => connection.send(packet);

/** E_CLOSED for everything that was under way, whatever ended the connection. */
export function incomplete(reason: CocoonError | null): NetworkError {
  const why = reason === null ? 'was closed' : `ended (${reason.message})`;
  return new NetworkError('E_CLOSED', `connection ${why} before the answer was complete`, reason === null ? {} : { cause: reason });
}

/** As `incomplete`; where the peer has lost its standing that is the error: whoever asked must not take it for a mere disconnection. */
export function incompleteAnswer(reason: CocoonError | null): CocoonError {
  if (!(reason instanceof AttestationError)) return incomplete(reason);
  const hint = reason.hint === undefined ? {} : { hint: reason.hint };
  return new AttestationError(reason.code, `connection was cut before the answer was complete: ${reason.message}`, { cause: reason, ...hint });
}

/** Aborts when the connection is gone, with E_CLOSED; its owner may abort it earlier. */
export function closeController(connection: Connection): AbortController {
  const controller = new AbortController();
  void connection.closed.then((reason) => controller.abort(incomplete(reason)));
  return controller;
}

export interface BoundOptions {
  readonly timers: Timers;
  readonly timeoutMs: number;
  readonly closed: AbortSignal;
  /** Makes the error for work that is late. */
  readonly late: () => CocoonError;
}

/** Runs `work` no longer than the connection lives and `timeoutMs` allow; its signal fires then. Rejects with CocoonErrors. */
export function bounded<T>(work: (signal: AbortSignal) => Promise<T>, { timers, timeoutMs, closed, late }: BoundOptions): Promise<T> {
  if (closed.aborted) return Promise.reject(asCocoonError(closed.reason));
  const controller = new AbortController();
  return new Promise<T>((resolve, reject) => {
    const release = (): void => {
      stopTimer();
      closed.removeEventListener('abort', onClosed);
    };
    const stop = (error: unknown): void => {
      release();
      controller.abort(error);
      reject(asCocoonError(error));
    };
    const onClosed = (): void => stop(closed.reason);
    const stopTimer = timers.after(timeoutMs, () => stop(late()));
    closed.addEventListener('abort', onClosed, { once: true });
    work(controller.signal).then(resolve, (error: unknown) => reject(asCocoonError(error))).finally(release);
  });
}

/** The answer of a query when it has constructor `name`; else throws E_PROTOCOL. */
export function expectAnswer<N extends keyof TlObjectByName>(name: N, answer: TlObject): TlObjectByName[N] {
  if (answer._ !== name) throw new NetworkError('E_PROTOCOL', `peer answered ${answer._}, expected ${name}`);
  return answer as TlObjectByName[N];
}

/** Sends a query and expects that constructor as answer. */
export async function ask<N extends keyof TlObjectByName>(
  connection: Connection, query: TlFunction, name: N, options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
): Promise<TlObjectByName[N]> {
  return expectAnswer(name, await connection.query(query, options));
}

/** Payment status is asked for at random intervals of this range (WIRE.md section 9.4). */
const POLL_MIN_MS = 10_000;
const POLL_RANGE_MS = 10_000;

/**
 * Calls `poll` every 10 to 20 seconds until the connection ends. A peer's error or a late answer is skipped, the next poll
 * tries again; any other rejection (the port refused, the protocol was broken) closes the connection.
 */
export function pollPayments(connection: Connection, timers: Timers, random: (size: number) => Uint8Array, poll: () => Promise<unknown>): void {
  let stop: () => void = () => undefined;
  let over = false;
  const schedule = (): void => {
    const share = Buffer.from(random(4)).readUInt32LE() / 2 ** 32;
    stop = timers.after(POLL_MIN_MS + share * POLL_RANGE_MS, run);
  };
  const run = (): void => {
    poll().then(() => undefined, (error: unknown) => {
      const known = asCocoonError(error);
      if (known.code !== 'E_REMOTE' && known.code !== 'E_TIMEOUT' && known.code !== 'E_BUSY') connection.close(known);
    }).then(() => {
      if (!over) schedule();
    }).catch(() => undefined);
  };
  void connection.closed.then(() => {
    over = true;
    stop();
  });
  schedule();
}
