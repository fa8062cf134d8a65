// Frames on the byte stream (WIRE.md section 7): u32 length, i32 sequence number, payload; little-endian.
// Refuses lengths outside 4…2^24 (or a smaller limit) and sequence numbers that do not count up from 0 by one.
import { CocoonError, NetworkError } from '../core/errors.ts';

/** Largest payload, inclusive. */
export const MAX_FRAME_BYTES = 2 ** 24;
/** Smallest payload: a constructor id. */
export const MIN_FRAME_BYTES = 4;
export const FRAME_HEADER_BYTES = 8;

const LENGTH_OFFSET = 0;
const SEQNO_OFFSET = 4;
const MAX_SEQNO = 2 ** 31 - 1;
/** First allocation for a payload that arrives in pieces; it doubles as bytes arrive. */
const INITIAL_BYTES = 4096;

/**
 * One frame. `seqno` counts the frames of this direction from 0.
 * Throws NetworkError E_TOO_LARGE when the payload is larger than a frame can carry, E_INTERNAL when it is shorter than
 * 4 bytes or the sequence number is not an integer of 0…2^31-1.
 */
export function encodeFrame(seqno: number, payload: Uint8Array): Uint8Array {
  if (payload.byteLength > MAX_FRAME_BYTES) {
    throw new NetworkError('E_TOO_LARGE', `cannot send a message of ${payload.byteLength} bytes: expected at most ${MAX_FRAME_BYTES}`);
  }
  if (payload.byteLength < MIN_FRAME_BYTES) {
    throw new CocoonError('E_INTERNAL', `cannot send a frame of ${payload.byteLength} bytes: expected at least ${MIN_FRAME_BYTES}`);
  }
  if (!Number.isInteger(seqno) || seqno < 0 || seqno > MAX_SEQNO) {
    throw new CocoonError('E_INTERNAL', `cannot send frame number ${seqno}: expected an integer of 0 to ${MAX_SEQNO}`);
  }
  const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + payload.byteLength);
  frame.writeUInt32LE(payload.byteLength, LENGTH_OFFSET);
  frame.writeInt32LE(seqno, SEQNO_OFFSET);
  frame.set(payload, FRAME_HEADER_BYTES);
  return frame;
}

/**
 * Cuts a byte stream into payloads. Holds at most one incomplete payload, in memory that grows as its bytes arrive
 * (at most twice what has arrived), whatever length its header announces.
 */
export class FrameReader {
  readonly #header = new Uint8Array(FRAME_HEADER_BYTES);
  #headerBytes = 0;
  #seqno = 0;
  /** Length of the payload whose header has been read; null between frames. */
  #length: number | null = null;
  #payload = new Uint8Array(0);
  #payloadBytes = 0;
  #maxFrameBytes: number;
  #failure: NetworkError | null = null;

  /** `maxFrameBytes` limits payloads until `setMaxFrameBytes` raises it, for example until the peer is authenticated. */
  constructor(options: { readonly maxFrameBytes?: number } = {}) {
    this.#maxFrameBytes = checkLimit(options.maxFrameBytes ?? MAX_FRAME_BYTES);
  }

  /** Changes the limit for the frames whose header has not been read yet. */
  setMaxFrameBytes(maxFrameBytes: number): void {
    this.#maxFrameBytes = checkLimit(maxFrameBytes);
  }

  /** Bytes held of an incomplete frame, header included. */
  get bufferedBytes(): number {
    return this.#headerBytes + this.#payloadBytes;
  }

  /**
   * Takes the next bytes of the stream and returns the payloads that they complete, in order. A payload that lies in
   * `chunk` as a whole is a view into it: do not reuse the chunk's memory.
   * Throws NetworkError E_PROTOCOL on a violation; then the payloads before it in this chunk are not returned, and
   * every further call throws the same error.
   */
  push(chunk: Uint8Array): Uint8Array[] {
    if (this.#failure !== null) throw this.#failure;
    const payloads: Uint8Array[] = [];
    // A plain view, so that no payload is a Buffer, whose slice() would alias.
    const bytes = new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    let offset = 0;
    while (offset < bytes.byteLength) {
      if (this.#length === null) {
        offset += this.#takeHeader(bytes.subarray(offset));
        continue;
      }
      const part = bytes.subarray(offset, offset + this.#length - this.#payloadBytes);
      offset += part.byteLength;
      const payload = this.#takePayload(part, this.#length);
      if (payload !== null) payloads.push(payload);
    }
    return payloads;
  }

  #takeHeader(bytes: Uint8Array): number {
    const part = bytes.subarray(0, FRAME_HEADER_BYTES - this.#headerBytes);
    this.#header.set(part, this.#headerBytes);
    this.#headerBytes += part.byteLength;
    if (this.#headerBytes === FRAME_HEADER_BYTES) {
      const view = new DataView(this.#header.buffer);
      this.#length = this.#check(view.getUint32(LENGTH_OFFSET, true), view.getInt32(SEQNO_OFFSET, true));
      this.#seqno += 1;
    }
    return part.byteLength;
  }

  #check(length: number, seqno: number): number {
    if (length < MIN_FRAME_BYTES || length > this.#maxFrameBytes) {
      throw this.#fail(`cannot read frame ${this.#seqno}: expected a length of ${MIN_FRAME_BYTES} to ${this.#maxFrameBytes} bytes, got ${length}`);
    }
    if (seqno !== this.#seqno) throw this.#fail(`cannot read frame ${this.#seqno}: expected this sequence number, got ${seqno}`);
    return length;
  }

  #takePayload(part: Uint8Array, length: number): Uint8Array | null {
    let payload: Uint8Array;
    if (part.byteLength === length) {
      payload = part;
    } else {
      const received = this.#payloadBytes + part.byteLength;
      if (received > this.#payload.byteLength) this.#growPayload(received, length);
      this.#payload.set(part, this.#payloadBytes);
      this.#payloadBytes = received;
      if (received < length) return null;
      payload = this.#payload;
    }
    this.#payload = new Uint8Array(0);
    this.#payloadBytes = 0;
    this.#headerBytes = 0;
    this.#length = null;
    return payload;
  }

  #growPayload(received: number, length: number): void {
    const larger = new Uint8Array(Math.min(length, Math.max(received, this.#payload.byteLength * 2, INITIAL_BYTES)));
    larger.set(this.#payload.subarray(0, this.#payloadBytes));
    this.#payload = larger;
  }

  #fail(message: string): NetworkError {
    this.#failure = new NetworkError('E_PROTOCOL', message);
    this.#payload = new Uint8Array(0);
    this.#payloadBytes = 0;
    return this.#failure;
  }
}

function checkLimit(maxFrameBytes: number): number {
  if (!Number.isInteger(maxFrameBytes) || maxFrameBytes < MIN_FRAME_BYTES || maxFrameBytes > MAX_FRAME_BYTES) {
    throw new CocoonError('E_INTERNAL', `cannot limit frames to ${maxFrameBytes} bytes: expected ${MIN_FRAME_BYTES} to ${MAX_FRAME_BYTES}`);
  }
  return maxFrameBytes;
}
