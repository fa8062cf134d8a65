// The table of GUIDs at the end of OVMF firmware (edk2, OvmfPkg/ResetVector): where SEV and TDX find what they need of an
// image. Refuses images that are not whole pages, and tables that do not add up.
import { equalBytes } from '../core/bytes.ts';
import { ByteReader } from './dcap/byte-reader.ts';
import { malformed } from './refusal.ts';

export const PAGE_BYTES = 4096;
export const MAX_FIRMWARE_BYTES = 16 * 1024 * 1024;
/** Pages that the metadata of one image may name, all sections together; what edk2 builds has about a thousand. */
export const MAX_MEASURED_PAGES = 16_384;
/** The table ends this far before the end of the image. */
const TABLE_GAP = 32;
const GUID_BYTES = 16;
/** Size and GUID behind the data of each entry. */
const ENTRY_BYTES = 2 + GUID_BYTES;

/** The mixed-endian bytes of a GUID's text. */
export function guidBytes(text: string): Uint8Array {
  const bytes = Buffer.from(text.replaceAll('-', ''), 'hex');
  bytes.subarray(0, 4).reverse();
  bytes.subarray(4, 6).reverse();
  bytes.subarray(6, 8).reverse();
  return bytes;
}

const FOOTER = guidBytes('96b582de-1fb2-45f7-baea-a366c55a082d');

export interface FirmwareTable {
  /** The data of an entry, by the 16 bytes of its GUID. */
  find(guid: Uint8Array): Uint8Array | undefined;
}

/** Reads the table of an image (raw, as mapped below 4 GiB). Throws AttestationError E_EVIDENCE_MALFORMED. */
export function readFirmwareTable(image: Uint8Array): FirmwareTable {
  if (image.length === 0 || image.length % PAGE_BYTES !== 0 || image.length > MAX_FIRMWARE_BYTES) {
    throw malformed(`the firmware has ${image.length} bytes, expected whole pages of ${PAGE_BYTES} and at most ${MAX_FIRMWARE_BYTES}`);
  }
  const entries = readEntries(image);
  return { find: (guid) => entries.find((entry) => equalBytes(entry.guid, guid))?.data };
}

/** Entries from the last to the first: data, size of the whole entry, GUID. */
function readEntries(image: Uint8Array): { guid: Uint8Array; data: Uint8Array }[] {
  const end = image.length - TABLE_GAP;
  const footer = readEntry(image, end);
  if (!equalBytes(footer.guid, FOOTER)) throw malformed('the firmware has no table of GUIDs at its end');
  const start = end - footer.size;
  if (start < 0 || footer.size < ENTRY_BYTES) throw malformed(`the table of the firmware claims ${footer.size} bytes`);
  const entries: { guid: Uint8Array; data: Uint8Array }[] = [];
  for (let at = end - ENTRY_BYTES; at > start;) {
    const { guid, size } = readEntry(image, at);
    if (size < ENTRY_BYTES || at - size < start) throw malformed(`an entry in the table of the firmware claims ${size} bytes`);
    if (entries.some((entry) => equalBytes(entry.guid, guid))) throw malformed('the table of the firmware has an entry twice');
    entries.push({ guid, data: image.subarray(at - size, at - ENTRY_BYTES) });
    at -= size;
  }
  return entries;
}

function readEntry(image: Uint8Array, end: number): { guid: Uint8Array; size: number } {
  if (end < ENTRY_BYTES) throw malformed('the table of the firmware starts before the image');
  const reader = new ByteReader(image.subarray(end - ENTRY_BYTES, end), 'an entry of the firmware');
  const size = reader.u16('size');
  return { size, guid: reader.bytes(GUID_BYTES, 'GUID') };
}
