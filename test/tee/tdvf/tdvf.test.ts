// TDX metadata of firmware: what is read, what is refused, and that every part of it and every measured byte is in MRTD.
import { createHash } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { toHex } from '../../../src/core/bytes.ts';
import { guidBytes } from '../../../src/tee/firmware-table.ts';
import { mrtdOf } from '../../../src/tee/tdvf/mrtd.ts';
import { parseTdvf } from '../../../src/tee/tdvf/parse-tdvf.ts';
import { acceptedOrRefused, expectRefusal } from '../expect-error.ts';

const IMAGE_BYTES = 16_384;
const METADATA_AT = 8192;

interface Section { offset?: number; size?: number; address?: bigint; memory?: bigint; kind?: number; attributes?: number }

/** Not with the metadata in it, so that changes of the metadata show by what they mean. */
const BFV: Section = { offset: 4096, size: 4096, address: 0xffff_d000n, memory: 0x1000n, attributes: 1 };
const CFV: Section = { offset: 0, size: 4096, address: 0xffff_c000n, memory: 0x1000n, kind: 1 };
const HOB: Section = { address: 0x80_9000n, memory: 0x2000n, kind: 2 };
const TEMP: Section = { address: 0x81_0000n, memory: 0x1000n, kind: 3 };

const u32 = (...values: number[]): Buffer => Buffer.concat(values.map((value) => { const bytes = Buffer.alloc(4); bytes.writeUInt32LE(value); return bytes; }));
const u64 = (...values: bigint[]): Buffer => Buffer.concat(values.map((value) => { const bytes = Buffer.alloc(8); bytes.writeBigUInt64LE(value); return bytes; }));

function firmware(sections: readonly Section[] = [BFV, CFV, HOB, TEMP], header: { signature?: string; length?: number; version?: number; count?: number; offset?: number; entry?: Buffer } = {}): Buffer {
  const { signature = 'TDVF', length = 16 + 32 * sections.length, version = 1, count = sections.length, offset = IMAGE_BYTES - METADATA_AT } = header;
  const image = Buffer.from(Array.from({ length: IMAGE_BYTES }, (_, index) => index * 7 + (index >> 8)));
  const written = sections.map(({ offset: at = 0, size = 0, address = 0n, memory = 0x1000n, kind = 0, attributes = 0 }) => Buffer.concat([u32(at, size), u64(address, memory), u32(kind, attributes)]));
  Buffer.concat([Buffer.from(signature), u32(length, version, count), ...written]).copy(image, METADATA_AT);
  const entry = (guid: string, data: Buffer, size = data.length + 18): Buffer => Buffer.concat([data, Buffer.from([size & 255, size >> 8]), guidBytes(guid)]);
  const table = entry('e47a6535-984a-4798-865e-4685a7bf8ec2', header.entry ?? u32(offset));
  Buffer.concat([table, entry('96b582de-1fb2-45f7-baea-a366c55a082d', Buffer.alloc(0), table.length + 18)]).copy(image, IMAGE_BYTES - 32 - table.length - 18);
  return image;
}

const mrtd = (image: Uint8Array): string => toHex(mrtdOf(parseTdvf(image)));

describe('parseTdvf', () => {
  it('parseTdvf: sections in their order, with their content', () => {
    const image = firmware();
    const { sections } = parseTdvf(image);
    expect(sections.map(({ kind, address, pages, extended, added, content }) => [kind, address, pages, extended, added, content.length])).toEqual([
      ['bfv', 0xffff_d000n, 1, true, true, 4096], ['cfv', 0xffff_c000n, 1, false, true, 4096], ['tdHob', 0x80_9000n, 2, false, true, 0], ['tempMem', 0x81_0000n, 1, false, true, 0],
    ]);
    expect(toHex(sections[0]?.content ?? new Uint8Array())).toBe(toHex(image.subarray(4096, 8192)));
  });

  it.each<[string, Buffer, RegExp]>([
    ['no image', Buffer.alloc(0), /0 bytes, expected whole pages/], ['half a page', firmware().subarray(2048), /expected whole pages/], ['no table', Buffer.alloc(4096), /no table of GUIDs/],
    ['another signature', firmware(undefined, { signature: 'TDVG' }), /expected "TDVF"/], ['version 2', firmware(undefined, { version: 2 }), /version 2/], ['a length that does not add up', firmware(undefined, { length: 17 }), /in 17 bytes/],
    ['65 sections', firmware(undefined, { count: 65, length: 16 + 65 * 32 }), /65 sections/], ['more sections than there are bytes', firmware(undefined, { count: 60, length: 16 + 60 * 32, offset: 64 }), /expected "TDVF"|needs/],
    ['an offset before the image', firmware(undefined, { offset: IMAGE_BYTES + 1 }), /bytes before its end/], ['an entry without offset', firmware(undefined, { entry: Buffer.alloc(2) }), /needs 4 bytes/],
    ['a kind of another host', firmware([BFV, { ...TEMP, kind: 5 }]), /kind 5/], ['half a page of memory', firmware([{ ...BFV, memory: 0x1800n, size: 0x1800 }]), /expected whole pages/], ['an address inside a page', firmware([{ ...BFV, address: 0xffff_d800n }]), /expected whole pages/],
    ['no memory', firmware([BFV, { ...TEMP, memory: 0n }]), /expected whole pages/], ['2^52 and more', firmware([BFV, { ...TEMP, address: 2n ** 52n }]), /expected whole pages/], ['2^63 bytes', firmware([BFV, { ...TEMP, memory: 2n ** 63n }]), /expected whole pages/],
    ['too many pages', firmware([BFV, { ...TEMP, memory: 0x300_0000n }, { ...HOB, memory: 0x300_0000n, address: 0x4000_0000n }]), /24577 pages, expected at most 16384/], ['an unknown attribute', firmware([{ ...BFV, attributes: 5 }]), /attributes 0x5/],
    ['content beyond the image', firmware([{ ...BFV, offset: 12_289 }]), /beyond the image/], ['a volume shorter than its memory', firmware([{ ...BFV, size: 2048 }]), /2048 bytes of content, expected 4096/], ['content of zeros', firmware([BFV, { ...TEMP, size: 4096 }]), /expected 0/],
    ['measured and added later', firmware([{ ...BFV, attributes: 3 }]), /one or the other/], ['what the host writes, measured', firmware([BFV, { ...HOB, attributes: 1 }]), /depends on the host/],
    ['code that is not measured', firmware([{ ...BFV, attributes: 0 }]), /measures no boot/], ['nothing', firmware([]), /measures no boot/], ['two sections in one place', firmware([BFV, { ...CFV, address: 0xffff_d000n }]), /two sections at 0xffffd000/],
  ])('parseTdvf: refuses %s', (_, image, message) => { expectRefusal(() => parseTdvf(image), 'E_EVIDENCE_MALFORMED', message); });

  it('parseTdvf: any changed bytes are read or refused', () => {
    const image = firmware();
    fc.assert(fc.property(fc.array(fc.tuple(fc.oneof(fc.nat(IMAGE_BYTES - 1), fc.integer({ min: METADATA_AT, max: METADATA_AT + 150 }), fc.integer({ min: IMAGE_BYTES - 100, max: IMAGE_BYTES - 1 })), fc.nat(255)), { minLength: 1, maxLength: 6 }), (changes) => {
      const copy = Buffer.from(image);
      for (const [at, value] of changes) copy[at] = value;
      acceptedOrRefused(() => mrtdOf(parseTdvf(copy)));
    }), { numRuns: 300 });
  });
});

describe('mrtdOf', () => {
  it('mrtdOf: the record of one page that is added, byte by byte', () => {
    const { sections } = parseTdvf(firmware([BFV, TEMP]));
    const [, temp] = sections;
    const record = Buffer.concat([Buffer.from('MEM.PAGE.ADD'), Buffer.alloc(4), Buffer.from('0000810000000000', 'hex'), Buffer.alloc(104)]);
    expect(record.length).toBe(128);
    expect(toHex(mrtdOf({ sections: temp === undefined ? [] : [temp] }))).toBe(createHash('sha384').update(record).digest('hex'));
    expect(toHex(mrtdOf({ sections: [] }))).toBe(createHash('sha384').digest('hex'));
  });

  it('mrtdOf: measured memory of zeros is measured as zeros; memory that is added later is not', () => {
    const zeros = parseTdvf(firmware([BFV, { ...TEMP, attributes: 1 }])).sections.slice(1);
    const hash = createHash('sha384').update(Buffer.concat([Buffer.from('MEM.PAGE.ADD'), Buffer.alloc(4), u64(0x81_0000n), Buffer.alloc(104)]));
    for (let chunk = 0n; chunk < 16n; chunk += 1n) hash.update(Buffer.concat([Buffer.from('MR.EXTEND'), Buffer.alloc(7), u64(0x81_0000n + 256n * chunk), Buffer.alloc(104 + 256)]));
    expect(toHex(mrtdOf({ sections: zeros }))).toBe(hash.digest('hex'));
    expect(mrtd(firmware([BFV, { ...TEMP, kind: 4, attributes: 2 }]))).toBe(mrtd(firmware([BFV])));
  });

  it('mrtdOf: every measured byte, section and their order are in it; what is not measured is not', () => {
    const image = firmware();
    const before = mrtd(image);
    const changed = (at: number): string => {
      const copy = Buffer.from(image);
      copy[at] = (copy[at] ?? 0) ^ 1;
      return mrtd(copy);
    };
    for (let at = 4096; at < 8192; at += 127) expect(changed(at)).not.toBe(before);
    for (const at of [0, 100, 4095]) expect(changed(at)).toBe(before);
    const others = [[CFV, BFV, HOB, TEMP], [BFV, CFV, HOB], [BFV, { ...CFV, attributes: 1 }, HOB, TEMP], [BFV, CFV, HOB, { ...TEMP, address: 0x82_0000n }], [{ ...BFV, address: 0xffff_e000n }, CFV, HOB, TEMP]].map((sections) => mrtd(firmware(sections)));
    expect(new Set([before, ...others]).size).toBe(6);
    // One page is added and measured in one order only.
    expect(toHex(mrtdOf(parseTdvf(image), 'section'))).toBe(before);
    const two = parseTdvf(firmware([{ ...BFV, size: 8192, memory: 0x2000n }]));
    expect(toHex(mrtdOf(two, 'section'))).not.toBe(toHex(mrtdOf(two, 'page')));
  });
});
