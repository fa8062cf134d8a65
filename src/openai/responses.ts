// Answers of POST /v1/chat/completions and /v1/completions: types of the documents and their writers.
// Chunks are written as text around one JSON string, because there is one for each piece of an answer.
import { toUsage } from './usage.ts';
import type { Usage, UsageCounts } from './usage.ts';

export type FinishReason = 'stop' | 'length';

export interface ChatCompletion {
  readonly id: string;
  readonly object: 'chat.completion';
  /** Unix seconds. */
  readonly created: number;
  readonly model: string;
  readonly choices: readonly [{
    readonly index: 0;
    readonly message: { readonly role: 'assistant'; readonly content: string; readonly refusal: null };
    readonly logprobs: null;
    readonly finish_reason: FinishReason;
  }];
  readonly usage: Usage;
}

export interface TextCompletion {
  readonly id: string;
  readonly object: 'text_completion';
  readonly created: number;
  readonly model: string;
  readonly choices: readonly [{
    readonly index: 0;
    readonly text: string;
    readonly logprobs: null;
    readonly finish_reason: FinishReason;
  }];
  readonly usage: Usage;
}

export interface ChatCompletionChunk {
  readonly id: string;
  readonly object: 'chat.completion.chunk';
  readonly created: number;
  readonly model: string;
  readonly choices: readonly {
    readonly index: 0;
    readonly delta: { readonly role?: 'assistant'; readonly content?: string };
    readonly logprobs: null;
    readonly finish_reason: FinishReason | null;
  }[];
  readonly usage?: Usage;
}

export interface TextCompletionChunk {
  readonly id: string;
  readonly object: 'text_completion';
  readonly created: number;
  readonly model: string;
  readonly choices: readonly {
    readonly index: 0;
    readonly text: string;
    readonly logprobs: null;
    readonly finish_reason: FinishReason | null;
  }[];
  readonly usage?: Usage;
}

/** What names one answer: `id` without its prefix, `created` in Unix seconds. */
export interface AnswerIdentity {
  readonly id: string;
  readonly created: number;
  readonly model: string;
}

/** Writes the JSON documents of one answer, streamed or whole. */
export interface AnswerWriter {
  /** First chunk of a stream (chat: the role); empty where the kind has none. */
  start(): string;
  /** A chunk with a piece of the answer. */
  text(piece: string): string;
  /** The chunk that says why the answer ends. */
  finish(reason: FinishReason): string;
  /** The chunk with usage and no choices. */
  usage(counts: UsageCounts): string;
  /** The whole answer as one document. */
  whole(text: string, reason: FinishReason, counts: UsageCounts): string;
}

export function chatWriter({ id, created, model }: AnswerIdentity): AnswerWriter {
  const identity = { id: `chatcmpl-${id}`, object: 'chat.completion.chunk', created, model } as const;
  const head = JSON.stringify(identity).slice(0, -1);
  const choice = (delta: string, reason: FinishReason | null): string =>
    `${head},"choices":[{"index":0,"delta":${delta},"logprobs":null,"finish_reason":${JSON.stringify(reason)}}]}`;
  return {
    start: () => choice('{"role":"assistant","content":""}', null),
    text: (piece) => choice(`{"content":${JSON.stringify(piece)}}`, null),
    finish: (reason) => choice('{}', reason),
    usage: (counts) => JSON.stringify({ ...identity, choices: [], usage: toUsage(counts) } satisfies ChatCompletionChunk),
    whole: (text, reason, counts) => JSON.stringify({
      ...identity,
      object: 'chat.completion',
      choices: [{ index: 0, message: { role: 'assistant', content: text, refusal: null }, logprobs: null, finish_reason: reason }],
      usage: toUsage(counts),
    } satisfies ChatCompletion),
  };
}

export function textWriter({ id, created, model }: AnswerIdentity): AnswerWriter {
  const identity = { id: `cmpl-${id}`, object: 'text_completion', created, model } as const;
  const head = JSON.stringify(identity).slice(0, -1);
  const choice = (text: string, reason: FinishReason | null): string =>
    `${head},"choices":[{"index":0,"text":${JSON.stringify(text)},"logprobs":null,"finish_reason":${JSON.stringify(reason)}}]}`;
  return {
    start: () => '',
    text: (piece) => choice(piece, null),
    finish: (reason) => choice('', reason),
    usage: (counts) => JSON.stringify({ ...identity, choices: [], usage: toUsage(counts) } satisfies TextCompletionChunk),
    whole: (text, reason, counts) => JSON.stringify({
      ...identity,
      choices: [{ index: 0, text, logprobs: null, finish_reason: reason }],
      usage: toUsage(counts),
    } satisfies TextCompletion),
  };
}
