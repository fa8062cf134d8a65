// The node's OpenAI-compatible endpoints over any transport: POST /v1/chat/completions, /v1/completions and /v1/embeddings, streamed
// (server-sent events) or as one document. Every refusal is an answer in OpenAI's error shape; a failure after the first
// byte of an answer is never made to look complete: the returned promise rejects and the transport says that it failed.
import { randomBytes } from 'node:crypto';
import { systemClock } from '../core/clock.ts';
import { EngineError, NetworkError, asCocoonError } from '../core/errors.ts';
import { ApiError, reasonPhrase } from '../openai/errors.ts';
import { embeddingsDocument } from '../openai/responses.ts';
import { COUNTS_HEADER, countsComment, DONE, sseBytes, sseEvent } from '../openai/sse.ts';
import { NO_USAGE } from '../openai/usage.ts';
import { addUsage, openChoices } from './choices.ts';
import { ContextLengthError } from './engine.ts';
import { readJob } from './request-job.ts';
import type { Clock } from '../core/clock.ts';
import type { AnswerCall, AnswerLogprob, AnswerWriter, FinishReason } from '../openai/responses.ts';
import type { UsageCounts } from '../openai/usage.ts';
import type { ChoiceEvent, Choices } from './choices.ts';
import type { Engine, EngineFinishReason, EngineUsage } from './engine.ts';
import type { CompletionJob, EmbeddingJob } from './request-job.ts';

export interface HttpHeader {
  readonly name: string;
  readonly value: string;
}

export interface HttpRequest {
  readonly method: string;
  /** Path, with or without a query; the query is ignored. */
  readonly url: string;
  /** Hardly looked at: what they say is for the hops before this one. */
  readonly headers: readonly HttpHeader[];
  readonly payload: Uint8Array;
}

/** Where an answer goes: `head` once, `part` any number of times, `end` once. A rejection ends the answer. */
export interface HttpResponder {
  head(status: number, reason: string, headers: readonly HttpHeader[]): void | Promise<void>;
  /** Resolves when more may be sent. */
  part(bytes: Uint8Array): void | Promise<void>;
  /** The answer is complete with `bytes`, the last of its body; `usage` is what the engine counted (zeros for a refusal). */
  end(usage: UsageCounts, bytes: Uint8Array): void | Promise<void>;
  /**
   * The answer will not be completed, and part of its body was taken: `usage` is what the engine had counted by then.
   * Called at most once, before the rejection; an answer of which nothing was taken has no counts.
   */
  cut?(usage: UsageCounts): void | Promise<void>;
}

export interface HandlerOptions {
  /** Largest body in bytes. Default 8 MiB. */
  readonly maxRequestBytes?: number;
  readonly clock?: Clock;
  /** Random part of an answer's id. Default: 24 hexadecimal digits. */
  readonly newId?: () => string;
}

const DEFAULT_MAX_REQUEST_BYTES = 8 << 20;
/** Reason of the last abort of every request; made once, because an abort without one makes an exception each time. */
const ENDED = new NetworkError('E_CLOSED', 'request has ended');

/** How long an engine that was told to stop may take to say what it has counted; less than the session's grace for the last message. */
const COUNT_WAIT_MS = 900;

const JSON_HEADERS: readonly HttpHeader[] = [{ name: 'content-type', value: 'application/json' }];
const STREAM_HEADERS: readonly HttpHeader[] = [
  { name: 'content-type', value: 'text/event-stream; charset=utf-8' },
  { name: 'cache-control', value: 'no-cache' },
];

/**
 * Answers one request with `engine`. Resolves when the answer, or the refusal, has been given to `respond` whole.
 * Rejects with a CocoonError when it could not be completed after its head was sent, when `signal` aborted
 * (NetworkError E_CLOSED), or when `respond` failed.
 */
export async function handleHttpRequest(
  http: HttpRequest, engine: Engine, signal: AbortSignal, respond: HttpResponder, options: HandlerOptions = {},
): Promise<void> {
  const answer = observe(respond);
  const left = new AbortController();
  let choices: Choices | null = null;
  try {
    const job = readJob(http, engine.info(), options.maxRequestBytes ?? DEFAULT_MAX_REQUEST_BYTES);
    const stop = AbortSignal.any([signal, left.signal]);
    if (job.kind === 'embedding') {
      await embed(answer, engine, job, stop);
      return;
    }
    const writer = job.writerFor({
      id: (options.newId ?? (() => randomBytes(12).toString('hex')))(),
      created: Math.floor((options.clock ?? systemClock).now() / 1000),
      model: engine.info().model,
    });
    choices = openChoices(job.requests.map((request) => engine.complete(request, stop)));
    await (job.sampling.stream ? stream(answer, writer, choices, job, wantsCounts(http)) : whole(answer, writer, choices, job));
  } catch (thrown) {
    left.abort(ENDED);
    const usage = await choices?.counts(COUNT_WAIT_MS) ?? null;
    if (answer.delivered && usage !== null) await respond.cut?.(countsOf(usage));
    if (signal.aborted) throw new NetworkError('E_CLOSED', 'request was cancelled before its answer was complete', { cause: thrown });
    if (answer.begun) throw asCocoonError(thrown);
    await refuse(answer, toApiError(thrown));
  } finally {
    // Whatever ended it, the engine's sequences are free from now on.
    left.abort(ENDED);
  }
}

const countsOf = (usage: EngineUsage): UsageCounts => ({ ...usage, reasoningTokens: usage.reasoningTokens ?? 0 });

/** A client that may have to take the answer to another node asks what was counted so far; readers of events do not see it. */
const wantsCounts = ({ headers }: HttpRequest): boolean => headers.some(({ name, value }) => name.toLowerCase() === COUNTS_HEADER && value === '1');

async function stream(answer: HttpResponder, writer: AnswerWriter, events: AsyncIterable<ChoiceEvent>, { requests, sampling, prelude }: CompletionJob, counted: boolean): Promise<void> {
  let unsent = requests.map((_, index) => opening(writer, index, prelude)).join('');
  let usage: EngineUsage | null = null;
  let running = requests.length;
  let begun = false;
  const calls = requests.map(() => 0);
  for await (const { index, event } of events) {
    const reason = event.type === 'finish' ? completedReason(event.reason) : null;
    // The head waits for the first event: what fails before it is still answered with an error status.
    if (!begun) await answer.head(200, reasonPhrase(200), STREAM_HEADERS);
    begun = true;
    if (event.type === 'text' || event.type === 'reasoning') {
      const chunk = event.type === 'text' ? writer.text(index, event.text, event.logprobs) : writer.reasoning(index, event.text);
      if (chunk !== '') unsent += sseEvent(chunk);
      if (counted && requests.length === 1 && event.usage !== undefined) unsent += countsComment(countsOf(event.usage));
    } else if (event.type === 'call') {
      const chunk = writer.call(index, calls[index] ?? 0, event.call);
      calls[index] = (calls[index] ?? 0) + 1;
      if (chunk !== '') unsent += sseEvent(chunk);
    } else if (reason !== null) {
      unsent += sseEvent(writer.finish(index, reason));
      usage = usage === null ? event.usage : addUsage(usage, event.usage);
      running -= 1;
      if (running === 0) {
        const counts = countsOf(usage);
        await answer.end(counts, sseBytes(unsent + (sampling.includeUsage ? sseEvent(writer.usage(counts)) : '') + sseEvent(DONE)));
        return;
      }
    }
    if (unsent !== '') await answer.part(sseBytes(unsent));
    unsent = '';
  }
  throw new EngineError('E_ENGINE', 'engine ended its answer without saying why');
}

function opening(writer: AnswerWriter, index: number, prelude: string): string {
  const first = writer.start(index);
  return (first === '' ? '' : sseEvent(first)) + (prelude === '' ? '' : sseEvent(writer.text(index, prelude)));
}

async function whole(answer: HttpResponder, writer: AnswerWriter, events: AsyncIterable<ChoiceEvent>, { requests, sampling, prelude }: CompletionJob): Promise<void> {
  const answers = requests.map(() => ({ pieces: [prelude], reasoning: [] as string[], calls: [] as AnswerCall[], logprobs: [] as AnswerLogprob[], reason: null as FinishReason | null }));
  let usage: EngineUsage | null = null;
  for await (const { index, event } of events) {
    const own = answers[index];
    if (own === undefined) continue;
    if (event.type === 'text') {
      own.pieces.push(event.text);
      own.logprobs.push(...(event.logprobs ?? []));
    } else if (event.type === 'reasoning') {
      own.reasoning.push(event.text);
    } else if (event.type === 'call') {
      own.calls.push(event.call);
    } else {
      own.reason = completedReason(event.reason);
      usage = usage === null ? event.usage : addUsage(usage, event.usage);
    }
  }
  const choices = answers.flatMap(({ pieces, reasoning, calls, logprobs, reason }) =>
    (reason === null ? [] : [{ text: pieces.join(''), reasoning: reasoning.join(''), calls, logprobs: sampling.logprobs === undefined ? null : logprobs, reason }]));
  if (usage === null || choices.length < answers.length) throw new EngineError('E_ENGINE', 'engine ended its answer without saying why');
  const counts = countsOf(usage);
  const document = sseBytes(writer.whole(choices, counts));
  await answer.head(200, reasonPhrase(200), JSON_HEADERS);
  await answer.end(counts, document);
}

async function embed(answer: HttpResponder, engine: Engine, { request }: EmbeddingJob, signal: AbortSignal): Promise<void> {
  const { vectors, promptTokens } = await engine.embed(request.inputs, signal);
  const document = sseBytes(embeddingsDocument(engine.info().model, vectors, promptTokens, request.base64));
  await answer.head(200, reasonPhrase(200), JSON_HEADERS);
  await answer.end({ ...NO_USAGE, promptTokens }, document);
}

async function refuse(answer: HttpResponder, error: ApiError): Promise<void> {
  const headers = Object.entries(error.headers).map(([name, value]) => ({ name, value }));
  await answer.head(error.status, reasonPhrase(error.status), [...JSON_HEADERS, ...headers]);
  await answer.end(NO_USAGE, sseBytes(JSON.stringify(error.toBody())));
}

/** The answer to a failure that came before the head. The engine's messages hold no prompts; others are not passed on. */
export function toApiError(thrown: unknown): ApiError {
  if (thrown instanceof ApiError) return thrown;
  if (thrown instanceof ContextLengthError) {
    return new ApiError('E_CONTEXT_LENGTH', 400, thrown.message, { code: 'context_length_exceeded', cause: thrown });
  }
  if (thrown instanceof EngineError && thrown.code === 'E_ENGINE_BUSY') {
    return new ApiError('E_ENGINE_BUSY', 503, thrown.message, { code: 'engine_busy', headers: { 'retry-after': '1' }, cause: thrown });
  }
  const message = thrown instanceof EngineError ? thrown.message : 'the server failed while answering';
  return new ApiError('E_ENGINE', 500, message, { code: 'engine_failed', cause: thrown });
}

/** The same responder, which knows whether a head was sent, and whether any of the body was taken. */
function observe(respond: HttpResponder): HttpResponder & { readonly begun: boolean; readonly delivered: boolean } {
  let begun = false;
  let delivered = false;
  return {
    get begun() {
      return begun;
    },
    get delivered() {
      return delivered;
    },
    head(status, reason, headers) {
      begun = true;
      return respond.head(status, reason, headers);
    },
    async part(bytes) {
      await respond.part(bytes);
      delivered = true;
    },
    end: (usage, bytes) => respond.end(usage, bytes),
  };
}

function completedReason(reason: EngineFinishReason): FinishReason {
  if (reason === 'cancelled') throw new NetworkError('E_CLOSED', 'engine cancelled the answer');
  return reason === 'tools' ? 'tool_calls' : reason;
}
