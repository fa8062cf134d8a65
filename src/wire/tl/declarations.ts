// Reads the schema text into declarations and computes constructor ids (WIRE.md section 8).
// Refuses nothing from outside: the schema is our own, and a mistake in it is E_INTERNAL at load.
import { CocoonError } from '../../core/errors.ts';

/** A type as a field, vector element or conditional field has it. */
export type TlType =
  | { readonly kind: ScalarKind }
  | { readonly kind: 'vector'; readonly item: TlType }
  /** A constructor without its id. */
  | { readonly kind: 'bare'; readonly constructor: string }
  /** Any constructor of a type, after its id. */
  | { readonly kind: 'boxed'; readonly type: string };

export type ScalarKind = '#' | 'int' | 'long' | 'double' | 'int128' | 'int256' | 'string' | 'bytes' | 'Bool';

export interface TlField {
  readonly name: string;
  readonly type: TlType;
  /** Present only when bit `bit` of the earlier field `flags` is set. */
  readonly condition: { readonly flags: string; readonly bit: number } | null;
}

export interface TlDeclaration {
  /** Unique name, with the `@` suffix of an earlier layout: the `_` of a TL object. */
  readonly name: string;
  /** Constructor id, unsigned 32 bit. */
  readonly id: number;
  /** True when the id is written in the schema instead of computed. */
  readonly pinned: boolean;
  /** The text whose CRC-32 is the id of a constructor that is not pinned. */
  readonly canonical: string;
  readonly fields: readonly TlField[];
  /** Result type, for example `client.QueryAnswerEx`. */
  readonly type: string;
  readonly isFunction: boolean;
}

const SCALARS: ReadonlySet<string> = new Set(['#', 'int', 'long', 'double', 'int128', 'int256', 'string', 'bytes', 'Bool']);
const isScalar = (text: string): text is ScalarKind => SCALARS.has(text);

const DECLARATION = /^([\w.]+)(@[\w-]+)?(?:#([0-9a-f]{8}))?((?: \w+:(?:\([^()]+\)|[^ ()]+))*) = ([\w.]+)$/;
const FIELD = /(\w+):(?:(\w+)\.(\d+)\?)?(\([^()]+\)|[^ ()]+)/g;

/** Parses declarations in TL notation, each ended by `;`. Throws E_INTERNAL on text that is not in that notation. */
export function parseDeclarations(schema: string, isFunction: boolean): TlDeclaration[] {
  return schema.split(';').map((text) => text.trim().replace(/\s+/g, ' ')).filter((text) => text !== '')
    .map((text) => parseDeclaration(text, isFunction));
}

function parseDeclaration(text: string, isFunction: boolean): TlDeclaration {
  const [, name, version = '', pinned, fields = '', type] = DECLARATION.exec(text) ?? [];
  if (name === undefined || type === undefined) throw new CocoonError('E_INTERNAL', `cannot read TL declaration "${text}"`);
  const canonical = `${name}${fields.replace(/[()]/g, '')} = ${type}`;
  return {
    name: name + version,
    id: pinned === undefined ? crc32(canonical) : Number.parseInt(pinned, 16),
    pinned: pinned !== undefined,
    canonical,
    fields: Array.from(fields.matchAll(FIELD), parseField),
    type,
    isFunction,
  };
}

function parseField([, name = '', flags, bit, type = '']: RegExpMatchArray): TlField {
  return { name, type: parseType(type), condition: flags === undefined ? null : { flags, bit: Number(bit) } };
}

function parseType(text: string): TlType {
  if (isScalar(text)) return { kind: text };
  if (text.startsWith('(vector ')) return { kind: 'vector', item: parseType(text.slice('(vector '.length, -1)) };
  const last = text.slice(text.lastIndexOf('.') + 1);
  return /^[a-z]/.test(last) ? { kind: 'bare', constructor: text } : { kind: 'boxed', type: text };
}

/**
 * CRC-32 (IEEE) of ASCII text, unsigned. Bit by bit on purpose: node:zlib takes longer to load than this takes
 * for the whole schema.
 */
export function crc32(text: string): number {
  let crc = -1;
  for (let i = 0; i < text.length; i++) {
    crc ^= text.charCodeAt(i);
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
