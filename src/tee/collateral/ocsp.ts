// Asks NVIDIA's OCSP responder about one certificate (RFC 6960) and reads from the answer what a cache must know: whether it
// is an answer about this certificate, and until when it holds. Its signature and status are for the verifier.
// Refuses error statuses, answers about another certificate or to another request, and bytes that are not strict DER.
import { createHash, randomBytes } from 'node:crypto';
import { equalBytes, toHex } from '../../core/bytes.ts';
import { contextTag, DerReader, TAG } from '../der.ts';
import { derElement, derOctetString, derOid, derSequence, derUnsigned } from '../der-write.ts';
import { MAX_OCSP_BYTES, parseOcsp } from '../nvidia/parse-ocsp.ts';
import { isAbout } from '../nvidia/verify-ocsp.ts';
import type { X509 } from '../x509/certificate.ts';
import { hexField, parsing } from './document.ts';
import type { DocumentSpec } from './document.ts';
import { unusable } from './errors.ts';
import { DEFAULT_SERVICES } from './service-url.ts';

export const OCSP_NONCE_BYTES = 32;
const OID = { sha384: '2.16.840.1.101.3.4.2.2', nonce: '1.3.6.1.5.5.7.48.1.2' } as const;
const NULL = derElement(TAG.null);

/** The bytes inside the BIT STRING of a certificate's public key, which OCSP hashes. */
function keyBits({ key }: X509): Uint8Array {
  const info = DerReader.of(key.spki, 'public key', key.spki.length).nested('public key');
  info.element(TAG.sequence, 'algorithm');
  return info.bitStringBytes('key bits');
}

const sha384 = (bytes: Uint8Array): Uint8Array => createHash('sha384').update(bytes).digest();

/** `CertID ::= SEQUENCE { hashAlgorithm, issuerNameHash, issuerKeyHash, serialNumber }`, with SHA-384. */
function certId(certificate: X509, issuer: X509): Uint8Array {
  return derSequence(
    derSequence(derOid(OID.sha384), NULL), derOctetString(sha384(certificate.issuer.raw)), derOctetString(sha384(keyBits(issuer))), derUnsigned(certificate.serial),
  );
}

/** An OCSPRequest for one certificate, with a nonce of 32 bytes (RFC 8954). */
export function ocspRequest(certificate: X509, issuer: X509, nonce: Uint8Array): Uint8Array {
  const extension = derSequence(derOid(OID.nonce), derOctetString(derOctetString(nonce)));
  return derSequence(derSequence(
    derSequence(derSequence(certId(certificate, issuer))),
    derElement(contextTag(2, true), derSequence(extension)),
  ));
}

/** Answers about one certificate of an NVIDIA chain. `nonce` is random unless a test gives one. */
export function ocspDocument(certificate: X509, issuer: X509, nonce: Uint8Array = randomBytes(OCSP_NONCE_BYTES)): DocumentSpec {
  // The issuer is part of the question: whoever shows a certificate with another authority above it asks for another answer.
  const fingerprint = createHash('sha256').update(certificate.der).update(issuer.der).digest('hex');
  const what = `OCSP answer about the certificate "${certificate.subject.commonName.replace(/[^\x20-\x7e]/g, '?').slice(0, 64)}" (serial ${toHex(certificate.serial)})`;
  return {
    id: `nvidia-ocsp-${fingerprint.slice(0, 40)}`, what, mediaTypes: /^application\/ocsp-response\b/i,
    request: {
      url: DEFAULT_SERVICES.nvidiaOcsp, method: 'POST', maxBytes: MAX_OCSP_BYTES, body: ocspRequest(certificate, issuer, nonce),
      headers: { 'content-type': 'application/ocsp-request', accept: 'application/ocsp-response' },
    },
    decode: ({ body }) => ({ response: toHex(body), nonce: toHex(nonce) }),
    expiresAtMs(content) {
      return endOfResponse(hexField(content, 'response', what), hexField(content, 'nonce', what), [certificate, issuer], what);
    },
  };
}

/** The end of the answer about the subject, or of its signer's validity, in milliseconds since the Unix epoch; null where it names none. */
function endOfResponse(der: Uint8Array, nonce: Uint8Array, [subject, issuer]: readonly [subject: X509, issuer: X509], what: string): number | null {
  const response = parsing(what, () => parseOcsp(der));
  if (response.nonce === null || !equalBytes(response.nonce, nonce)) throw unusable(`${what}: the response does not repeat the nonce of the request`);
  const answer = response.answers.find((candidate) => isAbout(candidate, subject, issuer));
  if (answer === undefined) throw unusable(`${what}: the response is about another certificate`);
  return answer.nextUpdate === null ? null : Math.min(answer.nextUpdate, ...response.certificates.map(({ notAfter }) => notAfter));
}
