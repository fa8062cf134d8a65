// Turns TL declarations into encoders and decoders, one closure a field, each made when it is first needed
// (WIRE.md section 8). Refuses on decode what the schema does not allow, and on encode an object whose flags,
// fields or values contradict the schema: nothing is corrected silently.
import { CocoonError } from '../../core/errors.ts';
import type { TlDeclaration, TlField, TlType } from './declarations.ts';
import { hexId } from './reader.ts';
import type { TlReader } from './reader.ts';
import { wrong } from './writer.ts';
import type { TlWriter } from './writer.ts';

type Fields = Record<string, unknown>;

/** Encoder and decoder of one type. */
export interface TlCodec {
  readonly encode: (writer: TlWriter, value: unknown) => void;
  readonly decode: (reader: TlReader) => unknown;
  /** The least number of bytes that a value takes. */
  readonly minBytes: number;
}

export interface TlSchema {
  /** A constructor without its id. Throws E_INTERNAL for a name that the schema does not have. */
  bare(name: string): TlCodec;
  /** Any constructor of `type`, with its id; of all types and functions when `type` is null. */
  boxed(type: string | null): TlCodec;
}

const INT_BYTES = 4;
const LONG_BYTES = 8;
const INT128_BYTES = 16;
const INT256_BYTES = 32;
/** A # is not negative as an int32. */
const MAX_BIT = 30;

/** Checks the declarations against one another (unique names and ids) and prepares to compile them. */
export function createSchema(declarations: readonly TlDeclaration[]): TlSchema {
  const byName = new Map(declarations.map((declaration) => [declaration.name, declaration]));
  const ids = new Set(declarations.map(({ id }) => id));
  if (byName.size !== declarations.length || ids.size !== declarations.length) {
    throw new CocoonError('E_INTERNAL', 'cannot use the TL schema: two constructors share a name or an id');
  }
  const bareCodecs = new Map<string, TlCodec | 'in progress'>();
  const boxedCodecs = new Map<string | null, TlCodec>();
  const schema: TlSchema = {
    bare(name) {
      const known = bareCodecs.get(name);
      if (known === 'in progress') throw new CocoonError('E_INTERNAL', `cannot use the TL schema: ${name} contains itself`);
      if (known !== undefined) return known;
      const declaration = byName.get(name);
      if (declaration === undefined) throw new CocoonError('E_INTERNAL', `cannot encode or decode ${name}: no such TL constructor`);
      bareCodecs.set(name, 'in progress');
      const codec = compileConstructor(schema, declaration);
      bareCodecs.set(name, codec);
      return codec;
    },
    boxed(type) {
      let codec = boxedCodecs.get(type);
      if (codec === undefined) {
        codec = compileBoxed(schema, type, declarations.filter((one) => type === null || (one.type === type && !one.isFunction)));
        boxedCodecs.set(type, codec);
      }
      return codec;
    },
  };
  return schema;
}

function compileBoxed(schema: TlSchema, type: string | null, members: readonly TlDeclaration[]): TlCodec {
  if (members.length === 0) throw new CocoonError('E_INTERNAL', `cannot encode or decode ${type}: no such TL type`);
  const label = type ?? 'a TL object';
  const nameOf = new Map(members.map(({ id, name }) => [id, name]));
  const idOf = new Map(members.map(({ id, name }) => [name, id]));
  return {
    encode(writer, value) {
      const name = constructorOf(value, label);
      const id = idOf.get(name);
      if (id === undefined) throw new CocoonError('E_INTERNAL', `cannot encode ${label}: it has no constructor ${name}`);
      writer.id(id);
      schema.bare(name).encode(writer, value);
    },
    decode(reader) {
      const id = reader.id(label);
      const name = nameOf.get(id);
      if (name === undefined) throw reader.refuse(label, `unknown constructor ${hexId(id)}`);
      return schema.bare(name).decode(reader);
    },
    // Over all types there is no need to compile everything just to learn this; inside a schema it bounds vectors.
    minBytes: INT_BYTES + (type === null ? 0 : Math.min(...members.map(({ name }) => schema.bare(name).minBytes))),
  };
}

interface CompiledField {
  readonly name: string;
  readonly codec: TlCodec;
  readonly flags: string | null;
  /** 2 to the power of the bit; 0 for a field that is always present. */
  readonly mask: number;
  readonly label: string;
}

function compileConstructor(schema: TlSchema, { name, fields }: TlDeclaration): TlCodec {
  const compiled = fields.map((field, index) => compileField(schema, name, field, fields.slice(0, index)));
  return {
    encode(writer, value) {
      if (constructorOf(value, name) !== name) throw wrong(name, `an object of constructor ${name}`, value);
      const object = value as Fields;
      let present = 1;
      for (const field of compiled) {
        const item = object[field.name];
        if (field.flags !== null) {
          // The flags precede their fields and were written, so they are known to be an int32.
          const expected = ((object[field.flags] as number) & field.mask) !== 0;
          if (expected !== (item !== undefined)) {
            throw new CocoonError('E_INTERNAL', `cannot encode ${field.label}: it is ${expected ? 'missing' : 'present'}, and ${field.flags} says otherwise`);
          }
          if (!expected) continue;
        }
        field.codec.encode(writer, item);
        present += 1;
      }
      refuseStrayFields(name, object, present, compiled);
    },
    decode(reader) {
      const object: Fields = { _: name };
      for (const field of compiled) {
        if (field.flags === null || ((object[field.flags] as number) & field.mask) !== 0) {
          object[field.name] = field.codec.decode(reader);
        }
      }
      return object;
    },
    minBytes: compiled.reduce((sum, { codec, flags }) => sum + (flags === null ? codec.minBytes : 0), 0),
  };
}

function compileField(schema: TlSchema, owner: string, { name, type, condition }: TlField, before: readonly TlField[]): CompiledField {
  const label = `${owner}.${name}`;
  if (condition !== null) {
    const flags = before.find((field) => field.name === condition.flags);
    if (flags?.type.kind !== '#' || flags.condition !== null || condition.bit > MAX_BIT) {
      throw new CocoonError('E_INTERNAL', `cannot use the TL schema: ${label} depends on a bit that is not there`);
    }
  }
  return {
    name,
    codec: compileType(schema, type, label),
    flags: condition?.flags ?? null,
    mask: condition === null ? 0 : 1 << condition.bit,
    label,
  };
}

function compileType(schema: TlSchema, type: TlType, label: string): TlCodec {
  switch (type.kind) {
    case '#': return { encode: (w, v) => w.natural(v, label), decode: (r) => r.natural(label), minBytes: INT_BYTES };
    case 'int': return { encode: (w, v) => w.int(v, label), decode: (r) => r.int(label), minBytes: INT_BYTES };
    case 'long': return { encode: (w, v) => w.long(v, label), decode: (r) => r.long(label), minBytes: LONG_BYTES };
    case 'double': return { encode: (w, v) => w.double(v, label), decode: (r) => r.double(label), minBytes: LONG_BYTES };
    case 'int128': return compileFixed(INT128_BYTES, label);
    case 'int256': return compileFixed(INT256_BYTES, label);
    case 'string': return { encode: (w, v) => w.string(v, label), decode: (r) => r.string(label), minBytes: INT_BYTES };
    case 'bytes': return { encode: (w, v) => w.bytes(v, label), decode: (r) => r.bytes(label), minBytes: INT_BYTES };
    case 'Bool': return { encode: (w, v) => w.bool(v, label), decode: (r) => r.bool(label), minBytes: INT_BYTES };
    case 'vector': return compileVector(compileType(schema, type.item, label), label);
    case 'bare': return schema.bare(type.constructor);
    case 'boxed': return schema.boxed(type.type);
  }
}

const compileFixed = (length: number, label: string): TlCodec =>
  ({ encode: (w, v) => w.fixed(v, length, label), decode: (r) => r.fixed(length, label), minBytes: length });

function compileVector(item: TlCodec, label: string): TlCodec {
  // Elements of no bytes would make a count of two thousand million cost four bytes.
  if (item.minBytes === 0) throw new CocoonError('E_INTERNAL', `cannot use the TL schema: elements of ${label} may be empty`);
  return {
    encode(writer, value) {
      if (!Array.isArray(value)) throw wrong(label, 'an array', value);
      writer.int(value.length, label);
      for (const element of value as readonly unknown[]) item.encode(writer, element);
    },
    decode(reader) {
      const count = reader.count(item.minBytes, label);
      const elements: unknown[] = [];
      for (let i = 0; i < count; i++) elements.push(item.decode(reader));
      return elements;
    },
    minBytes: INT_BYTES,
  };
}

function constructorOf(value: unknown, label: string): string {
  const name: unknown = typeof value === 'object' && value !== null ? (value as Fields)['_'] : undefined;
  if (typeof name !== 'string') throw wrong(label, 'an object with its constructor name in "_"', value);
  return name;
}

/** A field that the constructor does not have would be lost without a word. `present` counts "_" and the fields written. */
function refuseStrayFields(name: string, object: Fields, present: number, fields: readonly CompiledField[]): void {
  let keys = 0;
  for (const _key in object) keys += 1; // objects of the schema are plain: there is nothing to inherit
  if (keys === present) return;
  const stray = Object.keys(object).find((key) => key !== '_' && object[key] !== undefined && !fields.some((field) => field.name === key));
  if (stray !== undefined) throw new CocoonError('E_INTERNAL', `cannot encode ${name}: it has no field ${stray}`);
}
