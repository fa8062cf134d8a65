// Waiting and trying again: sleep that can be cancelled, exponential back-off with jitter, a bounded retry loop.

/** Waits `ms` milliseconds; rejects with the signal's reason when it is aborted first. A port, so that tests need not wait. */
export type Sleep = (ms: number, signal?: AbortSignal) => Promise<void>;

export const sleep: Sleep = (ms, signal) => new Promise((resolve, reject) => {
  if (signal?.aborted === true) {
    reject(signal.reason);
    return;
  }
  const onAbort = (): void => {
    clearTimeout(timer);
    reject(signal?.reason);
  };
  const timer = setTimeout(() => {
    signal?.removeEventListener('abort', onAbort);
    resolve();
  }, ms);
  signal?.addEventListener('abort', onAbort, { once: true });
});

export interface BackoffOptions {
  /** Delay before the first repetition, before jitter. */
  readonly baseMs: number;
  readonly maxMs: number;
  /** Growth per repetition. Default 2. */
  readonly factor?: number;
  /** Uniform in [0, 1). Default Math.random. */
  readonly random?: () => number;
}

/** Delay before repetition number `attempt` (0 is the first): between half and all of min(maxMs, baseMs * factor^attempt). */
export function backoffMs(attempt: number, options: BackoffOptions): number {
  const { baseMs, maxMs, factor = 2, random = Math.random } = options;
  const ceiling = Math.min(maxMs, baseMs * factor ** Math.min(attempt, 64));
  return Math.round(ceiling * (0.5 + random() / 2));
}

export interface RetryOptions extends BackoffOptions {
  /** How often `operation` is called at most. */
  readonly attempts: number;
  /** False ends the loop at once with the error. */
  readonly shouldRetry: (error: unknown) => boolean;
  readonly signal?: AbortSignal;
  readonly sleep?: Sleep;
}

/** Calls `operation` until it succeeds; throws its last error. The signal ends the waits between calls. */
export async function retry<T>(operation: (attempt: number) => Promise<T>, options: RetryOptions): Promise<T> {
  const wait = options.sleep ?? sleep;
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await operation(attempt);
    } catch (error) {
      if (attempt + 1 >= options.attempts || !options.shouldRetry(error)) throw error;
    }
    await wait(backoffMs(attempt, options), options.signal);
  }
}
