// Amounts of TON: decimal text to nanoTON (bigint) and back, exactly. Refuses exponents, separators, more than nine
// decimals and anything above MAX_AMOUNT_NANO; no float is involved.
import { UsageError } from './errors.ts';

/** nanoTON in one TON. */
export const NANO_PER_TON = 1_000_000_000n;

/** Largest amount in nanoTON: what eight bytes hold, the longest coins value that readers of the contracts accept (WIRE.md section 14). */
export const MAX_AMOUNT_NANO = (1n << 64n) - 1n;

const DECIMALS = 9;
/** Longer than any amount in range with a sign and nine decimals. */
const MAX_TEXT = 32;
const TON_TEXT = /^(-)?(0|[1-9]\d*)(?:\.(\d{1,9}))?$/;
const NANO_TEXT = /^(-)?(0|[1-9]\d*)$/;

export interface AmountRules {
  /** Accept a leading minus. Default false. */
  readonly allowNegative?: boolean;
}

/**
 * nanoTON of an amount in TON, for example `1.5` → 1500000000n.
 * Throws UsageError E_USAGE on any other form, a fraction of a nanoTON, or more than MAX_AMOUNT_NANO.
 */
export function parseTon(text: string, rules: AmountRules = {}): bigint {
  const [, sign, whole, fraction] = (text.length <= MAX_TEXT ? TON_TEXT.exec(text) : null) ?? [];
  if (whole === undefined) {
    throw new UsageError('E_USAGE', `amount ${quote(text)} is not a number of TON, expected digits with at most nine decimals such as 1.5`);
  }
  return bounded(text, sign, BigInt(whole) * NANO_PER_TON + BigInt((fraction ?? '').padEnd(DECIMALS, '0')), rules);
}

/** nanoTON of a decimal string of nanoTON, as JSON output carries it. Throws UsageError E_USAGE like parseTon. */
export function parseNano(text: string, rules: AmountRules = {}): bigint {
  const [, sign, digits] = (text.length <= MAX_TEXT ? NANO_TEXT.exec(text) : null) ?? [];
  if (digits === undefined) {
    throw new UsageError('E_USAGE', `amount ${quote(text)} is not a whole number of nanoTON, expected decimal digits`);
  }
  return bounded(text, sign, BigInt(digits), rules);
}

/** Amount in TON without trailing zeros: 1500000000n → `1.5`, 0n → `0`, -1n → `-0.000000001`. Exact for every bigint. */
export function formatTon(nano: bigint): string {
  const magnitude = nano < 0n ? -nano : nano;
  const fraction = (magnitude % NANO_PER_TON).toString().padStart(DECIMALS, '0').replace(/0+$/, '');
  return `${nano < 0n ? '-' : ''}${magnitude / NANO_PER_TON}${fraction === '' ? '' : `.${fraction}`}`;
}

function bounded(text: string, sign: string | undefined, magnitude: bigint, rules: AmountRules): bigint {
  if (sign !== undefined && rules.allowNegative !== true) {
    throw new UsageError('E_USAGE', `amount ${quote(text)} is negative, expected zero or more`);
  }
  if (magnitude > MAX_AMOUNT_NANO) {
    throw new UsageError('E_USAGE', `amount ${quote(text)} is too large, expected at most ${formatTon(MAX_AMOUNT_NANO)} TON`);
  }
  return sign === undefined ? magnitude : -magnitude;
}

const quote = (text: string): string => JSON.stringify(text.length <= MAX_TEXT ? text : `${text.slice(0, MAX_TEXT)}…`);
