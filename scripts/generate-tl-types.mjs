// Writes src/wire/tl/types.ts from the TL schema; with --check it compares instead and exits 1 on a difference.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import ts from 'typescript';

const src = fileURLToPath(new URL('../src', import.meta.url));
const target = join(src, 'wire/tl/types.ts');

/** Imports the schema and its parser, which are TypeScript, from transpiled copies. */
async function loadDeclarations() {
  const folder = mkdtempSync(join(tmpdir(), 'cocoon-tl-'));
  try {
    const files = ['core/codes', 'core/errors', 'wire/tl/schema', 'wire/tl/declarations'];
    for (const file of files) {
      const text = readFileSync(join(src, `${file}.ts`), 'utf8').replaceAll(/from '[./\w]*\/(\w+)\.ts'/g, "from './$1.mjs'");
      const { outputText } = ts.transpileModule(text, { compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023 } });
      writeFileSync(join(folder, `${file.split('/').at(-1)}.mjs`), outputText);
    }
    const { TYPES, EXTENSIONS, FUNCTIONS, EXTENSION_FUNCTIONS } = await import(pathToFileURL(join(folder, 'schema.mjs')).href);
    const { parseDeclarations } = await import(pathToFileURL(join(folder, 'declarations.mjs')).href);
    return [...parseDeclarations(TYPES, false), ...parseDeclarations(EXTENSIONS, false), ...parseDeclarations(FUNCTIONS, true), ...parseDeclarations(EXTENSION_FUNCTIONS, true)];
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const SCALARS = {
  '#': 'number', int: 'number', long: 'bigint', double: 'number', int128: 'Uint8Array', int256: 'Uint8Array',
  string: 'string', bytes: 'Uint8Array', Bool: 'boolean',
};

/** `client.runQueryEx` becomes `ClientRunQueryEx`, `keyManagerDb.key@2025-12` becomes `KeyManagerDbKey202512`. */
const interfaceName = (name) => name.split(/[^A-Za-z0-9]/).map((part) => part.slice(0, 1).toUpperCase() + part.slice(1)).join('');

function typeText(type) {
  switch (type.kind) {
    case 'vector': return `readonly ${typeText(type.item)}[]`;
    case 'bare': return interfaceName(type.constructor);
    case 'boxed': return `TlByType['${type.type}']`;
    default: return SCALARS[type.kind];
  }
}

function interfaceText({ name, fields, type, isFunction }) {
  const lines = fields.map((field) => {
    const note = field.condition === null
      ? { int128: '16 bytes.', int256: '32 bytes.' }[field.type.kind]
      : `Present when bit ${field.condition.bit} of ${field.condition.flags} is set.`;
    const comment = note === undefined ? '' : `  /** ${note} */\n`;
    return `${comment}  readonly ${field.name}${field.condition === null ? '' : '?'}: ${typeText(field.type)};\n`;
  });
  return `/** \`${name}\`${isFunction ? `, answered by \`${type}\`` : ` of \`${type}\``}. */\n`
    + `export interface ${interfaceName(name)} {\n  readonly _: '${name}';\n${lines.join('')}}\n`;
}

const mapText = (comment, name, entries) =>
  `/** ${comment} */\nexport interface ${name} {\n${entries.map(([key, value]) => `  '${key}': ${value};\n`).join('')}}\n`;

function typesText(declarations) {
  const objects = declarations.filter((one) => !one.isFunction);
  const functions = declarations.filter((one) => one.isFunction);
  const byType = new Map();
  for (const { name, type } of objects) byType.set(type, [...(byType.get(type) ?? []), interfaceName(name)]);
  return [
    '// Generated from schema.ts by scripts/generate-tl-types.mjs; do not edit. Types of the TL objects of the Cocoon protocol\n'
      + '// (WIRE.md section 21, WIRE-2026-04.md section 5). `@2025-12` marks the earlier layout of a constructor.\n',
    ...declarations.map(interfaceText),
    mapText('Objects by constructor name.', 'TlObjectByName', objects.map(({ name }) => [name, interfaceName(name)])),
    mapText('Functions by constructor name.', 'TlFunctionByName', functions.map(({ name }) => [name, interfaceName(name)])),
    mapText('The constructors of each type, as they travel where the type is boxed.', 'TlByType',
      [...byType].map(([type, names]) => [type, names.join(' | ')])),
    mapText('The type that the schema gives for the answer of each function.', 'TlResultByName',
      functions.map(({ name, type }) => [name, `TlByType['${type}']`])),
    'export interface TlByName extends TlObjectByName, TlFunctionByName {}\n\nexport type TlName = keyof TlByName;\n'
      + 'export type TlTypeName = keyof TlByType;\n',
    '/** Any object that travels with its constructor id. */\nexport type TlObject = TlObjectByName[keyof TlObjectByName];\n',
    '/** Any function, the content of a `tcp.query`. */\nexport type TlFunction = TlFunctionByName[keyof TlFunctionByName];\n',
  ].join('\n');
}

const text = typesText(await loadDeclarations());
if (process.argv.includes('--check')) {
  if (readFileSync(target, 'utf8') !== text) {
    console.error('src/wire/tl/types.ts differs from the schema: run node scripts/generate-tl-types.mjs');
    process.exitCode = 1;
  }
} else {
  writeFileSync(target, text);
}
