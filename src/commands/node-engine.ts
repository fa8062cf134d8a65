// The engine of `cocoon node start`: its flags and settings, checked before anything is read or started, and how it is opened:
// llama.cpp in a process of its own, or another server that speaks OpenAI's API (--backend).
import { readFile, stat } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { ConfigError } from '../core/errors.ts';
import { startChildEngine } from '../node/engine/child-engine.ts';
import { servedModel } from './served-model.ts';
import { boundedSetting, oneOf, wholeNumber } from './values.ts';
import type { Command } from 'commander';
import type { Log } from '../core/log.ts';
import type { Engine } from '../node/engine.ts';
import type { LoadOptions } from '../node/engine/child-protocol.ts';
import type { GpuChoice, KvType } from '../node/engine/llama-engine.ts';
import type { Invocation } from './command.ts';
import type { ServedModel } from './served-model.ts';

const DEFAULT_PARALLEL = 4;
/** Least and most of what flags and settings may ask for. */
const THREADS = [1, 1_024] as const;
const PARALLEL = [1, 256] as const;
const CTX = [16, 10_000_000] as const;
const LAYERS = [0, 10_000] as const;
const QUEUE = [0, 100_000] as const;
const GPUS: readonly GpuChoice[] = ['auto', 'cuda', 'vulkan', 'metal', 'off'];
const FLASH = ['auto', 'on', 'off'] as const;
/** As KV_TYPES of the engine, which is not loaded here. */
const KV_TYPES: readonly KvType[] = ['f16', 'f32', 'bf16', 'q8_0', 'q5_1', 'q5_0', 'q4_1', 'q4_0'];

type Layers = number | 'auto' | 'all';

interface EngineFlags {
  readonly threads?: number;
  readonly parallel?: number;
  readonly ctx?: number;
  readonly gpu?: GpuChoice;
  readonly gpuLayers?: Layers;
  readonly allowCpu?: boolean;
  readonly flashAttention?: (typeof FLASH)[number];
  readonly kvType?: KvType;
  readonly queue?: number;
  readonly contextShift?: boolean;
  readonly embeddings?: boolean;
  readonly backend?: string;
  readonly backendModel?: string;
  readonly backendKeyFile?: string;
  readonly backendPlaintext?: boolean;
}

/** Everything but the model. `gpu` null: by the model. */
export type EngineChoice = Omit<LoadOptions, 'modelPath' | 'model' | 'gpu'> & { readonly gpu: GpuChoice | null };

const layers = (text: string): Layers => (text === 'auto' || text === 'all' ? text : wholeNumber(...LAYERS)(text));

export function declareEngine(command: Command): void {
  command
    .option('--gpu <where>', 'auto, cuda, vulkan, metal or off (default: the setting engine.gpu)', oneOf(GPUS))
    .option('--gpu-layers <n>', 'layers on the GPU: a number, all or auto (default: the setting engine.gpu_layers)', layers)
    .option('--allow-cpu', 'start also when fewer layers than asked for are on the GPU')
    .option('--threads <n>', 'CPU threads of the engine (default: the setting engine.threads)', wholeNumber(...THREADS))
    .option('--parallel <n>', 'requests answered at the same time (default: the setting engine.parallel)', wholeNumber(...PARALLEL))
    .option('--queue <n>', 'requests that may wait for the engine (default: the setting engine.queue)', wholeNumber(...QUEUE))
    .option('--ctx <n>', 'tokens of context of each request (default: the setting engine.ctx)', wholeNumber(...CTX))
    .option('--context-shift', 'answers go on in a full context, which forgets its older half')
    .option('--flash-attention <when>', 'auto, on or off (default: the setting engine.flash_attention)', oneOf(FLASH))
    .option('--kv-type <type>', `type of the KV cache: ${KV_TYPES.join(', ')} (default: the setting engine.kv_type)`, oneOf(KV_TYPES))
    .option('--embeddings', 'embeddings also from a model that was not made for them')
    .option('--backend <url>', 'front a server that speaks OpenAI\'s API (vLLM, SGLang, llama-server) instead; --model is then the file that it serves')
    .option('--backend-model <name>', 'the backend\'s name of the model (default: the only one that it has)')
    .option('--backend-key-file <file>', 'file of mode 0600 with the backend\'s API key')
    .option('--backend-plaintext', 'let prompts travel unencrypted to a backend on another machine');
}

/** Flags, else settings. Throws ConfigError. */
export function engineChoice({ settings, options }: Pick<Invocation, 'settings' | 'options'>): EngineChoice {
  const flags: EngineFlags = options;
  const contextSize = flags.ctx ?? boundedSetting(settings, 'engine.ctx', ...CTX);
  const queueLimit = flags.queue ?? boundedSetting(settings, 'engine.queue', ...QUEUE);
  return {
    gpu: flags.gpu ?? (settings.text('engine.gpu') as GpuChoice | undefined) ?? null,
    gpuLayers: flags.gpuLayers ?? settingLayers(settings.text('engine.gpu_layers') ?? 'auto'),
    allowCpu: flags.allowCpu ?? settings.boolean('engine.allow_cpu'),
    flashAttention: flags.flashAttention ?? (settings.text('engine.flash_attention') as EngineFlags['flashAttention']) ?? 'auto',
    kvType: flags.kvType ?? (settings.text('engine.kv_type') as KvType | undefined) ?? 'f16',
    contextShift: flags.contextShift ?? settings.boolean('engine.context_shift'),
    ...((flags.embeddings ?? settings.boolean('engine.embeddings')) && { embeddings: true }),
    parallel: flags.parallel ?? boundedSetting(settings, 'engine.parallel', ...PARALLEL) ?? DEFAULT_PARALLEL,
    threads: flags.threads ?? boundedSetting(settings, 'engine.threads', ...THREADS) ?? Math.max(1, availableParallelism() - 1),
    ...(contextSize !== undefined && { contextSize }),
    ...(queueLimit !== undefined && { queueLimit }),
  };
}

function settingLayers(text: string): Layers {
  if (text === 'auto' || text === 'all') return text;
  const count = Number(text);
  if (/^\d{1,5}$/.test(text) && count <= LAYERS[1]) return count;
  throw new ConfigError('E_CONFIG', `cannot use the setting engine.gpu_layers "${text}": expected a number, all or auto`);
}

/** `file` and `name` as given on the command line: a process that is started again loads the same bytes or none. */
export async function openEngine(
  invocation: Invocation, model: ServedModel, choice: EngineChoice, given: { readonly file: string | undefined; readonly name: string | undefined }, log: Log,
): Promise<Engine> {
  const { context, out, settings } = invocation;
  const { backend }: EngineFlags = invocation.options;
  if (backend !== undefined) return openBackend(invocation, backend, model, choice, log);
  let told = -1;
  return startChildEngine({
    launch: { command: context.self.command, args: [...context.self.args, 'node', 'run-engine'], env: engineEnvironment(context.env) },
    // The small model answers faster on a CPU than a GPU is looked for.
    load: { ...choice, gpu: choice.gpu ?? (given.file === undefined ? 'off' : 'auto'), modelPath: model.path, model: model.name },
    onProgress: (fraction) => {
      const tenths = Math.floor(fraction * 10);
      if (tenths > told && out.interactive) void out.note(`loading ${model.name}: ${tenths * 10} %`);
      told = Math.max(told, tenths);
    },
    check: async (signal) => {
      const again = await servedModel({ cwd: context.cwd, signal, home: settings.home }, given.file, given.name);
      await again.verified;
      if (again.fullName !== model.fullName) throw new ConfigError('E_CONFIG', `the model file is another one now: ${again.fullName}, expected ${model.fullName}`);
    },
    signal: context.signal, log,
  });
}

async function openBackend({ context, options }: Invocation, url: string, model: ServedModel, choice: EngineChoice, log: Log): Promise<Engine> {
  const { openHttpEngine } = await import('../node/backend/http-engine.ts');
  const { backendModel, backendKeyFile, backendPlaintext }: EngineFlags = options;
  return openHttpEngine({
    url, model: model.name, backendModel, parallel: choice.parallel, queueLimit: choice.queueLimit, contextSize: choice.contextSize,
    allowPlaintext: backendPlaintext ?? false, log, signal: context.signal,
    ...(backendKeyFile !== undefined && { apiKey: await readKey(resolve(context.cwd, backendKeyFile)) }),
  });
}

async function readKey(path: string): Promise<string> {
  const { mode } = await stat(path).catch((cause: unknown) => {
    throw new ConfigError('E_CONFIG', `cannot read the key file "${path}"`, { cause });
  });
  if ((mode & 0o077) !== 0) throw new ConfigError('E_CONFIG', `the key file "${path}" can be read by others`, { hint: `run chmod 600 ${path}` });
  const key = (await readFile(path, 'utf8')).trim();
  if (!/^[\x21-\x7e]{1,4096}$/.test(key)) throw new ConfigError('E_CONFIG', `the key file "${path}" holds no key`);
  return key;
}

/** Without what is cocoon's own: secrets may be among it, and the process needs none. */
const engineEnvironment = (env: Readonly<Record<string, string | undefined>>): Record<string, string | undefined> =>
  Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('COCOON_')));

/** What the engine really uses, for the line that says the node is ready. */
export function engineFacts(engine: Engine): Readonly<Record<string, string>> {
  const { backend, devices, gpuLayers, totalLayers, threads, sequences, contextSize, kvType, flashAttention } = engine.info();
  return {
    backend, ...(devices.length > 0 && { gpu: devices.join('; ') }), ...(totalLayers > 0 && { layers: `${gpuLayers}/${totalLayers}` }),
    threads: String(threads), parallel: String(sequences), ctx: String(contextSize),
    ...(kvType !== null && { kv: kvType }), ...(flashAttention !== 'auto' && { flash: flashAttention }),
  };
}
