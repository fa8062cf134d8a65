// Places for requests on the connections to proxies: a proxy answers so many requests of one connection at a time and refuses more,
// so the others wait here, in the order in which they came, and can be given up. The line is bounded.
import { abortError } from '../core/deadline.ts';
import { CapacityError } from '../core/errors.ts';

export interface Places {
  /** True: a place was taken; to be given back once. */
  take(connection: object): boolean;
  giveBack(connection: object): void;
  /** The place in line of one request, for all its waits. */
  ticket(): number;
  /**
   * Resolves when a place may be free for the first in line, and from time to time: connections come and go. Who finds none waits
   * again. Throws the signal's reason, or CapacityError E_NO_NODE when the line is full.
   */
  wait(options: { readonly ticket: number; readonly timeoutMs: number; readonly signal: AbortSignal }): Promise<void>;
  readonly waiting: number;
}

/** Fewer than the 64 requests that our proxies run for one connection: what was given up there counts a little longer. */
const PER_CONNECTION = 60;
const MAX_WAITING = 1_024;
const LOOK_MS = 200;

interface Waiter {
  readonly ticket: number;
  readonly wake: () => void;
}

export function createPlaces({ perConnection = PER_CONNECTION, maxWaiting = MAX_WAITING }: { readonly perConnection?: number; readonly maxWaiting?: number } = {}): Places {
  const taken = new WeakMap<object, number>();
  /** By ticket. */
  const line: Waiter[] = [];
  let tickets = 0;
  return {
    get waiting() {
      return line.length;
    },
    take(connection) {
      const count = taken.get(connection) ?? 0;
      if (count >= perConnection) return false;
      taken.set(connection, count + 1);
      return true;
    },
    giveBack(connection) {
      taken.set(connection, Math.max(0, (taken.get(connection) ?? 0) - 1));
      line[0]?.wake();
    },
    ticket() {
      tickets += 1;
      return tickets;
    },
    wait({ ticket, timeoutMs, signal }) {
      if (signal.aborted) return Promise.reject(abortError(signal));
      if (line.length >= maxWaiting) return Promise.reject(new CapacityError('E_NO_NODE', `${line.length} requests wait for a place already`, { hint: 'try again later' }));
      return new Promise((resolve, reject) => {
        const end = (act: () => void): void => {
          clearTimeout(timer);
          signal.removeEventListener('abort', onAbort);
          line.splice(line.indexOf(waiter), 1);
          act();
        };
        const waiter: Waiter = { ticket, wake: () => end(resolve) };
        const onAbort = (): void => end(() => reject(abortError(signal)));
        const timer = setTimeout(waiter.wake, Math.min(timeoutMs, LOOK_MS));
        signal.addEventListener('abort', onAbort, { once: true });
        const behind = line.findIndex((each) => each.ticket > ticket);
        line.splice(behind < 0 ? line.length : behind, 0, waiter);
      });
    },
  };
}
