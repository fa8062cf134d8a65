// HashmapE with fixed-length keys (block.tlb), read with a bound on the number of entries: cells may be shared, so a few
// of them can stand for more keys than memory holds. Refuses exotic cells, labels that are too long and malformed forks.
import { Dictionary } from '@ton/core';
import type { Builder, Cell, DictionaryValue, Slice } from '@ton/core';
import { fromHex } from '../../core/bytes.ts';
import { chainDataError } from './codec.ts';
import type { Codec } from './codec.ts';

/** As many leaves as the cells of the largest state that is read can have. */
export const MAX_ENTRIES = 8192;

/** All entries of a dictionary in ascending order of the key; the slice holds the value. Throws NetworkError E_CHAIN_DATA. */
export function readEntries(root: Cell | null, keyBits: number, what: string): [bigint, Slice][] {
  const entries: [bigint, Slice][] = [];
  const walk = (node: Cell, prefix: bigint, remaining: number): void => {
    const slice = node.beginParse();
    const label = readLabel(slice, remaining, what);
    const key = (prefix << BigInt(label.length)) | label.bits;
    const rest = remaining - label.length;
    if (rest === 0) {
      if (entries.length >= MAX_ENTRIES) throw chainDataError(`${what} has more than ${MAX_ENTRIES} entries`);
      entries.push([key, slice]);
      return;
    }
    if (slice.remainingBits !== 0 || slice.remainingRefs !== 2) throw chainDataError(`${what} has a malformed fork`);
    walk(slice.loadRef(), key << 1n, rest - 1);
    walk(slice.loadRef(), (key << 1n) | 1n, rest - 1);
  };
  if (root !== null) walk(root, 0n, keyBits);
  return entries;
}

// hml_short$0 n:(Unary ~n) {n <= m} s:(n * Bit) = HmLabel ~n m;
// hml_long$10 n:(#<= m) s:(n * Bit) = HmLabel ~n m;
// hml_same$11 v:Bit n:(#<= m) = HmLabel ~n m;
function readLabel(slice: Slice, max: number, what: string): { readonly bits: bigint; readonly length: number } {
  const checked = (length: number): number => {
    if (length > max) throw chainDataError(`${what} has a label of ${length} bits, expected at most ${max}`);
    return length;
  };
  const lengthBits = 32 - Math.clz32(max);
  if (!slice.loadBit()) {
    let length = 0;
    while (slice.loadBit()) checked(++length);
    return { bits: slice.loadUintBig(length), length };
  }
  if (!slice.loadBit()) {
    const length = checked(slice.loadUint(lengthBits));
    return { bits: slice.loadUintBig(length), length };
  }
  const bit = slice.loadBit();
  const length = checked(slice.loadUint(lengthBits));
  return { bits: bit ? (1n << BigInt(length)) - 1n : 0n, length };
}

/** (HashmapE n X) as a list of entries; `value` reads one leaf and decides what may be left in it. */
export function hashmap<T>(keyBits: number, what: string, value: Codec<T>): Codec<ReadonlyMap<bigint, T>> {
  const leaf: DictionaryValue<T> = {
    serialize: (item: T, builder: Builder) => value.write(builder, item),
    parse: (slice: Slice) => value.read(slice),
  };
  return {
    read: (slice) => new Map(readEntries(slice.loadMaybeRef(), keyBits, what).map(([key, item]) => [key, value.read(item)])),
    write: (builder, map) => {
      const dictionary = Dictionary.empty(Dictionary.Keys.BigUint(keyBits), leaf);
      for (const [key, item] of map) dictionary.set(key, item);
      builder.storeDict(dictionary);
    },
  };
}

/** A set of 32-byte hashes as lower-case hexadecimal text, 64 characters each. */
export type HashSet = ReadonlySet<string>;

/** Hexadecimal text of a 256-bit key. */
export const keyToHex = (key: bigint): string => key.toString(16).padStart(64, '0');

/** 256-bit key of 64 hexadecimal characters; throws RangeError otherwise. */
export function hexToKey(hex: string): bigint {
  if (fromHex(hex).byteLength !== 32) throw new RangeError(`hash has ${hex.length} hexadecimal characters, expected 64`);
  return BigInt(`0x${hex}`);
}

/** (HashmapE 256 True): the keys are the set; readers ignore the values (WIRE.md section 14). */
export function hashSet(what: string): Codec<HashSet> {
  const keys = hashmap<undefined>(256, what, { read: () => undefined, write: () => undefined });
  return {
    read: (slice) => new Set([...keys.read(slice).keys()].map(keyToHex)),
    write: (builder, set) => keys.write(builder, new Map([...set].map((hex) => [hexToKey(hex), undefined]))),
  };
}
