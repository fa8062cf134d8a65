// Remembers what was opened so that nothing is opened twice (SPEC.md section 8). Bounded: when it is full, new requests are
// refused until old ones may be forgotten, because forgetting early would let one through again.
import { createHash } from 'node:crypto';
import { SealError } from './errors.ts';
import { CLOCK_SKEW_S } from './key-record.ts';

const DEFAULT_CAPACITY = 200_000;
/** A request older than the clock skew is refused by its timestamp; twice that covers both directions. */
const KEEP_MS = 2 * CLOCK_SKEW_S * 1000;

export class ReplayGuard {
  /** Digest of an encapsulation, and when it may be forgotten; oldest first. */
  readonly #seen = new Map<string, number>();
  readonly #capacity: number;

  constructor(capacity: number = DEFAULT_CAPACITY) {
    this.#capacity = capacity;
  }

  /** Takes note of an encapsulation. Throws SealError when it was there before, or when there is no room to remember it. */
  admit(enc: Uint8Array, nowMs: number): void {
    for (const [digest, untilMs] of this.#seen) {
      if (untilMs > nowMs) break;
      this.#seen.delete(digest);
    }
    const digest = createHash('sha256').update(enc).digest('base64');
    if (this.#seen.has(digest)) throw new SealError('sealed request was sent before: it is answered once only');
    if (this.#seen.size >= this.#capacity) throw new SealError(`more than ${this.#capacity} sealed requests within ${KEEP_MS / 1000} s, no more can be told apart from repeats`);
    this.#seen.set(digest, nowMs + KEEP_MS);
  }

  get size(): number {
    return this.#seen.size;
  }
}
