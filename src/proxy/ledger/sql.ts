// Values as SQL literals. The ledger writes whole transactions as one text, which the database executes off the event loop;
// everything that goes into such a text passes through here. Refuses whatever does not fit its column exactly.
import { CocoonError } from '../../core/errors.ts';
import { toHex } from '../../core/bytes.ts';

/** SQLite integers are signed 64-bit. */
export const MAX_INTEGER = 2n ** 63n - 1n;
const MAX_TEXT = 4_096;
const MAX_BLOB = 1 << 20;

/** Longest transaction text is far below SQLite's limit of 10^6 bytes a statement. */
export function integer(value: bigint | number): string {
  const exact = typeof value === 'number' && !Number.isSafeInteger(value) ? null : BigInt(value);
  if (exact === null || exact < 0n || exact > MAX_INTEGER) throw refused(`integer ${value}`, 'a whole number from 0 to 2^63 - 1');
  return exact.toString();
}

/** ASCII text without quotes and control characters: addresses, decimal numbers, names. */
export function text(value: string): string {
  if (value.length > MAX_TEXT || !/^[\w:.+ -]*$/.test(value)) throw refused(`text of ${value.length} characters`, 'plain ASCII');
  return `'${value}'`;
}

export function blob(value: Uint8Array): string {
  if (value.byteLength > MAX_BLOB) throw refused(`${value.byteLength} bytes`, `at most ${MAX_BLOB}`);
  return `x'${toHex(value)}'`;
}

export const optional = <T>(literal: (value: T) => string, value: T | null): string => value === null ? 'NULL' : literal(value);

const refused = (what: string, expected: string): CocoonError => new CocoonError('E_INTERNAL', `${what} cannot be put into the ledger, expected ${expected}`);
