// Terminal sessions as files: each golden/*.txt is a list of command lines with what they print and how they end.
// `UPDATE_GOLDEN=1` writes what the program prints now; read the difference before committing it.
// Sessions named network-* are played in the home of a network that runs in this process; what differs from run to run
// (ports, keys, times) is shown by its kind. Sessions named attest* find the synthetic attestation vectors in `vectors/`.
import { cp, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { main } from '../../src/main.ts';
import { fakeContext } from '../fakes/context.ts';
import { startTestNetwork } from '../fakes/network.ts';
import type { EngineRequest } from '../../src/node/engine.ts';
import type { TestNetwork } from '../fakes/network.ts';

const folder = fileURLToPath(new URL('golden', import.meta.url));
const attestation = fileURLToPath(new URL('../vectors/attestation/tdx-synthetic', import.meta.url));

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

const VOLATILE: readonly (readonly [RegExp, string])[] = [
  [/127\.0\.0\.1:\d+/g, '127.0.0.1:PORT'],
  [/"tlsPublicKey":"[0-9a-f]{64}"/g, '"tlsPublicKey":"KEY"'],
  [/"(\w+(?:Ms|At))":[\d.]+/g, '"$1":TIME'],
  [/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME'],
  [/(local network|TLS key) [0-9a-f]{64}/g, '$1 HEX'],
  [/(sealed to node) [0-9a-f]{16}…/g, '$1 KEY'],
  [/^[0-9a-f]{16}…/gm, 'KEY'],
];
const steady = (text: string): string => VOLATILE.reduce((shown, [pattern, name]) => shown.replace(pattern, name), text);

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
    const kept = shown === '' ? '' : shown.replace(/^(?=[$#])/gm, ' ').replace(/^$/gm, '|').replace(/\n\|$/, '\n');
    played += `${line}\n${kept}${exit === 0 ? '' : `[exit ${exit}]\n`}`;
  }
  return `${played.trimEnd()}\n`;
}

/** Says what it was asked: what reaches the engine is what the answer shows. */
const repeat = ({ prompt, ...rest }: EngineRequest): string[] => [
  prompt.kind === 'text' ? prompt.text : prompt.messages.map(({ role, content }) => `${role}: ${content}\n`).join(''),
  `${Object.entries(rest).filter(([, value]) => value !== undefined).map(([name, value]) => `${name}=${JSON.stringify(value)}`).sort().join(' ')}`,
];

let home = '';
let network: TestNetwork;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'cocoon-golden-'));
  network = await startTestNetwork({ nodes: [{}, { model: 'parrot', price: 1_500, engine: { pieces: repeat, sequences: 2 } }] });
});
afterAll(async () => {
  await network.close();
  await rm(home, { recursive: true });
});

// GOLDEN=attest plays the sessions whose names begin so, and no others.
describe('cocoon: golden terminal sessions', () => {
  it('every session file prints what it says', async () => {
    const files = (await readdir(folder)).filter((name) => name.endsWith('.txt') && name.startsWith(process.env['GOLDEN'] ?? ''));
    expect(files.length).toBeGreaterThan(0);
    for (const name of files) {
      const path = join(folder, name);
      const expected = await readFile(path, 'utf8');
      if (name.startsWith('attest')) await cp(attestation, join(home, name, 'vectors'), { recursive: true });
      const played = name.startsWith('network-') ? steady(await play(expected, network.home)) : await play(expected, join(home, name));
      if (process.env['UPDATE_GOLDEN'] === '1') await writeFile(path, played);
      else expect({ name, played }).toEqual({ name, played: expected });
    }
  });
});
