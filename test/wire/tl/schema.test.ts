// The schema against the published constructor ids and against the generated types.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { crc32 as zlibCrc32 } from 'node:zlib';
import { describe, expect, it } from '@jest/globals';
import { DECLARATIONS, decodeBoxed, isTlFunction, peekConstructor } from '../../../src/wire/tl/codec.ts';
import { createSchema } from '../../../src/wire/tl/compile.ts';
import { crc32, parseDeclarations } from '../../../src/wire/tl/declarations.ts';
import type { TlDeclaration } from '../../../src/wire/tl/declarations.ts';
import { EXTENSION_FUNCTIONS, EXTENSIONS } from '../../../src/wire/tl/schema.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const readJson = (path: string): unknown => JSON.parse(readFileSync(`${root}test/vectors/${path}`, 'utf8'));

interface ListedId { readonly name: string; readonly kind: string; readonly id: string; readonly explicit: boolean; readonly crc_input?: string }
interface NewIds { readonly all_9060ce5: Record<string, { readonly id: string; readonly wire: string }>; readonly same_id_new_layout: readonly string[] }

const listed = readJson('wire/tl/ids.json') as readonly ListedId[];
const { all_9060ce5: latest, same_id_new_layout: grown } = readJson('wire-2026-04/tl-ids.json') as NewIds;
const byName = new Map(DECLARATIONS.map((declaration) => [declaration.name, declaration]));

/** The layout of December 2025: under its own name where it was superseded. */
const earlier = (name: string): TlDeclaration => (byName.get(`${name}@2025-12`) ?? byName.get(name))!;

describe('schema: constructor ids', () => {
  it.each(listed.map((entry) => [entry.name, entry] as const))('%s has the listed id', (name, { id, kind, explicit, crc_input: crcInput }) => {
    const declaration = earlier(name);
    expect(declaration.id).toBe(Number(id));
    expect(declaration.isFunction).toBe(kind === 'functions');
    if (grown.includes(name)) {
      expect(declaration.pinned).toBe(true);
      if (crcInput !== undefined) expect(crc32(crcInput)).toBe(declaration.id);
    } else {
      expect(declaration.pinned).toBe(explicit);
      if (crcInput !== undefined) expect(declaration.canonical).toBe(crcInput);
    }
  });

  it.each(Object.entries(latest).filter(([name]) => byName.has(name)))('%s has the id of April 2026', (name, { id, wire }) => {
    expect(byName.get(name)!.id).toBe(Number.parseInt(id, 16));
    const bytes = Buffer.from(wire, 'hex');
    expect(peekConstructor(bytes)).toBe(name);
  });

  it('has every constructor of both lists, its own extensions, and nothing else', () => {
    const builtIn = ['boolFalse', 'boolTrue', 'bytes', 'double', 'function', 'int', 'int128', 'int256', 'long', 'object', 'string', 'true', 'vector'];
    const extensions = [...parseDeclarations(EXTENSIONS, false), ...parseDeclarations(EXTENSION_FUNCTIONS, true)];
    const expected = new Set([
      ...Object.keys(latest).filter((name) => !builtIn.includes(name)),
      ...listed.map(({ name }) => earlier(name).name),
      ...extensions.map(({ name }) => name),
    ]);
    expect(new Set(byName.keys())).toEqual(expected);
    expect(listed).toHaveLength(98);
    expect(DECLARATIONS).toHaveLength(98 + 11 + extensions.length);
  });

  it('crc32: agrees with zlib', () => {
    expect(crc32('123456789')).toBe(0xcbf43926);
    for (const { canonical } of DECLARATIONS) expect(crc32(canonical)).toBe(zlibCrc32(canonical));
  });
});

describe('schema: compiled', () => {
  it.each(DECLARATIONS.map(({ name, id }) => [name, id] as const))('%s compiles and refuses a body cut short', (name, id) => {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, id, true);
    if (byName.get(name)!.fields.length === 0) {
      expect(decodeBoxed(bytes)).toEqual({ _: name });
    } else {
      expect(() => decodeBoxed(bytes)).toThrow(expect.objectContaining({ code: 'E_PROTOCOL' }));
    }
  });

  it('isTlFunction: tells functions from objects', () => {
    expect(isTlFunction({ _: 'client.getWorkerTypesV2' })).toBe(true);
    expect(isTlFunction({ _: 'proxy.signedPaymentEmpty' })).toBe(false);
  });

  it.each([
    ['two constructors of one name', 'a x:int = A; a y:int = A;'],
    ['two constructors of one id', 'a#00000001 = A; b#00000001 = A;'],
    ['a constructor that contains itself', 'a next:a = A;'],
    ['a constructor that contains its own type', 'a next:A = A;'],
    ['a vector of elements without bytes', 'empty = Empty; a all:(vector empty) = A;'],
    ['an unknown constructor', 'a b:c = A;'],
    ['an unknown type', 'a b:C = A;'],
    ['a text in another notation', 'a {b:int} = A;'],
    ['a flag of a field that is not there', 'a b:flags.0?int = A;'],
    ['a flag of a field that comes later', 'a b:flags.0?int flags:# = A;'],
    ['a flag of a field that is not flags', 'a flags:string b:flags.0?int = A;'],
    ['a flag above bit 30', 'a flags:# b:flags.31?int = A;'],
  ])('createSchema: refuses %s', (_, text) => {
    expect(() => createSchema(parseDeclarations(text, false)).bare('a')).toThrow(expect.objectContaining({ code: 'E_INTERNAL' }));
  });
});

describe('types.ts', () => {
  it('is what the generator makes of the schema', () => {
    expect(() => execFileSync(process.execPath, [`${root}scripts/generate-tl-types.mjs`, '--check'], { stdio: 'pipe' })).not.toThrow();
  });
});
