// What a model needs of a machine, from its header alone, and what of it the machine can hold: weights, KV cache for each sequence
// and token, buffers of the computation. The KV cache is an upper bound: layers with a sliding window, and formats that share it,
// need less. Buffers are an estimate (llama.cpp reserves them for its largest batch).
import { readGgufHeader } from './gguf-header.ts';
import { withFileSource } from './file-source.ts';
import type { ByteSource, GgufHeader, GgufValue } from './gguf-header.ts';

/** Bytes of one value in the KV cache. */
export const KV_TYPES = { f32: 4, f16: 2, bf16: 2, q8_0: 34 / 32, q4_0: 18 / 32 } as const;
export type KvType = keyof typeof KV_TYPES;

export interface FitQuestion {
  /** Requests answered at the same time. */
  readonly parallel: number;
  /** Tokens of context of each; default: the model's own. */
  readonly contextSize?: number;
  /** Default f16. */
  readonly kvType?: KvType;
  /** False: attention needs a buffer that grows with the context. Default true. */
  readonly flashAttention?: boolean;
}

export interface MachineMemory {
  readonly ramBytes: number;
  /** Free memory of each GPU; empty: the model is computed by the CPU. */
  readonly gpuBytes: readonly number[];
}

export interface ModelShape {
  readonly architecture: string;
  readonly name: string | null;
  readonly weightsBytes: number;
  /** Weights of each layer, and of everything that is in none (embeddings, output). */
  readonly layerBytes: readonly number[];
  readonly otherBytes: number;
  readonly trainedContext: number;
  readonly heads: number;
  readonly embedding: number;
  readonly feedForward: number;
  readonly vocabulary: number;
  /** Values in the KV cache for each token, by layer. */
  readonly kvValues: readonly number[];
  /** Bytes of state of each sequence that do not grow with the context (recurrent layers), by layer. */
  readonly stateBytes: readonly number[];
  /** True where layers see a window of the context only, so that the cache is smaller than stated. */
  readonly slidingWindow: boolean;
}

export interface ModelFit {
  readonly shape: ModelShape;
  readonly contextSize: number;
  readonly parallel: number;
  readonly kvType: KvType;
  readonly weightsBytes: number;
  readonly kvBytesPerToken: number;
  readonly kvBytesPerSequence: number;
  readonly kvBytes: number;
  readonly buffersBytes: number;
  readonly totalBytes: number;
  readonly layers: number;
  readonly layersOnGpu: number;
  /** True when all of it is held by the GPUs; without a GPU, by the memory. */
  readonly fits: boolean;
  /** What there is: of the GPUs, or the memory. */
  readonly availableBytes: number;
  /** Tokens of context of each sequence that would fit wholly; 0 where not even the weights do. */
  readonly largestContext: number;
}

const MIB = 1 << 20;
/** Taken by the CUDA context and its libraries on each GPU. */
const GPU_OVERHEAD_BYTES = 600 * MIB;
/** Left to the system and this program. */
const RAM_RESERVE_BYTES = 512 * MIB;
const BATCH_TOKENS = 512;
const MAX_LAYERS = 1_024;
const DEFAULT_CONTEXT = 4_096;

/** Reads the headers of all parts of a model. Throws ConfigError `E_MODEL_FORMAT`, and what the sources throw. */
export async function readShape(sources: readonly ByteSource[]): Promise<ModelShape> {
  const headers: GgufHeader[] = [];
  for (const source of sources) headers.push(await readGgufHeader(source));
  return shapeOf(headers);
}

function shapeOf(headers: readonly GgufHeader[]): ModelShape {
  const metadata = headers[0]?.metadata ?? new Map<string, GgufValue>();
  const architecture = text(metadata.get('general.architecture')) ?? 'unknown';
  const number = (key: string): number | undefined => one(metadata.get(`${architecture}.${key}`));
  const layers = Math.min(MAX_LAYERS, number('block_count') ?? 0);
  const list = (key: string): number[] => Array.from({ length: layers }, (_unused, layer) => at(metadata.get(`${architecture}.${key}`), layer) ?? 0);
  const [heads, embedding] = [Math.max(1, ...list('attention.head_count')), number('embedding_length') ?? 0];
  const hasKv = metadata.has(`${architecture}.attention.head_count_kv`);
  const kvHeads = hasKv ? list('attention.head_count_kv') : list('attention.head_count');
  const [keyLength, valueLength] = [number('attention.key_length') ?? embedding / heads, number('attention.value_length') ?? embedding / heads];
  const layerBytes = Array.from({ length: layers }, () => 0);
  let otherBytes = 0;
  for (const { name, bytes } of headers.flatMap(({ tensors }) => tensors)) {
    const layer = Number(/^blk\.(\d{1,4})\./.exec(name)?.[1] ?? -1);
    if (layer >= 0 && layer < layers) layerBytes[layer] = (layerBytes[layer] ?? 0) + bytes;
    else otherBytes += bytes;
  }
  const recurrent = recurrentBytes(number);
  return {
    architecture, name: text(metadata.get('general.name')), layerBytes, otherBytes, weightsBytes: layerBytes.reduce((sum, bytes) => sum + bytes, otherBytes),
    trainedContext: number('context_length') ?? DEFAULT_CONTEXT, heads, embedding, feedForward: Math.max(0, ...list('feed_forward_length'), number('feed_forward_length') ?? 0),
    vocabulary: headers[0]?.listLengths.get('tokenizer.ggml.tokens') ?? number('vocab_size') ?? 0,
    kvValues: kvHeads.map((count) => count * (keyLength + valueLength)), stateBytes: kvHeads.map((count) => (count === 0 ? recurrent : 0)),
    slidingWindow: (number('attention.sliding_window') ?? 0) > 0,
  };
}

/** State of one recurrent layer of one sequence (Mamba): convolution and state, 32-bit numbers. */
function recurrentBytes(number: (key: string) => number | undefined): number {
  const [kernel, inner, state, groups] = [number('ssm.conv_kernel') ?? 0, number('ssm.inner_size') ?? 0, number('ssm.state_size') ?? 0, number('ssm.group_count') ?? 0];
  return 4 * (Math.max(0, kernel - 1) * (inner + 2 * groups * state) + state * inner);
}

const text = (value: GgufValue | undefined): string | null => (typeof value === 'string' ? value : null);
const one = (value: GgufValue | undefined): number | undefined => at(value, 0);
/** A number, or the number of a layer where each has its own. */
function at(value: GgufValue | undefined, index: number): number | undefined {
  const item = Array.isArray(value) ? (value as readonly (number | bigint | boolean)[])[index] : value;
  return typeof item === 'number' ? item : typeof item === 'bigint' ? Number(item) : undefined;
}

/** What the model needs, and what of it fits. Pure. */
export function fitModel(shape: ModelShape, { parallel, contextSize = shape.trainedContext, kvType = 'f16', flashAttention = true }: FitQuestion, memory: MachineMemory): ModelFit {
  const perValue = KV_TYPES[kvType];
  const kvBytesPerToken = Math.ceil(sum(shape.kvValues) * perValue);
  const state = sum(shape.stateBytes);
  const kvBytesPerSequence = kvBytesPerToken * contextSize + state;
  const kvBytes = kvBytesPerSequence * parallel;
  const buffersFor = (context: number): number => 4 * BATCH_TOKENS * (shape.vocabulary + 2 * shape.feedForward + 8 * shape.embedding + (flashAttention ? 0 : shape.heads * context));
  const buffersBytes = buffersFor(contextSize);
  const totalBytes = shape.weightsBytes + kvBytes + buffersBytes;
  const onGpu = memory.gpuBytes.length > 0;
  const availableBytes = onGpu ? sum(memory.gpuBytes.map((bytes) => Math.max(0, bytes - GPU_OVERHEAD_BYTES))) : Math.max(0, memory.ramBytes - RAM_RESERVE_BYTES);
  const fits = totalBytes <= availableBytes;
  const layers = shape.layerBytes.length;
  const perContextToken = kvBytesPerToken * parallel + (flashAttention ? 0 : 4 * BATCH_TOKENS * shape.heads);
  const spare = availableBytes - shape.weightsBytes - state * parallel - buffersFor(0);
  return {
    shape, contextSize, parallel, kvType, weightsBytes: shape.weightsBytes, kvBytesPerToken, kvBytesPerSequence, kvBytes, buffersBytes, totalBytes, layers, fits, availableBytes,
    layersOnGpu: !onGpu ? 0 : fits ? layers : layersThatFit(shape, availableBytes - buffersBytes, (layer) => ((shape.kvValues[layer] ?? 0) * perValue * contextSize + (shape.stateBytes[layer] ?? 0)) * parallel),
    largestContext: spare <= 0 ? 0 : perContextToken === 0 ? shape.trainedContext : Math.min(shape.trainedContext, Math.floor(spare / perContextToken)),
  };
}

/** Layers go to the GPU from the last one on, as llama.cpp does it. */
function layersThatFit({ layerBytes }: ModelShape, available: number, cacheOf: (layer: number) => number): number {
  let left = available;
  let count = 0;
  for (let layer = layerBytes.length - 1; layer >= 0; layer -= 1) {
    left -= (layerBytes[layer] ?? 0) + cacheOf(layer);
    if (left < 0) break;
    count += 1;
  }
  return count;
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

/** The same for files of this machine. Throws NotFoundError, ConfigError `E_MODEL_FORMAT`. */
export async function fitFile(paths: readonly string[], question: FitQuestion, memory: MachineMemory): Promise<ModelFit> {
  const headers: GgufHeader[] = [];
  for (const path of paths) headers.push(await withFileSource(path, readGgufHeader));
  return fitModel(shapeOf(headers), question, memory);
}
