// Judges evidence in tests: a policy that judges everything but the image, and short ways to say what happened.
import { judgeDcap } from '../../../src/tee/dcap/dcap.ts';
import type { DcapInput, DcapOutcome } from '../../../src/tee/dcap/dcap.ts';
import { DEFAULT_SGX_POLICY, DEFAULT_TDX_POLICY } from '../../../src/tee/dcap/policy.ts';
import type { DcapPolicy, SgxPolicy, TdxPolicy } from '../../../src/tee/dcap/policy.ts';
import { forge } from '../../fakes/dcap-forge.ts';
import type { ForgeOptions } from '../../fakes/dcap-forge.ts';

export const ANY_IMAGE: DcapPolicy = { tdx: { ...DEFAULT_TDX_POLICY, anyMeasurement: true }, sgx: { ...DEFAULT_SGX_POLICY, anyMeasurement: true } };

/** The default policy with changes; any measurement unless the changes name some. */
export const tdxPolicy = (changes: Partial<TdxPolicy>): DcapPolicy => ({ tdx: { ...DEFAULT_TDX_POLICY, anyMeasurement: true, ...changes }, sgx: null });
export const sgxPolicy = (changes: Partial<SgxPolicy>): DcapPolicy => ({ tdx: null, sgx: { ...DEFAULT_SGX_POLICY, anyMeasurement: true, ...changes } });

/** Judges a forge at its own time with its own root. */
export function judgeForged(options: ForgeOptions = {}, input: Partial<DcapInput> = {}): DcapOutcome {
  return judgeDcap({ ...forge(options), policy: ANY_IMAGE, ...input });
}

/** Names of the checks with a result. */
export const named = ({ verdict }: DcapOutcome, result: string): string[] => verdict.checks.filter((check) => check.result === result).map(({ name }) => name);

/** The overall result and, for a failure, the checks that failed. */
export const summary = (outcome: DcapOutcome): string => [outcome.verdict.overall, ...named(outcome, 'fail')].join(' ');
