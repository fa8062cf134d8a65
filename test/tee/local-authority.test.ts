import { chmod, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createLocalAuthority, loadLocalAuthority } from '../../src/tee/local-authority.ts';
import { reportDataOf } from '../../src/tee/report-data.ts';
import { simulatedMeasurement, verifySimulatedEvidence } from '../../src/tee/simulated.ts';

const tlsKey = new Uint8Array(32).fill(4);
let folder = '';
let path = '';

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cocoon-authority-'));
  path = join(folder, 'net', 'authority.key');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe('local authority', () => {
  it('createLocalAuthority: writes 72 bytes that only the owner may read, and nothing else', async () => {
    await createLocalAuthority(path);
    expect(await readdir(join(folder, 'net'))).toEqual(['authority.key']);
    const info = await stat(path);
    expect([info.size, (info.mode & 0o777).toString(8)]).toEqual([72, '600']);
    expect((await readFile(path)).subarray(0, 8).toString('latin1')).toBe('CCNLAK1\0');
  });

  it('loadLocalAuthority: gives back the same network and key', async () => {
    const made = await createLocalAuthority(path);
    const loaded = await loadLocalAuthority(path);
    expect(loaded.network).toEqual(made.network);
    const measurement = simulatedMeasurement('proxy', '1');
    const { evidence } = loaded.sign('proxy', measurement, tlsKey);
    expect(verifySimulatedEvidence(evidence, made.network)).toEqual({
      role: 'proxy', measurement, reportData: reportDataOf(tlsKey), networkId: made.network.networkId,
    });
  });

  it('createLocalAuthority: makes another network each time and never replaces one', async () => {
    const first = await createLocalAuthority(path);
    const second = await createLocalAuthority(join(folder, 'other.key'));
    expect(second.network).not.toEqual(first.network);
    await expect(createLocalAuthority(path)).rejects.toMatchObject({ code: 'E_STATE', message: expect.stringContaining('exists already') });
    expect((await loadLocalAuthority(path)).network).toEqual(first.network);
  });

  it('loadLocalAuthority: refuses a missing file, one that others may read, and damaged ones', async () => {
    await expect(loadLocalAuthority(path)).rejects.toMatchObject({ code: 'E_NOT_FOUND' });
    await createLocalAuthority(path);
    const content = await readFile(path);
    for (const mode of [0o640, 0o604, 0o620]) {
      await chmod(path, mode);
      await expect(loadLocalAuthority(path)).rejects.toMatchObject({ code: 'E_STATE', message: expect.stringContaining('expected 0600') });
    }
    await chmod(path, 0o600);
    for (const damaged of [content.subarray(0, 71), Buffer.concat([Buffer.of(0), content.subarray(1)]), Buffer.alloc(0), Buffer.concat([content, Buffer.of(0)])]) {
      await writeFile(path, damaged);
      await expect(loadLocalAuthority(path)).rejects.toMatchObject({ code: 'E_STATE' });
    }
  });

  it('sign: refuses keys and measurements of another length', async () => {
    const authority = await createLocalAuthority(path);
    expect(() => authority.sign('proxy', new Uint8Array(47), tlsKey)).toThrow(RangeError);
    expect(() => authority.sign('proxy', new Uint8Array(48), new Uint8Array(33))).toThrow(RangeError);
  });
});
