// The canonical encoding of everything that is signed, sealed or authenticated (SPEC.md section 2): fixed fields in their
// order, big-endian integers, texts and byte strings after a 4-byte length. One value has one encoding.
// Refuses lengths beyond the input or the field's bound, texts that are not UTF-8, and left-over bytes.
import { SealError } from './errors.ts';

const textEncoder = new TextEncoder();
const textDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export class Encoder {
  readonly #parts: Uint8Array[] = [];

  u8(value: number): this {
    return this.#small(1, value);
  }

  u16(value: number): this {
    return this.#small(2, value);
  }

  u32(value: number): this {
    return this.#small(4, value);
  }

  u64(value: bigint): this {
    return this.#integer(8, value);
  }

  /** Bytes whose length the reader knows. */
  fixed(bytes: Uint8Array, length: number): this {
    if (bytes.byteLength !== length) throw new RangeError(`field has ${bytes.byteLength} bytes, expected ${length}`);
    this.#parts.push(bytes);
    return this;
  }

  /** A 4-byte length and the bytes. */
  bytes(bytes: Uint8Array): this {
    this.u32(bytes.byteLength);
    this.#parts.push(bytes);
    return this;
  }

  text(value: string): this {
    return this.bytes(textEncoder.encode(value));
  }

  finish(): Uint8Array {
    return new Uint8Array(Buffer.concat(this.#parts));
  }

  #small(size: 1 | 2 | 4, value: number): this {
    if (!Number.isInteger(value) || value < 0 || value >= 2 ** (size * 8)) throw new RangeError(`${value} does not fit ${size} bytes`);
    const bytes = Buffer.allocUnsafe(size);
    bytes.writeUIntBE(value, 0, size);
    this.#parts.push(bytes);
    return this;
  }

  #integer(size: number, value: bigint): this {
    if (value < 0n || value >= 1n << BigInt(size * 8)) throw new RangeError(`${value} does not fit ${size} bytes`);
    const bytes = new Uint8Array(size);
    for (let at = size - 1, rest = value; at >= 0; at -= 1, rest >>= 8n) bytes[at] = Number(rest & 0xffn);
    this.#parts.push(bytes);
    return this;
  }
}

export class Decoder {
  readonly #bytes: Uint8Array;
  readonly #what: string;
  #at = 0;

  /** `what` names the thing in errors. Returned byte strings are copies. */
  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = bytes;
    this.#what = what;
  }

  u8(): number {
    return Number(this.#integer(1));
  }

  u16(): number {
    return Number(this.#integer(2));
  }

  u32(): number {
    return Number(this.#integer(4));
  }

  u64(): bigint {
    return this.#integer(8);
  }

  fixed(length: number): Uint8Array {
    return this.#take(length);
  }

  bytes(maxLength: number): Uint8Array {
    const length = this.u32();
    if (length > maxLength) throw new SealError(`${this.#what} has a field of ${length} bytes, expected at most ${maxLength}`);
    return this.#take(length);
  }

  text(maxBytes: number): string {
    const bytes = this.bytes(maxBytes);
    try {
      return textDecoder.decode(bytes);
    } catch (cause) {
      throw new SealError(`${this.#what} has a text that is not UTF-8`, cause);
    }
  }

  /** Throws unless everything was read. */
  end(): void {
    const left = this.#bytes.byteLength - this.#at;
    if (left !== 0) throw new SealError(`${this.#what} has ${left} bytes left over`);
  }

  #take(length: number): Uint8Array {
    const left = this.#bytes.byteLength - this.#at;
    if (length > left) throw new SealError(`${this.#what} ends after ${this.#bytes.byteLength} bytes, expected ${length - left} more`);
    this.#at += length;
    return this.#bytes.slice(this.#at - length, this.#at);
  }

  #integer(size: number): bigint {
    let value = 0n;
    for (const byte of this.#take(size)) value = (value << 8n) | BigInt(byte);
    return value;
  }
}
