// The sending half of a connection: packets become numbered frames on the stream (WIRE.md section 7), with an account of
// what the socket has not taken yet. Frames of one turn leave together: for small ones, waking the peer is what costs.
// Refuses packets above the frame limit and more waiting bytes than agreed.
import type { Writable } from 'node:stream';
import { deferred } from '../core/deferred.ts';
import type { Deferred } from '../core/deferred.ts';
import { NetworkError } from '../core/errors.ts';
import type { CocoonError } from '../core/errors.ts';
import { encodeFrame } from './framing.ts';
import { encodeBoxed } from './tl/codec.ts';
import type { TlByType } from './tl/types.ts';

/** A frame is handed over in pieces of this size, so that a slow peer's progress can be told from none. */
const PIECE_BYTES = 64 * 1024;

/** `reply`: something the peer asked for. Its bytes count against the peer, not against the owner's limit. */
export type FrameKind = 'own' | 'reply';

export class FrameWriter {
  readonly #stream: Writable;
  readonly #maxBufferedBytes: number;
  #seqno = 0;
  #waiting = { own: 0, reply: 0 };
  #progressAt = performance.now();
  #sentAt = performance.now();
  #failure: CocoonError | null = null;
  #gathering = false;
  #drained: Deferred<void> | null = null;
  #repliesTaken: { readonly below: number; readonly taken: Deferred<void> } | null = null;

  constructor(stream: Writable, maxBufferedBytes: number) {
    this.#stream = stream;
    this.#maxBufferedBytes = maxBufferedBytes;
    stream.on('drain', () => {
      this.#drained?.resolve();
      this.#drained = null;
    });
  }

  /** What is lost with the connection waits no more. */
  get bufferedBytes(): number {
    return this.#failure === null ? this.#waiting.own + this.#waiting.reply : 0;
  }

  /** When the socket last took bytes, or began to have some waiting; performance.now(). */
  get progressAt(): number {
    return this.#progressAt;
  }

  /** When the last frame was queued; performance.now(). */
  get sentAt(): number {
    return this.#sentAt;
  }

  /** Queues one packet. Throws E_TOO_LARGE, E_BUSY (own packets only), or the error that `fail` was given; then nothing was queued. */
  write(packet: TlByType['tcp.Packet'], kind: FrameKind): void {
    if (this.#failure !== null) throw this.#failure;
    const frame = encodeFrame(this.#seqno, encodeBoxed(packet));
    if (kind === 'own' && this.bufferedBytes + frame.byteLength > this.#maxBufferedBytes && this.bufferedBytes > 0) {
      throw new NetworkError('E_BUSY', `cannot queue ${frame.byteLength} bytes: ${this.bufferedBytes} bytes are waiting for the peer already, expected at most ${this.#maxBufferedBytes}`);
    }
    this.#seqno += 1;
    this.#sentAt = performance.now();
    if (this.bufferedBytes === 0) this.#progressAt = this.#sentAt;
    this.#waiting[kind] += frame.byteLength;
    this.#gather();
    for (let offset = 0; offset < frame.byteLength; offset += PIECE_BYTES) {
      const piece = frame.subarray(offset, offset + PIECE_BYTES);
      this.#stream.write(piece, () => this.#taken(piece.byteLength, kind));
    }
  }

  /** Resolves when the socket wants more. Rejects with the error that `fail` is given. */
  drained(): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    if (!this.#stream.writableNeedDrain) return Promise.resolve();
    this.#drained ??= deferred();
    return this.#drained.promise;
  }

  /** Resolves when fewer than `below` bytes of replies are waiting; null when that is so already. Rejects as `drained`. */
  repliesTaken(below: number): Promise<void> | null {
    if (this.#waiting.reply <= below) return null;
    this.#repliesTaken ??= { below, taken: deferred() };
    return this.#repliesTaken.taken.promise;
  }

  /** What was queued is handed to the socket, and nothing is sent any more; who waits is told `error`. Idempotent: the first error stays. */
  fail(error: CocoonError): void {
    if (this.#failure !== null) return;
    this.#failure = error;
    this.#flush();
    this.#drained?.reject(error);
    this.#repliesTaken?.taken.reject(error);
    this.#drained = null;
    this.#repliesTaken = null;
  }

  /** Holds frames back until what runs now, with the promises it settles, has queued all that it has to say. */
  #gather(): void {
    if (this.#gathering) return;
    this.#gathering = true;
    this.#stream.cork();
    process.nextTick(() => this.#flush());
  }

  #flush(): void {
    if (!this.#gathering) return;
    this.#gathering = false;
    this.#stream.uncork();
  }

  #taken(bytes: number, kind: FrameKind): void {
    this.#waiting[kind] -= bytes;
    this.#progressAt = performance.now();
    const waiting = this.#repliesTaken;
    if (waiting !== null && this.#waiting.reply <= waiting.below) {
      this.#repliesTaken = null;
      waiting.taken.resolve();
    }
  }
}
