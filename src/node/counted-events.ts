// What the engine has counted for one answer, also when the answer is not read to its end: then the engine, once told to
// stop, is listened to until it says so. Never holds up the reader, and never waits for longer than it is given.
import { EngineStoppedError } from './engine.ts';
import type { EngineEvent, EngineUsage } from './engine.ts';

export interface CountedEvents extends AsyncIterable<EngineEvent> {
  /**
   * To be called when reading has ended and the engine was told to stop: what it had counted by then. Null when it never
   * says, or not within `waitMs`.
   */
  counts(waitMs: number): Promise<EngineUsage | null>;
}

/**
 * The same events, to be read once. Leaving the loop before the last event does not end `events`: whoever leaves aborts the
 * engine's signal, and then calls `counts`.
 */
export function countedEvents(events: AsyncIterable<EngineEvent>): CountedEvents {
  const iterator = events[Symbol.asyncIterator]();
  let usage: EngineUsage | null = null;
  let over = false;
  let draining: Promise<void> | null = null;

  const seen = ({ done, value }: IteratorResult<EngineEvent, unknown>): void => {
    if (done === true) over = true;
    else if (value.type === 'finish') usage = value.usage;
  };
  const failed = (error: unknown): void => {
    over = true;
    if (error instanceof EngineStoppedError) usage = error.usage;
  };
  const next = (): Promise<IteratorResult<EngineEvent, unknown>> => {
    const result = iterator.next();
    result.then(seen, failed);
    return result;
  };
  const drain = async (): Promise<void> => {
    while (!over) await next().catch(() => undefined);
  };

  return {
    [Symbol.asyncIterator]: () => ({
      next,
      // Nothing is taken from an engine that may not know yet that it shall stop: it would only generate more.
      return: async () => {
        if (over || usage !== null) await iterator.return?.();
        return { done: true, value: undefined };
      },
    }),
    async counts(waitMs) {
      draining ??= drain();
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => { timer = setTimeout(resolve, waitMs); });
      await Promise.race([draining, late]);
      clearTimeout(timer);
      return usage;
    },
  };
}
