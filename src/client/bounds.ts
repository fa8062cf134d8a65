// What a request can cost at most, by what this side sent and received itself, without a tokenizer (WIRE.md section 12). A
// token of a prompt or an answer is at least one byte of it, but for the few that templates add and that leave no byte.
import { adjustTokens } from '../openai/token-price.ts';
import type { TokenMultipliers } from '../openai/token-price.ts';
import type { TokensUsed } from '../wire/answer.ts';
import type { RequestBounds } from './accounts.ts';

/** Tokens that a chat template adds to a prompt, at most. */
export const TEMPLATE_TOKENS = 1_024;
/** Tokens of an answer that leave no byte in it: cut characters, stop strings, special tokens. */
export const SILENT_TOKENS = 64;
/** What the proxy may write into a request: the limits that were not named. */
const WRITTEN_BYTES = 256;

/** What the proxy may put aside for a request: all that may be read and generated, at the highest price. */
export function reservationOf({ queryBytes, maxTokens, maxCoefficient }: RequestBounds, multipliers: TokenMultipliers): bigint {
  const { prompt, cached, completion, reasoning } = multipliers;
  return adjustTokens(queryBytes + WRITTEN_BYTES + maxTokens, maxCoefficient, Math.max(prompt, cached, completion, reasoning));
}

/** Why a complete answer with `deliveredBytes` of body cannot have cost this; null when it can. */
export function impossibleBill(tokens: TokensUsed, bounds: RequestBounds, deliveredBytes: number, multipliers: TokenMultipliers): string | null {
  const { queryBytes, maxTokens, maxCoefficient } = bounds;
  const promptTokens = queryBytes + TEMPLATE_TOKENS;
  const most: Record<Exclude<keyof TokensUsed, 'total'>, bigint> = {
    prompt: adjustTokens(promptTokens, maxCoefficient, multipliers.prompt),
    cached: adjustTokens(promptTokens, maxCoefficient, multipliers.cached),
    completion: adjustTokens(Math.min(maxTokens, deliveredBytes + SILENT_TOKENS), maxCoefficient, multipliers.completion),
    // Reasoning need not be in the answer, so only the limit bounds it.
    reasoning: adjustTokens(maxTokens, maxCoefficient, multipliers.reasoning),
  };
  for (const kind of ['prompt', 'cached', 'completion', 'reasoning'] as const) {
    if (tokens[kind] > most[kind]) return `${tokens[kind]} ${kind} tokens, at most ${most[kind]} are possible`;
  }
  const reservation = reservationOf(bounds, multipliers);
  if (tokens.total > reservation) return `${tokens.total} tokens, at most ${reservation} could be put aside`;
  if (tokens.total > tokens.prompt + tokens.cached + tokens.completion + tokens.reasoning) return `a total of ${tokens.total} tokens, more than its parts`;
  return null;
}
