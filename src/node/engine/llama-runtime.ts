// What the scheduler needs of llama.cpp: a model, and the sequences of one context that are evaluated in shared batches.
// llama-engine.ts implements it with node-llama-cpp; tests implement it with a script.
import type { EngineEmbeddings, EngineInfo, EnginePrompt } from '../engine.ts';
import type { ToolFormat } from './tool-format.ts';

export interface LlamaSampling {
  readonly temperature: number;
  readonly topP: number;
  readonly seed: number;
  readonly frequencyPenalty: number;
  readonly presencePenalty: number;
  /** Tokens after which nothing more is drawn. */
  readonly maxTokens: number;
  /** A token that ends the answer is one like any other. */
  readonly ignoreEnd: boolean;
  /** How many of the likeliest tokens to name with each token; null: none, and not its own probability either. */
  readonly logprobs: number | null;
  /** GBNF that the answer must match; null: anything goes. */
  readonly grammar: string | null;
  /** A full context is shifted: this many first tokens stay, half of the others go. Null: the answer ends. */
  readonly keep: number | null;
}

export interface GeneratedToken {
  readonly token: number;
  /** Natural logarithms of probabilities by the model alone; null where they were not asked for. */
  readonly likely: { readonly chosen: number; readonly top: readonly { readonly token: number; readonly logprob: number }[] } | null;
}

/** One sequence: a state of evaluated tokens. Used by one request at a time. */
export interface LlamaSequence {
  /** Position of the sequence in the context, from 0. */
  readonly id: number;
  /** Tokens in the state. */
  readonly length: number;
  /** How many leading tokens of `tokens` are evaluated in the state already and can stay there. */
  reusableTokens(tokens: readonly number[]): number;
  /** Cuts the state to its first `length` tokens, or to fewer where the model cannot be cut there; resolves with how many are left. */
  truncate(length: number): Promise<number>;
  /**
   * Evaluates `tokens`, at least one, then yields drawn tokens until the model ends its answer (the token that says so is not
   * yielded), the limit is reached or the signal aborts, within the prompt too. Leaving it ends the answer.
   */
  generate(tokens: readonly number[], sampling: LlamaSampling, signal: AbortSignal): AsyncGenerator<GeneratedToken, void, void>;
}

/** A prompt as tokens. */
export interface TokenizedPrompt {
  readonly tokens: readonly number[];
  /** How calls of tools are written, where the prompt has any. */
  readonly toolFormat: ToolFormat | null;
}

export interface LlamaRuntime {
  readonly info: Omit<EngineInfo, 'model' | 'sequences'>;
  /** In ascending order of id. */
  readonly sequences: readonly LlamaSequence[];
  /** UTF-16 units of the longest token's text: a longer prompt than contextSize times this cannot fit. */
  readonly longestToken: number;
  /**
   * Tokens of a text, with the beginning-of-sequence token where the model wants one, or of a chat in the model's template, up to
   * the beginning of the answer. Throws ApiError when there is no template, or it refuses the messages or tools.
   */
  tokenize(prompt: EnginePrompt): TokenizedPrompt;
  /** Text of `tokens` as it follows `previous`; an incomplete character at either end becomes U+FFFD. `special`: control tokens have text too. */
  detokenize(tokens: readonly number[], previous: readonly number[], special?: boolean): string;
  /** Throws ApiError for a grammar that llama.cpp cannot read. */
  checkGrammar(grammar: string): void;
  embed(texts: readonly string[], signal: AbortSignal): Promise<EngineEmbeddings>;
  dispose(): Promise<void>;
}
