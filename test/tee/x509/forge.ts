// Makes X.509 certificates and CRLs for tests, every field of them replaceable and signed for real: the PKIs that no
// manufacturer would run.
import { constants, generateKeyPairSync, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { derBitString, derBoolean, derElement, derOctetString, derOid, derSequence, derTime, derUnsigned } from '../../../src/tee/der-write.ts';
import { TAG } from '../../../src/tee/der.ts';

export type KeyType = 'p256' | 'p384' | 'rsa4096';
export interface TestKey {
  readonly type: KeyType;
  readonly privateKey: KeyObject;
  readonly spki: Uint8Array;
}

export function makeKey(type: KeyType = 'p256'): TestKey {
  const pair = type === 'rsa4096'
    ? generateKeyPairSync('rsa', { modulusLength: 4096 })
    : generateKeyPairSync('ec', { namedCurve: type === 'p256' ? 'P-256' : 'P-384' });
  return { type, privateKey: pair.privateKey, spki: pair.publicKey.export({ format: 'der', type: 'spki' }) };
}

const SHA384 = derSequence(derOid('2.16.840.1.101.3.4.2.2'), derElement(TAG.null));
const small = (value: number): Uint8Array => derUnsigned(Uint8Array.of(value));

/** RSASSA-PSS-params as AMD writes them, the default trailer included. */
export const pssAlgorithm = (salt = 48, hash: Uint8Array = SHA384): Uint8Array => derSequence(
  derOid('1.2.840.113549.1.1.10'),
  derSequence(
    derElement(0xa0, hash), derElement(0xa1, derSequence(derOid('1.2.840.113549.1.1.8'), hash)), derElement(0xa2, small(salt)), derElement(0xa3, small(1)),
  ),
);

export const ALGORITHM: Readonly<Record<KeyType, Uint8Array>> = {
  p256: derSequence(derOid('1.2.840.10045.4.3.2')), p384: derSequence(derOid('1.2.840.10045.4.3.3')), rsa4096: pssAlgorithm(),
};

/** Signs as the key's type signs certificates: DER for ECDSA. */
export function signAs(key: TestKey, message: Uint8Array): Uint8Array {
  if (key.type === 'rsa4096') return sign('sha384', message, { key: key.privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 48 });
  return sign(key.type === 'p256' ? 'sha256' : 'sha384', message, key.privateKey);
}

export const commonName = (text: string): Uint8Array => derSequence(
  derElement(TAG.set, derSequence(derOid('2.5.4.3'), derElement(TAG.utf8String, Buffer.from(text)))),
  derElement(TAG.set, derSequence(derOid('2.5.4.6'), derElement(TAG.printableString, Buffer.from('US')))),
);

export interface TestExtension {
  readonly oid: string;
  readonly critical?: boolean;
  readonly value: Uint8Array;
}

const extension = ({ oid, critical = false, value }: TestExtension): Uint8Array =>
  derSequence(derOid(oid), ...(critical ? [derBoolean(true)] : []), derOctetString(value));

export function basicConstraints(isCa: boolean, pathLength: number | null): TestExtension {
  return { oid: '2.5.29.19', critical: true, value: derSequence(...(isCa ? [derBoolean(true)] : []), ...(pathLength === null ? [] : [small(pathLength)])) };
}

/** Bits as RFC 5280 numbers them, all below 8. */
export function keyUsage(...bits: readonly number[]): TestExtension {
  const byte = bits.reduce((value, bit) => value | (0x80 >> bit), 0);
  const unused = byte === 0 ? 0 : Math.clz32(byte & -byte) ^ 31;
  return { oid: '2.5.29.15', critical: true, value: derBitString(Uint8Array.of(byte), unused) };
}

export const CA_USAGE = [5, 6] as const;
export const LEAF_USAGE = [0, 1] as const;

export interface CertificateFields {
  readonly key: TestKey;
  readonly signer: TestKey;
  readonly subject: Uint8Array;
  readonly issuer: Uint8Array;
  readonly serial: number;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly isCa: boolean;
  readonly pathLength: number | null;
  /** Null leaves the extension out. */
  readonly usage: readonly number[] | null;
  readonly extensions: readonly TestExtension[];
  readonly version: number;
  readonly bodyAlgorithm: Uint8Array;
  readonly outerAlgorithm: Uint8Array;
  readonly spki: Uint8Array;
}

export type CertificateOverrides = Partial<CertificateFields>;
type Needed = 'key' | 'signer' | 'subject' | 'issuer';

/** A v3 certificate, valid for 2025 to 2034 unless told otherwise. Returns DER. */
export function makeCertificate(given: Pick<CertificateFields, Needed> & CertificateOverrides): Uint8Array {
  const algorithm = ALGORITHM[given.signer.type];
  const f: CertificateFields = {
    serial: 1, notBefore: Date.UTC(2025, 0, 1), notAfter: Date.UTC(2034, 11, 30), isCa: false, pathLength: null,
    usage: given.isCa ? CA_USAGE : LEAF_USAGE, extensions: [], version: 2, bodyAlgorithm: algorithm, outerAlgorithm: algorithm, spki: given.key.spki, ...given,
  };
  const extensions = [basicConstraints(f.isCa, f.pathLength), ...(f.usage === null ? [] : [keyUsage(...f.usage)]), ...f.extensions];
  const body = derSequence(
    derElement(0xa0, small(f.version)), derUnsigned(serialBytes(f.serial)), f.bodyAlgorithm, f.issuer,
    derSequence(derTime(f.notBefore), derTime(f.notAfter)), f.subject, f.spki,
    derElement(0xa3, derSequence(...extensions.map(extension))),
  );
  return derSequence(body, f.outerAlgorithm, derBitString(signAs(f.signer, body)));
}

export interface CrlFields {
  readonly issuer: Uint8Array;
  readonly signer: TestKey;
  readonly thisUpdate: number;
  /** Null leaves it out. */
  readonly nextUpdate: number | null;
  readonly revoked: readonly number[];
  readonly extensions: readonly TestExtension[];
  readonly version: number;
}

/** A v2 CRL. Returns DER. */
export function makeCrl(given: Pick<CrlFields, 'issuer' | 'signer' | 'thisUpdate' | 'nextUpdate'> & Partial<CrlFields>): Uint8Array {
  const f: CrlFields = { revoked: [], extensions: [{ oid: '2.5.29.20', value: small(1) }], version: 1, ...given };
  const entries = f.revoked.map((serial) => derSequence(derUnsigned(serialBytes(serial)), derTime(f.thisUpdate), derSequence(extension({ oid: '2.5.29.21', value: derElement(TAG.enumerated, Uint8Array.of(1)) }))));
  const body = derSequence(
    small(f.version), ALGORITHM[f.signer.type], f.issuer, derTime(f.thisUpdate), ...(f.nextUpdate === null ? [] : [derTime(f.nextUpdate)]),
    ...(entries.length === 0 ? [] : [derSequence(...entries)]), derElement(0xa0, derSequence(...f.extensions.map(extension))),
  );
  return derSequence(body, ALGORITHM[f.signer.type], derBitString(signAs(f.signer, body)));
}

const serialBytes = (serial: number): Uint8Array => Uint8Array.of(serial >>> 24, serial >>> 16, serial >>> 8, serial);

export function pem(...certificates: readonly Uint8Array[]): string {
  return certificates.map((der) => {
    const lines = Buffer.from(der).toString('base64').match(/.{1,64}/g) ?? [];
    return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
  }).join('');
}
