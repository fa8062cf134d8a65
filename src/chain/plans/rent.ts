// Rent of an account's storage (ONCHAIN-GAS.md, "Code size and storage fees"; ONCHAIN.md section 13, H9). Storage prices are
// the same in both price sets; what an operation costs is not, so what is funded is counted at the dearer one.
import type { Cell } from '@ton/core';

/** Base workchain, per 2^16 seconds. */
const BIT_PRICE = 1n;
const CELL_PRICE = 500n;
const PRICE_SECONDS = 1n << 16n;
const YEAR_SECONDS = 31_557_600n;
const FUNDED_YEARS = 10n;

export interface CellStats {
  readonly cells: number;
  readonly bits: number;
}

/** Cells and bits below and including these roots, equal cells once: what an account is charged for. */
export function cellStats(...roots: readonly Cell[]): CellStats {
  const seen = new Set<string>();
  const open = [...roots];
  let bits = 0;
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const key = next.hash().toString('hex');
    if (seen.has(key)) continue;
    seen.add(key);
    bits += next.bits.length;
    open.push(...next.refs);
  }
  return { cells: seen.size, bits };
}

/** What the account itself adds: its header cell and what a few changes add to its data. */
const HEADER: CellStats = { cells: 4, bits: 1_000 };

/** Rent in nanoTON of an account with this code and data and `extra` more, for ten years. */
export function tenYearsRent(code: Cell, data: Cell, extra: CellStats = HEADER): bigint {
  const { cells, bits } = cellStats(code, data);
  const perPeriod = BigInt(bits + extra.bits) * BIT_PRICE + BigInt(cells + extra.cells) * CELL_PRICE;
  const seconds = FUNDED_YEARS * YEAR_SECONDS;
  return (perPeriod * seconds + PRICE_SECONDS - 1n) / PRICE_SECONDS;
}

/** Rounded up to whole hundredths of a TON, so that plans read well. */
export const roundUp = (nano: bigint): bigint => (nano + 9_999_999n) / 10_000_000n * 10_000_000n;
