// Encodes and decodes TL objects of the Cocoon schema (WIRE.md sections 8 and 21, WIRE-2026-04.md section 5).
// Refuses unknown constructors, malformed or missing values, counts and lengths beyond the input, and left-over bytes.
//
// A TL object is `{ _: 'client.params', flags: 1, … }` with the field names of the schema; types.ts has the types.
// int, double and # are numbers, long is a bigint, int128, int256 and bytes are Uint8Arrays, an absent optional field is
// a missing property. Decoded `bytes` are views into the input: do not change the input afterwards, and copy what is
// to be kept long. Decoded int128 and int256 are copies.
import { createSchema } from './compile.ts';
import type { TlCodec, TlSchema } from './compile.ts';
import { parseDeclarations } from './declarations.ts';
import type { TlDeclaration } from './declarations.ts';
import { TlReader } from './reader.ts';
import { EXTENSION_FUNCTIONS, EXTENSIONS, FUNCTIONS, TYPES } from './schema.ts';
import type { TlByName, TlByType, TlFunction, TlName, TlObject, TlTypeName } from './types.ts';
import { TlWriter } from './writer.ts';

/** A writer that had to grow beyond this is not kept for the next object. */
const MAX_KEPT_BYTES = 0x1_0000;
/** One object within another is as deep as it goes. */
const MAX_SPARE = 4;
const ID_BYTES = 4;

export const DECLARATIONS: readonly TlDeclaration[] = [
  ...parseDeclarations(TYPES, false), ...parseDeclarations(EXTENSIONS, false), ...parseDeclarations(FUNCTIONS, true),
  ...parseDeclarations(EXTENSION_FUNCTIONS, true),
];

interface PreparedSchema {
  readonly schema: TlSchema;
  readonly functionNames: ReadonlySet<string>;
  readonly nameOfId: ReadonlyMap<number, string>;
}

let prepared: PreparedSchema | null = null;

/** Prepared when it is first needed: commands that open no connection do not pay for it. */
const tl = (): PreparedSchema => (prepared ??= {
  schema: createSchema(DECLARATIONS),
  functionNames: new Set(DECLARATIONS.filter(({ isFunction }) => isFunction).map(({ name }) => name)),
  nameOfId: new Map(DECLARATIONS.map(({ id, name }) => [id, name])),
});

/** True for a function (what a `tcp.query` carries), false for an object. */
export const isTlFunction = (value: TlObject | TlFunction): value is TlFunction => tl().functionNames.has(value._);

/**
 * Name of the constructor whose id `bytes` begins with; null when the schema has no such constructor or there are fewer
 * than four bytes. Tells a peer that speaks a newer schema from one that sends malformed objects.
 */
export function peekConstructor(bytes: Uint8Array): TlName | null {
  if (bytes.byteLength < ID_BYTES) return null;
  const id = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0, true);
  return (tl().nameOfId.get(id) ?? null) as TlName | null;
}

/** Bytes of an object or function with its constructor id. Throws E_INTERNAL when it contradicts its type. */
export function encodeBoxed(object: TlObject | TlFunction): Uint8Array {
  return encode(tl().schema.boxed(null), object);
}

/** The object or function in `bytes`, all of them. Throws NetworkError E_PROTOCOL. `bytes` fields alias the input. */
export function decodeBoxed(bytes: Uint8Array): TlObject | TlFunction {
  return decode(tl().schema.boxed(null), bytes, 'a TL object') as TlObject | TlFunction;
}

/** Like `decodeBoxed`, for a place where only constructors of one type are allowed, for example `tcp.Packet`. */
export function decodeBoxedAs<T extends TlTypeName>(type: T, bytes: Uint8Array): TlByType[T] {
  return decode(tl().schema.boxed(type), bytes, type) as TlByType[T];
}

/** Bytes of an object without its constructor id. Throws E_INTERNAL when it contradicts its type. */
export function encodeBare(object: TlObject | TlFunction): Uint8Array {
  return encode(tl().schema.bare(object._), object);
}

/** The object of constructor `name` whose bytes without id are `bytes`, all of them. Throws NetworkError E_PROTOCOL. */
export function decodeBare<N extends TlName>(name: N, bytes: Uint8Array): TlByName[N] {
  return decode(tl().schema.bare(name), bytes, name) as TlByName[N];
}

/**
 * What `use` makes of the bytes of `encodeBoxed`, which it gets without a copy: they are another object's as soon as it returns.
 * Throws E_INTERNAL, and what `use` throws.
 */
export function lendBoxed<T>(object: TlObject | TlFunction, use: (bytes: Uint8Array) => T): T {
  // Taken out while in use, so that a failure or an object that is encoded meanwhile cannot mix two objects.
  const writer = spare.pop() ?? new TlWriter();
  tl().schema.boxed(null).encode(writer, object);
  const result = use(writer.lend());
  keep(writer);
  return result;
}

const spare: TlWriter[] = [];

function encode(codec: TlCodec, value: unknown): Uint8Array {
  const writer = spare.pop() ?? new TlWriter();
  codec.encode(writer, value);
  const bytes = writer.take();
  keep(writer);
  return bytes;
}

function keep(writer: TlWriter): void {
  if (writer.capacity <= MAX_KEPT_BYTES && spare.length < MAX_SPARE) spare.push(writer);
}

function decode(codec: TlCodec, bytes: Uint8Array, label: string): unknown {
  const reader = new TlReader(bytes);
  const value = codec.decode(reader);
  reader.end(label);
  return value;
}
