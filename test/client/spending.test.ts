// The bound of a run, whatever its attempts come to.
import fc from 'fast-check';
import { describe, expect, it } from '@jest/globals';
import { createSpending, mostCostNano } from '../../src/client/spending.ts';
import { UNIT_MULTIPLIERS } from '../../src/openai/token-price.ts';
import { INFO } from '../fakes/session-ports.ts';

const PRICE = { perTokenNano: 20n, multipliers: { ...UNIT_MULTIPLIERS, completion: 30_000 } };
const BOUNDS = { queryBytes: 144, maxTokens: 600, maxCoefficient: 2_000 };
const infoOf = (total: bigint) => ({ ...INFO, tokens: { ...INFO.tokens, total } });

describe('createSpending', () => {
  it('the highest cost: every byte a token, every token at the dearest multiplier and the highest price', () => {
    expect(mostCostNano(BOUNDS, PRICE)).toBe(BigInt((144 + 256 + 600) * 2 * 3 * 20));
  });

  it('puts aside, takes what was told, and refuses what could exceed the bound', async () => {
    const most = mostCostNano(BOUNDS, PRICE);
    const spending = createSpending(2n * most, () => PRICE);
    const first = spending.reserve(BOUNDS);
    const second = spending.reserve(BOUNDS);
    const next = spending.next();
    expect(() => spending.reserve(BOUNDS)).toThrow(expect.objectContaining({ code: 'E_MAX_SPEND', exitCode: 13 }));
    first.settle(infoOf(10n), true);
    first.settle(infoOf(9_999n), true); // only the first word counts
    await next; // one has ended
    expect(spending.spentNano).toBe(200n);
    expect(() => spending.reserve(BOUNDS)).toThrow(/of --max-spend .* is left$/);
    second.settle(infoOf(0n), false);
    spending.reserve(BOUNDS).settle(null, false); // nothing was told: it may have cost all of it
    expect([spending.spentNano, spending.next()]).toEqual([200n + most, null]);
  });

  it('without a bound, and where nobody pays, everything may be sent', () => {
    expect(() => createSpending(null, () => PRICE).reserve(BOUNDS)).not.toThrow();
    const free = createSpending(1n, () => null);
    free.reserve(BOUNDS).settle(infoOf(1_000n), true);
    expect(free.spentNano).toBe(0n);
  });

  it('never exceeds the bound, in whatever order attempts begin and end and whatever is told', () => {
    fc.assert(fc.property(fc.bigInt({ min: 0n, max: 1_000_000n }), fc.array(fc.record({ tokens: fc.integer({ min: 1, max: 2_000 }), told: fc.option(fc.bigInt({ min: 0n, max: 100_000n })), end: fc.boolean() }), { maxLength: 40 }), (max, steps) => {
      const spending = createSpending(max, () => PRICE);
      const open: (() => void)[] = [];
      for (const { tokens, told, end } of steps) {
        try {
          const cost = spending.reserve({ ...BOUNDS, maxTokens: tokens });
          open.push(() => cost.settle(told === null ? null : infoOf(told), true));
        } catch { /* refused */ }
        if (end) open.shift()?.();
      }
      for (const close of open) close();
      return spending.spentNano <= max;
    }));
  });
});
