// The event log of a TDX guest from ACPI (UEFI 2.10 section 38.4.2, table "CCEL"): the firmware's record of what it extended
// into the RTMRs, as raw bytes. Refuses a table of another kind, a wrong checksum and a log of another size than it states.
import { systemErrorCode } from '../../core/files.ts';
import { collectFailed, systemFailure } from './failure.ts';
import type { TeeKernel } from './kernel.ts';

export const CCEL_TABLE = '/sys/firmware/acpi/tables/CCEL';
export const CCEL_DATA = '/sys/firmware/acpi/tables/data/CCEL';

const TABLE_BYTES = 56;
const OFFSET = { length: 4, ccType: 36, logLength: 40 } as const;
const CC_TYPE_TDX = 2;
const MAX_LOG_BYTES = 1024 * 1024;

export interface CcelEventLog {
  /** The ACPI table, 56 bytes. */
  readonly table: Uint8Array;
  /** The log area with whatever follows the last event. */
  readonly log: Uint8Array;
}

/** The event log, or null where the firmware keeps none. Throws ConfigError E_COLLECT. */
export async function readCcel(kernel: TeeKernel): Promise<CcelEventLog | null> {
  const table = await readOrNull(kernel, CCEL_TABLE, TABLE_BYTES);
  if (table === null) return null;
  const stated = checkCcelTable(table);
  const log = await readOrNull(kernel, CCEL_DATA, MAX_LOG_BYTES);
  if (log === null) throw collectFailed(`the event log of the ACPI table CCEL is missing at ${CCEL_DATA}`);
  if (log.length !== stated) throw collectFailed(`the event log has ${log.length} bytes, expected the ${stated} that the ACPI table CCEL states`);
  return { table, log };
}

/** Length of the log that a table states. Throws ConfigError E_COLLECT. */
export function checkCcelTable(table: Uint8Array): number {
  const view = new DataView(table.buffer, table.byteOffset, table.byteLength);
  if (table.length !== TABLE_BYTES || Buffer.from(table.subarray(0, 4)).toString('latin1') !== 'CCEL' || view.getUint32(OFFSET.length, true) !== TABLE_BYTES) {
    throw collectFailed(`the ACPI table CCEL has ${table.length} bytes, expected ${TABLE_BYTES} that start with its name`);
  }
  if (table.reduce((sum, byte) => (sum + byte) % 256, 0) !== 0) throw collectFailed('the ACPI table CCEL has a wrong checksum');
  const type = view.getUint8(OFFSET.ccType);
  if (type !== CC_TYPE_TDX) throw collectFailed(`the ACPI table CCEL is for the TEE type ${type}, expected ${CC_TYPE_TDX} (TDX)`);
  const length = view.getBigUint64(OFFSET.logLength, true);
  if (length === 0n || length > BigInt(MAX_LOG_BYTES)) throw collectFailed(`the event log has ${length} bytes, expected 1 to ${MAX_LOG_BYTES}`);
  return Number(length);
}

async function readOrNull(kernel: TeeKernel, path: string, maxBytes: number): Promise<Uint8Array | null> {
  try {
    return await kernel.read(path, maxBytes);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return null;
    throw systemFailure(`reading ${path}`, error);
  }
}
