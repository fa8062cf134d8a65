// Lets plain node run the TypeScript of the contract tests (bench/gas.mjs, scripts/mutate-contracts.mjs): types are stripped by swc.
import { readFileSync } from 'node:fs';
import { register } from 'node:module';
import { fileURLToPath } from 'node:url';
import { isMainThread } from 'node:worker_threads';
import { transformSync } from '@swc/core';

/** Node's load hook: .ts files become ES modules, everything else is left to the next hook. */
export async function load(url, context, next) {
  if (!url.endsWith('.ts')) return next(url, context);
  const { code } = transformSync(readFileSync(fileURLToPath(url), 'utf8'), {
    swcrc: false, filename: fileURLToPath(url), module: { type: 'es6' }, jsc: { target: 'es2023', parser: { syntax: 'typescript' } },
  });
  return { format: 'module', source: code, shortCircuit: true };
}

if (isMainThread && process.env['COCOON_TS_HOOKS'] === undefined) {
  process.env['COCOON_TS_HOOKS'] = '1';
  register(import.meta.url);
}
