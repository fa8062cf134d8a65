// MRTD, the measurement of a TD before it runs (Intel TDX Module Base Specification, "Measurement and Attestation"): SHA-384
// over one record of 128 bytes for each page that the host adds, and for each 256 bytes that it measures one record and the
// bytes themselves. It covers firmware only; what the firmware loads is in the RTMRs.
import { createHash } from 'node:crypto';
import { PAGE_BYTES } from '../firmware-table.ts';
import type { Tdvf, TdvfSection } from './parse-tdvf.ts';

const RECORD_BYTES = 128;
const ADDRESS_OFFSET = 16;
const CHUNK_BYTES = 256;

/**
 * `page`: each page is measured when it is added, as upstream KVM (KVM_TDX_INIT_MEM_REGION) does. `section`: a section's pages
 * are all added before they are measured, as hosts with the TDX patches from before Linux 6.16 may do.
 */
export type MeasureOrder = 'page' | 'section';
export const MEASURE_ORDERS = ['page', 'section'] as const satisfies readonly MeasureOrder[];

/** The 48 bytes of MRTD for parsed firmware. */
export function mrtdOf({ sections }: Tdvf, order: MeasureOrder = 'page'): Uint8Array {
  const replay = new Replay();
  for (const section of sections) {
    for (let page = 0; page < section.pages; page += 1) {
      replay.add(section, page);
      if (order === 'page') replay.extend(section, page);
    }
    for (let page = 0; order === 'section' && page < section.pages; page += 1) replay.extend(section, page);
  }
  return replay.digest();
}

const addressOf = ({ address }: TdvfSection, page: number): bigint => address + BigInt(page * PAGE_BYTES);
const ZEROS = new Uint8Array(CHUNK_BYTES);

/** What the TDX module hashes while a host builds a TD. */
class Replay {
  readonly #hash = createHash('sha384');
  readonly #record = Buffer.alloc(RECORD_BYTES);

  /** `TDH.MEM.PAGE.ADD` of one page. */
  add(section: TdvfSection, page: number): void {
    if (section.added) this.#call('MEM.PAGE.ADD', addressOf(section, page));
  }

  /** `TDH.MR.EXTEND` of one page, in chunks of 256 bytes. */
  extend(section: TdvfSection, page: number): void {
    if (!section.extended) return;
    for (let offset = 0; offset < PAGE_BYTES; offset += CHUNK_BYTES) {
      const start = page * PAGE_BYTES + offset;
      this.#call('MR.EXTEND', addressOf(section, page) + BigInt(offset));
      this.#hash.update(section.content.length === 0 ? ZEROS : section.content.subarray(start, start + CHUNK_BYTES));
    }
  }

  digest(): Uint8Array {
    return new Uint8Array(this.#hash.digest());
  }

  /** `name` in ASCII from byte 0, the guest-physical address little-endian at byte 16, zeros elsewhere. */
  #call(name: 'MEM.PAGE.ADD' | 'MR.EXTEND', address: bigint): void {
    this.#record.fill(0);
    this.#record.write(name, 'latin1');
    this.#record.writeBigUInt64LE(address, ADDRESS_OFFSET);
    this.#hash.update(this.#record);
  }
}
