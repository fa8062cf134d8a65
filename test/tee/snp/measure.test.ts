// Launch digests: those that are published for an AmdSev build of OVMF (tests of the virtee project), continued from the
// published digest of its pages, and a small firmware of our own for the parser.
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { toHex } from '../../../src/core/bytes.ts';
import { VCPU_SIGNATURES, signatureOf, snpFirmwareDigest, snpLaunchDigest } from '../../../src/tee/snp/measure.ts';
import type { SnpLaunch } from '../../../src/tee/snp/measure.ts';
import { guidBytes } from '../../../src/tee/firmware-table.ts';
import { parseOvmf } from '../../../src/tee/snp/ovmf.ts';
import type { Ovmf } from '../../../src/tee/snp/ovmf.ts';
import { acceptedOrRefused, expectRefusal } from '../expect-error.ts';

const AMD_SEV: Omit<Ovmf, 'image'> = {
  sections: [
    { kind: 'zero', address: 0x80_0000, bytes: 0x9000 }, { kind: 'zero', address: 0x80_a000, bytes: 0x3000 }, { kind: 'secrets', address: 0x80_d000, bytes: 0x1000 },
    { kind: 'cpuid', address: 0x80_e000, bytes: 0x1000 }, { kind: 'kernelHashes', address: 0x80_f000, bytes: 0x1000 }, { kind: 'zero', address: 0x81_0000, bytes: 0x1_0000 },
  ],
  resetAddress: 0x80_b004, hashTableAddress: 0x80_fc00,
};
/** Later builds have a page for the calling area of an SVSM. */
const WITH_SVSM: Omit<Ovmf, 'image'> = {
  ...AMD_SEV, hashTableAddress: 0x81_0c00,
  sections: [
    ...AMD_SEV.sections.slice(0, 4), { kind: 'svsmCallingArea', address: 0x80_f000, bytes: 0x1000 }, { kind: 'kernelHashes', address: 0x81_0000, bytes: 0x1000 }, { kind: 'zero', address: 0x81_1000, bytes: 0xf000 },
  ],
};
const none = new Uint8Array();
const boot = (commandLine: string) => ({ kernel: none, initrd: none, commandLine });
const OLD = { start: 'edcf6d1c57ce868a167c990f58c8667c698269ef9e0803246419eea914186343054d557e1f17acd93b032c106bc70d25', firmware: AMD_SEV, fpuReset: false };
const NEW = { start: '086e2e9149ebf45abdc3445fba5b2da8270bdbb04094d7a2c37faaa4b24af3aa16aff8c374c2a55c467a50da6d466b74', firmware: WITH_SVSM, fpuReset: true };

describe('snpLaunchDigest', () => {
  it.each([
    [{ ...OLD, start: 'cab7e085874b3acfdbe2d96dcaa3125111f00c35c6fc9708464c2ae74bfdb048a198cb9a9ccae0b3e5e1a33f5f249819' }, boot(''), 1, 1n, 'db06fb267824b1ccb56edbe2a9c2ce88841bca5090dc6dac91d9cd30f3c2c0bf42daccb30d55d6625bfbf0dae5c50c6d'],
    [OLD, boot('console=ttyS0 loglevel=7'), 1, 1n, 'f07864303ad8243132029e8110b92805c78d1135a15da75f67abb9a711d78740347f24ee76f603e650ec4adf3611cc1e'],
    [OLD, null, 1, 1n, 'e5e6be5a8fa6256f0245666bb237e2d028b7928148ce78d51b8a64dc9506c377709a5b5d7ab75554593bced304fcff93'],
    [OLD, boot(''), 4, 1n, '1c784beb8c49aa604b7fd57fbc73b36ec53a3f5fb48a2b895ad6cc2ea15d18ee7cc15e3e57c792766b45f944c3e81cfe'],
    [NEW, boot(''), 1, 1n, 'ddc5224521617a536ee7ce9dd6224d1b58a8d4fda1c741f3ac99fc4bfa04ba6e9fc98646d4a07a9079397fa3852819b5'],
    [NEW, boot(''), 1, 0x21n, '329c8ce0972ae52343b64d34a434a86f245dfd74f5ed7aae15d22efc78fb9683632b9b50e4e1d7fa41179ef98a7ef198'],
    [NEW, boot('console=ttyS0 loglevel=7'), 1, 1n, '6d287813eb5222d770f75005c664e34c204f385ce832cc2ce7d0d6f354454362f390ef83a92046c042e706363b4b08fa'],
    [NEW, null, 1, 1n, '19358ba9a7615534a9a1e2f0dfc29384dcd4dcb7062ff9c6013b26869a5fc6ecabe033c48dd6f6db5d6d76e7c5df632d'],
    [NEW, null, 1, 0x21n, 'e1e1ca029dd7973ab9513295be68198472dcd4fc834bd9af9b63f6e8a1674dbf281a9278a4a2ebe0eed9f22adbcd0e2b'],
    [NEW, boot(''), 4, 1n, '5061fffb019493a903613d56d54b94912a1a2f9e4502385f5c194616753720a92441310ba6c4933de877c36e23046ad5'],
    [NEW, boot(''), 4, 0x21n, '4953b1fb416fa874980e8442b3706d345926d5f38879134e00813c5d7abcbe78eafe7b422907be0b4698e2414a631942'],
  ] as const)('snpLaunchDigest: published %#', ({ start, firmware, fpuReset }, kernel, vcpus, guestFeatures, digest) => {
    expect(toHex(snpLaunchDigest({
      firmware, firmwareDigest: Buffer.from(start, 'hex'), boot: kernel, vcpus, vcpuSignature: VCPU_SIGNATURES['EPYC'] ?? 0, guestFeatures, fpuReset,
    }))).toBe(digest);
  });

  it('snpLaunchDigest: every input changes it', () => {
    const launch: SnpLaunch = { firmware: AMD_SEV, firmwareDigest: new Uint8Array(48), boot: boot('a'), vcpus: 2, vcpuSignature: signatureOf(25, 17, 0) };
    const digests = [
      launch, { ...launch, vcpus: 3 }, { ...launch, vcpuSignature: signatureOf(25, 1, 1) }, { ...launch, guestFeatures: 3n }, { ...launch, fpuReset: false }, { ...launch, boot: null }, { ...launch, boot: boot('b') },
      { ...launch, boot: { ...boot('a'), kernel: Uint8Array.of(1) } }, { ...launch, boot: { ...boot('a'), initrd: Uint8Array.of(1) } }, { ...launch, firmwareDigest: new Uint8Array(48).fill(1) },
      { ...launch, firmware: { ...AMD_SEV, resetAddress: 0x80_b008 } }, { ...launch, firmware: { ...AMD_SEV, hashTableAddress: 0x80_f000 } }, { ...launch, firmware: { ...AMD_SEV, sections: AMD_SEV.sections.slice(0, 5) } },
    ].map((each) => toHex(snpLaunchDigest(each)));
    expect(new Set(digests).size).toBe(digests.length);
  });

  it('snpLaunchDigest: refuses what cannot be launched', () => {
    const launch: SnpLaunch = { firmware: AMD_SEV, firmwareDigest: new Uint8Array(48), boot: boot(''), vcpus: 1, vcpuSignature: 1 };
    for (const vcpus of [0, -1, 1.5, 1025, NaN]) expect(() => snpLaunchDigest({ ...launch, vcpus })).toThrow(RangeError);
    expect(() => snpLaunchDigest({ ...launch, firmwareDigest: new Uint8Array(32) })).toThrow(RangeError);
    expectRefusal(() => snpLaunchDigest({ ...launch, firmware: { ...AMD_SEV, hashTableAddress: null } }), 'E_EVIDENCE_MALFORMED', /kernel hashes/);
    expectRefusal(() => snpLaunchDigest({ ...launch, firmware: { ...AMD_SEV, sections: AMD_SEV.sections.slice(0, 4) } }), 'E_EVIDENCE_MALFORMED', /kernel hashes/);
    for (const hashTableAddress of [0x80_ffd0, 0x80_e000, 0x81_0000]) expectRefusal(() => snpLaunchDigest({ ...launch, firmware: { ...AMD_SEV, hashTableAddress } }), 'E_EVIDENCE_MALFORMED', /section/);
  });

  it('signatureOf: CPUID of EPYC processors', () => {
    expect([signatureOf(23, 1, 2), signatureOf(25, 1, 1), signatureOf(25, 17, 1), signatureOf(26, 2, 1)].map((signature) => signature.toString(16))).toEqual(['800f12', 'a00f11', 'a10f11', 'b00f21']);
  });
});

const u16 = (value: number): Buffer => { const bytes = Buffer.alloc(2); bytes.writeUInt16LE(value); return bytes; };
const u32 = (...values: number[]): Buffer => Buffer.concat(values.map((value) => { const bytes = Buffer.alloc(4); bytes.writeUInt32LE(value); return bytes; }));
const entry = (guid: string, data: Buffer, size = data.length + 18): Buffer => Buffer.concat([data, u16(size), guidBytes(guid)]);

/** Two pages with metadata in the first one and the table of GUIDs before the last 32 bytes. */
function firmware({ sections = [[0x80_0000, 0x1000, 1], [0x80_f000, 0x1000, 0x10]], metadata, entries }: { sections?: number[][]; metadata?: Buffer; entries?: Buffer[] } = {}): Buffer {
  const image = Buffer.alloc(8192, 0xee);
  (metadata ?? Buffer.concat([Buffer.from('ASEV'), u32(16 + 12 * sections.length, 1, sections.length), ...sections.map((section) => u32(...section))])).copy(image, 4096);
  const table = Buffer.concat(entries ?? [
    entry('7255371f-3a3b-4b04-927b-1da6efa8d454', u32(0x80_fc00, 0x400)), entry('dc886566-984a-4798-a75e-5585a7bf67cc', u32(4096)), entry('00f771de-1a7e-4fcb-890e-68c77e2fb44e', u32(0x80_b004)),
  ]);
  Buffer.concat([table, entry('96b582de-1fb2-45f7-baea-a366c55a082d', Buffer.alloc(0), table.length + 18)]).copy(image, 8192 - 32 - table.length - 18);
  return image;
}

describe('parseOvmf', () => {
  it('parseOvmf: finds sections, reset block and hash table', () => {
    expect(parseOvmf(firmware())).toMatchObject({
      sections: [{ kind: 'zero', address: 0x80_0000, bytes: 0x1000 }, { kind: 'kernelHashes', address: 0x80_f000, bytes: 0x1000 }], resetAddress: 0x80_b004, hashTableAddress: 0x80_fc00,
    });
    expect(toHex(snpFirmwareDigest(firmware()))).not.toBe(toHex(snpFirmwareDigest(Buffer.concat([firmware(), Buffer.alloc(4096)]))));
  });

  it.each([
    ['no page', Buffer.alloc(0)], ['half a page', Buffer.alloc(2048)], ['no table', Buffer.alloc(8192)], ['no SEV metadata', firmware({ entries: [] })], ['another signature', firmware({ metadata: Buffer.from('XSEV') })],
    ['metadata of version 2', firmware({ metadata: Buffer.concat([Buffer.from('ASEV'), u32(16, 2, 0)]) })], ['sections that do not add up', firmware({ metadata: Buffer.concat([Buffer.from('ASEV'), u32(16, 1, 1)]) })],
    ['an unknown section', firmware({ sections: [[0x80_0000, 0x1000, 9]] })], ['half a section', firmware({ sections: [[0x80_0000, 0x800, 1]] })], ['an empty section', firmware({ sections: [[0x80_0000, 0, 1]] })], ['a huge section', firmware({ sections: [[0, 0xffff_f000, 1]] })], ['sections of more than 64 MiB', firmware({ sections: [[0, 0x300_0000, 1], [0x400_0000, 0x300_0000, 1]] })],
    ['an entry twice', firmware({ entries: [entry('00f771de-1a7e-4fcb-890e-68c77e2fb44e', u32(1)), entry('00f771de-1a7e-4fcb-890e-68c77e2fb44e', u32(2))] })], ['an entry that is too large', firmware({ entries: [entry('00f771de-1a7e-4fcb-890e-68c77e2fb44e', u32(1), 99)] })],
    ['an entry without size', firmware({ entries: [entry('00f771de-1a7e-4fcb-890e-68c77e2fb44e', u32(1), 0)] })], ['metadata before the image', firmware({ entries: [entry('dc886566-984a-4798-a75e-5585a7bf67cc', u32(8193)), entry('00f771de-1a7e-4fcb-890e-68c77e2fb44e', u32(1))] })],
  ])('parseOvmf: refuses firmware with %s', (_, image) => { expectRefusal(() => parseOvmf(image), 'E_EVIDENCE_MALFORMED', /./); });

  it('parseOvmf: throws typed errors only', () => {
    const image = firmware();
    fc.assert(fc.property(fc.array(fc.tuple(fc.integer({ min: 4096, max: 8191 }), fc.nat(255)), { minLength: 1, maxLength: 6 }), (edits) => {
      const copy = Buffer.from(image);
      for (const [offset, value] of edits) copy[offset] = value;
      acceptedOrRefused(() => parseOvmf(copy));
    }), { numRuns: 500 });
  });
});
