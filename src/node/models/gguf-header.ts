// The header of a GGUF file (ggml, docs/gguf.md, versions 2 and 3): metadata, and name, shape and type of each tensor. Read through a
// source of bytes, so that of a model on the network only the beginning is fetched. Refuses headers above 64 MiB, counts that cannot
// be, types that are not known, and text that is not UTF-8. Long lists (vocabularies) are skipped, not kept.
import { ConfigError } from '../../core/errors.ts';

/** `read` gives the bytes from `offset`, fewer than `length` only at the end. */
export interface ByteSource {
  /** For a person: path or address. */
  readonly name: string;
  read(offset: number, length: number): Promise<Uint8Array>;
}

export type GgufValue = string | number | bigint | boolean | readonly (number | bigint | boolean)[];

export interface GgufTensor {
  readonly name: string;
  readonly bytes: number;
}

export interface GgufHeader {
  readonly metadata: ReadonlyMap<string, GgufValue>;
  /** Lengths of the lists that were skipped. */
  readonly listLengths: ReadonlyMap<string, number>;
  readonly tensors: readonly GgufTensor[];
  /** Where the tensors' data begins. */
  readonly dataOffset: number;
}

const MAGIC = 0x4655_4747;
const MAX_HEADER_BYTES = 64 << 20;
/** Fetched at a time. */
const WINDOW_BYTES = 1 << 20;
const MAX_PAIRS = 65_536;
const MAX_TENSORS = 262_144;
const MAX_KEY_BYTES = 65_535;
const MAX_TEXT_BYTES = 8 << 20;
const MAX_KEPT_LIST = 4_096;
const MAX_DIMENSIONS = 4;
const DEFAULT_ALIGNMENT = 32;

const TEXT = 8;
const LIST = 9;
/** Bytes of a value, by its type number. */
const SIZES: Readonly<Record<number, number>> = { 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 };
/** Values of a block and its bytes, by tensor type (ggml.h, enum ggml_type). */
const TENSOR_TYPES: Readonly<Record<number, readonly [values: number, bytes: number]>> = {
  0: [1, 4], 1: [1, 2], 2: [32, 18], 3: [32, 20], 6: [32, 22], 7: [32, 24], 8: [32, 34], 9: [32, 36], 10: [256, 84], 11: [256, 110], 12: [256, 144], 13: [256, 176],
  14: [256, 210], 15: [256, 292], 16: [256, 66], 17: [256, 74], 18: [256, 98], 19: [256, 50], 20: [32, 18], 21: [256, 110], 22: [256, 82], 23: [256, 136], 24: [1, 1],
  25: [1, 2], 26: [1, 4], 27: [1, 8], 28: [1, 8], 29: [256, 56], 30: [1, 2], 34: [256, 54], 35: [256, 66], 39: [32, 17],
};

/** Reads the header. Throws ConfigError `E_MODEL_FORMAT`, and what the source throws. */
export async function readGgufHeader(source: ByteSource): Promise<GgufHeader> {
  const reader = new HeaderReader(source);
  const refuse = reader.refuse;
  if (await reader.u32() !== MAGIC) throw refuse('it does not begin with GGUF');
  const version = await reader.u32();
  if (version !== 2 && version !== 3) throw refuse(`it has version ${version}, expected 2 or 3`);
  const tensorCount = await reader.count(MAX_TENSORS, 'tensors');
  const pairs = await reader.count(MAX_PAIRS, 'metadata');
  const metadata = new Map<string, GgufValue>();
  const listLengths = new Map<string, number>();
  for (let index = 0; index < pairs; index += 1) {
    const key = await reader.text(MAX_KEY_BYTES);
    const value = await readValue(reader, await reader.u32());
    if (value.length !== null) listLengths.set(key, value.length);
    if (value.value !== null) metadata.set(key, value.value);
  }
  const tensors: GgufTensor[] = [];
  for (let index = 0; index < tensorCount; index += 1) tensors.push(await readTensor(reader));
  const alignment = metadata.get('general.alignment') ?? DEFAULT_ALIGNMENT;
  if (typeof alignment !== 'number' || alignment < 1 || alignment > 65_536) throw refuse('its alignment cannot be');
  return { metadata, listLengths, tensors, dataOffset: Math.ceil(reader.position / alignment) * alignment };
}

/** A value, and its length where it is a list; null where it was skipped. */
async function readValue(reader: HeaderReader, type: number): Promise<{ readonly value: GgufValue | null; readonly length: number | null }> {
  if (type === TEXT) return { value: await reader.text(MAX_TEXT_BYTES), length: null };
  if (type !== LIST) return { value: await reader.scalar(type), length: null };
  const itemType = await reader.u32();
  const length = await reader.count(MAX_HEADER_BYTES, 'list');
  if (itemType === LIST) throw reader.refuse('it has lists of lists');
  if (itemType === TEXT) {
    for (let index = 0; index < length; index += 1) await reader.skip(await reader.count(MAX_TEXT_BYTES, 'text'));
    return { value: null, length };
  }
  if (length > MAX_KEPT_LIST) {
    await reader.skip(length * reader.sizeOf(itemType));
    return { value: null, length };
  }
  const values: (number | bigint | boolean)[] = [];
  for (let index = 0; index < length; index += 1) values.push(await reader.scalar(itemType));
  return { value: values, length };
}

async function readTensor(reader: HeaderReader): Promise<GgufTensor> {
  const name = await reader.text(MAX_KEY_BYTES);
  const dimensions = await reader.u32();
  if (dimensions > MAX_DIMENSIONS) throw reader.refuse(`a tensor has ${dimensions} dimensions`);
  let values = 1;
  for (let index = 0; index < dimensions; index += 1) values *= await reader.count(Number.MAX_SAFE_INTEGER, 'dimension');
  const type = await reader.u32();
  const block = TENSOR_TYPES[type];
  if (block === undefined) throw reader.refuse(`a tensor has the type ${type}, which is not known`);
  await reader.skip(8); // its offset
  const bytes = Math.ceil(values / block[0]) * block[1];
  if (!Number.isSafeInteger(bytes)) throw reader.refuse('a tensor is larger than can be');
  return { name, bytes };
}

class HeaderReader {
  position = 0;
  readonly #source: ByteSource;
  #window: Uint8Array = new Uint8Array(0);
  #view: DataView = new DataView(new ArrayBuffer(0));
  /** Offset of the window in the file. */
  #start = 0;

  constructor(source: ByteSource) {
    this.#source = source;
  }

  readonly refuse = (why: string): ConfigError => new ConfigError('E_MODEL_FORMAT', `"${this.#source.name}" is no model that can be read: ${why}`);

  /** Makes `length` bytes from the position available; returns their offset in the window. */
  async #need(length: number): Promise<number> {
    if (this.position + length > MAX_HEADER_BYTES) throw this.refuse(`its header is longer than ${MAX_HEADER_BYTES} bytes`);
    if (this.position < this.#start || this.position + length > this.#start + this.#window.byteLength) {
      this.#window = await this.#source.read(this.position, Math.max(length, WINDOW_BYTES));
      this.#view = new DataView(this.#window.buffer, this.#window.byteOffset, this.#window.byteLength);
      this.#start = this.position;
      if (this.#window.byteLength < length) throw this.refuse('it ends within its header');
    }
    return this.position - this.#start;
  }

  async #take(length: number): Promise<number> {
    const at = await this.#need(length);
    this.position += length;
    return at;
  }

  async u32(): Promise<number> {
    const at = await this.#take(4);
    return this.#view.getUint32(at, true);
  }

  /** An unsigned 64-bit number that counts something. */
  async count(max: number, what: string): Promise<number> {
    const at = await this.#take(8);
    const value = this.#view.getBigUint64(at, true);
    if (value > BigInt(max)) throw this.refuse(`it counts ${value} (${what}), expected at most ${max}`);
    return Number(value);
  }

  async text(max: number): Promise<string> {
    const length = await this.count(max, 'text');
    const at = await this.#take(length);
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(this.#window.subarray(at, at + length));
    } catch {
      throw this.refuse('it has text that is not UTF-8');
    }
  }

  /** Moves on; what is skipped is not fetched. */
  async skip(length: number): Promise<void> {
    if (this.position + length > MAX_HEADER_BYTES) throw this.refuse(`its header is longer than ${MAX_HEADER_BYTES} bytes`);
    this.position += length;
  }

  sizeOf(type: number): number {
    const size = SIZES[type];
    if (size === undefined) throw this.refuse(`it has a value of the type ${type}, which is not known`);
    return size;
  }

  async scalar(type: number): Promise<number | bigint | boolean> {
    const at = await this.#take(this.sizeOf(type));
    const view = this.#view;
    switch (type) {
      case 0: return view.getUint8(at);
      case 1: return view.getInt8(at);
      case 2: return view.getUint16(at, true);
      case 3: return view.getInt16(at, true);
      case 4: return view.getUint32(at, true);
      case 5: return view.getInt32(at, true);
      case 6: return view.getFloat32(at, true);
      case 7: return view.getUint8(at) !== 0;
      case 10: return view.getBigUint64(at, true);
      case 11: return view.getBigInt64(at, true);
      default: return view.getFloat64(at, true);
    }
  }
}
