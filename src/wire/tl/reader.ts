// Bounded reader of TL scalars (WIRE.md section 8). Every read is checked against the bytes that remain;
// anything else than a well-formed value is NetworkError E_PROTOCOL with the field and the offset.
import { isUtf8 } from 'node:buffer';
import { NetworkError } from '../../core/errors.ts';

export const BOOL_TRUE = 0x997275b5;
export const BOOL_FALSE = 0xbc799737;

/** Length byte that announces a 3-byte length, and the one that announces a 7-byte length. */
export const LENGTH_3 = 0xfe;
export const LENGTH_7 = 0xff;

/** Up to this many bytes a look at each of them is faster than the native check. */
const MAX_SHORT_TEXT = 48;

/** Numbers of eight bytes are read from a copy: a view on each input would cost more. */
const EIGHT = new Uint8Array(8);
const EIGHT_VIEW = new DataView(EIGHT.buffer);

/** `label` names the field in errors, for example `client.params.is_test`. */
export class TlReader {
  readonly #bytes: Uint8Array;
  /** The same bytes, made for the first text. */
  #text: Buffer | null = null;
  #offset = 0;
  /** Padding after the data whose length was read last. */
  #padding = 0;

  constructor(bytes: Uint8Array) {
    // A plain view, so that what is handed out is never a Buffer, whose slice() would alias.
    this.#bytes = bytes.constructor === Uint8Array ? bytes : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get remaining(): number {
    return this.#bytes.byteLength - this.#offset;
  }

  int(label: string): number {
    return this.#word(this.#take(4, label));
  }

  /** A `#`: an int32 that is not negative. */
  natural(label: string): number {
    const value = this.int(label);
    if (value < 0) throw this.refuse(label, `expected a value that is not negative, got ${value}`);
    return value;
  }

  /** A constructor id, unsigned. */
  id(label: string): number {
    return this.#word(this.#take(4, label)) >>> 0;
  }

  long(label: string): bigint {
    return this.#eight(label).getBigInt64(0, true);
  }

  double(label: string): number {
    return this.#eight(label).getFloat64(0, true);
  }

  bool(label: string): boolean {
    const id = this.id(label);
    if (id === BOOL_TRUE) return true;
    if (id === BOOL_FALSE) return false;
    throw this.refuse(label, `expected boolTrue or boolFalse, got ${hexId(id)}`);
  }

  /** `length` raw bytes, copied: such values are kept as keys and must not keep a whole packet alive. */
  fixed(length: number, label: string): Uint8Array {
    const start = this.#take(length, label);
    return this.#bytes.slice(start, start + length);
  }

  /** A `bytes`: a view into the input, not a copy. */
  bytes(label: string): Uint8Array {
    const length = this.#length(label);
    const start = this.#offset;
    this.#skip(length);
    return this.#bytes.subarray(start, start + length);
  }

  /** A `string`; refuses what is not UTF-8. */
  string(label: string): string {
    const length = this.#length(label);
    const start = this.#offset;
    this.#skip(length);
    if (length === 0) return '';
    if (length <= MAX_SHORT_TEXT && this.#isAscii(start, start + length)) return this.#asText().toString('latin1', start, start + length);
    if (!isUtf8(this.#bytes.subarray(start, start + length))) throw this.refuse(label, 'expected UTF-8 text');
    return this.#asText().toString('utf8', start, start + length);
  }

  #asText(): Buffer {
    return this.#text ??= Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.byteLength);
  }

  /** The int32 at an offset that was taken. */
  #word(at: number): number {
    return this.#byte(at) | (this.#byte(at + 1) << 8) | (this.#byte(at + 2) << 16) | (this.#byte(at + 3) << 24);
  }

  #byte(at: number): number {
    return this.#bytes[at] ?? 0;
  }

  /** The number of three bytes at an offset that was taken. */
  #low(at: number): number {
    return this.#byte(at) | (this.#byte(at + 1) << 8) | (this.#byte(at + 2) << 16);
  }

  #eight(label: string): DataView {
    const start = this.#take(8, label);
    for (let i = 0; i < 8; i += 1) EIGHT[i] = this.#byte(start + i);
    return EIGHT_VIEW;
  }

  #isAscii(start: number, end: number): boolean {
    for (let i = start; i < end; i++) if ((this.#bytes[i] ?? 0) >= 0x80) return false;
    return true;
  }

  /** The element count of a vector whose elements take at least `minItemBytes` each. */
  count(minItemBytes: number, label: string): number {
    const count = this.int(label);
    if (count < 0 || count * minItemBytes > this.remaining) {
      throw this.refuse(label, `expected a count that fits the ${this.remaining} bytes left, got ${count}`);
    }
    return count;
  }

  /** Throws when bytes are left over. */
  end(label: string): void {
    if (this.remaining !== 0) throw this.refuse(label, `expected the end, got ${this.remaining} more bytes`);
  }

  refuse(label: string, reason: string): NetworkError {
    return new NetworkError('E_PROTOCOL', `cannot decode ${label} at byte ${this.#offset} of ${this.#bytes.byteLength}: ${reason}`);
  }

  #take(length: number, label: string): number {
    const start = this.#offset;
    if (length > this.#bytes.byteLength - start) {
      throw this.refuse(label, `expected ${length} bytes, got ${this.remaining}`);
    }
    this.#offset = start + length;
    return start;
  }

  /** Reads a length prefix and leaves the offset at the data; data and padding are known to be there. */
  #length(label: string): number {
    let prefix = 1;
    let length = this.#byte(this.#take(1, label));
    if (length === LENGTH_3) {
      length = this.#low(this.#take(3, label));
      prefix = 4;
    } else if (length === LENGTH_7) {
      const start = this.#take(7, label);
      // Up to 2^56: exact or rounded, in both cases far beyond the bytes that remain when the high part is not zero.
      length = (this.#word(start) >>> 0) + this.#low(start + 4) * 0x1_0000_0000;
      prefix = 8;
    }
    const padded = length + padding(prefix + length);
    if (padded > this.remaining) throw this.refuse(label, `expected ${length} bytes and padding, got ${this.remaining}`);
    this.#padding = padded - length;
    return length;
  }

  #skip(length: number): void {
    this.#offset += length + this.#padding;
  }
}

/** Zero bytes that follow `length` bytes up to the next multiple of four. */
export const padding = (length: number): number => (4 - (length % 4)) % 4;

export const hexId = (id: number): string => `0x${id.toString(16).padStart(8, '0')}`;
