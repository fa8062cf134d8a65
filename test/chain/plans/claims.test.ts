// Claims: groups of payouts that fit into one message of the wallet, and the plan of a group.
import { describe, expect, it } from '@jest/globals';
import { Address } from '@ton/core';
import fc from 'fast-check';
import { batchesOf, claimsPlan } from '../../../src/chain/plans/claims.ts';
import type { Payout } from '../../../src/chain/plans/worker.ts';

const address = (byte: number): Address => new Address(0, Buffer.alloc(32, byte));
const payout = (change: Partial<Payout> = {}): Payout => ({
  contract: address(1), proxy: address(2), owner: address(3), tokens: 5n, paidTokens: 10n, payoutNano: 700n, deployNano: 0n, missingNano: 0n, last: false,
  steps: [{ purpose: 'payout', send: async () => undefined }], ...change,
});

describe('batchesOf', () => {
  it('keeps every payout once, in order, and never more messages than fit unless one payout alone has more', () => {
    const payouts = fc.array(fc.integer({ min: 1, max: 2 }).map((steps) => ({ steps: Array.from({ length: steps }, () => 0) })), { maxLength: 30 });
    fc.assert(fc.property(payouts, fc.integer({ min: 2, max: 8 }), (all, most) => {
      const batches = batchesOf(all, most);
      expect(batches.flat()).toEqual(all);
      for (const batch of batches) expect(batch.reduce((sum, { steps }) => sum + steps.length, 0)).toBeLessThanOrEqual(most);
    }));
  });

  it('a Cocoon wallet carries four messages: two payouts with new contracts, or four without', () => {
    const [plain, deploying] = [{ steps: [0] }, { steps: [0, 0] }];
    expect(batchesOf([deploying, deploying, deploying], 4).map(({ length }) => length)).toEqual([2, 1]);
    expect(batchesOf([plain, plain, plain, plain, plain], 4).map(({ length }) => length)).toEqual([4, 1]);
  });
});

describe('claimsPlan', () => {
  it('the same signed totals have the same name, other totals another', () => {
    const name = (...payouts: Payout[]): string => claimsPlan(payouts, address(3)).name;
    expect(name(payout())).toBe(name(payout({ paidTokens: 12n, tokens: 3n })));
    expect(new Set([name(payout()), name(payout({ tokens: 6n })), name(payout({ last: true })), name(payout({ contract: address(4) })), name(payout(), payout({ contract: address(4) }))]).size).toBe(5);
  });

  it('sums what is paid, and warns of several owners and of a pool that is too small', () => {
    const { facts, warnings, steps } = claimsPlan([payout(), payout({ owner: address(9), payoutNano: 300n, missingNano: 1_000_000_000n })], address(8));
    expect(facts).toMatchObject({ payoutNano: '1000', payouts: '2' });
    expect(steps).toHaveLength(2);
    expect(warnings).toEqual([expect.stringContaining('2 different owners'), expect.stringContaining('lacks 1 TON')]);
  });
});
