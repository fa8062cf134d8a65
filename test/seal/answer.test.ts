// A sealed answer: what a proxy between node and client may try with its chunks, and that each is found out.
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ANSWER_NONCE_BYTES, createAnswerOpener, createAnswerSealer } from '../../src/seal/answer.ts';
import { SealError } from '../../src/seal/errors.ts';
import { AES_128_GCM, CHACHA20_POLY1305 } from '../../src/seal/hpke/aead.ts';
import type { AnswerChunk, AnswerKeys } from '../../src/seal/answer.ts';
import { bytes } from './world.ts';

const KEYS: AnswerKeys = { aead: AES_128_GCM, enc: bytes(32, 'enc'), secret: bytes(32, 'secret') };
const USAGE = { prompt: 5n, cached: 1n, completion: 7n, reasoning: 2n, total: 15n };
const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const HEAD: AnswerChunk = { kind: 'head', status: 200, reason: 'OK', headers: [{ name: 'Content-Type', value: 'text/event-stream' }] };
const body = (value: string): AnswerChunk => ({ kind: 'body', bytes: text(value) });
const END: AnswerChunk = { kind: 'end', usage: USAGE, receipt: bytes(100, 'receipt') };
const FAILURE: AnswerChunk = { kind: 'failure', code: 652, message: 'too late', usage: USAGE };

const sealAll = (chunks: readonly AnswerChunk[], keys = KEYS): Uint8Array[] => {
  const sealer = createAnswerSealer(keys);
  return chunks.map((chunk) => sealer.seal(chunk));
};
const openAll = (parts: readonly Uint8Array[], keys = KEYS): AnswerChunk[] => {
  const opener = createAnswerOpener(keys);
  const chunks = parts.flatMap((part) => opener.push(part));
  opener.end();
  return chunks;
};

describe('createAnswerSealer and createAnswerOpener', () => {
  it.each([['AES-128-GCM', AES_128_GCM], ['ChaCha20-Poly1305', CHACHA20_POLY1305]])('push: gives back every chunk, however the stream is cut, with %s', (_name, aead) => {
    const keys = { ...KEYS, aead };
    const chunks = [HEAD, body('one'), body('two'), END];
    const stream = Buffer.concat(sealAll(chunks, keys));
    fc.assert(fc.property(fc.array(fc.nat(stream.byteLength), { maxLength: 20 }), (cuts) => {
      const at = [0, ...cuts.toSorted((a, b) => a - b), stream.byteLength];
      expect(openAll(at.slice(1).map((end, i) => new Uint8Array(stream.subarray(at[i], end))), keys)).toEqual(chunks);
    }), { numRuns: 50 });
  });

  it('seal: a long body becomes several chunks, lengths show in steps of 64 only', () => {
    const long = new Uint8Array(200_000).fill(7);
    const opened = openAll(sealAll([HEAD, { kind: 'body', bytes: long }, END]));
    expect(Buffer.concat(opened.flatMap((chunk) => (chunk.kind === 'body' ? [chunk.bytes] : [])))).toEqual(Buffer.from(long));
    const sizes = new Set(Array.from({ length: 50 }, (_, size) => sealAll([HEAD, body('x'.repeat(size))])[1]?.byteLength).slice(1));
    expect(sizes.size).toBe(1);
  });

  it('seal: a failure may come before a head and ends the answer', () => {
    expect(openAll(sealAll([FAILURE]))).toEqual([FAILURE]);
    expect(openAll(sealAll([HEAD, body('x'), FAILURE]))).toEqual([HEAD, body('x'), FAILURE]);
    const sealer = createAnswerSealer(KEYS);
    sealer.seal(FAILURE);
    expect(() => sealer.seal(HEAD)).toThrow(RangeError);
  });
});

describe('what a proxy may try', () => {
  const whole = (): Uint8Array[] => sealAll([HEAD, body('one'), body('two'), END]);
  const at = (parts: readonly Uint8Array[], ...order: number[]): Uint8Array[] => order.map((i) => parts[i] ?? new Uint8Array(0));

  const tampering: readonly [string, (parts: Uint8Array[]) => Uint8Array[]][] = [
    ['drops a chunk', (parts) => at(parts, 0, 2, 3)],
    ['swaps two chunks', (parts) => at(parts, 0, 2, 1, 3)],
    ['repeats a chunk', (parts) => at(parts, 0, 1, 1, 2, 3)],
    ['cuts the end', (parts) => at(parts, 0, 1, 2)],
    ['cuts within the last chunk', (parts) => [...at(parts, 0, 1, 2), (parts[3] ?? new Uint8Array(0)).subarray(0, -1)]],
    ['sends nothing', () => []],
    ['goes on after the end', (parts) => at(parts, 0, 1, 2, 3, 1)],
    ['takes a chunk of another answer', (parts) => [...at(parts, 0, 1), sealAll([HEAD, body('one'), body('two'), END])[2] ?? new Uint8Array(0), ...at(parts, 3)]],
    ['begins with a body', (parts) => [Buffer.concat([(parts[0] ?? new Uint8Array(0)).subarray(0, ANSWER_NONCE_BYTES), parts[1] ?? new Uint8Array(0)])]],
    ['marks a chunk as the last', (parts) => at(parts, 0, 1).map((part, i) => {
      if (i === 0) return part;
      const changed = Uint8Array.from(part);
      changed[4] = 1;
      return changed;
    })],
    ['answers with the keys of another request', () => sealAll([HEAD, END], { ...KEYS, secret: bytes(32, 'other') })],
    ['answers with another encapsulation', () => sealAll([HEAD, END], { ...KEYS, enc: bytes(32, 'other') })],
    ['announces a chunk without end', (parts) => [...at(parts, 0), Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0)]],
  ];
  it.each(tampering)('push, end: refuses a proxy that %s', (_name, tamper) => {
    expect(() => openAll(tamper(whole()))).toThrow(SealError);
  });

  it('push: refuses every changed bit, and everything after', () => {
    const stream = Buffer.concat(whole());
    fc.assert(fc.property(fc.nat(stream.byteLength * 8 - 1), (bit) => {
      const changed = new Uint8Array(stream);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const opener = createAnswerOpener(KEYS);
      expect(() => {
        opener.push(changed);
        opener.end();
      }).toThrow(SealError);
      expect(() => opener.end()).toThrow(SealError);
    }), { numRuns: 300 });
    const opener = createAnswerOpener(KEYS);
    expect(() => opener.push(new Uint8Array(100))).toThrow(SealError);
    expect(() => opener.push(new Uint8Array(stream))).toThrow('refused before');
  });

  it('push: random bytes end in a SealError or in waiting, never in more memory than one chunk', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (input) => {
      const opener = createAnswerOpener(KEYS);
      try {
        expect(opener.push(input)).toEqual([]);
      } catch (error) {
        expect(error).toBeInstanceOf(SealError);
      }
      expect(() => opener.end()).toThrow(SealError);
    }));
  });
});
