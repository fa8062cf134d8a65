// The tamper test accepts no change of genuine evidence, reaches every field, and does report a change that gets through.
import { describe, expect, it } from '@jest/globals';
import { toHex } from '../../src/core/bytes.ts';
import { parseEvidenceFile } from '../../src/tee/evidence-file.ts';
import type { EvidenceFile } from '../../src/tee/evidence-file.ts';
import { judgeEvidence } from '../../src/tee/evidence-file-judge.ts';
import type { JudgeInput } from '../../src/tee/evidence-file-judge.ts';
import { fieldsOfQuote, SNP_FIELDS } from '../../src/tee/evidence-map.ts';
import { parsePolicy, policyOfDocument } from '../../src/tee/policy-file.ts';
import { selftest } from '../../src/tee/selftest.ts';
import { trustRootsOf } from '../../src/tee/trust-roots.ts';
import { AUTHORITIES, forgeCollateral, forgeReport, GOOD_TCB, MEASUREMENT, rootsOf, SNP_NOW } from '../fakes/snp-forge.ts';
import { vector } from './vectors.ts';

const policy = policyOfDocument(await parsePolicy(JSON.stringify({
  version: 1, tdx: { any_measurement: true }, sgx: { any_measurement: true }, 'sev-snp': { measurements: [toHex(MEASUREMENT)], minimum_tcb: { Genoa: GOOD_TCB.Genoa } },
}), 'p'), 'p');
const base = { fetched: {}, policy, nonce: null, local: null, images: null, anySimulatedImage: false };
const dcap = (name: string): JudgeInput => ({
  ...base, file: parseEvidenceFile(vector(`attestation/tdx-synthetic/${name}.json`)), nowMs: 1_767_225_600_000, roots: trustRootsOf(vector('attestation/tdx-synthetic/root_ca.der')),
});
const snp = (): JudgeInput => ({
  ...base, nowMs: SNP_NOW, roots: { amd: rootsOf(AUTHORITIES, 'Genoa') },
  file: parseEvidenceFile(new TextEncoder().encode(JSON.stringify({ report_hex: toHex(forgeReport()), collateral: forgeCollateral() }))),
});

describe('selftest', () => {
  it.each<[string, () => JudgeInput, number]>([
    ['a TD 1.5 quote', () => dcap('valid_v5_td15'), 450], ['an SGX quote', () => dcap('valid_sgx_v3'), 300], ['a SEV-SNP report', snp, 250],
  ])('every change of %s is refused, and every field is changed', (_name, make, least) => {
    const input = make();
    expect(judgeEvidence(input).overall).toBe('pass');
    const mutations = [...selftest(input, 'fields')];
    expect(mutations.filter(({ refused }) => !refused)).toEqual([]);
    expect(mutations.length).toBeGreaterThan(least);
    const { cpu } = input.file;
    const fields = cpu?.kind === 'dcap' ? fieldsOfQuote(cpu.quote) : SNP_FIELDS;
    const changed = new Set(mutations.filter(({ target }) => target === 'quote' || target === 'report').map(({ field }) => field));
    expect([...changed]).toEqual(fields.map(({ name }) => name));
    expect(new Set(mutations.map(({ target }) => target)).size).toBe(cpu?.kind === 'dcap' ? 10 : 4);
  });

  it('every byte of a SEV-SNP report is changed on request', () => {
    const offsets = new Set<number>();
    for (const { target, offset, refused } of selftest(snp(), 'bytes')) {
      if (target !== 'report') break;
      expect([offset, refused]).toEqual([offset, true]);
      offsets.add(offset);
    }
    expect(offsets.size).toBe(1184);
  });

  it('a change that nothing refuses is reported as accepted', () => {
    const input = snp();
    const { cpu } = input.file;
    if (cpu?.kind !== 'sev-snp' || cpu.collateral === null) throw new Error('expected a report with collateral');
    const file: EvidenceFile = { ...input.file, cpu: { ...cpu, collateral: Object.assign({ note: 'nobody reads this text' }, cpu.collateral) } };
    const accepted = [...selftest({ ...input, file }, 'fields')].filter(({ refused }) => !refused);
    expect(new Set(accepted.map(({ target }) => target))).toEqual(new Set(['collateral.note']));
  });
});

describe('evidence-map', () => {
  it('fields cover all bytes of a quote and a report without gaps', () => {
    for (const name of ['valid_v4', 'valid_v5_td10', 'valid_v5_td15', 'valid_sgx_v3', 'trailing_zeros']) {
      const { cpu } = dcap(name).file;
      if (cpu?.kind !== 'dcap') throw new Error('expected a quote');
      expect(fieldsOfQuote(cpu.quote).reduce((end, { offset, length }) => (offset === end ? end + length : NaN), 0)).toBe(cpu.quote.length);
    }
    expect(SNP_FIELDS.reduce((end, { offset, length }) => (offset === end ? end + length : NaN), 0)).toBe(1184);
  });
});
