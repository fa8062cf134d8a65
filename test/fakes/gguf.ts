// Small GGUF files: a header with the given metadata and tensors, and as many bytes of data.
export interface FakeTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** As ggml numbers them: 0 is F32, 1 F16, 8 Q8_0. */
  readonly type: number;
}

const u32 = (value: number): Buffer => { const bytes = Buffer.alloc(4); bytes.writeUInt32LE(value); return bytes; };
const u64 = (value: number | bigint): Buffer => { const bytes = Buffer.alloc(8); bytes.writeBigUInt64LE(BigInt(value)); return bytes; };
const text = (value: string): Buffer => Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)]);

function valueOf(value: string | number | readonly string[] | readonly number[]): Buffer {
  if (typeof value === 'string') return Buffer.concat([u32(8), text(value)]);
  if (typeof value === 'number') return Buffer.concat([u32(4), u32(value)]);
  const items = value.map((item) => (typeof item === 'string' ? text(item) : u32(item)));
  return Buffer.concat([u32(9), u32(typeof value[0] === 'string' ? 8 : 4), u64(value.length), ...items]);
}

/** `dataBytes`: filled with a pattern, so that every part differs. */
export function fakeGguf(metadata: Readonly<Record<string, string | number | readonly string[] | readonly number[]>> = {}, tensors: readonly FakeTensor[] = [], dataBytes = 0, version = 3): Buffer {
  const pairs = Object.entries(metadata).map(([key, value]) => Buffer.concat([text(key), valueOf(value)]));
  const infos = tensors.map(({ name, shape, type }) => Buffer.concat([text(name), u32(shape.length), ...shape.map(u64), u32(type), u64(0)]));
  const header = Buffer.concat([Buffer.from('GGUF'), u32(version), u64(tensors.length), u64(pairs.length), ...pairs, ...infos]);
  const data = Buffer.alloc(dataBytes);
  for (let index = 0; index + 4 <= dataBytes; index += 4) data.writeUInt32LE((index * 2_654_435_761) >>> 0, index);
  return Buffer.concat([header, Buffer.alloc((32 - header.length % 32) % 32), data]);
}
