// The Engine over another server that speaks OpenAI's API: vLLM, SGLang, llama-server, for models over several GPUs or hosts. It is
// watched by asking for its models; a request is sent again only while nothing of its answer has come. Tokens are counted by the
// backend's usage; without it by its /tokenize, and without that by the pieces that came, which is never more than was generated.
import { Pool } from 'undici';
import { abortError, withDeadline } from '../../core/deadline.ts';
import { asCocoonError, ConfigError, EngineError } from '../../core/errors.ts';
import { sleep } from '../../core/retry.ts';
import { ApiError, badRequest } from '../../openai/errors.ts';
import { COUNTS_HEADER } from '../../openai/sse.ts';
import { EngineStoppedError } from '../engine.ts';
import { createBackendAnswer } from './backend-answer.ts';
import { backendCall } from './backend-request.ts';
import type { Dispatcher } from 'undici';
import type { Log } from '../../core/log.ts';
import type { Engine, EngineEmbeddings, EngineEvent, EngineInfo, EngineRequest, EngineUsage } from '../engine.ts';
import type { BackendAnswer } from './backend-answer.ts';
import type { BackendCall } from './backend-request.ts';

export interface HttpEngineOptions {
  /** Without a path; `/v1` at its end is taken off. */
  readonly url: string;
  /** Name under which the model is served. */
  readonly model: string;
  /** The backend's name of it; default: the only one that it has. */
  readonly backendModel?: string | undefined;
  readonly apiKey?: string | undefined;
  /** Requests that are sent at the same time, and that may wait. */
  readonly parallel: number;
  readonly queueLimit?: number | undefined;
  /** Tokens of prompt and answer; default: what the backend says of its model. */
  readonly contextSize?: number | undefined;
  /** True: prompts may travel unencrypted to another machine. */
  readonly allowPlaintext?: boolean;
  readonly log: Log;
  readonly signal?: AbortSignal;
  readonly times?: HttpEngineTimes;
}

export interface HttpEngineTimes {
  readonly healthMs: number;
  readonly healthTimeoutMs: number;
  /** Until the first byte, and between two of them. */
  readonly firstByteMs: number;
  readonly stallMs: number;
  readonly retryMs: number;
}

const TIMES: HttpEngineTimes = { healthMs: 5_000, healthTimeoutMs: 10_000, firstByteMs: 600_000, stallMs: 120_000, retryMs: 250 };
const ATTEMPTS = 3;
const MAX_ANSWER_BYTES = 64 << 20;
const MAX_DOCUMENT_BYTES = 16 << 20;
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/** Connects and asks for the models. Throws ConfigError for a URL that must not be used, EngineError when it does not answer or has not the model. */
export async function openHttpEngine(options: HttpEngineOptions): Promise<Engine> {
  const origin = backendOrigin(options.url, options.allowPlaintext ?? false);
  const times = options.times ?? TIMES;
  const pool = new Pool(origin, {
    connections: options.parallel + 2, headersTimeout: times.firstByteMs, bodyTimeout: times.stallMs, connect: { timeout: times.healthTimeoutMs },
  });
  const backend = new Backend(pool, options, times);
  try {
    const served = await backend.models(options.signal);
    return new HttpEngine(backend, chooseModel(served, options.backendModel), options, times);
  } catch (error) {
    await pool.destroy();
    throw error;
  }
}

/** Origin of a backend. Throws ConfigError. */
export function backendOrigin(text: string, allowPlaintext: boolean): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== '' || url.search !== '' || !/^\/(v1\/?)?$/.test(url.pathname)) {
    throw new ConfigError('E_CONFIG', `cannot use the backend "${text}": expected http:// or https:// with a host and no path`);
  }
  if (url.protocol === 'http:' && !LOOPBACK.test(url.hostname) && !allowPlaintext) {
    throw new ConfigError('E_CONFIG', `the backend ${url.origin} is on another machine and prompts would travel unencrypted`, { hint: 'use https, a tunnel to 127.0.0.1, or accept it with --backend-plaintext' });
  }
  return url.origin;
}

interface BackendModel {
  readonly id: string;
  readonly contextSize: number | null;
  /** False where the backend is an endpoint of this package and no node of its network serves the model now. */
  readonly served: boolean;
}

function chooseModel(served: readonly BackendModel[], wanted: string | undefined): BackendModel {
  const names = served.map(({ id }) => id).slice(0, 10).join(', ');
  if (wanted === undefined) {
    const [only, ...others] = served;
    if (only !== undefined && others.length === 0) return only;
    throw new EngineError('E_ENGINE', `the backend has ${served.length} models: ${names}`, { hint: 'name one with --backend-model' });
  }
  const found = served.find(({ id }) => id === wanted);
  if (found === undefined) throw new EngineError('E_ENGINE', `the backend has no model "${wanted}", but ${names}`);
  return found;
}

/** Requests to one server, with bounds. */
class Backend {
  readonly #pool: Pool;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #times: HttpEngineTimes;
  /** Which /tokenize the server has; null: none. */
  #tokenize: 'vllm' | 'llama' | 'unknown' | null = 'unknown';

  constructor(pool: Pool, { apiKey }: HttpEngineOptions, times: HttpEngineTimes) {
    this.#pool = pool;
    this.#times = times;
    this.#headers = { 'content-type': 'application/json', ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }) };
  }

  close(): Promise<void> {
    return this.#pool.destroy();
  }

  async models(signal?: AbortSignal): Promise<BackendModel[]> {
    const document = await this.#document('GET', '/v1/models', null, signal);
    const data = (document as { readonly data?: unknown }).data;
    if (!Array.isArray(data)) throw new EngineError('E_ENGINE', 'the backend gave no list of models');
    return (data as readonly unknown[]).flatMap((item) => {
      const { id, max_model_len: length, meta, cocoon } = (item ?? {}) as Readonly<Record<string, unknown>>;
      const trained = (meta as { readonly n_ctx?: unknown; readonly n_ctx_train?: unknown } | null | undefined);
      const context = [length, trained?.n_ctx, trained?.n_ctx_train].find((value) => typeof value === 'number' && Number.isSafeInteger(value) && value > 0);
      const served = (cocoon as { readonly nodes?: unknown } | null | undefined)?.nodes !== 0;
      return typeof id === 'string' ? [{ id, contextSize: (context as number | undefined) ?? null, served }] : [];
    });
  }

  /** Sends a request; again where nothing of an answer has come. Throws ApiError and EngineError for what is no answer. */
  async send({ path, body }: BackendCall, signal: AbortSignal): Promise<Dispatcher.ResponseData['body']> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        const response = await this.#pool.request({ path, method: 'POST', headers: { ...this.#headers, [COUNTS_HEADER]: '1' }, body, signal });
        if (response.statusCode === 200) return response.body;
        throw await refusalOf(path, response);
      } catch (error) {
        if (error instanceof ApiError || error instanceof EngineError || signal.aborted) throw error;
        if (attempt >= ATTEMPTS) throw new EngineError('E_ENGINE', 'the backend cannot be reached', { cause: error });
        await sleep(this.#times.retryMs * attempt, signal);
      }
    }
  }

  embed(model: string, texts: readonly string[], signal: AbortSignal): Promise<unknown> {
    return this.#document('POST', '/v1/embeddings', { model, input: texts }, signal);
  }

  /** Tokens of a text; null where the backend cannot count. */
  async countTokens(model: string, text: string): Promise<number | null> {
    if (text === '') return 0;
    for (const kind of this.#tokenize === 'unknown' ? (['vllm', 'llama'] as const) : this.#tokenize === null ? [] : [this.#tokenize]) {
      const answer = await this.#document('POST', '/tokenize', kind === 'vllm' ? { model, prompt: text } : { content: text }).catch(() => null);
      const { count, tokens } = (answer ?? {}) as { readonly count?: unknown; readonly tokens?: unknown };
      const counted = typeof count === 'number' ? count : Array.isArray(tokens) && tokens.length > 0 ? tokens.length : null;
      if (counted === null || !Number.isSafeInteger(counted) || counted < 0 || counted > Buffer.byteLength(text) + 2) continue;
      this.#tokenize = kind;
      return counted;
    }
    this.#tokenize = null;
    return null;
  }

  async #document(method: 'GET' | 'POST', path: string, body: unknown, signal?: AbortSignal): Promise<object> {
    return withDeadline(async (stop) => {
      const response = await this.#pool.request({ path, method, headers: this.#headers, ...(body !== null && { body: JSON.stringify(body) }), signal: stop }).catch((cause: unknown) => {
        throw new EngineError('E_ENGINE', `the backend does not answer to ${path}`, { cause });
      });
      if (response.statusCode !== 200) throw method === 'GET' ? await statusOf(path, response) : await refusalOf(path, response);
      const text = await boundedText(response.body, MAX_DOCUMENT_BYTES);
      try {
        const value: unknown = JSON.parse(text);
        if (typeof value === 'object' && value !== null) return value;
      } catch {
        // told below
      }
      throw new EngineError('E_ENGINE', `the backend's answer to ${path} is not a JSON object`);
    }, { timeoutMs: path === '/v1/embeddings' ? this.#times.firstByteMs : this.#times.healthTimeoutMs, signal, late: () => new EngineError('E_ENGINE', `the backend does not answer to ${path} in time`) });
  }
}

async function boundedText(body: AsyncIterable<Uint8Array>, most: number): Promise<string> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of body) {
    size += part.byteLength;
    if (size > most) throw new EngineError('E_ENGINE', `the backend's answer is longer than ${most} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

const REFUSAL_BYTES = 64 << 10;
const MESSAGE_LENGTH = 300;

async function statusOf(path: string, { statusCode, body }: Dispatcher.ResponseData): Promise<EngineError> {
  await boundedText(body, REFUSAL_BYTES).catch(() => ''); // the connection is free for others again
  return new EngineError('E_ENGINE', `the backend answers to ${path} with status ${statusCode}`);
}

/** A reason that a program can read, as OpenAI's servers write it; others have numbers there. */
const REASON = /^[a-z][a-z0-9_]{0,63}$/;
const PARAM = /^[\x20-\x7e]{1,100}$/;

/** What a status other than 200 means to the client. */
async function refusalOf(path: string, { statusCode, headers, body }: Dispatcher.ResponseData): Promise<ApiError | EngineError> {
  const { message, code, param } = messageOf(await boundedText(body, REFUSAL_BYTES).catch(() => ''));
  const tooBusy = (why: string): ApiError => new ApiError('E_ENGINE_BUSY', 503, why, { code: 'engine_busy', headers: { 'retry-after': retryAfter(headers['retry-after']) } });
  if (statusCode === 429 || statusCode === 503) return tooBusy('the backend has too much to do');
  if (code === 'model_not_found') return tooBusy('the backend has not the model now');
  // Servers with a model for something else: embeddings only, or no embeddings.
  if (statusCode === 404 || statusCode === 405 || statusCode === 501) return badRequest(`the backend has no ${path} for this model`, { code: 'unsupported_value' });
  if (statusCode === 413) return badRequest(`the backend refuses the request: ${message}`, { status: 413, code: 'request_too_large' });
  if (statusCode !== 400 && statusCode !== 422) return new EngineError('E_ENGINE', `the backend answered with status ${statusCode}`);
  const reason = /context|too long|maximum.*length/i.test(`${code} ${message}`) ? 'context_length_exceeded' : REASON.test(code) ? code : 'unsupported_value';
  return badRequest(`the backend refuses the request: ${message}`, { code: reason, ...(PARAM.test(param) && { param }) });
}

/** Seconds, where the backend says how many. */
const retryAfter = (value: string | string[] | undefined): string => (typeof value === 'string' && /^[1-9]\d{0,3}$/.test(value) ? value : '1');

interface Refusal {
  readonly message?: unknown;
  readonly code?: unknown;
  readonly param?: unknown;
}

function messageOf(text: string): { readonly message: string; readonly code: string; readonly param: string } {
  const said = refusalIn(text);
  return { message: String(said?.message ?? 'it does not say why').slice(0, MESSAGE_LENGTH), code: String(said?.code ?? ''), param: String(said?.param ?? '') };
}

function refusalIn(text: string): Refusal | null {
  try {
    const document = JSON.parse(text) as (Refusal & { readonly error?: Refusal | null }) | null;
    return document?.error ?? document;
  } catch {
    return null; // a text for people
  }
}

class HttpEngine implements Engine {
  readonly #backend: Backend;
  readonly #model: BackendModel;
  readonly #info: EngineInfo;
  readonly #options: HttpEngineOptions;
  readonly #closing = new AbortController();
  readonly #listeners = new Set<(able: boolean) => void>();
  readonly #turns: (() => void)[] = [];
  readonly #healthTimer: NodeJS.Timeout;
  #running = 0;
  #able: boolean;

  constructor(backend: Backend, model: BackendModel, options: HttpEngineOptions, times: HttpEngineTimes) {
    this.#backend = backend;
    this.#model = model;
    this.#options = options;
    this.#info = {
      model: options.model, contextSize: options.contextSize ?? model.contextSize ?? 0, sequences: options.parallel, backend: 'remote', gpuLayers: 0, totalLayers: 0,
      devices: [], threads: 0, chat: true, features: { noText: null, noTools: null, forms: true, logprobs: true, embeddings: true }, kvType: null, flashAttention: 'auto',
    };
    this.#able = model.served;
    this.#healthTimer = setInterval(() => { void this.#look(); }, times.healthMs);
    this.#healthTimer.unref();
  }

  info(): EngineInfo {
    return this.#info;
  }

  watch(changed: (able: boolean) => void): () => void {
    this.#listeners.add(changed);
    if (!this.#able) changed(false);
    return () => this.#listeners.delete(changed);
  }

  async* complete(request: EngineRequest, signal: AbortSignal): AsyncGenerator<EngineEvent, void, void> {
    const left = new AbortController();
    const stop = AbortSignal.any([signal, left.signal, this.#closing.signal]);
    if (!(await this.#turn(stop))) {
      yield { type: 'finish', reason: 'cancelled', usage: { promptTokens: 0, cachedTokens: 0, completionTokens: 0 } };
      return;
    }
    const call = backendCall(request, this.#model.id);
    const answer = createBackendAnswer({ maxBytes: MAX_ANSWER_BYTES, maxTokens: request.maxTokens, promptBytes: Buffer.byteLength(call.body) });
    try {
      const body = await this.#backend.send(call, stop);
      for await (const bytes of body) yield* answer.push(bytes as Uint8Array);
      const { calls, reason } = answer.end();
      for (const toolCall of calls) yield { type: 'call', call: toolCall };
      yield { type: 'finish', reason, usage: await this.#count(answer, request) };
    } catch (error) {
      if (error instanceof ApiError || (error instanceof EngineError && error.code !== 'E_ENGINE')) throw error;
      if (answer.pieces === 0 && !signal.aborted) throw asEngineError(error);
      const usage = await this.#count(answer, request);
      if (!signal.aborted) throw new EngineStoppedError(asEngineError(error).message, usage, { cause: error });
      yield { type: 'finish', reason: 'cancelled', usage };
    } finally {
      left.abort();
      this.#release();
    }
  }

  async embed(texts: readonly string[], signal: AbortSignal): Promise<EngineEmbeddings> {
    const stop = AbortSignal.any([signal, this.#closing.signal]);
    if (!(await this.#turn(stop))) throw abortError(stop);
    try {
      return readEmbeddings(await this.#backend.embed(this.#model.id, texts, stop), texts);
    } finally {
      this.#release();
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#healthTimer);
    this.#closing.abort(new EngineError('E_ENGINE', 'engine is closed'));
    for (const turn of this.#turns.splice(0)) turn();
    await this.#backend.close();
  }

  /** What was used: as the backend says, else as it counts, else the pieces that came. */
  async #count(answer: BackendAnswer, { prompt }: EngineRequest): Promise<EngineUsage> {
    if (answer.usage !== null) return answer.usage;
    const text = prompt.kind === 'text' ? prompt.text : prompt.messages.map(({ content }) => content).join('\n');
    const [promptTokens, answerTokens, thoughtTokens] = await Promise.all([text, answer.text, answer.reasoning].map((each) => this.#backend.countTokens(this.#model.id, each)));
    const reasoningTokens = thoughtTokens ?? answer.reasoningPieces;
    return { promptTokens: promptTokens ?? 0, cachedTokens: 0, completionTokens: (answerTokens ?? answer.pieces - answer.reasoningPieces) + reasoningTokens, reasoningTokens };
  }

  /** Resolves with true when the request may be sent, with false when its signal aborts first. */
  async #turn(signal: AbortSignal): Promise<boolean> {
    if (this.#closing.signal.aborted) throw new EngineError('E_ENGINE', 'engine is closed');
    const { parallel, queueLimit = 4 * parallel } = this.#options;
    while (!signal.aborted && this.#running >= parallel) {
      if (this.#turns.length >= queueLimit) throw new EngineError('E_ENGINE_BUSY', `backend has ${this.#running} requests running and ${this.#turns.length} waiting, expected fewer`);
      await new Promise<void>((resolve) => {
        this.#turns.push(resolve);
        signal.addEventListener('abort', () => {
          const at = this.#turns.indexOf(resolve);
          if (at >= 0) this.#turns.splice(at, 1);
          resolve();
        }, { once: true });
      });
    }
    if (this.#closing.signal.aborted) throw new EngineError('E_ENGINE', 'engine is closed');
    if (signal.aborted) return false;
    this.#running += 1;
    return true;
  }

  #release(): void {
    this.#running -= 1;
    this.#turns.shift()?.();
  }

  async #look(): Promise<void> {
    const able = await this.#backend.models(this.#closing.signal).then((models) => models.some(({ id, served }) => id === this.#model.id && served), () => false);
    if (able === this.#able || this.#closing.signal.aborted) return;
    this.#able = able;
    if (able) this.#options.log.info('the backend answers again');
    else this.#options.log.error('the backend does not answer, or has not the model now');
    for (const listener of this.#listeners) listener(able);
  }
}

const asEngineError = (error: unknown): EngineError =>
  (error instanceof EngineError ? error : new EngineError('E_ENGINE', `the backend broke off: ${asCocoonError(error).message}`, { cause: error }));

function readEmbeddings(document: unknown, texts: readonly string[]): EngineEmbeddings {
  const { data, usage } = document as { readonly data?: unknown; readonly usage?: { readonly prompt_tokens?: unknown } };
  const vectors = Array.isArray(data) ? (data as readonly { readonly embedding?: unknown }[]).map(({ embedding }) => embedding) : [];
  const fitting = vectors.filter((vector): vector is number[] => Array.isArray(vector) && vector.length > 0 && vector.every((value) => Number.isFinite(value)));
  const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text) + 8, 0);
  const tokens = usage?.prompt_tokens;
  if (fitting.length !== texts.length) throw new EngineError('E_ENGINE', `the backend gave ${fitting.length} embeddings, expected ${texts.length}`);
  if (typeof tokens !== 'number' || !Number.isSafeInteger(tokens) || tokens < 0 || tokens > bytes) throw new EngineError('E_ENGINE', 'the backend does not say how many tokens it embedded, or what cannot be');
  return { vectors: fitting, promptTokens: tokens };
}
