// A copy of a GGUF file (version 3) with another chat template: its metadata is read to the end, the tensors move as they are.

const ALIGNMENT = 32;
const KEY = 'tokenizer.chat_template';
const STRING = 8;
const ARRAY = 9;
/** Bytes of the value types by their number; strings and arrays have none. */
const SIZES: Readonly<Record<number, number>> = { 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 };

export function withChatTemplate(file: Buffer, template: string): Buffer {
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
  for (let i = 0; i < tensors; i += 1) {
    text();
    const dimensions = u32();
    at += dimensions * 8 + 4 + 8;
  }
  if (begin === 0) throw new Error('the file has no chat template');
  const data = Math.ceil(at / ALIGNMENT) * ALIGNMENT;
  const bytes = Buffer.from(template);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(bytes.length));
  const head = Buffer.concat([file.subarray(0, begin), length, bytes, file.subarray(end, at)]);
  const padding = Buffer.alloc(Math.ceil(head.length / ALIGNMENT) * ALIGNMENT - head.length);
  return Buffer.concat([head, padding, file.subarray(data)]);
}
