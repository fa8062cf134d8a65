// What an SNP launch measures of OVMF firmware, found through the table of GUIDs at its end (edk2, OvmfPkg/ResetVector): the
// entry point of further vCPUs, the page for kernel hashes, the SEV metadata sections. Refuses images without them, tables
// that do not add up, and sections that are not whole pages.
import { ByteReader } from '../dcap/byte-reader.ts';
import { guidBytes, MAX_MEASURED_PAGES, PAGE_BYTES, readFirmwareTable } from '../firmware-table.ts';
import { malformed } from '../refusal.ts';

const MAX_SECTIONS = 64;
const MAX_BYTES = MAX_MEASURED_PAGES * PAGE_BYTES;

const GUID = {
  sevMetadata: guidBytes('dc886566-984a-4798-a75e-5585a7bf67cc'), resetBlock: guidBytes('00f771de-1a7e-4fcb-890e-68c77e2fb44e'),
  hashTable: guidBytes('7255371f-3a3b-4b04-927b-1da6efa8d454'),
} as const;

const SECTION = { zero: 1, secrets: 2, cpuid: 3, svsmCallingArea: 4, kernelHashes: 0x10 } as const;
export type SectionKind = keyof typeof SECTION;

export interface OvmfSection {
  readonly kind: SectionKind;
  /** Guest-physical address and size: whole pages. */
  readonly address: number;
  readonly bytes: number;
}

export interface Ovmf {
  readonly image: Uint8Array;
  /** In the order in which they are measured. */
  readonly sections: readonly OvmfSection[];
  /** Where vCPUs other than the first start. */
  readonly resetAddress: number;
  /** Address of the table of kernel hashes; null where the firmware does not check them. */
  readonly hashTableAddress: number | null;
}

/** Parses a firmware image (raw, as mapped below 4 GiB). Throws AttestationError E_EVIDENCE_MALFORMED. */
export function parseOvmf(image: Uint8Array): Ovmf {
  const { find } = readFirmwareTable(image);
  const reset = find(GUID.resetBlock);
  const metadata = find(GUID.sevMetadata);
  if (reset === undefined || metadata === undefined) throw malformed('the firmware has no SEV metadata, expected one that is built for SEV-SNP');
  const hashes = find(GUID.hashTable);
  return {
    image, sections: readSections(image, u32(metadata, 'offset of the SEV metadata')), resetAddress: u32(reset, 'reset block'),
    hashTableAddress: hashes === undefined ? null : u32(hashes, 'hash table') || null,
  };
}

const u32 = (bytes: Uint8Array, what: string): number => new ByteReader(bytes, what).u32(what);

/** `ASEV`, size, version 1, count; then address, size and kind of each section. */
function readSections(image: Uint8Array, offset: number): OvmfSection[] {
  if (offset > image.length) throw malformed(`the SEV metadata of the firmware stands ${offset} bytes before its end`);
  const reader = new ByteReader(image.subarray(image.length - offset), 'the SEV metadata');
  const signature = Buffer.from(reader.bytes(4, 'signature')).toString('latin1');
  const size = reader.u32('size');
  const version = reader.u32('version');
  const count = reader.u32('count');
  if (signature !== 'ASEV' || version !== 1 || count > MAX_SECTIONS || size !== 16 + 12 * count) {
    throw malformed(`the SEV metadata of the firmware has ${count} sections in ${size} bytes of version ${version}`);
  }
  const sections = Array.from({ length: count }, () => readSection(reader));
  const total = sections.reduce((sum, { bytes }) => sum + bytes, 0);
  if (total > MAX_BYTES) throw malformed(`the SEV metadata of the firmware has ${total} bytes of pages, expected at most ${MAX_BYTES}`);
  return sections;
}

function readSection(reader: ByteReader): OvmfSection {
  const address = reader.u32('address');
  const bytes = reader.u32('size');
  const code = reader.u32('kind');
  const kind = (Object.keys(SECTION) as SectionKind[]).find((name) => SECTION[name] === code);
  if (kind === undefined || address % PAGE_BYTES !== 0 || bytes % PAGE_BYTES !== 0 || bytes === 0 || bytes > MAX_BYTES) {
    throw malformed(`a section of the firmware has the kind ${code} and ${bytes} bytes at 0x${address.toString(16)}, expected a known kind and whole pages`);
  }
  return { kind, address, bytes };
}
