// The asking side of requests on one connection: a client's towards its proxy, a proxy's towards a worker (WIRE.md section 11).
// Each request has a random 256-bit id, its own deadline and a bounded queue. Parts before the head, a second head and
// malformed answers fail their request; answers to unknown ids (late ones of a request given up) are ignored.
import { toHex } from '../core/bytes.ts';
import { abortError } from '../core/deadline.ts';
import { asCocoonError, NetworkError } from '../core/errors.ts';
import type { CocoonError } from '../core/errors.ts';
import { AnswerError } from './answer.ts';
import type { FinalInfo } from './answer.ts';
import type { AnswerPiece } from './answer-codec.ts';
import { createAnswerQueue } from './answer-queue.ts';
import type { AnswerQueue } from './answer-queue.ts';
import type { TlPacket } from './connection.ts';
import type { Timers } from './timers.ts';

/** The share of a deadline that the next hop is told, so that its answer to a time-out still arrives (WIRE.md section 11). */
const NEXT_HOP_SHARE = 0.95;
const REQUEST_ID_BYTES = 32;
const NO_BYTES = new Uint8Array(0);

/** Seconds, as the next hop is told them. */
export const nextHopSeconds = (timeoutMs: number): number => (timeoutMs * NEXT_HOP_SHARE) / 1000;

export interface AskingOptions {
  readonly timers: Timers;
  readonly random: (size: number) => Uint8Array;
  readonly send: (packet: TlPacket) => Promise<void>;
  /** The message that cancels a request; null where the peer's version has none. */
  readonly cancelMessage: ((requestId: Uint8Array) => TlPacket) | null;
  readonly maxQueuedBytes: number;
  /** How long a request given up waits for the peer's confirmation. */
  readonly graceMs: number;
}

export interface Asked {
  readonly id: Uint8Array;
  readonly queue: AnswerQueue;
  /**
   * Resolves when the peer is done with the request, or must be by now: with the final info it sent, null without.
   * A request given up early is only settled when the peer confirms, its deadline is over or the connection ends.
   */
  readonly settled: Promise<FinalInfo | null>;
  /** The reader has gone: cancels at the peer where its version allows it. Nothing when the request is over. */
  giveUp(error: CocoonError): void;
}

export interface Asking {
  /** Requests whose peer is not done with them. */
  readonly running: number;
  /** Sends what `message` makes of the new id. A failure to send fails the request, not the caller. */
  start(message: (requestId: Uint8Array) => TlPacket, timeoutMs: number, signal: AbortSignal | undefined): Asked;
  deliver(piece: AnswerPiece): void;
  /** The connection is gone: fails everything. */
  closeAll(error: CocoonError): void;
}

interface Entry {
  readonly key: string;
  readonly id: Uint8Array;
  readonly queue: AnswerQueue;
  readonly deadlineMs: number;
  headSeen: boolean;
  /** The reader is gone; only the final message matters still. */
  draining: boolean;
  stopTimer: () => void;
  stopListening: () => void;
  readonly settle: (info: FinalInfo | null) => void;
}

export function createAsking(options: AskingOptions): Asking {
  const entries = new Map<string, Entry>();
  let closedBy: CocoonError | null = null;

  const settle = (entry: Entry, info: FinalInfo | null): void => {
    entries.delete(entry.key);
    entry.stopTimer();
    entry.stopListening();
    entry.settle(info);
  };

  /** Fails the reader at once; the peer keeps the request until it confirms or `waitMs` are over. */
  const giveUp = (entry: Entry, error: CocoonError, waitMs: number): void => {
    if (entry.draining || !entries.has(entry.key)) return;
    entry.draining = true;
    entry.queue.abort(error);
    entry.stopListening();
    entry.stopTimer();
    entry.stopTimer = options.timers.after(waitMs, () => settle(entry, null));
    if (options.cancelMessage !== null) options.send(options.cancelMessage(entry.id)).catch(() => undefined); // closing settles it
  };

  /** Without a cancel message the peer works on until its own deadline. */
  const earlyWaitMs = (entry: Entry): number => (options.cancelMessage === null ? entry.deadlineMs + options.graceMs : options.graceMs);

  return {
    get running() {
      return entries.size;
    },
    start(message, timeoutMs, signal) {
      const id = options.random(REQUEST_ID_BYTES);
      const queue = createAnswerQueue(options.maxQueuedBytes);
      const refused = closedBy ?? (signal?.aborted === true ? abortError(signal) : null);
      if (refused !== null) {
        queue.abort(refused);
        return { id, queue, settled: Promise.resolve(null), giveUp: () => undefined };
      }
      let settleNow: (info: FinalInfo | null) => void = () => undefined;
      const settled = new Promise<FinalInfo | null>((resolve) => {
        settleNow = resolve;
      });
      const entry: Entry = {
        key: toHex(id), id, queue, deadlineMs: timeoutMs, headSeen: false, draining: false,
        stopTimer: () => undefined, stopListening: () => undefined, settle: settleNow,
      };
      entries.set(entry.key, entry);
      entry.stopTimer = options.timers.after(timeoutMs, () =>
        giveUp(entry, new NetworkError('E_TIMEOUT', `answer was not complete after ${timeoutMs} ms`), options.graceMs));
      if (signal !== undefined) {
        const onAbort = (): void => giveUp(entry, abortError(signal), earlyWaitMs(entry));
        signal.addEventListener('abort', onAbort, { once: true });
        entry.stopListening = () => signal.removeEventListener('abort', onAbort);
      }
      options.send(message(id)).catch((error: unknown) => {
        queue.abort(asCocoonError(error));
        settle(entry, null);
      });
      return { id, queue, settled, giveUp: (error) => giveUp(entry, error, earlyWaitMs(entry)) };
    },
    deliver(piece) {
      const entry = entries.get(toHex(piece.requestId));
      if (entry === undefined) return;
      const fail = (error: CocoonError): void => {
        // A final message leaves nothing to cancel.
        if (piece.kind !== 'malformed' && piece.info !== null) entry.queue.abort(error);
        else giveUp(entry, error, earlyWaitMs(entry));
      };
      if (piece.kind === 'malformed') {
        fail(new NetworkError('E_PROTOCOL', `peer sent a malformed answer: ${piece.error.message}`));
        return;
      }
      if (piece.kind === 'error') {
        entry.queue.finish(new AnswerError(piece.code, piece.message, piece.info));
      } else if (!entry.draining) {
        const disorder = disorderOf(entry, piece);
        if (disorder !== null) fail(new NetworkError('E_PROTOCOL', disorder));
        else if (!deliverContent(entry, piece)) fail(new NetworkError('E_BACKLOG', 'answer was not read in time'));
      }
      if (piece.kind === 'error' || piece.info !== null) settle(entry, piece.info);
    },
    closeAll(error) {
      closedBy = error;
      for (const entry of entries.values()) {
        entry.queue.abort(error);
        settle(entry, null);
      }
    },
  };
}

function disorderOf({ headSeen }: Entry, { kind }: AnswerPiece): string | null {
  if (kind === 'head') return headSeen ? 'peer sent a second answer to one request' : null;
  return headSeen ? null : 'peer sent a part of an answer before its head';
}

/** Queues a head or part, and the end when it is the last message. False when the reader is too far behind. */
function deliverContent(entry: Entry, piece: AnswerPiece & { readonly kind: 'head' | 'part' }): boolean {
  if (piece.kind === 'head') {
    entry.headSeen = true;
    const size = piece.head.headers.reduce((sum, { name, value }) => sum + name.length + value.length, piece.head.payload.byteLength);
    return entry.queue.push({ kind: 'head', head: piece.head }, size)
      && (piece.info === null || entry.queue.push({ kind: 'end', info: piece.info, bytes: NO_BYTES }, 0));
  }
  if (piece.info !== null) return entry.queue.push({ kind: 'end', info: piece.info, bytes: piece.bytes }, piece.bytes.byteLength);
  return piece.bytes.byteLength === 0 || entry.queue.push({ kind: 'part', bytes: piece.bytes }, piece.bytes.byteLength);
}
