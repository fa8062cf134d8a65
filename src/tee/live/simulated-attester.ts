// Answers challenges on a local network (fresh-attestation.ts): signed by the key of that network, which shows that nothing was
// relayed from another connection, and nothing about hardware.
import { freshReportData } from '../fresh-attestation.ts';
import type { Attester } from '../fresh-attestation.ts';

const NO_GPUS = new Uint8Array(0);

/** `sign` makes simulated evidence (217 bytes) for report data of 64 bytes. */
export function simulatedAttester(publicKey: Uint8Array, sign: (reportData: Uint8Array) => Uint8Array): Attester {
  return async (question) => ({ evidence: { family: 'simulated', evidence: sign(freshReportData({ ...question, publicKey }, NO_GPUS)) }, gpus: NO_GPUS });
}
