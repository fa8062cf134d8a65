// Certificates, chains, CRLs and PEM texts: made ones accepted, one defect at a time refused by the check of its name, and
// the real chains of AMD and NVIDIA where they are present.
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { AttestationError } from '../../../src/core/errors.ts';
import { derBitString, derElement, derOid, derSequence, derUnsigned } from '../../../src/tee/der-write.ts';
import { TAG } from '../../../src/tee/der.ts';
import { parseX509 } from '../../../src/tee/x509/certificate.ts';
import type { X509 } from '../../../src/tee/x509/certificate.ts';
import { verifyChain, verifyCrl, verifyIssued, verifyNotRevoked, verifyPinnedRoot } from '../../../src/tee/x509/chain.ts';
import type { ChainRules } from '../../../src/tee/x509/chain.ts';
import { parseCrl, serialKey } from '../../../src/tee/x509/crl.ts';
import { parseKeyUsage } from '../../../src/tee/x509/extensions.ts';
import { certificatesOfPem } from '../../../src/tee/x509/pem.ts';
import { SKIP_REASON, sharedFolder } from '../dcap/vectors.ts';
import { expectRefusal } from '../expect-error.ts';
import { ALGORITHM, commonName, makeCertificate, makeCrl, makeKey, pem, pssAlgorithm } from './forge.ts';
import type { CertificateOverrides, TestKey } from './forge.ts';

const NOW = Date.UTC(2026, 0, 1);
const DAY = 86_400_000;
const names = { root: commonName('Root'), middle: commonName('Middle'), leaf: commonName('Leaf') };
const keys = { root: makeKey(), middle: makeKey(), leaf: makeKey(), stranger: makeKey() };

interface Overrides { readonly root?: CertificateOverrides; readonly middle?: CertificateOverrides; readonly leaf?: CertificateOverrides }
function ders(changes: Overrides = {}, use: { root: TestKey; middle: TestKey; leaf: TestKey } = keys): Uint8Array[] {
  return [
    makeCertificate({ key: use.leaf, signer: use.middle, subject: names.leaf, issuer: names.middle, serial: 3, ...changes.leaf }),
    makeCertificate({ key: use.middle, signer: use.root, subject: names.middle, issuer: names.root, serial: 2, isCa: true, pathLength: 0, ...changes.middle }),
    makeCertificate({ key: use.root, signer: use.root, subject: names.root, issuer: names.root, serial: 1, isCa: true, pathLength: 1, ...changes.root }),
  ];
}
const chainOf = (changes: Overrides = {}): X509[] => ders(changes).map((der) => parseX509(der));
const verify = (chain: readonly X509[], rules: Partial<ChainRules> = {}): void => verifyChain(chain, { root: chain.at(-1)?.der ?? new Uint8Array(0), length: 3, nowMs: NOW, ...rules });

describe('verifyChain', () => {
  it('verifyChain: accepts a chain of three, valid to the second at both ends', () => {
    const chain = chainOf({ leaf: { notBefore: NOW - DAY, notAfter: NOW + DAY } });
    for (const nowMs of [NOW, NOW - DAY, NOW + DAY, NOW + DAY + 999]) expect(() => verify(chain, { nowMs })).not.toThrow();
    for (const nowMs of [NOW - DAY - 1, NOW + DAY + 1000, NaN, Infinity]) expectRefusal(() => verify(chain, { nowMs }), 'E_EVIDENCE_REFUSED', /check "chain-validity"/);
  });

  it.each([['p384', 'p384', 'p256'], ['p256', 'p384', 'p384'], ['p384', 'p256', 'p256']] as const)('verifyChain: keys of %s, %s and %s', (root, middle, leaf) => {
    const chain = ders({}, { root: makeKey(root), middle: makeKey(middle), leaf: makeKey(leaf) }).map((der) => parseX509(der));
    expect(() => verify(chain)).not.toThrow();
  });

  it('verifyChain: RSASSA-PSS with 4096 bits, and a leaf without key usage where that is allowed', () => {
    const rsa = makeKey('rsa4096');
    const chain = ders({ leaf: { usage: null } }, { root: rsa, middle: rsa, leaf: makeKey('p384') }).map((der) => parseX509(der));
    expect(() => verify(chain, { leafWithoutUsage: true })).not.toThrow();
    expectRefusal(() => verify(chain), 'E_EVIDENCE_REFUSED', /check "chain-usage"/);
    const crl = parseCrl(makeCrl({ issuer: names.middle, signer: rsa, thisUpdate: NOW, nextUpdate: NOW + DAY }));
    expect(() => verifyCrl(crl, chain[1]!, NOW)).not.toThrow();
    const [leaf] = chain;
    expectRefusal(() => verifyIssued({ ...leaf!, signature: leaf!.signature.slice().fill(1, 0, 1) }, chain[1]!), 'E_EVIDENCE_REFUSED', /check "chain-signature"/);
  }, 120_000);

  const critical = [{ oid: '1.2.3.4', critical: true, value: Uint8Array.of(5, 0) }];
  const refused: readonly [string, string, Overrides][] = [
    ['a leaf by a stranger', 'chain-signature', { leaf: { signer: keys.stranger } }], ['a middle by a stranger', 'chain-signature', { middle: { signer: keys.stranger } }],
    ['a leaf of another issuer', 'chain-names', { leaf: { issuer: names.root } }], ['a middle of another issuer', 'chain-names', { middle: { issuer: names.leaf } }],
    ['a leaf with CA:TRUE', 'chain-ca', { leaf: { isCa: true, usage: [0, 5] } }], ['a middle without CA:TRUE', 'chain-ca', { middle: { isCa: false, pathLength: null } }], ['a root with path length 0', 'chain-ca', { root: { pathLength: 0 } }],
    ['a leaf that may not sign', 'chain-usage', { leaf: { usage: [3] } }], ['a leaf without key usage', 'chain-usage', { leaf: { usage: null } }], ['a middle that may not sign certificates', 'chain-usage', { middle: { usage: [6] } }], ['a root without key usage', 'chain-usage', { root: { usage: null } }],
    ['an expired middle', 'chain-validity', { middle: { notAfter: NOW - DAY } }], ['a future root', 'chain-validity', { root: { notBefore: NOW + DAY } }], ['an unknown critical extension', 'critical-extensions', { middle: { extensions: critical } }],
  ];
  it.each(refused)('verifyChain: refuses %s', (_, check, changes) => expectRefusal(() => verify(chainOf(changes)), 'E_EVIDENCE_REFUSED', new RegExp(`check "${check}"`)));

  it('verifyChain: refuses another length, another root, and none', () => {
    const chain = chainOf();
    expectRefusal(() => verify(chain, { length: 2 }), 'E_EVIDENCE_REFUSED', /check "chain-length"/);
    expectRefusal(() => verify(chain.slice(0, 2)), 'E_EVIDENCE_REFUSED', /check "chain-length"/);
    expectRefusal(() => verify([], { length: 0 }), 'E_EVIDENCE_REFUSED', /check "chain-root"/);
    expectRefusal(() => verify(chain, { root: chainOf()[2]!.der }), 'E_EVIDENCE_REFUSED', /check "chain-root"/);
  });

  it('verifyChain: a known critical extension, and a CRL issuer in place of a leaf', () => {
    expect(() => verify(chainOf({ leaf: { extensions: critical } }), { knownCritical: new Set(['1.2.3.4']) })).not.toThrow();
    const [, middle, root] = chainOf();
    expect(() => verify([middle!, root!], { length: 2, authorityLeaf: true })).not.toThrow();
    expectRefusal(() => verify([middle!, root!], { length: 2 }), 'E_EVIDENCE_REFUSED', /check "chain-ca"/);
    const [leaf] = chainOf();
    expectRefusal(() => verify([leaf!, middle!, root!], { authorityLeaf: true }), 'E_EVIDENCE_REFUSED', /check "chain-ca"/);
  });
});

describe('verifyPinnedRoot', () => {
  const [, , der = new Uint8Array(0)] = ders();

  it('verifyPinnedRoot: the certificate that was read first stands for all with its bytes', () => {
    const first = parseX509(der);
    expect(verifyPinnedRoot(first)).toBe(first);
    expect(verifyPinnedRoot(parseX509(der))).toBe(first);
  });

  it('verifyPinnedRoot: another certificate of the same key must have signed itself, however often it is asked', () => {
    verifyPinnedRoot(parseX509(der));
    // Valid for longer, by somebody who does not have the key.
    const forged = parseX509(makeCertificate({ key: keys.root, signer: keys.stranger, subject: names.root, issuer: names.root, serial: 1, isCa: true, pathLength: 1, notAfter: NOW + 9000 * DAY }));
    for (let times = 0; times < 2; times += 1) expectRefusal(() => verifyPinnedRoot(forged), 'E_EVIDENCE_REFUSED', /check "chain-signature"/);
    const renewed = parseX509(ders({ root: { notAfter: NOW + 9000 * DAY } })[2] ?? der);
    expect(verifyPinnedRoot(renewed)).toBe(renewed);
  });
});

describe('parseX509', () => {
  const one = (changes: CertificateOverrides): Uint8Array => ders({ leaf: changes })[0]!;
  const spki = (algorithm: Uint8Array, key: Uint8Array): Uint8Array => derSequence(algorithm, derBitString(key));
  const ec = (curve: string): Uint8Array => derSequence(derOid('1.2.840.10045.2.1'), derOid(curve));
  const rsaSpki = (modulus: Uint8Array, exponent: Uint8Array): Uint8Array => spki(derSequence(derOid('1.2.840.113549.1.1.1'), derElement(TAG.null)), derSequence(derUnsigned(modulus), derUnsigned(exponent)));
  const bits4096 = new Uint8Array(512).fill(0xff);
  const refused: readonly [string, CertificateOverrides][] = [
    ['version 1', { version: 0 }], ['two algorithms', { outerAlgorithm: ALGORITHM.p384 }], ['SHA-1', { bodyAlgorithm: derSequence(derOid('1.2.840.10045.4.1')), outerAlgorithm: derSequence(derOid('1.2.840.10045.4.1')) }],
    ['ECDSA with parameters', { bodyAlgorithm: derSequence(derOid('1.2.840.10045.4.3.2'), derElement(TAG.null)) }], ['PKCS #1 v1.5', { bodyAlgorithm: derSequence(derOid('1.2.840.113549.1.1.12'), derElement(TAG.null)) }],
    ['PSS with another salt', { bodyAlgorithm: pssAlgorithm(32), outerAlgorithm: pssAlgorithm(32) }], ['PSS with SHA-256', { bodyAlgorithm: pssAlgorithm(48, derSequence(derOid('2.16.840.1.101.3.4.2.1'), derElement(TAG.null))) }],
    ['a validity that ends before it starts', { notBefore: NOW, notAfter: NOW - DAY }], ['P-521', { spki: spki(ec('1.3.132.0.35'), new Uint8Array(133).fill(4)) }], ['a compressed point', { spki: spki(ec('1.2.840.10045.3.1.7'), new Uint8Array(33).fill(2)) }],
    ['a point of another length', { spki: spki(ec('1.2.840.10045.3.1.7'), new Uint8Array(64).fill(4)) }], ['RSA of 2048 bits', { spki: rsaSpki(bits4096.subarray(0, 256), Uint8Array.of(1, 0, 1)) }], ['RSA of 4095 bits', { spki: rsaSpki(Uint8Array.from(bits4096, (byte, index) => (index === 0 ? 0x7f : byte)), Uint8Array.of(1, 0, 1)) }],
    ['RSA with exponent 3', { spki: rsaSpki(bits4096, Uint8Array.of(3)) }], ['an Ed25519 key', { spki: spki(derSequence(derOid('1.3.101.112')), new Uint8Array(32)) }],
    ['an extension twice', { extensions: [{ oid: '1.2.3', value: new Uint8Array(0) }, { oid: '1.2.3', value: new Uint8Array(0) }] }], ['33 extensions', { extensions: Array.from({ length: 31 }, (_, i) => ({ oid: `1.2.${i}`, value: new Uint8Array(0) })) }],
    ['a path length without CA', { pathLength: 1 }], ['two common names', { subject: derSequence(...[1, 2].map(() => derElement(TAG.set, derSequence(derOid('2.5.4.3'), derElement(TAG.utf8String, Buffer.from('x')))))) }],
    ['a name of 33 parts', { subject: derSequence(...Array.from({ length: 33 }, () => derElement(TAG.set, derSequence(derOid('2.5.4.10'), derElement(TAG.utf8String, Buffer.from('x')))))) }],
  ];
  it.each(refused)('parseX509: refuses %s', (_, changes) => expect(() => parseX509(one(changes))).toThrow(AttestationError));

  it('parseX509: says what is in the certificate', () => {
    const [leaf, middle] = chainOf();
    expect([leaf!.subject.commonName, leaf!.issuer.commonName, serialKey(leaf!.serial), leaf!.key.kind, leaf!.algorithm]).toEqual(['Leaf', 'Middle', '03', 'p256', 'ecdsa-sha256']);
    expect([middle!.constraints, [...middle!.keyUsage ?? []]]).toEqual([{ isCa: true, pathLength: 0 }, [5, 6]]);
    expect([leaf!.notBefore, leaf!.notAfter]).toEqual([Date.UTC(2025, 0, 1), Date.UTC(2034, 11, 30)]);
  });

  it('parseX509: refuses leftovers, and any changed byte is refused by parser or signature', () => {
    const [leaf, middle] = ders();
    expect(() => parseX509(Buffer.concat([leaf!, Uint8Array.of(0)]))).toThrow(AttestationError);
    const issuer = parseX509(middle!);
    for (let position = 0; position < leaf!.length; position += 1) {
      for (const bit of [0, 3, 7]) {
        const changed = leaf!.slice();
        changed[position] = (changed[position] ?? 0) ^ (1 << bit);
        expect(() => verifyIssued(parseX509(changed), issuer)).toThrow(AttestationError);
      }
    }
  });

  it('parseX509 and parseCrl: typed errors only', () => {
    const crl = makeCrl({ issuer: names.root, signer: keys.root, thisUpdate: NOW, nextUpdate: NOW + DAY, revoked: [1, 2] });
    const inputs = [ders()[0]!, crl];
    const change = fc.tuple(fc.constantFrom(...inputs), fc.array(fc.tuple(fc.nat(600), fc.nat(255)), { minLength: 1, maxLength: 5 })).map(([bytes, edits]) => edits.reduce((copy, [at, value]) => copy.fill(value, at % copy.length, (at % copy.length) + 1), Buffer.from(bytes)));
    fc.assert(fc.property(fc.oneof(fc.uint8Array({ maxLength: 400 }), change), (bytes) => {
      for (const parse of [parseX509, parseCrl]) {
        try {
          parse(bytes);
        } catch (error) {
          if (!(error instanceof AttestationError)) throw error;
        }
      }
    }), { numRuns: 1000 });
  });

  it('parseKeyUsage: bits as RFC 5280 numbers them', () => {
    expect([...parseKeyUsage(Uint8Array.of(3, 3, 7, 0x80, 0x80))]).toEqual([0, 8]);
    expect(() => parseKeyUsage(Uint8Array.of(3, 4, 0, 1, 1, 1))).toThrow(AttestationError);
  });
});

describe('verifyCrl and verifyNotRevoked', () => {
  const [leaf, middle] = chainOf();
  const good = { issuer: names.middle, signer: keys.middle, thisUpdate: NOW - DAY, nextUpdate: NOW + DAY };
  const crl = (changes: Partial<Parameters<typeof makeCrl>[0]> = {}) => parseCrl(makeCrl({ ...good, ...changes }));

  it('verifyCrl: in force from thisUpdate to nextUpdate, to the second', () => {
    for (const nowMs of [NOW - DAY, NOW, NOW + DAY + 999]) expect(() => verifyCrl(crl(), middle!, nowMs)).not.toThrow();
    for (const nowMs of [NOW - DAY - 1, NOW + DAY + 1000, NaN]) expectRefusal(() => verifyCrl(crl(), middle!, nowMs), 'E_EVIDENCE_REFUSED', /check "crl-window"/);
  });

  it('verifyCrl: refuses another issuer, another key, and an issuer without cRLSign', () => {
    expectRefusal(() => verifyCrl(crl({ issuer: names.root }), middle!, NOW), 'E_EVIDENCE_REFUSED', /check "crl-issuer"/);
    expectRefusal(() => verifyCrl(crl({ signer: keys.stranger }), middle!, NOW), 'E_EVIDENCE_REFUSED', /check "crl-signature"/);
    expectRefusal(() => verifyCrl(crl(), chainOf({ middle: { usage: [5] } })[1]!, NOW), 'E_EVIDENCE_REFUSED', /cRLSign/);
  });

  it('verifyNotRevoked: by serial number, of the right issuer', () => {
    expect(() => verifyNotRevoked(leaf!, crl({ revoked: [1, 2, 4] }))).not.toThrow();
    expectRefusal(() => verifyNotRevoked(leaf!, crl({ revoked: [1, 3] })), 'E_EVIDENCE_REFUSED', /check "revocation"/);
    expectRefusal(() => verifyNotRevoked(leaf!, crl({ issuer: names.root })), 'E_EVIDENCE_REFUSED', /check "crl-issuer"/);
  });

  it('parseCrl: refuses no next update, version 1, critical extensions, and a window that ends before it starts', () => {
    const critical = { oid: '2.5.29.28', critical: true, value: derSequence() };
    for (const changes of [{ nextUpdate: null }, { version: 0 }, { extensions: [critical] }, { nextUpdate: NOW - 2 * DAY }]) expect(() => crl(changes)).toThrow(AttestationError);
  });

  it('parseCrl: reads ten thousand entries', () => expect(crl({ revoked: Array.from({ length: 10_000 }, (_, i) => i + 1) }).revoked.size).toBe(10_000));
});

describe('certificatesOfPem', () => {
  const [leaf, middle] = ders();
  const text = pem(leaf!, middle!);

  it('certificatesOfPem: LF, CRLF, empty lines, no last line end, one NUL', () => {
    for (const form of [text, text.replaceAll('\n', '\r\n'), `${text}\n`, text.replaceAll('-\n-', '-\n\n-'), text.trimEnd(), `${text}\0`]) {
      expect(certificatesOfPem(form, 'chain', 2).map((der) => Buffer.compare(der, leaf!) === 0 || Buffer.compare(der, middle!) === 0)).toEqual([true, true]);
    }
    expect(certificatesOfPem('', 'chain', 2)).toEqual([]);
  });

  const lines = text.split('\n');
  it.each([
    ['a third certificate', text + pem(leaf!)], ['two NULs', `${text}\0\0`], ['text before', `x\n${text}`], ['text after', `${text}x`], ['a missing end', lines.slice(0, 3).join('\n')], ['another label', text.replace('BEGIN CERTIFICATE', 'BEGIN X509 CERTIFICATE')],
    ['a longer line', text.replace(`${lines[1]}\n`, lines[1] ?? '')], ['a space in a line', text.replace(lines[1] ?? '', ` ${(lines[1] ?? '').slice(1)}`)], ['an empty certificate', '-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n'], ['70 000 bytes', 'x'.repeat(70_000)],
    ['bits that do not count', '-----BEGIN CERTIFICATE-----\nMB==\n-----END CERTIFICATE-----\n'],
  ])('certificatesOfPem: refuses %s', (_, form) => expectRefusal(() => certificatesOfPem(form, 'chain', 2), 'E_EVIDENCE_MALFORMED', /chain/));
});

const snp = sharedFolder('snp');
const nvidia = sharedFolder('nvidia');
describe(snp === null ? `real chains: ${SKIP_REASON}` : 'real chains', () => {
  (snp === null ? it.skip : it)('verifyChain: AMD\'s roots, intermediates and a chip\'s key', () => {
    const read = (name: string): X509 => parseX509(readFileSync(new URL(name, snp ?? 'file:///')));
    for (const product of ['milan', 'genoa', 'turin']) {
      const [ask, ark] = [read(`roots/${product}-ask.der`), read(`roots/${product}-ark.der`)];
      expect(() => verify([ask, ark], { length: 2, authorityLeaf: true, nowMs: Date.UTC(2026, 6, 1) })).not.toThrow();
    }
    expect(() => verify([read('genoa-v3-microsoft.vek.der'), read('roots/genoa-ask.der'), read('roots/genoa-ark.der')], { leafWithoutUsage: true, nowMs: Date.UTC(2026, 6, 1) })).not.toThrow();
    expectRefusal(() => verify([read('genoa-v3-microsoft.vek.der'), read('roots/milan-ask.der'), read('roots/milan-ark.der')], { leafWithoutUsage: true, nowMs: Date.UTC(2026, 6, 1) }), 'E_EVIDENCE_REFUSED', /check "chain-names"/);
  });

  (snp === null ? it.skip : it).each(['milan', 'genoa', 'turin'])('verifyIssued: AMD\'s root of %s has signed itself and both of its authorities, and no other root has', (product) => {
    const read = (name: string): X509 => parseX509(new Uint8Array(readFileSync(new URL(`roots/${name}.der`, snp ?? 'file:///'))));
    const ark = read(`${product}-ark`);
    for (const name of ['ark', 'ask', 'asvk']) expect(() => verifyIssued(read(`${product}-${name}`), ark)).not.toThrow();
    for (const other of ['milan', 'genoa', 'turin'].filter((name) => name !== product)) expect(() => verifyIssued(read(`${product}-asvk`), read(`${other}-ark`))).toThrow(AttestationError);
  });

  (nvidia === null ? it.skip : it)('verifyChain: NVIDIA\'s device chains', () => {
    const files = readdirSync(nvidia ?? '').filter((name) => name.startsWith('h100') && name.endsWith('.json') && !name.includes('NEG'));
    expect(files.length).toBeGreaterThan(5);
    for (const name of files) {
      const json = JSON.parse(readFileSync(new URL(name, nvidia ?? 'file:///'), 'utf8')) as { certificate: string } | { certificate: string }[];
      const { certificate } = Array.isArray(json) ? json[0]! : json;
      const chain = certificatesOfPem(Buffer.from(certificate, 'base64'), name, 8).map((der) => parseX509(der));
      expect(() => verify(chain, { length: chain.length, nowMs: Date.UTC(2026, 6, 1) })).not.toThrow();
    }
  });
});

