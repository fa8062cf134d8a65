// Verifies the evidence of a certificate by its family, one case a family: what must be true of the evidence itself.
// What must be true of every family (key binding, image, role) is in appraise.ts. Refuses evidence of a kind that the
// policy does not name; real TDX and SEV-SNP evidence is refused as unsupported.
import { AttestationError } from '../core/errors.ts';
import { toHex } from '../core/bytes.ts';
import type { CertificateEvidence, EvidenceFamily } from './certificate-evidence.ts';
import { fakeTdxImageHash, isFakeTdxQuote, reportDataOfFakeQuote } from './fake-tdx.ts';
import { simulatedImageHash } from './image-hash.ts';
import type { EvidenceKind, PassedCheck, Role } from './peer.ts';
import type { AnyPolicy, Policy } from './policy.ts';
import { refused } from './refusal.ts';
import { verifySimulatedEvidence } from './simulated.ts';

/** What genuine evidence says. Whether that is acceptable is another question (appraise.ts). */
export interface VerifiedEvidence {
  readonly kind: Exclude<EvidenceKind, 'none'>;
  /** 64 bytes. */
  readonly reportData: Uint8Array;
  /** 32 bytes. */
  readonly imageHash: Uint8Array;
  /** Role that the evidence itself states; absent where only the image tells. */
  readonly role?: Role;
  readonly checks: readonly PassedCheck[];
}

/** Every policy but `any`, which never looks at evidence. */
export type EvidencePolicy = Exclude<Policy, AnyPolicy>;

type EvidenceOf<F extends EvidenceFamily> = Extract<CertificateEvidence, { family: F }>;
type RealFamily = Exclude<EvidenceFamily, 'none'>;

/** Throws AttestationError unless the evidence is genuine and of a kind that the policy names. One case a family. */
export function verifyEvidence(evidence: EvidenceOf<RealFamily>, policy: EvidencePolicy): VerifiedEvidence {
  switch (evidence.family) {
    case 'tdx': return policy.kind === 'fake_tdx' ? verifyFakeTdx(evidence) : refuseTdx(evidence, policy);
    case 'sev-snp': return refuseReal('SEV-SNP', policy);
    case 'simulated': return verifySimulated(evidence, policy);
  }
}

function verifySimulated({ evidence }: EvidenceOf<'simulated'>, policy: EvidencePolicy): VerifiedEvidence {
  if (policy.kind !== 'simulated') {
    throw refused({
      check: 'evidence-kind', seen: 'simulated evidence', wanted: WANTED[policy.kind],
      meaning: 'a simulation proves nothing outside the local network that made it',
      hint: 'Use --network local if this peer is part of your local network.',
    });
  }
  const { role, measurement, reportData, networkId } = verifySimulatedEvidence(evidence, policy.network);
  return {
    kind: 'simulated', role, reportData, imageHash: simulatedImageHash(measurement),
    checks: [
      { name: 'network', detail: `local network ${toHex(networkId)}` },
      { name: 'evidence-signature', detail: 'simulated evidence signed by the key of the local network; no hardware is involved' },
    ],
  };
}

function verifyFakeTdx({ quote }: EvidenceOf<'tdx'>): VerifiedEvidence {
  return {
    kind: 'fake_tdx', reportData: reportDataOfFakeQuote(quote), imageHash: fakeTdxImageHash(),
    checks: [{ name: 'evidence-kind', detail: 'fake TDX evidence, accepted by an explicit flag; it proves nothing' }],
  };
}

function refuseTdx({ quote }: EvidenceOf<'tdx'>, policy: EvidencePolicy): never {
  if (isFakeTdxQuote(quote)) {
    throw refused({
      check: 'evidence-kind', seen: 'the 64-byte fake TDX quote of the C++ test mode', wanted: WANTED[policy.kind],
      meaning: 'anybody can make a fake quote',
    });
  }
  return refuseReal('Intel TDX', policy);
}

function refuseReal(name: string, policy: EvidencePolicy): never {
  if (policy.kind !== 'tee') {
    throw refused({
      check: 'evidence-kind', seen: `${name} evidence`, wanted: WANTED[policy.kind],
      meaning: 'the peer is not part of the network that this policy is for',
    });
  }
  throw new AttestationError('E_EVIDENCE_UNSUPPORTED', `peer proves itself with ${name} evidence, which this version of cocoon cannot verify`, {
    hint: 'Use a newer version of cocoon. There is no flag that skips verification.',
  });
}

const WANTED: Readonly<Record<EvidencePolicy['kind'], string>> = {
  fake_tdx: 'fake TDX evidence (policy fake_tdx)',
  tee: 'evidence of real hardware, Intel TDX or AMD SEV-SNP (policy tee)',
  simulated: 'simulated evidence of this local network (policy simulated)',
};
