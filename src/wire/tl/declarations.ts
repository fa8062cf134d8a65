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

/** Name on the wire, suffix, pinned id, fields, type. */
const DECLARATION = /^([\w.]+)(?:@[\w-]+)?(?:#([0-9a-f]{8}))?((?: \w+:(?:\w+\.\d+\?)?(?:\([^()]+\)|[^ ()]+))*) = [\w.]+$/;
const FIELD = /(\w+):(?:(\w+)\.(\d+)\?)?(\([^()]+\)|[^ ()]+)/g;

/** Reads declarations in TL notation, each ended by `;`. A text that is not in that notation is E_INTERNAL when it is used. */
export function parseDeclarations(schema: string, isFunction: boolean): TlDeclaration[] {
  return schema.split(';').map((text) => text.trim()).filter((text) => text !== '').map((text) => new Declaration(text, isFunction));
}

/** Finds its name and type at once, reads the rest when it is asked for: most commands use few constructors or none. */
class Declaration implements TlDeclaration {
  readonly name: string;
  readonly type: string;
  readonly isFunction: boolean;
  readonly pinned: boolean;
  readonly #text: string;
  #id: number | null = null;
  #fields: readonly TlField[] | null = null;

  constructor(text: string, isFunction: boolean) {
    const head = text.slice(0, text.indexOf(' '));
    const pin = head.indexOf('#');
    this.name = pin === -1 ? head : head.slice(0, pin);
    this.type = text.slice(text.lastIndexOf('=') + 1).trim();
    this.isFunction = isFunction;
    this.pinned = pin !== -1;
    this.#text = text;
  }

  get canonical(): string {
    const { name, fields } = this.#parse();
    return `${name}${fields.replaceAll(/[()]/g, '')} = ${this.type}`;
  }

  get id(): number {
    return (this.#id ??= this.pinned ? Number.parseInt(this.#parse().pin, 16) : crc32(this.canonical));
  }

  get fields(): readonly TlField[] {
    return (this.#fields ??= Array.from(this.#parse().fields.matchAll(FIELD), parseField));
  }

  #parse(): { readonly name: string; readonly pin: string; readonly fields: string } {
    const [, name, pin = '', fields = ''] = DECLARATION.exec(this.#text.replaceAll(/\s+/g, ' ')) ?? [];
    if (name === undefined) throw new CocoonError('E_INTERNAL', `cannot read TL declaration "${this.#text}"`);
    return { name, pin, fields };
  }
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

const CRC_TABLE = Int32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  return crc;
});

/** CRC-32 (IEEE) of ASCII text, unsigned. Own code because loading node:zlib takes longer than the whole schema. */
export function crc32(text: string): number {
  let crc = -1;
  for (let i = 0; i < text.length; i++) crc = (crc >>> 8) ^ (CRC_TABLE[(crc ^ text.charCodeAt(i)) & 0xff] ?? 0);
  return ~crc >>> 0;
}
