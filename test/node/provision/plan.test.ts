// What the plans hold: units that systemd accepts and that leave little open, and a guest that is started without a shell.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { imageDefinition, qemuCommand, qemuScript } from '../../../src/node/provision/guest.ts';
import { nodeUnit } from '../../../src/node/provision/units.ts';
import { testPlan } from '../../fakes/provision-root.ts';
import type { GuestOptions } from '../../../src/node/provision/guest.ts';

const noAnalyze = spawnSync('systemd-analyze', ['--version']).status === 0 ? null : 'no systemd-analyze';
/** `verify` asks whether programs are there: what tests can do without is replaced, what is checked here is not. */
const noTools = noAnalyze ?? (['/usr/sbin/cryptsetup', '/usr/sbin/mkfs.ext4'].every((path) => existsSync(path)) ? null : 'no /usr/sbin/cryptsetup and mkfs.ext4');
const why = (missing: string | null): string => (missing === null ? '' : ` (skipped: ${missing})`);
const MAX_EXPOSURE = 3;
let folder = '';
beforeEach(async () => { folder = await mkdtemp(join(tmpdir(), 'cocoon-units-')); });
afterEach(() => rm(folder, { recursive: true }));

const guest: GuestOptions = { tee: 'tdx', gpus: ['0000:17:00.0', '0000:65:00.0'], memoryGib: 200, cpus: 32, imageFolder: '/image', network: 'mainnet', model: 'Qwen/Qwen3-8B-GGUF:Q4_K_M' };

function unitOf(role: 'host' | 'guest' | 'bare'): { name: string; content: string } {
  const found = testPlan({ role, gpus: role === 'host' ? ['0000:17:00.0'] : [], hasGpu: role !== 'host' }).steps.flatMap(({ action }) => (action.kind === 'file' && action.path.endsWith('.service') ? [action] : []));
  expect(found.length).toBe(1);
  return { name: found[0]?.path.split('/').at(-1) ?? '', content: found[0]?.content ?? '' };
}

describe('units', () => {
  (noAnalyze === null ? it : it.skip).each(['host', 'guest', 'bare'] as const)(`%s: systemd accepts the unit, and its exposure is at most 3.0${why(noAnalyze)}`, async (role) => {
    const { name, content } = unitOf(role);
    // QEMU need not be installed where the tests run; that a program is there is the only thing left out.
    await accepted({ [name]: content.replace('/usr/bin/qemu-system-x86_64', '/usr/bin/env') });
  });

  (noAnalyze === null ? it : it.skip)(`systemd refuses what is no unit, and tells a unit that is open: the check above can fail${why(noAnalyze)}`, async () => {
    const path = join(folder, 'cocoon-node.service');
    await writeFile(path, unitOf('bare').content.replace('[Service]', '[Servize]'));
    expect(spawnSync('systemd-analyze', ['verify', path]).status).not.toBe(0);
    await writeFile(path, '[Service]\nExecStart=/usr/bin/env\n');
    expect(exposureOf(path)).toBeGreaterThan(9);
  });

  it('secrets come as credentials and are in no argument and no environment', () => {
    const { content } = unitOf('bare');
    expect(content).toMatch(/^LoadCredentialEncrypted=passphrase:\/etc\/cocoon\/credentials\/passphrase\.cred$/m);
    expect(content).toMatch(/^Environment=COCOON_PASSPHRASE_FILE=%d\/passphrase$/m);
    expect(content).not.toMatch(/MemoryDenyWriteExecute=yes|PrivateDevices=yes/);
  });

  it('words with blanks, quotes, percent and dollar signs stay one word', () => {
    const unit = nodeUnit({ program: ['/opt/my node', '/opt/c'], user: 'cocoon', network: 'mainnet', arguments: ['--name', 'a "b" %h $HOME'] }, 'bare');
    expect(unit).toContain('ExecStart="/opt/my node" /opt/c node start --home /var/lib/cocoon --network mainnet --name "a \\"b\\" %%h $$HOME"');
  });
});

describe('planFor', () => {
  it('another root has files and folders only', () => {
    expect(new Set(testPlan({ commands: false }).steps.map(({ action }) => action.kind))).toEqual(new Set(['file', 'folder']));
    expect(testPlan({ commands: false }).warnings.join()).toMatch(/another root/);
  });

  it('the GPU that was named is bound, and no other', () => {
    const rules = testPlan().steps.find(({ id }) => id === 'vfio');
    expect(rules?.action).toMatchObject({ content: expect.stringMatching(/^ACTION=="add", SUBSYSTEM=="pci", KERNEL=="0000:17:00\.0", ATTR\{driver_override\}="vfio-pci"\n/) });
    expect(testPlan({ confidentialMode: false }).steps.some(({ id }) => id.startsWith('cc-mode'))).toBe(false);
    expect(testPlan({ gpus: [] }).warnings.join()).toMatch(/no GPU was named/);
  });

  it('warns of what will not work', () => {
    expect(testPlan({ tee: null }).warnings.join()).toMatch(/neither TDX nor SEV-SNP/);
    expect(testPlan({ role: 'bare', program: ['/root/bin/node'] }).warnings.join()).toMatch(/home directory/);
  });
});

describe('guests', () => {
  it('qemuCommand: each GPU behind a port of its own, TDX with the quote service', () => {
    const words = qemuCommand(guest);
    expect(words.filter((word) => word.startsWith('vfio-pci'))).toEqual(['vfio-pci,host=0000:17:00.0,bus=port0,iommufd=iommufd0', 'vfio-pci,host=0000:65:00.0,bus=port1,iommufd=iommufd0']);
    expect(JSON.parse(words[words.indexOf('-object') + 1] ?? '')).toMatchObject({ 'qom-type': 'tdx-guest', 'quote-generation-socket': { type: 'vsock' } });
    expect(words.join(' ')).toMatch(/confidential-guest-support=tee0/);
    expect(qemuCommand({ ...guest, tee: 'snp' }).join(' ')).toMatch(/sev-snp-guest,id=tee0,policy=0x30000,.*kernel-hashes=on/);
    expect(qemuCommand({ ...guest, gpus: [] }).join(' ')).not.toMatch(/vfio|iommufd/);
  });

  it('qemuScript: a shell reads the same words', () => {
    const script = qemuScript(guest).replace('exec ', 'printf "%s\\n" ');
    const { stdout } = spawnSync('sh', ['-c', script], { encoding: 'utf8' });
    expect(stdout.trimEnd().split('\n')).toEqual(qemuCommand(guest));
  });

  it('imageDefinition: the same inputs give the same text, fixed in time, with `cocoon node start` in it', () => {
    const files = imageDefinition(guest);
    expect(imageDefinition(guest)).toEqual(files);
    const text = (path: string): string => files.find((file) => file.path.endsWith(path))?.content ?? '';
    expect(text('mkosi.conf')).toMatch(/^Seed=[0-9a-f-]{36}$/m);
    expect(text('mkosi.conf')).toMatch(/^SourceDateEpoch=\d+$/m);
    expect(text('mkosi.conf')).toMatch(/^Snapshot=\d{8}T\d{6}Z$/m);
    expect(text('10-root.conf')).toMatch(/^Verity=data$/m);
    expect(text('cocoon-node.service')).toMatch(/^ExecStart=\/usr\/bin\/node \/opt\/cocoon\/bin\/cocoon node start --home \/var\/lib\/cocoon --network mainnet --model qwen3-8b-q4_k_m$/m);
    expect(text('cocoon-model.service')).toMatch(/models pull Qwen\/Qwen3-8B-GGUF:Q4_K_M --name qwen3-8b-q4_k_m/);
    expect(text('modules-load.d/cocoon.conf')).toBe('tdx_guest\n');
    expect(imageDefinition({ ...guest, tee: 'snp', gpus: [], model: null }).map(({ path }) => path)).not.toContain('mkosi.extra/usr/lib/systemd/system/cocoon-model.service');
  });

  (noTools === null ? it : it.skip).each([guest, { ...guest, tee: 'snp', gpus: [], model: null }] as const)(`the units in the image (%#): systemd accepts all of them together, no cycle among them, and each exposure is at most 3.0${why(noTools)}`, async (options) => {
    const units = imageDefinition(options).filter(({ path }) => /\.(?:service|mount)$/.test(path)).map(({ path, content }): [string, string] => [path.split('/').at(-1) ?? '', content.replaceAll('/usr/bin/node', '/usr/bin/env')]);
    const names = units.map(([name]) => name).sort();
    expect(names).toEqual([...(options.model === null ? [] : ['cocoon-model.service']), 'cocoon-node.service', 'cocoon-scratch.service', 'var-lib-cocoon-models.mount', 'var-lib-cocoon.mount']);
    await accepted(Object.fromEntries(units));
    // What has to be there before the node starts is asked for by it, and enabled.
    const preset = imageDefinition(options).find(({ path }) => path.endsWith('.preset'))?.content ?? '';
    for (const [name, content] of units) if (content.includes('[Install]')) expect(preset).toContain(`enable ${name}\n`);
  });
});

/** Overall exposure as systemd counts it: 0 to 10. */
function exposureOf(path: string): number {
  const { stdout } = spawnSync('systemd-analyze', ['security', '--offline=true', path], { encoding: 'utf8' });
  return Number(/Overall exposure level[^:]*: (\d+\.\d)/.exec(stdout)?.[1] ?? Number.NaN);
}

/** Fails unless systemd accepts all of these units without a word, and the exposure of each service is at most 3.0. */
async function accepted(units: Readonly<Record<string, string>>): Promise<void> {
  const paths = await Promise.all(Object.entries(units).map(async ([name, content]) => {
    const path = join(folder, name);
    await writeFile(path, content);
    return path;
  }));
  const { status, stderr } = spawnSync('systemd-analyze', ['verify', ...paths], { encoding: 'utf8' });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  for (const path of paths.filter((each) => each.endsWith('.service'))) {
    const exposure = exposureOf(path);
    expect({ path, exposure, isLow: exposure <= MAX_EXPOSURE }).toEqual({ path, exposure, isLow: true });
  }
}
