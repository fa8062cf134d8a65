// Lets work through in order, a few pieces at a time, and the event loop in between: verifying signatures holds it for
// milliseconds, so a crowd of peers must neither stop everything else nor wait without bound. Refuses who would be too many.
import { abortError } from '../../core/deadline.ts';
import { deferred } from '../../core/deferred.ts';
import { NetworkError } from '../../core/errors.ts';

export interface TurnstileLimits {
  /** Pieces of work at the same time. */
  readonly atOnce: number;
  /** Who waits beyond them. */
  readonly waiting: number;
  /** For the message: what is being done. */
  readonly what: string;
}

export class Turnstile {
  readonly #limits: TurnstileLimits;
  readonly #queue: (() => void)[] = [];
  #inside = 0;

  constructor(limits: TurnstileLimits) {
    this.#limits = limits;
  }

  /** Runs `work` when its turn comes. Rejects with its error, E_BUSY when too many wait, or the signal's reason while it waits. */
  async pass<T>(work: () => T | Promise<T>, signal?: AbortSignal): Promise<T> {
    await this.#enter(signal);
    try {
      // A turn of the loop for everybody else, however many stand in line.
      await new Promise((resolve) => { setImmediate(resolve); });
      if (signal?.aborted === true) throw abortError(signal);
      return await work();
    } finally {
      this.#inside -= 1;
      this.#queue.shift()?.();
    }
  }

  async #enter(signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted === true) throw abortError(signal);
    const { atOnce, waiting, what } = this.#limits;
    if (this.#inside < atOnce && this.#queue.length === 0) {
      this.#inside += 1;
      return;
    }
    if (this.#queue.length >= waiting) throw new NetworkError('E_BUSY', `${waiting} others wait for ${what} already`, { hint: 'try again later' });
    const turn = deferred<void>();
    const enter = (): void => {
      this.#inside += 1;
      turn.resolve();
    };
    const leave = (): void => {
      const at = this.#queue.indexOf(enter);
      if (at === -1) return;
      this.#queue.splice(at, 1);
      if (signal !== undefined) turn.reject(abortError(signal));
    };
    this.#queue.push(enter);
    signal?.addEventListener('abort', leave, { once: true });
    try {
      await turn.promise;
    } finally {
      signal?.removeEventListener('abort', leave);
    }
  }
}
