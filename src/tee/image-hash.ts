// Image hashes as the root contract lists them (WIRE.md section 4, WIRE-2026-04.md section 7.3): SHA-256 over the
// measurements followed by 64 zero bytes in place of the report data. Also the hashes that say "nothing was measured",
// which are never accepted and never listed.
import { createHash } from 'node:crypto';
import { toHex } from '../core/bytes.ts';
import { REPORT_DATA_BYTES } from './report-data.ts';

export const IMAGE_HASH_BYTES = 32;
/** TDX registers, the SEV-SNP launch digest and simulated measurements are all SHA-384 values. */
export const MEASUREMENT_BYTES = 48;

const SIMULATED_TAG = Buffer.from('cocoon-simulated', 'latin1');

/** The registers that a TDX image hash covers, 48 bytes each, named and ordered as in the AttestedPeerInfo frame (WIRE.md section 6). */
export interface TdxMeasurements {
  readonly mrTd: Uint8Array;
  readonly mrConfigId: Uint8Array;
  readonly mrOwner: Uint8Array;
  readonly mrOwnerConfig: Uint8Array;
  readonly rtmr0: Uint8Array;
  readonly rtmr1: Uint8Array;
  readonly rtmr2: Uint8Array;
  readonly rtmr3: Uint8Array;
}

/** SHA-256 of 448 bytes: eight registers and 64 zero bytes. Throws RangeError unless each register has 48 bytes. */
export function tdxImageHash(measured: TdxMeasurements): Uint8Array {
  const { mrTd, mrConfigId, mrOwner, mrOwnerConfig, rtmr0, rtmr1, rtmr2, rtmr3 } = measured;
  return hashOf([mrTd, mrConfigId, mrOwner, mrOwnerConfig, rtmr0, rtmr1, rtmr2, rtmr3]);
}

/** SHA-256 of 112 bytes: the SEV-SNP launch digest of 48 bytes and 64 zero bytes. */
export function sevImageHash(measurement: Uint8Array): Uint8Array {
  return hashOf([measurement]);
}

/** SHA-256 of 128 bytes: "cocoon-simulated", a simulated measurement of 48 bytes and 64 zero bytes. */
export function simulatedImageHash(measurement: Uint8Array): Uint8Array {
  return hashOf([measurement], SIMULATED_TAG);
}

function hashOf(registers: readonly Uint8Array[], tag: Uint8Array = new Uint8Array(0)): Uint8Array {
  for (const register of registers) {
    if (register.length !== MEASUREMENT_BYTES) throw new RangeError(`expected a measurement of ${MEASUREMENT_BYTES} bytes, got ${register.length}`);
  }
  const hash = createHash('sha256').update(tag);
  for (const register of registers) hash.update(register);
  return new Uint8Array(hash.update(new Uint8Array(REPORT_DATA_BYTES)).digest());
}

/** What each hash of nothing stands for, by its hexadecimal text. */
export const FORBIDDEN_IMAGE_HASHES: ReadonlyMap<string, string> = new Map([
  ['00'.repeat(32), 'no attestation: 32 zero bytes'],
  ['5c55c8f4db4010ba9203d83536d0609856af8c847ac039e37e7dde8fbd574b61', 'an all-zero TDX report: no attestation, or the fake one of the C++ test mode'],
  ['b5fdab78d8947eacc864bfeecb4d2100780e5afe1cd8efafb124887913ac49fa', 'an all-zero SEV-SNP report: no attestation, or a fake one'],
  ['2ea9ab9198d1638007400cd2c3bef1cc745b864b76011a0e1bc52180ac6452d4', 'an all-zero SGX report'],
  ['2bd5190c01c64a4e5380954f667dac808149368d722fb91f621d0be5ccd9701c', 'simulated evidence with an all-zero measurement'],
]);

/** True for a hash that says that nothing was measured. */
export const isForbiddenImageHash = (imageHash: Uint8Array): boolean => FORBIDDEN_IMAGE_HASHES.has(toHex(imageHash));
