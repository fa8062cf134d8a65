// What becomes of checks that throw, hang or are not asked for.
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { NetworkError, NotFoundError } from '../../../src/core/errors.ts';
import { diagnose } from '../../../src/node/doctor/diagnose.ts';
import { compareVersions, gatherFacts } from '../../../src/node/doctor/facts.ts';
import { realMachine } from '../../../src/node/doctor/machine.ts';
import { realNetwork } from '../../../src/node/doctor/network-probe.ts';
import { renderDiagnosis } from '../../../src/node/doctor/render.ts';
import { applyFix, describeFix, safeFixesOf } from '../../../src/node/doctor/safe-fixes.ts';
import { recordedMachine } from '../../fakes/recorded-machine.ts';

const machine = (name: string) => recordedMachine(fileURLToPath(new URL(`../../fixtures/machines/${name}`, import.meta.url)));
let folder = '';
beforeEach(async () => { folder = await mkdtemp(join(tmpdir(), 'cocoon-doctor-')); });
afterEach(() => rm(folder, { recursive: true, force: true }));

describe('diagnose', () => {
  it('a required check that could not be made leaves the verdict incomplete, never ready', async () => {
    const examined = await machine('tdx-guest');
    const diagnosis = await diagnose({ ...examined, chain: { ...examined.chain, wallet: async () => { throw new NetworkError('E_CHAIN_UNREACHABLE', 'no endpoint answered'); } } });
    expect(diagnosis.findings.find(({ id }) => id === 'wallet')).toMatchObject({ status: 'SKIP', seen: 'no endpoint answered' });
    expect(diagnosis.verdict).toBe('incomplete');
    expect(renderDiagnosis(diagnosis)).toMatch(/as guest: incomplete/);
  });

  it('a check that nobody needs may be skipped', async () => {
    const examined = await machine('tdx-guest');
    const diagnosis = await diagnose({ ...examined, chain: { ...examined.chain, stake: async () => { throw new NetworkError('E_CHAIN_UNREACHABLE', 'no endpoint answered'); } } });
    expect(diagnosis.findings.find(({ id }) => id === 'stake')?.status).toBe('SKIP');
    expect(diagnosis.verdict).toBe('ready');
  });

  it('an engine that would not use the GPU is a failure', async () => {
    const examined = await machine('tdx-guest');
    const { findings, verdict } = await diagnose({ ...examined, engine: { ...examined.engine, backend: async () => ({ backend: 'cpu', devices: [], vramBytes: 0, note: null }) } });
    expect(findings.find(({ id }) => id === 'backend')).toMatchObject({ status: 'FAIL', wanted: 'cuda' });
    expect(verdict).toBe('not ready');
  });

  it('a model that was named and is not there is a failure', async () => {
    const examined = await machine('tdx-guest');
    const { findings, verdict } = await diagnose({ ...examined, engine: { ...examined.engine, fit: async () => { throw new NotFoundError('E_NOT_FOUND', '"m" is neither a file nor a model', { hint: 'cocoon models pull' }); } } });
    expect(findings.find(({ id }) => id === 'layers')).toMatchObject({ status: 'FAIL', seen: '"m" is neither a file nor a model', fix: ['cocoon models pull'] });
    expect(verdict).toBe('not ready');
  });

  it('name servers: some that are not known are told, none known is a failure', async () => {
    const examined = await machine('tdx-guest');
    const said = async (fails: (host: string) => boolean) => (await diagnose({ ...examined, network: { ...examined.network, resolve: async (host) => { if (fails(host)) throw new NetworkError('E_UNREACHABLE', `${host} cannot be looked up: EAI_AGAIN`); } } }))
      .findings.find(({ id }) => id === 'names');
    expect(await said(() => false)).toMatchObject({ status: 'PASS', seen: expect.stringContaining('toncenter.com') });
    expect(await said((host) => host === 'toncenter.com')).toMatchObject({ status: 'INFO', seen: 'toncenter.com cannot be looked up: EAI_AGAIN' });
    expect(await said(() => true)).toMatchObject({ status: 'FAIL', fix: [expect.stringContaining('resolv.conf')] });
  });

  it('a machine of its own that cannot start guests, and one that is a guest: what is asked of either is not asked of the other', async () => {
    const host = await machine('snp-host');
    const inside = await diagnose({ ...host, facts: { ...host.facts, virtual: true } });
    expect(inside.findings.find(({ id }) => id === 'tee')).toMatchObject({ status: 'FAIL', seen: 'this is a virtual machine itself' });
    const guest = await machine('container');
    const { findings } = await diagnose({ ...guest, role: 'guest', facts: { ...guest.facts, kernel: [6, 12] }, machine: { ...guest.machine, exists: async () => false } });
    // On a local network nothing is held against it; no module is loaded that could not work.
    expect(findings.find(({ id }) => id === 'kernel')).toMatchObject({ status: 'INFO', cause: 'this is no confidential guest, or its driver is not loaded' });
    expect(findings.find(({ id }) => id === 'kernel')?.safeFix).toBeUndefined();
  });

  it('a network that cannot be used is told once, with the way out', async () => {
    const examined = await machine('container');
    const { findings } = await diagnose({ ...examined, chain: { ...examined.chain, unusable: { reason: 'there is no local network', fix: 'cocoon localnet start' } } });
    expect(findings.filter(({ status }) => status === 'FAIL').map(({ id, fix }) => [id, fix])).toEqual([['root', ['cocoon localnet start', expect.stringContaining('--network mainnet')]]]);
  });

  it('the signal ends it', async () => {
    const examined = await machine('container');
    const controller = new AbortController();
    const hangs = { ...examined, signal: controller.signal, engine: { ...examined.engine, memoryBandwidth: () => new Promise<number>(() => undefined) } };
    const reason = new NetworkError('E_CLOSED', 'enough');
    setTimeout(() => controller.abort(reason), 20);
    await expect(diagnose(hangs)).rejects.toBe(reason);
  });
});

describe('safe fixes', () => {
  it('what is offered is shown with its way back, made once, and never overwrites', async () => {
    const { findings } = await diagnose(await machine('tdx-host'));
    const [fix, ...others] = safeFixesOf(findings);
    expect(others).toEqual([]);
    if (fix?.kind !== 'file') throw new Error('expected a file');
    expect(describeFix(fix)).toMatch(/^write \/etc\/security\/limits\.d\/cocoon\.conf \(back: rm /);
    const here = { ...fix, path: join(folder, 'limits.d', 'cocoon.conf') };
    const examined = await machine('tdx-host');
    await applyFix(here, examined.machine);
    expect(await readFile(here.path, 'utf8')).toMatch(/memlock unlimited/);
    expect((await stat(here.path)).mode & 0o777).toBe(0o644);
    await expect(applyFix(here, examined.machine)).rejects.toMatchObject({ code: 'E_STATE' });
  });

  it('a module that cannot be loaded says so', async () => {
    const examined = await machine('tdx-host');
    await expect(applyFix({ kind: 'module', name: 'tdx_guest' }, examined.machine)).rejects.toMatchObject({ code: 'E_DOCTOR' });
  });
});

describe('the real machine', () => {
  it('facts of this very machine can be gathered', async () => {
    const signal = new AbortController().signal;
    const facts = await gatherFacts(realMachine(signal));
    expect(facts.memoryBytes).toBeGreaterThan(0);
    expect(await realMachine(signal).disk(join(folder, 'not', 'there'))).toMatchObject({ totalBytes: expect.any(Number) });
    expect(await realMachine(signal).run('no-such-tool-of-cocoon', [])).toBeNull();
    expect(await realMachine(signal).read(join(folder, 'none'))).toEqual({ kind: 'absent' });
  });

  it('a port that nobody listens on is no connection', async () => {
    const network = realNetwork({ require: async () => undefined });
    await expect(network.reach('127.0.0.1', 1, AbortSignal.timeout(2_000))).rejects.toMatchObject({ code: 'E_UNREACHABLE' });
    await expect(network.ask('http://127.0.0.1:1/', AbortSignal.timeout(2_000))).rejects.toMatchObject({ code: 'E_UNREACHABLE' });
  });
});

describe('compareVersions', () => {
  it('compares part by part, in the radix of the version', () => {
    expect(compareVersions('10.1.0', '9.9')).toBeGreaterThan(0);
    expect(compareVersions('96.00.5E.00.00', '96.00.CF.00.01', 16)).toBeLessThan(0);
    expect(compareVersions('6.7', '6.7.0')).toBe(0);
  });
});
