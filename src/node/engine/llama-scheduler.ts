// The Engine over a LlamaRuntime: checks a prompt's length before anything is evaluated, gives each request a sequence
// of the shared context (continuous batching), and keeps a failing sequence from failing the others.
import { randomInt } from 'node:crypto';
import { EngineError } from '../../core/errors.ts';
import { badRequest } from '../../openai/errors.ts';
import { ContextLengthError, EngineStoppedError } from '../engine.ts';
import { createEventChannel } from './llama-channel.ts';
import { generateAnswer } from './llama-generation.ts';
import { createSequencePool } from './llama-pool.ts';
import { grammarOf } from './answer-grammar.ts';
import type { Log } from '../../core/log.ts';
import type { Engine, EngineEmbeddings, EngineEvent, EnginePrompt, EngineRequest } from '../engine.ts';
import type { Generation } from './llama-generation.ts';
import type { LlamaRuntime, LlamaSampling, LlamaSequence, TokenizedPrompt } from './llama-runtime.ts';

export interface LlamaSchedulerOptions {
  /** Base name under which the model is served. */
  readonly model: string;
  /** Requests that may wait for a sequence. */
  readonly queueLimit: number;
  readonly log: Log;
  /** True: an answer goes on in a full context, which forgets. Default false: it ends there. */
  readonly contextShift?: boolean;
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
  const run = async (generation: Generation): Promise<void> => {
    const { sequence, channel } = generation;
    try {
      const last = await generateAnswer(generation);
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
    const prompt = tokenizePrompt(runtime, request.prompt);
    const sampling = samplingOf(runtime, request, prompt, { contextShift: options.contextShift ?? false, randomSeed });
    const left = new AbortController();
    const stop = AbortSignal.any([signal, left.signal, closing.signal]);
    const sequence = await pool.acquire(prompt.tokens, stop);
    if (sequence === null) {
      yield { type: 'finish', reason: 'cancelled', usage: { promptTokens: 0, cachedTokens: 0, completionTokens: 0 } };
      return;
    }
    const channel = createEventChannel({ bound: UNREAD_BOUND, intervalMs: request.pieceIntervalMs }, stop);
    const done = run({ runtime, sequence, prompt, request, sampling, signal: stop, channel });
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
    embed: (texts, signal) => embed(runtime, texts, AbortSignal.any([signal, closing.signal])),
    close() {
      closed ??= close();
      return closed;
    },
  };
}

/** Checks what the texts are, before anything is evaluated. */
async function embed(runtime: LlamaRuntime, texts: readonly string[], signal: AbortSignal): Promise<EngineEmbeddings> {
  if (!runtime.info.features.embeddings) throw badRequest('the model served here makes no embeddings', { code: 'unsupported_value' });
  return runtime.embed(texts, signal);
}

/** Tokens of the prompt. Throws ContextLengthError when no token of an answer would fit behind them. */
function tokenizePrompt(runtime: LlamaRuntime, prompt: EnginePrompt): TokenizedPrompt {
  const { contextSize } = runtime.info;
  const length = prompt.kind === 'text'
    ? prompt.text.length
    : prompt.messages.reduce((sum, message) => sum + message.content.length, 0);
  // Tokenizing blocks the process: text that cannot fit is refused by its length alone.
  const least = Math.ceil(length / runtime.longestToken);
  if (least >= contextSize) throw new ContextLengthError(least, contextSize);
  const tokenized = runtime.tokenize(prompt);
  const { tokens } = tokenized;
  if (tokens.length === 0) throw badRequest('prompt is empty, expected at least one token', { code: 'invalid_value' });
  if (tokens.length >= contextSize) throw new ContextLengthError(tokens.length, contextSize);
  return tokenized;
}

/** Longest beginning of a prompt that a shifted context keeps; half of the context at most. */
const MAX_KEPT_TOKENS = 256;

function samplingOf(
  runtime: LlamaRuntime, request: EngineRequest, { tokens, toolFormat }: TokenizedPrompt, options: { readonly contextShift: boolean; readonly randomSeed: () => number },
): LlamaSampling {
  const { contextSize } = runtime.info;
  const grammar = grammarOf(request, toolFormat);
  if (grammar !== null) runtime.checkGrammar(grammar);
  return {
    temperature: request.temperature ?? 1,
    topP: request.topP ?? 1,
    seed: request.seed ?? options.randomSeed(),
    frequencyPenalty: request.frequencyPenalty ?? 0,
    presencePenalty: request.presencePenalty ?? 0,
    maxTokens: Math.min(request.maxTokens ?? Infinity, options.contextShift ? Infinity : contextSize - tokens.length),
    ignoreEnd: request.ignoreEnd ?? false,
    logprobs: request.logprobs ?? null,
    grammar,
    keep: options.contextShift ? Math.min(tokens.length, MAX_KEPT_TOKENS, Math.floor(contextSize / 2)) : null,
  };
}
