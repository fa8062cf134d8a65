// Answers of POST /v1/chat/completions, /v1/completions and /v1/embeddings: the writers of their documents.
// Chunks are written as text around one JSON string, because there is one for each piece of an answer.
import { toUsage } from './usage.ts';
import type { UsageCounts } from './usage.ts';

export type FinishReason = 'stop' | 'length' | 'tool_calls';

/** A token of an answer and its natural logarithm of probability; `top`: the likeliest ones in its place. */
export interface AnswerLogprob {
  readonly token: string;
  readonly logprob: number;
  readonly top: readonly { readonly token: string; readonly logprob: number }[];
}

export interface AnswerCall {
  readonly name: string;
  /** JSON text of an object. */
  readonly arguments: string;
}

/** One answer of those that a request asked for, whole. */
export interface AnswerChoice {
  readonly text: string;
  /** What the model thought before it; empty for none. */
  readonly reasoning: string;
  readonly calls: readonly AnswerCall[];
  /** Null where they were not asked for. */
  readonly logprobs: readonly AnswerLogprob[] | null;
  readonly reason: FinishReason;
}

/** What names one answer: `id` without its prefix, `created` in Unix seconds. */
export interface AnswerIdentity {
  readonly id: string;
  readonly created: number;
  readonly model: string;
}

/** Writes the JSON documents of the answers to one request, streamed or whole. `index`: which of the answers. */
export interface AnswerWriter {
  /** First chunk of a stream (chat: the role); empty where the kind has none. */
  start(index: number): string;
  /** A chunk with a piece of an answer. */
  text(index: number, piece: string, logprobs?: readonly AnswerLogprob[]): string;
  /** A chunk with a piece of what the model thinks before its answer; empty where the kind has none. */
  reasoning(index: number, piece: string): string;
  /** A chunk with a whole call of a tool, the `number`th from 0; empty where the kind has none. */
  call(index: number, number: number, call: AnswerCall): string;
  /** The chunk that says why an answer ends. */
  finish(index: number, reason: FinishReason): string;
  /** The chunk with usage and no choices. */
  usage(counts: UsageCounts): string;
  /** All answers as one document. */
  whole(choices: readonly AnswerChoice[], counts: UsageCounts): string;
}

export function chatWriter({ id, created, model }: AnswerIdentity): AnswerWriter {
  const identity = { id: `chatcmpl-${id}`, object: 'chat.completion.chunk', created, model } as const;
  const head = JSON.stringify(identity).slice(0, -1);
  const choice = (index: number, delta: string, reason: FinishReason | null, logprobs = 'null'): string =>
    `${head},"choices":[{"index":${index},"delta":${delta},"logprobs":${logprobs},"finish_reason":${JSON.stringify(reason)}}]}`;
  const callOf = (index: number, number: number, call: AnswerCall) =>
    ({ id: `call_${id}${index === 0 ? '' : `_${index}`}_${number}`, type: 'function', function: { name: call.name, arguments: call.arguments } });
  return {
    start: (index) => choice(index, '{"role":"assistant","content":""}', null),
    text: (index, piece, logprobs) => choice(index, `{"content":${JSON.stringify(piece)}}`, null, logprobs === undefined ? 'null' : JSON.stringify(chatLogprobs(logprobs))),
    reasoning: (index, piece) => choice(index, `{"reasoning_content":${JSON.stringify(piece)}}`, null),
    call: (index, number, call) => choice(index, JSON.stringify({ tool_calls: [{ index: number, ...callOf(index, number, call) }] }), null),
    finish: (index, reason) => choice(index, '{}', reason),
    usage: (counts) => JSON.stringify({ ...identity, choices: [], usage: toUsage(counts) }),
    whole: (choices, counts) => JSON.stringify({
      ...identity,
      object: 'chat.completion',
      choices: choices.map(({ text, reasoning, calls, logprobs, reason }, index) => ({
        index,
        message: {
          role: 'assistant', content: text === '' && calls.length > 0 ? null : text, refusal: null,
          ...(reasoning !== '' && { reasoning_content: reasoning }),
          ...(calls.length > 0 && { tool_calls: calls.map((call, number) => callOf(index, number, call)) }),
        },
        logprobs: logprobs === null ? null : chatLogprobs(logprobs),
        finish_reason: reason,
      })),
      usage: toUsage(counts),
    }),
  };
}

export function textWriter({ id, created, model }: AnswerIdentity): AnswerWriter {
  const identity = { id: `cmpl-${id}`, object: 'text_completion', created, model } as const;
  const head = JSON.stringify(identity).slice(0, -1);
  /** UTF-16 units of each answer that were sent as tokens, for the offsets of the next ones. */
  const offsets = new Map<number, number>();
  const choice = (index: number, text: string, reason: FinishReason | null, logprobs = 'null'): string =>
    `${head},"choices":[{"index":${index},"text":${JSON.stringify(text)},"logprobs":${logprobs},"finish_reason":${JSON.stringify(reason)}}]}`;
  return {
    start: () => '',
    text(index, piece, logprobs) {
      if (logprobs === undefined) return choice(index, piece, null);
      const document = textLogprobs(logprobs, offsets.get(index) ?? 0);
      offsets.set(index, logprobs.reduce((sum, { token }) => sum + token.length, offsets.get(index) ?? 0));
      return choice(index, piece, null, JSON.stringify(document));
    },
    reasoning: () => '',
    call: () => '',
    finish: (index, reason) => choice(index, '', reason),
    usage: (counts) => JSON.stringify({ ...identity, choices: [], usage: toUsage(counts) }),
    whole: (choices, counts) => JSON.stringify({
      ...identity,
      choices: choices.map(({ text, logprobs, reason }, index) => ({
        index, text, logprobs: logprobs === null ? null : textLogprobs(logprobs, 0), finish_reason: reason,
      })),
      usage: toUsage(counts),
    }),
  };
}

const REPLACEMENT = '\u{FFFD}';
const utf8 = new TextEncoder();

function chatLogprobs(logprobs: readonly AnswerLogprob[]) {
  // A part of a character has bytes that are not known here.
  const withBytes = ({ token, logprob }: { readonly token: string; readonly logprob: number }) =>
    ({ token, logprob, bytes: token.includes(REPLACEMENT) ? null : [...utf8.encode(token)] });
  return { content: logprobs.map((each) => ({ ...withBytes(each), top_logprobs: each.top.map(withBytes) })), refusal: null };
}

function textLogprobs(logprobs: readonly AnswerLogprob[], from: number) {
  let at = from;
  const offsets = logprobs.map(({ token }) => {
    const offset = at;
    at += token.length;
    return offset;
  });
  return {
    tokens: logprobs.map(({ token }) => token), token_logprobs: logprobs.map(({ logprob }) => logprob),
    top_logprobs: logprobs.map(({ top }) => Object.fromEntries(top.map(({ token, logprob }) => [token, logprob]))), text_offset: offsets,
  };
}

/** The document of embeddings; `base64`: as little-endian floats of 32 bits. */
export function embeddingsDocument(model: string, vectors: readonly (readonly number[])[], promptTokens: number, base64: boolean): string {
  return JSON.stringify({
    object: 'list',
    data: vectors.map((vector, index) => ({ object: 'embedding', index, embedding: base64 ? floatsAsBase64(vector) : vector })),
    model,
    usage: { prompt_tokens: promptTokens, total_tokens: promptTokens },
  });
}

function floatsAsBase64(vector: readonly number[]): string {
  const bytes = Buffer.alloc(vector.length * 4);
  vector.forEach((value, index) => bytes.writeFloatLE(value, index * 4));
  return bytes.toString('base64');
}
