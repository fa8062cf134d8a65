// Every vector gives the verdict of its manifest: ours under a generated PKI, and real quotes with Intel's collateral.
import { describe, expect, it } from '@jest/globals';
import { judgeDcap } from '../../../src/tee/dcap/dcap.ts';
import type { ModuleLevel } from '../../../src/tee/dcap/tcb-level.ts';
import { DEFAULT_SGX_POLICY, DEFAULT_TCB_POLICY, DEFAULT_TDX_POLICY } from '../../../src/tee/dcap/policy.ts';
import type { DcapPolicy } from '../../../src/tee/dcap/policy.ts';
import { parseQuote } from '../../../src/tee/dcap/parse-quote.ts';
import { ANY_IMAGE, named, summary } from './judge.ts';
import { realCases, realQuotes, SKIP_REASON, syntheticCases, syntheticEvidence, syntheticRoot } from './vectors.ts';

/** What each refusal of the synthetic manifest is called here: the check that must fail first. */
const REFUSED_BY: Readonly<Record<string, string>> = {
  'module_unknown_version.json': 'tdx-module', 'seamattributes_nonzero.json': 'tdx-module', 'qe_isvsvn_unsupported.json': 'qe-level', 'qe_debug.json': 'qe-identity',
  'qe_mrsigner.json': 'qe-identity', 'qe_prodid.json': 'qe-identity', 'qe_sgx_identity_for_tdx.json': 'platform', 'bad_qe_hash.json': 'qe-report-data',
  'bad_qe_sig.json': 'qe-report-signature', 'bad_quote_sig.json': 'quote-signature', 'bad_key_type.json': 'quote-format', 'bad_tee_type.json': 'quote-format',
  'bad_outer_cert_type.json': 'quote-format', 'inner_cert_type3_no_pck.json': 'quote-format', 'fmspc_mismatch.json': 'platform', 'pceid_mismatch.json': 'platform',
  'tcb_expired.json': 'tcb-info-window', 'qe_id_expired.json': 'qe-identity-window', 'pck_crl_expired.json': 'pck-crl', 'pck_crl_future.json': 'pck-crl',
  'pck_revoked.json': 'pck-revocation', 'platform_ca_revoked.json': 'pck-revocation', 'tcb_signing_revoked.json': 'tcb-info-signature', 'pck_crl_forged_sig.json': 'pck-crl',
  'pck_chain_other_root.json': 'pck-chain', 'pck_chain_missing_intermediate.json': 'pck-chain', 'pck_chain_platform_as_leaf.json': 'pck-chain',
  // Stricter than Intel's library, as the manifest recommends: bytes after the quote must be zero.
  'trailing_garbage.json': 'quote-format',
};
const FLAGS: Readonly<Record<string, string>> = {
  DEBUG_TD: 'td-debug', TUD_RESERVED: 'td-debug', 'SEPT_VE_DISABLE=0': 'td-sept-ve', SERVICE_TD: 'service-td', DEBUG_ENCLAVE: 'enclave-debug',
};

/** Every status that a policy can name, with these advisories, for ever; everything else as by default. */
function tolerant(advisories: readonly string[]): DcapPolicy {
  const statuses = ['UpToDate', 'SWHardeningNeeded', 'ConfigurationNeeded', 'ConfigurationAndSWHardeningNeeded', 'OutOfDate', 'OutOfDateConfigurationNeeded', 'TDRelaunchAdvised', 'TDRelaunchAdvisedConfigurationNeeded'] as const;
  const tcb = { ...DEFAULT_TCB_POLICY, statuses, advisories: advisories.map((id) => ({ id, untilMs: null })), graceDays: 3650 };
  return { tdx: { ...DEFAULT_TDX_POLICY, tcb, anyMeasurement: true }, sgx: { ...DEFAULT_SGX_POLICY, tcb, anyMeasurement: true } };
}

const moduleOf = (module: ModuleLevel | null): string | null => (module === null ? null : `${module.id}:${module.status}`);

describe('judgeDcap on tdx-synthetic', () => {
  it.each(syntheticCases)('judgeDcap: $file is $oracle', ({ file, oracle }) => {
    const outcome = judgeDcap({ ...syntheticEvidence(file), policy: ANY_IMAGE, root: syntheticRoot });
    const refusedBy = REFUSED_BY[file];
    if (refusedBy !== undefined) {
      expect([outcome.verified, summary(outcome)]).toEqual([null, `fail ${refusedBy}`]);
      return;
    }
    const [, flag, status, advisories = ''] = /^(?:FLAG (\S+) )?accept (\w+) ?(\S*)$/.exec(oracle.trim()) ?? [];
    expect([outcome.verified?.status, outcome.verified?.advisories.join(',')]).toEqual([status, advisories]);
    const failed = [...(status === 'UpToDate' ? [] : ['tcb-status']), ...(advisories === '' ? [] : ['advisories']), ...(flag === undefined ? [] : [FLAGS[flag]])];
    expect(named(outcome, 'fail')).toEqual(failed);
    expect(outcome.verdict.overall).toBe(failed.length === 0 ? 'pass' : 'fail');
  });

  /** The manifest's sentences that are neither "accept" nor "reject", and how they are read here: zeros may follow, nothing else, and version 4 with an SGX body is implemented. */
  const DECIDED: Readonly<Record<string, string>> = { 'trailing_garbage.json': 'reject', 'v4_sgx_body.json': 'accept UpToDate', 'trailing_zeros.json': 'accept UpToDate' };

  it.each(syntheticCases)('judgeDcap: $file, by the words of the manifest: $expect', ({ file, expect: stated, oracle }) => {
    const decided = DECIDED[file] ?? stated;
    const [verb, status] = decided.split(' ');
    const { verdict, verified } = judgeDcap({ ...syntheticEvidence(file), policy: ANY_IMAGE, root: syntheticRoot });
    // Intel's semantics: does its library give a status at all? Only garbage behind the quote is judged more strictly here.
    expect(verified === null).toBe(oracle.startsWith('reject') || file === 'trailing_garbage.json');
    // Then policy: the default one wants UpToDate, and one that names the status and its advisories accepts what the manifest does.
    expect(verdict.overall).toBe(decided.startsWith('accept UpToDate') ? 'pass' : 'fail');
    expect(['accept', 'reject']).toContain(verb);
    expect(judgeDcap({ ...syntheticEvidence(file), policy: tolerant(verified?.advisories ?? []), root: syntheticRoot }).verdict.overall).toBe(verb === 'accept' ? 'pass' : 'fail');
    if (verb === 'accept') expect(verified?.status).toBe(status);
  });

  it('judgeDcap: without the test root every synthetic case is refused', () => {
    for (const { file } of syntheticCases) expect(judgeDcap({ ...syntheticEvidence(file), policy: ANY_IMAGE }).verdict.overall).toBe('fail');
  });
});

const real = realCases.length > 0 ? it : it.skip;
describe(realCases.length > 0 ? 'judgeDcap on real quotes' : `judgeDcap on real quotes: ${SKIP_REASON}`, () => {
  real('judgeDcap: every real quote has Intel\'s result at three times inside the window, and none outside', () => {
    for (const { name, quote, collateral, nowMs, validFromMs, validToMs, expect: wanted } of realCases) {
      const at = (time: number): ReturnType<typeof judgeDcap> => judgeDcap({ quote, collateral, policy: ANY_IMAGE, nowMs: time });
      for (const time of [validFromMs, nowMs, validToMs]) {
        const outcome = at(time);
        if (wanted.intelSemantics.startsWith('ERR')) {
          expect([name, outcome.verified, named(outcome, 'fail')]).toEqual([name, null, ['tcb-level']]);
          continue;
        }
        const { verified } = outcome;
        expect([name, verified?.status, verified?.advisories, verified?.qe.status]).toEqual([name, wanted.intelSemantics, wanted.advisories, wanted.qe]);
        expect([name, verified === null ? null : new Date(verified.platform.dateMs).toISOString().slice(0, 10)]).toEqual([name, wanted.tcbDate]);
        expect([name, moduleOf(verified?.module ?? null)]).toEqual([name, wanted.tdxModule ?? null]);
        const failed = [...(wanted.intelSemantics === 'UpToDate' ? [] : ['tcb-status', 'advisories']), ...(wanted.flags === '' ? [] : [FLAGS[wanted.flags]])];
        expect([name, named(outcome, 'fail')]).toEqual([name, failed]);
      }
      for (const time of [validFromMs - 1000, validToMs + 1000]) expect([name, at(time).verified]).toEqual([name, null]);
    }
  });

  real('judgeDcap: what the manifest flags is refused by every policy that does not name it, whatever statuses it names', () => {
    expect(realCases.length).toBeGreaterThanOrEqual(27);
    for (const { name, quote, collateral, nowMs, expect: wanted } of realCases) {
      const outcome = judgeDcap({ quote, collateral, nowMs, policy: tolerant(wanted.advisories ?? []) });
      const accepted = !wanted.intelSemantics.startsWith('ERR') && wanted.flags === '';
      expect([name, outcome.verdict.overall]).toEqual([name, accepted ? 'pass' : 'fail']);
    }
  });

  real('parseQuote: reads every real quote, also those without collateral', () => {
    expect(realQuotes.length).toBeGreaterThanOrEqual(30);
    for (const { name, bytes, version } of realQuotes) expect([name, parseQuote(bytes).version]).toEqual([name, version]);
  });
});
