// The Engine port: what a node asks of an inference engine. Implemented by engine/llama-engine.ts (llama.cpp in this process),
// by engine/child-engine.ts (the same in a child process) and by backend/ (another server that speaks OpenAI's API).
// Counts are the engine's own; text is valid UTF-16 in whole characters; stop strings never appear in it.
import { EngineError } from '../core/errors.ts';

export type EngineBackend = 'cpu' | 'cuda' | 'vulkan' | 'metal' | 'remote';

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
  /** What can be asked beside text. What is absent is refused by name. */
  readonly features: EngineFeatures;
  /** Type of the values in the KV cache, as `f16`; null where the engine does not say. */
  readonly kvType: string | null;
  /** `auto`: left to the engine, which does not say what it does. */
  readonly flashAttention: 'auto' | 'on' | 'off';
}

export interface EngineFeatures {
  /** Why neither chats nor text can be answered; null when they can. */
  readonly noText: string | null;
  /** Why tools cannot be used with this model; null when they can. */
  readonly noTools: string | null;
  /** Answers of a form: `json_object`, `json_schema` and grammars. */
  readonly forms: boolean;
  readonly logprobs: boolean;
  readonly embeddings: boolean;
}

/** What a model wants called. `arguments` is JSON text of an object. */
export interface EngineToolCall {
  readonly name: string;
  readonly arguments: string;
}

export type EngineMessage =
  | { readonly role: 'system' | 'user'; readonly content: string }
  /** `reasoning`: what the model thought before it, for templates that show it. */
  | { readonly role: 'assistant'; readonly content: string; readonly reasoning?: string; readonly toolCalls?: readonly EngineToolCall[] }
  /** What a tool that the message before asked for has answered. */
  | { readonly role: 'tool'; readonly content: string; readonly name?: string };

/** A function that the model may ask for. `parameters` is a JSON schema. */
export interface EngineTool {
  readonly name: string;
  readonly description?: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  /** True: a forced call has arguments that fit the schema, or is refused. */
  readonly strict?: boolean;
}

export interface EngineTools {
  readonly tools: readonly EngineTool[];
  /** `required`: at least one call; a name: a call of that tool and nothing else. */
  readonly choice: 'auto' | 'required' | { readonly name: string };
  /** False: at most one call in an answer. */
  readonly parallel: boolean;
}

/** The form that an answer must have. */
export type EngineForm =
  | { readonly kind: 'json' }
  | { readonly kind: 'schema'; readonly schema: Readonly<Record<string, unknown>> };

/** Variables of the model's chat template. */
export interface TemplateVariables {
  readonly enableThinking?: boolean;
  readonly reasoningEffort?: string;
}

export type EnginePrompt =
  /** Rendered by the model's own template. A last message of the assistant is continued. */
  | { readonly kind: 'chat'; readonly messages: readonly EngineMessage[]; readonly template?: TemplateVariables; readonly tools?: EngineTools }
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
  /** Goes on to maxTokens where the model would end: for measuring, no application can ask for it. Default false. */
  readonly ignoreEnd?: boolean | undefined;
  readonly stop?: readonly string[] | undefined;
  /** -2 to 2, per occurrence of a token in the answer so far. Default 0. */
  readonly frequencyPenalty?: number | undefined;
  /** -2 to 2, once for each token in the answer so far. Default 0. */
  readonly presencePenalty?: number | undefined;
  /** Not together with tools. */
  readonly form?: EngineForm | undefined;
  /** Log probabilities of each token of the answer, and of this many of the likeliest ones beside it, 0 to 20. Default: none at all. */
  readonly logprobs?: number | undefined;
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
  /** Those of them that are reasoning, where the engine tells them apart. Default 0. */
  readonly reasoningTokens?: number;
}

/** `stop`: the model ended its answer, or a stop string came. `length`: maxTokens or the context is used up. `cancelled`: the signal. */
/** `tools`: the answer ended with calls. */
export type EngineFinishReason = 'stop' | 'length' | 'tools' | 'cancelled';

/** A token and the natural logarithm of its probability before temperature and penalties. */
export interface EngineTokenProbability {
  /** Its text; a part of a character is shown as U+FFFD. */
  readonly token: string;
  readonly logprob: number;
}

export interface EngineLogprob extends EngineTokenProbability {
  /** The likeliest tokens, in descending order; as many as were asked for. */
  readonly top: readonly EngineTokenProbability[];
}

export type EngineEvent =
  /**
   * `logprobs`: of the tokens that have come since the last event; their text may still be held back in part.
   * `usage`: what was counted by now, where the engine says.
   */
  | { readonly type: 'text'; readonly text: string; readonly logprobs?: readonly EngineLogprob[]; readonly usage?: EngineUsage }
  /** A piece of what the model thinks before it answers, from engines that tell it apart from the answer. */
  | { readonly type: 'reasoning'; readonly text: string; readonly usage?: EngineUsage }
  /** One call of a tool, whole. */
  | { readonly type: 'call'; readonly call: EngineToolCall }
  | { readonly type: 'finish'; readonly reason: EngineFinishReason; readonly usage: EngineUsage };

/** One vector for each input, in their order; tokens of all inputs together. */
export interface EngineEmbeddings {
  readonly vectors: readonly (readonly number[])[];
  readonly promptTokens: number;
}

export interface Engine {
  info(): EngineInfo;
  /**
   * Answers one request: any number of `text`, `reasoning` and `call` events (pieces are joined when the reader is slow), then exactly one `finish`.
   * Throws ContextLengthError, ApiError for a prompt that the model cannot take, EngineError E_ENGINE_BUSY when the queue is
   * full, EngineError E_ENGINE when the engine fails (EngineStoppedError where it had counted something by then).
   * Aborting the signal, or leaving the loop, frees the sequence at once, also while nobody reads.
   */
  complete(request: EngineRequest, signal: AbortSignal): AsyncIterable<EngineEvent>;
  /**
   * Vectors of unit length for texts, at least one. Throws as `complete` does, ApiError where `features.embeddings` is false, and
   * the signal's reason when it aborts.
   */
  embed(texts: readonly string[], signal: AbortSignal): Promise<EngineEmbeddings>;
  /**
   * Calls `changed` each time the engine stops being able to answer (false) and is able to again (true); at once with false when it
   * is not now. Absent: it always is. Returns how to stop listening.
   */
  watch?(changed: (able: boolean) => void): () => void;
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
