// The answers to one request side by side: their events as they come, each with its number, and the counts of all of them. The
// prompt counts once, as it is evaluated once; nobody waits for the slowest.
import { countedEvents } from './counted-events.ts';
import type { EngineEvent, EngineUsage } from './engine.ts';

export interface ChoiceEvent {
  readonly index: number;
  readonly event: EngineEvent;
}

export interface Choices extends AsyncIterable<ChoiceEvent> {
  /** As CountedEvents.counts, of all answers together. */
  counts(waitMs: number): Promise<EngineUsage | null>;
}

/** To be read once. Leaving the loop does not end the answers: whoever leaves aborts their signal, and then calls `counts`. */
export function openChoices(answers: readonly AsyncIterable<EngineEvent>[]): Choices {
  const counted = answers.map(countedEvents);
  const [only] = counted;
  return {
    [Symbol.asyncIterator]: () => (counted.length === 1 && only !== undefined ? numbered(only, 0) : merged(counted)),
    async counts(waitMs) {
      const counts = await Promise.all(counted.map((events) => events.counts(waitMs)));
      return counts.reduce((sum, each) => (sum === null || each === null ? sum ?? each : addUsage(sum, each)), null);
    },
  };
}

export const addUsage = (a: EngineUsage, b: EngineUsage): EngineUsage => ({
  promptTokens: Math.max(a.promptTokens, b.promptTokens),
  cachedTokens: Math.min(a.cachedTokens, b.cachedTokens),
  completionTokens: a.completionTokens + b.completionTokens,
  reasoningTokens: (a.reasoningTokens ?? 0) + (b.reasoningTokens ?? 0),
});

async function* numbered(events: AsyncIterable<EngineEvent>, index: number): AsyncGenerator<ChoiceEvent, void, void> {
  for await (const event of events) yield { index, event };
}

/** One event of each answer waits at most; the first failure ends the loop. */
async function* merged(answers: readonly AsyncIterable<EngineEvent>[]): AsyncGenerator<ChoiceEvent, void, void> {
  const waiting: { readonly item: ChoiceEvent; readonly taken: () => void }[] = [];
  const state: { open: number; error: unknown; left: boolean; wake: () => void } = { open: answers.length, error: undefined, left: false, wake: () => undefined };
  const pump = async (events: AsyncIterable<EngineEvent>, index: number): Promise<void> => {
    try {
      for await (const event of events) {
        if (state.left) return;
        await new Promise<void>((taken) => {
          waiting.push({ item: { index, event }, taken });
          state.wake();
        });
        if (state.left) return;
      }
    } catch (error) {
      state.error ??= error;
    } finally {
      state.open -= 1;
      state.wake();
    }
  };
  for (const [index, events] of answers.entries()) void pump(events, index);
  try {
    for (;;) {
      const next = waiting.shift();
      if (next !== undefined) {
        yield next.item;
        next.taken();
      } else if (state.error !== undefined) {
        throw state.error;
      } else if (state.open === 0) {
        return;
      } else {
        await new Promise<void>((resolve) => { state.wake = resolve; });
      }
    }
  } finally {
    state.left = true;
    for (const { taken } of waiting) taken();
  }
}
