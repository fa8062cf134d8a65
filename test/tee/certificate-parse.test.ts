import { createHash, generateKeyPairSync } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { toHex } from '../../src/core/bytes.ts';
import { MAX_QUOTE_BYTES, OID, SEV_REPORT_BYTES, SIMULATED_EVIDENCE_BYTES } from '../../src/tee/certificate-evidence.ts';
import { MAX_CERTIFICATE_BYTES, parseCertificate } from '../../src/tee/certificate-parse.ts';
import { verifyCertificate } from '../../src/tee/certificate-verify.ts';
import { generateTlsKeys } from '../../src/tee/tls-keys.ts';
import { ED25519, NOW, bits, buildCertificate, extension, name, oid, sequence, tlv, utcTime } from './der-writer.ts';
import type { TestCertificate, TestExtension } from './der-writer.ts';
import { acceptedOrRefused, expectRefusal } from './expect-error.ts';
import { jsonVector, ratlsFolder, vector } from './vectors.ts';

interface CertVector {
  readonly ed25519_public_key: string;
  readonly der_sha256: string;
  readonly quote?: string;
  readonly user_claims?: string;
}

const keys = generateTlsKeys();
const build = (fields: TestCertificate): Uint8Array => buildCertificate({ keys, ...fields });
const withExtensions = (...extensions: TestExtension[]): Uint8Array => build({ extensions });
const quoteExtension = (length: number): TestExtension => ({ oid: OID.tdxQuote, value: new Uint8Array(length).fill(1) });
const claims: TestExtension = { oid: OID.tdxUserClaims, value: keys.publicKey };
const sev: readonly TestExtension[] = [
  { oid: OID.sevReportData, value: new Uint8Array(64) },
  { oid: OID.sevReport, value: new Uint8Array(SEV_REPORT_BYTES) },
  { oid: OID.sevVcek, value: Buffer.from('-----BEGIN CERTIFICATE-----\n') },
];
const simulated: TestExtension = { oid: OID.simulated, value: new Uint8Array(SIMULATED_EVIDENCE_BYTES) };

const repeat = (length: number, bytes: Uint8Array): Uint8Array[] => Array.from({ length }, () => bytes);

const malformed = (der: Uint8Array, message: RegExp): void => expectRefusal(() => parseCertificate(der), 'E_EVIDENCE_MALFORMED', message);
const refused = (der: Uint8Array, message: RegExp): void => expectRefusal(() => parseCertificate(der), 'E_EVIDENCE_REFUSED', message);

describe('parseCertificate: captured certificates (WIRE.md section 3)', () => {
  const vectors = jsonVector('wire/cert/cert.json') as Record<string, CertVector>;

  it.each(Object.keys(vectors))('parseCertificate: %s has version 1, the captured key, quote, claims and a good signature', (who) => {
    const expected = vectors[who]!;
    const der = vector(`wire/cert/${who}_cert.der`);
    expect(createHash('sha256').update(der).digest('hex')).toBe(expected.der_sha256);
    const parsed = parseCertificate(der);
    expect(parsed.version).toBe(1);
    expect(parsed.serial).toHaveLength(16);
    expect(toHex(parsed.publicKey)).toBe(expected.ed25519_public_key);
    expect(parsed.notAfter - parsed.notBefore).toBe(86_400_000);
    expect(verifyCertificate(parsed, parsed.notBefore)).toHaveLength(2);
    expect(parsed.evidence).toEqual(expected.quote === undefined
      ? { family: 'none' }
      : { family: 'tdx', quote: new Uint8Array(Buffer.from(expected.quote, 'hex')) });
    if (expected.quote === undefined) return;
    expect(expected.quote).toBe(toHex(vector(`wire/cert/${who}_quote.bin`)));
    expect(expected.user_claims).toBe(toHex(vector(`wire/cert/${who}_user_claims.bin`)));
  });

  it.each(Object.keys(vectors))('parseCertificate: the PEM file of %s holds the same certificate', (who) => {
    const base64 = vector(`wire/cert/${who}_cert.pem`).toString('latin1').replace(/-----[A-Z ]+-----|\s/g, '');
    expect(Buffer.from(base64, 'base64').equals(vector(`wire/cert/${who}_cert.der`))).toBe(true);
  });
});

describe('parseCertificate: third-party attested certificates', () => {
  const files = ratlsFolder === null ? [] : readdirSync(ratlsFolder).filter((file) => file.endsWith('.pem'));
  if (files.length === 0) it.skip('parseCertificate: refuses them by key type (skipped: the third-party vectors are absent)', () => undefined);
  for (const file of files) {
    it(`parseCertificate: refuses ${file}, whose key is not Ed25519`, () => {
      const pem = readFileSync(new URL(file, ratlsFolder ?? undefined), 'latin1');
      const [, base64 = ''] = /-----BEGIN CERTIFICATE-----([^-]+)-----END/.exec(pem) ?? [];
      refused(Buffer.from(base64, 'base64'), /check "key-type": got signature algorithm 1\.2\.[0-9.]+, expected Ed25519/);
    });
  }
});

describe('parseCertificate: structure', () => {
  it('parseCertificate: reads v3 and v1, both with extensions', () => {
    for (const version of [1, 3] as const) {
      const parsed = parseCertificate(build({ ...(version === 1 ? { version: null } : {}), extensions: [quoteExtension(700), claims] }));
      expect(parsed.version).toBe(version);
      expect(parsed.evidence).toEqual({ family: 'tdx', quote: new Uint8Array(700).fill(1) });
    }
  });

  it('parseCertificate: reads a certificate without extensions as one without evidence', () => {
    expect(parseCertificate(build({})).evidence).toEqual({ family: 'none' });
  });

  it('parseCertificate: keeps the last allowed second and the first', () => {
    const parsed = parseCertificate(build({ notBefore: utcTime(NOW), notAfter: tlv(0x18, Buffer.from('99991231235959Z')) }));
    expect(parsed.notBefore).toBe(NOW);
    expect(parsed.notAfter).toBe(Date.UTC(9999, 11, 31, 23, 59, 59));
  });

  const certificate = build({ extensions: [claims, quoteExtension(64)] });
  const trailing = Buffer.concat([certificate, Buffer.of(0)]);
  it.each<[string, Uint8Array, RegExp]>([
    ['nothing', new Uint8Array(0), /certificate sequence in certificate, byte 0, is absent/],
    ['a trailing byte', trailing, /certificate has 1 bytes left over/],
    ['a missing byte', certificate.subarray(0, -1), /claims \d+ bytes, expected at most/],
    ['more bytes than allowed', new Uint8Array(MAX_CERTIFICATE_BYTES + 1), /expected at most 49152/],
    ['an explicit version 1', build({ version: tlv(0xa0, tlv(2, Uint8Array.of(0))) }), /version number 0, expected 2/],
    ['version 2', build({ version: tlv(0xa0, tlv(2, Uint8Array.of(1))) }), /version number 1, expected 2/],
    ['version 4', build({ version: tlv(0xa0, tlv(2, Uint8Array.of(3))) }), /version number 3, expected 2/],
    ['a negative serial number', build({ serial: tlv(2, Uint8Array.of(0x80)) }), /serial number .* is negative/],
    ['a serial number of 21 bytes', build({ serial: tlv(2, new Uint8Array(21).fill(1)) }), /serial number has 21 bytes, expected at most 20/],
    ['a validity that ends before it starts', build({ notAfter: utcTime(NOW - 2 * 86_400_000) }), /validity ends before it starts/],
    ['a name that is not one', build({ issuer: sequence(sequence()), subject: sequence(sequence()) }), /issuer part .* expected set/],
    ['a name of too many parts', build({ issuer: sequence(...repeat(33, name('x').subarray(2))) }), /issuer has more than 32 parts/],
    ['a key of 31 bytes', build({ keyInfo: sequence(ED25519, bits(new Uint8Array(31))) }), /public key has 31 bytes, expected 32/],
    ['a signature of 63 bytes', build({ signature: bits(new Uint8Array(63)) }), /signature has 63 bytes, expected 64/],
    ['algorithm parameters', build({ outerAlgorithm: sequence(oid('1.3.101.112'), tlv(5)) }), /signature algorithm has 2 bytes left over/],
    ['an issuer unique id', build({ rawExtensions: [tlv(0x81, Uint8Array.of(0, 1))] }), /certificate body has 4 bytes left over/],
    ['a critical flag of FALSE', build({ rawExtensions: [tlv(0xa3, sequence(sequence(oid('1.2.3'), Uint8Array.of(1, 1, 0), tlv(4))))] }), /explicit FALSE/],
    ['an extension with something after its value', build({ rawExtensions: [tlv(0xa3, sequence(sequence(oid('1.2.3'), tlv(4), tlv(5))))] }), /extension has 2 bytes left over/],
    ['something after the extensions', build({ rawExtensions: [tlv(0xa3, sequence(extension(claims)), tlv(5))] }), /extensions has 2 bytes left over/],
    ['33 extensions', withExtensions(...Array.from({ length: 33 }, (_, i) => ({ oid: `1.2.3.${i}`, critical: false, value: new Uint8Array(0) }))), /more than 32 extensions/],
    ['the same extension twice', withExtensions(claims, claims), /1\.3\.6\.1\.4\.1\.12345\.2 is there twice/],
    ['the same extension twice, once not critical', withExtensions(simulated, { ...simulated, critical: false }), /9000 is there twice/],
  ])('parseCertificate: refuses %s', (_what, der, message) => malformed(der, message));

  it('parseCertificate: refuses other key and signature types', () => {
    const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'der', type: 'spki' });
    refused(build({ keyInfo: ec }), /check "key-type": got public key algorithm 1\.2\.840\.10045\.2\.1, expected Ed25519 \(1\.3\.101\.112\)/);
    const ed448 = sequence(oid('1.3.101.113'));
    refused(build({ keyInfo: sequence(ed448, bits(new Uint8Array(57))) }), /public key algorithm 1\.3\.101\.113/);
    refused(build({ outerAlgorithm: ed448 }), /got signature algorithm 1\.3\.101\.113/);
    refused(build({ bodyAlgorithm: ed448 }), /got signature algorithm of the body 1\.3\.101\.113/);
  });

  it('parseCertificate: refuses an issuer that is not the subject', () => {
    refused(build({ issuer: name('authority') }), /check "self-signed"/);
  });
});

describe('parseCertificate: standard extensions', () => {
  const standard = (id: string, hex: string): Uint8Array => withExtensions({ oid: id, value: Buffer.from(hex, 'hex') });

  it.each([
    ['basic constraints, empty', '2.5.29.19', '3000'],
    ['key usage digitalSignature', '2.5.29.15', '03020780'],
    ['key usage digitalSignature and keyAgreement', '2.5.29.15', '03020388'],
    ['extended key usage serverAuth', '2.5.29.37', '300a06082b06010505070301'],
    ['extended key usage any', '2.5.29.37', '30060604551d2500'],
    ['subject key identifier', '2.5.29.14', '0404aabbccdd'],
    ['alternative names', '2.5.29.17', '300b82093132372e302e302e31'],
  ])('parseCertificate: accepts %s as critical', (_what, id, hex) => {
    expect(parseCertificate(standard(id, hex)).evidence.family).toBe('none');
  });

  it.each([
    ['CA:TRUE', '2.5.29.19', '30030101ff', /check "not-a-ca": got a certificate with CA:TRUE/],
    ['CA:TRUE with a path length', '2.5.29.19', '30060101ff020100', /check "not-a-ca"/],
    ['a key that may not sign', '2.5.29.15', '03020308', /check "key-usage": got usage bits 0x08/],
    ['no usage at all', '2.5.29.15', '030100', /check "key-usage": got usage bits 0x00/],
    ['a usage other than TLS', '2.5.29.37', '300a06082b06010505070303', /check "key-usage": got extended key usage 1\.3\.6\.1\.5\.5\.7\.3\.3/],
    ['an empty list of usages', '2.5.29.37', '3000', /check "key-usage": got extended key usage without entries/],
  ])('parseCertificate: refuses %s, critical or not', (_what, id, hex, message) => {
    refused(standard(id, hex), message);
    refused(withExtensions({ oid: id, critical: false, value: Buffer.from(hex, 'hex') }), message);
  });

  it.each([
    ['basic constraints that are no sequence', '2.5.29.19', '0500', /expected sequence/],
    ['basic constraints with something else', '2.5.29.19', '30020500', /left over/],
    ['basic constraints with a trailing byte', '2.5.29.19', '300000', /left over/],
    ['an explicit CA:FALSE', '2.5.29.19', '3003010100', /explicit FALSE/],
    ['key usage of another type', '2.5.29.15', '04020780', /expected bitString/],
    ['an extended key usage that is no OID', '2.5.29.37', '30020500', /expected oid/],
    ['17 extended key usages', '2.5.29.37', `3033${'06012a'.repeat(17)}`, /more than 16 entries/],
    ['a subject key identifier without a wrapper', '2.5.29.14', 'aabb', /expected octetString/],
    ['an alternative name without a context tag', '2.5.29.17', '30020500', /expected a context tag/],
    ['65 alternative names', '2.5.29.17', `308182${'8200'.repeat(65)}`, /more than 64 names/],
  ])('parseCertificate: refuses %s', (_what, id, hex, message) => malformed(standard(id, hex), message));

  it('parseCertificate: refuses an unknown critical extension and ignores an unknown one that is not critical', () => {
    for (const id of ['1.3.6.1.4.1.12345.3', '2.23.133.5.4.9', '2.5.29.30']) {
      refused(withExtensions({ oid: id, value: new Uint8Array(3) }), new RegExp(`check "critical-extensions": got the critical extension ${id.replaceAll('.', '\\.')}`));
      expect(parseCertificate(withExtensions({ oid: id, critical: false, value: new Uint8Array(3) })).evidence.family).toBe('none');
    }
  });
});

describe('parseCertificate: evidence extensions (WIRE-2026-04.md section 7.1)', () => {
  it('parseCertificate: reads the three families', () => {
    expect(parseCertificate(withExtensions(...sev)).evidence).toEqual({
      family: 'sev-snp', reportData: new Uint8Array(64), report: new Uint8Array(SEV_REPORT_BYTES),
      vcekPem: new Uint8Array(Buffer.from('-----BEGIN CERTIFICATE-----\n')),
    });
    expect(parseCertificate(withExtensions(simulated)).evidence).toEqual({ family: 'simulated', evidence: new Uint8Array(SIMULATED_EVIDENCE_BYTES) });
    const largest = parseCertificate(withExtensions(quoteExtension(MAX_QUOTE_BYTES), claims)).evidence;
    expect(largest.family === 'tdx' && largest.quote.length).toBe(32_768);
  });

  it('parseCertificate: counts evidence that is not critical as absent, and says so', () => {
    const parsed = parseCertificate(withExtensions({ ...simulated, critical: false }, { oid: '1.2.3', critical: false, value: new Uint8Array(0) }));
    expect(parsed.evidence).toEqual({ family: 'none' });
    expect(parsed.ignoredEvidence).toEqual([OID.simulated]);
    malformed(withExtensions(quoteExtension(64), { ...claims, critical: false }), /12345\.2 \(TDX user claims\) is missing/);
  });

  it('parseCertificate: a second family that is not critical does not count', () => {
    const parsed = parseCertificate(withExtensions(simulated, ...sev.map((one) => ({ ...one, critical: false }))));
    expect(parsed.evidence.family).toBe('simulated');
    expect(parsed.ignoredEvidence).toHaveLength(3);
  });

  it.each<[string, TestExtension[], RegExp]>([
    ['TDX and SEV-SNP', [quoteExtension(64), claims, ...sev], /got evidence of tdx and sev-snp, expected one family/],
    ['TDX and one extension of SEV-SNP', [quoteExtension(64), claims, sev[0]!], /got evidence of tdx and sev-snp/],
    ['simulated and TDX', [simulated, quoteExtension(64), claims], /got evidence of simulated and tdx/],
    ['claims of another key', [quoteExtension(64), { ...claims, value: new Uint8Array(32) }], /check "user-claims"/],
  ])('parseCertificate: refuses %s', (_what, extensions, message) => refused(withExtensions(...extensions), message));

  it.each<[string, TestExtension[], RegExp]>([
    ['a quote of 32769 bytes', [quoteExtension(MAX_QUOTE_BYTES + 1), claims], /12345\.1 \(TDX quote\) has 32769 bytes, expected 1 to 32768/],
    ['an empty quote', [quoteExtension(0), claims], /TDX quote\) has 0 bytes/],
    ['a quote without claims', [quoteExtension(64)], /12345\.2 \(TDX user claims\) is missing/],
    ['claims without a quote', [claims], /12345\.1 \(TDX quote\) is missing/],
    ['claims of 31 bytes', [quoteExtension(64), { ...claims, value: new Uint8Array(31) }], /user claims\) has 31 bytes, expected 32/],
    ['SEV-SNP without a report', [sev[0]!, sev[2]!], /12345\.101 \(SEV-SNP attestation report\) is missing/],
    ['SEV-SNP without report data', [sev[1]!, sev[2]!], /12345\.100 \(SEV report data\) is missing/],
    ['SEV-SNP without a VCEK', [sev[0]!, sev[1]!], /12345\.102 \(VCEK certificate\) is missing/],
    ['SEV report data of 63 bytes', [{ ...sev[0]!, value: new Uint8Array(63) }, sev[1]!, sev[2]!], /has 63 bytes, expected 64/],
    ['an SEV-SNP report of 1185 bytes', [sev[0]!, { ...sev[1]!, value: new Uint8Array(1185) }, sev[2]!], /has 1185 bytes, expected 1184/],
    ['a VCEK of 8193 bytes', [sev[0]!, sev[1]!, { ...sev[2]!, value: new Uint8Array(8193) }], /has 8193 bytes, expected 1 to 8192/],
    ['simulated evidence of 216 bytes', [{ ...simulated, value: new Uint8Array(216) }], /has 216 bytes, expected 217/],
  ])('parseCertificate: refuses %s', (_what, extensions, message) => malformed(withExtensions(...extensions), message));
});

describe('parseCertificate: properties', () => {
  const samples = [
    vector('wire/cert/proxy_cert.der'), vector('wire/cert/plain_cert.der'),
    withExtensions(...sev), withExtensions(simulated), withExtensions(quoteExtension(5000), claims),
  ];

  it('parseCertificate: random bytes give the typed error only', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
      expect(acceptedOrRefused(() => parseCertificate(bytes))).toBe(false);
    }), { numRuns: 2000 });
  });

  it('parseCertificate: mutated certificates give a certificate or the typed error', () => {
    const mutation = fc.record({
      sample: fc.constantFrom(...samples),
      edits: fc.array(fc.record({ at: fc.nat(), byte: fc.integer({ min: 0, max: 255 }) }), { minLength: 1, maxLength: 6 }),
      cut: fc.option(fc.nat()),
      insert: fc.option(fc.record({ at: fc.nat(), bytes: fc.uint8Array({ maxLength: 12 }) })),
    });
    fc.assert(fc.property(mutation, ({ sample, edits, cut, insert }) => {
      let bytes = Uint8Array.from(sample);
      for (const { at, byte } of edits) bytes[at % bytes.length] = byte;
      if (insert !== null) {
        const at = insert.at % bytes.length;
        bytes = Uint8Array.from([...bytes.subarray(0, at), ...insert.bytes, ...bytes.subarray(at)]);
      }
      if (cut !== null) bytes = bytes.subarray(0, cut % bytes.length);
      acceptedOrRefused(() => verifyCertificate(parseCertificate(bytes), NOW));
    }), { numRuns: 3000 });
  });

  it('parseCertificate: the largest hostile inputs take a bounded time and almost no memory', () => {
    const inputs = [
      new Uint8Array(MAX_CERTIFICATE_BYTES).fill(0x30),
      sequence(new Uint8Array(MAX_CERTIFICATE_BYTES - 8).fill(0x05)),
      build({ issuer: sequence(new Uint8Array(40_000)), subject: sequence(new Uint8Array(40_000)) }),
      build({ rawExtensions: [tlv(0xa3, sequence(...repeat(4000, sequence(oid('1.2.3'), tlv(4)))))] }),
      withExtensions({ oid: '2.5.29.17', value: sequence(...repeat(16_000, tlv(0x82))) }),
    ];
    const started = performance.now();
    const before = process.memoryUsage().arrayBuffers;
    for (const input of inputs) {
      for (let i = 0; i < 20; i += 1) expect(acceptedOrRefused(() => parseCertificate(input))).toBe(false);
    }
    expect(performance.now() - started).toBeLessThan(5_000);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 20);
  });
});
