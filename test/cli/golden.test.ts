// Terminal sessions as files: each golden/*.txt is a list of command lines with what they print and how they end.
// `UPDATE_GOLDEN=1` writes what the program prints now; read the difference before committing it.
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { main } from '../../src/main.ts';
import { fakeContext } from '../fakes/context.ts';

const folder = fileURLToPath(new URL('golden', import.meta.url));

/** Splits a command line at spaces outside quotes; `NAME=value` words at the front are environment. */
function parse(line: string): { argv: string[]; env: Record<string, string>; stdin: string } {
  const [command = '', stdin = ''] = line.split(' <<< ');
  const words = [...command.matchAll(/(?:"([^"]*)"|'([^']*)'|([^\s"']+))+/g)].map((match) => match[0].replace(/"([^"]*)"|'([^']*)'/g, '$1$2'));
  const env: Record<string, string> = {};
  while (/^[A-Z_]+=/.test(words[0] ?? '')) {
    const [name = '', ...rest] = (words.shift() ?? '').split('=');
    env[name] = rest.join('=');
  }
  expect(words.shift()).toBe('cocoon');
  return { argv: words, env, stdin };
}

const quoteError = (text: string): string => text.split('\n').slice(0, -1).map((line) => `2> ${line}\n`).join('');

async function play(session: string, home: string): Promise<string> {
  let played = '';
  for (const line of session.split('\n')) {
    if (line.startsWith('#') || line === '') {
      played += line === '' && played.endsWith('\n\n') ? '' : `${line}\n`;
      continue;
    }
    if (!line.startsWith('$ ')) continue;
    const { argv, env, stdin } = parse(line.slice(2));
    const run = fakeContext({ home, env, stdin });
    const exit = await main(argv, run.context);
    const shown = `${run.stdout()}${quoteError(run.stderr())}`.replaceAll(home, '/home/user');
    // Lines that look like commands or comments are indented, so that the file can be played again.
    played += `${line}\n${shown.replace(/^(?=[$#])/gm, ' ').replace(/^$/gm, '|').replace(/\n\|$/, '\n')}${exit === 0 ? '' : `[exit ${exit}]\n`}`;
  }
  return `${played.trimEnd()}\n`;
}

let home = '';
beforeAll(async () => { home = await mkdtemp(join(tmpdir(), 'cocoon-golden-')); });
afterAll(async () => { await rm(home, { recursive: true }); });

describe('cocoon: golden terminal sessions', () => {
  it('every session file prints what it says', async () => {
    const files = (await readdir(folder)).filter((name) => name.endsWith('.txt'));
    expect(files.length).toBeGreaterThan(0);
    for (const name of files) {
      const path = join(folder, name);
      const expected = await readFile(path, 'utf8');
      const played = await play(expected, join(home, name));
      if (process.env['UPDATE_GOLDEN'] === '1') await writeFile(path, played);
      else expect({ name, played }).toEqual({ name, played: expected });
    }
  });
});
