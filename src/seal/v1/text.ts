// One sealed string of the network's own prompt encryption (WIRE-2026-04.md section 2.3): "ENC_" and hexadecimal of a synthetic
// tag and AES-256-CBC. Refuses plaintext in place of a sealed string ("DEC_"), prefixes below 16 bytes, and anything changed.
import { createCipheriv, createDecipheriv, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { badMethod, failedToDecrypt } from './errors.ts';

const SEALED = 'ENC_';
const BLOCK = 16;
const ID_BYTES = 16;
const LABEL = 'tde2e_encrypt_data';
/** Length of the additional data, which is always empty. */
const NO_DATA = new Uint8Array(4);
const MIN_PREFIX = 16;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function keysOf(secret: Uint8Array): { encrypt: Buffer; mac: Buffer } {
  const large = createHmac('sha512', secret).update(LABEL).digest();
  return { encrypt: large.subarray(0, 32), mac: large.subarray(32) };
}

const idOf = (mac: Uint8Array, padded: Uint8Array): Buffer => createHmac('sha256', mac).update(padded).update(NO_DATA).digest().subarray(0, ID_BYTES);

function cipherKey(encrypt: Uint8Array, id: Uint8Array): { key: Buffer; iv: Buffer } {
  const large = createHmac('sha512', encrypt).update(id).digest();
  return { key: large.subarray(0, 32), iv: large.subarray(32, 48) };
}

/** Length of the random prefix: 16 to 31, so that prefix and text fill whole blocks. */
const prefixLength = (textBytes: number): number => ((31 + textBytes) & ~15) - textBytes;

/** The sealed form of `text` under a 32-byte secret. `random` is for test vectors. */
export function sealText(secret: Uint8Array, text: string, random: (size: number) => Uint8Array = randomBytes): string {
  const plaintext = Buffer.from(text);
  const size = prefixLength(plaintext.byteLength);
  const prefix = Buffer.from(random(size));
  prefix[0] = size;
  const padded = Buffer.concat([prefix, plaintext]);
  const { encrypt, mac } = keysOf(secret);
  const id = idOf(mac, padded);
  const { key, iv } = cipherKey(encrypt, id);
  const cipher = createCipheriv('aes-256-cbc', key, iv).setAutoPadding(false);
  return SEALED + Buffer.concat([id, cipher.update(padded), cipher.final()]).toString('hex');
}

/** The text of a sealed string. Throws RemoteError with the network's codes. */
export function openText(secret: Uint8Array, sealed: string): string {
  if (!sealed.startsWith(SEALED)) throw badMethod();
  const hex = sealed.slice(SEALED.length);
  if (hex.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(hex)) throw failedToDecrypt('wrong hex string');
  const bytes = openBytes(secret, Buffer.from(hex, 'hex'));
  try {
    return utf8.decode(bytes);
  } catch {
    throw failedToDecrypt('the text is not UTF-8');
  }
}

/** What is in a tag and its ciphertext. Throws RemoteError. */
export function openBytes(secret: Uint8Array, sealed: Uint8Array): Uint8Array {
  if (sealed.byteLength < ID_BYTES) throw failedToDecrypt('encrypted_data is less than 16 bytes');
  if (sealed.byteLength % BLOCK !== 0) throw failedToDecrypt('data size is not divisible by 16');
  const { encrypt, mac } = keysOf(secret);
  const id = sealed.subarray(0, ID_BYTES);
  const { key, iv } = cipherKey(encrypt, id);
  const decipher = createDecipheriv('aes-256-cbc', key, iv).setAutoPadding(false);
  const padded = Buffer.concat([decipher.update(sealed.subarray(ID_BYTES)), decipher.final()]);
  if (!timingSafeEqual(idOf(mac, padded), id)) throw failedToDecrypt('msg_id mismatch');
  const size = padded[0] ?? 0;
  if (size < MIN_PREFIX || size > padded.byteLength) throw failedToDecrypt('invalid prefix size');
  return new Uint8Array(padded.subarray(size));
}
