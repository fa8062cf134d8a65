// A bounded little-endian reader for quotes and event logs. It copies nothing: every value is a view into the input.
// Refuses to read past its end and to leave bytes over; always with E_EVIDENCE_MALFORMED.
import { malformed } from '../refusal.ts';

export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #what: string;
  #position = 0;

  /** `what` names the input in error messages. */
  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#what = what;
  }

  /** Bytes read so far. */
  get position(): number {
    return this.#position;
  }

  get left(): number {
    return this.#bytes.length - this.#position;
  }

  /** The next `length` bytes. */
  bytes(length: number, what: string): Uint8Array {
    const start = this.#take(length, what);
    return this.#bytes.subarray(start, this.#position);
  }

  u8(what: string): number {
    return this.#view.getUint8(this.#take(1, what));
  }

  u16(what: string): number {
    return this.#view.getUint16(this.#take(2, what), true);
  }

  u32(what: string): number {
    return this.#view.getUint32(this.#take(4, what), true);
  }

  u64(what: string): bigint {
    return this.#view.getBigUint64(this.#take(8, what), true);
  }

  /** Everything that is left, possibly nothing. */
  rest(): Uint8Array {
    return this.bytes(this.left, 'rest');
  }

  /** Throws unless everything has been read. */
  end(): void {
    if (this.left > 0) throw malformed(`${this.#what} has ${this.left} bytes left over at byte ${this.#position}, expected none`);
  }

  #take(length: number, what: string): number {
    const start = this.#position;
    if (length > this.left) {
      throw malformed(`${what} in ${this.#what}, byte ${start}, needs ${length} bytes, and only ${this.left} are left`);
    }
    this.#position = start + length;
    return start;
  }
}
