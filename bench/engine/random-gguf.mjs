// A GGUF file of random weights for benches: the Llama architecture in Q8_0 with 85 million parameters, and the vocabulary of the
// small model that comes with cocoon. What it says is noise; what it costs is what a model of this size costs.
import { openSync, readFileSync, writeSync, closeSync, existsSync, renameSync } from 'node:fs';

const ALIGNMENT = 32;
const STRING = 8;
const ARRAY = 9;
const UINT32 = 4;
const FLOAT32 = 6;
const SIZES = { 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 };
const TYPE_F32 = 0;
const TYPE_Q8_0 = 8;
const BLOCK = 32;
const BLOCK_BYTES = 34;
/** 0.0005 as a half float: weights of about 0.03, as trained ones. */
const SCALE = 0x1019;

const WIDTH = 768;
const LAYERS = 12;
const HEADS = 12;
const FEED_FORWARD = 2048;
export const CONTEXT = 4096;

const u32 = (value) => { const bytes = Buffer.alloc(4); bytes.writeUInt32LE(value); return bytes; };
const u64 = (value) => { const bytes = Buffer.alloc(8); bytes.writeBigUInt64LE(BigInt(value)); return bytes; };
const f32 = (value) => { const bytes = Buffer.alloc(4); bytes.writeFloatLE(value); return bytes; };
const text = (value) => Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)]);
const pair = (key, type, value) => Buffer.concat([text(key), u32(type), value]);

/** The pairs of a file's metadata that describe its tokenizer, as bytes, and the texts of its tokens. */
function tokenizerOf(path) {
  const file = readFileSync(path);
  let at = 16;
  const number = () => { at += 8; return Number(file.readBigUInt64LE(at - 8)); };
  const word = () => { at += 4; return file.readUInt32LE(at - 4); };
  const string = () => { const length = number(); at += length; return file.toString('utf8', at - length, at); };
  const skip = (type) => {
    if (type === STRING) return void string();
    if (type !== ARRAY) return void (at += SIZES[type]);
    const inner = word();
    const count = number();
    for (let i = 0; i < count; i += 1) skip(inner);
    return count;
  };
  const pairs = [];
  let tokens = [];
  for (let left = number(); left > 0; left -= 1) {
    const start = at;
    const key = string();
    const type = word();
    const value = at;
    skip(type);
    if (key.startsWith('tokenizer.')) pairs.push(file.subarray(start, at));
    if (key !== 'tokenizer.ggml.tokens') continue;
    const end = at;
    at = value + 4;
    tokens = Array.from({ length: number() }, string);
    at = end;
  }
  return { pairs, tokens };
}

/** Writes the file unless it is there. `vocabulary`: a GGUF file whose tokenizer it gets. */
export function writeRandomGguf(path, vocabulary) {
  if (existsSync(path)) return;
  const { pairs: tokenizer, tokens: texts } = tokenizerOf(vocabulary);
  const tokens = texts.length;
  const metadata = [
    pair('general.architecture', STRING, text('llama')), pair('general.name', STRING, text('random-85m')), pair('general.file_type', UINT32, u32(7)),
    pair('llama.context_length', UINT32, u32(CONTEXT)), pair('llama.embedding_length', UINT32, u32(WIDTH)), pair('llama.block_count', UINT32, u32(LAYERS)),
    pair('llama.feed_forward_length', UINT32, u32(FEED_FORWARD)), pair('llama.attention.head_count', UINT32, u32(HEADS)), pair('llama.attention.head_count_kv', UINT32, u32(HEADS)),
    pair('llama.rope.dimension_count', UINT32, u32(WIDTH / HEADS)), pair('llama.vocab_size', UINT32, u32(tokens)), pair('llama.attention.layer_norm_rms_epsilon', FLOAT32, f32(1e-5)),
    ...tokenizer,
  ];
  const matrix = (name, columns, rows) => ({ name: `${name}.weight`, shape: [columns, rows], type: TYPE_Q8_0, bytes: columns * rows / BLOCK * BLOCK_BYTES });
  const norm = (name) => ({ name: `${name}.weight`, shape: [WIDTH], type: TYPE_F32, bytes: WIDTH * 4 });
  const tensors = [matrix('token_embd', WIDTH, tokens), norm('output_norm')];
  for (let layer = 0; layer < LAYERS; layer += 1) {
    const of = (name) => `blk.${layer}.${name}`;
    tensors.push(
      norm(of('attn_norm')), norm(of('ffn_norm')),
      ...['attn_q', 'attn_k', 'attn_v', 'attn_output'].map((name) => matrix(of(name), WIDTH, WIDTH)),
      matrix(of('ffn_gate'), WIDTH, FEED_FORWARD), matrix(of('ffn_up'), WIDTH, FEED_FORWARD), matrix(of('ffn_down'), FEED_FORWARD, WIDTH),
    );
  }
  const padded = (length) => Math.ceil(length / ALIGNMENT) * ALIGNMENT;
  let offset = 0;
  const infos = tensors.map(({ name, shape, type, bytes }) => {
    const info = Buffer.concat([text(name), u32(shape.length), ...shape.map(u64), u32(type), u64(offset)]);
    offset += padded(bytes);
    return info;
  });
  const head = Buffer.concat([Buffer.from('GGUF'), u32(3), u64(tensors.length), u64(metadata.length), ...metadata, ...infos]);
  const out = openSync(`${path}.part`, 'w');
  writeSync(out, Buffer.concat([head, Buffer.alloc(padded(head.length) - head.length)]));
  let seed = 1;
  for (const { name, type, bytes } of tensors) {
    const data = Buffer.alloc(padded(bytes));
    if (type === TYPE_F32) {
      for (let at = 0; at < bytes; at += 4) data.writeFloatLE(1, at);
    } else {
      for (let at = 0; at < bytes; at += BLOCK_BYTES) {
        // Whatever is no plain text by itself, and what ends an answer, is never the likeliest: llama.cpp's server refuses such noise.
        const token = name === 'token_embd.weight' ? texts[Math.floor(at / (WIDTH / BLOCK * BLOCK_BYTES))] : '';
        data.writeUInt16LE(/^<\||[^\x20-\x7eĠĊ]/.test(token) ? 0 : SCALE, at);
        for (let i = 2; i < BLOCK_BYTES; i += 1) {
          seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
          data[at + i] = seed >>> 24;
        }
      }
    }
    writeSync(out, data);
  }
  closeSync(out);
  renameSync(`${path}.part`, path);
}
