// Keys of the network's own prompt encryption (WIRE-2026-04.md sections 2.1 and 2.2): Ed25519 keys used for X25519, and the secret
// of one JSON object. Refuses key texts of other lengths and public keys of small order.
import { createHash } from 'node:crypto';
import { signerOfSeed } from '../../chain/ed25519.ts';
import { x25519Key } from '../hpke/x25519.ts';
import { badKeyLength, failedToDecrypt } from './errors.ts';

/** The curve's prime. */
const P = 2n ** 255n - 19n;
const KEY_BYTES = 32;
/** Which side sends; part of the secret, so that no message can be turned round. */
export type Direction = 'client' | 'worker';
const TAG = { client: 'c', worker: 'w' } as const;

/** Public key of a 32-byte Ed25519 seed. */
export const publicKeyOf = (seed: Uint8Array): Uint8Array => signerOfSeed(seed).publicKey;

/** A key as text: 64 characters of hexadecimal, 44 of base64, or 32 raw bytes. Throws RemoteError 621 for another length. */
export function parseKey(text: string): Uint8Array {
  const length = Buffer.byteLength(text);
  const bytes = length === 64 && /^[0-9a-fA-F]+$/.test(text) ? Buffer.from(text, 'hex')
    : length === 44 && /^[A-Za-z0-9+/]+=$/.test(text) ? Buffer.from(text, 'base64')
      : length === KEY_BYTES ? Buffer.from(text) : Buffer.alloc(0);
  if (bytes.byteLength !== KEY_BYTES) throw badKeyLength();
  return new Uint8Array(bytes);
}

/** What both sides of two Ed25519 keys can compute, 32 bytes. Throws RemoteError for a peer's key of small order. */
export function agree(seed: Uint8Array, peer: Uint8Array): Uint8Array {
  const scalar = createHash('sha512').update(seed).digest().subarray(0, KEY_BYTES);
  try {
    return x25519Key(new Uint8Array(scalar)).agree(montgomery(peer));
  } catch {
    throw failedToDecrypt('the public key is of small order');
  } finally {
    scalar.fill(0);
  }
}

/** `SHA-256(shared ‖ nonce text ‖ tag)`. `nonceText` is the field as it stands. */
export const messageSecret = (shared: Uint8Array, nonceText: string, from: Direction): Uint8Array =>
  new Uint8Array(createHash('sha256').update(shared).update(nonceText).update(TAG[from]).digest());

/** u = (1 + y) / (1 − y): the X25519 public key of an Ed25519 public key. */
function montgomery(publicKey: Uint8Array): Uint8Array {
  if (publicKey.byteLength !== KEY_BYTES) throw badKeyLength();
  let y = 0n;
  for (let at = KEY_BYTES - 1; at >= 0; at -= 1) y = (y << 8n) | BigInt(publicKey[at] ?? 0);
  y = (y & (2n ** 255n - 1n)) % P;
  if (y === 1n) throw new RangeError('degenerate public key');
  let u = ((1n + y) * power((P + 1n - y) % P, P - 2n)) % P;
  const bytes = new Uint8Array(KEY_BYTES);
  for (let at = 0; at < KEY_BYTES; at += 1, u >>= 8n) bytes[at] = Number(u & 0xffn);
  return bytes;
}

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  for (let square = base, rest = exponent; rest > 0n; rest >>= 1n, square = (square * square) % P) {
    if ((rest & 1n) === 1n) result = (result * square) % P;
  }
  return result;
}
