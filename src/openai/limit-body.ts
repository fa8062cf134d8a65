// What one request may make an engine generate, read from its body and written into it (WIRE.md sections 11, 12 and 20.15), by
// whoever can read it: the proxy, or the node for a request that was sealed to it. What is not named stays byte for byte.
// Refuses bodies whose limit cannot be told: no JSON object, members that appear twice, limits that are no whole numbers.
import { badRequest } from './errors.ts';
import { openJsonObject } from './json-edit.ts';
import type { JsonObjectText } from './json-edit.ts';

export interface LimitedBody {
  /** The body with its limits written into it; null where it has them already. */
  readonly text: string | null;
  /** Most tokens of one answer, and how many answers there are. */
  readonly perAnswer: number;
  readonly answers: number;
  /** The answer comes in pieces. */
  readonly streamed: boolean;
}

export const CHAT = '/v1/chat/completions';
export const TEXT = '/v1/completions';
/** Limits travel as signed 32-bit numbers. */
const MAX_LIMIT = 2 ** 31 - 1;
const MAX_CHOICES = 1_000;

/** Bounds the body of a request to CHAT or TEXT by a limit for each answer. `maxTokens`: gives it for the number of answers. Throws ApiError. */
export function limitBody(payload: Uint8Array, path: string, maxTokens: (answers: number) => number): LimitedBody {
  const body = openJsonObject(textOf(payload));
  const answers = choicesOf(body.members, path);
  const perAnswer = limitOf(body.members, maxTokens(answers));
  const written = missingLimits(body.members, perAnswer, path);
  return { text: written === null ? null : body.edit({ set: written }), perAnswer, answers, streamed: body.members.stream === true };
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

function textOf(payload: Uint8Array): string {
  try {
    return utf8.decode(payload);
  } catch {
    throw badRequest('request body is not valid JSON in UTF-8', { code: 'invalid_json' });
  }
}

export type Members = JsonObjectText['members'];

/** A whole number from 1 in a member; undefined where it is absent or null. */
function count(members: Members, name: string, most: number): number | undefined {
  const value = Object.hasOwn(members, name) ? members[name] : undefined;
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > most) {
    throw badRequest(`invalid value of '${name}' in request: expected a whole number from 1 to ${most}`, { param: name, code: 'invalid_value' });
  }
  return value;
}

/** The limit of one answer: what the body says (OpenAI: max_completion_tokens wins), at most what the client's envelope says. */
function limitOf(members: Members, maxTokens: number): number {
  const own = count(members, 'max_completion_tokens', MAX_LIMIT) ?? count(members, 'max_tokens', MAX_LIMIT);
  const limit = Math.min(own ?? maxTokens, maxTokens);
  if (limit < 1) throw badRequest(`the limit of tokens is ${maxTokens}, expected 1 or more`, { param: 'max_tokens', code: 'invalid_value' });
  return limit;
}

/**
 * What has to be written so that an engine is bounded by `limit` whichever member it heeds; null for nothing. Engines know
 * `max_tokens` in both kinds of request and may know `max_completion_tokens` in chats only; some let the first win, some the second.
 */
function missingLimits(members: Members, limit: number, path: string): Record<string, number> | null {
  const named = (name: string): unknown => (Object.hasOwn(members, name) ? members[name] : undefined);
  const tokens = named('max_tokens');
  const completion = named('max_completion_tokens');
  const bounded = tokens === limit && (completion === undefined || completion === limit);
  if (bounded) return null;
  return { max_tokens: limit, ...((path === CHAT || completion !== undefined) && { max_completion_tokens: limit }) };
}

/** Answers that the request asks for: `n`, or the `best_of` that are generated for them, for each prompt. Throws ApiError. */
export function choicesOf(members: Members, path: string): number {
  const each = Math.max(count(members, 'n', MAX_CHOICES) ?? 1, count(members, 'best_of', MAX_CHOICES) ?? 1);
  const { prompt } = members;
  // A prompt may be a list of texts, or of lists of tokens; a list of numbers is one prompt.
  const prompts = path === TEXT && Array.isArray(prompt) ? prompt.filter((item) => typeof item !== 'number').length : 1;
  const choices = each * Math.max(1, prompts);
  if (choices > MAX_CHOICES) throw badRequest(`the request asks for ${choices} answers, expected at most ${MAX_CHOICES}`, { param: 'n', code: 'invalid_value' });
  return choices;
}
