// Timers as a port, so that deadlines and periodic work of the sessions can be tested without waiting.

export interface Timers {
  /** Calls `run` once after `delayMs` milliseconds; the returned function cancels it and may be called at any time. */
  after(delayMs: number, run: () => void): () => void;
}

/** Longest delay that Node's timers take; a longer one would fire at once. */
const MAX_DELAY_MS = 2 ** 31 - 1;

export const systemTimers: Timers = {
  after(delayMs, run) {
    const handle = setTimeout(run, Math.min(Math.max(delayMs, 0), MAX_DELAY_MS));
    return () => clearTimeout(handle);
  },
};
