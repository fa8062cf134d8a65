// Makes attested certificates: X.509 v3, self-signed Ed25519, extensions in the order of WIRE.md section 3.
// Written by own code: a library would take a quarter of a second to load in every `cocoon infer`, for one fixed layout.
import { createHash, randomBytes, sign } from 'node:crypto';
import type { CertificateEvidence } from './certificate-evidence.ts';
import { evidenceExtensions } from './certificate-evidence.ts';
import { parseCertificate } from './certificate-parse.ts';
import { verifyCertificate } from './certificate-verify.ts';
import { contextTag, TAG } from './der.ts';
import { derBitString, derBoolean, derElement, derOctetString, derOid, derSequence, derTime, derUnsigned } from './der-write.ts';
import { spkiOfRaw } from './tls-keys.ts';
import type { TlsKeys } from './tls-keys.ts';

/** As the C++ programs: certificates live for a day and are made anew by then. */
export const DEFAULT_LIFETIME_MS = 24 * 60 * 60 * 1000;

const SERIAL_BYTES = 16;
const SIGNATURE_BYTES = 64;
const VERSION_3 = 2;
const ED25519 = '1.3.101.112';
const COMMON_NAME = '2.5.4.3';
const STANDARD = {
  basicConstraints: '2.5.29.19', keyUsage: '2.5.29.15', extendedKeyUsage: '2.5.29.37', subjectKeyIdentifier: '2.5.29.14', subjectAltName: '2.5.29.17',
} as const;
/** GeneralName choices of RFC 5280 section 4.2.1.6. */
const DNS_NAME = contextTag(2, false);
const IP_ADDRESS = contextTag(7, false);
const IPV6_LOOPBACK = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
const TLS_USAGES = ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'];

export interface CertificateRequest {
  readonly keys: TlsKeys;
  readonly evidence: CertificateEvidence;
  /** Start of validity in milliseconds since the Unix epoch; rounded down to the second. */
  readonly notBefore: number;
  /** Default: DEFAULT_LIFETIME_MS. */
  readonly lifetimeMs?: number;
}

export interface MadeCertificate {
  readonly certificateDer: Uint8Array;
  readonly certificatePem: string;
  /** PKCS#8. Secret. */
  readonly privateKeyPem: string;
  /** Raw Ed25519 public key, 32 bytes. */
  readonly publicKey: Uint8Array;
  /** End of validity in milliseconds since the Unix epoch. */
  readonly notAfter: number;
}

/**
 * Makes and signs a certificate, then reads and verifies it: what every peer would refuse is never handed out.
 * Throws AttestationError for evidence of a wrong size, a lifetime below zero, or a private key that is not the public key's.
 * Whether the evidence itself is good is left to the peer.
 */
export function makeCertificate(request: CertificateRequest): MadeCertificate {
  const { keys, evidence } = request;
  const notBefore = Math.floor(request.notBefore / 1000) * 1000;
  const notAfter = notBefore + Math.floor((request.lifetimeMs ?? DEFAULT_LIFETIME_MS) / 1000) * 1000;
  const der = unsignedCertificate(keys.publicKey, evidence, notBefore, notAfter);
  der.set(sign(null, parseCertificate(der).signedBytes, keys.privateKey), der.length - SIGNATURE_BYTES);
  verifyCertificate(parseCertificate(der), notBefore);
  const base64 = Buffer.from(der).toString('base64').replace(/.{64}(?=.)/g, '$&\n');
  return {
    certificateDer: der,
    certificatePem: `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`,
    privateKeyPem: keys.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
    publicKey: keys.publicKey,
    notAfter,
  };
}

/** One extension; DEFAULT FALSE is left out, as DER demands. */
const extension = (oid: string, critical: boolean, value: Uint8Array): Uint8Array =>
  derSequence(derOid(oid), ...(critical ? [derBoolean(true)] : []), derOctetString(value));

function extensions(publicKey: Uint8Array, evidence: CertificateEvidence): Uint8Array {
  const names = [derElement(DNS_NAME, Buffer.from('localhost')), derElement(DNS_NAME, Buffer.from('127.0.0.1')), derElement(IP_ADDRESS, IPV6_LOOPBACK)];
  return derSequence(
    ...evidenceExtensions(evidence, publicKey).map(({ oid, value }) => extension(oid, true, value)),
    extension(STANDARD.basicConstraints, true, derSequence()),
    extension(STANDARD.keyUsage, true, derBitString(Uint8Array.of(0x80), 7)), // digitalSignature
    extension(STANDARD.extendedKeyUsage, true, derSequence(...TLS_USAGES.map(derOid))),
    extension(STANDARD.subjectKeyIdentifier, false, derOctetString(createHash('sha1').update(publicKey).digest())),
    // DNS:127.0.0.1 is what C++ dialers compare the certificate with (section 3).
    extension(STANDARD.subjectAltName, false, derSequence(...names)),
  );
}

/** RFC 5280 section 4.1, with zeros in place of the signature, which is the last field and always 64 bytes. */
function unsignedCertificate(publicKey: Uint8Array, evidence: CertificateEvidence, notBefore: number, notAfter: number): Uint8Array {
  const algorithm = derSequence(derOid(ED25519));
  // Peers look at neither name; one that says nothing about the machine gives nothing away.
  const name = derSequence(derElement(TAG.set, derSequence(derOid(COMMON_NAME), derElement(TAG.utf8String, Buffer.from('localhost')))));
  const toBeSigned = derSequence(
    derElement(contextTag(0, true), derUnsigned(Uint8Array.of(VERSION_3))),
    derUnsigned(randomBytes(SERIAL_BYTES)),
    algorithm,
    name,
    derSequence(derTime(notBefore), derTime(notAfter)),
    name,
    spkiOfRaw(publicKey),
    derElement(contextTag(3, true), extensions(publicKey, evidence)),
  );
  return derSequence(toBeSigned, algorithm, derBitString(new Uint8Array(SIGNATURE_BYTES)));
}
