// The Engine port: what a node asks of an inference engine. Implemented by llama-engine.ts (llama.cpp in the process).
// Counts are the engine's own; text is valid UTF-16 in whole characters; stop strings never appear in it.
import { EngineError } from '../core/errors.ts';

export type EngineBackend = 'cpu' | 'cuda' | 'vulkan' | 'metal';

/** What the engine really uses, not what was asked for. */
export interface EngineInfo {
  /** Base name under which the model is served. */
  readonly model: string;
  /** Tokens of prompt and answer together that one request may have. */
  readonly contextSize: number;
  /** Requests that are worked on at the same time. */
  readonly sequences: number;
  readonly backend: EngineBackend;
  /** Layers on the GPU, of `totalLayers`. */
  readonly gpuLayers: number;
  readonly totalLayers: number;
  readonly devices: readonly string[];
  readonly threads: number;
  /** False when the model has no chat template: only text prompts are answered. */
  readonly chat: boolean;
}

export interface EngineMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

/** Variables of the model's chat template. */
export interface TemplateVariables {
  readonly enableThinking?: boolean;
  readonly reasoningEffort?: string;
}

export type EnginePrompt =
  /** Rendered by the model's own template. A last message of the assistant is continued. */
  | { readonly kind: 'chat'; readonly messages: readonly EngineMessage[]; readonly template?: TemplateVariables }
  /** Evaluated as it is; the names of special tokens in it are special tokens. */
  | { readonly kind: 'text'; readonly text: string };

export interface EngineRequest {
  readonly prompt: EnginePrompt;
  /** 0 = always the likeliest token. Default 1. */
  readonly temperature?: number | undefined;
  /** Default 1 = no cut. */
  readonly topP?: number | undefined;
  /** Unsigned 32 bits. The same seed, request and model give the same answer. Default: random. */
  readonly seed?: number | undefined;
  /** At least 1. Default and upper bound: what the context holds after the prompt. */
  readonly maxTokens?: number | undefined;
  readonly stop?: readonly string[] | undefined;
  /** -2 to 2, per occurrence of a token in the answer so far. Default 0. */
  readonly frequencyPenalty?: number | undefined;
  /** -2 to 2, once for each token in the answer so far. Default 0. */
  readonly presencePenalty?: number | undefined;
  /** Shortest time between two pieces of text; what comes faster is joined. The first piece and the end do not wait. Default 0. */
  readonly pieceIntervalMs?: number | undefined;
}

export interface EngineUsage {
  /** Tokens of the prompt, special tokens included; for a cancelled request those taken in until then. */
  readonly promptTokens: number;
  /** Those of them whose evaluation was reused from an earlier request. */
  readonly cachedTokens: number;
  /** Tokens generated, without the one that ends the answer. */
  readonly completionTokens: number;
}

/** `stop`: the model ended its answer, or a stop string came. `length`: maxTokens or the context is used up. `cancelled`: the signal. */
export type EngineFinishReason = 'stop' | 'length' | 'cancelled';

export type EngineEvent =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'finish'; readonly reason: EngineFinishReason; readonly usage: EngineUsage };

export interface Engine {
  info(): EngineInfo;
  /**
   * Answers one request: any number of `text` events (pieces are joined when the reader is slow), then exactly one `finish`.
   * Throws ContextLengthError, ApiError for a prompt that the model cannot take, EngineError E_ENGINE_BUSY when the queue is
   * full, EngineError E_ENGINE when the engine fails (EngineStoppedError where it had counted something by then).
   * Aborting the signal, or leaving the loop, frees the sequence at once, also while nobody reads.
   */
  complete(request: EngineRequest, signal: AbortSignal): AsyncIterable<EngineEvent>;
  /** Fails what is running and waiting, then frees the model. Idempotent. */
  close(): Promise<void>;
}

/** The engine failed, or was closed, within an answer; `usage` is what it had counted until then. */
export class EngineStoppedError extends EngineError {
  readonly usage: EngineUsage;

  constructor(message: string, usage: EngineUsage, options: { readonly cause?: unknown } = {}) {
    super('E_ENGINE', message, options);
    this.usage = usage;
  }
}

/** The prompt alone is longer than the context. */
export class ContextLengthError extends EngineError {
  readonly promptTokens: number;
  readonly contextSize: number;

  /** `promptTokens` may be a lower bound: what certainly does not fit is not counted exactly. */
  constructor(promptTokens: number, contextSize: number) {
    super('E_CONTEXT_LENGTH', `prompt has at least ${promptTokens} tokens, expected fewer than the context's ${contextSize}`);
    this.promptTokens = promptTokens;
    this.contextSize = contextSize;
  }
}
