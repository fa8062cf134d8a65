// Remembered verdicts: only passes, never past their expiry, never before they were made, never more than the bound.
import { describe, expect, it } from '@jest/globals';
import { VerdictCache, verdictKey } from '../../../src/tee/verdict-cache.ts';
import type { Overall, Verdict } from '../../../src/tee/verdict.ts';

const outcome = (overall: Overall = 'pass', expiresAtMs: number | null = 100): { verdict: Verdict } => ({ verdict: { overall, checks: [], expiresAtMs } });

describe('VerdictCache', () => {
  it('VerdictCache: gives back a pass from when it was made until it expires', () => {
    const cache = new VerdictCache();
    const one = outcome();
    cache.set('k', one, 50);
    expect([cache.get('k', 50), cache.get('k', 99), cache.get('other', 60)]).toEqual([one, one, null]);
    expect([cache.get('k', 100), cache.size]).toEqual([null, 0]);
    for (const nowMs of [49, NaN]) {
      cache.set('k', one, 50);
      expect(cache.get('k', nowMs)).toBeNull();
    }
  });

  it('VerdictCache: keeps no failure, no incomplete verdict and none without expiry', () => {
    const cache = new VerdictCache();
    for (const other of [outcome('fail'), outcome('incomplete'), outcome('pass', null)]) cache.set('k', other, 1);
    expect(cache.size).toBe(0);
  });

  it('VerdictCache: drops the least recently used, and everything when told', () => {
    const cache = new VerdictCache(2);
    cache.set('a', outcome(), 1);
    cache.set('b', outcome(), 1);
    cache.get('a', 2);
    cache.set('c', outcome(), 1);
    expect([cache.get('a', 2) === null, cache.get('b', 2), cache.get('c', 2) === null]).toEqual([false, null, false]);
    cache.clear();
    expect(cache.size).toBe(0);
  });

  it('verdictKey: every part and every boundary counts', () => {
    const keys = [verdictKey('ab', 'c'), verdictKey('a', 'bc'), verdictKey('abc'), verdictKey('abc', ''), verdictKey()];
    expect(new Set(keys).size).toBe(keys.length);
    expect(verdictKey('é')).toBe(verdictKey(Buffer.from('é')));
  });
});
