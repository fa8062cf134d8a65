// Every hash and signature of genuine evidence is explained and holds; the bytes shown are those of the file at the offsets
// shown; what was changed does not hold.
import { createHash } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { equalBytes, toHex } from '../../src/core/bytes.ts';
import { makeCertificate } from '../../src/tee/certificate-make.ts';
import { parseEvidenceFile } from '../../src/tee/evidence-file.ts';
import { explainEvidence, stepData } from '../../src/tee/explain.ts';
import { reportDataOf } from '../../src/tee/report-data.ts';
import { generateTlsKeys } from '../../src/tee/tls-keys.ts';
import { forgeCollateral, forgeReport, SNP_NOW } from '../fakes/snp-forge.ts';
import { vector } from './vectors.ts';

const utf8 = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
const HASH = { 'SHA-256': 'sha256', 'SHA-512': 'sha512' } as const;

describe('explainEvidence', () => {
  it.each<[string, () => Uint8Array, number]>([
    ['a TD 1.5 quote', () => vector('attestation/tdx-synthetic/valid_v5_td15.json'), 12], ['an SGX quote', () => vector('attestation/tdx-synthetic/valid_sgx_v3.json'), 11],
    ['a SEV-SNP report', () => utf8({ report_hex: toHex(forgeReport()), collateral: forgeCollateral() }), 6],
  ])('everything in %s holds, and the digests are those of the bytes shown', (_name, make, count) => {
    const file = parseEvidenceFile(make());
    const steps = explainEvidence(file);
    expect(steps.length).toBe(count);
    expect(steps.filter(({ holds }) => holds === false)).toEqual([]);
    const whole = file.cpu?.kind === 'dcap' ? file.cpu.quote : file.cpu?.kind === 'sev-snp' ? file.cpu.report : new Uint8Array(0);
    for (const { name, operation, over, digest, against, key } of steps) {
      for (const piece of [...over, against, key]) {
        if (piece === null || piece.offset === null) continue;
        expect([name, piece.what, equalBytes(whole.subarray(piece.offset, piece.offset + piece.bytes.length), piece.bytes)]).toEqual([name, piece.what, true]);
      }
      if (operation === 'SHA-256' || operation === 'SHA-512') {
        const sum = createHash(HASH[operation]).update(Buffer.concat(over.map(({ bytes }) => bytes))).digest('hex');
        expect([name, digest === null ? null : toHex(digest)]).toEqual([name, sum]);
      }
    }
  });

  it.each([['bad_quote_sig', 'quote signature'], ['bad_qe_hash', 'attestation key'], ['bad_qe_sig', 'QE report signature'], ['pck_crl_forged_sig', 'PCK CRL']])('%s: %s does not hold', (name, step) => {
    const failed = explainEvidence(parseEvidenceFile(vector(`attestation/tdx-synthetic/${name}.json`))).filter(({ holds }) => holds === false);
    expect(failed.map((one) => one.name)).toContain(step);
  });

  it('a certificate binds its key to the report data of its evidence', () => {
    const keys = generateTlsKeys();
    const reportData = reportDataOf(keys.publicKey);
    const make = (report: Uint8Array) => explainEvidence(parseEvidenceFile(makeCertificate({
      keys, notBefore: SNP_NOW, evidence: { family: 'sev-snp', report, reportData, vcekPem: Buffer.from(forgeCollateral().vek) },
    }).certificateDer)).map(({ name, holds }) => [name, holds]);
    expect(make(forgeReport({ patches: [[80, reportData]] }))).toEqual([['certificate', true], ['image hash', null], ['key binding', true]]);
    expect(make(forgeReport())).toEqual([['certificate', true], ['image hash', null], ['key binding', false]]);
  });

  it('stepData: lengths and hexadecimal of every piece', () => {
    const [first] = explainEvidence(parseEvidenceFile(vector('attestation/tdx-synthetic/valid_v4.json'))).map(stepData);
    expect(first).toMatchObject({ name: 'quote signature', over: [{ offset: 0, length: 632 }], against: { offset: 636, length: 64 }, key: { offset: 700, length: 64 }, holds: true });
    expect(first?.over[0]?.hex).toHaveLength(1264);
  });
});
