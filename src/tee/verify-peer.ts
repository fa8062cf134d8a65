// The decision on a peer's certificate: parse, verify, appraise, in that order, each in a file of its own.
// Every refusal is an AttestationError whose message names the check, the value seen, the value wanted and what it means.
// Evidence of real hardware needs collateral, so that policy has a verifier of its own (live/verify-hardware.ts).
import type { Clock } from '../core/clock.ts';
import { toHex } from '../core/bytes.ts';
import { AttestationError } from '../core/errors.ts';
import { appraiseImage, appraiseKeyBinding, appraiseRole } from './appraise.ts';
import type { CertificateEvidence } from './certificate-evidence.ts';
import { parseCertificate } from './certificate-parse.ts';
import type { ParsedCertificate } from './certificate-parse.ts';
import { verifyCertificate } from './certificate-verify.ts';
import { verifyEvidence, verifySimulated } from './evidence.ts';
import type { OfflinePolicy } from './evidence.ts';
import { checkFreshReportData, createFreshness } from './freshness.ts';
import type { FreshnessRule } from './freshness.ts';
import { IMAGE_HASH_BYTES } from './image-hash.ts';
import type { PassedCheck, SyncVerifyPeer, VerifiedPeer } from './peer.ts';
import { checkPolicy } from './policy.ts';
import type { Policy, SimulatedPolicy, TeePolicy } from './policy.ts';
import { malformed, refused } from './refusal.ts';
import { Standing } from './standing.ts';

export interface VerifyPeerPorts {
  readonly clock: Clock;
  /** Default: prefer. */
  readonly freshness?: FreshnessRule;
  /** How long a verdict is relied on at most. */
  readonly maxAgeMs?: number;
}

/** A certificate that is its owner's and valid now, with the checks made. Throws AttestationError. */
export function readCertificate(certificateDer: Uint8Array, clock: Clock): { readonly certificate: ParsedCertificate; readonly checks: readonly PassedCheck[] } {
  if (certificateDer.length === 0) throw missingCertificate();
  const certificate = parseCertificate(certificateDer);
  return { certificate, checks: verifyCertificate(certificate, clock.now()) };
}

/** A verifier for one policy; it keeps no state between peers. Throws ConfigError when the policy could not be meant. */
export function createVerifyPeer(policy: Exclude<Policy, TeePolicy>, ports: VerifyPeerPorts): SyncVerifyPeer {
  checkPolicy(policy);
  return (certificateDer) => {
    const { certificate, checks } = readCertificate(certificateDer, ports.clock);
    return policy.kind === 'any' ? unattestedPeer(certificate, checks) : attestedPeer(certificate, checks, policy, ports);
  };
}

/** The refusal of a peer that sends no certificate; the TLS layer finds that out by itself. */
export function missingCertificate(): AttestationError {
  return new AttestationError('E_NO_CERTIFICATE', 'peer refused by the check "certificate": got none, expected a self-signed Ed25519 certificate; an anonymous peer cannot be held to anything');
}

function unattestedPeer({ publicKey }: ParsedCertificate, checks: readonly PassedCheck[]): VerifiedPeer {
  return { evidence: 'none', publicKey: publicKey.slice(), imageHash: new Uint8Array(IMAGE_HASH_BYTES), checks };
}

function attestedPeer(certificate: ParsedCertificate, certificateChecks: readonly PassedCheck[], policy: OfflinePolicy, ports: VerifyPeerPorts): VerifiedPeer {
  const publicKey = certificate.publicKey.slice();
  const evidence = verifyEvidence(requireEvidence(certificate), policy);
  const checks = [...certificateChecks, ...evidence.checks, appraiseKeyBinding(evidence, publicKey)];
  // A fake quote has the forbidden image hash and no role: the explicit flag has waived both.
  if (policy.kind === 'fake_tdx') return { evidence: evidence.kind, publicKey, imageHash: evidence.imageHash, checks };
  checks.push(appraiseRole(evidence, policy), appraiseImage(evidence, policy));
  const { imageHash } = evidence;
  return { evidence: evidence.kind, publicKey, imageHash, role: policy.role, checks, ...simulatedLater(policy, imageHash, checks, ports) };
}

/** What later evidence of a peer of a local network must prove. Only the lists can change: a signature has no end. */
function simulatedLater(policy: SimulatedPolicy, imageHash: Uint8Array, checks: PassedCheck[], { clock, freshness = 'prefer', maxAgeMs }: VerifyPeerPorts): Pick<VerifiedPeer, 'standing' | 'freshness'> {
  const standing = new Standing(policy, clock, maxAgeMs);
  const shown = {
    untilMs: Infinity,
    async judge() {
      appraiseImage({ imageHash }, policy);
      return Infinity;
    },
  };
  standing.add(shown);
  return {
    standing,
    freshness: createFreshness({
      rule: freshness, family: 'simulated', imageHash, demandsGpus: false,
      async judge(evidence, reportData) {
        if (evidence.family !== 'simulated') throw malformed(`the fresh evidence is of the family ${evidence.family}`);
        const verified = verifySimulated(evidence.evidence, policy);
        checkFreshReportData(verified.reportData, reportData);
        const passed = [...verified.checks, appraiseRole(verified, policy), appraiseImage(verified, policy)];
        return { imageHash: verified.imageHash, checks: passed.map((check) => ({ ...check, name: `fresh-${check.name}` })), shown };
      },
      async judgeGpus() {
        throw refused({ check: 'gpu-evidence', seen: 'GPU evidence beside simulated evidence', wanted: 'none', meaning: 'a simulation vouches for no hardware' });
      },
      record: (more) => { checks.push(...more); },
      keep: () => undefined, // nothing of it can end before what is kept already
    }),
  };
}

type RealEvidence = Exclude<CertificateEvidence, { family: 'none' }>;

/** The evidence of the certificate. Throws AttestationError E_NO_EVIDENCE. */
export function requireEvidence({ evidence, publicKey, ignoredEvidence }: ParsedCertificate): RealEvidence {
  if (evidence.family !== 'none') return evidence;
  const seen = ignoredEvidence.length === 0 ? 'none' : `only extensions that are not critical (${ignoredEvidence.join(', ')}), which do not count`;
  throw new AttestationError('E_NO_EVIDENCE', `peer ${toHex(publicKey)} refused by the check "evidence": got ${seen}, expected evidence in critical extensions; nothing shows what the peer runs`);
}
