// What ties a key record to evidence (SPEC.md section 4): the digest of the evidence in a certificate, and the question to which
// the machine answers with evidence made for this very record.
import { createHash } from 'node:crypto';
import { parseCertificate } from '../tee/certificate-parse.ts';
import { EXPORTER_BYTES } from '../tee/fresh-attestation.ts';
import { encodeKeyRecord } from './key-record.ts';
import { SealError } from './errors.ts';
import type { FreshQuestion } from '../tee/fresh-attestation.ts';
import type { KeyRecord } from './key-record.ts';

const NONCE_DOMAIN = Buffer.from('cocoon seal evidence 1\0');
const DIGEST_BYTES = 32;

/** SHA-256 of the TDX quote, the SEV-SNP report or the simulated evidence in a certificate (DER). Throws SealError where there is none. */
export function cpuEvidenceDigest(certificateDer: Uint8Array): Uint8Array {
  const { evidence } = parseCertificate(certificateDer);
  const digest = (bytes: Uint8Array): Uint8Array => new Uint8Array(createHash('sha256').update(bytes).digest());
  switch (evidence.family) {
    case 'tdx': return digest(evidence.quote);
    case 'sev-snp': return digest(evidence.report);
    case 'simulated': return digest(evidence.evidence);
    case 'none': throw new SealError('the certificate of the node has no evidence');
  }
}

/** SHA-256 of the GPUs' bundle; zeros where there is none. */
export const gpuEvidenceDigest = (gpus: Uint8Array): Uint8Array =>
  (gpus.byteLength === 0 ? new Uint8Array(DIGEST_BYTES) : new Uint8Array(createHash('sha256').update(gpus).digest()));

/** What the machine is asked: there is no connection, so the exporter is zeros, which no TLS session exports. */
export function recordQuestion(record: KeyRecord): FreshQuestion {
  const draft = encodeKeyRecord({ ...record, gpuEvidence: new Uint8Array(DIGEST_BYTES) });
  return { nonce: new Uint8Array(createHash('sha256').update(NONCE_DOMAIN).update(draft).digest()), exporter: new Uint8Array(EXPORTER_BYTES), publicKey: record.tlsPublicKey };
}
