// Addresses for networks without contracts. They have the text form of TON addresses because the wire demands it, and
// are hashes of a label and a key: nobody has a contract or money there.
import { createHash } from 'node:crypto';
import { Address } from '@ton/core';

/** User-friendly, non-bounceable, base64url text (48 characters) for `label` and `key`. */
export function unpaidAddress(label: string, key: Uint8Array): string {
  const hash = createHash('sha256').update(`cocoon-unpaid:${label}:`).update(key).digest();
  return new Address(0, hash).toString({ urlSafe: true, bounceable: false, testOnly: false });
}
