// What a machine would earn in a day, from a measured speed and stated assumptions, and nothing else: prices and multipliers of the
// root contract, how busy it is, what requests look like, what electricity costs. Every assumption is part of the result.
import type { TokenMultipliers } from '../../openai/token-price.ts';

export interface EarningAssumptions {
  /** nanoTON an adjusted token. */
  readonly feeNano: bigint;
  /** 10000 = ×1. */
  readonly multipliers: TokenMultipliers;
  /** Thousandths of the network's price. */
  readonly price: number;
  /** Share of the day in which it works at the measured speed, 0 to 1. */
  readonly utilisation: number;
  /** Tokens of prompt for each token of answer, and the share of them that is reused. */
  readonly promptPerAnswer: number;
  readonly cachedShare: number;
  readonly prefillPerSecond: number;
  readonly decodePerSecond: number;
  /** While it works, and while it does not; null: electricity is not counted. */
  readonly power: { readonly busyWatts: number; readonly idleWatts: number; readonly pricePerKwh: number } | null;
}

export interface EarningEstimate {
  readonly answerTokensPerDay: number;
  readonly promptTokensPerDay: number;
  readonly nanoPerDay: bigint;
  readonly kwhPerDay: number | null;
  /** In the currency of `pricePerKwh`. */
  readonly electricityPerDay: number | null;
  /** What a TON must be worth in that currency so that electricity is paid; null where nothing is earned or it is not counted. */
  readonly breakEvenPerTon: number | null;
}

const DAY_S = 86_400;
const ONE = 10_000;
const NANO = 1e9;

export function estimateEarnings(assumptions: EarningAssumptions): EarningEstimate {
  const { multipliers, promptPerAnswer, cachedShare, prefillPerSecond, decodePerSecond, utilisation, price, feeNano, power } = assumptions;
  const fresh = promptPerAnswer * (1 - cachedShare);
  const reused = promptPerAnswer * cachedShare;
  // A token of answer costs its own time and that of the prompt in front of it.
  const secondsPerAnswerToken = fresh / prefillPerSecond + 1 / decodePerSecond;
  const answerTokensPerDay = DAY_S * utilisation / secondsPerAnswerToken;
  const adjusted = (fresh * multipliers.prompt + reused * multipliers.cached + multipliers.completion) / ONE * (price / 1000);
  const nanoPerDay = BigInt(Math.floor(answerTokensPerDay * adjusted)) * feeNano;
  const kwhPerDay = power === null ? null : 24 * (power.busyWatts * utilisation + power.idleWatts * (1 - utilisation)) / 1000;
  const electricityPerDay = kwhPerDay === null || power === null ? null : kwhPerDay * power.pricePerKwh;
  return {
    answerTokensPerDay: Math.round(answerTokensPerDay), promptTokensPerDay: Math.round(answerTokensPerDay * promptPerAnswer), nanoPerDay, kwhPerDay, electricityPerDay,
    breakEvenPerTon: electricityPerDay === null || nanoPerDay === 0n ? null : electricityPerDay / (Number(nanoPerDay) / NANO),
  };
}
