// The Engine over a LlamaRuntime: checks a prompt's length before anything is evaluated, gives each request a sequence
// of the shared context (continuous batching), and keeps a failing sequence from failing the others.
import { randomInt } from 'node:crypto';
import { EngineError } from '../../core/errors.ts';
import { badRequest } from '../../openai/errors.ts';
import { ContextLengthError, EngineStoppedError } from '../engine.ts';
import { createEventChannel } from './llama-channel.ts';
import { generateAnswer } from './llama-generation.ts';
import { createSequencePool } from './llama-pool.ts';
import type { Log } from '../../core/log.ts';
import type { Engine, EngineEvent, EnginePrompt, EngineRequest } from '../engine.ts';
import type { EventChannel } from './llama-channel.ts';
import type { LlamaRuntime, LlamaSequence } from './llama-runtime.ts';

export interface LlamaSchedulerOptions {
  /** Base name under which the model is served. */
  readonly model: string;
  /** Requests that may wait for a sequence. */
  readonly queueLimit: number;
  readonly log: Log;
  /** A random unsigned 32-bit seed, for requests without one. */
  readonly randomSeed?: () => number;
}

/** Unread text at which a generation waits for its reader, in UTF-16 units. */
const UNREAD_BOUND = 16_384;

/** An engine that owns `runtime`. */
export function createLlamaScheduler(runtime: LlamaRuntime, options: LlamaSchedulerOptions): Engine {
  const { log } = options;
  const randomSeed = options.randomSeed ?? (() => randomInt(2 ** 32));
  const pool = createSequencePool(runtime.sequences, options.queueLimit);
  const info = { ...runtime.info, model: options.model, sequences: runtime.sequences.length };
  const closing = new AbortController();
  const runs = new Set<Promise<void>>();
  let closed: Promise<void> | undefined;

  /** Runs one answer on its sequence and gives the sequence back, whatever happens. Never rejects. */
  const run = async (
    sequence: LlamaSequence, tokens: readonly number[], request: EngineRequest, signal: AbortSignal, channel: EventChannel,
  ): Promise<void> => {
    const sampling = {
      temperature: request.temperature ?? 1,
      topP: request.topP ?? 1,
      seed: request.seed ?? randomSeed(),
      frequencyPenalty: request.frequencyPenalty ?? 0,
      presencePenalty: request.presencePenalty ?? 0,
    };
    try {
      const last = await generateAnswer({ runtime, sequence, tokens, request, sampling, signal, channel });
      pool.release(sequence);
      if (closing.signal.aborted && last.type === 'finish') channel.fail(new EngineStoppedError('engine was closed before the answer was complete', last.usage));
      else channel.finish(last);
    } catch (cause) {
      await repair(sequence);
      channel.fail(cause instanceof EngineError ? cause : new EngineError('E_ENGINE', 'engine failed while answering', { cause }));
    }
  };

  /** Empties the state of a sequence that failed, or takes it out of use. */
  const repair = async (sequence: LlamaSequence): Promise<void> => {
    try {
      await sequence.truncate(0);
      pool.release(sequence);
    } catch (cause) {
      pool.retire(sequence);
      log.error('engine sequence is out of use', { sequence: sequence.id, cause: String(cause) });
    }
  };

  async function* complete(request: EngineRequest, signal: AbortSignal): AsyncGenerator<EngineEvent, void, void> {
    const tokens = tokenizePrompt(runtime, request.prompt);
    const left = new AbortController();
    const stop = AbortSignal.any([signal, left.signal, closing.signal]);
    const sequence = await pool.acquire(tokens, stop);
    if (sequence === null) {
      yield { type: 'finish', reason: 'cancelled', usage: { promptTokens: 0, cachedTokens: 0, completionTokens: 0 } };
      return;
    }
    const channel = createEventChannel({ bound: UNREAD_BOUND, intervalMs: request.pieceIntervalMs }, stop);
    const done = run(sequence, tokens, request, stop, channel);
    runs.add(done);
    try {
      yield* channel.events();
    } finally {
      left.abort();
      await done;
      runs.delete(done);
    }
  }

  const close = async (): Promise<void> => {
    pool.close();
    closing.abort();
    await Promise.all(runs);
    await runtime.dispose();
  };

  return {
    info: () => info,
    complete,
    close() {
      closed ??= close();
      return closed;
    },
  };
}

/** Tokens of the prompt. Throws ContextLengthError when no token of an answer would fit behind them. */
function tokenizePrompt(runtime: LlamaRuntime, prompt: EnginePrompt): number[] {
  const { contextSize } = runtime.info;
  const length = prompt.kind === 'text'
    ? prompt.text.length
    : prompt.messages.reduce((sum, message) => sum + message.content.length, 0);
  // Tokenizing blocks the process: text that cannot fit is refused by its length alone.
  const least = Math.ceil(length / runtime.longestToken);
  if (least >= contextSize) throw new ContextLengthError(least, contextSize);
  const tokens = prompt.kind === 'text' ? runtime.tokenizeText(prompt.text) : runtime.tokenizeChat(prompt.messages, prompt.template ?? {});
  if (tokens.length === 0) throw badRequest('prompt is empty, expected at least one token', { code: 'invalid_value' });
  if (tokens.length >= contextSize) throw new ContextLengthError(tokens.length, contextSize);
  return tokens;
}
