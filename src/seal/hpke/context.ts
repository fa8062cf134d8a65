// HPKE in base mode (RFC 9180 section 5.1): a sender and a receiver that share keys after one encapsulation. Own code on
// node:crypto because the libraries at hand take several milliseconds for what is done before a first token.
import { randomBytes } from 'node:crypto';
import { SealError } from '../errors.ts';
import { nonceOf, NONCE_BYTES } from './aead.ts';
import { labeledExpand, labeledExtract } from './labeled.ts';
import type { Aead } from './aead.ts';
import type { Kem, KemKey } from './kem.ts';

/** Number of HKDF-SHA256 in the IANA registry of HPKE KDFs; the only one here. */
export const HKDF_SHA256 = 0x0001;
const MODE_BASE = 0;
const HASH_BYTES = 32;
const EMPTY = new Uint8Array(0);

export interface Suite {
  readonly kem: Kem;
  readonly aead: Aead;
}

/** Shared part of both sides. */
export interface ExportContext {
  /** `length` bytes that only the two sides know; different for each `label` (RFC 9180 section 5.3). */
  export(label: Uint8Array, length: number): Uint8Array;
}

export interface SenderContext extends ExportContext {
  /** Goes to the receiver with the first ciphertext. */
  readonly enc: Uint8Array;
  /** Ciphertexts must be opened in the order in which they were sealed. */
  seal(aad: Uint8Array, plaintext: Uint8Array): Uint8Array;
}

export interface ReceiverContext extends ExportContext {
  /** Throws SealError; the same ciphertext may then be tried again with other data, the sequence does not move. */
  open(aad: Uint8Array, ciphertext: Uint8Array): Uint8Array;
}

/** Encapsulates to `publicKey`. `random` is for test vectors. Throws SealError for a public key that is none. */
export function createSender({ kem, aead }: Suite, publicKey: Uint8Array, info: Uint8Array, random: (size: number) => Uint8Array = randomBytes): SenderContext {
  const { sharedSecret, enc } = kem.encapsulate(publicKey, random(kem.randomnessBytes));
  const keys = keySchedule({ kem, aead }, sharedSecret, info);
  let sequence = 0;
  return {
    enc,
    export: keys.export,
    seal(aad, plaintext) {
      const sealed = aead.seal(keys.key, nonceOf(keys.baseNonce, sequence), aad, plaintext);
      sequence += 1;
      return sealed;
    },
  };
}

/** Decapsulates `enc`. Throws SealError. */
export function createReceiver({ kem, aead }: Suite, key: KemKey, enc: Uint8Array, info: Uint8Array): ReceiverContext {
  if (enc.byteLength !== kem.encBytes) throw new SealError(`encapsulation has ${enc.byteLength} bytes, expected ${kem.encBytes} for ${kem.name}`);
  const keys = keySchedule({ kem, aead }, key.decapsulate(enc), info);
  let sequence = 0;
  return {
    export: keys.export,
    open(aad, ciphertext) {
      const plaintext = aead.open(keys.key, nonceOf(keys.baseNonce, sequence), aad, ciphertext);
      sequence += 1;
      return plaintext;
    },
  };
}

interface Keys extends ExportContext {
  readonly key: Uint8Array;
  readonly baseNonce: Uint8Array;
}

// KeySchedule of RFC 9180 section 5.1 with an empty psk.
function keySchedule({ kem, aead }: Suite, sharedSecret: Uint8Array, info: Uint8Array): Keys {
  const ids = Buffer.alloc(6);
  ids.writeUInt16BE(kem.id, 0);
  ids.writeUInt16BE(HKDF_SHA256, 2);
  ids.writeUInt16BE(aead.id, 4);
  const suiteId = Buffer.concat([Buffer.from('HPKE'), ids]);
  const pskIdHash = labeledExtract(suiteId, EMPTY, 'psk_id_hash', EMPTY);
  const infoHash = labeledExtract(suiteId, EMPTY, 'info_hash', info);
  const context = Buffer.concat([Uint8Array.of(MODE_BASE), pskIdHash, infoHash]);
  const secret = labeledExtract(suiteId, sharedSecret, 'secret', EMPTY);
  const exporterSecret = labeledExpand(suiteId, secret, 'exp', context, HASH_BYTES);
  return {
    key: labeledExpand(suiteId, secret, 'key', context, aead.keyBytes),
    baseNonce: labeledExpand(suiteId, secret, 'base_nonce', context, NONCE_BYTES),
    export: (label, length) => labeledExpand(suiteId, exporterSecret, 'sec', label, length),
  };
}

