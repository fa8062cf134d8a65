// Changes inputs: flipped bits, numbers at and beside bounds in fields of every size and order, pieces cut, repeated, moved
// and taken from other inputs, words of the target's language, and values that the code compared the input with.
import type { Compared, Pair } from './coverage.ts';
import type { Random } from './random.ts';

const INTERESTING = [0, 1, 2, 4, 8, 16, 20, 32, 48, 64, 127, 128, 255, 256, 512, 1024, 4096, 32_767, 32_768, 65_535, 65_536, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0xffff_fffe];
const MAX_STEPS = 6;

export interface Materials {
  readonly random: Random;
  readonly maxBytes: number;
  /** Words of the target's language. */
  readonly words: readonly Uint8Array[];
  /** Another input of the corpus. */
  other(): Uint8Array;
}

type Mutation = (input: Buffer, materials: Materials) => Uint8Array;

/** Replaces `length` bytes at `at` by `content`. */
const splice = (input: Uint8Array, at: number, length: number, content: Uint8Array): Buffer => Buffer.concat([input.subarray(0, at), content, input.subarray(at + length)]);

function writeNumber(input: Buffer, at: number, bytes: number, little: boolean, value: number): void {
  const wrapped = BigInt.asUintN(bytes * 8, BigInt(value));
  for (let index = 0; index < bytes; index += 1) input[at + (little ? index : bytes - 1 - index)] = Number((wrapped >> BigInt(8 * index)) & 255n);
}

/** Small numbers more often than large ones. */
const shortLength = ({ random }: Materials, end: number): number => Math.min(end, 1 + random.below(random.below(4) === 0 ? end : 32));

/** Writes a number as a field of 1, 2, 4 or 8 bytes. */
const setNumber: Mutation = (input, { random }) => {
  const bytes = random.pick([1, 2, 2, 4, 4, 8]) ?? 1;
  if (input.length < bytes) return input;
  const at = random.below(input.length - bytes + 1);
  const little = random.below(2) === 0;
  const before = little ? input.readUIntLE(at, Math.min(bytes, 6)) : input.readUIntBE(at, Math.min(bytes, 6));
  const value = random.below(2) === 0 ? (random.pick(INTERESTING) ?? 0) : before + random.below(33) - 16;
  writeNumber(input, at, bytes, little, value);
  return input;
};

/** Sets a field to the number of bytes that are left behind it, or one beside it: lengths that almost add up. */
const setLength: Mutation = (input, { random }) => {
  const bytes = random.pick([1, 2, 4]) ?? 1;
  if (input.length < bytes) return input;
  const at = random.below(input.length - bytes + 1);
  writeNumber(input, at, bytes, random.below(2) === 0, input.length - at - bytes + random.below(3) - 1);
  return input;
};

const MUTATIONS: readonly Mutation[] = [
  (input, { random }) => {
    const at = random.below(input.length);
    if (input.length > 0) input[at] = (input[at] ?? 0) ^ (1 << random.below(8));
    return input;
  },
  (input, { random }) => {
    if (input.length > 0) input[random.below(input.length)] = random.below(256);
    return input;
  },
  setNumber, setNumber, setLength,
  // cut
  (input, materials) => {
    const length = shortLength(materials, input.length);
    return splice(input, materials.random.below(input.length - length + 1), length, new Uint8Array(0));
  },
  (input, { random }) => input.subarray(0, random.below(input.length + 1)),
  // insert
  (input, materials) => splice(input, materials.random.below(input.length + 1), 0, Buffer.from(Array.from({ length: 1 + materials.random.below(16) }, () => materials.random.below(256)))),
  // repeat a piece, sometimes many times
  (input, materials) => {
    const { random } = materials;
    const length = shortLength(materials, input.length);
    const at = random.below(input.length - length + 1);
    const times = random.below(8) === 0 ? 1 + random.below(64) : 1;
    return splice(input, random.below(input.length + 1), 0, Buffer.concat(Array.from({ length: times }, () => input.subarray(at, at + length))));
  },
  // copy a piece over another place
  (input, materials) => {
    const { random } = materials;
    const length = shortLength(materials, input.length);
    const at = random.below(input.length - length + 1);
    return splice(input, random.below(input.length - length + 1), length, Buffer.from(input.subarray(at, at + length)));
  },
  // cross with another input: a piece of it, or its end
  (input, materials) => {
    const { random } = materials;
    const other = materials.other();
    const length = shortLength(materials, other.length);
    const from = random.below(other.length - length + 1);
    const at = random.below(input.length + 1);
    return splice(input, at, random.below(2) === 0 ? 0 : length, other.subarray(from, from + length));
  },
  (input, materials) => {
    const other = materials.other();
    return Buffer.concat([input.subarray(0, materials.random.below(input.length + 1)), other.subarray(materials.random.below(other.length + 1))]);
  },
  // words
  (input, { random, words }) => splice(input, random.below(input.length + 1), 0, random.pick(words) ?? new Uint8Array(0)),
  (input, { random, words }) => {
    const word = random.pick(words) ?? new Uint8Array(0);
    return splice(input, random.below(input.length + 1), word.length, word);
  },
  // one word for another
  (input, { random, words }) => {
    const [from, to] = [random.pick(words), random.pick(words)];
    if (from === undefined || to === undefined || from.length === 0) return input;
    const at = input.indexOf(from, random.below(input.length + 1));
    return at < 0 ? input : splice(input, at, from.length, to);
  },
];

/** A changed copy, at most `maxBytes` long. */
export function mutate(input: Uint8Array, materials: Materials): Uint8Array {
  const { random, maxBytes } = materials;
  let changed: Uint8Array = Buffer.from(input);
  for (let steps = 1 + random.below(MAX_STEPS); steps > 0; steps -= 1) changed = Buffer.from(random.pick(MUTATIONS)?.(Buffer.from(changed), materials) ?? changed);
  return changed.subarray(0, maxBytes);
}

/** How a value may stand in an input, by the kind of writing: text, hexadecimal text, numbers of each size and order. */
function formsOf(value: Compared): ReadonlyMap<string, Buffer> {
  const forms = new Map<string, Buffer>([['text', Buffer.from(String(value))]]);
  if (typeof value === 'string') {
    if (/^([0-9a-f]{2})+$/i.test(value)) forms.set('bytes', Buffer.from(value, 'hex'));
    return forms;
  }
  if (typeof value === 'number' && !Number.isSafeInteger(value)) return new Map();
  const number = BigInt(value);
  for (const bytes of [1, 2, 4, 8]) {
    const wrapped = BigInt.asUintN(bytes * 8, number);
    if (wrapped !== number && BigInt.asIntN(bytes * 8, number) !== number) continue;
    const form = Buffer.from(wrapped.toString(16).padStart(2 * bytes, '0'), 'hex');
    forms.set(`big ${bytes}`, form).set(`little ${bytes}`, Buffer.from(form).reverse());
  }
  return forms;
}

/** Inputs in which a value that was compared is replaced by the one it was compared with, written in the same way. */
export function* towards(input: Uint8Array, pairs: readonly Pair[], { random, maxBytes }: Pick<Materials, 'random' | 'maxBytes'>): Generator<Uint8Array> {
  const buffer = Buffer.from(input);
  for (const [one, other] of pairs) {
    for (const [from, to] of [[one, other], [other, one]] as const) {
      const wanted = formsOf(to);
      for (const [kind, form] of formsOf(from)) {
        const replacement = wanted.get(kind);
        const at = replacement === undefined || form.length === 0 ? -1 : buffer.indexOf(form, random.below(2) === 0 ? 0 : random.below(buffer.length));
        if (at >= 0 && replacement !== undefined) yield splice(buffer, at, form.length, replacement).subarray(0, maxBytes);
      }
    }
  }
}
