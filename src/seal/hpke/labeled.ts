// LabeledExtract and LabeledExpand of RFC 9180 section 4, with HKDF-SHA256 (RFC 5869).
import { createHmac } from 'node:crypto';

const HASH_BYTES = 32;
const VERSION = Buffer.from('HPKE-v1');

const hmac = (key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array => {
  const mac = createHmac('sha256', key);
  for (const part of parts) mac.update(part);
  return new Uint8Array(mac.digest());
};

/** HKDF-Extract; 32 bytes. An empty salt stands for 32 zero bytes. */
export const extract = (salt: Uint8Array, ...keyMaterial: readonly Uint8Array[]): Uint8Array =>
  hmac(salt.byteLength === 0 ? new Uint8Array(HASH_BYTES) : salt, ...keyMaterial);

/** HKDF-Expand of `length` bytes, at most 8160. */
export function expand(prk: Uint8Array, info: Uint8Array, length: number): Uint8Array {
  if (length > 255 * HASH_BYTES) throw new RangeError(`HKDF cannot give ${length} bytes`);
  const out = Buffer.alloc(Math.ceil(length / HASH_BYTES) * HASH_BYTES);
  let block: Uint8Array = new Uint8Array(0);
  for (let index = 1; (index - 1) * HASH_BYTES < length; index += 1) {
    block = hmac(prk, block, info, Uint8Array.of(index));
    out.set(block, (index - 1) * HASH_BYTES);
  }
  return new Uint8Array(out.subarray(0, length));
}

export const labeledExtract = (suiteId: Uint8Array, salt: Uint8Array, label: string, keyMaterial: Uint8Array): Uint8Array =>
  extract(salt, VERSION, suiteId, Buffer.from(label), keyMaterial);

export function labeledExpand(suiteId: Uint8Array, prk: Uint8Array, label: string, info: Uint8Array, length: number): Uint8Array {
  const size = Buffer.alloc(2);
  size.writeUInt16BE(length);
  return expand(prk, Buffer.concat([size, VERSION, suiteId, Buffer.from(label), info]), length);
}
