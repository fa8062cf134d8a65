// An engine that answers at once, with exact counts and nothing native: for tests of what surrounds an engine, and for
// benches of the way to one. Delays, failures and finish reasons are scripted.
import { setTimeout as delay } from 'node:timers/promises';
import { EngineError } from '../../src/core/errors.ts';
import { ContextLengthError, EngineStoppedError } from '../../src/node/engine.ts';
import type { Engine, EngineEvent, EngineInfo, EngineRequest } from '../../src/node/engine.ts';

export interface InstantEngineOptions {
  /** Served name. Default "instant". */
  readonly model?: string;
  /** Pieces of every answer, one token each; or made from the request. Default: "Hello", " there", ".". */
  readonly pieces?: readonly string[] | ((request: EngineRequest) => readonly string[]);
  /** Milliseconds before the first piece, and between pieces. Default 0: no timer at all. */
  readonly firstDelayMs?: number;
  readonly pieceDelayMs?: number;
  /** Throws this before the piece with this number (from 0). */
  readonly failAt?: { readonly piece: number; readonly error: Error };
  /** Requests at once; one more gets E_ENGINE_BUSY. Default: no bound. */
  readonly sequences?: number;
  /** Default 4096. A prompt has one token for each space-separated word. */
  readonly contextSize?: number;
}

export interface InstantEngine extends Engine {
  /** Requests in order of arrival. */
  readonly requests: readonly EngineRequest[];
  readonly running: number;
  /** Requests that ended by their signal, or because the reader left. */
  readonly cancelled: number;
  readonly closed: boolean;
}

export function createInstantEngine(options: InstantEngineOptions = {}): InstantEngine {
  const { model = 'instant', pieces = ['Hello', ' there', '.'], firstDelayMs = 0, pieceDelayMs = 0, failAt, contextSize = 4096 } = options;
  const sequences = options.sequences ?? Infinity;
  const requests: EngineRequest[] = [];
  const state = { running: 0, cancelled: 0, closed: false };
  const info: EngineInfo = {
    model, contextSize, sequences: Number.isFinite(sequences) ? sequences : 1, backend: 'cpu', gpuLayers: 0, totalLayers: 1, devices: [], threads: 1, chat: true,
    features: { noText: null, noTools: null, forms: true, logprobs: true, embeddings: true }, kvType: null, flashAttention: 'auto',
  };

  async function* complete(request: EngineRequest, signal: AbortSignal): AsyncGenerator<EngineEvent, void, void> {
    requests.push(request);
    if (state.closed) throw new EngineError('E_ENGINE', 'engine is closed');
    if (state.running >= sequences) throw new EngineError('E_ENGINE_BUSY', `engine has ${state.running} requests running and 0 waiting, expected fewer`);
    const promptTokens = countPromptTokens(request);
    if (promptTokens >= contextSize) throw new ContextLengthError(promptTokens, contextSize);
    const answer = typeof pieces === 'function' ? pieces(request) : pieces;
    const limit = Math.min(answer.length, request.maxTokens ?? Infinity, contextSize - promptTokens);
    state.running += 1;
    let complete = false;
    try {
      let completionTokens = 0;
      const usage = () => ({ promptTokens, cachedTokens: 0, completionTokens });
      for (; completionTokens < limit; completionTokens += 1) {
        await pause(completionTokens === 0 ? firstDelayMs : pieceDelayMs, signal);
        if (signal.aborted) {
          yield { type: 'finish', reason: 'cancelled', usage: usage() };
          return;
        }
        if (failAt?.piece === completionTokens) {
          complete = true;
          throw completionTokens === 0 || !(failAt.error instanceof EngineError) ? failAt.error : new EngineStoppedError(failAt.error.message, usage());
        }
        yield { type: 'text', text: answer[completionTokens] ?? '' };
      }
      complete = true;
      if (failAt !== undefined && failAt.piece >= limit) throw failAt.error instanceof EngineError ? new EngineStoppedError(failAt.error.message, usage()) : failAt.error;
      yield { type: 'finish', reason: limit < answer.length ? 'length' : 'stop', usage: usage() };
    } finally {
      state.running -= 1;
      if (!complete) state.cancelled += 1;
    }
  }

  return {
    requests,
    get running() {
      return state.running;
    },
    get cancelled() {
      return state.cancelled;
    },
    get closed() {
      return state.closed;
    },
    info: () => info,
    complete,
    embed: async (texts) => ({ vectors: texts.map((text) => [1, text.length]), promptTokens: texts.length }),
    async close() {
      state.closed = true;
    },
  };
}

/** Words of the prompt, which this engine calls tokens. */
export function countPromptTokens({ prompt }: EngineRequest): number {
  const text = prompt.kind === 'text' ? prompt.text : prompt.messages.map((message) => message.content).join(' ');
  return text.split(' ').filter((word) => word !== '').length;
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (ms > 0) await delay(ms, undefined, { signal }).catch(() => undefined);
}
