// The short version of the chaos test; the long one is `npm run test:chaos`. Documented bounds: a client pays for what it got and at
// most the reservations of requests whose end it did not see; a node works unpaid at most for what it lends a proxy.
import { describe, expect, it } from '@jest/globals';
import { runChaos, SMALL } from './run.ts';
import { steps, TROUBLES } from './driver.ts';

const REQUESTS = 200;

describe('a paid network under kill -9, cut connections and a troubled chain', () => {
  it('runChaos: ledgers, signed payments, books and chain agree; nobody pays or works beyond the bounds', async () => {
    const result = await runChaos({ seed: 'short', requests: REQUESTS, size: SMALL });
    expect(result.violations).toEqual([]);
    expect(Object.values(result.outcomes).reduce((sum, count) => sum + count, 0)).toBe(REQUESTS);
    expect(result.outcomes['answered'] ?? 0).toBeGreaterThan(REQUESTS / 5);
    expect(result.troubles.kills).toBeGreaterThan(0);
    // What was booked is what was charged and paid, and more than nothing.
    expect(result.money?.bookedTokens).toBeGreaterThan(0n);
    expect([result.money?.chargedTokens, result.money?.paidTokens]).toEqual([result.money?.bookedTokens, result.money?.bookedTokens]);
  }, 400_000);

  it('steps: the same seed gives the same steps, another one gives others', () => {
    const of = (seed: string): string => JSON.stringify([...steps(seed, 500, SMALL, TROUBLES)]);
    expect(of('a')).toBe(of('a'));
    expect(of('a')).not.toBe(of('b'));
  });
});
