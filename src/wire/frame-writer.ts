// The sending half of a connection: packets become numbered frames on the stream (WIRE.md section 7), with an account of
// what the socket has not taken yet. Frames of one turn leave together, as one write and one TLS record: for small ones,
// waking the peer is what costs. Refuses packets above the frame limit and more waiting bytes than agreed.
import type { Writable } from 'node:stream';
import { deferred } from '../core/deferred.ts';
import type { Deferred } from '../core/deferred.ts';
import { NetworkError } from '../core/errors.ts';
import type { CocoonError } from '../core/errors.ts';
import type { TlPacket } from './connection.ts';
import { encodeFrame } from './framing.ts';
import { lendBoxed } from './tl/codec.ts';
import type { TlByType } from './tl/types.ts';

/** A frame is handed over in pieces of this size, so that a slow peer's progress can be told from none. */
const PIECE_BYTES = 64 * 1024;
/** What is gathered leaves at once when it is as much as a TLS record holds. */
const GATHERED_BYTES = 16 * 1024;
/** How long a frame that may wait for others does. */
export const LINGER_MS = 20;

/** `reply`: something the peer asked for. Its bytes count against the peer, not against the owner's limit. */
export type FrameKind = 'own' | 'reply';

/** Settled for good: most sends wait for nothing. */
const TAKEN = Promise.resolve();

export class FrameWriter {
  readonly #stream: Writable;
  readonly #maxBufferedBytes: number;
  #seqno = 0;
  #waiting = { own: 0, reply: 0 };
  #progressAt = performance.now();
  #sentAt = performance.now();
  #failure: CocoonError | null = null;
  /** Frames that leave together, and their bytes by kind. */
  #gathered: Uint8Array[] = [];
  #gatheredBytes = { own: 0, reply: 0 };
  /** The gathered frames leave at the end of this turn. */
  #leaving = false;
  #lingerTimer: NodeJS.Timeout | null = null;
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

  /**
   * Queues one packet; `lazy` ones leave with the next that is not, or LINGER_MS later. Packets never overtake one another.
   * Throws E_TOO_LARGE, E_BUSY (own packets only), or the error that `fail` was given; then nothing was queued.
   */
  write(packet: TlByType['tcp.Packet'], kind: FrameKind, lazy = false): void {
    if (this.#failure !== null) throw this.#failure;
    const frame = lendBoxed(packet, (payload) => encodeFrame(this.#seqno, payload));
    if (kind === 'own' && this.bufferedBytes + frame.byteLength > this.#maxBufferedBytes && this.bufferedBytes > 0) {
      throw new NetworkError('E_BUSY', `cannot queue ${frame.byteLength} bytes: ${this.bufferedBytes} bytes are waiting for the peer already, expected at most ${this.#maxBufferedBytes}`);
    }
    this.#seqno += 1;
    this.#sentAt = performance.now();
    if (this.bufferedBytes === 0) this.#progressAt = this.#sentAt;
    this.#waiting[kind] += frame.byteLength;
    // Large frames are written from where they are.
    if (frame.byteLength >= GATHERED_BYTES) this.flush();
    this.#gathered.push(frame);
    this.#gatheredBytes[kind] += frame.byteLength;
    if (this.#gatheredBytes.own + this.#gatheredBytes.reply >= GATHERED_BYTES) this.flush();
    else if (lazy) this.#linger();
    else this.#leave();
  }

  /** As `write`, a `tcp.packet` with `object` in it. */
  send(object: TlPacket, kind: FrameKind, lazy = false): void {
    lendBoxed(object, (data) => this.write({ _: 'tcp.packet', data }, kind, lazy));
  }

  /** Resolves when the socket wants more. Rejects with the error that `fail` is given; nobody has to heed it. */
  drained(): Promise<void> {
    if (this.#failure === null && !this.#stream.writableNeedDrain) return TAKEN;
    this.#drained ??= deferred();
    const { promise, reject } = this.#drained;
    promise.catch(() => undefined);
    if (this.#failure !== null) reject(this.#failure);
    return promise;
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
    if (this.#stream.writable) this.flush();
    this.#gathered = [];
    this.#drained?.reject(error);
    this.#repliesTaken?.taken.reject(error);
    this.#drained = null;
    this.#repliesTaken = null;
  }

  /** Hands everything that was queued to the stream now. */
  flush(): void {
    if (this.#lingerTimer !== null) clearTimeout(this.#lingerTimer);
    this.#lingerTimer = null;
    const frames = this.#gathered;
    const [first] = frames;
    if (first === undefined) return;
    const { own, reply } = this.#gatheredBytes;
    this.#gathered = [];
    this.#gatheredBytes = { own: 0, reply: 0 };
    const bytes = frames.length === 1 ? first : Buffer.concat(frames, own + reply);
    if (bytes.byteLength <= PIECE_BYTES) {
      this.#stream.write(bytes, () => this.#taken(own, reply));
      return;
    }
    for (let offset = 0; offset < bytes.byteLength; offset += PIECE_BYTES) {
      const piece = bytes.subarray(offset, offset + PIECE_BYTES);
      // More than a piece is one large frame by itself.
      this.#stream.write(piece, () => (own > 0 ? this.#taken(piece.byteLength, 0) : this.#taken(0, piece.byteLength)));
    }
  }

  /** Holds frames back until what runs now, with the promises it settles, has queued all that it has to say. */
  #leave(): void {
    if (this.#leaving) return;
    this.#leaving = true;
    process.nextTick(() => {
      this.#leaving = false;
      this.flush();
    });
  }

  #linger(): void {
    if (this.#leaving) return;
    this.#lingerTimer ??= setTimeout(() => this.flush(), LINGER_MS);
  }

  #taken(own: number, reply: number): void {
    this.#waiting.own -= own;
    this.#waiting.reply -= reply;
    this.#progressAt = performance.now();
    const waiting = this.#repliesTaken;
    if (waiting !== null && this.#waiting.reply <= waiting.below) {
      this.#repliesTaken = null;
      waiting.taken.resolve();
    }
  }
}
