// DHKEM(X25519, HKDF-SHA256), RFC 9180 sections 4.1 and 7.1, on Node's own X25519, which takes a tenth of a millisecond.
// Refuses public keys of small order: OpenSSL fails on an all-zero shared value.
import { createPrivateKey, createPublicKey, diffieHellman } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { SealError } from '../errors.ts';
import { labeledExpand, labeledExtract } from './labeled.ts';
import type { Kem, KemKey } from './kem.ts';

const BYTES = 32;
// RFC 8410: DER up to the raw key. JWK (RFC 8037) would want the public part too, which is not known yet.
const PKCS8_PREFIX = Buffer.from('302e020100300506032b656e04220420', 'hex');
/** Public keys go in and out as JWK: OpenSSL's decoder of DER takes longer than the operation itself. */
const JWK = { kty: 'OKP', crv: 'X25519' };
/** "KEM" and the id of this KEM (RFC 9180 section 4.1). */
const SUITE_ID = Uint8Array.of(0x4b, 0x45, 0x4d, 0x00, 0x20);
const EMPTY = new Uint8Array(0);

export interface X25519Key {
  readonly publicKey: Uint8Array;
  /** The raw shared value, 32 bytes. Throws SealError for a point of small order. */
  agree(publicKey: Uint8Array): Uint8Array;
}

/** The X25519 key of a 32-byte scalar (clamped by the operation itself). */
export function x25519Key(scalar: Uint8Array): X25519Key {
  if (scalar.byteLength !== BYTES) throw new RangeError(`X25519 scalar has ${scalar.byteLength} bytes, expected ${BYTES}`);
  const der = Buffer.concat([PKCS8_PREFIX, scalar]);
  const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  der.fill(0);
  const { x = '' } = createPublicKey(privateKey).export({ format: 'jwk' });
  return {
    publicKey: new Uint8Array(Buffer.from(x, 'base64url')),
    agree(publicKey) {
      try {
        return new Uint8Array(diffieHellman({ privateKey, publicKey: publicKeyObject(publicKey) }));
      } catch (cause) {
        throw new SealError('X25519 public key is of small order or malformed', cause);
      }
    },
  };
}

function publicKeyObject(raw: Uint8Array): KeyObject {
  if (raw.byteLength !== BYTES) throw new RangeError(`X25519 public key has ${raw.byteLength} bytes, expected ${BYTES}`);
  return createPublicKey({ key: { ...JWK, x: base64url(raw) }, format: 'jwk' });
}

const base64url = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url');

// ExtractAndExpand of RFC 9180 section 4.1.
function extractAndExpand(dh: Uint8Array, enc: Uint8Array, publicKey: Uint8Array): Uint8Array {
  const prk = labeledExtract(SUITE_ID, EMPTY, 'eae_prk', dh);
  return labeledExpand(SUITE_ID, prk, 'shared_secret', Buffer.concat([enc, publicKey]), BYTES);
}

function keyOf(seed: Uint8Array): KemKey {
  const key = x25519Key(seed);
  return {
    publicKey: key.publicKey,
    decapsulate: (enc) => extractAndExpand(key.agree(enc), enc, key.publicKey),
    erase: () => {}, // the scalar is in OpenSSL's memory, which clears it when the key is collected
  };
}

/** `keyOf` and `encapsulate` take the 32-byte scalar itself. */
export const X25519: Kem = {
  id: 0x0020, name: 'X25519', publicKeyBytes: BYTES, encBytes: BYTES, seedBytes: BYTES, randomnessBytes: BYTES,
  keyOf,
  encapsulate(publicKey, randomness) {
    const ephemeral = x25519Key(randomness);
    const enc = ephemeral.publicKey;
    return { sharedSecret: extractAndExpand(ephemeral.agree(publicKey), enc, publicKey), enc };
  },
};
