// Every check of the SEV-SNP verifier both ways, on forged machines; single bits changed over whole reports.
import { describe, expect, it } from '@jest/globals';
import { malformed } from '../../../src/tee/refusal.ts';
import { judgeSnp } from '../../../src/tee/snp/judge.ts';
import { parseSnpReport } from '../../../src/tee/snp/parse-report.ts';
import { STRICT_SNP_POLICY } from '../../../src/tee/snp/policy.ts';
import type { SnpPolicy } from '../../../src/tee/snp/policy.ts';
import { SNP_PRODUCTS } from '../../../src/tee/snp/products.ts';
import { verifiesWith } from '../../../src/tee/x509/signature.ts';
import { sevImageHash } from '../../../src/tee/image-hash.ts';
import {
  ASK_SERIAL, AUTHORITIES, FORGED_POLICY, GOOD_TCB, GUEST_POLICY, MEASUREMENT, OTHER_AUTHORITIES, REPORT_DATA, SNP_NOW, chipIdOf, derInteger, derText, forgeReport, forgeSnp,
  rootsOf, rsaAuthorities, tcbBytes, u64,
} from '../../fakes/snp-forge.ts';
import type { SnpForgery } from '../../fakes/snp-forge.ts';
import { acceptedOrRefused } from '../expect-error.ts';
import { checkOf, expectFailure, expectPass, named } from '../verdict-of.ts';

const AMD = '1.3.6.1.4.1.3704.1';
const DAY = 86_400_000;
const judged = (forgery: SnpForgery = {}, policy: Partial<SnpPolicy> = {}) => judgeSnp(forgeSnp(forgery, policy)).verdict;

describe('judgeSnp, genuine machines', () => {
  it.each([2, 3, 4, 5])('judgeSnp: accepts a report of version %i', (version) => { expectPass(judged({ version })); });
  it.each(SNP_PRODUCTS)('judgeSnp: accepts a %s, named bare', (product) => { expectPass(judged({ product })); });
  it.each(SNP_PRODUCTS)('judgeSnp: accepts a %s, named with its stepping', (product) => { expectPass(judged({ product, productName: `${product}-B1` })); });

  it('judgeSnp: accepts a VLEK where the policy names it, without judging the chip', () => {
    const verdict = judged({ signer: 'VLEK' }, { signers: ['VLEK'] });
    expectPass(verdict);
    expect(checkOf(verdict, 'chip-id').result).toBe('info');
  });

  it('judgeSnp: accepts a chain of 4096-bit RSA keys, as AMD has', () => {
    expectPass(judged({ authorities: rsaAuthorities() }));
  });

  it('judgeSnp: expires with the first of its collateral', () => {
    expect(judged().expiresAtMs).toBe(SNP_NOW + 30 * DAY);
    expect(judged({ vekNotAfter: SNP_NOW + DAY }).expiresAtMs).toBe(SNP_NOW + DAY);
  });

  it('judgeSnp: returns the image hash as root contracts list it', () => {
    expect(judgeSnp(forgeSnp()).imageHash).toEqual(sevImageHash(MEASUREMENT));
  });

  it('judgeSnp: shows that the root was given by the caller', () => {
    expect(checkOf(judged(), 'trust-root').result).toBe('info');
  });
});

describe('judgeSnp, who vouches', () => {
  it('root: refuses a root that is not pinned, and says nothing about the rest', () => {
    const { roots: _, ...input } = forgeSnp();
    const { verdict, vek } = judgeSnp(input);
    expectFailure(verdict, 'root');
    expect([vek, verdict.expiresAtMs, named(verdict, 'pass')]).toEqual([null, null, ['parse']]);
  });

  it('root: refuses a certificate of the pinned key that the key has not signed', () => {
    const { vek, ask, ark, crl } = forgeSnp().collateral;
    const forged = { ...ark, signature: ask.signature };
    expectFailure(judgeSnp({ ...forgeSnp(), collateral: { vek, ask, ark: forged, crl } }).verdict, 'root');
  });

  it('root: refuses the root of another product', () => {
    const verdict = judgeSnp({ ...forgeSnp(), roots: rootsOf(AUTHORITIES, 'Milan') }).verdict;
    expectFailure(verdict, 'chip-key-names');
  });

  it('chain: refuses a chip key signed by another authority', () => {
    const { collateral } = forgeSnp({ authorities: { ...AUTHORITIES, ask: OTHER_AUTHORITIES.ask } });
    expectFailure(judgeSnp({ ...forgeSnp(), collateral: { ...forgeSnp().collateral, vek: collateral.vek } }).verdict, 'chain');
  });

  it('chain: refuses an expired chip key and one of tomorrow', () => {
    expectFailure(judged({ vekNotAfter: SNP_NOW - DAY }), 'chain');
    expectFailure(judgeSnp({ ...forgeSnp(), nowMs: SNP_NOW - 101 * DAY }).verdict, 'chain');
    expectFailure(judgeSnp({ ...forgeSnp(), nowMs: NaN }).verdict, 'chain');
  });

  it('chain: refuses an authority in place of the chip key', () => {
    const { collateral } = forgeSnp();
    expectFailure(judgeSnp({ ...forgeSnp(), collateral: { ...collateral, vek: collateral.ask } }).verdict, 'chain');
  });

  it.each([
    ['VCEK under the authority of VLEKs', { names: { ask: 'SEV-VLEK-Genoa' } }], ['VLEK under the authority of VCEKs', { signer: 'VLEK', names: { ask: 'SEV-Genoa' } }],
    ['chip key of another name', { names: { vek: 'SEV-OTHER' } }], ['root of another name', { names: { ark: 'ARK-Milan' } }], ['product of another name', { productName: 'Turin' }],
  ] satisfies [string, SnpForgery][])('chip-key-names: refuses a %s', (_, forgery) => {
    const failed = named(judged(forgery), 'fail');
    expect(failed).toHaveLength(1);
    expect(['chip-key', 'chip-key-names']).toContain(failed[0]);
  });

  it.each([
    ['no product name', { [`${AMD}.2`]: null }], ['an unknown product', { [`${AMD}.2`]: derText('Siena') }], ['a name with more after the stepping', { [`${AMD}.2`]: derText('Genoa-B1x') }],
    ['no TCB part', { [`${AMD}.3.3`]: null }], ['a TCB part above 255', { [`${AMD}.3.3`]: Uint8Array.of(2, 2, 1, 0) }], ['an unused part in use', { [`${AMD}.3.4`]: derInteger(1) }],
    ['an FMC version', { [`${AMD}.3.9`]: derInteger(1) }], ['neither chip nor provider', { [`${AMD}.4`]: null }], ['chip and provider', { [`${AMD}.5`]: derText('cloud') }],
    ['a chip id of 63 bytes', { [`${AMD}.4`]: new Uint8Array(63) }], ['structure version 2', { [`${AMD}.1`]: derInteger(2) }], ['bytes after a number', { [`${AMD}.3.3`]: Uint8Array.of(2, 1, 1, 0) }],
  ] satisfies [string, Record<string, Uint8Array | null>][])('chip-key: refuses a chip key with %s', (_, extensions) => { expectFailure(judged({ extensions }), 'chip-key'); });

  it('chip-key: refuses a Turin key with a chip id of 64 bytes', () => {
    expectFailure(judged({ product: 'Turin', extensions: { [`${AMD}.4`]: chipIdOf('Genoa') } }), 'chip-key');
  });

  it.each([
    ['expired', { nextUpdate: SNP_NOW - DAY / 2 }], ['of tomorrow', { thisUpdate: SNP_NOW + DAY }], ['signed by another key', { key: OTHER_AUTHORITIES.ark }], ['of another issuer', { issuer: 'ARK-Other' }],
  ])('crl: refuses a list %s', (_, crl) => { expectFailure(judged({ crl }), 'crl'); });

  it('revocation: refuses a revoked authority, and no other', () => {
    expectFailure(judged({ crl: { revoked: [ASK_SERIAL] } }), 'revocation');
    expectPass(judged({ crl: { revoked: [ASK_SERIAL + 1] } }));
  });

  it('report-signature: refuses a report by another chip', () => {
    expectFailure(judgeSnp({ ...forgeSnp(), report: forgeReport({ authorities: OTHER_AUTHORITIES }) }).verdict, 'report-signature');
  });
});

describe('judgeSnp, report and chip key agree', () => {
  it('signer: refuses a VLEK report with a VCEK', () => {
    expectFailure(judgeSnp({ ...forgeSnp({}, { signers: ['VLEK'] }), report: forgeReport({ signer: 'VLEK' }) }).verdict, 'signer');
  });

  it('chip-id: refuses another chip, a masked one and bytes behind a Turin\'s', () => {
    expectFailure(judged({ patches: [[416, Uint8Array.of(99)]] }), 'chip-id');
    expectFailure(judged({ patches: [[416, new Uint8Array(64)], [72, Uint8Array.of(2)]] }), 'chip-id');
    expectFailure(judged({ product: 'Turin', patches: [[479, Uint8Array.of(1)]] }), 'chip-id');
  });

  it('cpu: refuses the processor of another product, and an unknown one', () => {
    expectFailure(judged({ patches: [[392, Uint8Array.of(0x19, 0x01)]] }), 'cpu');
    expectFailure(judged({ patches: [[392, Uint8Array.of(0x17, 0x31)]] }), 'cpu');
    expectPass(judged({ patches: [[392, Uint8Array.of(0x19, 0xa0)]] }));
  });

  it.each(['bootloader', 'tee', 'snp', 'microcode'] as const)('reported-tcb: refuses a chip key whose %s differs, up and down', (part) => {
    const tcb = { fmc: 0, bootloader: 20, tee: 20, snp: 40, microcode: 100 };
    expectFailure(judged({ tcb, vekTcb: { ...tcb, [part]: tcb[part] + 1 } }), 'reported-tcb');
    expectFailure(judged({ tcb, vekTcb: { ...tcb, [part]: tcb[part] - 1 } }), 'reported-tcb');
  });

  it('reported-tcb: compares the FMC of a Turin', () => {
    const tcb = GOOD_TCB.Turin;
    expectFailure(judged({ product: 'Turin', tcb, vekTcb: { ...tcb, fmc: 2 } }), 'reported-tcb');
  });

  it('tcb-layout: refuses reserved bytes, and leaves the minimum unmade', () => {
    const verdict = judged({ patches: [[480, Uint8Array.of(10, 0, 1)]] });
    expectFailure(verdict, 'tcb-layout');
    expect(named(verdict, 'skip')).toEqual(['reported-tcb', 'minimum-tcb']);
  });
});

describe('judgeSnp, policy', () => {
  it('product: refuses Milan unless the policy names it', () => {
    expectFailure(judged({ product: 'Milan' }, { products: STRICT_SNP_POLICY.products }), 'product');
    expectPass(judged({ product: 'Milan' }, { products: ['Milan'] }));
  });

  it('key-kind: refuses a VLEK by default', () => { expectFailure(judged({ signer: 'VLEK' }), 'key-kind'); });

  it('STRICT_SNP_POLICY: is incomplete, for want of a minimum TCB and of an image', () => {
    const strict = judgeSnp({ ...forgeSnp(), policy: STRICT_SNP_POLICY }).verdict;
    expect([strict.overall, named(strict, 'skip')]).toEqual(['incomplete', ['minimum-tcb', 'image']]);
  });

  it.each([['committed', 480], ['current', 56], ['launch', 496], ['reported', 384]] as const)('minimum-tcb: refuses a low %s TCB in each part', (_, offset) => {
    const tcb = { fmc: 0, bootloader: 20, tee: 20, snp: 40, microcode: 100 };
    for (const part of ['bootloader', 'tee', 'snp', 'microcode'] as const) {
      const low = tcbBytes({ ...tcb, [part]: tcb[part] - 1 }, 'Genoa');
      const vekTcb = offset === 384 ? { ...tcb, [part]: tcb[part] - 1 } : tcb;
      expectFailure(judged({ tcb, vekTcb, patches: [[offset, low]] }, { minimumTcb: { Genoa: tcb } }), 'minimum-tcb');
      expectPass(judged({ tcb, vekTcb, patches: [[offset, low]] }, { minimumTcb: { Genoa: { ...tcb, [part]: tcb[part] - 1 } } }));
    }
  });

  it('minimum-tcb: a product without one stays unmade', () => {
    expect(judged({}, { minimumTcb: { Turin: GOOD_TCB.Turin } }).overall).toBe('incomplete');
  });

  it('firmware: compares major, minor and build, current and committed', () => {
    const at = (major: number, minor: number, build: number) => ({ minimumFirmware: { major, minor, build } });
    expectPass(judged({}, at(1, 55, 40)));
    expectPass(judged({}, at(0, 56, 0)));
    expectFailure(judged({}, at(1, 55, 41)), 'firmware');
    expectFailure(judged({}, at(2, 0, 0)), 'firmware');
    expectFailure(judged({ patches: [[492, Uint8Array.of(39)]] }, at(1, 55, 40)), 'firmware');
    expectFailure(judged({ patches: [[488, Uint8Array.of(39)]] }, at(1, 55, 40)), 'firmware');
  });

  it('mitigations: must be in both vectors', () => {
    expectPass(judged({}, { requiredMitigations: 0xbn }));
    expectFailure(judged({}, { requiredMitigations: 0x4n }), 'mitigations');
    expectFailure(judged({ version: 4 }, { requiredMitigations: 1n }), 'mitigations');
  });

  it.each([
    ['guest-debug', 19n, 'allowDebug'], ['guest-migration', 18n, 'allowMigrationAgent'], ['guest-smt', 16n, 'allowSmt'], ['guest-cxl', 21n, 'allowCxl'],
  ] as const)('%s: refused unless the policy allows it', (check, bit, field) => {
    const forgery = { policy: GUEST_POLICY | 1n << bit };
    expectFailure(judged(forgery), check);
    const allowed = judged(forgery, { [field]: true });
    expect([allowed.overall, checkOf(allowed, check).result]).toEqual(['pass', 'skip']);
  });

  it('guest-smt: a guest that allows SMT passes on a platform that has it off and that it cannot leave', () => {
    const off = [[64, Uint8Array.of(0x26)]] as const;
    const allows = GUEST_POLICY | 1n << 16n;
    const verdict = judged({ policy: allows, patches: off });
    expectPass(verdict);
    expect(checkOf(verdict, 'guest-smt').seen).toBe('the guest allows SMT, the platform has it off');
    expectFailure(judged({ policy: allows | 1n << 18n, patches: off }, { allowMigrationAgent: true }), 'guest-smt');
    expect(checkOf(judged(), 'guest-smt')).toMatchObject({ result: 'pass', seen: 'the guest demands that SMT is off, the platform has it on' });
  });

  it('guest-policy-bits: bit 17 must be set and no unknown one', () => {
    expectFailure(judged({ policy: 0n }), 'guest-policy-bits');
    for (const bit of [26n, 40n, 63n]) expectFailure(judged({ policy: GUEST_POLICY | 1n << bit }), 'guest-policy-bits');
  });

  it('guest-protections: must be demanded by the guest', () => {
    expectFailure(judged({}, { requiredProtections: ['ciphertextHiding'] }), 'guest-protections');
    expectPass(judged({ policy: GUEST_POLICY | 1n << 24n }, { requiredProtections: ['ciphertextHiding'] }));
  });

  it('guest-abi: compares major before minor', () => {
    expectPass(judged({ policy: GUEST_POLICY | 0x0137n }, { minimumAbi: { major: 1, minor: 0x37 } }));
    expectPass(judged({ policy: GUEST_POLICY | 0x0200n }, { minimumAbi: { major: 1, minor: 0x37 } }));
    expectFailure(judged({ policy: GUEST_POLICY | 0x0136n }, { minimumAbi: { major: 1, minor: 0x37 } }), 'guest-abi');
    expectFailure(judged({ policy: GUEST_POLICY | 0x00ffn }, { minimumAbi: { major: 1, minor: 0 } }), 'guest-abi');
  });

  it('alias-check: must be done unless waived', () => {
    const forgery = { patches: [[64, u64(0x7n)]] } satisfies SnpForgery;
    expectFailure(judged(forgery), 'alias-check');
    expect(judged(forgery, { requireAliasCheck: false }).overall).toBe('pass');
  });

  it('vmpl: only those of the policy', () => {
    const forgery = { patches: [[48, Uint8Array.of(1)]] } satisfies SnpForgery;
    expectFailure(judged(forgery), 'vmpl');
    expectPass(judged(forgery, { vmpls: [0, 1] }));
  });

  it.each([['id-key', 224, 'idKeyDigests'], ['author-key', 272, 'authorKeyDigests']] as const)('%s: must be a listed one', (check, offset, field) => {
    const digest = new Uint8Array(48).fill(7);
    const forgery = { patches: [[offset, digest], [72, Uint8Array.of(1)]] } satisfies SnpForgery;
    expectPass(judged(forgery));
    expectPass(judged(forgery, { [field]: [new Uint8Array(48).fill(8), digest] }));
    expectFailure(judged(forgery, { [field]: [new Uint8Array(48).fill(8)] }), check);
    expectFailure(judged({}, { [field]: [new Uint8Array(48)] }), check);
    expectFailure(judged({}, { [field]: [] }), check);
  });

  it('author-key: a digest without the flag does not count', () => {
    const digest = new Uint8Array(48).fill(7);
    expectFailure(judged({ patches: [[272, digest]] }, { authorKeyDigests: [digest] }), 'author-key');
  });

  it('host-data: must be the wanted value', () => {
    const hostData = new Uint8Array(32).fill(3);
    expectPass(judged({ patches: [[192, hostData]] }, { hostData }));
    expectFailure(judged({}, { hostData }), 'host-data');
  });

  it('host: must be a listed chip', () => {
    expectPass(judged({}, { chipIds: [chipIdOf('Genoa')] }));
    expectFailure(judged({}, { chipIds: [] }), 'host');
  });

  it('image: by launch digest or by image hash, and never a digest of nothing', () => {
    const other = new Uint8Array(48).fill(1);
    expectFailure(judged({}, { measurements: [other] }), 'image');
    expectFailure(judged({}, { measurements: [] }), 'image');
    expectPass(judged({}, { measurements: null, imageHashes: [sevImageHash(MEASUREMENT)] }));
    expectFailure(judged({}, { measurements: null, imageHashes: [sevImageHash(other)] }), 'image');
    expectPass(judged({}, { measurements: [other, MEASUREMENT], imageHashes: [sevImageHash(MEASUREMENT)] }));
    expectFailure(judged({}, { measurements: [MEASUREMENT], imageHashes: [sevImageHash(other)] }), 'image');
    expectFailure(judged({}, { measurements: [other], imageHashes: [sevImageHash(MEASUREMENT)] }), 'image');
    expectFailure(judged({}, { measurements: [other], imageHashes: [sevImageHash(other)] }), 'image');
    const nothing = { patches: [[144, new Uint8Array(48)]] } satisfies SnpForgery;
    expectFailure(judged(nothing, { measurements: [new Uint8Array(48)] }), 'image');
    expectFailure(judged(nothing, { measurements: null, anyMeasurement: true }), 'image');
  });

  it('image: without a list incomplete, unless any image is accepted', () => {
    expect(judged({}, { measurements: null }).overall).toBe('incomplete');
    expectPass(judged({}, { measurements: [MEASUREMENT], anyMeasurement: true }));
    const any = judged({}, { measurements: null, anyMeasurement: true });
    expect([any.overall, checkOf(any, 'image').result]).toEqual(['pass', 'skip']);
    expectFailure(judged({}, { measurements: [], anyMeasurement: true }), 'image');
  });

  it('report-data: must be what the caller expects', () => {
    expectFailure(judgeSnp({ ...forgeSnp(), reportData: Uint8Array.from(REPORT_DATA, (byte) => byte ^ 1) }).verdict, 'report-data');
    expectFailure(judgeSnp({ ...forgeSnp(), reportData: new Uint8Array(32) }).verdict, 'report-data');
    expect(checkOf(judgeSnp({ ...forgeSnp(), reportData: null }).verdict, 'report-data').result).toBe('info');
  });
});

describe('judgeSnp, changed bits', () => {
  const input = forgeSnp({}, { ...FORGED_POLICY, measurements: null, anyMeasurement: true });
  const changed = (offset: number, bit: number): Uint8Array => {
    const report = Uint8Array.from(input.report);
    report[offset] = (report[offset] ?? 0) ^ 1 << bit;
    return report;
  };

  it('judgeSnp: neither parses nor verifies with a bit of any byte changed', () => {
    const { key } = input.collateral.vek;
    const accepted = input.report.map((_, offset) => offset).filter((offset) => acceptedOrRefused(() => {
      const { signedBytes, signature } = parseSnpReport(changed(offset, offset % 8));
      if (!verifiesWith(key, 'ecdsa-sha384', signedBytes, signature, 'ieee-p1363')) throw malformed('the signature does not verify');
    }));
    expect(accepted).toEqual(new Uint8Array());
  });

  it('judgeSnp: fails with a bit changed in any field', () => {
    expect(judgeSnp({ ...input, reportData: null }).verdict.overall).toBe('pass');
    for (const offset of [0, 4, 8, 16, 32, 48, 52, 56, 64, 72, 80, 144, 192, 224, 272, 320, 352, 384, 392, 416, 480, 488, 492, 496, 504, 512, 600, 672, 719, 744, 800, 1183]) {
      expect([offset, judgeSnp({ ...input, report: changed(offset, 0), reportData: null }).verdict.overall]).toEqual([offset, 'fail']);
    }
  });
});
