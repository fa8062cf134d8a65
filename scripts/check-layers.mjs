// The import rule of ARCHITECTURE.md: imports point down one layer order only, siblings never import one another,
// heavy libraries are imported in one file each. Prints every violation and exits 1.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const src = fileURLToPath(new URL('../src', import.meta.url));

/** Rank of each layer; a file may import from its own folder and from strictly lower ranks. */
const RANK = {
  main: 7, system: 7, index: 7, library: 6.5, commands: 6, localnet: 5,
  client: 4, proxy: 4, node: 4,
  openai: 3, seal: 3, wire: 3,
  chain: 2, tee: 2,
  http: 1, core: 0,
};

/** Libraries that only one file may import (a folder here means: one file within it). */
const HEAVY = {
  'node-llama-cpp': 'node/',
  '@ton/sandbox': 'chain/',
  fastify: 'http/',
  pino: 'core/',
};

const layerOf = (file) => {
  const parts = relative(src, file).split('/');
  return parts.length === 1 ? parts[0].replace(/\.ts$/, '') : parts[0];
};

const problems = [];
const heavyUsers = new Map();

for (const entry of readdirSync(src, { recursive: true, withFileTypes: true })) {
  if (!entry.isFile() || !entry.name.endsWith('.ts')) continue;
  const file = join(entry.parentPath ?? entry.path, entry.name);
  const from = layerOf(file);
  const name = relative(src, file);
  if (RANK[from] === undefined) problems.push(`${name}: folder "${from}" is not in the layer list`);
  for (const { fileName: spec } of ts.preProcessFile(readFileSync(file, 'utf8'), true, true).importedFiles) {
    if (spec.startsWith('.')) {
      const to = layerOf(resolve(dirname(file), spec));
      if (to === from) continue;
      if (from === 'main' && to === 'system') continue;
      if (!(RANK[to] < RANK[from])) problems.push(`${name}: ${from} must not import ${to} ("${spec}")`);
      if (from === 'localnet' && RANK[to] === 4) problems.push(`${name}: localnet imports no role ("${spec}")`);
    } else if (HEAVY[spec] !== undefined) {
      if (!name.startsWith(HEAVY[spec])) problems.push(`${name}: only src/${HEAVY[spec]} may import ${spec}`);
      heavyUsers.set(spec, (heavyUsers.get(spec) ?? new Set()).add(name));
    }
  }
}
for (const [spec, users] of heavyUsers) {
  if (users.size > 1) problems.push(`${spec} is imported by ${users.size} files, expected one: ${[...users].join(', ')}`);
}

for (const problem of problems) console.error(`layers: ${problem}`);
if (problems.length > 0) process.exitCode = 1;
