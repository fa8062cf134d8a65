// The TDX metadata of firmware (Intel TDX Virtual Firmware Design Guide, section 11; edk2, IntelTdxMetadata.asm): which parts
// of an image a host adds to a TD before it runs, where, and which of them are measured. Refuses other versions, kinds that
// hosts fill otherwise, sections that are not whole pages, overlap, or claim more than there is.
import { ByteReader } from '../dcap/byte-reader.ts';
import { guidBytes, MAX_MEASURED_PAGES, PAGE_BYTES, readFirmwareTable } from '../firmware-table.ts';
import { malformed } from '../refusal.ts';

const METADATA = guidBytes('e47a6535-984a-4798-865e-4685a7bf8ec2');
const SIGNATURE = 'TDVF';
const VERSION = 1;
const DESCRIPTOR_BYTES = 16;
const SECTION_BYTES = 32;
const MAX_SECTIONS = 64;
/** Guest-physical addresses have at most 52 bits. */
const END_OF_MEMORY = 2n ** 52n;
const ATTRIBUTE = { extend: 1, augment: 2 } as const;

/** Boot and configuration firmware volumes, the list of memory that the host writes, memory of zeros, memory added later. */
const KIND = { bfv: 0, cfv: 1, tdHob: 2, tempMem: 3, permMem: 4 } as const;
export type TdvfSectionKind = keyof typeof KIND;

export interface TdvfSection {
  readonly kind: TdvfSectionKind;
  /** What the pages hold; empty where they hold zeros or what the host writes. */
  readonly content: Uint8Array;
  /** Guest-physical address: a whole page. */
  readonly address: bigint;
  readonly pages: number;
  /** True: the content is measured. False: only that the pages were added. */
  readonly extended: boolean;
  /** False for memory that the guest accepts later, which is not measured at all. */
  readonly added: boolean;
}

export interface Tdvf {
  /** In the order in which a host adds them. */
  readonly sections: readonly TdvfSection[];
}

/** Parses a firmware image (variables and code together, as given to QEMU). Throws AttestationError E_EVIDENCE_MALFORMED. */
export function parseTdvf(image: Uint8Array): Tdvf {
  const entry = readFirmwareTable(image).find(METADATA);
  if (entry === undefined) throw malformed('the firmware has no TDX metadata, expected one that is built for TDX');
  const offset = new ByteReader(entry, 'the TDX entry of the firmware').u32('offset of the TDX metadata');
  if (offset > image.length) throw malformed(`the TDX metadata of the firmware stands ${offset} bytes before its end`);
  const reader = new ByteReader(image.subarray(image.length - offset), 'the TDX metadata');
  const signature = Buffer.from(reader.bytes(SIGNATURE.length, 'signature')).toString('latin1');
  const length = reader.u32('length');
  const version = reader.u32('version');
  const count = reader.u32('number of sections');
  if (signature !== SIGNATURE || version !== VERSION || count > MAX_SECTIONS || length !== DESCRIPTOR_BYTES + SECTION_BYTES * count) {
    throw malformed(`the TDX metadata of the firmware has ${count} sections in ${length} bytes of version ${version}, expected "${SIGNATURE}", version ${VERSION} and at most ${MAX_SECTIONS}`);
  }
  const sections = Array.from({ length: count }, () => readSection(reader, image));
  requireSound(sections);
  return { sections };
}

function readSection(reader: ByteReader, image: Uint8Array): TdvfSection {
  const dataOffset = reader.u32('data offset');
  const dataBytes = reader.u32('data size');
  const address = reader.u64('address');
  const bytes = reader.u64('size');
  const code = reader.u32('kind');
  const attributes = reader.u32('attributes');
  const kind = (Object.keys(KIND) as TdvfSectionKind[]).find((name) => KIND[name] === code);
  const page = BigInt(PAGE_BYTES);
  const where = `a TDX section of the firmware (kind ${code}, at 0x${address.toString(16)})`;
  if (kind === undefined) throw malformed(`${where} is of a kind that hosts fill in ways of their own, expected 0 to 4`);
  if (address % page !== 0n || bytes % page !== 0n || bytes === 0n || address + bytes > END_OF_MEMORY || bytes > BigInt(MAX_MEASURED_PAGES) * page) {
    throw malformed(`${where} has ${bytes} bytes, expected whole pages and at most ${MAX_MEASURED_PAGES} of them`);
  }
  if (attributes > (ATTRIBUTE.extend | ATTRIBUTE.augment)) throw malformed(`${where} has the attributes 0x${attributes.toString(16)}, expected 0 to 3`);
  if (dataOffset + dataBytes > image.length) throw malformed(`${where} has ${dataBytes} bytes of content at ${dataOffset}, beyond the image`);
  // Where a firmware volume is shorter than its memory, hosts differ in what they put behind it.
  const wanted = kind === 'bfv' || kind === 'cfv' ? bytes : 0n;
  if (BigInt(dataBytes) !== wanted) throw malformed(`${where} has ${dataBytes} bytes of content, expected ${wanted}`);
  const [extended, added] = [(attributes & ATTRIBUTE.extend) !== 0, (attributes & ATTRIBUTE.augment) === 0];
  if (extended && !added) throw malformed(`${where} is measured and added later, expected one or the other`);
  if (extended && kind === 'tdHob') throw malformed(`${where} is what the host writes and measured, so that its measurement depends on the host`);
  return { kind, content: image.subarray(dataOffset, dataOffset + dataBytes), address, pages: Number(bytes / page), extended, added };
}

/** A page is added once; firmware whose code is not measured says nothing about what runs. */
function requireSound(sections: readonly TdvfSection[]): void {
  const pages = sections.reduce((sum, section) => sum + section.pages, 0);
  if (pages > MAX_MEASURED_PAGES) throw malformed(`the TDX metadata of the firmware has ${pages} pages, expected at most ${MAX_MEASURED_PAGES}`);
  if (!sections.some(({ kind, extended }) => kind === 'bfv' && extended)) throw malformed('the TDX metadata of the firmware measures no boot firmware volume');
  const ordered = sections.toSorted((a, b) => (a.address < b.address ? -1 : 1));
  for (const [index, { address }] of ordered.entries()) {
    const before = ordered[index - 1];
    if (before !== undefined && before.address + BigInt(before.pages * PAGE_BYTES) > address) throw malformed(`the TDX metadata of the firmware has two sections at 0x${address.toString(16)}`);
  }
}
