// One request as the proxy bounds it (WIRE.md sections 11, 12 and 20.15): the reservation is a bound because the node is told the
// same number, in the body that the proxy can read (openai/limit-body.ts) or by the node itself in one that is sealed to it.
// Refuses other paths and methods, and bodies whose limit cannot be told.
import { badRequest } from '../openai/errors.ts';
import { CHAT, limitBody, TEXT } from '../openai/limit-body.ts';
import { decodeBoxed, encodeBoxed } from '../wire/tl/codec.ts';
import type { ClientRequest } from '../wire/client-acceptor.ts';
import type { HttpRequest } from '../wire/tl/types.ts';

export interface LimitedRequest {
  /** Boxed `http.request` for the node: the client's own bytes where nothing had to be written; sealed bytes as they came. */
  readonly query: Uint8Array;
  /** Most tokens of all answers together: the limit of one, times their number. */
  readonly maxTokens: number;
  readonly bodyBytes: number;
  /** The answer comes in pieces. */
  readonly streamed: boolean;
  /** `X-Cocoon-Conversation`; null without one, or with one that is not 1 to 64 printable characters. */
  readonly conversation: string | null;
}

/** Generates nothing: what is read is bounded by the body. */
const EMBEDDINGS = '/v1/embeddings';
const CONVERSATION_HEADER = 'x-cocoon-conversation';
const CONVERSATION = /^[\x20-\x7e]{1,64}$/;

/**
 * Bounds a sealed request by what its fields say: the node refuses to generate more (SPEC.md section 5), and the padded size is at
 * least that of the body. Throws ApiError.
 */
export function limitSealed({ query, maxTokens }: Pick<ClientRequest, 'query' | 'maxTokens'>, streamed: boolean): LimitedRequest {
  if (maxTokens < 1) throw badRequest(`the limit of tokens is ${maxTokens}, expected 1 or more`, { param: 'max_tokens', code: 'invalid_value' });
  return { query, maxTokens, bodyBytes: query.byteLength, streamed, conversation: null };
}

/**
 * Bounds one request. `query`: boxed `http.request`; `maxTokens`: what the client says it allows for one answer, 0 or more.
 * Throws ApiError (the answer to give) or NetworkError E_PROTOCOL when `query` is no HTTP request.
 */
export function limitRequest(query: Uint8Array, maxTokens: number): LimitedRequest {
  const http = decodeBoxed(query);
  if (http._ !== 'http.request') throw badRequest(`query carries ${http._}, expected http.request`);
  const path = http.url.split('?', 1)[0] ?? '';
  if (path !== CHAT && path !== TEXT && path !== EMBEDDINGS) throw badRequest('path is not one of this server', { status: 404, code: 'unknown_url' });
  if (http.method !== 'POST') {
    throw badRequest(`method is not allowed for ${path}, expected POST`, { status: 405, code: 'method_not_allowed', headers: { allow: 'POST' } });
  }
  if (path === EMBEDDINGS) return { query, maxTokens: 1, bodyBytes: http.payload.byteLength, streamed: false, conversation: conversationOf(http) };
  const { text, perAnswer, answers, streamed } = limitBody(http.payload, path, () => maxTokens);
  return {
    query: text === null ? query : withBody(http, text),
    maxTokens: perAnswer * answers,
    bodyBytes: http.payload.byteLength,
    streamed,
    conversation: conversationOf(http),
  };
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
