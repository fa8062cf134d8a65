// Work that several callers wait for and that goes on when one of them leaves: a document that a peer with a short deadline
// has asked for is there for the next one. Bounded in number; the work itself must end by itself.
import { abortError } from '../../core/deadline.ts';
import { NetworkError } from '../../core/errors.ts';

export class SharedWork<T> {
  readonly #running = new Map<string, Promise<T>>();
  readonly #max: number;
  readonly #what: string;

  /** `what` is for the message of E_BUSY. */
  constructor(max: number, what: string) {
    this.#max = max;
    this.#what = what;
  }

  /** What the work under `key` gives; starts it when it does not run. Rejects with its error, E_BUSY, or the signal's reason. */
  join(key: string, start: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    if (signal?.aborted === true) return Promise.reject(abortError(signal));
    const known = this.#running.get(key);
    if (known === undefined && this.#running.size >= this.#max) {
      return Promise.reject(new NetworkError('E_BUSY', `${this.#max} others wait for ${this.#what} already`, { hint: 'try again later' }));
    }
    const work = known ?? start().finally(() => this.#running.delete(key));
    if (known === undefined) {
      this.#running.set(key, work);
      work.catch(() => undefined); // every waiter may have left
    }
    return signal === undefined ? work : untilAborted(work, signal);
  }
}

function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const onAbort = (): void => reject(abortError(signal));
    signal.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
