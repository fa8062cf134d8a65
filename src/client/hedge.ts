// Two contenders for one result, the second of which starts only when the first is slow: the first that succeeds wins, the other
// one is told to stop, and what it brings all the same is discarded. When one fails, the other is waited for.
import { abortError } from '../core/deadline.ts';
import { deferred } from '../core/deferred.ts';
import { NetworkError } from '../core/errors.ts';

export interface Contender<T> {
  start(signal: AbortSignal): Promise<T>;
  /** Called with a result that came too late. */
  discard(result: T): void | Promise<void>;
}

export interface HedgeOptions {
  readonly afterMs: number;
  readonly signal: AbortSignal;
}

interface Running<T> {
  readonly contender: Contender<T>;
  readonly controller: AbortController;
}

/**
 * The first result. `second` is asked for after `afterMs` without one; null: there is none. Throws the error that came first when
 * all have failed, or the signal's reason. The signal reaches the winner's work too.
 */
export async function firstOf<T>(first: Contender<T>, second: () => Contender<T> | null, { afterMs, signal }: HedgeOptions): Promise<T> {
  if (signal.aborted) throw abortError(signal);
  const result = deferred<T>();
  const running = new Set<Running<T>>();
  let won = false;
  let error: unknown;
  let hedge = true;
  const stop = (reason: unknown): void => {
    for (const { controller } of running) controller.abort(reason);
  };
  const start = (contender: Contender<T>): void => {
    const one: Running<T> = { contender, controller: new AbortController() };
    running.add(one);
    contender.start(AbortSignal.any([signal, one.controller.signal])).then((value) => {
      running.delete(one);
      if (won || signal.aborted) {
        void contender.discard(value);
        return;
      }
      won = true;
      result.resolve(value);
      stop(new NetworkError('E_CLOSED', 'another attempt answered first'));
    }, (thrown: unknown) => {
      running.delete(one);
      error ??= thrown;
      // One that fails before the other is due is the caller's to try again.
      hedge = false;
      if (running.size === 0) result.reject(error);
    });
  };
  const onAbort = (): void => result.reject(abortError(signal));
  const timer = setTimeout(() => {
    if (won || !hedge) return;
    const other = second();
    if (other !== null) start(other);
  }, afterMs);
  signal.addEventListener('abort', onAbort, { once: true });
  start(first);
  try {
    return await result.promise;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
  }
}
