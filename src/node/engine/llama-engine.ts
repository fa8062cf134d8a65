// The engine on llama.cpp, through node-llama-cpp (the only file that imports it, and only when an engine is loaded).
// Prebuilt binaries only, threads always set, nothing of the native part on stdout or stderr. Refuses to run with less
// of the GPU or of the context than was asked for.
import { access } from 'node:fs/promises';
import { format } from 'node:util';
import { CocoonError, EngineError, NotFoundError } from '../../core/errors.ts';
import { badRequest } from '../../openai/errors.ts';
import { shareBatch } from './llama-batch.ts';
import { createGate } from './llama-gate.ts';
import { createLlamaScheduler } from './llama-scheduler.ts';
import type { Log } from '../../core/log.ts';
import type { Engine, EngineBackend, EngineMessage, TemplateVariables } from '../engine.ts';
import type { Gate } from './llama-gate.ts';
import type { LlamaRuntime, LlamaSampling, LlamaSequence } from './llama-runtime.ts';

export interface LlamaEngineOptions {
  /** Path of a GGUF file. */
  readonly modelPath: string;
  /** Base name under which it is served; default: the name in the file. */
  readonly model?: string;
  /** `off`: CPU only. `auto`: a GPU where there is a working one. Another value: that backend or an error. */
  readonly gpu: 'off' | 'auto' | 'cuda' | 'vulkan' | 'metal';
  /** Layers on the GPU; `auto` (default): as many as fit. A number or `all` is a demand. */
  readonly gpuLayers?: number | 'auto' | 'all';
  /** Tokens of prompt and answer of one request. Default: as many as fit, up to what the model was trained with. */
  readonly contextSize?: number;
  /** Requests worked on at the same time. */
  readonly parallel: number;
  /** CPU threads of the native part. */
  readonly threads: number;
  /** Requests that may wait for a sequence. Default: 4 for each sequence. */
  readonly queueLimit?: number;
  /** Whether the evaluation of a prompt's beginning is kept for later requests. Default true. */
  readonly reusePrefix?: boolean;
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
type LlamaContextSequence = ReturnType<LlamaContext['getSequence']>;
type Token = ReturnType<LlamaModel['tokenize']>[number];
type EvaluateOptions = NonNullable<Parameters<LlamaContextSequence['evaluateWithMetadata']>[2]>;
type EvaluationPriority = NonNullable<EvaluateOptions['evaluationPriority']>;
type JinjaTemplateChatWrapper = InstanceType<LlamaModule['JinjaTemplateChatWrapper']>;

/** Tokens of a batch of llama.cpp. */
const BATCH_SIZE = 512;
/** Tokens between two looks at the abort signal while a prompt is evaluated on the CPU; a GPU takes a whole batch in less time. */
const CPU_PREFILL_CHUNK = 128;
/** Tokens of an answer that the frequency and presence penalties look back at. */
const MAX_PENALTY_TOKENS = 4096;

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
    const context = await createContext(model, options);
    const runtime = await createRuntime(library, llama, model, context, options);
    return createLlamaScheduler(runtime, {
      model: options.model ?? model.fileInfo.metadata.general.name ?? model.filename ?? 'model',
      queueLimit: options.queueLimit ?? 4 * options.parallel,
      log: options.log,
    });
  } catch (cause) {
    await llama?.dispose();
    if (cause instanceof CocoonError) throw cause;
    throw new EngineError('E_ENGINE', `engine cannot load model '${options.modelPath}': ${firstLine(cause)}`, { cause });
  }
}

async function startLlama({ getLlama, LlamaLogLevel: level }: LlamaModule, { gpu, threads, log }: LlamaEngineOptions): Promise<Llama> {
  try {
    return await withConsoleLogged(log, () => getLlama({
      build: 'never',
      skipDownload: true,
      progressLogs: false,
      debug: false,
      gpu: gpu === 'off' ? false : gpu,
      maxThreads: threads,
      logLevel: level.warn,
      logger: (severity, message) => logNative(log, severity, message),
    }));
  } catch (cause) {
    throw new EngineError('E_ENGINE', `engine has no working llama.cpp binary for gpu '${gpu}' on this machine`, {
      cause, hint: 'the log says why each binary failed; the CPU alone is gpu off',
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
  const { gpuLayers = 'auto', onProgress } = options;
  const asked = gpuLayers === 'all' ? 'max' : gpuLayers;
  const model = await llama.loadModel({
    modelPath: options.modelPath,
    gpuLayers: llama.gpu === false ? 0 : asked,
    ...(onProgress === undefined ? {} : { onLoadProgress: guarded(onProgress, options.log) }),
    ...(options.signal === undefined ? {} : { loadSignal: options.signal }),
  });
  const demanded = gpuLayers === 'all' ? model.fileInsights.totalLayers : gpuLayers;
  if (demanded !== 'auto' && model.gpuLayers < Math.min(demanded, model.fileInsights.totalLayers)) {
    throw new EngineError('E_ENGINE', `engine has ${model.gpuLayers} layers on the GPU, expected ${demanded}`, {
      hint: 'ask for fewer layers or for gpuLayers auto, or free GPU memory',
    });
  }
  return model;
}

async function createContext(model: LlamaModel, options: LlamaEngineOptions): Promise<LlamaContext> {
  const context = await model.createContext({
    contextSize: options.contextSize ?? 'auto',
    sequences: options.parallel,
    batchSize: BATCH_SIZE,
    threads: options.threads,
    // Models with a sliding window could otherwise not be cut back to a common prefix.
    swaFullCache: true,
    batching: { itemPrioritizationStrategy: ({ items, size }) => shareBatch(items, size) },
    ...(options.contextSize === undefined ? {} : { failedCreationRemedy: false as const }),
    ...(options.signal === undefined ? {} : { createSignal: options.signal }),
  });
  if (options.contextSize !== undefined && context.contextSize < options.contextSize) {
    throw new EngineError('E_ENGINE', `engine has a context of ${context.contextSize} tokens, expected ${options.contextSize}`);
  }
  return context;
}

async function createRuntime(
  library: LlamaModule, llama: Llama, model: LlamaModel, context: LlamaContext, options: LlamaEngineOptions,
): Promise<LlamaRuntime> {
  const backend: EngineBackend = llama.gpu === false ? 'cpu' : llama.gpu;
  const template = model.fileInfo.metadata.tokenizer?.chat_template;
  const gate = createGate();
  const renderChat = template === undefined ? undefined : chatRenderer(library, template);
  return {
    info: {
      contextSize: context.contextSize,
      backend,
      gpuLayers: model.gpuLayers,
      totalLayers: model.fileInsights.totalLayers,
      devices: backend === 'cpu' ? [] : await llama.getGpuDeviceNames(),
      threads: context.idealThreads,
      chat: renderChat !== undefined,
    },
    sequences: Array.from({ length: options.parallel }, (_, id) =>
      adaptSequence(context.getSequence(), id, gate, { reusePrefix: options.reusePrefix ?? true })),
    pause: () => gate.pause(),
    prefillChunk: backend === 'cpu' ? CPU_PREFILL_CHUNK : BATCH_SIZE,
    longestToken: longestToken(model),
    tokenizeText: (text) => withBos(model, model.tokenize(text, true)),
    tokenizeChat(messages, variables) {
      if (renderChat === undefined) {
        throw badRequest('the model has no chat template, only /v1/completions', { param: 'messages', code: 'unsupported_value' });
      }
      return withBos(model, renderChat(messages, variables).tokenize(model.tokenizer));
    },
    detokenize: (tokens, previous) => model.detokenize(asTokens(tokens), false, asTokens(previous)),
    dispose: () => llama.dispose(),
  };
}

type RenderedChat = ReturnType<JinjaTemplateChatWrapper['generateContextState']>['contextText'];

/**
 * Renders chats in the model's Jinja template. Only the template's own text can hold special tokens: what users write is
 * tokenized as plain text, so it cannot end its message or begin another.
 */
function chatRenderer(
  { JinjaTemplateChatWrapper: Wrapper }: LlamaModule, template: string,
): (messages: readonly EngineMessage[], variables: TemplateVariables) => RenderedChat {
  const wrappers = new Map<string, JinjaTemplateChatWrapper>();
  const wrapperFor = ({ enableThinking, reasoningEffort }: TemplateVariables): JinjaTemplateChatWrapper => {
    const key = JSON.stringify([enableThinking, reasoningEffort]);
    const known = wrappers.get(key);
    if (known !== undefined) return known;
    const wrapper = new Wrapper({
      template,
      reasoning: enableThinking ?? null,
      functionCallMessageTemplate: 'noJinja',
      joinAdjacentMessagesOfTheSameType: false,
      trimLeadingWhitespaceInResponses: false,
      additionalRenderParameters: {
        add_generation_prompt: true,
        ...(reasoningEffort === undefined ? {} : { reasoning_effort: reasoningEffort }),
      },
    });
    wrappers.set(key, wrapper);
    return wrapper;
  };
  return (messages, variables) => {
    const chatHistory = messages.map(({ role, content }) =>
      (role === 'assistant' ? { type: 'model' as const, response: [content] } : { type: role, text: content }));
    try {
      return wrapperFor(variables).generateContextState({ chatHistory }).contextText;
    } catch (cause) {
      throw badRequest('the chat template of the model cannot render these messages', { param: 'messages', code: 'invalid_value', cause });
    }
  };
}

function adaptSequence(
  sequence: LlamaContextSequence, id: number, gate: Gate, { reusePrefix }: { readonly reusePrefix: boolean },
): LlamaSequence {
  // The library's type allows 1 to 5, its code any number; the batches are ordered by it.
  const evaluationPriority = id as EvaluationPriority;
  return {
    id,
    reusableTokens(tokens) {
      if (!reusePrefix) return 0;
      const { firstDifferentIndex } = sequence.compareContextTokens(asTokens(tokens));
      if (!sequence.needsCheckpoints) return firstDifferentIndex;
      // A recurrent state cannot be cut back: it is of use only where the prompt goes on from its very end.
      return firstDifferentIndex === sequence.nextTokenIndex && firstDifferentIndex < tokens.length ? firstDifferentIndex : 0;
    },
    async truncate(length) {
      if (length >= sequence.nextTokenIndex) return;
      await gate.exclusive(() => sequence.eraseContextTokenRanges([{ start: length, end: sequence.nextTokenIndex }]));
    },
    evaluate: (tokens) => sequence.evaluateWithoutGeneratingNewTokens(asTokens(tokens), { evaluationPriority }),
    generate: (tokens, sampling) => generate(sequence, tokens, sampling, evaluationPriority),
  };
}

function generate(
  sequence: LlamaContextSequence, tokens: readonly number[], sampling: LlamaSampling, evaluationPriority: EvaluationPriority,
): AsyncGenerator<{ readonly token: number }, void, void> {
  const { temperature, topP, seed, frequencyPenalty, presencePenalty } = sampling;
  const options: EvaluateOptions = { temperature, topP, topK: 0, minP: 0, seed, evaluationPriority };
  if (frequencyPenalty === 0 && presencePenalty === 0) return sequence.evaluateWithMetadata(asTokens(tokens), {}, options);
  const answer: Token[] = [];
  const repeatPenalty = {
    punishTokens: () => answer.slice(-MAX_PENALTY_TOKENS), maxPunishTokens: MAX_PENALTY_TOKENS, penalty: 1, frequencyPenalty, presencePenalty,
  };
  return recorded(sequence.evaluateWithMetadata(asTokens(tokens), {}, { ...options, repeatPenalty }), answer);
}

/** Passes tokens on and adds each to `answer` before the next one is drawn. */
async function* recorded<Item extends { readonly token: Token }>(
  source: AsyncGenerator<Item, void, void>, answer: Token[],
): AsyncGenerator<Item, void, void> {
  for await (const item of source) {
    answer.push(item.token);
    yield item;
  }
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
