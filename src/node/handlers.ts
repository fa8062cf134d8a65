// The node's OpenAI-compatible endpoints over any transport: POST /v1/chat/completions and /v1/completions, streamed
// (server-sent events) or as one document. Every refusal is an answer in OpenAI's error shape; a failure after the first
// byte of an answer is never made to look complete: the returned promise rejects and the transport says that it failed.
import { randomBytes } from 'node:crypto';
import { systemClock } from '../core/clock.ts';
import { EngineError, NetworkError, asCocoonError } from '../core/errors.ts';
import { ApiError, badRequest, reasonPhrase } from '../openai/errors.ts';
import { parseChatRequest, parseTextRequest } from '../openai/requests.ts';
import { chatWriter, textWriter } from '../openai/responses.ts';
import { DONE, sseBytes, sseEvent } from '../openai/sse.ts';
import { NO_USAGE } from '../openai/usage.ts';
import { countedEvents } from './counted-events.ts';
import { ContextLengthError } from './engine.ts';
import type { Clock } from '../core/clock.ts';
import type { SamplingRequest } from '../openai/requests.ts';
import type { AnswerWriter, FinishReason } from '../openai/responses.ts';
import type { UsageCounts } from '../openai/usage.ts';
import type { CountedEvents } from './counted-events.ts';
import type { Engine, EngineEvent, EnginePrompt } from './engine.ts';

export interface HttpHeader {
  readonly name: string;
  readonly value: string;
}

export interface HttpRequest {
  readonly method: string;
  /** Path, with or without a query; the query is ignored. */
  readonly url: string;
  /** Not looked at: what they say is for the hops before this one. */
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
/** Each piece costs every hop a message, so a fast engine would be slowed down by its own transport; nobody reads faster than this. */
const PIECE_INTERVAL_MS = 20;
/** Reason of the last abort of every request; made once, because an abort without one makes an exception each time. */
const ENDED = new NetworkError('E_CLOSED', 'request has ended');

/** How long an engine that was told to stop may take to say what it has counted; less than the session's grace for the last message. */
const COUNT_WAIT_MS = 900;

const JSON_HEADERS: readonly HttpHeader[] = [{ name: 'content-type', value: 'application/json' }];
const STREAM_HEADERS: readonly HttpHeader[] = [
  { name: 'content-type', value: 'text/event-stream; charset=utf-8' },
  { name: 'cache-control', value: 'no-cache' },
];

/** A request for the engine, and how its answer is written. */
interface Job {
  readonly request: SamplingRequest;
  readonly prompt: EnginePrompt;
  readonly writerFor: typeof chatWriter;
  /** Text that precedes the answer: the prompt of `echo`. */
  readonly prelude: string;
}

const ROUTES: Readonly<Record<string, (payload: Uint8Array) => Job>> = {
  '/v1/chat/completions': (payload) => {
    const request = parseChatRequest(payload);
    return {
      request,
      prompt: { kind: 'chat', messages: request.messages, template: request.template },
      writerFor: chatWriter,
      prelude: '',
    };
  },
  '/v1/completions': (payload) => {
    const request = parseTextRequest(payload);
    return {
      request,
      prompt: { kind: 'text', text: request.prompt },
      writerFor: textWriter,
      prelude: request.echo ? request.prompt : '',
    };
  },
};

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
  let events: CountedEvents | null = null;
  try {
    const job = readJob(http, engine, options.maxRequestBytes ?? DEFAULT_MAX_REQUEST_BYTES);
    const writer = job.writerFor({
      id: (options.newId ?? (() => randomBytes(12).toString('hex')))(),
      created: Math.floor((options.clock ?? systemClock).now() / 1000),
      model: engine.info().model,
    });
    const request = { ...job.request, prompt: job.prompt, pieceIntervalMs: PIECE_INTERVAL_MS };
    events = countedEvents(engine.complete(request, AbortSignal.any([signal, left.signal])));
    await (job.request.stream ? stream : whole)(answer, writer, events, job);
  } catch (thrown) {
    left.abort(ENDED);
    const usage = await events?.counts(COUNT_WAIT_MS) ?? null;
    if (answer.delivered && usage !== null) await respond.cut?.({ ...usage, reasoningTokens: 0 });
    if (signal.aborted) throw new NetworkError('E_CLOSED', 'request was cancelled before its answer was complete', { cause: thrown });
    if (answer.begun) throw asCocoonError(thrown);
    await refuse(answer, toApiError(thrown));
  } finally {
    // Whatever ended it, the engine's sequence is free from now on.
    left.abort(ENDED);
  }
}

/** Checks path, method, size, body and model, in this order. */
function readJob({ method, url, payload }: HttpRequest, engine: Engine, maxRequestBytes: number): Job {
  const path = url.split('?', 1)[0] ?? '';
  const route = Object.hasOwn(ROUTES, path) ? ROUTES[path] : undefined;
  if (route === undefined) throw badRequest('path is not one of this server', { status: 404, code: 'unknown_url' });
  if (method !== 'POST') {
    throw badRequest(`method is not allowed for ${path}, expected POST`, { status: 405, code: 'method_not_allowed', headers: { allow: 'POST' } });
  }
  if (payload.byteLength > maxRequestBytes) {
    throw badRequest(`request body has ${payload.byteLength} bytes, expected at most ${maxRequestBytes}`, { status: 413, code: 'request_too_large' });
  }
  const job = route(payload);
  const { model } = engine.info();
  if (job.request.model !== model) {
    throw badRequest(`the model '${job.request.model.slice(0, 100)}' is not served here, expected '${model}'`, { status: 404, param: 'model', code: 'model_not_found' });
  }
  return job;
}

async function stream(answer: HttpResponder, writer: AnswerWriter, events: AsyncIterable<EngineEvent>, { request, prelude }: Job): Promise<void> {
  const first = writer.start();
  let unsent = (first === '' ? '' : sseEvent(first)) + (prelude === '' ? '' : sseEvent(writer.text(prelude)));
  let begun = false;
  for await (const event of events) {
    const reason = event.type === 'finish' ? completedReason(event) : undefined;
    // The head waits for the first event: what fails before it is still answered with an error status.
    if (!begun) await answer.head(200, reasonPhrase(200), STREAM_HEADERS);
    begun = true;
    if (event.type === 'text') {
      await answer.part(sseBytes(unsent + sseEvent(writer.text(event.text))));
      unsent = '';
    } else if (event.type === 'finish' && reason !== undefined) {
      const usage = usageOf(event);
      const last = sseEvent(writer.finish(reason)) + (request.includeUsage ? sseEvent(writer.usage(usage)) : '');
      await answer.end(usage, sseBytes(unsent + last + sseEvent(DONE)));
      return;
    }
  }
  throw new EngineError('E_ENGINE', 'engine ended its answer without saying why');
}

async function whole(answer: HttpResponder, writer: AnswerWriter, events: AsyncIterable<EngineEvent>, { prelude }: Job): Promise<void> {
  const pieces = [prelude];
  for await (const event of events) {
    if (event.type === 'text') {
      pieces.push(event.text);
    } else if (event.type === 'finish') {
      const usage = usageOf(event);
      const document = sseBytes(writer.whole(pieces.join(''), completedReason(event), usage));
      await answer.head(200, reasonPhrase(200), JSON_HEADERS);
      await answer.end(usage, document);
      return;
    }
  }
  throw new EngineError('E_ENGINE', 'engine ended its answer without saying why');
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

type FinishEvent = EngineEvent & { readonly type: 'finish' };

function usageOf({ usage }: FinishEvent): UsageCounts {
  return { ...usage, reasoningTokens: 0 };
}

function completedReason({ reason }: FinishEvent): FinishReason {
  if (reason === 'cancelled') throw new NetworkError('E_CLOSED', 'engine cancelled the answer');
  return reason === 'tools' ? 'stop' : reason;
}
