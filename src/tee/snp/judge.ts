// One SEV-SNP report, from bytes to verdict: parse, verify, appraise. A pure function of its input; nothing is fetched.
import { sevImageHash } from '../image-hash.ts';
import { CheckList } from '../verdict.ts';
import type { Verdict } from '../verdict.ts';
import { SNP_APPRAISE_CHECKS, appraiseSnp } from './appraise.ts';
import type { SnpCollateral } from './bundle.ts';
import { parseSnpReport } from './parse-report.ts';
import type { SnpReport } from './parse-report.ts';
import type { SnpPolicy } from './policy.ts';
import { AMD_ROOTS } from './products.ts';
import type { SnpRoots } from './products.ts';
import { SNP_VERIFY_CHECKS, verifySnp } from './verify.ts';
import type { VekFacts } from './vek.ts';

export interface SnpInput {
  /** 1184 bytes. */
  readonly report: Uint8Array;
  readonly collateral: SnpCollateral;
  readonly policy: SnpPolicy;
  /** Milliseconds since the Unix epoch. */
  readonly nowMs: number;
  /** The 64 bytes that the report must carry: SHA-512 of the TLS key, or what a nonce gives. Null: not checked, shown only. */
  readonly reportData: Uint8Array | null;
  /** Root keys in place of AMD's, for test PKIs; shown as an info line. */
  readonly roots?: SnpRoots;
}

export interface SnpJudgement {
  readonly verdict: Verdict;
  /** Null when the bytes are no report. Not to be used unless the verdict is a pass. */
  readonly report: SnpReport | null;
  /** 32 bytes, as root contracts list it. Null with `report`. */
  readonly imageHash: Uint8Array | null;
  /** Null when the chip key is not genuine. */
  readonly vek: VekFacts | null;
}

/** Never throws on hostile evidence: whatever is wrong with it is a failed check of the verdict. */
export function judgeSnp(input: SnpInput): SnpJudgement {
  const { collateral, policy, nowMs, reportData, roots = AMD_ROOTS } = input;
  const checks = new CheckList();
  if (input.roots !== undefined) checks.info('trust-root', Object.entries(roots).map(([product, pin]) => `${product} ${pin}`).join(', '), 'root keys given by the caller stand in for AMD\'s');
  const report = checks.attempt({
    name: 'parse', wanted: 'a report of version 2 to 5', meaning: 'the bytes are no SEV-SNP report', seen: ({ version }) => `version ${version}, 1184 bytes`,
  }, () => parseSnpReport(input.report));
  const genuine = report === undefined ? null : verifySnp(checks, report, collateral, nowMs, roots);
  if (report !== undefined && genuine !== null) appraiseSnp(checks, report, genuine, policy, reportData);
  checks.skipMissing(['parse', ...SNP_VERIFY_CHECKS, ...SNP_APPRAISE_CHECKS]);
  return {
    verdict: checks.verdict(genuine?.expiresAtMs ?? null),
    report: report ?? null,
    imageHash: report === undefined ? null : sevImageHash(report.measurement),
    vek: genuine?.vek ?? null,
  };
}
