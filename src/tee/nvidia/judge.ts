// The GPUs and switches of one machine, from bytes to verdict: parse, verify, appraise. A pure function of its input;
// nothing is fetched. Each device has its own checks, with its place in front of the value seen; those of all follow.
import { CheckList, earliest, overallOf } from '../verdict.ts';
import type { Check, Verdict } from '../verdict.ts';
import { APPRAISE_CHECKS, SYSTEM_CHECKS, appraiseDevice, appraiseSystem } from './appraise.ts';
import type { AppraisedDevice } from './appraise.ts';
import type { NvidiaCollateral, NvidiaDevice, SystemMode } from './bundle.ts';
import { gpuClaimsOf, switchClaimsOf } from './opaque.ts';
import type { GpuClaims, SwitchClaims } from './opaque.ts';
import { parseSpdm } from './parse-spdm.ts';
import type { SpdmEvidence } from './parse-spdm.ts';
import type { NvidiaPolicy } from './policy.ts';
import { NVIDIA_ROOTS, kindOf } from './roots.ts';
import type { NvidiaRoots } from './roots.ts';
import { DEVICE_CHECKS, verifyDevice } from './verify.ts';

export interface NvidiaInput {
  readonly devices: readonly NvidiaDevice[];
  readonly collateral: NvidiaCollateral;
  readonly system: SystemMode | null;
  readonly policy: NvidiaPolicy;
  /** Milliseconds since the Unix epoch. */
  readonly nowMs: number;
  /** The 32 bytes that every request must carry. Null: not checked, shown only. */
  readonly nonce: Uint8Array | null;
  /** Roots in place of NVIDIA's, for test PKIs; shown as an info line. */
  readonly roots?: NvidiaRoots;
}

export interface NvidiaJudgement {
  readonly verdict: Verdict;
  /** Those that are genuine, in order. Not to be used unless the verdict is a pass. */
  readonly devices: readonly AppraisedDevice[];
}

interface JudgedDevice {
  readonly checks: readonly Check[];
  readonly device: AppraisedDevice | null;
  readonly expiresAtMs: number | null;
}

/** Never throws on hostile evidence: whatever is wrong with it is a failed check of the verdict. */
export function judgeNvidia(input: NvidiaInput): NvidiaJudgement {
  const counts = { gpu: 0, switch: 0 };
  const judged = input.devices.map((device) => {
    const kind = kindOf(device.architecture);
    const place = `${kind} ${counts[kind]}`;
    counts[kind] += 1;
    return judgeDevice(input, device, place);
  });
  const devices = judged.flatMap(({ device }) => device ?? []);
  const system = new CheckList();
  if (input.roots !== undefined) system.info('trust-root', `devices ${input.roots.device}, manifests ${input.roots.rim}`, 'roots given by the caller stand in for NVIDIA\'s');
  appraiseSystem(system, devices, counts, input.system, input.policy);
  system.skipMissing(SYSTEM_CHECKS);
  const checks = [...judged.flatMap((one) => one.checks), ...system.verdict(null).checks];
  const ends = judged.map(({ expiresAtMs }) => expiresAtMs).filter((end) => end !== null);
  const complete = ends.length > 0 && ends.length === judged.length;
  return { verdict: { overall: overallOf(checks), checks, expiresAtMs: complete ? earliest(...ends) : null }, devices };
}

function judgeDevice({ collateral, policy, nowMs, nonce, roots = NVIDIA_ROOTS }: NvidiaInput, device: NvidiaDevice, place: string): JudgedDevice {
  const checks = new CheckList();
  const kind = kindOf(device.architecture);
  const parsed = checks.attempt({
    name: 'parse', wanted: 'an SPDM 1.1 request for all measurements with its signed response', meaning: 'the bytes are no evidence of such a device',
    seen: ({ spdm }) => `${spdm.measurements.size} measurements, ${spdm.opaque.size} statements`,
  }, () => parse(device));
  const context = { checks, policy, nowMs, ocsp: collateral.ocsp };
  const genuine = parsed === undefined ? null : verifyDevice(context, device, parsed.spdm, parsed.claims.fwid, nonce, roots.device);
  let appraised: AppraisedDevice | null = null;
  let expiresAtMs: number | null = null;
  if (parsed !== undefined && genuine !== null) {
    const { spdm, ...said } = parsed;
    appraised = { ...genuine, ...said };
    expiresAtMs = appraiseDevice(context, appraised, spdm, collateral.manifests, roots.rim);
  }
  checks.skipMissing(['parse', ...DEVICE_CHECKS, ...APPRAISE_CHECKS[kind]]);
  return { checks: checks.verdict(null).checks.map((check) => ({ ...check, seen: `${place}: ${check.seen}` })), device: appraised, expiresAtMs };
}

type Parsed = { readonly spdm: SpdmEvidence } & (
  | { readonly kind: 'gpu'; readonly claims: GpuClaims }
  | { readonly kind: 'switch'; readonly claims: SwitchClaims }
);

function parse({ architecture, evidence }: NvidiaDevice): Parsed {
  const spdm = parseSpdm(evidence);
  const kind = kindOf(architecture);
  return kind === 'gpu' ? { spdm, kind, claims: gpuClaimsOf(spdm.opaque) } : { spdm, kind, claims: switchClaimsOf(spdm.opaque) };
}
