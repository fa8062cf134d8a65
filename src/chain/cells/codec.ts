// Field codecs for cells: one definition reads and writes a TL-B structure (WIRE.md section 14, ONCHAIN.md section 2).
// Reading refuses leftovers, exotic cells, short data, coins of more than eight bytes or with a leading zero byte, and
// addresses other than addr_std without anycast: E_CHAIN_DATA. Writing a value that does not fit is a bug: E_INTERNAL.
import { beginCell } from '@ton/core';
import type { Address, Builder, Cell, Slice } from '@ton/core';
import { CocoonError, NetworkError } from '../../core/errors.ts';

/** Reads a value at the current position of a slice and writes it the same way. */
export interface Codec<T> {
  read(slice: Slice): T;
  write(builder: Builder, value: T): void;
}

/** A codec that owns a whole cell. */
export interface CellCodec<T> {
  /** Decodes `cell` to its end; throws NetworkError E_CHAIN_DATA. */
  load(cell: Cell): T;
  /** Encodes `value`; throws CocoonError E_INTERNAL where a field does not fit. */
  store(value: T): Cell;
}

export type Value<C> = C extends Codec<infer T> ? T : C extends CellCodec<infer T> ? T : never;
type Fields = Readonly<Record<string, Codec<unknown>>>;
export type Values<F extends Fields> = { readonly [K in keyof F]: Value<F[K]> };

/** The error for bytes from the chain (or from a peer that relays them) that do not have the specified layout. */
export function chainDataError(message: string, cause?: unknown): NetworkError {
  return new NetworkError('E_CHAIN_DATA', message, cause === undefined ? {} : { cause });
}

/** Runs a reader; what it throws becomes E_CHAIN_DATA naming `what`. */
export function reading<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (thrown) {
    if (thrown instanceof CocoonError) throw thrown;
    throw chainDataError(`${what} does not have the specified layout: ${textOf(thrown)}`, thrown);
  }
}

/** Runs a writer; what it throws becomes E_INTERNAL naming `what`. */
export function writing<T>(what: string, write: () => T): T {
  try {
    return write();
  } catch (thrown) {
    if (thrown instanceof CocoonError) throw thrown;
    throw new CocoonError('E_INTERNAL', `${what} cannot be written: ${textOf(thrown)}`, { cause: thrown });
  }
}

/** A codec for the whole cell named `what`: nothing may be left over. */
export function cellOf<T>(what: string, codec: Codec<T>): CellCodec<T> {
  return {
    load: (cell) => reading(what, () => {
      const slice = cell.beginParse();
      const value = codec.read(slice);
      endOf(slice, what);
      return value;
    }),
    store: (value) => writing(what, () => {
      const builder = beginCell();
      codec.write(builder, value);
      return builder.endCell();
    }),
  };
}

/** Refuses anything left in the slice. */
export function endOf(slice: Slice, what: string): void {
  if (slice.remainingBits !== 0 || slice.remainingRefs !== 0) {
    throw chainDataError(`${what} has ${slice.remainingBits} bits and ${slice.remainingRefs} references left over, expected none`);
  }
}

/** Fields one after another, in the order of the object's keys. */
export function struct<F extends Fields>(fields: F): Codec<Values<F>> {
  const entries = Object.entries(fields);
  return {
    read: (slice) => Object.fromEntries(entries.map(([name, codec]) => [name, codec.read(slice)])) as Values<F>,
    write: (builder, value) => {
      for (const [name, codec] of entries) {
        writing(`field ${name}`, () => codec.write(builder, value[name]));
      }
    },
  };
}

/** A fixed prefix of `bits` bits, for opcodes and versions. */
export const tagged = <T>(tag: number, bits: number, codec: Codec<T>): Codec<T> => ({
  read: (slice) => {
    const seen = slice.loadUint(bits);
    if (seen !== tag) throw new Error(`tag is 0x${seen.toString(16)}, expected 0x${tag.toString(16)}`);
    return codec.read(slice);
  },
  write: (builder, value) => codec.write(builder.storeUint(tag, bits), value),
});

/** Unsigned integer of at most 48 bits. */
export const uint = (bits: number): Codec<number> => ({
  read: (slice) => slice.loadUint(bits),
  write: (builder, value) => void builder.storeUint(value, bits),
});

export const uint64: Codec<bigint> = {
  read: (slice) => slice.loadUintBig(64),
  write: (builder, value) => void builder.storeUint(value, 64),
};

export const int32: Codec<number> = {
  read: (slice) => slice.loadInt(32),
  write: (builder, value) => void builder.storeInt(value, 32),
};

export const bool: Codec<boolean> = {
  read: (slice) => slice.loadBit(),
  write: (builder, value) => void builder.storeBit(value),
};

/** Exactly `count` bytes. */
export const bytes = (count: number): Codec<Uint8Array> => ({
  read: (slice) => new Uint8Array(slice.loadBuffer(count)),
  write: (builder, value) => void builder.storeBuffer(Buffer.from(value), count),
});

export const bits256 = bytes(32);
export const bits512 = bytes(64);

const MAX_COIN_BYTES = 8;

// var_uint$_ len:uint4 value:(uint (len * 8)) = Coins;
export const coins: Codec<bigint> = {
  read: (slice) => {
    const length = slice.loadUint(4);
    if (length > MAX_COIN_BYTES) throw new Error(`coins have ${length} bytes, expected at most ${MAX_COIN_BYTES}`);
    const value = slice.loadUintBig(length * 8);
    if (length > 0 && value >> BigInt(8 * (length - 1)) === 0n) throw new Error('coins have a leading zero byte');
    return value;
  },
  write: (builder, value) => {
    if (value >> BigInt(8 * MAX_COIN_BYTES) !== 0n) throw new Error(`coins ${value} are outside 0..2^64-1`);
    builder.storeCoins(value);
  },
};

/** A last field that older cells lack: null where nothing is left of the bits. */
export const optionalTail = <T>(codec: Codec<T>): Codec<T | null> => ({
  read: (slice) => slice.remainingBits === 0 ? null : codec.read(slice),
  write: (builder, value) => {
    if (value !== null) codec.write(builder, value);
  },
});

const ADDRESS_STD = 0b100;

// addr_std$10 anycast:0 workchain_id:int8 address:bits256 = MsgAddressInt;
export const address: Codec<Address> = {
  read: (slice) => {
    const tag = slice.preloadUint(3);
    if (tag !== ADDRESS_STD) throw new Error(`address has tag ${tag.toString(2).padStart(3, '0')}, expected 100 (standard, no anycast)`);
    return slice.loadAddress();
  },
  write: (builder, value) => void builder.storeAddress(value),
};

export const cell: Codec<Cell> = {
  read: (slice) => slice.loadRef(),
  write: (builder, value) => void builder.storeRef(value),
};

export const maybeCell: Codec<Cell | null> = {
  read: (slice) => slice.loadMaybeRef(),
  write: (builder, value) => void builder.storeMaybeRef(value),
};

/** ^X */
export const ref = <T>(of: CellCodec<T>): Codec<T> => ({
  read: (slice) => of.load(slice.loadRef()),
  write: (builder, value) => void builder.storeRef(of.store(value)),
});

/** (Maybe ^X) */
export const maybeRef = <T>(of: CellCodec<T>): Codec<T | null> => ({
  read: (slice) => {
    const inner = slice.loadMaybeRef();
    return inner === null ? null : of.load(inner);
  },
  write: (builder, value) => void builder.storeMaybeRef(value === null ? null : of.store(value)),
});

const textOf = (thrown: unknown): string => {
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return message.charAt(0).toLowerCase() + message.slice(1);
};
