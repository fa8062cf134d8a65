// The secret with which a client shows a proxy that it is the owner (WIRE.md section 9.2): another one for each proxy contract,
// derived from the client's own key, so that no proxy learns what opens an account elsewhere.
import { createHash, hkdfSync } from 'node:crypto';
import type { Address } from '@ton/core';
import { CocoonError } from '../core/errors.ts';

const SALT = 'cocoon client secret 1';
const SECRET_BYTES = 32;
const MIN_KEY_BYTES = 32;

/** 32 bytes: HKDF-SHA-256 of the key, with the raw addresses of proxy and client contract as its info. `key`: at least 32 secret bytes. */
export function proxySecret(key: Uint8Array, proxy: Address, client: Address): Uint8Array {
  if (key.byteLength < MIN_KEY_BYTES) throw new CocoonError('E_INTERNAL', `key has ${key.byteLength} bytes, expected at least ${MIN_KEY_BYTES}`);
  return new Uint8Array(hkdfSync('sha256', key, SALT, `${proxy.toRawString()} ${client.toRawString()}`, SECRET_BYTES));
}

/** What the client contract keeps of it: SHA-256, 32 bytes. */
export const secretHashOf = (secret: Uint8Array): Uint8Array => new Uint8Array(createHash('sha256').update(secret).digest());
