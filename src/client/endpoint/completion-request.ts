// The bodies of chat and text completions on their way to a node: as the application wrote them, byte for byte, but for the limit
// of tokens that is paid for; and the request with which another node goes on behind what has been received of an answer.
import { createHash } from 'node:crypto';
import { badRequest } from '../../openai/errors.ts';
import { openJsonObject } from '../../openai/json-edit.ts';
import { checkShape } from '../../openai/shape.ts';
import { chatShape, textShape } from './request-shape.ts';
import type { JsonObjectText } from '../../openai/json-edit.ts';
import type { ChatShape, TextShape } from './request-shape.ts';

export const CHAT_PATH = '/v1/chat/completions';
export const TEXT_PATH = '/v1/completions';

export interface TokenLimits {
  /** Limit of an answer where the request has none, and the most that it may ask for. */
  readonly defaultMaxTokens: number;
  readonly maxTokens: number;
}

/** A request that may be sent. */
export interface CompletionRequest {
  readonly path: string;
  readonly model: string;
  readonly payload: Uint8Array;
  /** Of one answer. */
  readonly maxTokens: number;
  /** Answers that are generated. */
  readonly choices: number;
  readonly stream: boolean;
  /** Names the conversation's beginning: the same for its later turns. */
  readonly beginning: string;
  /** The request that goes on behind `received`, of which `tokens` were generated; null: answers of this kind cannot be taken up, or nothing is left. */
  resume: ((received: string, tokens: number) => { readonly payload: Uint8Array; readonly maxTokens: number } | null) | null;
}

const LIMITS = ['max_completion_tokens', 'max_tokens'] as const;
const BEGINNING_LENGTH = 1_000;
const encoder = new TextEncoder();

/** Throws ApiError (400) for what is not a request or cannot be honoured. */
export function readCompletion(path: typeof CHAT_PATH | typeof TEXT_PATH, bytes: Uint8Array | undefined, limits: TokenLimits): CompletionRequest {
  const body = openJsonObject(textOf(bytes));
  const chat = path === CHAT_PATH ? checkShape(chatShape, body.members) : null;
  const text = chat === null ? checkShape(textShape, body.members) : null;
  const maxTokens = limitOf(body.members, limits);
  const prompts = text === null || !Array.isArray(text.prompt) ? 1 : Math.max(1, text.prompt.filter((each) => typeof each !== 'number').length);
  return {
    path, maxTokens,
    model: String(body.members.model),
    payload: encoder.encode(withLimit(body, maxTokens, path)),
    choices: Math.max(chat?.n ?? text?.n ?? 1, text?.best_of ?? 1) * prompts,
    stream: body.members.stream === true,
    beginning: chat === null ? JSON.stringify(text?.prompt ?? '').slice(0, BEGINNING_LENGTH) : JSON.stringify(chat.messages.slice(0, chat.messages.findIndex(({ role }) => role === 'user') + 1 || 1)),
    resume: chat === null ? resumeText(body, text, maxTokens) : resumeChat(body, chat, maxTokens),
  };
}

export function textOf(bytes: Uint8Array | undefined): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes ?? new Uint8Array(0));
  } catch {
    throw badRequest('request body is not valid JSON in UTF-8', { code: 'invalid_json' });
  }
}

/** A key that means nothing to anybody else. `key`: of this process. */
export const conversationOf = (beginning: string, key: Uint8Array): string =>
  createHash('sha256').update(key).update(beginning).digest('base64url').slice(0, 32);

function limitOf(members: JsonObjectText['members'], { defaultMaxTokens, maxTokens }: TokenLimits): number {
  for (const name of LIMITS) {
    const value = Object.hasOwn(members, name) ? members[name] : undefined;
    if (value === undefined || value === null) continue;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > maxTokens) {
      throw badRequest(`invalid value of '${name}' in request: expected a whole number from 1 to ${maxTokens}`, { param: name, code: 'invalid_value' });
    }
    return value;
  }
  return defaultMaxTokens;
}

const limitMembers = (body: JsonObjectText, limit: number, path: string): Record<string, number> =>
  ({ max_tokens: limit, ...((path === CHAT_PATH || Object.hasOwn(body.members, 'max_completion_tokens')) && { max_completion_tokens: limit }) });

/** The same limit in both members, whichever an engine heeds. */
const withLimit = (body: JsonObjectText, limit: number, path: string): string => body.edit({ set: limitMembers(body, limit, path) });

/** True where the rest of an answer follows from its text alone: no second answer, no form, no tool, nothing that counts tokens before. */
const followsFromText = ({ n, logprobs, frequency_penalty: frequency, presence_penalty: presence }: ChatShape | TextShape): boolean =>
  (n ?? 1) === 1 && (logprobs === undefined || logprobs === null || logprobs === false) && (frequency ?? 0) === 0 && (presence ?? 0) === 0;

function resumeChat(body: JsonObjectText, chat: ChatShape, maxTokens: number): CompletionRequest['resume'] {
  const { messages, tools, response_format: format } = chat;
  if (!followsFromText(chat) || (tools ?? []).length > 0 || (format?.type ?? 'text') !== 'text') return null;
  const last = messages.at(-1);
  // An application that begins the answer itself: one message holds both beginnings.
  const begun = last?.role === 'assistant' ? last : null;
  if (begun !== null && (typeof begun.content !== 'string' || (begun.tool_calls ?? []).length > 0)) return null;
  return resumeWith(body, CHAT_PATH, maxTokens, (received) => ({
    messages: begun === null ? [...messages, { role: 'assistant', content: received }] : [...messages.slice(0, -1), { ...begun, content: `${String(begun.content)}${received}` }],
  }));
}

function resumeText(body: JsonObjectText, text: TextShape | null, maxTokens: number): CompletionRequest['resume'] {
  if (text === null || !followsFromText(text) || typeof text.prompt !== 'string' || text.echo === true || (text.suffix ?? '') !== '' || (text.best_of ?? 1) !== 1) return null;
  const { prompt } = text;
  return resumeWith(body, TEXT_PATH, maxTokens, (received) => ({ prompt: `${prompt}${received}` }));
}

function resumeWith(body: JsonObjectText, path: string, maxTokens: number, members: (received: string) => Record<string, string | object>): CompletionRequest['resume'] {
  return (received, tokens) => {
    const left = maxTokens - tokens;
    if (left < 1) return null;
    return { payload: encoder.encode(body.edit({ set: { ...members(received), ...limitMembers(body, left, path) } })), maxTokens: left };
  };
}
