// Deadlines: work that ends in time, or is told to stop and fails with the caller's typed error.
import { deferred } from './deferred.ts';
import { CocoonError, NetworkError } from './errors.ts';

/** Longest delay that setTimeout keeps; more would fire at once. About 24.8 days. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export interface DeadlineOptions {
  readonly timeoutMs: number;
  /** The caller's own cancellation; its reason is the error. */
  readonly signal?: AbortSignal | undefined;
  /** Makes the error for work that is late. */
  readonly late: () => CocoonError;
}

/**
 * Runs `work` with a signal that aborts when `timeoutMs` have passed or the caller's signal aborts.
 * Rejects at that moment with `late()` or the caller's reason, whether or not `work` obeys its signal; what `work` does
 * afterwards is ignored, so it must release what it holds when its signal aborts.
 */
export async function withDeadline<T>(work: (signal: AbortSignal) => Promise<T>, options: DeadlineOptions): Promise<T> {
  const { timeoutMs, signal, late } = options;
  if (signal?.aborted === true) throw abortError(signal);
  const inner = new AbortController();
  const stopped = deferred<never>();
  stopped.promise.catch(() => undefined); // the race may be over before it is stopped
  const stop = (error: CocoonError): void => {
    stopped.reject(error);
    inner.abort(error);
  };
  const onAbort = (): void => {
    if (signal !== undefined) stop(abortError(signal));
  };
  const timer = setTimeout(() => stop(late()), Math.min(timeoutMs, MAX_TIMER_MS));
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([work(inner.signal), stopped.promise]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  }
}

/** The typed error for an aborted signal: its reason when that is one of ours, else E_CLOSED with the reason as cause. */
export function abortError(signal: AbortSignal): CocoonError {
  const reason: unknown = signal.reason;
  if (reason instanceof CocoonError) return reason;
  return new NetworkError('E_CLOSED', 'operation was cancelled by its caller', { cause: reason });
}
