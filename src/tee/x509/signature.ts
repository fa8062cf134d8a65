// Checks one signature of a certificate, a CRL or signed text with node:crypto. Never throws on hostile input: bytes that
// are no signature, or a key that is no point of its curve, have signed nothing.
import { constants, createPublicKey, verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { KEYS_OF } from './algorithms.ts';
import type { SignatureAlgorithm, SubjectKey } from './algorithms.ts';

/** How an ECDSA signature is written: DER in certificates, r and s side by side (32 or 48 bytes each) in quotes and Intel's JSON. */
export type EcdsaEncoding = 'der' | 'ieee-p1363';

const HASH: Readonly<Record<SignatureAlgorithm, string>> = { 'ecdsa-sha256': 'sha256', 'ecdsa-sha384': 'sha384', 'rsa-pss-sha384': 'sha384' };
const PSS_SALT_BYTES = 48;

/** True when `signature` over `message` is by `key` with `algorithm`, and the algorithm may be used with that kind of key. */
export function verifiesWith(
  key: SubjectKey, algorithm: SignatureAlgorithm, message: Uint8Array, signature: Uint8Array, encoding: EcdsaEncoding = 'der',
): boolean {
  if (!KEYS_OF[algorithm].includes(key.kind)) return false;
  try {
    const publicKey = imported(key);
    return verify(HASH[algorithm], message, key.kind === 'rsa4096'
      ? { key: publicKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: PSS_SALT_BYTES }
      : { key: publicKey, dsaEncoding: encoding }, signature);
  } catch {
    // OpenSSL throws on points off the curve and on byte strings that are no signature.
    return false;
  }
}

/** Importing costs more than verifying, and one verification uses the same few keys several times. */
const keys = new WeakMap<SubjectKey, KeyObject>();

function imported(key: SubjectKey): KeyObject {
  const known = keys.get(key);
  if (known !== undefined) return known;
  const made = importedAnew(key);
  keys.set(key, made);
  return made;
}

const P256_BYTES = 32;
/** RSAPublicKey of 4096 bits with the exponent 65537, the only one that is read: it stands at the end of its SubjectPublicKeyInfo. */
const RSA_KEY_BYTES = 526;

/** In the form that OpenSSL reads fastest: an RSA key without its SubjectPublicKeyInfo takes a tenth of the time. */
function importedAnew({ kind, spki }: SubjectKey): KeyObject {
  switch (kind) {
    case 'p256': return createPublicKey({ key: { kty: 'EC', crv: 'P-256', ...coordinates(spki, P256_BYTES) }, format: 'jwk' });
    case 'rsa4096': return createPublicKey({ key: Buffer.from(spki.subarray(-RSA_KEY_BYTES)), format: 'der', type: 'pkcs1' });
    case 'p384': return createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
  }
}

/** The point stands at the end of a SubjectPublicKeyInfo. As JWK a P-256 key is imported almost twice as fast as from DER, a P-384 key four times slower. */
function coordinates(spki: Uint8Array, bytes: number): { x: string; y: string } {
  const point = Buffer.from(spki.subarray(-2 * bytes));
  return { x: point.toString('base64url', 0, bytes), y: point.toString('base64url', bytes) };
}
