// A copy of a GGUF file (version 3) with another chat template, or one value more: its metadata is read to the end, the tensors move
// as they are.

const ALIGNMENT = 32;
const KEY = 'tokenizer.chat_template';
const PAIRS_AT = 16;
const U32 = 4;
const STRING = 8;
const ARRAY = 9;
/** Bytes of the value types by their number; strings and arrays have none. */
const SIZES: Readonly<Record<number, number>> = { 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 };

export function withChatTemplate(file: Buffer, template: string): Buffer {
  const { template: [begin, end] } = placesOf(file);
  if (begin === 0) throw new Error('the file has no chat template');
  return replaced(file, begin, end, stringOf(template));
}

/** With one value more, of the type u32. */
export function withNumber(file: Buffer, key: string, value: number): Buffer {
  const { metadataEnd } = placesOf(file);
  const pair = Buffer.alloc(8);
  pair.writeUInt32LE(U32, 0);
  pair.writeUInt32LE(value, 4);
  const longer = replaced(file, metadataEnd, metadataEnd, Buffer.concat([stringOf(key), pair]));
  longer.writeBigUInt64LE(longer.readBigUInt64LE(PAIRS_AT) + 1n, PAIRS_AT);
  return longer;
}

function stringOf(text: string): Buffer {
  const bytes = Buffer.from(text);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(bytes.length));
  return Buffer.concat([length, bytes]);
}

/** `bytes` instead of those from `begin` to `end` of the header; what follows it begins at a multiple of the alignment again. */
function replaced(file: Buffer, begin: number, end: number, bytes: Buffer): Buffer {
  const { headerEnd } = placesOf(file);
  const head = Buffer.concat([file.subarray(0, begin), bytes, file.subarray(end, headerEnd)]);
  const padding = Buffer.alloc(Math.ceil(head.length / ALIGNMENT) * ALIGNMENT - head.length);
  return Buffer.concat([head, padding, file.subarray(Math.ceil(headerEnd / ALIGNMENT) * ALIGNMENT)]);
}

/** Where the value of the chat template lies (0: there is none), and where metadata and header end. */
function placesOf(file: Buffer): { readonly template: readonly [number, number]; readonly metadataEnd: number; readonly headerEnd: number } {
  let at = 8;
  const u64 = (): number => Number(file.readBigUInt64LE((at += 8) - 8));
  const u32 = (): number => file.readUInt32LE((at += 4) - 4);
  const text = (): string => {
    const length = u64();
    return file.toString('utf8', at, at += length);
  };
  const skip = (type: number): void => {
    if (type === STRING) text();
    else if (type === ARRAY) {
      const inner = u32();
      const count = u64();
      for (let i = 0; i < count; i += 1) skip(inner);
    } else at += SIZES[type] ?? 0;
  };
  const tensors = u64();
  const pairs = u64();
  let begin = 0;
  let end = 0;
  for (let i = 0; i < pairs; i += 1) {
    const key = text();
    const type = u32();
    const value = at;
    skip(type);
    if (key === KEY) [begin, end] = [value, at];
  }
  const metadataEnd = at;
  for (let i = 0; i < tensors; i += 1) {
    text();
    const dimensions = u32();
    at += dimensions * 8 + 4 + 8;
  }
  return { template: [begin, end], metadataEnd, headerEnd: at };
}
