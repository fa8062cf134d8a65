// `attest measure`: what it prints is what the measuring code gives for the files it was given, and the image hash of it.
import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { toHex } from '../../src/core/bytes.ts';
import { main } from '../../src/main.ts';
import { sevImageHash } from '../../src/tee/image-hash.ts';
import { snpFirmwareDigest, snpLaunchDigest, VCPU_SIGNATURES } from '../../src/tee/snp/measure.ts';
import { guidBytes } from '../../src/tee/firmware-table.ts';
import { parseOvmf } from '../../src/tee/snp/ovmf.ts';
import { fakeContext } from '../fakes/context.ts';

const u16 = (value: number): Buffer => Buffer.from([value & 255, value >> 8]);
const u32 = (...values: number[]): Buffer => Buffer.concat(values.map((value) => { const bytes = Buffer.alloc(4); bytes.writeUInt32LE(value); return bytes; }));
const sha384 = (...parts: Uint8Array[]): Buffer => createHash('sha384').update(Buffer.concat(parts)).digest();

/** Two pages with metadata for one zero page and one of kernel hashes. */
function firmware(): Buffer {
  const entry = (guid: string, data: Buffer, size = data.length + 18): Buffer => Buffer.concat([data, u16(size), guidBytes(guid)]);
  const image = Buffer.alloc(8192, 0xee);
  Buffer.concat([Buffer.from('ASEV'), u32(40, 1, 2, 0x80_0000, 0x1000, 1, 0x80_f000, 0x1000, 0x10)]).copy(image, 4096);
  const table = Buffer.concat([
    entry('7255371f-3a3b-4b04-927b-1da6efa8d454', u32(0x80_fc00, 0x400)), entry('dc886566-984a-4798-a75e-5585a7bf67cc', u32(4096)), entry('00f771de-1a7e-4fcb-890e-68c77e2fb44e', u32(0x80_b004)),
  ]);
  Buffer.concat([table, entry('96b582de-1fb2-45f7-baea-a366c55a082d', Buffer.alloc(0), table.length + 18)]).copy(image, 8192 - 32 - table.length - 18);
  return image;
}

/** Three pages of code that are measured, a page of variables, two of zeros and one for the host, as a TDVF image. */
function tdxFirmware(): Buffer {
  const image = Buffer.alloc(16_384, 0x5a);
  const u64 = (value: bigint): Buffer => { const bytes = Buffer.alloc(8); bytes.writeBigUInt64LE(value); return bytes; };
  const section = (offset: number, size: number, address: bigint, memory: bigint, kind: number, attributes: number): Buffer => Buffer.concat([u32(offset, size), u64(address), u64(memory), u32(kind, attributes)]);
  const sections = [section(4096, 12_288, 0xffff_d000n, 0x3000n, 0, 1), section(0, 4096, 0xffff_c000n, 0x1000n, 1, 0), section(0, 0, 0x81_0000n, 0x2000n, 3, 0), section(0, 0, 0x80_9000n, 0x1000n, 2, 0)];
  Buffer.concat([Buffer.from('TDVF'), u32(16 + 32 * sections.length, 1, sections.length), ...sections]).copy(image, 8192);
  const entry = (guid: string, data: Buffer, size = data.length + 18): Buffer => Buffer.concat([data, u16(size), guidBytes(guid)]);
  const table = entry('e47a6535-984a-4798-865e-4685a7bf8ec2', u32(8192));
  Buffer.concat([table, entry('96b582de-1fb2-45f7-baea-a366c55a082d', Buffer.alloc(0), table.length + 18)]).copy(image, image.length - 32 - table.length - 18);
  return image;
}

/** What a host does with that image, written down call by call. */
function replayedMrtd(image: Buffer, bySection: boolean): string {
  const hash = createHash('sha384');
  const call = (name: string, address: number): void => {
    const bytes = Buffer.alloc(128);
    Buffer.from(name).copy(bytes);
    bytes.writeUInt32LE(address, 16);
    hash.update(bytes);
  };
  const extend = (address: number): void => {
    for (let chunk = 0; chunk < 16; chunk += 1) {
      call('MR.EXTEND', address + 256 * chunk);
      // The image ends at 4 GiB.
      const at = address - 0xffff_c000 + 256 * chunk;
      hash.update(image.subarray(at, at + 256));
    }
  };
  const code = [0xffff_d000, 0xffff_e000, 0xffff_f000];
  if (bySection) {
    for (const page of code) call('MEM.PAGE.ADD', page);
    for (const page of code) extend(page);
  } else {
    for (const page of code) {
      call('MEM.PAGE.ADD', page);
      extend(page);
    }
  }
  for (const page of [0xffff_c000, 0x81_0000, 0x81_1000, 0x80_9000]) call('MEM.PAGE.ADD', page);
  return hash.digest('hex');
}

/** A log with one event for RTMR1. */
function eventLog(digest: Uint8Array): Buffer {
  const spec = Buffer.concat([Buffer.from('Spec ID Event03\0', 'latin1'), Buffer.alloc(8), u32(1), u16(12), u16(48), Uint8Array.of(0)]);
  return Buffer.concat([u32(1), u32(3), Buffer.alloc(20), u32(spec.length), spec, u32(2), u32(4), u32(1), u16(12), digest, u32(0)]);
}

let home = '';
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'cocoon-measure-'));
  await writeFile(join(home, 'ovmf.fd'), firmware());
  await writeFile(join(home, 'kernel'), 'kernel');
  await writeFile(join(home, 'initrd'), 'initrd');
  await writeFile(join(home, 'tdvf.fd'), tdxFirmware());
  await writeFile(join(home, 'ccel'), eventLog(sha384(Buffer.from('shim'))));
});
afterAll(async () => { await rm(home, { recursive: true }); });

async function measure(...argv: string[]): Promise<{ exit: number; data: Record<string, unknown>; warnings: string[]; code: string | null }> {
  const { context, stdout } = fakeContext({ home });
  const exit = await main(['--json', 'attest', 'measure', ...argv], context);
  const { data, warnings, error } = JSON.parse(stdout()) as { data: Record<string, unknown>; warnings: string[]; error: { code: string } | null };
  return { exit, data, warnings, code: error?.code ?? null };
}

describe('attest measure snp', () => {
  const launch = { firmware: parseOvmf(firmware()), firmwareDigest: snpFirmwareDigest(firmware()), vcpus: 4, vcpuSignature: VCPU_SIGNATURES['EPYC-Genoa'] ?? 0 };
  const flags = ['snp', '--firmware', 'ovmf.fd', '--vcpus', '4', '--cpu', 'EPYC-Genoa'];

  it('firmware and vCPUs, with a warning that the kernel is open', async () => {
    const measurement = snpLaunchDigest({ ...launch, boot: null });
    const { exit, data, warnings } = await measure(...flags);
    expect([exit, data, warnings.length]).toEqual([0, { kind: 'snp', kernelHashes: false, measurement: toHex(measurement), imageHash: toHex(sevImageHash(measurement)) }, 1]);
  });

  it('kernel, initrd and command line; features and FPU state of the host', async () => {
    const boot = { kernel: Buffer.from('kernel'), initrd: Buffer.from('initrd'), commandLine: 'quiet' };
    const measurement = snpLaunchDigest({ ...launch, boot, guestFeatures: 0x21n, fpuReset: false });
    const { data, warnings } = await measure(...flags, '--kernel', 'kernel', '--initrd', 'initrd', '--cmdline', 'quiet', '--guest-features', '0x21', '--zero-fpu');
    expect([data['measurement'], data['kernelHashes'], warnings]).toEqual([toHex(measurement), true, []]);
  });

  it.each([[['snp']], [['snp', '--firmware', 'ovmf.fd']], [[...flags, '--initrd', 'initrd']], [[...flags, '--event-log', 'ccel']], [['sgx']], [['tdx']], [['tdx', '--event-log', 'ccel', '--vcpus', '1']], [['tdx', '--mr-td', '00']],
    [['tdx', '--mr-td', '00'.repeat(48)]], [['tdx', '--firmware', 'tdvf.fd', '--mr-td', '00'.repeat(48)]], [['tdx', '--event-log', 'ccel', '--measure-order', 'page']], [['tdx', '--firmware', 'tdvf.fd', '--measure-order', 'x']], [[...flags, '--measure-order', 'page']]])('misuse: %j', async (argv) => {
    expect(await measure(...argv)).toMatchObject({ exit: 2, code: 'E_USAGE' });
  });

  it('what is no firmware or log is refused', async () => {
    expect((await measure(...flags.map((flag) => (flag === 'ovmf.fd' ? 'kernel' : flag)))).exit).toBe(5);
    expect((await measure('tdx', '--event-log', 'kernel')).exit).toBe(5);
    expect((await measure('tdx', '--firmware', 'kernel')).exit).toBe(5);
    expect((await measure('tdx', '--firmware', 'ovmf.fd')).exit).toBe(5);
  });
});

describe('attest measure tdx', () => {
  const zero = Buffer.alloc(48);
  const rtmr1 = sha384(zero, sha384(Buffer.from('shim')));

  it('registers of an event log, and with MRTD the image hash', async () => {
    const mrTd = Buffer.alloc(48, 7);
    const owner = Buffer.alloc(48, 9);
    expect((await measure('tdx', '--event-log', 'ccel')).data).toEqual({ kind: 'tdx', mrTd: null, events: 1, rtmr0: toHex(zero), rtmr1: toHex(rtmr1), rtmr2: toHex(zero), rtmr3: toHex(zero), imageHash: null });
    const hash = createHash('sha256').update(Buffer.concat([mrTd, zero, owner, zero, zero, rtmr1, zero, zero, Buffer.alloc(64)])).digest('hex');
    expect((await measure('tdx', '--event-log', 'ccel', '--mr-td', toHex(mrTd), '--mr-owner', toHex(owner))).data['imageHash']).toBe(hash);
  });

  it('MRTD of firmware as a host adds and measures it, page by page or section by section', async () => {
    const image = tdxFirmware();
    const none = { kind: 'tdx', events: null, rtmr0: null, rtmr1: null, rtmr2: null, rtmr3: null, imageHash: null };
    expect((await measure('tdx', '--firmware', 'tdvf.fd')).data).toEqual({ ...none, mrTd: replayedMrtd(image, false) });
    expect((await measure('tdx', '--firmware', 'tdvf.fd', '--measure-order', 'section')).data).toEqual({ ...none, mrTd: replayedMrtd(image, true) });
  });

  it('firmware and event log together give the image hash that a network lists', async () => {
    const mrTd = Buffer.from(replayedMrtd(tdxFirmware(), false), 'hex');
    const hash = createHash('sha256').update(Buffer.concat([mrTd, zero, zero, zero, zero, rtmr1, zero, zero, Buffer.alloc(64)])).digest('hex');
    expect((await measure('tdx', '--firmware', 'tdvf.fd', '--event-log', 'ccel')).data).toMatchObject({ mrTd: toHex(mrTd), rtmr1: toHex(rtmr1), imageHash: hash });
  });

  it('for people: one line a register', async () => {
    const { context, stdout } = fakeContext({ home });
    expect(await main(['attest', 'measure', 'tdx', '--firmware', 'tdvf.fd', '--event-log', 'ccel'], context)).toBe(0);
    expect(stdout().split('\n').map((line) => line.split(/ +/)[0])).toEqual(['MRTD', 'RTMR0', 'RTMR1', 'RTMR2', 'RTMR3', 'image', '']);
  });
});
