// cocoon.toml: reads it into text values by dotted key, and changes one key without touching comments or other lines.
// Refuses unknown keys, files that are not TOML, and files over 64 KiB.
import { dirname } from 'node:path';
import { ConfigError, NotFoundError } from './errors.ts';
import { ensureFolder, readBounded, writeFileAtomic } from './files.ts';

const MAX_BYTES = 64 * 1024;

async function readText(path: string, mustExist: boolean): Promise<string> {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(await readBounded(path, MAX_BYTES));
  } catch (error) {
    if (!mustExist && error instanceof NotFoundError) return '';
    throw new ConfigError('E_CONFIG', `cannot read the configuration file "${path}": ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

async function parse(text: string, path: string): Promise<Map<string, string>> {
  if (text.trim() === '') return new Map();
  const { parse: parseToml } = await import('smol-toml');
  let tree: unknown;
  try {
    tree = parseToml(text);
  } catch (error) {
    throw new ConfigError('E_CONFIG', `cannot parse "${path}" as TOML: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}`, { cause: error });
  }
  const values = new Map<string, string>();
  const walk = (node: unknown, prefix: string): void => {
    if (node !== null && typeof node === 'object' && !Array.isArray(node) && !(node instanceof Date)) {
      for (const [name, child] of Object.entries(node)) walk(child, prefix === '' ? name : `${prefix}.${name}`);
    } else if (typeof node === 'string' || typeof node === 'number' || typeof node === 'boolean' || typeof node === 'bigint') {
      values.set(prefix, String(node));
    } else {
      throw new ConfigError('E_CONFIG', `cannot use "${prefix}" in "${path}": expected a string, a number or true/false`);
    }
  };
  walk(tree, '');
  return values;
}

/** Values of the file by dotted key. A missing file is empty unless `mustExist`. Which keys exist is the caller's to check. */
export async function readConfigFile(path: string, options: { mustExist: boolean }): Promise<Map<string, string>> {
  return parse(await readText(path, options.mustExist), path);
}

/**
 * Sets one key (at most one dot) and keeps every other line as it is.
 * `literal` is the TOML form of the value. Throws ConfigError when the file's layout does not allow a safe edit.
 */
export async function setConfigValue(path: string, key: string, literal: string): Promise<void> {
  const before = await readText(path, false);
  const wanted = await parse(before, path);
  for (const [name, value] of await parse(tomlOf(key, literal), path)) wanted.set(name, value);
  const after = editLine(before, key, literal);
  const got = await parse(after, path).catch(() => new Map<string, string>());
  if (got.size !== wanted.size || [...wanted].some(([name, value]) => got.get(name) !== value)) {
    throw new ConfigError('E_CONFIG', `cannot set ${key} in "${path}": its layout is not one that can be edited safely`, { hint: `edit the file by hand: ${key} = ${literal}` });
  }
  await ensureFolder(dirname(path));
  await writeFileAtomic(path, after);
}

const split = (key: string): { table: string; name: string } => {
  const dot = key.lastIndexOf('.');
  return dot < 0 ? { table: '', name: key } : { table: key.slice(0, dot), name: key.slice(dot + 1) };
};

const tomlOf = (key: string, literal: string): string => `${key} = ${literal}\n`;

function editLine(text: string, key: string, literal: string): string {
  const { table, name } = split(key);
  const lines = text === '' ? [] : text.replace(/\n$/, '').split('\n');
  let current = '';
  let endOfTable = table === '' ? 0 : -1;
  for (const [index, line] of lines.entries()) {
    const header = /^\s*\[([^[\]]+)\]\s*(#.*)?$/.exec(line);
    if (header !== null) current = (header[1] ?? '').trim();
    const assigned = /^\s*([A-Za-z0-9_.-]+)\s*=/.exec(line)?.[1];
    if (assigned !== undefined && (current === '' ? assigned : `${current}.${assigned}`) === key) {
      const comment = /^\s*[A-Za-z0-9_.-]+\s*=\s*(?:"[^"\\]*"|[^\s"'#]+)(\s*#.*)$/.exec(line)?.[1] ?? '';
      lines[index] = `${assigned} = ${literal}${comment}`;
      return `${lines.join('\n')}\n`;
    }
    if (current === table) endOfTable = index + 1;
  }
  if (endOfTable >= 0) lines.splice(endOfTable, 0, `${name} = ${literal}`);
  else lines.push(...(lines.length > 0 ? [''] : []), `[${table}]`, `${name} = ${literal}`);
  return `${lines.join('\n')}\n`;
}
