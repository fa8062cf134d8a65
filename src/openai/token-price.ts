// What a request costs in tokens (WIRE.md section 12). The arithmetic is IEEE double in exactly the order of the
// network's programs, so that client, proxy and node agree to the token; exact decimal arithmetic would differ.
import { ConfigError } from '../core/errors.ts';
import { assertUsage } from './usage.ts';
import type { UsageCounts } from './usage.ts';

/** Multipliers of the root contract's parameters; 10000 = ×1.0. */
export interface TokenMultipliers {
  readonly prompt: number;
  readonly cached: number;
  readonly completion: number;
  readonly reasoning: number;
}

/** Adjusted tokens of a request, by kind; `total` is what is booked and paid. */
export interface TokensUsed {
  readonly prompt: bigint;
  readonly cached: bigint;
  readonly completion: bigint;
  readonly reasoning: bigint;
  readonly total: bigint;
}

/** Multipliers that change nothing. */
export const UNIT_MULTIPLIERS: TokenMultipliers = { prompt: 10_000, cached: 10_000, completion: 10_000, reasoning: 10_000 };

/**
 * trunc(n × (coefficient × 0.001) × multiplier × 0.0001) in doubles.
 * `tokens` is a whole number from 0, `coefficient` 1000 = ×1.0, `multiplier` 10000 = ×1.0.
 */
export function adjustTokens(tokens: number, coefficient: number, multiplier: number): bigint {
  for (const value of [tokens, coefficient, multiplier]) {
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new ConfigError('E_CONFIG', `cannot price tokens with ${value}, expected a whole number from 0`);
    }
  }
  return BigInt(Math.trunc(tokens * (coefficient * 0.001) * multiplier * 0.0001));
}

/**
 * Adjusted tokens of one request. Throws NetworkError E_PROTOCOL on counts that contradict each other
 * and ConfigError E_CONFIG on a price that is not a whole number from 0.
 */
export function tokensUsed(usage: UsageCounts, coefficient: number, multipliers: TokenMultipliers): TokensUsed {
  assertUsage(usage);
  const prompt = adjustTokens(usage.promptTokens - usage.cachedTokens, coefficient, multipliers.prompt);
  const cached = adjustTokens(usage.cachedTokens, coefficient, multipliers.cached);
  const completion = adjustTokens(usage.completionTokens - usage.reasoningTokens, coefficient, multipliers.completion);
  const reasoning = adjustTokens(usage.reasoningTokens, coefficient, multipliers.reasoning);
  return { prompt, cached, completion, reasoning, total: prompt + cached + completion + reasoning };
}
