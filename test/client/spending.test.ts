// The bound of a run, whatever its attempts come to.
import fc from 'fast-check';
import { describe, expect, it } from '@jest/globals';
import { unpaidAccounts } from '../../src/client/accounts.ts';
import { boundedAccounts, createSpending, mostCostNano } from '../../src/client/spending.ts';
import { UNIT_MULTIPLIERS } from '../../src/openai/token-price.ts';
import { INFO } from '../fakes/session-ports.ts';
import type { Spending } from '../../src/client/spending.ts';

const PRICE = { perTokenNano: 20n, multipliers: { ...UNIT_MULTIPLIERS, completion: 30_000 } };
const BOUNDS = { queryBytes: 144, maxTokens: 600, maxCoefficient: 2_000 };
const told = (total: bigint) => ({ ...INFO.tokens, total });

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
    first.settle(told(10n));
    first.settle(told(9_999n)); // only the first word counts
    await next; // one has ended
    expect(spending.spentNano).toBe(200n);
    expect(() => spending.reserve(BOUNDS)).toThrow(/of --max-spend .* is left$/);
    second.settle(told(0n));
    spending.reserve(BOUNDS).settle(null); // nothing was told: it may have cost all of it
    expect([spending.spentNano, spending.next()]).toEqual([200n + most, null]);
  });

  it('without a bound, and where nobody pays, everything may be sent', () => {
    expect(() => createSpending(null, () => PRICE).reserve(BOUNDS)).not.toThrow();
    const free = createSpending(1n, () => null);
    free.reserve(BOUNDS).settle(told(1_000n));
    expect(free.spentNano).toBe(0n);
  });

  it('never exceeds the bound, in whatever order attempts begin and end and whatever is told', () => {
    fc.assert(fc.property(fc.bigInt({ min: 0n, max: 1_000_000n }), fc.array(fc.record({ tokens: fc.integer({ min: 1, max: 2_000 }), bill: fc.option(fc.bigInt({ min: 0n, max: 100_000n })), end: fc.boolean() }), { maxLength: 40 }), (max, steps) => {
      const spending = createSpending(max, () => PRICE);
      const open: (() => void)[] = [];
      for (const { tokens, bill, end } of steps) {
        try {
          const cost = spending.reserve({ ...BOUNDS, maxTokens: tokens });
          open.push(() => cost.settle(bill === null ? null : told(bill)));
        } catch { /* refused */ }
        if (end) open.shift()?.();
      }
      for (const close of open) close();
      return spending.spentNano <= max;
    }));
  });
});

describe('boundedAccounts', () => {
  const TOKENS = told(50n);
  const accountsOf = (fails: Error | null = null) => {
    const calls: unknown[] = [];
    const accounts = boundedAccounts({
      ...unpaidAccounts(new Uint8Array(32)),
      open: () => ({
        ...unpaidAccounts(new Uint8Array(32)).open(),
        begin: async () => {
          if (fails !== null) throw fails;
          return { delivered: (bytes) => { calls.push(bytes); }, ended: (tokens) => { calls.push(tokens); }, lost: (tokens) => { calls.push(tokens ?? 'lost'); } };
        },
      }),
    }, spending());
    return { account: accounts.open(), calls };
  };
  let own: Spending;
  const spending = (): Spending => {
    own = createSpending(mostCostNano(BOUNDS, PRICE), () => PRICE);
    return own;
  };

  it('puts aside before an attempt is paid for, and takes what it cost; a second one beside it is refused', async () => {
    const { account, calls } = accountsOf();
    const meter = await account.begin(BOUNDS);
    await expect(account.begin(BOUNDS)).rejects.toMatchObject({ code: 'E_MAX_SPEND' });
    meter.delivered(7);
    meter.ended(TOKENS);
    meter.lost();
    expect([calls, own.spentNano]).toEqual([[7, TOKENS, 'lost'], 1_000n]);
  });

  it('a failure costs what the proxy said with it, or as much as it may', async () => {
    const first = accountsOf();
    (await first.account.begin(BOUNDS)).lost(told(2n));
    expect(own.spentNano).toBe(40n);
    const second = accountsOf();
    (await second.account.begin(BOUNDS)).lost();
    expect(own.spentNano).toBe(mostCostNano(BOUNDS, PRICE));
  });

  it('what was not sent costs nothing', async () => {
    const { account } = accountsOf(new Error('full disk'));
    await expect(account.begin(BOUNDS)).rejects.toThrow('full disk');
    expect([own.spentNano, own.next()]).toEqual([0n, null]);
  });
});
