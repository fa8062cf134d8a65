// One chat question: sends it as a streaming OpenAI request, gives the text as it comes, and at the end what it cost, how long
// each hop took and what shows who answered. Through several proxies a question is asked again before its answer has begun.
// An answer without its finish reason, its [DONE] and its final message is an error: nothing incomplete ends like something complete.
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { NetworkError, UsageError } from '../core/errors.ts';
import { createSseParser } from '../openai/sse-parser.ts';
import { readUsage } from '../openai/usage.ts';
import { isEnd } from './answer-body.ts';
import { failureInStream, refusedByNode } from './refusals.ts';
import type { CocoonError } from '../core/errors.ts';
import type { UsageCounts } from '../openai/usage.ts';
import type { HopTimes, HttpHead, TokensUsed } from '../wire/answer.ts';
import type { AnswerProof } from '../wire/sealed.ts';
import type { AnswerBody } from './answer-body.ts';
import type { ConnectedProxy } from './connect.ts';
import type { Forwarder, ForwardRequest } from './forward.ts';

export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

export interface Question {
  /** Base name of the model. */
  readonly model: string;
  /** The last message of the user. */
  readonly prompt: string;
  readonly system?: string | undefined;
  /** Messages between the system's and the prompt: earlier questions and their answers. */
  readonly history?: readonly ChatMessage[] | undefined;
  readonly maxTokens: number;
  readonly temperature?: number | undefined;
  readonly topP?: number | undefined;
  readonly seed?: number | undefined;
  readonly stop?: readonly string[] | undefined;
  /** The answer is to be JSON of this schema; nodes that cannot constrain it refuse with UnconstrainedError. */
  readonly schema?: { readonly name: string; readonly schema: Readonly<Record<string, unknown>> } | undefined;
  /** Names the conversation to the proxy, so that a node that has its beginning cached is preferred. Means nothing to anybody else. */
  readonly conversation?: string | undefined;
}

export interface AskOptions extends Pick<ForwardRequest, 'maxCoefficient' | 'timeoutMs' | 'signal' | 'cost' | 'target'> {
  /** True: the answer's body is kept as it came. */
  readonly keepAnswer?: boolean | undefined;
}

/** What a receipt speaks of: the HTTP bodies of request and answer. */
export interface Exchange {
  readonly request: Uint8Array;
  /** SHA-256 of the answer's body as it came, 32 bytes. */
  readonly answerHash: Uint8Array;
  /** The answer's body; null unless it was asked for. */
  readonly answer: Uint8Array | null;
}

export interface Answer {
  readonly text: string;
  readonly finishReason: string;
  /** The engine's own counts. */
  readonly usage: UsageCounts;
  /** What is charged: adjusted tokens as the node reported and the proxy passed on. */
  readonly charged: TokensUsed;
  /** The proxy that passed it on. */
  readonly proxy: ConnectedProxy;
  /** What shows who answered; null where the request was not sealed. */
  readonly proof: AnswerProof | null;
  readonly exchange: Exchange;
  readonly timing: {
    /** From sending the request. */
    readonly firstTextMs: number | null;
    readonly totalMs: number;
    /** Unix seconds; null where the peer's version does not tell. */
    readonly proxy: HopTimes | null;
    readonly node: HopTimes | null;
  };
}

/** The node cannot hold its answers to a schema; asked without one it answers, and the answer is the caller's to judge. */
export class UnconstrainedError extends UsageError {}

/** Largest body of an error answer that is kept, largest body of an answer that is, and largest answer text. */
const MAX_ERROR_BYTES = 64 * 1024;
const MAX_KEPT_BYTES = 64 * 1024 * 1024;
const MAX_TEXT_LENGTH = 16 * 1024 * 1024;
/** How nodes name the option that they refuse. */
const SCHEMA_OPTION = /\bresponse_format\b/;
const CHAT_PATH = '/v1/chat/completions';
const CONVERSATION_HEADER = 'X-Cocoon-Conversation';

const Chunk = z.object({
  choices: z.array(z.object({
    delta: z.object({ content: z.string().nullish() }),
    finish_reason: z.string().max(64).nullish(),
  })).max(1),
  error: z.unknown().optional(),
});

function bodyOf(question: Question): Uint8Array {
  const { prompt, system, history = [], schema } = question;
  return new TextEncoder().encode(JSON.stringify({
    model: question.model,
    messages: [...(system === undefined ? [] : [{ role: 'system', content: system }]), ...history, { role: 'user', content: prompt }],
    stream: true,
    stream_options: { include_usage: true },
    max_tokens: question.maxTokens,
    max_completion_tokens: question.maxTokens, // whichever an engine heeds, the limit is the one that is reserved
    ...(question.temperature === undefined ? {} : { temperature: question.temperature }),
    ...(question.topP === undefined ? {} : { top_p: question.topP }),
    ...(question.seed === undefined ? {} : { seed: question.seed }),
    ...(question.stop === undefined || question.stop.length === 0 ? {} : { stop: question.stop }),
    ...(schema === undefined ? {} : { response_format: { type: 'json_schema', json_schema: { name: schema.name, strict: true, schema: schema.schema } } }),
  }));
}

/** The HTTP request of a question, as it is sent. */
export function requestOf(question: Question): Pick<ForwardRequest, 'path' | 'payload' | 'headers' | 'model' | 'maxTokens'> {
  const { conversation, model, maxTokens } = question;
  return {
    path: CHAT_PATH, payload: bodyOf(question), model, maxTokens,
    headers: conversation === undefined ? [] : [{ name: CONVERSATION_HEADER, value: conversation }],
  };
}

/** Reads the events of one streamed chat answer; keeps the text, the finish reason and the usage. */
class ChatReader {
  readonly #sse = createSseParser();
  text = '';
  finishReason: string | null = null;
  usage: UsageCounts | null = null;
  #done = false;

  /** The text that these bytes add. */
  push(bytes: Uint8Array): string {
    let added = '';
    for (const { data } of this.#sse.push(bytes)) {
      if (this.#done) throw new NetworkError('E_PROTOCOL', 'the answer goes on after its end');
      if (data === '[DONE]') this.#done = true;
      else added += this.#chunk(data);
    }
    this.text += added;
    if (this.text.length > MAX_TEXT_LENGTH) throw new NetworkError('E_PROTOCOL', `the answer is longer than ${MAX_TEXT_LENGTH} characters`);
    return added;
  }

  #chunk(data: string): string {
    let value: unknown;
    try {
      value = JSON.parse(data);
    } catch (cause) {
      throw new NetworkError('E_PROTOCOL', 'the answer contains an event that is not JSON', { cause });
    }
    const parsed = Chunk.safeParse(value);
    const failure = parsed.success && parsed.data.error === undefined ? null : failureInStream(value);
    if (failure !== null) throw failure;
    if (!parsed.success) throw new NetworkError('E_PROTOCOL', 'the answer contains an event that is not a chat chunk', { cause: parsed.error });
    this.usage = readUsage(value) ?? this.usage;
    const [choice] = parsed.data.choices;
    this.finishReason = choice?.finish_reason ?? this.finishReason;
    return choice?.delta.content ?? '';
  }

  /** To be called when the peer says that the answer is complete. Throws NetworkError E_CLOSED when it is not. */
  finish(): { finishReason: string; usage: UsageCounts } {
    this.#sse.end();
    if (!this.#done || this.finishReason === null || this.usage === null) {
      throw new NetworkError('E_CLOSED', 'the answer is incomplete: it ended without its finish reason, its usage or its last event');
    }
    return { finishReason: this.finishReason, usage: this.usage };
  }
}

/** Collects the body of an error answer, as much of it as is worth reading. */
class ErrorBody {
  readonly #parts: Uint8Array[] = [];
  #length = 0;

  push(bytes: Uint8Array): void {
    if (this.#length >= MAX_ERROR_BYTES) return;
    // The bytes are a view into the connection's buffer; what is kept is copied.
    const part = bytes.slice(0, MAX_ERROR_BYTES - this.#length);
    this.#parts.push(part);
    this.#length += part.length;
  }

  bytes(): Uint8Array {
    return Buffer.concat(this.#parts);
  }
}

/** What a node's refusal means. */
async function refusal({ status }: HttpHead, body: AnswerBody, { schema }: Question): Promise<CocoonError> {
  const refused = new ErrorBody();
  for (let piece = await body.next(); !isEnd(piece); piece = await body.next()) refused.push(piece);
  const error = refusedByNode(status, refused.bytes());
  if (schema === undefined || error.code !== 'E_REQUEST' || !SCHEMA_OPTION.test(error.message)) return error;
  return new UnconstrainedError('E_REQUEST', error.message, { cause: error, hint: 'use a model whose node can hold answers to a schema' });
}

/**
 * Asks and yields the text as it comes; returns the whole answer. Throws what `forward` throws, UsageError (the node refused the request;
 * UnconstrainedError for its schema), NotFoundError (unknown model), CapacityError, EngineError, or NetworkError; after any of them what
 * was yielded is incomplete. Leaving the loop cancels the request.
 */
export async function* askChat({ forward }: Pick<Forwarder, 'forward'>, question: Question, options: AskOptions): AsyncGenerator<string, Answer, undefined> {
  const startedMs = performance.now();
  const request = requestOf(question);
  const { keepAnswer = false, ...ask } = options;
  const { proxy, head, body } = await forward({ ...request, ...ask, whole: false });
  const kept: Uint8Array[] | null = keepAnswer ? [] : null;
  let keptBytes = 0;
  const reader = new ChatReader();
  const hash = createHash('sha256');
  let firstTextMs: number | null = null;
  try {
    if (head.status !== 200) throw await refusal(head, body, question);
    for (;;) {
      const piece = await body.next();
      if (isEnd(piece)) {
        const { info, proof = null } = piece;
        return {
          text: reader.text, ...reader.finish(), charged: info.tokens, proxy, proof,
          exchange: { request: request.payload, answerHash: new Uint8Array(hash.digest()), answer: kept === null ? null : new Uint8Array(Buffer.concat(kept)) },
          timing: { firstTextMs, totalMs: performance.now() - startedMs, proxy: info.proxyTimes ?? null, node: info.workerTimes ?? null },
        };
      }
      hash.update(piece);
      if (kept !== null) {
        kept.push(piece.slice());
        keptBytes += piece.byteLength;
        if (keptBytes > MAX_KEPT_BYTES) throw new NetworkError('E_PROTOCOL', `the answer is longer than ${MAX_KEPT_BYTES} bytes`);
      }
      const added = reader.push(piece);
      if (added === '') continue;
      firstTextMs ??= performance.now() - startedMs;
      yield added;
    }
  } finally {
    await body.leave();
  }
}
