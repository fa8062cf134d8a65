// Verifies the evidence of a certificate that can be judged without asking anybody: simulated and fake evidence. What must
// be true of every family (key binding, image, role) is in appraise.ts; real hardware is judged in live/. Refuses evidence
// of a kind that the policy does not name.
import { toHex } from '../core/bytes.ts';
import type { CertificateEvidence, EvidenceFamily } from './certificate-evidence.ts';
import { fakeTdxImageHash, isFakeTdxQuote, reportDataOfFakeQuote } from './fake-tdx.ts';
import { simulatedImageHash } from './image-hash.ts';
import type { EvidenceKind, PassedCheck, Role } from './peer.ts';
import { TEE_FAMILIES } from './policy.ts';
import type { AnyPolicy, Policy, SimulatedPolicy, TeeFamily, TeePolicy } from './policy.ts';
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
/** Those whose evidence is judged here. */
export type OfflinePolicy = Exclude<EvidencePolicy, TeePolicy>;

type EvidenceOf<F extends EvidenceFamily> = Extract<CertificateEvidence, { family: F }>;
type RealFamily = Exclude<EvidenceFamily, 'none'>;

/** Throws AttestationError unless the evidence is genuine and of a kind that the policy names. One case a family. */
export function verifyEvidence(evidence: EvidenceOf<RealFamily>, policy: OfflinePolicy): VerifiedEvidence {
  switch (evidence.family) {
    case 'tdx': return policy.kind === 'fake_tdx' ? verifyFakeTdx(evidence) : refuseKind(evidence, policy);
    case 'sev-snp': return refuseKind(evidence, policy);
    case 'simulated': return policy.kind === 'simulated' ? verifySimulated(evidence.evidence, policy) : refuseKind(evidence, policy);
  }
}

/** Evidence of the families that the policy allows for this role; throws AttestationError for any other. */
export function hardwareEvidence(evidence: EvidenceOf<RealFamily>, policy: TeePolicy): EvidenceOf<TeeFamily> {
  const { families = TEE_FAMILIES, role } = policy;
  if (evidence.family === 'simulated' || (evidence.family === 'tdx' && isFakeTdxQuote(evidence.quote))) return refuseKind(evidence, policy);
  if (!families.includes(evidence.family)) {
    throw refused({
      check: 'evidence-kind', seen: `${NAMES[evidence.family]} evidence`, wanted: families.map((family) => NAMES[family]).join(' or ') || 'none',
      meaning: `the policy does not accept this hardware from a ${role}`,
    });
  }
  return evidence;
}

/** Throws AttestationError unless the key of the local network has signed it. */
export function verifySimulated(evidence: Uint8Array, { network }: Pick<SimulatedPolicy, 'network'>): VerifiedEvidence {
  const { role, measurement, reportData, networkId } = verifySimulatedEvidence(evidence, network);
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

const NAMES: Readonly<Record<TeeFamily, string>> = { tdx: 'Intel TDX', 'sev-snp': 'SEV-SNP' };

function refuseKind(evidence: EvidenceOf<RealFamily>, policy: EvidencePolicy): never {
  const wanted = WANTED[policy.kind];
  if (evidence.family === 'simulated') {
    throw refused({
      check: 'evidence-kind', seen: 'simulated evidence', wanted, meaning: 'a simulation proves nothing outside the local network that made it',
      hint: 'Use --network local if this peer is part of your local network.',
    });
  }
  if (evidence.family === 'tdx' && isFakeTdxQuote(evidence.quote)) {
    throw refused({ check: 'evidence-kind', seen: 'the 64-byte fake TDX quote of the C++ test mode', wanted, meaning: 'anybody can make a fake quote' });
  }
  throw refused({ check: 'evidence-kind', seen: `${NAMES[evidence.family]} evidence`, wanted, meaning: 'the peer is not part of the network that this policy is for' });
}

const WANTED: Readonly<Record<EvidencePolicy['kind'], string>> = {
  fake_tdx: 'fake TDX evidence (policy fake_tdx)',
  tee: 'evidence of real hardware, Intel TDX or AMD SEV-SNP (policy tee)',
  simulated: 'simulated evidence of this local network (policy simulated)',
};
