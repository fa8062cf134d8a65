// The decision on a peer's certificate: parse, verify, appraise, in that order, each in a file of its own.
// Every refusal is an AttestationError whose message names the check, the value seen, the value wanted and what it means.
import type { Clock } from '../core/clock.ts';
import { toHex } from '../core/bytes.ts';
import { AttestationError } from '../core/errors.ts';
import { appraiseImage, appraiseKeyBinding, appraiseRole } from './appraise.ts';
import { parseCertificate } from './certificate-parse.ts';
import type { ParsedCertificate } from './certificate-parse.ts';
import { verifyCertificate } from './certificate-verify.ts';
import { verifyEvidence } from './evidence.ts';
import type { EvidencePolicy } from './evidence.ts';
import { IMAGE_HASH_BYTES } from './image-hash.ts';
import type { PassedCheck, VerifiedPeer, VerifyPeer } from './peer.ts';
import { checkPolicy } from './policy.ts';
import type { Policy } from './policy.ts';

export interface VerifyPeerPorts {
  readonly clock: Clock;
}

/** A verifier for one policy; it keeps no state between peers. Throws ConfigError when the policy could not be meant. */
export function createVerifyPeer(policy: Policy, { clock }: VerifyPeerPorts): VerifyPeer {
  checkPolicy(policy);
  return (certificateDer) => {
    if (certificateDer.length === 0) throw missingCertificate();
    const certificate = parseCertificate(certificateDer);
    const checks = verifyCertificate(certificate, clock.now());
    return policy.kind === 'any' ? unattestedPeer(certificate, checks) : attestedPeer(certificate, checks, policy);
  };
}

/** The refusal of a peer that sends no certificate; the TLS layer finds that out by itself. */
export function missingCertificate(): AttestationError {
  return new AttestationError('E_NO_CERTIFICATE', 'peer refused by the check "certificate": got none, expected a self-signed Ed25519 certificate; an anonymous peer cannot be held to anything');
}

function unattestedPeer({ publicKey }: ParsedCertificate, checks: readonly PassedCheck[]): VerifiedPeer {
  return { evidence: 'none', publicKey: publicKey.slice(), imageHash: new Uint8Array(IMAGE_HASH_BYTES), checks };
}

function attestedPeer(certificate: ParsedCertificate, certificateChecks: readonly PassedCheck[], policy: EvidencePolicy): VerifiedPeer {
  const publicKey = certificate.publicKey.slice();
  if (certificate.evidence.family === 'none') throw missingEvidence(certificate);
  const evidence = verifyEvidence(certificate.evidence, policy);
  const checks = [...certificateChecks, ...evidence.checks, appraiseKeyBinding(evidence, publicKey)];
  // A fake quote has the forbidden image hash and no role: the explicit flag has waived both.
  if (policy.kind === 'fake_tdx') return { evidence: evidence.kind, publicKey, imageHash: evidence.imageHash, checks };
  checks.push(appraiseRole(evidence, policy), appraiseImage(evidence, policy));
  return { evidence: evidence.kind, publicKey, imageHash: evidence.imageHash, role: policy.role, checks };
}

function missingEvidence({ publicKey, ignoredEvidence }: ParsedCertificate): AttestationError {
  const seen = ignoredEvidence.length === 0 ? 'none' : `only extensions that are not critical (${ignoredEvidence.join(', ')}), which do not count`;
  return new AttestationError('E_NO_EVIDENCE', `peer ${toHex(publicKey)} refused by the check "evidence": got ${seen}, expected evidence in critical extensions; nothing shows what the peer runs`);
}
