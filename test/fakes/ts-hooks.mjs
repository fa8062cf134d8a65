// Lets a child process of a test run TypeScript sources: `node --import test/fakes/ts-hooks.mjs file.ts`. Strips types, nothing else.
// With TS_HOOKS_CACHE, a folder, what was stripped once is kept there: for tests that start many processes.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { register } from 'node:module';
import { join } from 'node:path';
import { isMainThread, threadId } from 'node:worker_threads';
import { fileURLToPath } from 'node:url';

if (isMainThread) register(import.meta.url);

const cache = process.env.TS_HOOKS_CACHE ?? '';
if (cache !== '') mkdirSync(cache, { recursive: true });

async function strip(path) {
  const { transformSync } = await import('@swc/core');
  const { code } = transformSync(readFileSync(path, 'utf8'), {
    swcrc: false,
    module: { type: 'es6' },
    jsc: { target: 'es2023', parser: { syntax: 'typescript' } },
  });
  return code;
}

async function stripped(path) {
  if (cache === '') return strip(path);
  const { mtimeMs, size } = statSync(path);
  const kept = join(cache, createHash('sha256').update(`${path} ${mtimeMs} ${size}`).digest('hex'));
  try {
    return readFileSync(kept, 'utf8');
  } catch {
    const code = await strip(path);
    const own = `${kept}.${process.pid}.${threadId}`; // another process may be killed while it writes
    writeFileSync(own, code);
    renameSync(own, kept);
    return code;
  }
}

export async function load(url, context, nextLoad) {
  if (!url.startsWith('file:') || !url.endsWith('.ts')) return nextLoad(url, context);
  return { format: 'module', source: await stripped(fileURLToPath(url)), shortCircuit: true };
}
