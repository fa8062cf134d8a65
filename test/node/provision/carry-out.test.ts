// A root is provisioned and taken back: byte for byte and mode for mode, wherever it was cut off.
import { spawnSync } from 'node:child_process';
import { chmod, cp, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { applyPlan, JOURNAL_FOLDER, pendingSteps, undoAll } from '../../../src/node/provision/carry-out.ts';
import { InterruptedError } from '../../../src/core/errors.ts';
import { fakeRunner, makeRoot, snapshot, testPlan } from '../../fakes/provision-root.ts';
import type { ProvisionPorts } from '../../../src/node/provision/carry-out.ts';

let folder = '';
let root = '';
let before: Record<string, string> = {};
beforeEach(async () => {
  // In memory where there is such a file system: every step is synced.
  folder = await mkdtemp(join(await stat('/dev/shm').then(() => '/dev/shm', () => tmpdir()), 'cocoon-provision-'));
  root = join(folder, 'root');
  await makeRoot(root);
  before = await snapshot(root);
});
afterEach(() => rm(folder, { recursive: true }));

const ports = (more: Partial<ProvisionPorts> = {}): ProvisionPorts => ({ root, run: fakeRunner(root), signal: new AbortController().signal, ...more });

/** One step of each kind, files that were there and files that were not: for the runs that are cut off everywhere. */
const KINDS = new Set(['packages', 'update-grub-undo', 'kernel-parameters', 'update-grub', 'module-options', 'user', 'images']);
const shortPlan = { ...testPlan(), steps: testPlan().steps.filter(({ id }) => KINDS.has(id)) };

class Cut extends Error {}
/** Ends the work at the given moment, as a kill would: nothing after it happens. */
const cutAt = (moment: number): Partial<ProvisionPorts> => {
  let count = 0;
  return { onDurable: () => { count += 1; if (count === moment) throw new Cut(); } };
};
async function momentsOf(work: (given: Partial<ProvisionPorts>) => Promise<unknown>): Promise<number> {
  let count = 0;
  await work({ onDurable: () => { count += 1; } });
  return count;
}

describe('applyPlan and undoAll', () => {
  it('applied once, it is so; applied again, nothing is done; taken back, it is as it was', async () => {
    expect((await applyPlan(testPlan(), ports())).changed).toBeGreaterThan(8);
    const after = await snapshot(root);
    expect(after['etc/udev/rules.d/10-cocoon-vfio.rules']).toBeDefined();
    expect(after['var/lib/state/users/cocoon']).toBeDefined();
    expect(Buffer.from(after['var/lib/state/grub']?.split(' ')[2] ?? '', 'base64').toString()).toMatch(/nohibernate/);
    expect(after[JOURNAL_FOLDER.slice(1)]).toBe('folder 700');
    expect((await applyPlan(testPlan(), ports())).changed).toBe(0);
    expect(await snapshot(root)).toEqual(after);
    expect([...await pendingSteps(testPlan(), ports())].filter((id) => !/daemon-reload|udev|update-grub/.test(id))).toEqual([]);
    await undoAll(ports());
    expect(await snapshot(root)).toEqual(before);
    expect(await undoAll(ports())).toEqual({ undone: 0 });
  });

  it.each(['guest', 'bare'] as const)('%s: applied and taken back', async (role) => {
    const plan = testPlan({ role, gpus: [], hasGpu: true });
    await applyPlan(plan, ports());
    expect((await stat(join(root, 'etc/cocoon/credentials'))).mode & 0o777).toBe(0o700);
    await undoAll(ports());
    expect(await snapshot(root)).toEqual(before);
  });

  it('cut off at every moment, it can be taken back from there', async () => {
    const moments = await momentsOf((given) => applyPlan(shortPlan, ports(given)));
    await undoAll(ports());
    expect(moments).toBeGreaterThan(15);
    for (let moment = 1; moment <= moments; moment += 1) {
      await expect(applyPlan(shortPlan, ports(cutAt(moment)))).rejects.toBeInstanceOf(Cut);
      await undoAll(ports());
      expect({ moment, root: await snapshot(root) }).toEqual({ moment, root: before });
    }
  });

  it('cut off at every moment, it goes on to the same end, and can still be taken back', async () => {
    const moments = await momentsOf((given) => applyPlan(shortPlan, ports(given)));
    const whole = withoutJournal(await snapshot(root));
    await undoAll(ports());
    for (let moment = 1; moment <= moments; moment += 1) {
      await expect(applyPlan(shortPlan, ports(cutAt(moment)))).rejects.toBeInstanceOf(Cut);
      await applyPlan(shortPlan, ports());
      expect({ moment, root: withoutJournal(await snapshot(root)) }).toEqual({ moment, root: whole });
      await undoAll(ports());
      expect({ moment, root: await snapshot(root) }).toEqual({ moment, root: before });
    }
  });

  it('an undo that was cut off at every moment goes on', async () => {
    await applyPlan(shortPlan, ports());
    const copy = join(folder, 'copy');
    await cp(root, copy, { recursive: true });
    const moments = await momentsOf((given) => undoAll(ports(given)));
    for (let moment = 1; moment <= moments; moment += 1) {
      await rm(root, { recursive: true });
      await cp(copy, root, { recursive: true });
      // cp keeps modes but for the umask: those of the copy are right.
      await chmod(join(root, 'etc/default'), 0o751);
      await expect(undoAll(ports(cutAt(moment)))).rejects.toBeInstanceOf(Cut);
      await undoAll(ports());
      expect({ moment, root: await snapshot(root) }).toEqual({ moment, root: before });
    }
  });

  it.each([3, 12, 26])('kill -9 of the process at moment %d: another one takes it back', async (moment) => {
    const hooks = fileURLToPath(new URL('../../fakes/ts-hooks.mjs', import.meta.url));
    const child = fileURLToPath(new URL('../../fakes/provision-child.ts', import.meta.url));
    const { signal } = spawnSync(process.execPath, ['--import', hooks, child, root, String(moment), 'apply'], { stdio: 'ignore', timeout: 60_000 });
    expect(signal).toBe('SIGKILL');
    expect(await snapshot(root)).not.toEqual(before);
    await undoAll(ports());
    expect(await snapshot(root)).toEqual(before);
  });

  it('a command that fails is named, with its output, and the run goes on there when it is mended', async () => {
    const ran: string[] = [];
    await expect(applyPlan(testPlan(), ports({ run: fakeRunner(root, new Set(['useradd']), ran) }))).rejects.toMatchObject({ code: 'E_PROVISION', message: expect.stringContaining('broken'), hint: expect.stringContaining('goes on') });
    ran.length = 0;
    await applyPlan(testPlan(), ports({ run: fakeRunner(root, new Set(), ran) }));
    expect(ran.filter((line) => line.startsWith('apt-get'))).toEqual([]);
    await undoAll(ports());
    expect(await snapshot(root)).toEqual(before);
  });

  it('a program that does not exist is named', async () => {
    await expect(applyPlan(testPlan({ gpuTool: 'no-such-tool' }), ports())).rejects.toMatchObject({ code: 'E_PROVISION', message: expect.stringContaining('no such program') });
  });

  it('only packages that were missing are removed again', async () => {
    const ran: string[] = [];
    await applyPlan(testPlan(), ports());
    await undoAll(ports({ run: fakeRunner(root, new Set(), ran) }));
    expect(ran.find((line) => line.startsWith('apt-get remove'))).not.toMatch(/ovmf/);
    expect((await snapshot(root))['var/lib/state/packages/ovmf']).toBeDefined();
  });

  it('a file that was changed since is not lost: the undo does not begin, unless it is forced', async () => {
    await applyPlan(testPlan(), ports());
    const path = join(root, 'etc/modprobe.d/90-cocoon.conf');
    await writeFile(path, 'changed by hand');
    const after = await snapshot(root);
    await expect(undoAll(ports())).rejects.toMatchObject({ code: 'E_PROVISION', message: expect.stringContaining('/etc/modprobe.d/90-cocoon.conf') });
    expect(await snapshot(root)).toEqual(after);
    await undoAll(ports(), { force: true });
    expect(await snapshot(root)).toEqual(before);
  });

  it('a new plan over an old one: what was there first is what comes back', async () => {
    await applyPlan(testPlan(), ports());
    await applyPlan(testPlan({ memoryGib: 128, gpus: ['0000:17:00.0', '0000:65:00.0'] }), ports());
    expect(await readFile(join(root, 'etc/systemd/system/cocoon-guest.service'), 'utf8')).toMatch(/-m 128G/);
    await undoAll(ports());
    expect(await snapshot(root)).toEqual(before);
  });

  it('what others put into our folders stays, and so do the folders', async () => {
    await applyPlan(testPlan(), ports());
    await writeFile(join(root, 'var/lib/cocoon-guest/image/cocoon-guest.raw'), 'image');
    await undoAll(ports());
    const left = await snapshot(root);
    expect(Object.keys(left).filter((path) => before[path] === undefined)).toEqual(['var/lib/cocoon-guest', 'var/lib/cocoon-guest/image', 'var/lib/cocoon-guest/image/cocoon-guest.raw']);
  });

  it('another role than the one that was done, a link in the way, a damaged journal, a signal: refused', async () => {
    await applyPlan(testPlan(), ports());
    await expect(applyPlan(testPlan({ role: 'bare' }), ports())).rejects.toMatchObject({ code: 'E_PROVISION', hint: expect.stringContaining('--undo') });
    await undoAll(ports());
    spawnSync('ln', ['-s', '/etc/passwd', join(root, 'etc/modules-load.d')]);
    await expect(applyPlan(testPlan(), ports())).rejects.toMatchObject({ code: 'E_PROVISION', message: expect.stringContaining('in the way') });
    await undoAll(ports());
    await rm(join(root, 'etc/modules-load.d'));
    expect(await snapshot(root)).toEqual(before);
    const reason = new InterruptedError('E_INTERRUPTED', 'interrupted');
    await expect(applyPlan(testPlan(), ports({ signal: AbortSignal.abort(reason) }))).rejects.toBe(reason);
    await applyPlan(testPlan(), ports());
    await writeFile(join(root, JOURNAL_FOLDER, 'journal.json'), '{}');
    await expect(undoAll(ports())).rejects.toMatchObject({ code: 'E_STATE' });
  });
});

const withoutJournal = (all: Record<string, string>): Record<string, string> => Object.fromEntries(Object.entries(all).filter(([path]) => !path.startsWith(JOURNAL_FOLDER.slice(1))));
