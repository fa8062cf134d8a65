// The decision on a peer that proves itself with real hardware: certificate, family, key binding, image, and then everything
// that Intel, AMD and the policy say about the machine (judge.ts). What the peer shows is judged again while its connection
// lasts, and it can be asked for fresh evidence of CPU and GPUs. Refuses simulated evidence, fakes and peers without any.
import type { Clock } from '../../core/clock.ts';
import { equalBytes, toHex } from '../../core/bytes.ts';
import { appraiseImage, appraiseKeyBinding } from '../appraise.ts';
import { gpuNonceOf } from '../collect/freshness.ts';
import { hardwareEvidence } from '../evidence.ts';
import type { FreshEvidence } from '../fresh-attestation.ts';
import { checkFreshReportData, createFreshness } from '../freshness.ts';
import type { FreshnessRule, FreshnessRules } from '../freshness.ts';
import type { PassedCheck, VerifyPeer } from '../peer.ts';
import { allowedNow, checkPolicy } from '../policy.ts';
import type { TeeFamily, TeePolicy } from '../policy.ts';
import { malformed } from '../refusal.ts';
import { reportDataOf } from '../report-data.ts';
import { Standing } from '../standing.ts';
import type { Shown } from '../standing.ts';
import { readCertificate, requireEvidence } from '../verify-peer.ts';
import { passedChecks } from './judge.ts';
import type { EvidenceJudge, HardwareJudgement, HardwareRequest } from './judge.ts';

export interface VerifyHardwarePorts {
  readonly clock: Clock;
  readonly judge: EvidenceJudge;
  /** Default: prefer. */
  readonly freshness?: FreshnessRule;
  /** How long a verdict is relied on at most. */
  readonly maxAgeMs?: number;
}

type HardwareEvidence = Extract<FreshEvidence, { family: TeeFamily }>;
interface Judged extends HardwareJudgement {
  readonly image: PassedCheck;
}

/** A verifier for one role. Throws ConfigError when the policy could not be meant. */
export function createVerifyHardware(policy: TeePolicy, ports: VerifyHardwarePorts): VerifyPeer {
  checkPolicy(policy);
  const { clock, judge, freshness: rule = 'prefer', maxAgeMs } = ports;
  return async (certificateDer, signal) => {
    const read = readCertificate(certificateDer, clock);
    const publicKey = read.certificate.publicKey.slice();
    const evidence = evidenceOf(hardwareEvidence(requireEvidence(read.certificate), policy), publicKey);
    const first = await judgeHardware(judge, policy, evidence, {
      reportData: reportDataOf(publicKey), checkReportData: (reportData) => { appraiseKeyBinding({ reportData }, publicKey); },
    }, signal);
    const { kind, imageHash, image, verdict } = first;
    const checks = [...read.checks, { name: 'key-binding', detail: `report data is SHA-512 of the TLS key ${toHex(publicKey)}` }, ...passedChecks(verdict.checks), { name: 'role', detail: `${policy.role}, by its image` }, image];
    const standing = new Standing(policy, clock, maxAgeMs);
    standing.add(first.shown);
    return {
      evidence: kind, publicKey, imageHash, role: policy.role, checks, standing,
      freshness: createFreshness({
        ...freshJudging(judge, policy), rule, family: evidence.family, imageHash,
        // A proxy computes nothing, so it needs no GPU.
        demandsGpus: policy.role === 'worker' && judge.demandsGpus,
        record: (more) => { checks.push(...more); },
        keep: (shown) => standing.add(shown),
      }),
    };
  };
}

function freshJudging(judge: EvidenceJudge, policy: TeePolicy): Pick<FreshnessRules, 'judge' | 'judgeGpus'> {
  return {
    async judge(evidence, reportData, signal) {
      if (evidence.family === 'simulated') throw malformed('the fresh evidence is simulated');
      const judged = await judgeHardware(judge, policy, copyOf(evidence), { reportData, checkReportData: checkFreshReportData }, signal);
      const checks = [...passedChecks(judged.verdict.checks), judged.image].map((check) => ({ ...check, name: `fresh-${check.name}` }));
      return { imageHash: judged.imageHash, checks, shown: judged.shown };
    },
    async judgeGpus(given, { nonce, publicKey }, signal) {
      const question = { gpus: given.slice(), nonce: gpuNonceOf(nonce, publicKey) };
      const untilOf = async (inner: AbortSignal) => {
        const verdict = await judge.judgeGpus(question, inner);
        return { verdict, untilMs: verdict.expiresAtMs ?? 0 };
      };
      const { verdict, untilMs } = await untilOf(signal);
      const checks = passedChecks(verdict.checks).map((check) => ({ ...check, name: `gpu-${check.name}` }));
      return { checks, shown: { untilMs, judge: async (inner) => (await untilOf(inner)).untilMs } };
    },
  };
}

/** Judges now, and says how the same is judged again later. */
async function judgeHardware(
  judge: EvidenceJudge, policy: TeePolicy, evidence: HardwareEvidence, binding: Pick<HardwareRequest, 'reportData' | 'checkReportData'>, signal: AbortSignal,
): Promise<Judged & { readonly shown: Shown }> {
  const once = async (inner: AbortSignal): Promise<Judged> => {
    const { generation } = allowedNow(policy);
    const judged = await judge.judge({ ...binding, evidence, generation, admit: (imageHash) => { appraiseImage({ imageHash }, policy); } }, inner);
    // The lists may have changed while the evidence was judged.
    return { ...judged, image: appraiseImage(judged, policy) };
  };
  const judged = await once(signal);
  return { ...judged, shown: { untilMs: judged.expiresAtMs, judge: async (inner) => (await once(inner)).expiresAtMs } };
}

/** Evidence of a certificate, copied: it is kept for as long as the connection. Throws AttestationError. */
function evidenceOf(evidence: ReturnType<typeof hardwareEvidence>, publicKey: Uint8Array): HardwareEvidence {
  if (evidence.family === 'tdx') return { family: 'tdx', quote: evidence.quote.slice() };
  const bound = reportDataOf(publicKey);
  if (!equalBytes(evidence.reportData, bound)) {
    throw malformed(`the certificate states the report data ${toHex(evidence.reportData)}, expected SHA-512 of its key, ${toHex(bound)}`);
  }
  return { family: 'sev-snp', report: evidence.report.slice(), vek: evidence.vcekPem.slice() };
}

const copyOf = (evidence: HardwareEvidence): HardwareEvidence =>
  (evidence.family === 'tdx' ? { family: 'tdx', quote: evidence.quote.slice() } : { family: 'sev-snp', report: evidence.report.slice(), vek: evidence.vek.slice() });
