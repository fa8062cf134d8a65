// Adds what verified evidence has measured to a policy, so that the policy accepts this image and no other unless it lists it.
import { toHex } from '../core/bytes.ts';
import { parseQuote } from './dcap/parse-quote.ts';
import type { CpuPart } from './evidence-file.ts';
import { sevImageHash, tdxImageHash } from './image-hash.ts';
import type { PolicyDocument } from './policy-fields.ts';
import { parseSnpReport } from './snp/parse-report.ts';

/** What was pinned: field of the policy and value. */
export interface Pin {
  readonly field: string;
  readonly value: string;
}

export interface Pinned {
  readonly document: PolicyDocument;
  readonly pin: Pin;
}

const adding = (list: readonly string[], value: string): string[] => (list.includes(value) ? [...list] : [...list, value]);

/**
 * The policy with the image hash (TDX, SEV-SNP) or MRENCLAVE (SGX) of `part` added, and `any_measurement` taken back for that
 * family. Null for evidence that measures nothing. Call it for verified evidence only.
 */
export function pinMeasurement(document: PolicyDocument, part: CpuPart): Pinned | null {
  if (part.kind === 'sev-snp') {
    return pinGuest(document, parseSnpReport(part.report).measurement);
  }
  if (part.kind !== 'dcap') return null;
  const { body } = parseQuote(part.quote);
  if (body.tee === 'tdx') {
    const value = toHex(tdxImageHash(body.report));
    return { pin: { field: 'tdx.image_hashes', value }, document: { ...document, tdx: { ...document.tdx, any_measurement: false, image_hashes: adding(document.tdx.image_hashes, value) } } };
  }
  const value = toHex(body.report.mrEnclave);
  const known = document.sgx.measurements.some((wanted) => 'mr_enclave' in wanted && wanted.mr_enclave === value);
  const measurements = known ? document.sgx.measurements : [...document.sgx.measurements, { mr_enclave: value }];
  return { pin: { field: 'sgx.measurements', value }, document: { ...document, sgx: { ...document.sgx, any_measurement: false, measurements } } };
}

/** Where a policy names launch digests and image hashes, both must match: the guest goes into each list that is in use. */
function pinGuest(document: PolicyDocument, measurement: Uint8Array): Pinned {
  const family = document['sev-snp'];
  const [hash, digest] = [toHex(sevImageHash(measurement)), toHex(measurement)];
  const byDigest = family.measurements.length > 0;
  const changed = {
    ...family, any_measurement: false,
    measurements: byDigest ? adding(family.measurements, digest) : [], image_hashes: byDigest && family.image_hashes.length === 0 ? [] : adding(family.image_hashes, hash),
  };
  return { pin: byDigest ? { field: 'sev-snp.measurements', value: digest } : { field: 'sev-snp.image_hashes', value: hash }, document: { ...document, 'sev-snp': changed } };
}
