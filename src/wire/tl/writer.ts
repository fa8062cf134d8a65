// Growing writer of TL scalars (WIRE.md section 8). Values that the wire cannot carry are our own mistakes: E_INTERNAL.
import { CocoonError } from '../../core/errors.ts';
import { BOOL_FALSE, BOOL_TRUE, LENGTH_3, LENGTH_7, padding } from './reader.ts';

const INITIAL_BYTES = 1024;
const MIN_LONG = -(2n ** 63n);
const MAX_LONG = 2n ** 63n - 1n;
const MAX_BYTE_LENGTH = 254;
const MAX_3_BYTE_LENGTH = 2 ** 24;

/** `label` names the field in errors, for example `client.params.is_test`. */
export class TlWriter {
  #buffer = Buffer.allocUnsafeSlow(INITIAL_BYTES);
  #view = viewOf(this.#buffer);
  #length = 0;

  int(value: unknown, label: string): void {
    if (typeof value !== 'number' || (value | 0) !== value) throw wrong(label, 'an int32', value);
    const start = this.#grow(4);
    this.#view.setInt32(start, value, true);
  }

  natural(value: unknown, label: string): void {
    if (typeof value !== 'number' || (value | 0) !== value || value < 0) throw wrong(label, 'an int32 that is not negative', value);
    const start = this.#grow(4);
    this.#view.setInt32(start, value, true);
  }

  id(value: number): void {
    const start = this.#grow(4);
    this.#view.setUint32(start, value, true);
  }

  long(value: unknown, label: string): void {
    if (typeof value !== 'bigint' || value < MIN_LONG || value > MAX_LONG) throw wrong(label, 'a bigint of 64 bits', value);
    const start = this.#grow(8);
    this.#view.setBigInt64(start, value, true);
  }

  double(value: unknown, label: string): void {
    if (typeof value !== 'number') throw wrong(label, 'a number', value);
    const start = this.#grow(8);
    this.#view.setFloat64(start, value, true);
  }

  bool(value: unknown, label: string): void {
    if (typeof value !== 'boolean') throw wrong(label, 'a boolean', value);
    this.id(value ? BOOL_TRUE : BOOL_FALSE);
  }

  fixed(value: unknown, length: number, label: string): void {
    if (!(value instanceof Uint8Array) || value.byteLength !== length) throw wrong(label, `${length} bytes`, value);
    const start = this.#grow(length);
    this.#buffer.set(value, start);
  }

  bytes(value: unknown, label: string): void {
    if (!(value instanceof Uint8Array)) throw wrong(label, 'bytes', value);
    const start = this.#open(value.byteLength);
    this.#buffer.set(value, start);
  }

  string(value: unknown, label: string): void {
    if (typeof value !== 'string') throw wrong(label, 'a string', value);
    const byteLength = Buffer.byteLength(value, 'utf8');
    // A surrogate without its other half would silently become U+FFFD. ASCII cannot contain one.
    if (byteLength !== value.length && /\p{Surrogate}/u.test(value)) throw wrong(label, 'well-formed text', value);
    const start = this.#open(byteLength);
    this.#buffer.write(value, start, byteLength, 'utf8');
  }

  /** What was written, as bytes of its own; the writer is empty afterwards and may be used again. */
  take(): Uint8Array {
    const bytes = new Uint8Array(this.#length);
    bytes.set(this.#buffer.subarray(0, this.#length));
    this.#length = 0;
    return bytes;
  }

  /** What was written, in the writer's own memory: valid until something else is written. The writer is empty afterwards. */
  lend(): Uint8Array {
    const bytes = new Uint8Array(this.#buffer.buffer, this.#buffer.byteOffset, this.#length);
    this.#length = 0;
    return bytes;
  }

  /** Bytes held for reuse. */
  get capacity(): number {
    return this.#buffer.byteLength;
  }

  /** Writes the length prefix and the padding of `length` data bytes; returns where the data goes. */
  #open(length: number): number {
    const prefix = length < MAX_BYTE_LENGTH ? 1 : length < MAX_3_BYTE_LENGTH ? 4 : 8;
    const pad = padding(prefix + length);
    const start = this.#grow(prefix + length + pad);
    const data = start + prefix;
    if (prefix === 1) {
      this.#view.setUint8(start, length);
    } else if (prefix === 4) {
      this.#view.setUint32(start, length * 0x100 + LENGTH_3, true);
    } else {
      this.#view.setBigUint64(start, (BigInt(length) << 8n) | BigInt(LENGTH_7), true);
    }
    this.#buffer.fill(0, data + length, data + length + pad);
    return data;
  }

  /** Makes room for `length` bytes and returns where they start. May replace the buffer and its view: call it before using them. */
  #grow(length: number): number {
    const start = this.#length;
    const end = start + length;
    if (end > this.#buffer.byteLength) {
      const larger = Buffer.allocUnsafeSlow(Math.max(end, this.#buffer.byteLength * 2));
      larger.set(this.#buffer.subarray(0, start));
      this.#buffer = larger;
      this.#view = viewOf(larger);
    }
    this.#length = end;
    return start;
  }
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** The error for a value that does not fit its field. Shows numbers, never text or bytes: those may be a prompt or a secret. */
export function wrong(label: string, expected: string, value: unknown): CocoonError {
  let got: string;
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean') got = String(value);
  else if (value instanceof Uint8Array) got = `${value.byteLength} bytes`;
  else got = value === null ? 'null' : typeof value;
  return new CocoonError('E_INTERNAL', `cannot encode ${label}: expected ${expected}, got ${got}`);
}
