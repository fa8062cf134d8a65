// Signatures of authorities that verified, remembered: whether a key has signed certain bytes does not change. Chains, lists and
// signed texts that come back with other evidence then cost a hash in place of a verification. Only what verified is
// remembered, only as a digest over all of it, and not more than a bound; validity, revocation and roles are judged every time.
import { createHash } from 'node:crypto';
import { toHex } from '../../core/bytes.ts';
import type { SignatureAlgorithm, SubjectKey } from './algorithms.ts';
import { verifiesWith } from './signature.ts';
import type { EcdsaEncoding } from './signature.ts';

const MAX_REMEMBERED = 4096;

const MAX_KEYS = 256;

/** SHA-256 in hexadecimal of what verified, the longest known first. */
const known = new Set<string>();
/** Keys of authorities by their bytes: one object for each, so that it is imported once. */
const keys = new Map<string, SubjectKey>();

/** As `verifiesWith`, for signatures by authorities that have themselves been verified, so that nobody else can fill the memory. */
export function authorityVerifies(
  key: SubjectKey, algorithm: SignatureAlgorithm, message: Uint8Array, signature: Uint8Array, encoding: EcdsaEncoding = 'der',
): boolean {
  const id = digestOf(key, algorithm, message, signature, encoding);
  if (known.has(id)) return true;
  const bytes = toHex(key.spki);
  const met = keys.get(bytes) ?? key;
  if (!verifiesWith(met, algorithm, message, signature, encoding)) return false;
  makeRoom(known, MAX_REMEMBERED);
  known.add(id);
  makeRoom(keys, MAX_KEYS);
  keys.set(bytes, met);
  return true;
}

/** Forgets everything: for measuring what a verification costs that meets its authorities for the first time. */
export function forgetAuthorities(): void {
  known.clear();
  keys.clear();
}

/** Forgets the oldest entry of a full memory. */
function makeRoom(memory: Map<string, unknown> | Set<string>, max: number): void {
  const [oldest] = memory.size >= max ? memory.keys() : [];
  if (oldest !== undefined) memory.delete(oldest);
}

/** Every part with its length, so that no other parts give the same text. */
function digestOf(key: SubjectKey, algorithm: SignatureAlgorithm, message: Uint8Array, signature: Uint8Array, encoding: EcdsaEncoding): string {
  const head = `${key.kind} ${algorithm} ${encoding} ${key.spki.length} ${message.length} ${signature.length}\n`;
  return createHash('sha256').update(head).update(key.spki).update(message).update(signature).digest('hex');
}
