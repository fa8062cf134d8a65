// The engine on llama.cpp, through node-llama-cpp (the only file that imports it, and only when an engine is loaded).
// Prebuilt binaries only, threads always set, nothing of the native part on stdout or stderr. Refuses to run with less
// of the GPU or of the context than was asked for.
import { access } from 'node:fs/promises';
import { format } from 'node:util';
import { abortError } from '../../core/deadline.ts';
import { CocoonError, EngineError, NotFoundError } from '../../core/errors.ts';
import { badRequest } from '../../openai/errors.ts';
import { ContextLengthError } from '../engine.ts';
import { hearFlashAttention } from './flash-attention.ts';
import { tokenizeChat } from './llama-chat.ts';
import { createLlamaLoop } from './llama-loop.ts';
import { nativeGrammarState, nativeParts, nativeTemplate } from './llama-native.ts';
import { createLlamaScheduler } from './llama-scheduler.ts';
import { toolFormatOf } from './tool-format.ts';
import type { Log } from '../../core/log.ts';
import type { Engine, EngineBackend, EngineEmbeddings, EngineFeatures, EnginePrompt } from '../engine.ts';
import type { ChatModel } from './llama-chat.ts';
import type { LlamaRuntime, LlamaSampling, TokenizedPrompt } from './llama-runtime.ts';
import type { ToolFormat } from './tool-format.ts';

/** Types of the KV cache that are offered; all but the first three need flash attention. */
export const KV_TYPES = ['f16', 'f32', 'bf16', 'q8_0', 'q5_1', 'q5_0', 'q4_1', 'q4_0'] as const;
export type KvType = (typeof KV_TYPES)[number];
const PLAIN_KV_TYPES: readonly KvType[] = ['f16', 'f32', 'bf16'];

export type GpuChoice = 'off' | 'auto' | 'cuda' | 'vulkan' | 'metal';

export interface LlamaEngineOptions {
  /** Path of a GGUF file. */
  readonly modelPath: string;
  /** Base name under which it is served; default: the name in the file. */
  readonly model?: string;
  /** `off`: CPU only. `auto`: a GPU where there is a working one. Another value: that backend or an error. */
  readonly gpu: GpuChoice;
  /** Layers on the GPU; `auto` (default): as many as fit. A number or `all` is a demand. */
  readonly gpuLayers?: number | 'auto' | 'all';
  /** True: what is demanded of a GPU and cannot be had is warned of, and the CPU takes its place. Default false: it is refused. */
  readonly allowCpu?: boolean;
  /** Tokens of prompt and answer of one request. Default: as many as fit, up to what the model was trained with. */
  readonly contextSize?: number;
  /** Requests worked on at the same time. */
  readonly parallel: number;
  /** CPU threads of the native part. */
  readonly threads: number;
  /** Default `auto`: where model and backend have it. */
  readonly flashAttention?: 'auto' | 'on' | 'off';
  /** Default `f16`. */
  readonly kvType?: KvType;
  /** True: an answer goes on in a full context, which forgets. Default false: it ends there. */
  readonly contextShift?: boolean;
  /** True: embeddings also from a model that was not made for them. Default: from those only that were. */
  readonly embeddings?: boolean;
  /** Requests that may wait for a sequence. Default: 4 for each sequence. */
  readonly queueLimit?: number;
  /** Whether the evaluation of a prompt's beginning is kept for later requests. Default true. */
  readonly reusePrefix?: boolean;
  /** True only where this process was started with UV_THREADPOOL_SIZE=1: what is given to native code is done in that order. Default false. */
  readonly inOrder?: boolean;
  /** True: nothing else in this process uses llama.cpp, so that its log says what this engine uses. Default false. */
  readonly ownProcess?: boolean;
  /** Share of the model that is loaded, 0 to 1. */
  readonly onProgress?: (fraction: number) => void;
  /** Gives up loading. */
  readonly signal?: AbortSignal;
  readonly log: Log;
}

const importLibrary = () => import('node-llama-cpp');

type LlamaModule = Awaited<ReturnType<typeof importLibrary>>;
type Llama = Awaited<ReturnType<LlamaModule['getLlama']>>;
type LlamaModel = Awaited<ReturnType<Llama['loadModel']>>;
type LlamaContext = Awaited<ReturnType<LlamaModel['createContext']>>;
type LlamaEmbeddingContext = Awaited<ReturnType<LlamaModel['createEmbeddingContext']>>;
type Token = ReturnType<LlamaModel['tokenize']>[number];

/** Tokens of a batch of llama.cpp. */
const BATCH_SIZE = 512;
/** Tokens of one text of which an embedding is made, unless the context is set. */
const EMBEDDING_CONTEXT = 2048;
/** GGUF: a token that controls (llama.cpp's vocabulary types). */
const CONTROL_TOKEN = 3;

/** Loads a model. Throws NotFoundError without the file, EngineError when it cannot run as asked. */
export async function loadLlamaEngine(options: LlamaEngineOptions): Promise<Engine> {
  await access(options.modelPath).catch((cause: unknown) => {
    throw new NotFoundError('E_NOT_FOUND', `model file '${options.modelPath}' cannot be read`, { cause });
  });
  let llama: Llama | undefined;
  try {
    const library = await importLibrary();
    llama = await startLlama(library, options);
    const model = await loadModel(llama, options);
    const embeddings = await createEmbeddings(model, options);
    const make = (): Promise<LlamaContext> => createContext(library, model, options);
    const made: MadeContext = options.ownProcess === true ? await hearFlashAttention(llama, library.LlamaLogLevel.info, make) : { context: await make(), flashAttention: null };
    const runtime = await createRuntime(library, llama, model, made, embeddings, options);
    return createLlamaScheduler(runtime, {
      model: options.model ?? model.fileInfo.metadata.general.name ?? model.filename ?? 'model',
      queueLimit: options.queueLimit ?? 4 * options.parallel,
      contextShift: options.contextShift ?? false,
      log: options.log,
    });
  } catch (cause) {
    await llama?.dispose();
    if (cause instanceof CocoonError) throw cause;
    throw new EngineError('E_ENGINE', `engine cannot load model '${options.modelPath}': ${firstLine(cause)}`, { cause });
  }
}

async function startLlama({ getLlama, LlamaLogLevel: level }: LlamaModule, { gpu, threads, log, allowCpu = false }: LlamaEngineOptions): Promise<Llama> {
  const start = (choice: GpuChoice): Promise<Llama> => withConsoleLogged(log, () => getLlama({
    build: 'never',
    skipDownload: true,
    progressLogs: false,
    debug: false,
    gpu: choice === 'off' ? false : choice,
    maxThreads: threads,
    logLevel: level.warn,
    logger: (severity, message) => logNative(log, severity, message),
  }));
  try {
    return await start(gpu);
  } catch (cause) {
    if (allowCpu && gpu !== 'off') {
      log.warn(`no working llama.cpp binary for gpu '${gpu}' on this machine, the CPU takes its place`);
      return start('off');
    }
    throw new EngineError('E_ENGINE', `engine has no working llama.cpp binary for gpu '${gpu}' on this machine`, {
      cause, hint: 'the log says why each binary failed; --allow-cpu starts all the same, --gpu off asks for the CPU',
    });
  }
}

/** While it looks for a binary that works, the library says what went wrong on the console and nowhere else. */
async function withConsoleLogged<T>(log: Log, work: () => Promise<T>): Promise<T> {
  const output = globalThis.console;
  const { error, warn } = output;
  output.error = (...args: unknown[]) => log.error(`llama.cpp: ${format(...args)}`);
  output.warn = (...args: unknown[]) => log.warn(`llama.cpp: ${format(...args)}`);
  try {
    return await work();
  } finally {
    Object.assign(output, { error, warn });
  }
}

async function loadModel(llama: Llama, options: LlamaEngineOptions): Promise<LlamaModel> {
  const { gpu, gpuLayers = 'auto', onProgress, log } = options;
  const asked = gpuLayers === 'all' ? 'max' : gpuLayers;
  const model = await llama.loadModel({
    modelPath: options.modelPath,
    gpuLayers: llama.gpu === false ? 0 : asked,
    ...(onProgress === undefined ? {} : { onLoadProgress: guarded(onProgress, log) }),
    ...(options.signal === undefined ? {} : { loadSignal: options.signal }),
  });
  const { totalLayers } = model.fileInsights;
  const named = gpu === 'off' || gpu === 'auto' ? 0 : 1;
  const demanded = gpuLayers === 'all' ? totalLayers : gpuLayers === 'auto' ? named : Math.min(gpuLayers, totalLayers);
  if (model.gpuLayers < demanded) {
    const message = `engine has ${model.gpuLayers} of ${totalLayers} layers on the GPU, expected ${demanded}`;
    if (options.allowCpu !== true) {
      throw new EngineError('E_ENGINE', message, { hint: 'ask for fewer layers, free GPU memory, or accept it with --allow-cpu' });
    }
    log.warn(`${message}; the CPU works the others`);
  }
  return model;
}

/** Types of the KV cache that are not plain need it. */
const flashAttentionOf = ({ kvType = 'f16', flashAttention = 'auto' }: LlamaEngineOptions): 'auto' | 'on' | 'off' => (PLAIN_KV_TYPES.includes(kvType) ? flashAttention : 'on');

async function createContext({ GgmlType }: LlamaModule, model: LlamaModel, options: LlamaEngineOptions): Promise<LlamaContext> {
  const { kvType = 'f16' } = options;
  const asked = flashAttentionOf(options);
  if (asked === 'on' && options.flashAttention === 'off') {
    throw new EngineError('E_ENGINE', `a KV cache of type ${kvType} needs flash attention`, { hint: 'use --flash-attention on, or --kv-type f16' });
  }
  const cache = GgmlType[kvType.toUpperCase() as keyof typeof GgmlType];
  const context = await model.createContext({
    contextSize: options.contextSize ?? 'auto',
    sequences: options.parallel,
    batchSize: BATCH_SIZE,
    threads: options.threads,
    flashAttention: asked === 'auto' ? 'auto' : asked === 'on',
    experimentalKvCacheKeyType: cache,
    experimentalKvCacheValueType: cache,
    // Models with a sliding window could otherwise not be cut back to a common prefix.
    swaFullCache: true,
    ...(options.contextSize === undefined ? {} : { failedCreationRemedy: false as const }),
    ...(options.signal === undefined ? {} : { createSignal: options.signal }),
  });
  if (options.contextSize !== undefined && context.contextSize < options.contextSize) {
    throw new EngineError('E_ENGINE', `engine has a context of ${context.contextSize} tokens, expected ${options.contextSize}`);
  }
  return context;
}

interface MadeContext {
  readonly context: LlamaContext;
  /** As llama.cpp decided; null where it was not asked, or does not say. */
  readonly flashAttention: 'on' | 'off' | null;
}

async function createRuntime(
  library: LlamaModule, llama: Llama, model: LlamaModel, { context, flashAttention }: MadeContext, embeddings: Embeddings | null, options: LlamaEngineOptions,
): Promise<LlamaRuntime> {
  const backend: EngineBackend = llama.gpu === false ? 'cpu' : llama.gpu;
  const template = model.fileInfo.metadata.tokenizer?.chat_template;
  const toolFormat = template === undefined ? null : toolFormatOf(template);
  const native = nativeParts(context, model, llama);
  const grammars = createGrammars(library, llama, model);
  const { isRecurrent, isHybrid, totalLayers } = model.fileInsights;
  const loop = createLlamaLoop({
    batches: native.batches,
    sampler: (sampling: LlamaSampling) => native.sampler(sampling, sampling.grammar === null ? null : grammars.state(sampling.grammar)),
    isEnd: endTokens(model),
    sequences: options.parallel,
    contextSize: context.contextSize,
    batchSize: BATCH_SIZE,
    canCut: !isRecurrent && !isHybrid,
    reusePrefix: options.reusePrefix ?? true,
    inOrder: options.inOrder ?? false,
  });
  const noText = !givesText(model) ? `the model served here gives no text${embeddings === null ? '' : ', only embeddings'}` : null;
  const features: EngineFeatures = {
    noText,
    noTools: template === undefined ? 'the model has no chat template'
      : toolFormat === null ? 'the chat template of the model has no tools, or in no way that is known here' : null,
    forms: true, logprobs: true, embeddings: embeddings !== null,
  };
  return {
    info: {
      contextSize: context.contextSize, backend, gpuLayers: model.gpuLayers, totalLayers,
      devices: backend === 'cpu' ? [] : await llama.getGpuDeviceNames(),
      threads: context.idealThreads, chat: template !== undefined, features,
      kvType: options.kvType ?? 'f16', flashAttention: flashAttention ?? flashAttentionOf(options),
    },
    sequences: loop.sequences,
    longestToken: longestToken(model),
    tokenize: noText === null ? tokenizer(llama, model, template, toolFormat) : () => {
      throw badRequest(noText, { code: 'unsupported_value' });
    },
    detokenize: (tokens, previous, special = false) => model.detokenize(asTokens(tokens), special, asTokens(previous)),
    checkGrammar: (grammar) => grammars.check(grammar),
    embed: (texts, signal) => {
      if (embeddings === null) throw new EngineError('E_ENGINE', 'engine makes no embeddings');
      return embeddings.embed(texts, signal);
    },
    async dispose() {
      await loop.close();
      // One by one, and by name: the library holds them weakly, and waits for ever for one that was collected.
      await embeddings?.dispose();
      await context.dispose();
      await model.dispose();
      await llama.dispose();
    },
  };
}

function tokenizer(llama: Llama, model: LlamaModel, template: string | undefined, toolFormat: ToolFormat | null): (prompt: EnginePrompt) => TokenizedPrompt {
  const { bosString, eosString } = model.tokens;
  const parsed = template === undefined ? null : nativeTemplate(llama, template);
  const chat: ChatModel | null = parsed === null ? null : {
    render: (variables) => parsed.render(variables),
    tokenize: (text, special) => (text === '' ? [] : model.tokenize(text, special, 'trimLeadingSpace')),
    specials: controlTexts(model),
    bosText: bosString ?? '', eosText: eosString ?? '',
  };
  return (prompt) => {
    if (prompt.kind === 'text') return { tokens: withBos(model, model.tokenize(prompt.text, true)), toolFormat: null };
    if (chat === null) throw badRequest('the model has no chat template, only /v1/completions', { param: 'messages', code: 'unsupported_value' });
    return { tokens: withBos(model, tokenizeChat(chat, prompt)), toolFormat: prompt.tools === undefined ? null : toolFormat };
  };
}

/** Grammars that were used lately: a client asks with the same schema again and again. */
function createGrammars({ LlamaGrammar, LlamaGrammarEvaluationState }: LlamaModule, llama: Llama, model: LlamaModel) {
  const CACHED = 32;
  const known = new Map<string, InstanceType<typeof LlamaGrammar>>();
  const get = (grammar: string): InstanceType<typeof LlamaGrammar> => {
    const found = known.get(grammar) ?? new LlamaGrammar(llama, { grammar });
    known.delete(grammar);
    known.set(grammar, found);
    for (const oldest of known.keys()) {
      if (known.size <= CACHED) break;
      known.delete(oldest);
    }
    return found;
  };
  return {
    check(grammar: string): void {
      try {
        get(grammar);
      } catch (cause) {
        throw badRequest('the form of the answer in request cannot be made a grammar', { param: 'response_format', code: 'invalid_schema', cause });
      }
    },
    state: (grammar: string): object => nativeGrammarState(new LlamaGrammarEvaluationState({ model, grammar: get(grammar) })),
  };
}

interface Embeddings {
  embed(texts: readonly string[], signal: AbortSignal): Promise<EngineEmbeddings>;
  dispose(): Promise<void>;
}

/** A context of its own for embeddings: of models that say how they pool, or on demand. */
async function createEmbeddings(model: LlamaModel, options: LlamaEngineOptions): Promise<Embeddings | null> {
  const wanted = options.embeddings ?? poolsEmbeddings(model);
  if (!wanted) return null;
  const contextSize = Math.min(options.contextSize ?? EMBEDDING_CONTEXT, model.trainContextSize);
  const context = await model.createEmbeddingContext({
    contextSize, batchSize: contextSize, threads: options.threads, ...(options.signal !== undefined && { createSignal: options.signal }),
  });
  let last: Promise<unknown> = Promise.resolve();
  return {
    embed(texts, signal) {
      const turn = last.then(() => embedAll(context, contextSize, texts, signal));
      last = turn.catch(() => undefined);
      return turn;
    },
    async dispose() {
      await last;
      await context.dispose();
    },
  };
}

async function embedAll(context: LlamaEmbeddingContext, contextSize: number, texts: readonly string[], signal: AbortSignal): Promise<EngineEmbeddings> {
  const vectors: number[][] = [];
  let promptTokens = 0;
  for (const text of texts) {
    if (signal.aborted) throw abortError(signal);
    const length = context.calculateInputLength(text);
    if (length >= contextSize) throw new ContextLengthError(length, contextSize);
    if (length === 0) throw badRequest('an input is empty, expected at least one token', { param: 'input', code: 'invalid_value' });
    const { vector } = await context.getEmbeddingFor(text);
    const norm = Math.hypot(...vector);
    vectors.push(vector.map((value) => (norm === 0 ? 0 : value / norm)));
    promptTokens += length;
  }
  return { vectors, promptTokens };
}

/** What the file says of the model's architecture: how the states of tokens become one vector, and whether a token sees those behind it. */
function architectureOf({ fileInfo: { metadata } }: LlamaModel): { readonly pooling_type?: unknown; readonly attention?: { readonly causal?: unknown } } {
  const own = Reflect.get(metadata, metadata.general.architecture) as unknown;
  return typeof own === 'object' && own !== null ? own : {};
}

/** GGUF: by mean, first or last token; 4 gives a rank. */
const POOLINGS: readonly unknown[] = [1, 2, 3];
const RANK_POOLING = 4;

const poolsEmbeddings = (model: LlamaModel): boolean => POOLINGS.includes(architectureOf(model).pooling_type);

/** False for models that were made for vectors or ranks, and for encoders, whose tokens see those behind them. */
function givesText(model: LlamaModel): boolean {
  const { pooling_type: pooling, attention } = architectureOf(model);
  return !poolsEmbeddings(model) && pooling !== RANK_POOLING && attention?.causal !== false;
}

/** Whether a token ends an answer; asked of the model once a token. */
function endTokens(model: LlamaModel): (token: number) => boolean {
  const known = new Map<number, boolean>();
  return (token) => {
    let isEnd = known.get(token);
    if (isEnd === undefined) {
      isEnd = model.isEogToken(token as Token);
      known.set(token, isEnd);
    }
    return isEnd;
  };
}

function withBos(model: LlamaModel, tokens: readonly number[]): number[] {
  const { bos, shouldPrependBosToken } = model.tokens;
  return shouldPrependBosToken && bos !== null && tokens[0] !== bos ? [bos, ...tokens] : [...tokens];
}

function longestToken(model: LlamaModel): number {
  let longest = 1;
  for (const token of model.fileInfo.metadata.tokenizer?.ggml?.tokens ?? []) longest = Math.max(longest, token.length);
  return longest;
}

function controlTexts(model: LlamaModel): string[] {
  const { tokens = [], token_type: types = [] } = model.fileInfo.metadata.tokenizer?.ggml ?? {};
  return tokens.filter((_, index) => types[index] === CONTROL_TOKEN);
}

/** The library's token type is a number with a brand. */
function asTokens(tokens: readonly number[]): Token[] {
  return tokens as Token[];
}

function logNative(log: Log, severity: string, message: string): void {
  const text = `llama.cpp: ${message.trim()}`;
  if (severity === 'error' || severity === 'fatal') log.error(text);
  else if (severity === 'warn') log.warn(text);
  else log.debug(text);
}

/** A callback for native code, which has nowhere to throw to. */
function guarded(onProgress: (fraction: number) => void, log: Log): (fraction: number) => void {
  return (fraction) => {
    try {
      onProgress(fraction);
    } catch (cause) {
      log.warn('progress of loading cannot be shown', { cause: String(cause) });
    }
  };
}

function firstLine(thrown: unknown): string {
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return message.split('\n', 1)[0] ?? '';
}
