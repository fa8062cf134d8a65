// Token counts: the engine's own numbers, their OpenAI form, and reading them back from an answer (WIRE.md section 12).
// Numbers that contradict each other are refused, so that nobody is billed by them.
import { NetworkError } from '../core/errors.ts';

/** Tokens of one request. Cached tokens are part of the prompt, reasoning tokens part of the completion. */
export interface UsageCounts {
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly completionTokens: number;
  readonly reasoningTokens: number;
}

/** `usage` of an OpenAI answer. */
export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly prompt_tokens_details: { readonly cached_tokens: number };
  readonly completion_tokens_details?: { readonly reasoning_tokens: number };
}

export const NO_USAGE: UsageCounts = { promptTokens: 0, cachedTokens: 0, completionTokens: 0, reasoningTokens: 0 };

/** The OpenAI object for `counts`; reasoning tokens appear only where there are any. */
export function toUsage(counts: UsageCounts): Usage {
  return {
    prompt_tokens: counts.promptTokens,
    completion_tokens: counts.completionTokens,
    total_tokens: counts.promptTokens + counts.completionTokens,
    prompt_tokens_details: { cached_tokens: counts.cachedTokens },
    ...(counts.reasoningTokens > 0 ? { completion_tokens_details: { reasoning_tokens: counts.reasoningTokens } } : {}),
  };
}

/**
 * Counts in the `usage` member of one parsed JSON value of an answer; null where there is no such member.
 * Missing details count as 0. Throws NetworkError E_PROTOCOL on numbers that are not counts.
 */
export function readUsage(value: unknown): UsageCounts | null {
  const usage = member(value, 'usage');
  if (usage === undefined || usage === null) return null;
  if (!isObject(usage)) throw new NetworkError('E_PROTOCOL', 'member "usage" of the answer is not an object');
  const reasoning = member(usage.completion_tokens_details, 'reasoning_tokens') ?? usage.reasoning_tokens;
  return {
    promptTokens: count('prompt_tokens', usage.prompt_tokens),
    cachedTokens: count('cached_tokens', member(usage.prompt_tokens_details, 'cached_tokens')),
    completionTokens: count('completion_tokens', usage.completion_tokens),
    reasoningTokens: count('reasoning_tokens', reasoning),
  };
}

/** The larger of each count: the usage of an answer is the last seen maximum (WIRE.md section 12). */
export function maxUsage(a: UsageCounts, b: UsageCounts): UsageCounts {
  return {
    promptTokens: Math.max(a.promptTokens, b.promptTokens),
    cachedTokens: Math.max(a.cachedTokens, b.cachedTokens),
    completionTokens: Math.max(a.completionTokens, b.completionTokens),
    reasoningTokens: Math.max(a.reasoningTokens, b.reasoningTokens),
  };
}

/** Throws NetworkError E_PROTOCOL unless all four are counts and no part is larger than its whole. */
export function assertUsage(counts: UsageCounts): void {
  for (const [name, value] of Object.entries(counts)) count(name, value);
  if (counts.cachedTokens > counts.promptTokens) {
    throw new NetworkError('E_PROTOCOL', `usage has ${counts.cachedTokens} cached of ${counts.promptTokens} prompt tokens`);
  }
  if (counts.reasoningTokens > counts.completionTokens) {
    throw new NetworkError(
      'E_PROTOCOL',
      `usage has ${counts.reasoningTokens} reasoning of ${counts.completionTokens} completion tokens`,
    );
  }
}

function count(name: string, value: unknown): number {
  if (value === undefined || value === null) return 0;
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw new NetworkError('E_PROTOCOL', `usage has ${name} ${JSON.stringify(value)}, expected a whole number from 0`);
  }
  return value;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function member(value: unknown, name: string): unknown {
  return isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined;
}
