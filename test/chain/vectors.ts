// Reads test/vectors and compares cells with them.
import { readFileSync } from 'node:fs';
import { expect } from '@jest/globals';
import { Address, Cell } from '@ton/core';

/** A JSON file under test/vectors; the caller names the shape it relies on. */
export const vector = <T>(path: string): T => JSON.parse(readFileSync(new URL(`../vectors/${path}`, import.meta.url), 'utf8')) as T;

export const addr = (text: string): Address => Address.parse(text);
export const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text.replace(/^0x/, ''), 'hex'));
export const hash32 = (value: string): Uint8Array => hex(BigInt(value.startsWith('0x') ? value : /^[0-9]+$/.test(value) ? value : `0x${value}`).toString(16).padStart(64, '0'));
export const hashOf = (cell: Cell): string => cell.hash().toString('hex');
export const boc = (text: string): Cell => Cell.fromHex(text);

interface CellVector { readonly boc: string; readonly hash?: string; readonly bits?: number; readonly refs?: number }

/** The cell is the vector's, bit for bit: hash, size and, where the vector's bytes have the same form, the whole BoC. */
export function expectCell(cell: Cell, expected: CellVector): void {
  expect(cell.toBoc({ idx: false, crc32: false }).toString('hex')).toBe(boc(expected.boc).toBoc({ idx: false, crc32: false }).toString('hex'));
  if (expected.hash !== undefined) expect(hashOf(cell)).toBe(expected.hash.toLowerCase());
  if (expected.bits !== undefined) expect(cell.bits.length).toBe(expected.bits);
  if (expected.refs !== undefined) expect(cell.refs.length).toBe(expected.refs);
}

/** Addresses and cells as text, so that expect().toEqual compares and prints values instead of class internals. */
export function plain(value: unknown): unknown {
  if (Address.isAddress(value)) return value.toRawString();
  if (value instanceof Cell) return `cell ${hashOf(value)}`;
  if (value instanceof Uint8Array) return `bytes ${Buffer.from(value).toString('hex')}`;
  if (value instanceof Map) return new Map([...value].map(([key, item]) => [key, plain(item)]));
  if (value instanceof Set) return value;
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === 'object' && value !== null) return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
  return value;
}
