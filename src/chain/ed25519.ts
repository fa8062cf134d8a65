// Ed25519 with node:crypto, for payments and wallet messages: raw 32-byte seeds and public keys, 64-byte signatures.
import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { CocoonError } from '../core/errors.ts';

/** Signs with one key; the key itself stays inside. */
export interface Signer {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** 64-byte Ed25519 signature over exactly these bytes. */
  sign(message: Uint8Array): Uint8Array;
}

const SEED_BYTES = 32;
const PUBLIC_KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;
// RFC 8410: DER of a PKCS #8 private key and of a SubjectPublicKeyInfo, up to the raw key.
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

/** A signer for a 32-byte seed. Throws E_INTERNAL on another length. */
export function signerOfSeed(seed: Uint8Array): Signer {
  if (seed.byteLength !== SEED_BYTES) throw new CocoonError('E_INTERNAL', `private key has ${seed.byteLength} bytes, expected ${SEED_BYTES}`);
  const der = Buffer.concat([PKCS8_PREFIX, seed]);
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  der.fill(0);
  const spki = createPublicKey(key).export({ format: 'der', type: 'spki' });
  return {
    publicKey: new Uint8Array(spki.subarray(SPKI_PREFIX.length)),
    sign: (message) => new Uint8Array(sign(null, message, key)),
  };
}

/** True when `signature` is the key's over `message`. Wrong lengths and keys that are no curve point are false, never an error. */
export function verifySignature(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.byteLength !== PUBLIC_KEY_BYTES || signature.byteLength !== SIGNATURE_BYTES) return false;
  const key = publicKeyObject(publicKey);
  try {
    return verify(null, message, key, signature);
  } catch {
    return false;
  }
}

/** Keys that were used last: to take one in costs several times what it costs to verify by it. */
const known = new Map<string, KeyObject>();
const MAX_KNOWN = 256;

function publicKeyObject(raw: Uint8Array): KeyObject {
  const name = Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength).toString('latin1');
  const before = known.get(name);
  if (before !== undefined) return before;
  const key = createPublicKey({ key: Buffer.concat([SPKI_PREFIX, raw]), format: 'der', type: 'spki' });
  const oldest = known.keys().next();
  if (known.size >= MAX_KNOWN && oldest.done !== true) known.delete(oldest.value);
  known.set(name, key);
  return key;
}
