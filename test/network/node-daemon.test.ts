// A node as an operator has it: started apart from the terminal, asked, drained, reloaded, stopped, upgraded and put back; with the
// program's sources as processes on an unpaid local network. Two packages made here stand for another version: one is good, one ends.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { toHex } from '../../src/core/bytes.ts';
import { localnetLayout, writeDescription } from '../../src/localnet/layout.ts';
import { describeLocalnet } from '../../src/localnet/network.ts';
import { main } from '../../src/main.ts';
import { simulatedImageHash } from '../../src/tee/image-hash.ts';
import { simulatedMeasurement } from '../../src/tee/simulated.ts';
import { fakeContext } from '../fakes/context.ts';
import { SOURCE_PROGRAM } from '../fakes/source-program.ts';
import type { NodeState } from '../../src/node/daemon/state.ts';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const VERSION = (JSON.parse(readFileSync(here('../../package.json'), 'utf8')) as { version: string }).version;
const [GOOD, BAD] = ['9.0.1', '9.0.2'];
const TOKEN = 'planted-token-0123456789';
const PROMPT = 'planted prompt about the purple giraffe';

let home = '';
const cocoon = async (...argv: string[]): Promise<{ exit: number; stdout: string; stderr: string }> => {
  const run = fakeContext({ home, self: SOURCE_PROGRAM, env: { COCOON_NODE_ALERT_WEBHOOK: `https://hooks.example/T1/${TOKEN}` } });
  const exit = await main(argv, run.context);
  return { exit, stdout: run.stdout(), stderr: run.stderr() };
};
const json = async (...argv: string[]): Promise<{ exit: number; data: Record<string, never>; error: { message: string } | null; warnings: string[] }> => {
  const { exit, stdout } = await cocoon('--json', ...argv);
  return { exit, ...JSON.parse(stdout) as { data: Record<string, never>; error: { message: string } | null; warnings: string[] } };
};
const state = async (...options: string[]): Promise<NodeState> => (await json('node', 'status', ...options)).data as unknown as NodeState;
const record = (): { pid: number } => JSON.parse(readFileSync(join(home, 'run', 'node.json'), 'utf8')) as { pid: number };

async function until(test: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 400 && !await test(); tries += 1) await new Promise((resolve) => { setTimeout(resolve, 50); });
}

/** A package with the program of this repository that says another version; `fails`: its node ends at once. */
function fakePackage(version: string, fails: boolean): string {
  const folder = join(home, `package-${version}`);
  mkdirSync(join(folder, 'bin'), { recursive: true });
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'cocoon', version, type: 'module', bin: { cocoon: 'bin/cocoon.js' } }));
  const url = (path: string): string => JSON.stringify(pathToFileURL(here(path)).href);
  writeFileSync(join(folder, 'bin/cocoon.js'), `#!/usr/bin/env node
if (${fails} && process.argv.includes('start')) { process.stderr.write('this version is broken\\n'); process.exit(1); }
await import(${url('../fakes/ts-hooks.mjs')});
const { main } = await import(${url('../../src/main.ts')});
const { realContext } = await import(${url('../../src/system.ts')});
process.exitCode = await main(process.argv.slice(2), { ...realContext(), version: ${JSON.stringify(version)}, self: { command: process.execPath, args: [process.argv[1]] } });
`);
  return folder;
}

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'cocoon-daemon-'));
  const layout = localnetLayout(home);
  const description = await describeLocalnet(layout, VERSION);
  const worker = (version: string): string => toHex(simulatedImageHash(simulatedMeasurement('worker', version)));
  await writeDescription(layout, { ...description, workerImageHashes: [VERSION, GOOD, BAD].map(worker) });
  expect(await cocoon('proxy', 'start', '--detach', '--pow-bits', '0')).toMatchObject({ exit: 0 });
  expect(await cocoon('node', 'start', '--detach')).toMatchObject({ exit: 0, stdout: expect.stringMatching(/^node ready model=cocoon-tiny@/) });
}, 120_000);
afterAll(async () => {
  await cocoon('node', 'stop', '--now');
  await cocoon('proxy', 'stop');
  rmSync(home, { recursive: true, force: true });
}, 60_000);

describe('a node apart from the terminal', () => {
  it('status: serving, with its proxy verified; files of it are private; a second one is refused', async () => {
    const now = await state();
    expect(now).toMatchObject({ state: 'serving', version: VERSION, pid: record().pid, price: 1_000, capacity: { told: 4, engine: 4 }, proxies: [{ link: 'ready', verified: { evidence: 'simulated' } }] });
    for (const name of ['node.admin', 'node.log', 'node.launch']) expect([name, statSync(join(home, 'run', name)).mode & 0o777]).toEqual([name, 0o600]);
    expect(await cocoon('node', 'start', '--detach')).toMatchObject({ exit: 3, stderr: expect.stringContaining(`a node runs already as process ${now.pid}`) });
    expect((await cocoon('node', 'logs')).stdout).toMatch(/info {2}connected to proxy proxy=127/);
  }, 60_000);

  it('drain: proxies send nothing, also after a restart; resume: they do', async () => {
    expect((await cocoon('infer', 'hello')).exit).toBe(0);
    expect(await cocoon('node', 'drain')).toMatchObject({ exit: 0, stdout: expect.stringMatching(/^drained/) });
    expect((await cocoon('infer', 'hello')).exit).toBe(14);
    expect(await cocoon('node', 'stop')).toMatchObject({ exit: 0, stdout: 'node: stopped\n' });
    expect(await cocoon('node', 'status')).toMatchObject({ exit: 11, stderr: expect.stringContaining('no node is running') });
    expect((await cocoon('node', 'start', '--detach')).exit).toBe(0);
    expect((await state()).state).toBe('drained');
    expect((await cocoon('node', 'resume')).exit).toBe(0);
    expect((await cocoon('infer', 'hello')).exit).toBe(0);
    expect((await state()).requests.answered).toBe(1);
  }, 120_000);

  it('reload: price and capacity without a restart; what cannot be used changes nothing; what needs a restart is named', async () => {
    const { pid } = await state();
    await cocoon('config', 'set', 'node.price', '1300');
    await cocoon('config', 'set', 'node.capacity', '2');
    await cocoon('config', 'set', 'engine.parallel', '3');
    const { exit, data, warnings } = await json('node', 'reload');
    expect([exit, data, warnings]).toEqual([0, { changed: [{ key: 'node.price', before: '1000', after: '1300' }, { key: 'node.capacity', before: 'unset', after: '2' }], needRestart: ['engine.parallel'], overruled: [] }, ['engine.parallel has changed and needs a restart']]);
    expect(await state()).toMatchObject({ pid, price: 1_300, capacity: { told: 2, engine: 4 } });
    writeFileSync(join(home, 'cocoon.toml'), readFileSync(join(home, 'cocoon.toml'), 'utf8').replace('1300', '"much"'));
    writeFileSync(join(home, 'empty.toml'), ''); // this command's own settings are good
    expect((await json('node', 'reload', '--config', join(home, 'empty.toml'))).error?.message).toContain('node.price');
    expect((await state('--config', join(home, 'empty.toml'))).price).toBe(1_300);
    writeFileSync(join(home, 'cocoon.toml'), '');
    process.kill(pid, 'SIGHUP');
    await until(async () => (await state()).price === 1_000);
    expect(await state()).toMatchObject({ pid, price: 1_000, capacity: { told: 4 } });
  }, 60_000);

  it('support bundle: no planted secret, token, passphrase or prompt in it', async () => {
    writeFileSync(join(home, 'secret.txt'), 'planted-passphrase correct horse\n', { mode: 0o600 });
    writeFileSync(join(home, 'cocoon.toml'), `passphrase_file = "${join(home, 'secret.txt')}"\n`);
    const admin = JSON.parse(readFileSync(join(home, 'run', 'node.admin'), 'utf8')) as { token: string };
    const log = join(home, 'run', 'node.log');
    const lines = [{ msg: 'x', prompt: PROMPT }, { msg: 'y', content: PROMPT, reason: `Bearer ${TOKEN}` }, { msg: 'z', nested: { text: PROMPT } }, { msg: 'w', reason: `the passphrase planted-passphrase correct horse, ${admin.token}` }];
    writeFileSync(log, `${readFileSync(log, 'utf8')}${lines.map((line) => JSON.stringify({ level: 30, time: new Date().toISOString(), ...line })).join('\n')}\nllama: ${PROMPT}\n`);
    await until(async () => (await cocoon('infer', PROMPT)).exit === 0); // it has just connected anew
    const { exit, data } = await json('support', 'bundle', '--out', join(home, 'bundle.json'));
    writeFileSync(join(home, 'cocoon.toml'), '');
    expect([exit, data['file']]).toEqual([0, join(home, 'bundle.json')]);
    const text = readFileSync(join(home, 'bundle.json'), 'utf8');
    expect(statSync(join(home, 'bundle.json')).mode & 0o777).toBe(0o600);
    for (const secret of [TOKEN, PROMPT, 'purple giraffe', 'planted-passphrase', admin.token]) expect(text).not.toContain(secret);
    expect(JSON.parse(text)).toMatchObject({ schema: 'cocoon.support/1', state: { state: 'serving' }, settings: expect.arrayContaining([expect.objectContaining({ key: 'node.alert_webhook', value: 'set' })]) });
    expect(text).toContain('connected to proxy');
  }, 90_000);

  it('earnings show: what was done, although nobody is paid', async () => {
    // What was answered before the restart above is written down.
    const { exit, stdout } = await cocoon('earnings', 'show', '--days', '2');
    expect([exit, stdout]).toEqual([0, expect.stringMatching(/ {2}\d+ +\d+ +█{40}\n\n\d+ tokens in 2 days\n$/)]);
    expect((await cocoon('earnings', 'show', '--days', '1', '--csv')).stdout).toMatch(/^day,requests,prompt,cached,completion,tokens,nano\n\d{4}-\d\d-\d\d,\d+,\d+,0,\d+,\d+,0\n$/);
  }, 60_000);
});

const npm = ((): string | null => {
  try {
    execFileSync('npm', ['--version'], { stdio: 'ignore' });
    return null;
  } catch {
    return 'npm is not installed';
  }
})();

(npm === null ? describe : describe.skip)(`cocoon node upgrade${npm === null ? '' : ` (skipped: ${npm})`}`, () => {
  it('a version that ends at its start: the old one runs again, as it was', async () => {
    const before = await state();
    const { exit, error } = await json('node', 'upgrade', fakePackage(BAD, true));
    expect([exit, error?.message]).toEqual([11, expect.stringMatching(new RegExp(`^version ${BAD} did not come up healthy, so version ${VERSION} runs again: the node did not start`))]);
    expect(await state()).toMatchObject({ state: 'serving', version: VERSION });
    expect((await state()).pid).not.toBe(before.pid);
  }, 120_000);

  it('a good version: it serves in place of the old one, a drained node stays drained, and --rollback goes back', async () => {
    await cocoon('node', 'drain');
    const upgraded = await cocoon('node', 'upgrade', fakePackage(GOOD, false));
    expect([upgraded.exit, upgraded.stdout]).toEqual([0, `node upgraded from ${VERSION} to ${GOOD}\n`]);
    expect(await state()).toMatchObject({ state: 'drained', version: GOOD });
    expect((await cocoon('node', 'resume')).exit).toBe(0);
    expect((await cocoon('infer', 'hello')).exit).toBe(0);
    expect(readFileSync(join(home, 'versions/current/node_modules/cocoon/package.json'), 'utf8')).toContain(GOOD);
    expect(await cocoon('node', 'upgrade', '--rollback')).toMatchObject({ exit: 0, stdout: `node upgraded from ${GOOD} to ${VERSION}\n` });
    expect(await state()).toMatchObject({ state: 'serving', version: VERSION });
  }, 180_000);

  it.each([['no package at all', 'no-such-folder-here'], ['a package of another name', 'other']])('%s: refused before anything is touched', async (_what, spec) => {
    mkdirSync(join(home, 'other'), { recursive: true });
    writeFileSync(join(home, 'other', 'package.json'), '{"name":"something-else","version":"1.0.0"}');
    const { pid } = await state();
    expect(await cocoon('node', 'upgrade', join(home, spec))).toMatchObject({ exit: 3 });
    expect(await state()).toMatchObject({ state: 'serving', pid });
  }, 60_000);
});
