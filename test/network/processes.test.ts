// The network as people run it: real processes through bin/cocoon with the small model. Killed, interrupted, started twice.
// Needs the built program; skipped when dist is absent or older than src.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

const root = fileURLToPath(new URL('../..', import.meta.url));
const cocoon = join(root, 'bin/cocoon');

const newest = (folder: string, suffix: string): number => Math.max(0, ...readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith(suffix)).map((name) => statSync(join(root, folder, name)).mtimeMs));
const skipped = !existsSync(join(root, 'dist/main.js')) ? 'dist is not built: run `npm run build`'
  : newest('dist', '.js') < newest('src', '.ts') ? 'dist is older than src: run `npm run build`' : null;
const describeBuilt = skipped === null ? describe : describe.skip;

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly tookMs: number;
}

interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  stdout(): string;
  stderr(): string;
}

const running = new Set<ChildProcess>();

/** `cocoon ARGS` in a process of its own. `shell`: the whole line for sh, with `$COCOON` as the program. */
function start(home: string, args: readonly string[], shell?: string): Running {
  const startedMs = performance.now();
  const env = { PATH: process.env['PATH'], HOME: home, COCOON_HOME: home, COCOON: `${process.execPath} ${cocoon}` };
  const child = shell === undefined
    ? spawn(process.execPath, [cocoon, ...args], { env, cwd: home, stdio: ['ignore', 'pipe', 'pipe'] })
    : spawn('bash', ['-c', shell], { env, cwd: home, stdio: ['ignore', 'pipe', 'pipe'] });
  running.add(child);
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (chunk: Buffer) => { stdout += chunk.toString(); });
  child.stderr?.on('data', (chunk: Buffer) => { stderr += chunk.toString(); });
  const ended = new Promise<Ended>((resolve) => {
    child.once('close', (code) => {
      running.delete(child);
      resolve({ code, stdout, stderr, tookMs: performance.now() - startedMs });
    });
  });
  return { child, ended, stdout: () => stdout, stderr: () => stderr };
}

const run = (home: string, ...args: string[]): Promise<Ended> => start(home, args).ended;
const sleep = (ms: number): Promise<void> => new Promise((resolve) => { setTimeout(resolve, ms); });

async function until(test: () => boolean, withinMs = 20_000): Promise<void> {
  const end = performance.now() + withinMs;
  while (!test()) {
    if (performance.now() > end) throw new Error(`never became true: ${test.toString()}`);
    await sleep(10);
  }
}

const recordPath = (home: string, role: string): string => join(home, 'localnet', `${role}.json`);
const pidOf = (home: string, role: string): number => (JSON.parse(readFileSync(recordPath(home, role), 'utf8')) as { pid: number }).pid;
const lives = (pid: number): boolean => {
  try {
    // A killed child of a test that nobody waited for is a zombie: not alive.
    return !/^\d+ \(.*\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
};

const QUESTION = 'What is cocoon?';

describeBuilt(`cocoon as processes${skipped === null ? '' : ` (skipped: ${skipped})`}`, () => {
  let home = '';
  let answer = '';
  const homes: string[] = [];
  const newHome = (): string => {
    const path = mkdtempSync(join(tmpdir(), 'cocoon-processes-'));
    homes.push(path);
    return path;
  };

  beforeAll(async () => {
    home = newHome();
    const started = await run(home, 'localnet', 'start', '--unpaid', '--detach');
    expect([started.code, started.stderr]).toEqual([0, expect.stringMatching(/starting the proxy\nstarting the node\nnobody is paid on this network: it was started with --unpaid\n$/)]);
    const asked = await run(home, 'infer', '--temperature', '0', QUESTION);
    expect([asked.code, asked.stderr]).toEqual([0, expect.stringMatching(/^verified proxy 127\.0\.0\.1:\d+: simulated evidence/)]);
    expect(asked.stdout).toMatch(/Cocoon/);
    answer = asked.stdout;
  }, 90_000);
  afterAll(async () => {
    for (const each of homes) {
      await run(each, 'localnet', 'stop');
      rmSync(each, { recursive: true, force: true });
    }
    for (const child of running) child.kill('SIGKILL');
  }, 60_000);

  const nextWorks = async (): Promise<void> => {
    const next = await run(home, 'infer', '--temperature', '0', QUESTION);
    expect([next.code, next.stdout, next.code === 0 ? '' : next.stderr]).toEqual([0, answer, '']);
  };

  it('status: tells what runs; JSON is one document', async () => {
    const { code, stdout } = await run(home, '--json', 'localnet', 'status');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ ok: true, data: { attestation: 'simulated', parts: expect.arrayContaining([expect.objectContaining({ role: 'proxy', state: 'ready', pid: pidOf(home, 'proxy') }), expect.objectContaining({ role: 'node', state: 'ready' })]) } });
  });

  /** A question that waits for its answer: the node is held until `act` has run. */
  const whileAsking = async <T>(act: (asked: Running) => Promise<T>): Promise<T> => {
    const node = pidOf(home, 'node');
    process.kill(node, 'SIGSTOP');
    try {
      const asked = start(home, ['infer', '--model', 'cocoon-tiny', QUESTION]);
      await until(() => asked.stderr().includes('verified proxy'));
      await sleep(Math.random() * 100);
      return await act(asked);
    } finally {
      if (lives(node)) process.kill(node, 'SIGCONT');
    }
  };

  it.each(['node', 'proxy'])('kill -9 of the %s: infer ends at once with an error, and works when the part is back', async (role) => {
    const other = role === 'node' ? 'proxy' : 'node';
    const [killed, kept] = [pidOf(home, role), pidOf(home, other)];
    await whileAsking(async (asked) => {
      const killedMs = performance.now();
      process.kill(killed, 'SIGKILL');
      const { code, stdout, stderr } = await asked.ended;
      expect(performance.now() - killedMs).toBeLessThan(5_000);
      // A node that was killed just before the question reached the proxy is one that is not there.
      const absent = role === 'node' && code === 14;
      expect([code, stdout, stderr]).toEqual([absent ? 14 : 6, '', expect.stringMatching(absent ? /not connected|no workers/ : /before the answer was complete|closed|lost the node/)]);
    });

    const status = await run(home, 'localnet', 'status');
    expect([status.code, status.stdout]).toEqual([11, expect.stringMatching(new RegExp(`${role}\\s+stopped`))]);
    const started = await run(home, 'localnet', 'start', '--unpaid', '--detach');
    expect([started.code, started.stderr]).toEqual([0, `starting the ${role}\nnobody is paid on this network: it was started with --unpaid\n`]);
    expect(pidOf(home, other)).toBe(kept);
    expect(pidOf(home, role)).not.toBe(killed);
    await nextWorks();
  }, 60_000);

  it('kill -9 of the client at a random moment: the others go on', async () => {
    const asked = start(home, ['infer', QUESTION]);
    await sleep(Math.random() * 800);
    asked.child.kill('SIGKILL');
    await asked.ended;
    await nextWorks();
  }, 30_000);

  it('infer: SIGINT ends it with 130, SIGTERM with 143', async () => {
    for (const [signal, exit, message] of [['SIGINT', 130, 'interrupted'], ['SIGTERM', 143, 'terminated']] as const) {
      const { code, stderr } = await whileAsking((asked) => {
        asked.child.kill(signal);
        return asked.ended;
      });
      expect([code, stderr.split('\n').at(-2)]).toEqual([exit, `cocoon: ${message}`]);
    }
  }, 30_000);

  it('infer | head -c 1: ends without a crash', async () => {
    const { code, stdout, stderr } = await start(home, [], `set -o pipefail; $COCOON infer '${QUESTION}' | head -c 1`).ended;
    expect(stdout).toHaveLength(1);
    expect([0, 130]).toContain(code); // 0: everything was written before the reader left
    expect(stderr).not.toMatch(/Error|at .*\.js|EPIPE/);
  }, 30_000);

  it('infer: what cannot be reached, and the time limit, have their exit codes', async () => {
    const late = await run(home, '--timeout', '1ms', 'infer', QUESTION);
    expect([late.code, late.stderr]).toEqual([6, expect.stringMatching(/within 1 ms/)]);
    expect((await run(home, 'infer', '--model', 'nobody', QUESTION)).code).toBe(7);
  }, 30_000);

  it('node start and proxy start: SIGINT and SIGTERM end them in order, no record left', async () => {
    const runFile = (role: string): string => join(home, `extra-${role}.json`);
    const node = start(home, ['--quiet', 'node', 'start', '--name', 'extra', '--threads', '1', '--run-file', runFile('node')]);
    const proxy = start(home, ['--quiet', 'proxy', 'start', '--clients', '127.0.0.1:0', '--workers', '127.0.0.1:0', '--run-file', runFile('proxy')]);
    await until(() => /^node ready/m.test(node.stdout()) && /^proxy ready/m.test(proxy.stdout()));
    const twice = await run(home, 'proxy', 'start', '--run-file', runFile('proxy'));
    expect([twice.code, twice.stderr]).toEqual([3, expect.stringMatching(/a proxy runs already as process \d+/)]);
    node.child.kill('SIGINT');
    proxy.child.kill('SIGTERM');
    expect((await Promise.all([node.ended, proxy.ended])).map(({ code }) => code)).toEqual([130, 143]);
    expect([existsSync(runFile('node')), existsSync(runFile('proxy'))]).toEqual([false, false]);
  }, 60_000);

  it('localnet start in the foreground, twice at once: one network, and SIGTERM takes it all away', async () => {
    const own = newHome();
    const both = [start(own, ['localnet', 'start', '--unpaid']), start(own, ['localnet', 'start', '--unpaid'])] as const;
    await until(() => both.every(({ stderr }) => /press Ctrl-C/.test(stderr())), 60_000);
    expect(both.map(({ stderr }) => stderr().match(/starting the (proxy|node)/g)?.length ?? 0).sort()).toEqual([0, 2]);
    const pids = ['proxy', 'node'].map((role) => pidOf(own, role));
    both[0].child.kill('SIGTERM');
    expect((await both[0].ended).code).toBe(143);
    expect(pids.map(lives)).toEqual([false, false]);
    expect(['proxy', 'node'].map((role) => existsSync(recordPath(own, role)))).toEqual([false, false]);
    // The other one sees that its network is gone.
    const other = await both[1].ended;
    expect([other.code, other.stderr]).toEqual([11, expect.stringMatching(/of the local network has ended/)]);
  }, 90_000);

  it('localnet start: interrupted while it starts, it leaves nothing', async () => {
    const own = newHome();
    const starting = start(own, ['localnet', 'start', '--unpaid', '--detach']);
    await until(() => /starting the node/.test(starting.stderr()) && existsSync(recordPath(own, 'proxy')));
    const proxy = pidOf(own, 'proxy');
    await sleep(50);
    starting.child.kill('SIGINT');
    expect((await starting.ended).code).toBe(130);
    expect(lives(proxy)).toBe(false);
    expect(['proxy', 'node'].map((role) => existsSync(recordPath(own, role)))).toEqual([false, false]);
  }, 60_000);

  it('localnet stop: stops every process; twice is no error', async () => {
    const pids = ['proxy', 'node'].map((role) => pidOf(home, role));
    expect((await run(home, 'localnet', 'stop')).stderr).toMatch(/^node: stopped\nproxy: stopped\n/);
    expect(pids.map(lives)).toEqual([false, false]);
    expect((await run(home, 'localnet', 'stop')).code).toBe(0);
    expect((await run(home, 'infer', QUESTION)).code).toBe(6);
  }, 60_000);
});
