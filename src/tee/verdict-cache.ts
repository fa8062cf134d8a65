// Remembers verdicts that passed, by what they were made of: evidence, collateral, policy, binding, roots. Bounded, dropped
// at their expiry, and never used before the time at which they were made (a clock that was set back). Failures are not kept.
import { createHash } from 'node:crypto';
import type { Verdict } from './verdict.ts';

const DEFAULT_ENTRIES = 4096;

interface Entry<T> {
  readonly value: T;
  readonly madeMs: number;
  readonly expiresMs: number;
}

/** SHA-256 over parts with their lengths, so that no two lists of parts give the same key. Texts count as UTF-8. */
export function verdictKey(...parts: readonly (Uint8Array | string)[]): string {
  const hash = createHash('sha256');
  for (const part of parts) {
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(typeof part === 'string' ? Buffer.byteLength(part) : part.length));
    hash.update(length).update(part);
  }
  return hash.digest('base64');
}

/** Outcomes of verifiers, with their verdict. The caller's key must cover everything that the verdict depends on but the time. */
export class VerdictCache<T extends { readonly verdict: Verdict }> {
  readonly #entries = new Map<string, Entry<T>>();
  readonly #maxEntries: number;

  constructor(maxEntries: number = DEFAULT_ENTRIES) {
    this.#maxEntries = maxEntries;
  }

  /** The outcome under `key` if it still stands at `nowMs` (milliseconds since the Unix epoch), else null. */
  get(key: string, nowMs: number): T | null {
    const entry = this.#entries.get(key);
    if (entry === undefined) return null;
    this.#entries.delete(key);
    if (!(nowMs >= entry.madeMs && nowMs < entry.expiresMs)) return null;
    this.#entries.set(key, entry);
    return entry.value;
  }

  /** Keeps an outcome that passed and knows its expiry; the least recently used goes when there are too many. */
  set(key: string, value: T, nowMs: number): void {
    const { overall, expiresAtMs } = value.verdict;
    if (overall !== 'pass' || expiresAtMs === null) return;
    this.#entries.delete(key);
    this.#entries.set(key, { value, madeMs: nowMs, expiresMs: expiresAtMs });
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.#maxEntries) break;
      this.#entries.delete(oldest);
    }
  }

  /** Forgets everything: when the root contract or the policy has changed, and at the end of a session. */
  clear(): void {
    this.#entries.clear();
  }

  get size(): number {
    return this.#entries.size;
  }
}
