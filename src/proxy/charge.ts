// What is booked for one answer (WIRE.md sections 12 and 20.14): what the node reports, never more than was put aside, never a
// total that its parts do not add up to, and never more of a kind than the request and the relayed answer allow. A report that
// cannot be true is flagged. The network's C++ proxies book whatever the node says.
import { adjustTokens, tokensUsed } from '../openai/token-price.ts';
import { NO_TOKENS } from '../wire/answer.ts';
import type { TokenMultipliers } from '../openai/token-price.ts';
import type { UsageCounts } from '../openai/usage.ts';
import type { TokensUsed } from '../wire/answer.ts';

/** What one request may cost at most, and at what price. */
export interface Terms {
  /** Adjusted tokens put aside. */
  readonly reserved: bigint;
  /** Of the node that answers, thousandths. */
  readonly coefficient: number;
  readonly multipliers: TokenMultipliers;
  /** Most tokens of all answers together, as written into the request. */
  readonly maxTokens: number;
  /** Length of the request's body. */
  readonly bodyBytes: number;
}

/** What was passed on of the answer. */
export interface Delivered {
  /** Of the body of an answer with a status of success; 0: nothing was delivered. */
  readonly bytes: number;
  /** Pieces of text: a lower bound of its tokens. */
  readonly texts: number;
  /** What the answer itself shows; null without. */
  readonly usage: UsageCounts | null;
  /** False when it was cut short: the node may have generated what was not passed on any more. */
  readonly complete: boolean;
}

export interface Bill {
  readonly tokens: TokensUsed;
  /** Why the report cannot be true; null when it may be, or when there is none. */
  readonly impossible: string | null;
}

/** Tokens that a chat template adds to a prompt, at most. */
const TEMPLATE_TOKENS = 1_024;
/** Tokens that leave no byte in the answer: cut characters, stop strings, special tokens. */
const SILENT_TOKENS = 64;

/**
 * The bill for what was delivered. `report` is the node's, null when it left without one: then the answer's own usage counts, or
 * one token for each piece of text. Nothing delivered costs nothing.
 */
export function billFor(report: TokensUsed | null, delivered: Delivered, terms: Terms): Bill {
  if (delivered.bytes === 0) return { tokens: NO_TOKENS, impossible: null };
  const { coefficient, multipliers } = terms;
  const shown = delivered.usage === null ? null : tokensUsed(delivered.usage, coefficient, multipliers);
  if (report === null) {
    const certain = shown ?? tokensUsed({ promptTokens: 0, cachedTokens: 0, completionTokens: delivered.texts, reasoningTokens: 0 }, coefficient, multipliers);
    return { tokens: boundedTokens(atMost(certain, ceilingOf(delivered, terms)), terms.reserved), impossible: null };
  }
  const ceiling = ceilingOf(delivered, terms);
  const possible = atMost(report, shown === null ? ceiling : atMost(ceiling, shown));
  const complaint = complaintOf(report, terms.reserved, delivered.complete ? ceiling : null, shown);
  // The total of what is possible is at most the reported one: a node may claim less than its parts.
  return { tokens: boundedTokens({ ...possible, total: report.total < possible.total ? report.total : possible.total }, terms.reserved), impossible: complaint };
}

/** The report cut to `reserved` tokens: each kind takes of what the kinds before it left. `total` is the sum of the others. */
export function boundedTokens(reported: TokensUsed, reserved: bigint): TokensUsed {
  let left = reported.total < reserved ? reported.total : reserved;
  const take = (tokens: bigint): bigint => {
    const taken = tokens < left ? tokens : left;
    left -= taken;
    return taken;
  };
  const prompt = take(reported.prompt);
  const cached = take(reported.cached);
  const completion = take(reported.completion);
  const reasoning = take(reported.reasoning);
  return { prompt, cached, completion, reasoning, total: prompt + cached + completion + reasoning };
}

/** The most of each kind that request and answer allow. A token of the answer takes a byte, save hidden reasoning; a token of the prompt too. */
function ceilingOf({ bytes }: Delivered, { coefficient, multipliers, maxTokens, bodyBytes }: Terms): TokensUsed {
  const promptTokens = bodyBytes + TEMPLATE_TOKENS;
  return withTotal({
    prompt: adjustTokens(promptTokens, coefficient, multipliers.prompt),
    cached: adjustTokens(promptTokens, coefficient, multipliers.cached),
    completion: adjustTokens(Math.min(maxTokens, bytes + SILENT_TOKENS), coefficient, multipliers.completion),
    reasoning: adjustTokens(maxTokens, coefficient, multipliers.reasoning),
  });
}

type Kinds = Omit<TokensUsed, 'total'>;

const withTotal = ({ prompt, cached, completion, reasoning }: Kinds): TokensUsed =>
  ({ prompt, cached, completion, reasoning, total: prompt + cached + completion + reasoning });

const less = (a: bigint, b: bigint): bigint => (a < b ? a : b);

const atMost = (a: Kinds, b: Kinds): TokensUsed => withTotal({
  prompt: less(a.prompt, b.prompt), cached: less(a.cached, b.cached), completion: less(a.completion, b.completion), reasoning: less(a.reasoning, b.reasoning),
});

/** What is wrong with a report, in words; `ceiling` null for an answer that was cut short. */
function complaintOf(report: TokensUsed, reserved: bigint, ceiling: TokensUsed | null, shown: TokensUsed | null): string | null {
  const sum = withTotal(report).total;
  if (report.total !== sum) return `total is ${report.total}, its parts are ${sum}`;
  if (report.total > reserved) return `total is ${report.total}, reserved were ${reserved}`;
  for (const kind of ['prompt', 'cached', 'completion', 'reasoning'] as const) {
    if (ceiling !== null && report[kind] > ceiling[kind]) return `${kind} tokens are ${report[kind]}, at most ${ceiling[kind]} are possible`;
  }
  if (shown !== null && report.total > shown.total) return `total is ${report.total}, the answer itself shows ${shown.total}`;
  return null;
}
