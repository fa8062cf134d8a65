// The same evidence judged by ours and by @phala/dcap-qvl: over our vectors, the real quotes and generated cases. Every
// difference has its entry in differences.ts. COCOON_DIFFERENTIAL_CASES sets the number of generated cases (default 200).
import { describe, expect, it } from '@jest/globals';
import phala from '@phala/dcap-qvl';
import { judgeDcap } from '../../../src/tee/dcap/dcap.ts';
import { INTEL_SGX_ROOT_CA } from '../../../src/tee/dcap/intel-root.ts';
import { DEFAULT_SGX_POLICY, DEFAULT_TCB_POLICY, DEFAULT_TDX_POLICY } from '../../../src/tee/dcap/policy.ts';
import type { DcapPolicy } from '../../../src/tee/dcap/policy.ts';
import { DIFFERENCES } from './differences.ts';
import type { Kind } from './differences.ts';
import { generate } from './generate.ts';
import { realCases, SKIP_REASON, syntheticCases, syntheticEvidence, syntheticRoot } from './vectors.ts';

const CASES = Number(process.env['COCOON_DIFFERENTIAL_CASES'] ?? 200);
const SEED = Number(process.env['COCOON_DIFFERENTIAL_SEED'] ?? 1);

interface Case { readonly quote: Uint8Array; readonly collateral: Record<string, unknown>; readonly root: Uint8Array; readonly nowMs: number }

/** Accepts every status but Revoked, with every advisory, for ever, as the other library does. */
function lenient(advisories: readonly string[]): DcapPolicy {
  const tcb = {
    ...DEFAULT_TCB_POLICY, graceDays: 1e6, advisories: advisories.map((id) => ({ id, untilMs: null })),
    statuses: ['UpToDate', 'SWHardeningNeeded', 'ConfigurationNeeded', 'ConfigurationAndSWHardeningNeeded', 'OutOfDate', 'OutOfDateConfigurationNeeded', 'TDRelaunchAdvised', 'TDRelaunchAdvisedConfigurationNeeded'],
  } as const;
  return { tdx: { ...DEFAULT_TDX_POLICY, tcb, anyMeasurement: true }, sgx: { ...DEFAULT_SGX_POLICY, tcb, anyMeasurement: true } };
}

const advisoriesIn = (collateral: Record<string, unknown>): string[] => `${String(collateral['tcb_info'])}${String(collateral['qe_identity'])}`.match(/INTEL-SA-\d+/g) ?? [];

function ours(one: Case): string {
  const { verdict, verified } = judgeDcap({ ...one, policy: lenient(advisoriesIn(one.collateral)) });
  return verdict.overall === 'pass' && verified !== null ? `${verified.status} ${verified.advisories.join(',')}` : 'refused';
}

function theirs({ quote, collateral, root, nowMs }: Case): string {
  try {
    const result = phala.QuoteVerifier.newWithRootCa(Buffer.from(root)).verify(Buffer.from(quote), collateral as never, nowMs / 1000) as { status: string; advisory_ids: string[] };
    return `${result.status} ${[...new Set(result.advisory_ids)].sort().join(',')}`;
  } catch {
    return 'refused';
  }
}

function kindOf(own: string, other: string): Kind | null {
  if (own === other) return null;
  if (own === 'refused') return 'only-theirs-accepts';
  return other === 'refused' ? 'only-ours-accepts' : 'other-result';
}

/** Features of our synthetic vectors that explain a difference. */
const FEATURE_OF: Readonly<Record<string, string>> = {
  'module_isvsvn_downgraded.json': 'module-level', 'module_unknown_version.json': 'module-unknown', 'seamattributes_nonzero.json': 'seam-attributes', 'td_relaunch_advised_v5.json': 'relaunch',
  'module_isvsvn_revoked.json': 'module-level', 'bad_outer_cert_type.json': 'outer-type', 'auth_data_len_16.json': 'auth-data', 'pceid_mismatch.json': 'pceid', 'pck_crl_expired.json': 'crl-window', 'pck_crl_future.json': 'crl-window',
  'pck_crl_forged_sig.json': 'crl-signature', 'trailing_garbage.json': 'trailing', 'v4_sgx_body.json': 'sgx-version',
};

describe('judgeDcap beside @phala/dcap-qvl', () => {
  it.each(syntheticCases)('judgeDcap: $file differs only where a reason is listed', ({ file }) => {
    const one = { ...syntheticEvidence(file), root: syntheticRoot };
    const kind = kindOf(ours(one), theirs(one));
    const listed = kind === null || DIFFERENCES.some((difference) => difference.kind === kind && difference.feature === FEATURE_OF[file]);
    expect([file, kind, listed]).toEqual([file, kind, true]);
  });

  (realCases.length > 0 ? it : it.skip)(`judgeDcap: real quotes differ only where a reason is listed${realCases.length > 0 ? '' : ` (${SKIP_REASON})`}`, () => {
    const found = realCases.map((one) => [one.name, kindOf(ours({ ...one, root: INTEL_SGX_ROOT_CA }), theirs({ ...one, root: INTEL_SGX_ROOT_CA }))]).filter(([, kind]) => kind !== null);
    expect(found).toEqual([]);
  });

  it(`judgeDcap: ${CASES} generated cases differ only where a reason is listed`, () => {
    const used = new Map<string, number>();
    const unexplained: string[] = [];
    let same = 0;
    for (let seed = SEED; seed < SEED + CASES; seed += 1) {
      const one = generate(seed);
      const [own, other] = [ours(one), theirs(one)];
      const kind = kindOf(own, other);
      if (kind === null) {
        same += 1;
        continue;
      }
      const entry = DIFFERENCES.find((difference) => difference.kind === kind && one.features.includes(difference.feature));
      if (entry === undefined) unexplained.push(`seed ${seed} [${one.features.join(', ')}]: ours ${own}, theirs ${other}`);
      else used.set(`${entry.feature} ${kind}`, (used.get(`${entry.feature} ${kind}`) ?? 0) + 1);
    }
    expect(unexplained).toEqual([]);
    expect(same).toBeGreaterThan(CASES / 4);
    // With enough cases every entry of the list must have been needed: none is there for nothing.
    if (CASES >= 10_000) expect(DIFFERENCES.filter(({ feature, kind }) => !used.has(`${feature} ${kind}`))).toEqual([]);
  }, 3_600_000);
});
