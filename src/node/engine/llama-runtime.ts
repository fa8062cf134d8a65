// What the scheduler needs of llama.cpp: a model, and the sequences of one context that are evaluated in shared batches.
// llama-engine.ts implements it with node-llama-cpp; tests implement it with a script.
import type { EngineInfo, EngineMessage, TemplateVariables } from '../engine.ts';

export interface LlamaSampling {
  readonly temperature: number;
  readonly topP: number;
  readonly seed: number;
  readonly frequencyPenalty: number;
  readonly presencePenalty: number;
}

/** One sequence: a state of evaluated tokens. Used by one request at a time. */
export interface LlamaSequence {
  /** Position of the sequence in the context, from 0. */
  readonly id: number;
  /** How many leading tokens of `tokens` are evaluated in the state already and can stay there. */
  reusableTokens(tokens: readonly number[]): number;
  /** Cuts the state to its first `length` tokens. */
  truncate(length: number): Promise<void>;
  /** Evaluates tokens behind the state. Not interruptible. */
  evaluate(tokens: readonly number[]): Promise<void>;
  /** Evaluates `tokens`, then yields generated tokens until the model ends its answer (the token that says so is not yielded). */
  generate(tokens: readonly number[], sampling: LlamaSampling): AsyncGenerator<{ readonly token: number }, void, void>;
}

export interface LlamaRuntime {
  readonly info: Omit<EngineInfo, 'model' | 'sequences'>;
  /** In ascending order of id. */
  readonly sequences: readonly LlamaSequence[];
  /** Tokens to evaluate between two looks at the abort signal. */
  readonly prefillChunk: number;
  /** To be awaited, where it is not undefined, before the next chunk or token is asked for: another sequence changes its state. */
  pause(): Promise<void> | undefined;
  /** UTF-16 units of the longest token's text: a longer prompt than contextSize times this cannot fit. */
  readonly longestToken: number;
  /** Tokens of a text prompt, with the beginning-of-sequence token where the model wants one. */
  tokenizeText(text: string): number[];
  /** Tokens of a chat in the model's template, up to the beginning of the answer. Throws ApiError when there is no template, or it refuses the messages. */
  tokenizeChat(messages: readonly EngineMessage[], variables: TemplateVariables): number[];
  /** Text of `tokens` as it follows `previous`; an incomplete character at either end becomes U+FFFD. */
  detokenize(tokens: readonly number[], previous: readonly number[]): string;
  dispose(): Promise<void>;
}
