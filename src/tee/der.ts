// A bounded reader of strict DER (X.690 section 10). It copies nothing: every value is a view into the input.
// Refuses indefinite and non-minimal lengths, multi-byte tags, values that end early or leave bytes over, nesting
// deeper than MAX_DER_DEPTH, and inputs longer than the caller allows; always with E_EVIDENCE_MALFORMED.
import { toHex } from '../core/bytes.ts';
import type { AttestationError } from '../core/errors.ts';
import { malformed } from './refusal.ts';

export const MAX_DER_DEPTH = 24;

/** Identifier octets of the types that certificates, CRLs and signatures use. */
export const TAG = {
  boolean: 0x01, integer: 0x02, bitString: 0x03, octetString: 0x04, null: 0x05, oid: 0x06, enumerated: 0x0a,
  utf8String: 0x0c, printableString: 0x13, ia5String: 0x16, utcTime: 0x17, generalizedTime: 0x18,
  sequence: 0x30, set: 0x31,
} as const;

/** Identifier octet of a context-specific tag 0 to 30. */
export const contextTag = (number: number, constructed: boolean): number => 0x80 | (constructed ? 0x20 : 0) | number;

const TAG_NAMES = new Map<number, string>(Object.entries(TAG).map(([name, tag]) => [tag, name]));
const tagName = (tag: number): string => `${TAG_NAMES.get(tag) ?? 'tag'} 0x${tag.toString(16).padStart(2, '0')}`;

const MAX_OID_BYTES = 64;
/** A larger arc of an OID would leave the exact integers when one more 7-bit group is added. */
const MAX_OID_ARC = 2 ** 46;

export interface DerElement {
  readonly tag: number;
  /** The value, without identifier and length. */
  readonly content: Uint8Array;
  /** The whole element as it stands in the input. */
  readonly raw: Uint8Array;
}

/**
 * Reads the elements of one constructed value in order. `what` names the value in error messages.
 * Each method consumes one element or throws AttestationError E_EVIDENCE_MALFORMED.
 */
export class DerReader {
  readonly #bytes: Uint8Array;
  readonly #what: string;
  readonly #depth: number;
  #position = 0;
  #contentEnd = 0;

  private constructor(bytes: Uint8Array, what: string, depth: number) {
    if (depth > MAX_DER_DEPTH) throw malformed(`${what} is nested deeper than ${MAX_DER_DEPTH} levels`);
    this.#bytes = bytes;
    this.#what = what;
    this.#depth = depth;
  }

  /** A reader over a whole input of at most `maxBytes`. */
  static of(bytes: Uint8Array, what: string, maxBytes: number): DerReader {
    if (bytes.length > maxBytes) throw malformed(`${what} has ${bytes.length} bytes, expected at most ${maxBytes}`);
    return new DerReader(bytes, what, 0);
  }

  get done(): boolean {
    return this.#position === this.#bytes.length;
  }

  /** Identifier octet of the next element, or null at the end. */
  get nextTag(): number | null {
    return this.#bytes[this.#position] ?? null;
  }

  /** The next element, whatever its tag. */
  any(what: string): DerElement {
    const start = this.#position;
    const tag = this.#header(what);
    const content = this.#rest();
    return { tag, content, raw: this.#bytes.subarray(start, this.#position) };
  }

  /** Reads tag and length of the next element; its content follows and is all there. */
  #header(what: string): number {
    const start = this.#position;
    const tag = this.#octet(what);
    if ((tag & 0x1f) === 0x1f) throw this.#error(what, start, 'has a multi-byte tag, expected a tag number below 31');
    const length = this.#length(what, start);
    const left = this.#bytes.length - this.#position;
    if (length > left) throw this.#error(what, start, `claims ${length} bytes, expected at most the ${left} that are left`);
    this.#contentEnd = this.#position + length;
    return tag;
  }

  /** Content of the element whose header was read last. */
  #rest(): Uint8Array {
    const content = this.#bytes.subarray(this.#position, this.#contentEnd);
    this.#position = this.#contentEnd;
    return content;
  }

  /** The next element, which must have this identifier octet. */
  element(tag: number, what: string): DerElement {
    this.#expect(tag, what);
    return this.any(what);
  }

  /** As `element`, without what is around the content. */
  #contentOf(tag: number, what: string): Uint8Array {
    this.#expect(tag, what);
    this.#header(what);
    return this.#rest();
  }

  #expect(tag: number, what: string): void {
    const seen = this.nextTag;
    if (seen !== tag) throw this.#error(what, this.#position, `is ${seen === null ? 'absent' : tagName(seen)}, expected ${tagName(tag)}`);
  }

  /** The next element if it has this identifier octet, else null and nothing is consumed. */
  optional(tag: number, what: string): DerElement | null {
    return this.nextTag === tag ? this.any(what) : null;
  }

  /** A reader over the elements inside the next element: a SEQUENCE, unless `tag` names another type that holds DER. */
  nested(what: string, tag: number = TAG.sequence): DerReader {
    return new DerReader(this.#contentOf(tag, what), what, this.#depth + 1);
  }

  /** As `nested`, or null when the next element has another tag. */
  optionalNested(what: string, tag: number): DerReader | null {
    return this.nextTag === tag ? this.nested(what, tag) : null;
  }

  /** BOOLEAN: 0x00 or 0xff, nothing else. */
  boolean(what: string): boolean {
    const start = this.#position;
    const content = this.#contentOf(TAG.boolean, what);
    if (content.length !== 1 || (content[0] !== 0 && content[0] !== 0xff)) {
      throw this.#error(what, start, `is ${shortHex(content)}, expected 00 or ff`);
    }
    return content[0] === 0xff;
  }

  /** A BOOLEAN with DEFAULT FALSE: true, or absent and nothing consumed. DER never writes a default. */
  optionalTrue(what: string): boolean {
    if (this.nextTag !== TAG.boolean) return false;
    if (!this.boolean(what)) throw malformed(`${what} in ${this.#what} is an explicit FALSE, expected TRUE or nothing`);
    return true;
  }

  /** INTEGER of at most `maxBytes` content bytes that is not negative, as big-endian magnitude without a leading zero byte. */
  unsigned(what: string, maxBytes: number): Uint8Array {
    const start = this.#position;
    const content = this.#contentOf(TAG.integer, what);
    const [first, second] = content;
    if (first === undefined) throw this.#error(what, start, 'is empty, expected at least one byte');
    if (content.length > maxBytes) throw this.#error(what, start, `has ${content.length} bytes, expected at most ${maxBytes}`);
    if (first >= 0x80) throw this.#error(what, start, 'is negative, expected zero or more');
    if (first === 0 && second !== undefined && second < 0x80) throw this.#error(what, start, 'has a needless leading zero');
    return first === 0 && content.length > 1 ? content.subarray(1) : content;
  }

  /** INTEGER from 0 to 2^31 - 1. */
  smallInteger(what: string): number {
    return this.unsigned(what, 4).reduce((value, byte) => value * 256 + byte, 0);
  }

  octetString(what: string): Uint8Array {
    return this.#contentOf(TAG.octetString, what);
  }

  /** BIT STRING with its count of unused bits (0 to 7), which must be zero bits. */
  bitString(what: string): { readonly bytes: Uint8Array; readonly unusedBits: number } {
    const start = this.#position;
    const content = this.#contentOf(TAG.bitString, what);
    const unusedBits = content[0];
    const bytes = content.subarray(1);
    const last = bytes.at(-1);
    if (unusedBits === undefined || unusedBits > 7 || (last === undefined && unusedBits > 0)) {
      throw this.#error(what, start, 'has a wrong count of unused bits, expected 0 to 7');
    }
    if (last !== undefined && (last & ((1 << unusedBits) - 1)) !== 0) throw this.#error(what, start, 'has unused bits that are set');
    return { bytes, unusedBits };
  }

  /** BIT STRING of whole bytes: a key or a signature. */
  bitStringBytes(what: string): Uint8Array {
    const start = this.#position;
    const { bytes, unusedBits } = this.bitString(what);
    if (unusedBits !== 0) throw this.#error(what, start, `has ${unusedBits} unused bits, expected whole bytes`);
    return bytes;
  }

  /** OBJECT IDENTIFIER in dotted form. */
  oid(what: string): string {
    const start = this.#position;
    const content = this.#contentOf(TAG.oid, what);
    const arcs = oidArcs(content);
    if (arcs === null) throw this.#error(what, start, `is not an object identifier: ${shortHex(content)}`);
    return arcs.join('.');
  }

  /** UTCTime (1950 to 2049) or GeneralizedTime, both in seconds and ending in Z: milliseconds since the Unix epoch. */
  time(what: string): number {
    const start = this.#position;
    const tag = this.#header(what);
    const content = this.#rest();
    if (tag !== TAG.utcTime && tag !== TAG.generalizedTime) {
      throw this.#error(what, start, `is ${tagName(tag)}, expected UTCTime or GeneralizedTime`);
    }
    const milliseconds = timeOf(content, tag === TAG.utcTime);
    if (milliseconds === null) throw this.#error(what, start, `is not a time in UTC to the second: ${shortHex(content)}`);
    return milliseconds;
  }

  /** Throws unless everything has been read. */
  end(): void {
    const left = this.#bytes.length - this.#position;
    if (left > 0) throw malformed(`${this.#what} has ${left} bytes left over at byte ${this.#position}, expected none`);
  }

  #octet(what: string): number {
    const octet = this.#bytes[this.#position];
    if (octet === undefined) throw this.#error(what, this.#position, 'ends early');
    this.#position += 1;
    return octet;
  }

  #length(what: string, start: number): number {
    const first = this.#octet(what);
    if (first < 0x80) return first;
    const count = first & 0x7f;
    if (count === 0) throw this.#error(what, start, 'has an indefinite length, expected a definite one');
    if (count > 4) throw this.#error(what, start, `has a length of ${count} bytes, expected at most 4`);
    let length = 0;
    for (let i = 0; i < count; i += 1) length = length * 256 + this.#octet(what);
    if (length < 0x80 || length < 256 ** (count - 1)) throw this.#error(what, start, 'has a length that is not written in the shortest form');
    return length;
  }

  #error(what: string, position: number, problem: string): AttestationError {
    return malformed(`${what} in ${this.#what}, byte ${position}, ${problem}`);
  }
}

/** At most 16 bytes of `bytes` as hexadecimal text, for messages. */
function shortHex(bytes: Uint8Array): string {
  return bytes.length <= 16 ? toHex(bytes) : `${toHex(bytes.subarray(0, 16))}… (${bytes.length} bytes)`;
}

function oidArcs(content: Uint8Array): number[] | null {
  const last = content.at(-1);
  if (last === undefined || last >= 0x80 || content.length > MAX_OID_BYTES) return null;
  const arcs: number[] = [];
  let arc = 0;
  let first = true;
  for (const byte of content) {
    if (first && byte === 0x80) return null;
    if (arc >= MAX_OID_ARC) return null;
    arc = arc * 128 + (byte & 0x7f);
    first = byte < 0x80;
    if (!first) continue;
    if (arcs.length === 0) {
      const root = Math.min(2, Math.floor(arc / 40));
      arcs.push(root, arc - root * 40);
    } else {
      arcs.push(arc);
    }
    arc = 0;
  }
  return arcs;
}

const [DIGIT_0, DIGIT_9, LETTER_Z] = [0x30, 0x39, 0x5a];

function timeOf(content: Uint8Array, utc: boolean): number | null {
  const digits = utc ? 12 : 14;
  if (content.length !== digits + 1) return null;
  if (content[digits] !== LETTER_Z || !content.subarray(0, digits).every((byte) => byte >= DIGIT_0 && byte <= DIGIT_9)) return null;
  const pair = (at: number): number => ((content[at] ?? 0) - DIGIT_0) * 10 + (content[at + 1] ?? 0) - DIGIT_0;
  const year = utc ? pair(0) + (pair(0) < 50 ? 2000 : 1900) : pair(0) * 100 + pair(2);
  const [month, day, hour, minute, second] = [pair(digits - 10), pair(digits - 8), pair(digits - 6), pair(digits - 4), pair(digits - 2)];
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  date.setUTCHours(hour, minute, second);
  const exact = date.getUTCFullYear() === year && date.getUTCMonth() === month - 1 && date.getUTCDate() === day
    && hour < 24 && minute < 60 && second < 60;
  return exact ? date.getTime() : null;
}
