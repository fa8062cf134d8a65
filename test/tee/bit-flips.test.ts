// Whole files with evidence of each family, one bit changed at a time, through the same door as `attest verify`: nothing that
// is not the same content in another writing (hexadecimal in capitals, line ends of PEM) is accepted changed. By default one
// bit of some bytes all over the file; COCOON_FLIP_STEP=1 takes every byte, COCOON_ALL_BITS=1 all eight bits of each.
import { describe, expect, it } from '@jest/globals';
import { toHex } from '../../src/core/bytes.ts';
import { AttestationError } from '../../src/core/errors.ts';
import { makeCertificate } from '../../src/tee/certificate-make.ts';
import { parseEvidenceFile } from '../../src/tee/evidence-file.ts';
import { judgeEvidence } from '../../src/tee/evidence-file-judge.ts';
import type { JudgeInput, TrustRoots } from '../../src/tee/evidence-file-judge.ts';
import { defaultPolicyDocument, policyOfDocument, withAnyMeasurement } from '../../src/tee/policy-file.ts';
import type { AttestationPolicy } from '../../src/tee/policy-file.ts';
import { reportDataOf } from '../../src/tee/report-data.ts';
import { generateTlsKeys } from '../../src/tee/tls-keys.ts';
import { certificatesOfPem } from '../../src/tee/x509/pem.ts';
import { forge } from '../fakes/dcap-forge.ts';
import { FORGED_GPU_POLICY, FORGED_ROOTS, forgeMachine, GPU_NONCE, GPU_NOW } from '../fakes/nvidia-forge.ts';
import { AUTHORITIES, FORGED_POLICY, forgeCollateral, forgeReport, rootsOf, SNP_NOW } from '../fakes/snp-forge.ts';

const STEP = Number(process.env['COCOON_FLIP_STEP'] ?? 0);
const ALL_BITS = process.env['COCOON_ALL_BITS'] === '1';
/** Flips of one file by default; a prime step spreads them over it. */
const DEFAULT_FLIPS = 400;

const open = policyOfDocument(withAnyMeasurement(defaultPolicyDocument()), 'open');
const keys = generateTlsKeys();
const reportData = reportDataOf(keys.publicKey);
const text = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));

interface Family { readonly name: string; readonly bytes: Uint8Array; readonly nowMs: number; readonly roots: TrustRoots; readonly policy: AttestationPolicy; readonly nonce: Uint8Array | null; readonly fetched: JudgeInput['fetched'] }

const td = forge({ body: 'td15' });
const sgx = forge({ body: 'sgx' });
const held = forge({ body: 'td10', td: { reportData } });
const snp = { ...open, snp: FORGED_POLICY };
const amd = { amd: rootsOf(AUTHORITIES, 'Genoa') };
const texts = forgeCollateral();
const NONE = { nonce: null, fetched: {} };
const FAMILIES: readonly Family[] = [
  { ...NONE, name: 'a TDX bundle', bytes: text({ quote_hex: toHex(td.quote), collateral: td.collateral }), nowMs: td.nowMs, roots: { intel: td.root }, policy: open },
  { ...NONE, name: 'an SGX bundle', bytes: text({ quote_hex: toHex(sgx.quote), collateral: sgx.collateral }), nowMs: sgx.nowMs, roots: { intel: sgx.root }, policy: open },
  { ...NONE, name: 'a SEV-SNP bundle', bytes: text({ report_hex: toHex(forgeReport()), collateral: texts }), nowMs: SNP_NOW, roots: amd, policy: snp },
  { ...NONE, name: 'a raw SEV-SNP report', bytes: forgeReport(), nowMs: SNP_NOW, roots: amd, policy: snp, fetched: { snp: texts } },
  { ...NONE, name: 'a raw TDX quote', bytes: td.quote, nowMs: td.nowMs, roots: { intel: td.root }, policy: open, fetched: { dcap: td.collateral } },
  {
    ...NONE, name: 'a certificate with a TDX quote', bytes: makeCertificate({ keys, evidence: { family: 'tdx', quote: held.quote }, notBefore: held.nowMs - 1000 }).certificateDer, nowMs: held.nowMs, roots: { intel: held.root }, policy: open,
    fetched: { dcap: held.collateral },
  },
  {
    ...NONE, name: 'a certificate with a SEV-SNP report', nowMs: SNP_NOW, roots: amd, policy: snp, fetched: { snp: texts },
    bytes: makeCertificate({ keys, evidence: { family: 'sev-snp', report: forgeReport({ patches: [[80, reportData]] }), reportData, vcekPem: Buffer.from(texts.vek) }, notBefore: SNP_NOW - 1000 }).certificateDer,
  },
  { ...NONE, name: 'a GPU bundle', bytes: text(forgeMachine()), nowMs: GPU_NOW, roots: { nvidia: FORGED_ROOTS }, policy: { ...open, nvidia: FORGED_GPU_POLICY }, nonce: GPU_NONCE },
];

/** What a file says, whatever way it is written; null for what is no JSON. */
function meaningOf(bytes: Uint8Array): string | null {
  try {
    return JSON.stringify(JSON.parse(Buffer.from(bytes).toString('latin1')), (_name, value: unknown) => {
      if (typeof value !== 'string') return value;
      if (/^([0-9a-fA-F]{2})+$/.test(value)) return value.toLowerCase();
      const pem = value.includes('-----BEGIN') ? value : Buffer.from(value, 'base64').toString('latin1');
      return pem.startsWith('-----BEGIN') ? certificatesOfPem(pem, 'the text', 8).map(toHex) : value;
    });
  } catch {
    return null;
  }
}

function verdictOf({ nowMs, roots, policy, nonce, fetched }: Family, bytes: Uint8Array): string {
  try {
    return judgeEvidence({ file: parseEvidenceFile(bytes), fetched, policy, nowMs, nonce, roots, local: null, images: null, anySimulatedImage: false }).overall;
  } catch (error) {
    if (!(error instanceof AttestationError)) throw error;
    return 'malformed';
  }
}

describe('judgeEvidence: one changed bit in a whole file', () => {
  it.each(FAMILIES.map((family) => [family.name, family] as const))('%s', (_name, family) => {
    expect(verdictOf(family, family.bytes)).toBe('pass');
    const meaning = meaningOf(family.bytes);
    const bytes = Uint8Array.from(family.bytes);
    const step = STEP > 0 ? STEP : Math.max(1, Math.floor(bytes.length / DEFAULT_FLIPS)) | 1;
    const accepted: string[] = [];
    let refused = 0;
    for (let at = 0; at < bytes.length; at += step) {
      const before = bytes[at] ?? 0;
      for (const bit of ALL_BITS ? [0, 1, 2, 3, 4, 5, 6, 7] : [at % 8]) {
        bytes[at] = before ^ (1 << bit);
        if (verdictOf(family, bytes) !== 'pass') refused += 1;
        else if (meaning === null || meaningOf(bytes) !== meaning) accepted.push(`byte ${at}, bit ${bit}: ${Buffer.from(family.bytes.subarray(Math.max(0, at - 30), at + 10)).toString('latin1')}`);
      }
      bytes[at] = before;
    }
    expect(accepted).toEqual([]);
    expect(refused).toBeGreaterThan(100);
  }, 7_200_000);
});
