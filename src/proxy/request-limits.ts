// What one request may make a node generate, read from its body and written into it (WIRE.md sections 11, 12 and 20.15): the
// reservation is a bound because the node is told the same number. What is not named stays byte for byte. Refuses bodies
// whose limit cannot be told: other paths, no JSON object, members that appear twice, limits that are no whole numbers.
import { badRequest } from '../openai/errors.ts';
import { openJsonObject } from '../openai/json-edit.ts';
import { decodeBoxed, encodeBoxed } from '../wire/tl/codec.ts';
import type { HttpRequest } from '../wire/tl/types.ts';
import type { JsonObjectText } from '../openai/json-edit.ts';

export interface LimitedRequest {
  /** Boxed `http.request` for the node: the client's own bytes where nothing had to be written. */
  readonly query: Uint8Array;
  /** Most tokens of all answers together: the limit of one, times their number. */
  readonly maxTokens: number;
  readonly bodyBytes: number;
  /** The answer comes in pieces. */
  readonly streamed: boolean;
  /** `X-Cocoon-Conversation`; null without one, or with one that is not 1 to 64 printable characters. */
  readonly conversation: string | null;
}

const CHAT = '/v1/chat/completions';
const TEXT = '/v1/completions';
/** Limits travel as signed 32-bit numbers. */
const MAX_LIMIT = 2 ** 31 - 1;
const MAX_CHOICES = 1_000;
const CONVERSATION_HEADER = 'x-cocoon-conversation';
const CONVERSATION = /^[\x20-\x7e]{1,64}$/;

/**
 * Bounds one request. `query`: boxed `http.request`; `maxTokens`: what the client says it allows for one answer, 0 or more.
 * Throws ApiError (the answer to give) or NetworkError E_PROTOCOL when `query` is no HTTP request.
 */
export function limitRequest(query: Uint8Array, maxTokens: number): LimitedRequest {
  const http = decodeBoxed(query);
  if (http._ !== 'http.request') throw badRequest(`query carries ${http._}, expected http.request`);
  const path = http.url.split('?', 1)[0] ?? '';
  if (path !== CHAT && path !== TEXT) throw badRequest('path is not one of this server', { status: 404, code: 'unknown_url' });
  if (http.method !== 'POST') {
    throw badRequest(`method is not allowed for ${path}, expected POST`, { status: 405, code: 'method_not_allowed', headers: { allow: 'POST' } });
  }
  const body = openJsonObject(textOf(http.payload));
  const perChoice = limitOf(body.members, maxTokens);
  const written = missingLimits(body.members, perChoice, path);
  return {
    query: written === null ? query : withBody(http, body.edit({ set: written })),
    maxTokens: perChoice * choicesOf(body.members, path),
    bodyBytes: http.payload.byteLength,
    streamed: body.members.stream === true,
    conversation: conversationOf(http),
  };
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

function textOf(payload: Uint8Array): string {
  try {
    return utf8.decode(payload);
  } catch {
    throw badRequest('request body is not valid JSON in UTF-8', { code: 'invalid_json' });
  }
}

type Members = JsonObjectText['members'];

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

/** Answers that the request asks for: `n`, or the `best_of` that are generated for them, for each prompt. */
function choicesOf(members: Members, path: string): number {
  const each = Math.max(count(members, 'n', MAX_CHOICES) ?? 1, count(members, 'best_of', MAX_CHOICES) ?? 1);
  const { prompt } = members;
  // A prompt may be a list of texts, or of lists of tokens; a list of numbers is one prompt.
  const prompts = path === TEXT && Array.isArray(prompt) ? prompt.filter((item) => typeof item !== 'number').length : 1;
  const choices = each * Math.max(1, prompts);
  if (choices > MAX_CHOICES) throw badRequest(`the request asks for ${choices} answers, expected at most ${MAX_CHOICES}`, { param: 'n', code: 'invalid_value' });
  return choices;
}

function withBody(http: HttpRequest, text: string): Uint8Array {
  const payload = new TextEncoder().encode(text);
  const headers = http.headers.map((header) =>
    (header.name.toLowerCase() === 'content-length' ? { ...header, value: String(payload.byteLength) } : header));
  return encodeBoxed({ ...http, headers, payload });
}

function conversationOf({ headers }: HttpRequest): string | null {
  const value = headers.find(({ name }) => name.toLowerCase() === CONVERSATION_HEADER)?.value;
  return value !== undefined && CONVERSATION.test(value) ? value : null;
}
