// `node doctor` on this very machine, and `node provision` below a folder.
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { AddressInfo } from 'node:net';
import { main } from '../../src/main.ts';
import { fakeContext } from '../fakes/context.ts';
import { snapshot } from '../fakes/provision-root.ts';

let home = '';
beforeEach(async () => { home = await mkdtemp(join(tmpdir(), 'cocoon-operator-')); });
afterEach(() => rm(home, { recursive: true }));

async function cocoon(argv: readonly string[], answer?: boolean): Promise<{ exit: number; stdout: string; stderr: string }> {
  const run = fakeContext({ home, ...(answer !== undefined && { prompts: { confirm: async () => answer, secret: async () => '' } }) });
  const exit = await main(argv, run.context);
  return { exit, stdout: run.stdout(), stderr: run.stderr() };
}

describe('cocoon node doctor', () => {
  it('without any network: ends in seconds, with exit 3, the cause and the way out', async () => {
    const began = performance.now();
    const { exit, stdout } = await cocoon(['--json', 'node', 'doctor', '--role', 'bare']);
    expect(performance.now() - began).toBeLessThan(20_000);
    const { ok, data, error } = JSON.parse(stdout) as { ok: boolean; error: { code: string }; data: { network: string; role: string; verdict: string; findings: { id: string; status: string; seen: string; fix: string[] }[] } };
    expect({ exit, ok, code: error.code, network: data.network, role: data.role, verdict: data.verdict }).toEqual({ exit: 3, ok: false, code: 'E_DOCTOR', network: 'local', role: 'bare', verdict: 'not ready' });
    expect(data.findings.find(({ id }) => id === 'root')).toMatchObject({ status: 'FAIL', fix: ['run `cocoon localnet start --detach`', expect.stringContaining('--network mainnet')] });
    expect(new Set(data.findings.map(({ status }) => status))).toEqual(expect.objectContaining(new Set(['PASS', 'FAIL', 'INFO'])));
  });

  it('a network whose endpoint does not answer is told, in seconds', async () => {
    await main(['network', 'add', 'lonely', '--endpoint', 'http://127.0.0.1:9/', '--root', `0:${'1'.repeat(64)}`, '--global-id', '-3'], fakeContext({ home }).context);
    const began = performance.now();
    const { exit, stdout } = await cocoon(['node', 'doctor', '--role', 'bare', '--network', 'lonely']);
    expect(performance.now() - began).toBeLessThan(20_000);
    expect(exit).toBe(3);
    expect(stdout).toMatch(/FAIL {2}TON endpoint http:\/\/127\.0\.0\.1:9/);
  });

  it('an endpoint that takes connections and never answers is told, in seconds; the owner is known without a wallet', async () => {
    const silent = createServer();
    await new Promise<void>((done) => { silent.listen(0, '127.0.0.1', done); });
    const origin = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
    try {
      await main(['network', 'add', 'silent', '--endpoint', `${origin}/`, '--root', `0:${'1'.repeat(64)}`, '--global-id', '-3'], fakeContext({ home }).context);
      await main(['config', 'set', 'node.owner', `0:${'2'.repeat(64)}`], fakeContext({ home }).context);
      const began = performance.now();
      const { exit, stdout } = await cocoon(['--json', 'node', 'doctor', '--role', 'bare', '--network', 'silent']);
      expect(performance.now() - began).toBeLessThan(20_000);
      const { data: { findings } } = JSON.parse(stdout) as { data: { findings: { id: string; status: string; seen: string; fix: string[] }[] } };
      const of = (id: string) => findings.filter((each) => each.id === id || each.id.startsWith(`${id}:`)).map(({ status }) => status);
      expect([exit, of('endpoint'), of('root'), of('proxy'), of('wallet'), of('owner'), of('clock'), of('names')]).toEqual([3, ['FAIL'], ['SKIP'], ['SKIP'], ['FAIL'], ['PASS'], ['SKIP'], []]);
    } finally {
      silent.close();
    }
  }, 30_000);
});

describe('cocoon node provision', () => {
  it('--dry-run shows the plan and changes nothing', async () => {
    await mkdir(join(home, 'root'));
    for (const role of ['host', 'guest', 'bare']) {
      const { exit, stdout } = await cocoon(['node', 'provision', '--role', role, '--dry-run', '--root', 'root']);
      expect({ role, exit, plan: stdout.split('\n')[0] }).toEqual({ role, exit: 0, plan: `plan for a ${role}:` });
    }
    expect(await snapshot(join(home, 'root'))).toEqual({});
  });

  it('applies after a yes, does nothing the second time, and takes all of it back', async () => {
    const root = join(home, 'root');
    await mkdir(join(root, 'etc'), { recursive: true, mode: 0o700 });
    await writeFile(join(root, 'etc', 'hostname'), 'server\n');
    const before = await snapshot(root);
    const argv = ['node', 'provision', '--role', 'host', '--gpu', '17:00.0', '--root', 'root'];
    expect(await cocoon(argv)).toMatchObject({ exit: 2, stderr: expect.stringContaining('--yes') });
    expect((await cocoon(argv, false)).exit).toBe(130);
    expect(await snapshot(root)).toEqual(before);
    const applied = await cocoon(argv, true);
    expect(applied).toMatchObject({ exit: 0, stdout: expect.stringContaining('taken back by: cocoon node provision --undo') });
    expect(await readFile(join(root, 'etc/udev/rules.d/10-cocoon-vfio.rules'), 'utf8')).toContain('KERNEL=="0000:17:00.0"');
    expect(await cocoon(argv)).toMatchObject({ exit: 0, stderr: expect.stringContaining('everything is so already') });
    expect(await cocoon(['node', 'provision', '--undo', '--root', 'root', '--yes'])).toMatchObject({ exit: 0 });
    expect(await snapshot(root)).toEqual(before);
  });

  it('--print-guest writes what the guest is made of', async () => {
    const { exit, stdout } = await cocoon(['node', 'provision', '--print-guest', 'snp', '--gpu', '65:00.0', '--memory', '100', '--model', 'org/m-GGUF:Q8_0', '--network', 'mainnet', '--out', 'guest']);
    expect(exit).toBe(0);
    expect(stdout).toContain(join(home, 'guest', 'mkosi.conf'));
    expect((await stat(join(home, 'guest', 'start-guest.sh'))).mode & 0o777).toBe(0o755);
    expect(await readFile(join(home, 'guest', 'start-guest.sh'), 'utf8')).toMatch(/-m 100G[\s\S]*host=0000:65:00\.0/);
    expect((await cocoon(['node', 'provision', '--print-guest', 'tdx', '--model', 'https://x.example/a.gguf'])).exit).toBe(2);
  });

  it('--print-units prints the units', async () => {
    const { exit, stdout } = await cocoon(['node', 'provision', '--role', 'bare', '--print-units']);
    expect(exit).toBe(0);
    expect(stdout).toMatch(/^# ==> cocoon-node\.service <==\n\[Unit\]\n/);
  });
});
