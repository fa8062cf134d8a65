// A certificate authority for tests of evidence: X.509 v3 certificates, CRLs and their keys, as the manufacturers make
// them (ECDSA P-384, or RSASSA-PSS with 4096 bits), with every field open to being wrong.
import { constants, createHash, generateKeyPairSync, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { contextTag, TAG } from '../../src/tee/der.ts';
import { derBitString, derBoolean, derElement, derOctetString, derOid, derSequence, derTime, derUnsigned } from '../../src/tee/der-write.ts';

export interface PkiKey {
  readonly privateKey: KeyObject;
  readonly spki: Uint8Array;
  readonly rsa: boolean;
}

const pkiKeyOf = ({ privateKey, publicKey }: { privateKey: KeyObject; publicKey: KeyObject }, rsa: boolean): PkiKey =>
  ({ privateKey, spki: new Uint8Array(publicKey.export({ format: 'der', type: 'spki' })), rsa });

export const ecKey = (namedCurve: 'P-384' | 'P-256' = 'P-384'): PkiKey => pkiKeyOf(generateKeyPairSync('ec', { namedCurve }), false);
/** Takes a second or more. */
export const rsaKey = (): PkiKey => pkiKeyOf(generateKeyPairSync('rsa', { modulusLength: 4096 }), true);

export const spkiHash = (algorithm: 'sha256' | 'sha384', { spki }: PkiKey): string => createHash(algorithm).update(spki).digest('hex');

const sha384 = derSequence(derOid('2.16.840.1.101.3.4.2.2'), derElement(TAG.null));
const explicit = (tag: number, content: Uint8Array): Uint8Array => derElement(contextTag(tag, true), content);
const ECDSA_SHA384 = derSequence(derOid('1.2.840.10045.4.3.3'));
const RSA_PSS_SHA384 = derSequence(derOid('1.2.840.113549.1.1.10'), derSequence(
  explicit(0, sha384), explicit(1, derSequence(derOid('1.2.840.113549.1.1.8'), sha384)), explicit(2, derUnsigned(Uint8Array.of(48))),
));
const algorithmOf = (key: PkiKey): Uint8Array => (key.rsa ? RSA_PSS_SHA384 : ECDSA_SHA384);

export function signDer(body: Uint8Array, key: PkiKey): Uint8Array {
  const signature = key.rsa
    ? sign('sha384', body, { key: key.privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 48 })
    : sign('sha384', body, key.privateKey);
  return derSequence(body, algorithmOf(key), derBitString(signature));
}

const name = (commonName: string): Uint8Array =>
  derSequence(derElement(TAG.set, derSequence(derOid('2.5.4.3'), derElement(TAG.utf8String, Buffer.from(commonName)))));

export interface PkiExtension {
  readonly oid: string;
  readonly critical?: boolean;
  readonly value: Uint8Array;
}

const extension = ({ oid, critical = false, value }: PkiExtension): Uint8Array =>
  derSequence(derOid(oid), ...(critical ? [derBoolean(true)] : []), derOctetString(value));

/** Basic constraints and key usage of an authority. */
export const CA_EXTENSIONS: readonly PkiExtension[] = [
  { oid: '2.5.29.19', critical: true, value: derSequence(derBoolean(true)) },
  { oid: '2.5.29.15', critical: true, value: derBitString(Uint8Array.of(0x06), 1) },
];
/** Key usage of a leaf that signs data. */
export const LEAF_EXTENSIONS: readonly PkiExtension[] = [{ oid: '2.5.29.15', critical: true, value: derBitString(Uint8Array.of(0x80), 7) }];

export interface PkiCertificate {
  readonly subject: string;
  readonly key: PkiKey;
  /** Self-signed when left out. */
  readonly issuer?: { readonly name: string; readonly key: PkiKey };
  readonly serial?: number;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly extensions: readonly PkiExtension[];
}

const serialOf = (serial: number): Uint8Array => derUnsigned(Uint8Array.of(serial >> 8, serial & 0xff));

export function makeX509({ subject, key, issuer = { name: subject, key }, serial = 1, notBefore, notAfter, extensions }: PkiCertificate): Uint8Array {
  return signDer(derSequence(
    explicit(0, derUnsigned(Uint8Array.of(2))), serialOf(serial), algorithmOf(issuer.key), name(issuer.name),
    derSequence(derTime(notBefore), derTime(notAfter)), name(subject), key.spki, explicit(3, derSequence(...extensions.map(extension))),
  ), issuer.key);
}

export function makeCrl(fields: {
  readonly issuer: string; readonly key: PkiKey; readonly thisUpdate: number; readonly nextUpdate: number; readonly revoked?: readonly number[];
}): Uint8Array {
  const { issuer, key, thisUpdate, nextUpdate, revoked = [] } = fields;
  const entries = revoked.map((serial) => derSequence(serialOf(serial), derTime(thisUpdate)));
  return signDer(derSequence(
    derUnsigned(Uint8Array.of(1)), algorithmOf(key), name(issuer), derTime(thisUpdate), derTime(nextUpdate), ...(entries.length > 0 ? [derSequence(...entries)] : []),
  ), key);
}

/** PEM of DER certificates, one after another. */
export const pemOf = (...certificates: readonly Uint8Array[]): string => certificates.map((der) =>
  `-----BEGIN CERTIFICATE-----\n${Buffer.from(der).toString('base64').replace(/.{64}(?=.)/g, '$&\n')}\n-----END CERTIFICATE-----\n`).join('');
