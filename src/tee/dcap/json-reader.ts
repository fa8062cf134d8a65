// Reads fields of parsed JSON with bounds: text that Intel has signed, and collateral files that nobody has.
// Refuses missing fields, other types, numbers that are not small integers, wrong hexadecimal and inexact dates.
import { fromHex } from '../../core/bytes.ts';
import { malformed } from '../refusal.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

/** Parses JSON text of at most `maxBytes` characters into an object. Throws AttestationError. */
export function jsonObjectOf(text: string, what: string, maxBytes: number): JsonObject {
  if (text.length > maxBytes) throw malformed(`${what} has ${text.length} characters, expected at most ${maxBytes}`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw malformed(`${what} is not JSON`, cause);
  }
  return asObject(value, what);
}

export function asObject(value: unknown, what: string): JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed(`${what} is ${kindOf(value)}, expected an object`);
  return value as JsonObject;
}

/** The field's value, or undefined where it is absent. Inherited names do not count. */
export const fieldOf = (object: JsonObject, name: string): unknown => (Object.hasOwn(object, name) ? object[name] : undefined);

export function textField(object: JsonObject, name: string, what: string, maxCharacters: number): string {
  return asText(fieldOf(object, name), `${name} of ${what}`, maxCharacters);
}

export function asText(value: unknown, what: string, maxCharacters: number): string {
  if (typeof value !== 'string') throw malformed(`${what} is ${kindOf(value)}, expected text`);
  if (value.length > maxCharacters) throw malformed(`${what} has ${value.length} characters, expected at most ${maxCharacters}`);
  return value;
}

/** An integer from 0 to `max`. */
export function integerField(object: JsonObject, name: string, what: string, max: number): number {
  const value = fieldOf(object, name);
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0 || value > max) {
    throw malformed(`${name} of ${what} is ${typeof value === 'number' ? String(value) : kindOf(value)}, expected an integer from 0 to ${max}`);
  }
  return value;
}

/** Hexadecimal text of exactly `bytes` bytes, either case. */
export function hexField(object: JsonObject, name: string, what: string, bytes: number): Uint8Array {
  const decoded = asHex(fieldOf(object, name), `${name} of ${what}`, bytes);
  if (decoded.length !== bytes) throw malformed(`${name} of ${what} has ${decoded.length} bytes, expected ${bytes}`);
  return decoded;
}

/** Hexadecimal text of at most `maxBytes` bytes, either case. */
export function asHex(value: unknown, what: string, maxBytes: number): Uint8Array {
  const text = asText(value, what, maxBytes * 2);
  try {
    return fromHex(text);
  } catch (cause) {
    throw malformed(`${what} is not hexadecimal`, cause);
  }
}

/** `YYYY-MM-DDThh:mm:ssZ`, as milliseconds since the Unix epoch. */
export function dateField(object: JsonObject, name: string, what: string): number {
  const text = textField(object, name, what, 32);
  const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(text) ? Date.parse(text) : NaN;
  if (Number.isNaN(time) || new Date(time).toISOString() !== text.replace('Z', '.000Z')) {
    throw malformed(`${name} of ${what} is "${text}", expected a time such as 2026-01-31T00:00:00Z`);
  }
  return time;
}

/** A list of 0 to `maxItems` items. An absent list is empty where `optional`. */
export function listField(object: JsonObject, name: string, what: string, maxItems: number, optional = false): readonly unknown[] {
  const value = fieldOf(object, name);
  if (value === undefined && optional) return [];
  if (!Array.isArray(value)) throw malformed(`${name} of ${what} is ${kindOf(value)}, expected a list`);
  if (value.length > maxItems) throw malformed(`${name} of ${what} has ${value.length} items, expected at most ${maxItems}`);
  return value;
}

const kindOf = (value: unknown): string => {
  if (value === undefined) return 'absent';
  if (value === null) return 'null';
  return Array.isArray(value) ? 'a list' : `a value of type ${typeof value}`;
};
