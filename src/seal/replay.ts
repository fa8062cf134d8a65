// Remembers what was opened so that nothing is opened twice (SPEC.md section 8). Bounded: when it is full, new requests are
// refused until old ones may be forgotten, because forgetting early would let one through again. So are all requests while the
// clock, which is the host's to set, is far behind the latest time that was seen: what was forgotten by then would be in time again.
import { createHash } from 'node:crypto';
import { SealError } from './errors.ts';
import { CLOCK_SKEW_S } from './key-record.ts';

const DEFAULT_CAPACITY = 200_000;
/** How far the clock may be set back. */
const MAX_BACK_MS = CLOCK_SKEW_S * 1000;
/** A request older than the clock skew is refused by its timestamp; twice that covers both directions. */
const KEEP_MS = 2 * CLOCK_SKEW_S * 1000 + MAX_BACK_MS;

export class ReplayGuard {
  /** Digest of an encapsulation, and when it may be forgotten; oldest first. */
  readonly #seen = new Map<string, number>();
  readonly #capacity: number;
  /** The latest time that was seen. */
  #latestMs = -Infinity;

  constructor(capacity: number = DEFAULT_CAPACITY) {
    this.#capacity = capacity;
  }

  /** Takes note of an encapsulation. Throws SealError when it was there before, or when that cannot be known or remembered. */
  admit(enc: Uint8Array, nowMs: number): void {
    if (!(nowMs >= this.#latestMs - MAX_BACK_MS)) {
      throw new SealError(`the clock of this node is ${Math.round((this.#latestMs - nowMs) / 1000)} s behind what it was before, no more can be told apart from repeats`);
    }
    this.#latestMs = Math.max(this.#latestMs, nowMs);
    for (const [digest, untilMs] of this.#seen) {
      if (untilMs >= this.#latestMs) break;
      this.#seen.delete(digest);
    }
    const digest = createHash('sha256').update(enc).digest('base64');
    if (this.#seen.has(digest)) throw new SealError('sealed request was sent before: it is answered once only');
    if (this.#seen.size >= this.#capacity) throw new SealError(`more than ${this.#capacity} sealed requests within ${KEEP_MS / 1000} s, no more can be told apart from repeats`);
    this.#seen.set(digest, this.#latestMs + KEEP_MS);
  }

  get size(): number {
    return this.#seen.size;
  }
}
