// A node that runs, seen from the terminal: its keys as a client finds them, `status --watch` and `logs --follow` up to Ctrl-C, and
// what a power cut leaves behind. One proxy and one node from the program's sources, on an unpaid local network, for all of it.
import { spawn, spawnSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ChildProcess } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { rotateLog } from '../../src/core/log-file.ts';
import { InterruptedError } from '../../src/core/errors.ts';
import { localnetLayout, writeDescription } from '../../src/localnet/layout.ts';
import { describeLocalnet } from '../../src/localnet/network.ts';
import { main } from '../../src/main.ts';
import { fakeContext } from '../fakes/context.ts';
import { SOURCE_PROGRAM } from '../fakes/source-program.ts';
import type { NodeState } from '../../src/node/daemon/state.ts';

const VERSION = (JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }).version;
const CLEAR = '\u001b[H\u001b[2J';

let home = '';
let readyLine = '';
const strangers: ChildProcess[] = [];

const cocoon = async (...argv: string[]): Promise<{ exit: number; stdout: string; stderr: string }> => {
  const run = fakeContext({ home, self: SOURCE_PROGRAM });
  const exit = await main(argv, run.context);
  return { exit, stdout: run.stdout(), stderr: run.stderr() };
};
const dataOf = async <T>(...argv: string[]): Promise<T> => (JSON.parse((await cocoon('--json', ...argv)).stdout) as { data: T }).data;
const state = (): Promise<NodeState> => dataOf('node', 'status');
const file = (name: string): string => join(home, 'run', name);
const documents = (text: string): { ok: boolean; data: { state?: string; message?: string }; error: { code: string; exit: number } | null }[] =>
  text.trimEnd().split('\n').map((line) => JSON.parse(line) as ReturnType<typeof documents>[number]);

async function until(test: () => boolean | Promise<boolean>, what: string, withinMs = 30_000): Promise<void> {
  for (const end = performance.now() + withinMs; !await test();) {
    if (performance.now() > end) throw new Error(`never: ${what}`);
    await new Promise((resolve) => { setTimeout(resolve, 20); });
  }
}

const isThere = (pid: number): boolean => {
  try {
    return !/\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
};

/** The program as a process of its own. */
function start(command: string, args: readonly string[], env: Record<string, string> = {}): { child: ChildProcess; stdout: () => string; stderr: () => string; ended: Promise<number | null> } {
  const child = spawn(command, args, { cwd: home, env: { ...process.env, COCOON_HOME: home, ...env } });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => { stdout += chunk.toString(); });
  child.stderr.on('data', (chunk: Buffer) => { stderr += chunk.toString(); });
  return { child, stdout: () => stdout, stderr: () => stderr, ended: new Promise((resolve) => { child.once('close', resolve); }) };
}

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'cocoon-live-'));
  const layout = localnetLayout(home);
  await writeDescription(layout, await describeLocalnet(layout, VERSION));
  expect(await cocoon('proxy', 'start', '--detach', '--pow-bits', '0')).toMatchObject({ exit: 0 });
  const started = await cocoon('node', 'start', '--detach');
  expect(started.exit).toBe(0);
  readyLine = started.stdout;
}, 120_000);
afterAll(async () => {
  for (const stranger of strangers) stranger.kill('SIGKILL');
  await cocoon('node', 'stop', '--now');
  await cocoon('proxy', 'stop');
  rmSync(home, { recursive: true, force: true });
}, 60_000);

describe('node status and node start', () => {
  it('show the key that signs receipts, as a client finds it in a receipt, and no secret one', async () => {
    const { sealing } = await state();
    expect(await cocoon('infer', '--receipt', join(home, 'r.receipt'), 'hello')).toMatchObject({ exit: 0 });
    const { receiptKey } = await dataOf<{ receiptKey: string }>('receipt', 'show', join(home, 'r.receipt'));
    expect(sealing).toMatchObject({ receiptKey, keyId: expect.stringMatching(/^[0-9a-f]{32}$/) });
    expect(receiptKey).toMatch(/^[0-9a-f]{64}$/);
    expect(readyLine).toContain(` receiptKey=${receiptKey}`);
    expect((await cocoon('node', 'status')).stdout).toContain(`\nreceipts  signed by ${receiptKey}; requests are sealed to record ${sealing?.keyId ?? ''}, for `);
    expect(sealing?.recordEndsMs).toBeGreaterThan(Date.now());
  }, 60_000);
});

describe('node status --watch', () => {
  it('--json: one document a line, and the last one says that it was interrupted', async () => {
    const run = fakeContext({ home, self: SOURCE_PROGRAM });
    const ended = main(['--json', 'node', 'status', '--watch', '--every', '1'], run.context);
    await until(() => run.stdout().split('\n').length > 2, 'two documents');
    run.abort(new InterruptedError('E_INTERRUPTED', 'interrupted'));
    expect([await ended, run.stderr()]).toEqual([130, '']);
    const all = documents(run.stdout());
    expect(all.slice(0, -1).map(({ ok, data }) => [ok, data.state])).toEqual(all.slice(0, -1).map(() => [true, 'serving']));
    expect(all.length).toBeGreaterThan(2);
    expect(all.at(-1)).toMatchObject({ ok: false, error: { code: 'E_INTERRUPTED', exit: 130 } });
  }, 60_000);

  const noScript = spawnSync('script', ['--version']).stdout?.toString().includes('util-linux') === true ? null : 'no `script` of util-linux';
  (noScript === null ? it : it.skip)(`on a terminal: redraws, ends on Ctrl-C with 130, and leaves the terminal as it was${noScript === null ? '' : ` (skipped: ${noScript})`}`, async () => {
    const words = [SOURCE_PROGRAM.command, ...SOURCE_PROGRAM.args].map((word) => `'${word}'`).join(' ');
    // The shell outlives Ctrl-C and says how the terminal is afterwards.
    const shell = `trap : INT; stty -g; ${words} node status --watch --every 1; code=$?; stty -g; exit $code`;
    const { child, stdout, ended } = start('script', ['-qefc', shell, '/dev/null'], { TERM: 'xterm' });
    await until(() => stdout().split(CLEAR).length > 2 && stdout().split(CLEAR).at(-1)?.includes('PROXY') === true, 'two drawings');
    child.stdin?.write('\u0003');
    expect(await ended).toBe(130);
    const [modes = '', ...drawn] = stdout().split(CLEAR);
    expect(drawn.length).toBeGreaterThan(1);
    for (const each of drawn) expect(each).toMatch(/^serving, up /);
    const lines = drawn.at(-1)?.trimEnd().split('\r\n') ?? [];
    expect([lines.at(-1), lines.at(-2)]).toEqual([modes.trim(), expect.stringMatching(/cocoon: interrupted$/)]);
    // Nothing that would have to be taken back: no hidden cursor, no other screen, no colour that goes on.
    // eslint-disable-next-line no-control-regex
    expect(stdout().replaceAll(CLEAR, '').match(/\u001b\[[0-9;?]*[a-z]/gi) ?? []).toEqual([]);
  }, 60_000);
});

describe('node logs --follow', () => {
  it('shows what comes, also over a rotation, each line once and in order; Ctrl-C ends it with 130', async () => {
    const log = file('node.log');
    const planted = (name: string): void => appendFileSync(log, `${JSON.stringify({ level: 30, time: new Date().toISOString(), msg: `planted ${name}` })}\n`);
    const { child, stdout, stderr, ended } = start(SOURCE_PROGRAM.command, [...SOURCE_PROGRAM.args, '--json', 'node', 'logs', '--follow', '--lines', '1']);
    await until(() => stdout() !== '', 'the last line so far');
    const seen = (): string[] => documents(stdout()).flatMap(({ data: { message = '' } }) => (message.startsWith('planted') ? [message.slice(8)] : []));
    planted('one');
    await until(() => seen().length === 1, 'a line that comes');
    planted('two');
    rotateLog(log, { maxBytes: 0, keep: 2 }); // before anybody has looked
    planted('three');
    await until(() => seen().includes('three'), 'a line behind the rotation');
    appendFileSync(log, '{"level":30,"time":"2026-01-01T00:00:00.000Z",'); // half a line
    await new Promise((resolve) => { setTimeout(resolve, 600); });
    appendFileSync(log, '"msg":"planted four"}\n');
    await until(() => seen().includes('four'), 'the line whole');
    child.kill('SIGINT');
    expect([await ended, stderr()]).toEqual([130, '']);
    expect(seen()).toEqual(['one', 'two', 'three', 'four']);
    expect(documents(stdout()).at(-1)).toMatchObject({ ok: false, error: { code: 'E_INTERRUPTED' } });
  }, 60_000);
});

describe('node start --detach after a power cut', () => {
  it('finds the record of a process that is another one now: neither takes it for a node nor ends it, and stays drained', async () => {
    expect((await cocoon('node', 'drain')).exit).toBe(0);
    const { pid } = await state();
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number);
    process.kill(pid, 'SIGKILL');
    await until(() => [pid, ...children].every((each) => !isThere(each)), 'the node and its engine are gone');
    expect([children.length > 0, existsSync(file('node.json')), existsSync(file('node.admin'))]).toEqual([true, true, true]);
    // After the reboot its number belongs to somebody else.
    const stranger = spawn('sleep', ['600'], { stdio: 'ignore' });
    strangers.push(stranger);
    const record = { ...JSON.parse(readFileSync(file('node.json'), 'utf8')) as object, pid: stranger.pid };
    const plant = (): void => writeFileSync(file('node.json'), JSON.stringify(record), { mode: 0o600 });
    plant();
    expect(await cocoon('node', 'status')).toMatchObject({ exit: 11, stderr: expect.stringContaining('no node is running') });
    plant();
    expect(await cocoon('node', 'stop')).toMatchObject({ exit: 0, stdout: 'node: was not running\n' });
    plant();
    expect(await cocoon('node', 'start', '--detach')).toMatchObject({ exit: 0, stdout: expect.stringMatching(/^node ready/) });
    const now = await state();
    expect([now.state, now.pid === pid || now.pid === stranger.pid, stranger.exitCode, isThere(stranger.pid ?? 0)]).toEqual(['drained', false, null, true]);
    expect((await cocoon('node', 'resume')).exit).toBe(0);
  }, 120_000);

  it('status --watch of a node that is stopped meanwhile ends with 11 and says so', async () => {
    const run = fakeContext({ home, self: SOURCE_PROGRAM });
    const ended = main(['node', 'status', '--watch', '--every', '1'], run.context);
    await until(() => run.stdout().includes('serving, up '), 'the first look');
    expect((await cocoon('node', 'stop')).exit).toBe(0);
    expect([await ended, run.stderr()]).toEqual([11, expect.stringMatching(/no node is running|cannot be asked|ending/)]);
  }, 60_000);
});
