// Ed25519 keys between node:crypto and the raw 32 bytes that certificates and report data carry (RFC 8410).
// Refuses keys of any other type and raw keys of any other length.
import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import type { KeyObject } from 'node:crypto';

export const ED25519_KEY_BYTES = 32;

/** SubjectPublicKeyInfo and PKCS#8 of an Ed25519 key, up to the 32 bytes of the key or seed. */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

export interface TlsKeys {
  readonly privateKey: KeyObject;
  /** Raw Ed25519 public key, 32 bytes. */
  readonly publicKey: Uint8Array;
}

/** A fresh key pair. Keep it for one process life only: the certificate made with it is what peers attest. */
export function generateTlsKeys(): TlsKeys {
  return tlsKeysOf(generateKeyPairSync('ed25519').privateKey);
}

/** The pair that belongs to an Ed25519 private key; throws RangeError on another type. */
export function tlsKeysOf(privateKey: KeyObject): TlsKeys {
  if (privateKey.type !== 'private' || privateKey.asymmetricKeyType !== 'ed25519') {
    throw new RangeError(`expected an Ed25519 private key, got ${privateKey.type} ${privateKey.asymmetricKeyType ?? 'key'}`);
  }
  const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
  return { privateKey, publicKey: new Uint8Array(spki.subarray(SPKI_PREFIX.length)) };
}

/** KeyObject of a raw public key of 32 bytes; throws RangeError on another length. */
export function publicKeyFromRaw(raw: Uint8Array): KeyObject {
  return createPublicKey({ key: spkiOfRaw(raw), format: 'der', type: 'spki' });
}

/** SubjectPublicKeyInfo (DER, 44 bytes) of a raw public key of 32 bytes; throws RangeError on another length. */
export function spkiOfRaw(raw: Uint8Array): Buffer {
  return Buffer.concat([SPKI_PREFIX, checkLength(raw, 'public key')]);
}

/** KeyObject of a private seed of 32 bytes; throws RangeError on another length. */
export function privateKeyFromSeed(seed: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, checkLength(seed, 'private seed')]), format: 'der', type: 'pkcs8' });
}

function checkLength(raw: Uint8Array, what: string): Uint8Array {
  if (raw.length !== ED25519_KEY_BYTES) throw new RangeError(`expected an Ed25519 ${what} of 32 bytes, got ${raw.length}`);
  return raw;
}
