// What a quote proves without any collateral: that a quoting enclave on a platform which Intel has certified was involved.
// Enough to ask Intel about that platform, and no more. Refuses quotes that anybody could make up, so that nobody can make
// a verifier ask for whatever he likes.
import { createHash } from 'node:crypto';
import { equalBytes } from '../../core/bytes.ts';
import { refused } from '../refusal.ts';
import { verifyChain } from '../x509/chain.ts';
import { verifiesWith } from '../x509/signature.ts';
import { INTEL_SGX_ROOT_CA } from './intel-root.ts';
import { certificateChain } from './parse-collateral.ts';
import type { Quote } from './quote.ts';
import type { DcapRules } from './verify.ts';

const PCK_CHAIN = 3;

/** Throws AttestationError unless the PCK chain ends in the root and its key has signed for the quote's attestation key. */
export function checkProvenance({ pckChain, qeReport, qeReportSignature, attestationKey, qeAuthData }: Quote, { root = INTEL_SGX_ROOT_CA, nowMs }: DcapRules): void {
  const certificates = certificateChain(pckChain, 'the PCK chain', []);
  verifyChain(certificates, { root, length: PCK_CHAIN, nowMs });
  const [leaf] = certificates;
  if (leaf === undefined || !verifiesWith(leaf.key, 'ecdsa-sha256', qeReport.raw, qeReportSignature, 'ieee-p1363')) {
    throw refused({
      check: 'qe-report-signature', seen: 'a signature over the quoting enclave\'s report that does not verify', wanted: 'one by the PCK key',
      meaning: 'the report does not come from the platform that the certificate names',
    });
  }
  const digest = createHash('sha256').update(attestationKey).update(qeAuthData).digest();
  if (!equalBytes(qeReport.reportData.subarray(0, digest.length), digest)) {
    throw refused({
      check: 'qe-report-data', seen: 'a report about another key', wanted: 'SHA-256 of attestation key and authentication data',
      meaning: 'the quoting enclave does not vouch for the key that signed the quote',
    });
  }
}
