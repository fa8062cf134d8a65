// Report data: what binds evidence to a TLS key (WIRE.md section 4; the same for TDX, SEV-SNP and simulated evidence).
import { createHash } from 'node:crypto';
import { ED25519_KEY_BYTES } from './tls-keys.ts';

export const REPORT_DATA_BYTES = 64;

/** SHA-512 of the raw 32-byte Ed25519 TLS public key: 64 bytes. Throws RangeError on another key length. */
export function reportDataOf(publicKey: Uint8Array): Uint8Array {
  if (publicKey.length !== ED25519_KEY_BYTES) throw new RangeError(`expected a public key of 32 bytes, got ${publicKey.length}`);
  return new Uint8Array(createHash('sha512').update(publicKey).digest());
}
