// Real SEV-SNP reports with their chip keys under AMD's own roots. Third-party files: read from ../shared where present.
// No revocation list of AMD's is among them, so that the list is a forged one and its check is the only one to fail.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { judgeSnp } from '../../../src/tee/snp/judge.ts';
import type { SnpJudgement } from '../../../src/tee/snp/judge.ts';
import { parseSnpReport } from '../../../src/tee/snp/parse-report.ts';
import { STRICT_SNP_POLICY } from '../../../src/tee/snp/policy.ts';
import type { SnpPolicy } from '../../../src/tee/snp/policy.ts';
import { tcbOf } from '../../../src/tee/snp/products.ts';
import type { SnpProduct } from '../../../src/tee/snp/products.ts';
import { parseX509 } from '../../../src/tee/x509/certificate.ts';
import { forgeSnp } from '../../fakes/snp-forge.ts';
import { checkOf, expectFailure, named } from '../verdict-of.ts';

const folder = new URL('../../../../shared/attestation/vectors/snp/', import.meta.url);
const present = existsSync(folder);
const vectors = present ? describe : describe.skip;
const file = (name: string): Uint8Array => new Uint8Array(readFileSync(new URL(name, folder)));

const none = { fmc: 0, bootloader: 0, tee: 0, snp: 0, microcode: 0 };
const OPEN: SnpPolicy = {
  ...STRICT_SNP_POLICY, products: ['Milan', 'Genoa', 'Turin'], minimumTcb: { Milan: none, Genoa: none, Turin: none }, allowSmt: true, requireAliasCheck: false, anyMeasurement: true,
};

function judged(report: string, product: SnpProduct, nowMs: number, policy: Partial<SnpPolicy> = {}, vek = report): SnpJudgement {
  const root = product.toLowerCase();
  return judgeSnp({
    report: file(`${report}.report.bin`), policy: { ...OPEN, ...policy }, nowMs, reportData: null,
    collateral: {
      vek: parseX509(file(vek.endsWith('.der') ? vek : `${vek}.vek.der`)), ask: parseX509(file(`roots/${root}-ask.der`)), ark: parseX509(file(`roots/${root}-ark.der`)),
      crl: forgeSnp({ product }).collateral.crl,
    },
  });
}

interface Case {
  readonly name: string;
  readonly product: SnpProduct;
  readonly version: number;
  readonly now: string;
  readonly reported: readonly [bootloader: number, tee: number, snp: number, microcode: number];
  readonly current: readonly [bootloader: number, tee: number, snp: number, microcode: number];
  readonly policy: bigint;
  readonly refused: readonly string[];
}

const CASES: readonly Case[] = [
  { name: 'genoa-v3-microsoft', product: 'Genoa', version: 3, now: '2026-03-01', reported: [10, 0, 23, 84], current: [10, 0, 23, 84], policy: 0x3001fn, refused: [] },
  { name: 'milan-dstack', product: 'Milan', version: 3, now: '2026-07-01', reported: [4, 0, 23, 213], current: [4, 0, 24, 213], policy: 0x30000n, refused: [] },
  { name: 'milan-v2-azure-hcl', product: 'Milan', version: 2, now: '2024-01-01', reported: [3, 0, 8, 115], current: [3, 0, 8, 210], policy: 0x3001fn, refused: [] },
  { name: 'milan-v2-google-DEBUG', product: 'Milan', version: 2, now: '2023-01-01', reported: [2, 0, 5, 68], current: [2, 0, 5, 68], policy: 0xb0000n, refused: ['guest-debug'] },
  { name: 'milan-v2-trustee', product: 'Milan', version: 2, now: '2024-01-01', reported: [3, 0, 8, 115], current: [3, 0, 8, 206], policy: 0x3001fn, refused: [] },
  { name: 'milan-v2-virtee', product: 'Milan', version: 2, now: '2024-01-01', reported: [3, 0, 8, 115], current: [3, 0, 8, 115], policy: 0x30000n, refused: [] },
  { name: 'milan-v3-microsoft', product: 'Milan', version: 3, now: '2026-03-01', reported: [4, 0, 24, 219], current: [4, 0, 24, 219], policy: 0x3001fn, refused: [] },
  { name: 'milan-v5-gcp-teekit-VMPL1-x25519', product: 'Milan', version: 5, now: '2026-01-01', reported: [4, 0, 27, 222], current: [4, 0, 27, 222], policy: 0x30000n, refused: ['vmpl'] },
  { name: 'milan-v5-gcp-teekit', product: 'Milan', version: 5, now: '2026-01-01', reported: [4, 0, 27, 222], current: [4, 0, 27, 222], policy: 0x30000n, refused: [] },
];

vectors('real SEV-SNP reports (../shared)', () => {
  it.each(CASES)('judgeSnp: $name as its manifest says', ({ name, product, version, now, reported, current, policy, refused }) => {
    const { verdict, report, vek } = judged(name, product, Date.parse(now));
    const tcb = (bytes: Uint8Array): readonly number[] => {
      const { bootloader, tee, snp, microcode } = tcbOf(bytes, product, name);
      return [bootloader, tee, snp, microcode];
    };
    expectFailure(verdict, 'crl', ...refused);
    expect(named(verdict, 'skip')).toEqual(['revocation']);
    expect([report?.version, report?.policy, report?.signer, vek?.kind, vek?.product]).toEqual([version, policy, 'VCEK', 'VCEK', product]);
    expect([report?.reportedTcb, report?.currentTcb].map((bytes) => tcb(bytes ?? new Uint8Array()))).toEqual([reported, current]);
    for (const check of ['root', 'chain', 'chip-key', 'chip-key-names', 'report-signature', 'chip-id', 'reported-tcb']) expect([check, checkOf(verdict, check).result]).toEqual([check, 'pass']);
  });

  it.each(CASES)('judgeSnp: $name is refused outside the validity of its chip key, and under the default policy', ({ name, product, now }) => {
    expectFailure(judged(name, product, Date.parse('2040-01-01')).verdict, 'chain');
    expectFailure(judged(name, product, Date.parse('2021-01-01')).verdict, 'chain');
    const strict = named(judged(name, product, Date.parse(now), STRICT_SNP_POLICY).verdict, 'fail');
    expect(strict).toContain('guest-smt');
    expect(strict.includes('product')).toBe(product === 'Milan');
  });

  it.each(['legacy', 'new'])('judgeSnp: the %s chip key that its authority has not signed', (kind) => {
    expectFailure(judged('milan-v2-trustee', 'Milan', Date.parse('2024-01-01'), {}, `milan-v2-trustee.NEG-vcek-invalid-${kind}.der`).verdict, 'chain');
  });

  it('judgeSnp: no report passes under the chain of another generation', () => {
    for (const { name, product, now } of CASES) {
      for (const other of ['Milan', 'Genoa', 'Turin'] as const) if (other !== product) expectFailure(judged(name, other, Date.parse(now)).verdict, 'chain');
    }
  });

  it('judgeSnp: no report passes with the chip key of another one', () => {
    expectFailure(judged('milan-v3-microsoft', 'Milan', Date.parse('2026-07-01'), {}, 'milan-dstack').verdict, 'crl', 'report-signature');
  });

  it('parseSnpReport: finds the report in Azure\'s envelope', () => {
    const envelope = Buffer.from(file('azure-hcl-report.bin'));
    const report = parseSnpReport(envelope.subarray(32, 32 + 1184));
    expect(report).toEqual(parseSnpReport(file('milan-v2-azure-hcl.report.bin')));
    // The runtime claims behind it are what its report data is the hash of.
    const claims = envelope.subarray(envelope.indexOf('{', 32 + 1184), envelope.lastIndexOf('}') + 1);
    expect(Buffer.from(report.reportData).toString('hex')).toBe(`${createHash('sha256').update(claims).digest('hex')}${'00'.repeat(32)}`);
  });

  it('judgeSnp: every report of the folder is among the cases', () => {
    const names = readdirSync(folder).filter((name) => name.endsWith('.report.bin')).map((name) => name.replace('.report.bin', ''));
    expect(names.sort()).toEqual(CASES.map(({ name }) => name).sort());
  });
});
