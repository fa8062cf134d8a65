// The parsers of SEV-SNP reports and bundles: every field where it belongs, every reserved byte zero, typed errors only.
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { parseSnpBundle, parseSnpCollateral } from '../../../src/tee/snp/bundle.ts';
import { parseSnpReport } from '../../../src/tee/snp/parse-report.ts';
import { productOfName, tcbOf } from '../../../src/tee/snp/products.ts';
import { acceptedOrRefused, expectRefusal } from '../expect-error.ts';
import { GOOD_TCB, MEASUREMENT, REPORT_DATA, chipIdOf, forgeCollateral, forgeReport, tcbBytes, u64 } from '../../fakes/snp-forge.ts';

const report = forgeReport();
const changed = (offset: number, ...bytes: number[]): Uint8Array => {
  const copy = Uint8Array.from(report);
  copy.set(bytes, offset);
  return copy;
};

describe('parseSnpReport', () => {
  it('parseSnpReport: reads every field', () => {
    const parsed = parseSnpReport(forgeReport({ patches: [[16, new Uint8Array(16).fill(1)], [32, new Uint8Array(16).fill(2)], [48, Uint8Array.of(3)], [72, Uint8Array.of(3)],
      [192, new Uint8Array(32).fill(4)], [224, new Uint8Array(48).fill(5)], [272, new Uint8Array(48).fill(6)], [8, u64(0x1234_0000_0002_0137n)]] }));
    expect(parsed).toMatchObject({
      version: 5, guestSvn: 7, policy: 0x1234_0000_0002_0137n, vmpl: 3, platformInfo: 0x27n, signer: 'VCEK', chipKeyMasked: true, authorKeyEnabled: true,
      cpu: { family: 0x19, model: 0x11, stepping: 1 }, currentFirmware: { major: 1, minor: 55, build: 40 }, committedFirmware: { major: 1, minor: 55, build: 40 },
      launchMitigations: 0xbn, currentMitigations: 0xfn,
    });
    expect([parsed.reportData, parsed.measurement, parsed.chipId]).toEqual([REPORT_DATA, MEASUREMENT, chipIdOf('Genoa')]);
    expect([parsed.familyId[0], parsed.imageId[0], parsed.hostData[0], parsed.idKeyDigest[0], parsed.authorKeyDigest[0], parsed.reportId[0], parsed.reportIdMa[0]])
      .toEqual([1, 2, 4, 5, 6, 9, 255]);
    expect([parsed.signedBytes.length, parsed.signature.length]).toEqual([672, 96]);
  });

  it('parseSnpReport: fields of later versions are absent before', () => {
    expect(parseSnpReport(forgeReport({ version: 2 }))).toMatchObject({ cpu: null, launchMitigations: null, currentMitigations: null });
    expect(parseSnpReport(forgeReport({ version: 3 }))).toMatchObject({ cpu: { family: 0x19 }, currentMitigations: null });
  });

  it.each([0, 1, 6, 0x0100])('parseSnpReport: refuses version %i', (version) => {
    expectRefusal(() => parseSnpReport(changed(0, version & 255, version >> 8)), 'E_EVIDENCE_MALFORMED', /version/);
  });

  it.each([0, 2, 257])('parseSnpReport: refuses signature algorithm %i', (algorithm) => {
    expectRefusal(() => parseSnpReport(changed(52, algorithm & 255, algorithm >> 8)), 'E_EVIDENCE_MALFORMED', /signature algorithm/);
  });

  it.each([0, 1183, 1185, 4000])('parseSnpReport: refuses %i bytes', (length) => {
    expectRefusal(() => parseSnpReport(new Uint8Array(length)), 'E_EVIDENCE_MALFORMED', /expected 1184/);
  });

  it.each([0x08, 0x1c, 0x20, 0x1000_0000])('parseSnpReport: refuses key information 0x%s', (word) => {
    expectRefusal(() => parseSnpReport(changed(72, word & 255, word >> 8 & 255, word >> 16 & 255, word >>> 24)), 'E_EVIDENCE_MALFORMED', /key information/);
  });

  it('parseSnpReport: refuses any bit in reserved bytes and padding', () => {
    const reserved = [[76, 80], [395, 416], [491, 492], [495, 496], [520, 672], [720, 744], [792, 1184]] as const;
    for (const [from, to] of reserved) {
      for (let offset = from; offset < to; offset += 1) expectRefusal(() => parseSnpReport(changed(offset, 1 << offset % 8)), 'E_EVIDENCE_MALFORMED', /reserved byte/);
    }
  });

  it('parseSnpReport: refuses fields of later versions in earlier ones', () => {
    const with3 = (offset: number): Uint8Array => forgeReport({ version: offset < 504 ? 2 : 4, patches: [[offset, Uint8Array.of(1)]] });
    for (const offset of [392, 393, 394, 504, 512]) expectRefusal(() => parseSnpReport(with3(offset)), 'E_EVIDENCE_MALFORMED', /reserved byte/);
  });

  it('parseSnpReport: throws typed errors only', () => {
    fc.assert(fc.property(fc.uint8Array({ minLength: 1180, maxLength: 1190 }), (bytes) => { acceptedOrRefused(() => parseSnpReport(bytes)); }), { numRuns: 300 });
    fc.assert(fc.property(fc.array(fc.tuple(fc.nat(1183), fc.nat(255)), { maxLength: 8 }), (edits) => {
      const bytes = Uint8Array.from(report);
      for (const [offset, value] of edits) bytes[offset] = value;
      acceptedOrRefused(() => parseSnpReport(bytes));
    }), { numRuns: 500 });
  });
});

describe('tcbOf, productOfName', () => {
  it('tcbOf: reads both layouts', () => {
    expect(tcbOf(tcbBytes(GOOD_TCB.Genoa, 'Genoa'), 'Genoa', 'current')).toEqual(GOOD_TCB.Genoa);
    expect(tcbOf(tcbBytes(GOOD_TCB.Turin, 'Turin'), 'Turin', 'current')).toEqual(GOOD_TCB.Turin);
  });

  it('tcbOf: refuses reserved bytes and other lengths', () => {
    for (const index of [2, 3, 4, 5]) expectRefusal(() => tcbOf(Uint8Array.from({ length: 8 }, (_, i) => Number(i === index)), 'Milan', 'x'), 'E_EVIDENCE_MALFORMED', /reserved byte/);
    for (const index of [4, 5, 6]) expectRefusal(() => tcbOf(Uint8Array.from({ length: 8 }, (_, i) => Number(i === index)), 'Turin', 'x'), 'E_EVIDENCE_MALFORMED', /reserved byte/);
    expectRefusal(() => tcbOf(new Uint8Array(7), 'Milan', 'x'), 'E_EVIDENCE_MALFORMED', /7 bytes/);
  });

  it('productOfName: bare or with a stepping, nothing else', () => {
    expect(['Milan', 'Milan-B0', 'Genoa-B1', 'Turin-C1'].map(productOfName)).toEqual(['Milan', 'Milan', 'Genoa', 'Turin']);
    for (const name of ['', 'milan', 'Milan-', 'Milan-B', 'Milan-B00', 'Milan-b0', 'Milan B0', 'Siena', 'XMilan', 'Milan\n']) {
      expectRefusal(() => productOfName(name), 'E_EVIDENCE_MALFORMED', /product name/);
    }
  });
});

describe('parseSnpBundle', () => {
  const collateral = forgeCollateral();
  const bundle = { report_hex: Buffer.from(report).toString('hex'), collateral };

  it('parseSnpBundle: reads the documented shape', () => {
    const parsed = parseSnpBundle(JSON.parse(JSON.stringify(bundle)));
    expect(parsed.report).toEqual(report);
    expect(parsed.collateral.ark.subject.commonName).toBe('ARK-Genoa');
  });

  it.each([
    ['not an object', []], ['an unknown member', { ...bundle, extra: 1 }], ['an unknown member of the collateral', { ...bundle, collateral: { ...collateral, extra: 1 } }],
    ['no report', { collateral }], ['a report that is not hexadecimal', { ...bundle, report_hex: 'zz' }], ['a report that is too long', { ...bundle, report_hex: '00'.repeat(1185) }],
    ['one certificate in the chain', { ...bundle, collateral: { ...collateral, cert_chain: collateral.vek } }],
    ['two chip keys', { ...bundle, collateral: { ...collateral, vek: collateral.cert_chain } }], ['an empty list', { ...bundle, collateral: { ...collateral, crl: '' } }],
  ])('parseSnpBundle: refuses %s', (_, value) => { expectRefusal(() => parseSnpBundle(value), 'E_EVIDENCE_MALFORMED', /./); });

  it('parseSnpBundle: throws typed errors only', () => {
    fc.assert(fc.property(fc.jsonValue(), (value) => { acceptedOrRefused(() => parseSnpBundle(value)); }), { numRuns: 200 });
    const hex = collateral.crl;
    fc.assert(fc.property(fc.nat(hex.length - 1), fc.constantFrom(...'0123456789abcdef'), (at, digit) => {
      acceptedOrRefused(() => parseSnpCollateral({ ...collateral, crl: hex.slice(0, at) + digit + hex.slice(at + 1) }));
    }), { numRuns: 200 });
  });
});
