// The sources as plain JavaScript in a folder of the run: its processes start several times faster than through a loader hook,
// and go on with the same code when a source changes meanwhile.
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { transformSync } from '@swc/core';

const repository = fileURLToPath(new URL('../..', import.meta.url));
const FOLDERS = ['src', 'test/chaos', 'test/fakes', 'test/fuzz'] as const;

/** Strips all sources into `folder`; the path of the entry of processes. */
export function stripSources(folder: string): string {
  for (const part of FOLDERS) {
    for (const name of readdirSync(join(repository, part), { recursive: true, encoding: 'utf8' })) {
      if (!name.endsWith('.ts') || name.endsWith('.test.ts')) continue;
      const { code } = transformSync(readFileSync(join(repository, part, name), 'utf8'), {
        swcrc: false, module: { type: 'es6' }, jsc: { target: 'es2023', parser: { syntax: 'typescript' } },
      });
      const to = join(folder, part, name.replace(/\.ts$/, '.js'));
      mkdirSync(dirname(to), { recursive: true });
      writeFileSync(to, code.replace(/((?:from|import)\s*\(?\s*['"]\.{1,2}\/[^'"]*)\.ts(['"])/g, '$1.js$2'));
    }
  }
  cpSync(join(repository, 'contracts'), join(folder, 'contracts'), { recursive: true });
  cpSync(join(repository, 'package.json'), join(folder, 'package.json'));
  symlinkSync(join(repository, 'node_modules'), join(folder, 'node_modules'));
  return join(folder, 'test/chaos/child.js');
}
