// Makes attested certificates: X.509 v3, self-signed Ed25519, extensions in the order of WIRE.md section 3.
// @peculiar/x509 (with reflect-metadata) is imported only here and only when a certificate is made, because loading it
// takes about a quarter of a second. It only writes the structure; node:crypto signs, so webcrypto's warnings never show.
import { createHash, randomBytes, sign } from 'node:crypto';
import type { CertificateEvidence } from './certificate-evidence.ts';
import { evidenceExtensions } from './certificate-evidence.ts';
import { parseCertificate } from './certificate-parse.ts';
import { verifyCertificate } from './certificate-verify.ts';
import { spkiOfRaw } from './tls-keys.ts';
import type { TlsKeys } from './tls-keys.ts';

/** As the C++ programs: certificates live for a day and are made anew by then. */
export const DEFAULT_LIFETIME_MS = 24 * 60 * 60 * 1000;

const SERIAL_BYTES = 16;
const SIGNATURE_BYTES = 64;
const KEY_USAGE_DIGITAL_SIGNATURE = 1;
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
export async function makeCertificate(request: CertificateRequest): Promise<MadeCertificate> {
  const { keys, evidence } = request;
  const notBefore = Math.floor(request.notBefore / 1000) * 1000;
  const notAfter = notBefore + Math.floor((request.lifetimeMs ?? DEFAULT_LIFETIME_MS) / 1000) * 1000;
  const der = await unsignedCertificate(keys.publicKey, evidence, notBefore, notAfter);
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

/** The whole certificate with zeros in place of the signature, which is the last field and always 64 bytes. */
async function unsignedCertificate(publicKey: Uint8Array, evidence: CertificateEvidence, notBefore: number, notAfter: number): Promise<Uint8Array> {
  await import('reflect-metadata');
  const x509 = await import('@peculiar/x509');
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: randomBytes(SERIAL_BYTES).toString('hex'),
    // Peers look at neither name; one that says nothing about the machine gives nothing away.
    subject: 'CN=localhost',
    issuer: 'CN=localhost',
    notBefore: new Date(notBefore),
    notAfter: new Date(notAfter),
    publicKey: spkiOfRaw(publicKey),
    signingAlgorithm: { name: 'Ed25519' },
    signature: new Uint8Array(SIGNATURE_BYTES),
    extensions: [
      ...evidenceExtensions(evidence, publicKey).map(({ oid, value }) => new x509.Extension(oid, true, Buffer.from(value))),
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(KEY_USAGE_DIGITAL_SIGNATURE, true),
      new x509.ExtendedKeyUsageExtension(TLS_USAGES, true),
      new x509.SubjectKeyIdentifierExtension(createHash('sha1').update(publicKey).digest('hex')),
      // DNS:127.0.0.1 is what C++ dialers compare the certificate with (section 3).
      new x509.SubjectAlternativeNameExtension([
        { type: 'dns', value: 'localhost' }, { type: 'dns', value: '127.0.0.1' }, { type: 'ip', value: '::1' },
      ]),
    ],
  });
  return new Uint8Array(certificate.rawData);
}
