// A sealed answer (SPEC.md section 7): numbered chunks under keys that follow from the request, of which the last is marked and
// carries the usage. A chunk that is missing, repeated, swapped or cut, and an end without the final chunk, are refused.
//
// stream: nonce[16] then chunks; chunk: length u32 ‖ flag u8 ‖ ciphertext, where length counts the ciphertext and the flag
// (0 more, 1 final) is authenticated; plaintext: padded(type u8 ‖ content).
import { randomBytes } from 'node:crypto';
import { nonceOf, NONCE_BYTES, TAG_BYTES } from './hpke/aead.ts';
import { expand, extract } from './hpke/labeled.ts';
import { Decoder, Encoder } from './encoding.ts';
import { SealError } from './errors.ts';
import { PAD_LENGTH_BYTES, unpad } from './padding.ts';
import type { Aead } from './hpke/aead.ts';
import type { ExportContext } from './hpke/context.ts';

const LABEL = Buffer.from('cocoon seal answer 1');
const SECRET_BYTES = 32;
export const ANSWER_NONCE_BYTES = 16;
const CHUNK_HEAD = 4 + 1;
/** Most content of one chunk; longer bodies are cut. */
const MAX_CONTENT = 65_536;
const BUCKET = 64;
const MAX_CIPHERTEXT = MAX_CONTENT + BUCKET + 8 + TAG_BYTES;
const MAX_HEADERS = 256;
const MAX_TEXT = 16_384;
const MAX_RECEIPT = 32_768;
const FINAL = 1;
const FINAL_FLAG = Uint8Array.of(FINAL);
const MORE_FLAG = Uint8Array.of(0);

const TYPE = { head: 1, body: 2, end: 3, failure: 4 } as const;

const bucket = (size: number): number => Math.ceil(size / BUCKET) * BUCKET;

/** Adjusted tokens (WIRE.md section 12), all of them zero or more. */
export interface SealedUsage {
  readonly prompt: bigint;
  readonly cached: bigint;
  readonly completion: bigint;
  readonly reasoning: bigint;
  readonly total: bigint;
}

/** What chunks carry, in this order: head, any number of body, then end or failure. */
export type AnswerChunk =
  | { readonly kind: 'head'; readonly status: number; readonly reason: string; readonly headers: readonly { readonly name: string; readonly value: string }[] }
  | { readonly kind: 'body'; readonly bytes: Uint8Array }
  /** `receipt`: encoded receipt, empty where the node makes none. */
  | { readonly kind: 'end'; readonly usage: SealedUsage; readonly receipt: Uint8Array }
  | { readonly kind: 'failure'; readonly code: number; readonly message: string; readonly usage: SealedUsage };

/** From which both sides make the keys of one answer. */
export interface AnswerKeys {
  readonly aead: Aead;
  readonly enc: Uint8Array;
  /** 32 bytes. Secret. */
  readonly secret: Uint8Array;
}

export const answerKeys = (aead: Aead, context: ExportContext, enc: Uint8Array): AnswerKeys => ({ aead, enc, secret: context.export(LABEL, SECRET_BYTES) });

function derive({ aead, enc, secret }: AnswerKeys, nonce: Uint8Array): { key: Uint8Array; base: Uint8Array } {
  const prk = extract(Buffer.concat([enc, nonce]), secret);
  return { key: expand(prk, Buffer.from('key'), aead.keyBytes), base: expand(prk, Buffer.from('nonce'), NONCE_BYTES) };
}

export interface AnswerSealer {
  /** Bytes to send for one item; a long body becomes several chunks. Throws RangeError after the end. */
  seal(chunk: AnswerChunk): Uint8Array;
}

/** The node's side. `nonce` is for test vectors; two answers never share one. */
export function createAnswerSealer(keys: AnswerKeys, nonce: Uint8Array = randomBytes(ANSWER_NONCE_BYTES)): AnswerSealer {
  const { key, base } = derive(keys, nonce);
  let index = 0;
  let ended = false;
  const one = (type: number, content: Uint8Array, final: boolean): Uint8Array => {
    const flag = final ? FINAL_FLAG : MORE_FLAG;
    const length = 1 + content.byteLength;
    const padded = Buffer.allocUnsafe(bucket(PAD_LENGTH_BYTES + length));
    padded.writeUInt32BE(length, 0);
    padded[PAD_LENGTH_BYTES] = type;
    padded.set(content, PAD_LENGTH_BYTES + 1);
    padded.fill(0, PAD_LENGTH_BYTES + length);
    const ciphertext = keys.aead.seal(key, nonceOf(base, index), flag, padded);
    const start = index === 0 ? nonce.byteLength : 0;
    const chunk = Buffer.allocUnsafe(start + CHUNK_HEAD + ciphertext.byteLength);
    if (start > 0) chunk.set(nonce, 0);
    chunk.writeUInt32BE(ciphertext.byteLength, start);
    chunk.set(flag, start + 4);
    chunk.set(ciphertext, start + CHUNK_HEAD);
    index += 1;
    return chunk;
  };
  return {
    seal(chunk) {
      if (ended) throw new RangeError('the answer has ended');
      switch (chunk.kind) {
        case 'head': return one(TYPE.head, encodeHead(chunk), false);
        case 'body': {
          if (chunk.bytes.byteLength <= MAX_CONTENT) return chunk.bytes.byteLength === 0 ? chunk.bytes : one(TYPE.body, chunk.bytes, false);
          const parts: Uint8Array[] = [];
          for (let at = 0; at < chunk.bytes.byteLength; at += MAX_CONTENT) parts.push(one(TYPE.body, chunk.bytes.subarray(at, at + MAX_CONTENT), false));
          return Buffer.concat(parts);
        }
        case 'end':
          ended = true;
          return one(TYPE.end, encodeUsage(new Encoder(), chunk.usage).bytes(chunk.receipt).finish(), true);
        case 'failure':
          ended = true;
          return one(TYPE.failure, encodeUsage(new Encoder(), chunk.usage).u32(chunk.code).text(chunk.message.slice(0, MAX_TEXT / 4)).finish(), true);
      }
    },
  };
}

export interface AnswerOpener {
  /** The items that `bytes` complete, in order. Throws SealError for the first byte that is not as it was sealed; of this opener then nothing more. */
  push(bytes: Uint8Array): AnswerChunk[];
  /** Throws SealError unless the final chunk was there. Call it when the stream has ended. */
  end(): void;
}

/** The client's side. Holds at most one chunk. */
export function createAnswerOpener(keys: AnswerKeys): AnswerOpener {
  let pending: Uint8Array = new Uint8Array(0);
  let derived: { key: Uint8Array; base: Uint8Array } | null = null;
  let index = 0;
  let state: 'head' | 'body' | 'ended' | 'refused' = 'head';

  function next(): AnswerChunk | null {
    if (pending.byteLength < CHUNK_HEAD) return null;
    const length = new DataView(pending.buffer, pending.byteOffset).getUint32(0);
    if (length > MAX_CIPHERTEXT) throw new SealError(`sealed chunk has ${length} bytes, expected at most ${MAX_CIPHERTEXT}`);
    const end = CHUNK_HEAD + length;
    if (pending.byteLength < end) return null;
    const flag = pending.subarray(4, CHUNK_HEAD);
    if (derived === null) throw new SealError('sealed answer has no nonce');
    const plaintext = unpad(keys.aead.open(derived.key, nonceOf(derived.base, index), flag, pending.subarray(CHUNK_HEAD, end)));
    pending = pending.subarray(end);
    index += 1;
    return accept(decodeChunk(plaintext), flag[0] === FINAL);
  }

  function accept(chunk: AnswerChunk, final: boolean): AnswerChunk {
    const last = chunk.kind === 'end' || chunk.kind === 'failure';
    if (last !== final) throw new SealError(`sealed chunk of kind ${chunk.kind} is ${final ? '' : 'not '}marked as the last`);
    if (chunk.kind !== 'failure' && (chunk.kind === 'head') !== (state === 'head')) throw new SealError(`sealed chunk of kind ${chunk.kind} is out of order`);
    state = last ? 'ended' : 'body';
    return chunk;
  }

  function push(bytes: Uint8Array): AnswerChunk[] {
    if (state === 'refused') throw new SealError('sealed answer was refused before');
    if (state === 'ended' && bytes.byteLength > 0) throw new SealError('sealed answer goes on after its final chunk');
    // Whole chunks are opened where they are; what is left of one is copied below, because `bytes` are the caller's.
    pending = pending.byteLength === 0 ? bytes : Buffer.concat([pending, bytes]);
    if (derived === null) {
      if (pending.byteLength < ANSWER_NONCE_BYTES) {
        pending = pending.slice();
        return [];
      }
      derived = derive(keys, pending.slice(0, ANSWER_NONCE_BYTES));
      pending = pending.subarray(ANSWER_NONCE_BYTES);
    }
    const chunks: AnswerChunk[] = [];
    for (let chunk = next(); chunk !== null; chunk = next()) {
      chunks.push(chunk);
      if (state === 'ended' && pending.byteLength > 0) throw new SealError('sealed answer goes on after its final chunk');
    }
    pending = pending.slice();
    return chunks;
  }

  return {
    push(bytes) {
      try {
        return push(bytes);
      } catch (error) {
        state = 'refused';
        throw error;
      }
    },
    end() {
      if (state !== 'ended') throw new SealError('sealed answer ended before its final chunk: it was cut');
    },
  };
}

function encodeHead({ status, reason, headers }: Extract<AnswerChunk, { kind: 'head' }>): Uint8Array {
  const encoder = new Encoder().u16(status).text(reason).u16(headers.length);
  for (const { name, value } of headers) encoder.text(name).text(value);
  return encoder.finish();
}

const encodeUsage = (encoder: Encoder, { prompt, cached, completion, reasoning, total }: SealedUsage): Encoder =>
  encoder.u64(prompt).u64(cached).u64(completion).u64(reasoning).u64(total);

const decodeUsage = (decoder: Decoder): SealedUsage =>
  ({ prompt: decoder.u64(), cached: decoder.u64(), completion: decoder.u64(), reasoning: decoder.u64(), total: decoder.u64() });

function decodeChunk(plaintext: Uint8Array): AnswerChunk {
  const type = plaintext[0];
  if (type === TYPE.body) return { kind: 'body', bytes: plaintext.subarray(1) };
  const decoder = new Decoder(plaintext.subarray(1), 'sealed chunk');
  const chunk = decodeContent(type, decoder);
  decoder.end();
  return chunk;
}

function decodeContent(type: number | undefined, decoder: Decoder): AnswerChunk {
  switch (type) {
    case TYPE.head: {
      const status = decoder.u16();
      const reason = decoder.text(MAX_TEXT);
      const count = decoder.u16();
      if (count > MAX_HEADERS) throw new SealError(`sealed answer has ${count} headers, expected at most ${MAX_HEADERS}`);
      return { kind: 'head', status, reason, headers: Array.from({ length: count }, () => ({ name: decoder.text(MAX_TEXT), value: decoder.text(MAX_TEXT) })) };
    }
    case TYPE.end: return { kind: 'end', usage: decodeUsage(decoder), receipt: decoder.bytes(MAX_RECEIPT) };
    case TYPE.failure: {
      const usage = decodeUsage(decoder);
      return { kind: 'failure', usage, code: decoder.u32(), message: decoder.text(MAX_TEXT) };
    }
    default: throw new SealError(`sealed chunk has type ${type ?? 'none'}, expected 1 to 4`);
  }
}
