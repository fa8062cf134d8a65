// Compiles contracts/*.tolk with the pinned @ton/tolk-js to contracts/build/*.json (code as BoC, its hash, the compiler's version).
// With --check nothing is written: exits 1 when a committed file differs from what the sources give.
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runTolkCompiler } from '@ton/tolk-js';

export const CONTRACTS = fileURLToPath(new URL('../contracts', import.meta.url));
const BUILD = join(CONTRACTS, 'build');

/** Names of the contracts: every .tolk file directly in contracts/. */
export const contractNames = () => readdirSync(CONTRACTS).filter((f) => f.endsWith('.tolk')).map((f) => f.slice(0, -5)).sort();

/**
 * Compiles one contract.
 * @param {string} name contract name
 * @param {(path: string) => string} read source of a file, path relative to contracts/
 * @returns {Promise<{name: string, compiler: string, codeHash: string, code: string}>} code is base64 BoC
 */
export async function compileContract(name, read = (path) => readFileSync(join(CONTRACTS, path), 'utf8')) {
  const result = await runTolkCompiler({
    entrypointFileName: `${name}.tolk`,
    fsReadCallback: (path) => read(path.endsWith('.tolk') ? path : `${path}.tolk`),
  });
  if (result.status === 'error') throw new Error(`cannot compile ${name}.tolk: ${result.message}`);
  return { name, compiler: `tolk ${result.tolkVersion}`, codeHash: result.codeHashHex.toLowerCase(), code: result.codeBoc64 };
}

/** Text of the committed file of a compiled contract. */
export const buildText = (built) => `${JSON.stringify(built, null, 2)}\n`;

/** Committed file of a contract. */
export const buildFile = (name) => join(BUILD, `${name}.json`);

async function main(check) {
  const stale = [];
  mkdirSync(BUILD, { recursive: true });
  for (const name of contractNames()) {
    const text = buildText(await compileContract(name));
    if (!check) {
      writeFileSync(buildFile(name), text);
      continue;
    }
    let committed = '';
    try {
      committed = readFileSync(buildFile(name), 'utf8');
    } catch {
      // absent counts as different
    }
    if (committed !== text) stale.push(name);
  }
  for (const name of stale) process.stderr.write(`contracts/build/${name}.json differs from contracts/${name}.tolk: run node scripts/compile-contracts.mjs\n`);
  if (stale.length > 0) process.exitCode = 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main(process.argv.includes('--check'));
