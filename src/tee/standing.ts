// How long the verdict on one peer stands: everything that the peer has shown, each with its own end, and a fixed age after
// which all of it is judged again, whatever its end. The connection decides what to do when a new verdict cannot be had.
import type { Clock } from '../core/clock.ts';
import type { PeerStanding } from './peer.ts';
import { onListChange } from './policy.ts';
import type { ExpectedImage } from './policy.ts';

/** A verdict is never relied on for longer. */
export const DEFAULT_MAX_AGE_MS = 3_600_000;

/** One thing that the peer has shown. */
export interface Shown {
  /** From when on its verdict must not be used, in milliseconds since the Unix epoch; Infinity where it has no end. */
  readonly untilMs: number;
  /** Judges it again; the result is its new end. Rejects as PeerStanding.renew. */
  judge(signal: AbortSignal): Promise<number>;
}

export class Standing implements PeerStanding {
  readonly #clock: Clock;
  readonly #maxAgeMs: number;
  readonly #expected: ExpectedImage;
  readonly #shown: { untilMs: number; readonly judge: Shown['judge'] }[] = [];
  readonly #listeners = new Set<(judgeNow: boolean) => void>();
  #judgedMs: number;

  constructor(expected: ExpectedImage, clock: Clock, maxAgeMs: number = DEFAULT_MAX_AGE_MS) {
    this.#expected = expected;
    this.#clock = clock;
    this.#maxAgeMs = maxAgeMs;
    this.#judgedMs = clock.now();
  }

  /** Adds what has just been judged. */
  add({ untilMs, judge }: Shown): void {
    this.#shown.push({ untilMs, judge });
    for (const listener of this.#listeners) listener(false);
  }

  leftMs(): number {
    const nowMs = this.#clock.now();
    // A clock that was set back says nothing about age.
    if (nowMs < this.#judgedMs) return 0;
    return Math.min(this.#judgedMs + this.#maxAgeMs, ...this.#shown.map(({ untilMs }) => untilMs)) - nowMs;
  }

  async renew(signal: AbortSignal): Promise<void> {
    const startedMs = this.#clock.now();
    for (const one of this.#shown) one.untilMs = await one.judge(signal);
    this.#judgedMs = startedMs;
  }

  onChange(listener: (judgeNow: boolean) => void): () => void {
    this.#listeners.add(listener);
    const forget = onListChange(this.#expected, () => listener(true));
    return () => {
      this.#listeners.delete(listener);
      forget();
    };
  }
}
