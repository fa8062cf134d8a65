// Which TEE this is, and what exactly is missing where there is none that can be used. The event log of ACPI.
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { silentLog } from '../../../src/core/log.ts';
import { detectTee } from '../../../src/tee/collect/environment.ts';
import { CCEL_DATA, CCEL_TABLE, checkCcelTable, readCcel } from '../../../src/tee/collect/event-log.ts';
import { linuxKernel } from '../../../src/tee/collect/kernel.ts';
import { FakeTsmKernel } from '../../fakes/tsm-kernel.ts';
import type { FakeKernelOptions } from '../../fakes/tsm-kernel.ts';
import { sharedFolder } from '../collateral/shared.ts';
import { expectCode, snpKernel, tdxKernel } from './world.ts';

const AZURE = { '/sys/class/dmi/id/chassis_asset_tag': '7783-7084-3265-9085-8269-3286-77\n' };
const TDX_CPU = { '/proc/cpuinfo': 'processor\t: 0\nflags\t\t: fpu vme tdx_guest sse\nbugs:\n' };

describe('detectTee', () => {
  it('detectTee: TDX and SEV-SNP, by the driver behind the report interface', async () => {
    for (const [kernel, provider] of [[tdxKernel(), 'tdx_guest'], [snpKernel(), 'sev_guest']] as const) {
      expect(await detectTee(kernel, silentLog)).toEqual({ provider, through: 'configfs-tsm' });
      expect(kernel.entries.size).toBe(0);
    }
  });

  it.each<[string, FakeKernelOptions, RegExp, RegExp]>([
    ['nothing at all', { interface: false }, /not a TDX or SEV-SNP guest/, /confidential virtual machine/],
    ['a host whose CPU has the flags of a host', { interface: false, files: { '/proc/cpuinfo': 'flags : sev sev_es sev_snp tdx_host_platform\n' } }, /not a TDX or SEV-SNP guest/, /confidential/],
    ['an old kernel in TDX', { interface: false, release: '6.2.0-1018', files: TDX_CPU }, /guest of Intel TDX, but Linux 6\.2\.0-1018 does not offer .*Linux 6\.7/, /CONFIG_TSM_REPORTS and CONFIG_TDX_GUEST_DRIVER/],
    ['configfs not mounted', { interface: false, release: '6.8.0', files: TDX_CPU }, /configfs is not mounted/, /^mount -t configfs none \/sys\/kernel\/config$/],
    ['no driver loaded', { interface: false, release: '6.8.0', files: { ...TDX_CPU, '/sys/kernel/config/other': '' } }, /no driver has registered/, /modprobe tdx_guest/],
    ['no driver behind the interface', { provider: null, files: TDX_CPU }, /Intel TDX.*no driver has registered/, /modprobe tdx_guest/],
    ['Azure', { interface: false, files: AZURE }, /Azure prove themselves through a vTPM \(HCL report\), which is not supported/, /configfs-tsm/],
    ['an interface without a driver on Azure', { provider: null, files: AZURE }, /vTPM/, /configfs-tsm/],
    ['another kind of guest', { provider: 'arm_cca_guest' }, /"arm_cca_guest", expected Intel TDX or AMD SEV-SNP/, /machine with Intel TDX/],
  ])('detectTee: %s', async (_name, options, message, hint) => {
    const error = await expectCode(detectTee(new FakeTsmKernel(options), silentLog), 'E_NO_TEE', message);
    expect([error.exitCode, error.retryable]).toEqual([3, false]);
    expect(error.hint).toMatch(hint);
  });

  it.each<[string, FakeKernelOptions, 'tdx_guest' | 'sev_guest', RegExp, RegExp]>([
    ['an old kernel in TDX', { interface: false, release: '6.2.17', files: { '/dev/tdx_guest': '' } }, 'tdx_guest', /Intel TDX, but Linux 6\.2\.17/, /Linux 6\.7 or newer/],
    ['an old kernel in SEV-SNP', { interface: false, release: '6.1.90', files: { '/dev/sev-guest': '' } }, 'sev_guest', /AMD SEV-SNP, but Linux 6\.1\.90/, /CONFIG_SEV_GUEST/],
    ['no driver behind the interface', { provider: null, files: { '/dev/sev-guest': '' } }, 'sev_guest', /SEV-SNP.*no driver has registered/, /modprobe sev-guest/],
  ])('detectTee: the device of %s is used, and what is missing is known', async (_name, options, provider, message, hint) => {
    const tee = await detectTee(new FakeTsmKernel(options), silentLog);
    expect(tee).toMatchObject({ provider, through: 'device', missing: { code: 'E_NO_TEE', message: expect.stringMatching(message), hint: expect.stringMatching(hint) } });
  });

  it('detectTee: a kernel from 6.7 on is not called old', async () => {
    for (const release of ['6.7.0', '6.10', '7.0.1', 'unknown']) {
      await expectCode(detectTee(new FakeTsmKernel({ interface: false, release, files: TDX_CPU }), silentLog), 'E_NO_TEE', /configfs is not mounted/);
    }
  });

  it('detectTee: no right to ask is not the same as no TEE', async () => {
    const error = await expectCode(detectTee(tdxKernel().fail('mkdir', 'EACCES'), silentLog), 'E_COLLECT', /EACCES/);
    expect(error.hint).toMatch(/run as root/);
  });

  it('detectTee: CPU information that cannot be read only makes the explanation shorter', async () => {
    await expectCode(detectTee(new FakeTsmKernel({ interface: false, files: { '/proc/cpuinfo': new Uint8Array(9 * 1024 * 1024) } }), silentLog), 'E_NO_TEE', /not a TDX/);
  });
});

/** A CCEL table for a log of `length` bytes, with a right checksum. */
function ccelTable(length: number, change: (table: Buffer) => void = () => undefined): Buffer {
  const table = Buffer.alloc(56);
  table.write('CCEL', 'latin1');
  table.writeUInt32LE(56, 4);
  table[36] = 2;
  table.writeBigUInt64LE(BigInt(length), 40);
  change(table);
  table[9] = (256 - table.reduce((sum, byte) => (sum + byte) % 256, 0)) % 256;
  return table;
}

const withLog = (table: Uint8Array, log?: Uint8Array): FakeTsmKernel => tdxKernel({ files: { [CCEL_TABLE]: table, ...(log === undefined ? {} : { [CCEL_DATA]: log }) } });

describe('readCcel', () => {
  it('readCcel: table and log as they are', async () => {
    const log = Uint8Array.from({ length: 300 }, (_, index) => index % 256);
    expect(await readCcel(withLog(ccelTable(300), log))).toEqual({ table: new Uint8Array(ccelTable(300)), log });
  });

  it('readCcel: null where the firmware keeps none', async () => {
    expect(await readCcel(tdxKernel())).toBeNull();
  });

  it.each<[string, Uint8Array, Uint8Array | undefined, RegExp]>([
    ['a log that is shorter than stated', ccelTable(300), new Uint8Array(299), /299 bytes, expected the 300/],
    ['a log that is longer than stated', ccelTable(300), new Uint8Array(301), /301 bytes, expected the 300/],
    ['no log', ccelTable(300), undefined, /is missing at/],
    ['a huge log', ccelTable(2_000_000), new Uint8Array(10), /expected 1 to 1048576/],
    ['an empty log', ccelTable(0), new Uint8Array(0), /expected 1 to 1048576/],
    ['a log larger than any', ccelTable(1_048_576), new Uint8Array(1_048_577), /EFBIG/],
    ['another table', ccelTable(300, (table) => table.write('TPM2')), undefined, /start with its name/],
    ['a table of another length', ccelTable(300).subarray(0, 55), undefined, /has 55 bytes/],
    ['another kind of TEE', ccelTable(300, (table) => { table[36] = 1; }), undefined, /TEE type 1/],
    ['a wrong checksum', ccelTable(300).fill(1, 10, 11), undefined, /checksum/],
  ])('readCcel: refuses %s', async (_name, table, log, message) => {
    await expectCode(readCcel(withLog(table, log)), 'E_COLLECT', message);
  });
});

describe('linuxKernel', () => {
  it('linuxKernel: reads to the end, up to a limit, and tells what exists', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'cocoon-kernel-'));
    try {
      const path = join(folder, 'attribute');
      await writeFile(path, Buffer.alloc(100_000, 7));
      expect(await linuxKernel.read(path, 100_000)).toHaveLength(100_000);
      await expect(linuxKernel.read(path, 99_999)).rejects.toMatchObject({ code: 'EFBIG' });
      await expect(linuxKernel.read(join(folder, 'none'), 10)).rejects.toMatchObject({ code: 'ENOENT' });
      await linuxKernel.write(path, Buffer.from('abc'));
      expect(Buffer.from(await linuxKernel.read(path, 100_000)).toString('latin1', 0, 4)).toBe('abc\u0007');
      await linuxKernel.makeFolder(join(folder, 'entry'));
      await expect(linuxKernel.makeFolder(join(folder, 'entry'))).rejects.toMatchObject({ code: 'EEXIST' });
      expect([await linuxKernel.exists(join(folder, 'entry')), await linuxKernel.exists(join(path, 'x')), await linuxKernel.exists(join(folder, 'none'))]).toEqual([true, false, false]);
      await linuxKernel.removeFolder(join(folder, 'entry'));
      expect(await linuxKernel.exists(join(folder, 'entry'))).toBe(false);
      expect(linuxKernel.release()).not.toBe('');
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

const ccel = sharedFolder('ccel');
(ccel === null ? it.skip : it)(`checkCcelTable: a real table${ccel === null ? ' (skipped: no third-party vectors here)' : ''}`, () => {
  expect(checkCcelTable(new Uint8Array(readFileSync(new URL('google-cos113.ccel_table.bin', ccel ?? ''))))).toBe(262_144);
});
