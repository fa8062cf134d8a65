// The two AEADs of sealing, on node:crypto: AES-128-GCM and ChaCha20-Poly1305 (RFC 9180 section 7.3). A ciphertext ends with
// its 16-byte tag.
import { createCipheriv, createDecipheriv } from 'node:crypto';
import { SealError } from '../errors.ts';

export const NONCE_BYTES = 12;
export const TAG_BYTES = 16;

export interface Aead {
  /** Number of the IANA registry of HPKE AEADs. */
  readonly id: number;
  readonly name: string;
  readonly keyBytes: number;
  seal(key: Uint8Array, nonce: Uint8Array, aad: Uint8Array, plaintext: Uint8Array): Uint8Array;
  /** Throws SealError unless the ciphertext is what was sealed with these. */
  open(key: Uint8Array, nonce: Uint8Array, aad: Uint8Array, ciphertext: Uint8Array): Uint8Array;
}

// The two literals have different overloads in @types/node; what is used of them is the same.
type Cipher = 'aes-128-gcm' | 'chacha20-poly1305';

function aead(id: number, name: string, keyBytes: number, cipher: Cipher): Aead {
  const options = { authTagLength: TAG_BYTES };
  return {
    id, name, keyBytes,
    seal(key, nonce, aad, plaintext) {
      const sealing = createCipheriv(cipher as 'aes-128-gcm', key, nonce, options);
      sealing.setAAD(aad, { plaintextLength: plaintext.byteLength });
      const ciphertext = sealing.update(plaintext); // all of it: both are stream ciphers
      sealing.final();
      return Buffer.concat([ciphertext, sealing.getAuthTag()]);
    },
    open(key, nonce, aad, ciphertext) {
      const length = ciphertext.byteLength - TAG_BYTES;
      if (length < 0) throw new SealError(`ciphertext has ${ciphertext.byteLength} bytes, expected at least ${TAG_BYTES}`);
      const opening = createDecipheriv(cipher as 'aes-128-gcm', key, nonce, options);
      opening.setAAD(aad, { plaintextLength: length });
      opening.setAuthTag(ciphertext.subarray(length));
      const plaintext = opening.update(ciphertext.subarray(0, length));
      try {
        opening.final();
        return plaintext;
      } catch (cause) {
        throw new SealError('ciphertext does not open: it was changed, or is meant for another key or context', cause);
      }
    },
  };
}

export const AES_128_GCM: Aead = aead(0x0001, 'AES-128-GCM', 16, 'aes-128-gcm');
export const CHACHA20_POLY1305: Aead = aead(0x0003, 'ChaCha20-Poly1305', 32, 'chacha20-poly1305');

/** The nonce of a sequence number: `base` XOR the number, big-endian (RFC 9180 section 5.2). */
export function nonceOf(base: Uint8Array, sequence: number): Uint8Array {
  if (!Number.isSafeInteger(sequence) || sequence < 0) throw new RangeError(`sequence number ${sequence}`);
  const nonce = Uint8Array.from(base);
  for (let at = nonce.byteLength - 1, rest = sequence; rest > 0 && at >= 0; at -= 1, rest = Math.floor(rest / 256)) {
    nonce[at] = (nonce[at] ?? 0) ^ (rest % 256);
  }
  return nonce;
}
