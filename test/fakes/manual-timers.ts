// Timers that only move when a test says so. Timers set while time advances run too when they are due.
import type { Timers } from '../../src/wire/timers.ts';

export interface ManualTimers extends Timers {
  /** Timers that are set now. */
  readonly pending: number;
  /** Lets the time pass, timer by timer, and what each of them starts settle. */
  advance(ms: number): Promise<void>;
}

export function manualTimers(): ManualTimers {
  let now = 0;
  const timers = new Set<{ readonly at: number; readonly run: () => void }>();
  return {
    get pending() {
      return timers.size;
    },
    after(delayMs, run) {
      const timer = { at: now + delayMs, run };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    async advance(ms) {
      const end = now + ms;
      for (;;) {
        const next = [...timers].filter(({ at }) => at <= end).toSorted((a, b) => a.at - b.at)[0];
        if (next === undefined) break;
        now = next.at;
        timers.delete(next);
        next.run();
        await settle();
      }
      now = end;
      await settle();
    },
  };
}

/** Lets everything that waits for promises only go on until it waits for something else. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 4; turn++) await new Promise((resolve) => setImmediate(resolve));
}
