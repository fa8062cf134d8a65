// Every captured frame and every TL sample decodes and encodes back to the same bytes.
import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { fromHex, toHex } from '../../../src/core/bytes.ts';
import { encodeFrame, FRAME_HEADER_BYTES } from '../../../src/wire/framing.ts';
import { decodeBoxed, decodeBoxedAs, encodeBoxed } from '../../../src/wire/tl/codec.ts';
import type { TlFunction, TlObject } from '../../../src/wire/tl/types.ts';

const vectors = fileURLToPath(new URL('../../vectors/', import.meta.url));
const readJson = (path: string): unknown => JSON.parse(readFileSync(vectors + path, 'utf8'));

/** The captured readers' JSON: hex for fixed bytes, `$bytes` for bytes, decimal text for longs. */
interface Captured { readonly _: string; readonly [field: string]: unknown }
interface Line { readonly kind: string; readonly hex: string; readonly seqno: number; readonly decoded: Captured }

/** Our object in the form of the captured JSON, so that values are compared and not only bytes. */
function toCaptured(value: unknown): unknown {
  if (value instanceof Uint8Array) return toHex(value);
  if (typeof value === 'bigint') return value.toString();
  if (Array.isArray(value)) return value.map(toCaptured);
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, toCaptured(item)]));
  }
  return value;
}

/** The captured JSON with its annotations reduced to the plain value. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  if ('$bytes' in value) return value.$bytes;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
}

/** Decodes and encodes `bytes` and every object nested in its `bytes` fields where the capture shows one; returns how many. */
function roundTrip(bytes: Uint8Array, captured: Captured): number {
  const object: TlObject | TlFunction = decodeBoxed(bytes);
  expect(toCaptured(object)).toEqual(plain(captured));
  expect(toHex(encodeBoxed(object))).toBe(toHex(bytes));
  let count = 1;
  for (const [field, item] of Object.entries(captured)) {
    if (typeof item === 'object' && item !== null && '$tl' in item) {
      count += roundTrip((object as unknown as Record<string, Uint8Array>)[field]!, item.$tl as Captured);
    }
  }
  return count;
}

const sessionFiles = ['wire/sessions', 'wire/sessions-errors'].flatMap((folder) =>
  readdirSync(vectors + folder).filter((name) => name.endsWith('.jsonl')).map((name) => `${folder}/${name}`));

describe('encodeBoxed, decodeBoxed: captured sessions', () => {
  it.each(sessionFiles)('%s: every frame keeps its bytes', (file) => {
    const lines = readFileSync(vectors + file, 'utf8').trim().split('\n').map((line) => JSON.parse(line) as Line);
    const frames = lines.filter(({ kind }) => kind === 'frame');
    expect(frames.length).toBeGreaterThan(3);
    for (const { hex, seqno, decoded } of frames) {
      const frame = fromHex(hex);
      const payload = frame.subarray(FRAME_HEADER_BYTES);
      expect(roundTrip(payload, decoded)).toBeGreaterThan(0);
      const packet = decodeBoxedAs('tcp.Packet', payload);
      expect(toHex(encodeFrame(seqno, encodeBoxed(packet)))).toBe(hex);
    }
  });

  it('nested objects are reached three levels deep', () => {
    const file = readFileSync(`${vectors}wire/sessions/client-runner.jsonl`, 'utf8').trim().split('\n');
    const depths = file.map((line) => JSON.parse(line) as Line).filter(({ kind }) => kind === 'frame')
      .map(({ hex, decoded }) => roundTrip(fromHex(hex).subarray(FRAME_HEADER_BYTES), decoded));
    expect(Math.max(...depths)).toBe(3);
  });
});
