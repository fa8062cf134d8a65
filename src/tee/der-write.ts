// Writes DER (X.690 section 10): just enough for our own certificates. The reader is der.ts.
import { TAG } from './der.ts';

/** Identifier, length, content. */
export function derElement(tag: number, ...content: readonly Uint8Array[]): Uint8Array {
  const length = content.reduce((sum, part) => sum + part.length, 0);
  return new Uint8Array(Buffer.concat([Uint8Array.of(tag), derLength(length), ...content]));
}

function derLength(length: number): Uint8Array {
  if (length < 0x80) return Uint8Array.of(length);
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return Uint8Array.of(0x80 | bytes.length, ...bytes);
}

export const derSequence = (...content: readonly Uint8Array[]): Uint8Array => derElement(TAG.sequence, ...content);
export const derOctetString = (bytes: Uint8Array): Uint8Array => derElement(TAG.octetString, bytes);
export const derBoolean = (value: boolean): Uint8Array => derElement(TAG.boolean, Uint8Array.of(value ? 0xff : 0));

/** BIT STRING whose last `unused` bits do not count. */
export const derBitString = (bytes: Uint8Array, unused = 0): Uint8Array => derElement(TAG.bitString, Uint8Array.of(unused), bytes);

/** INTEGER of a big-endian magnitude, which is zero or more. */
export function derUnsigned(magnitude: Uint8Array): Uint8Array {
  const start = magnitude.findIndex((byte) => byte !== 0);
  const significant = start < 0 ? Uint8Array.of(0) : magnitude.subarray(start);
  return derElement(TAG.integer, (significant[0] ?? 0) >= 0x80 ? Uint8Array.of(0) : new Uint8Array(0), significant);
}

/** OBJECT IDENTIFIER of dotted decimal text. */
export function derOid(text: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = text.split('.').map(Number);
  const bytes = [first * 40 + second, ...rest].flatMap((arc) => {
    const groups = [arc % 128];
    for (let high = Math.floor(arc / 128); high > 0; high = Math.floor(high / 128)) groups.unshift(0x80 | (high % 128));
    return groups;
  });
  return derElement(TAG.oid, Uint8Array.from(bytes));
}

/** UTCTime to 2049, GeneralizedTime from 2050 on (RFC 5280 section 4.1.2.5). `ms` since the Unix epoch, whole seconds. */
export function derTime(ms: number): Uint8Array {
  const digits = new Date(ms).toISOString().replace(/\.\d{3}Z$/, 'Z').replace(/[-:T]/g, '');
  const short = Number(digits.slice(0, 4)) < 2050;
  return derElement(short ? TAG.utcTime : TAG.generalizedTime, Buffer.from(short ? digits.slice(2) : digits, 'latin1'));
}
