import { describe, expect, it } from '@jest/globals';
import { beginCell } from '@ton/core';
import { cellStats, roundUp, tenYearsRent } from '../../../src/chain/plans/rent.ts';

const leaf = beginCell().storeUint(1, 100).endCell();
const branch = beginCell().storeUint(2, 50).storeRef(leaf).storeRef(leaf).endCell();

describe('cellStats', () => {
  it('counts equal cells once, as an account is charged', () => {
    expect(cellStats(branch)).toEqual({ cells: 2, bits: 150 });
    expect(cellStats(branch, leaf)).toEqual({ cells: 2, bits: 150 });
    expect(cellStats(leaf, beginCell().storeUint(2, 100).endCell())).toEqual({ cells: 2, bits: 200 });
  });
});

describe('tenYearsRent', () => {
  // ceil((bits + 500·cells)·seconds / 65536) nanoTON (ONCHAIN-GAS.md); ten years are 315576000 s.
  it('is the formula of the specification', () => {
    expect(tenYearsRent(branch, leaf, { cells: 0, bits: 0 })).toBe((1150n * 315_576_000n + 65_535n) / 65_536n);
    expect(tenYearsRent(branch, leaf, { cells: 1, bits: 10 })).toBe((1660n * 315_576_000n + 65_535n) / 65_536n);
  });

  it('is more with the default allowance for the account itself', () => {
    expect(tenYearsRent(branch, leaf)).toBeGreaterThan(tenYearsRent(branch, leaf, { cells: 0, bits: 0 }));
  });
});

describe('roundUp', () => {
  it.each([[0n, 0n], [1n, 10_000_000n], [10_000_000n, 10_000_000n], [10_000_001n, 20_000_000n]])('%s becomes %s', (nano, rounded) => {
    expect(roundUp(nano)).toBe(rounded);
  });
});
