// What a node may be paid for beyond what it wrote down, from lines as its processes leave them.
import { describe, expect, it } from '@jest/globals';
import { billFor } from '../../src/proxy/charge.ts';
import { PARAMS } from './create-world.ts';
import { ANNOUNCED_PARTS, COEFFICIENT, lostWork, overbooked } from './node-work.ts';
import type { Truth } from './messages.ts';

const contract = '0:aa';
const life = (at: number): Truth => ({ t: 'life', at });
const job = (m: string, at: number, of = contract): Truth => ({ t: 'job', m, contract: of, at });
const ahead = (m: string, parts: number): Truth => ({ t: 'ahead', m, contract, parts });
const work = (m: string, at: number): Truth => ({ t: 'work', m, contract, tokens: '100', at });
const over = (m: string, parts: number): Truth => ({ t: 'over', m, contract, parts });
/** Adjusted tokens of so many texts. */
const texts = (count: number): bigint => BigInt(count * 2);

describe('lostWork', () => {
  it('counts what was announced of requests under way at a kill, and nothing of those that were written down', () => {
    const lines = [life(0), job('a', 10), ahead('a', ANNOUNCED_PARTS), work('a', 20), job('b', 30), ahead('b', 8), ahead('b', 16), job('c', 31), job('d', 32, '0:bb'), life(100)];
    expect(lostWork(lines, contract, [50])).toEqual({ tokens: texts(16), strays: [] });
    expect(lostWork(lines.slice(0, -1), contract, [50])).toEqual({ tokens: texts(16), strays: [] });
  });

  it('a request that a process left open without a kill in its life is wrong, and nothing is allowed for it', () => {
    const lines = [life(0), job('a', 10), ahead('a', 8), life(100), job('b', 110), work('b', 120)];
    for (const kills of [[], [5], [130]]) expect(lostWork(lines, contract, kills)).toEqual({ tokens: 0n, strays: [expect.stringContaining('request a')] });
    expect(lostWork(lines, contract, [99])).toEqual({ tokens: texts(8), strays: [] });
  });

  it('a connection that broke may have carried the first part, no more: after it the node counts', () => {
    expect(lostWork([life(0), job('a', 1), over('a', 0)], contract, []).tokens).toBe(0n);
    expect(lostWork([life(0), job('a', 1), ahead('a', 8), over('a', 1)], contract, []).tokens).toBe(texts(1));
    expect(lostWork([life(0), job('a', 1), ahead('a', 8), over('a', 5)], contract, []).tokens).toBe(texts(1));
  });
});

describe('overbooked', () => {
  it('allows what was lost and not one token more', () => {
    const lost = lostWork([life(0), job('a', 10), ahead('a', 8)], contract, [50]);
    expect(overbooked('n', 100n + texts(8), 100n, lost)).toBeNull();
    expect(overbooked('n', 101n + texts(8), 100n, lost)).toContain('n worked 100 tokens and at most 16');
    expect(overbooked('n', 101n, 100n, { tokens: 0n, strays: [] })).toContain('101 are booked');
  });

  it('what a proxy books for a node that is gone after so many parts is within it', () => {
    const { promptMultiplier: prompt, cachedMultiplier: cached, completionMultiplier: completion, reasoningMultiplier: reasoning } = PARAMS;
    const terms = { reserved: 1_000_000n, coefficient: COEFFICIENT, multipliers: { prompt, cached, completion, reasoning }, maxTokens: 1_000, bodyBytes: 500 };
    const { tokens } = billFor(null, { bytes: 4_000, texts: 8, usage: null, complete: false }, terms);
    expect(tokens.total).toBe(lostWork([life(0), job('a', 10), ahead('a', 8)], contract, [50]).tokens);
  });
});
