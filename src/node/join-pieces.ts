// Joins pieces of text that come faster than anybody reads. Each piece costs every hop a message, so a fast engine would
// be slowed down by its own transport. The first piece and the end never wait.
import type { EngineEvent } from './engine.ts';

/** Shortest time between two pieces: too short to be seen. */
export const PIECE_INTERVAL_MS = 8;

/** The same events with text joined to at most one piece in `intervalMs`. Leaving the loop early ends `events`. */
export async function* joinPieces(events: AsyncIterable<EngineEvent>, intervalMs = PIECE_INTERVAL_MS): AsyncGenerator<EngineEvent, void, void> {
  const iterator = events[Symbol.asyncIterator]();
  let lastMs = Number.NEGATIVE_INFINITY;
  let pending = '';
  const take = (): EngineEvent => {
    const text = pending;
    pending = '';
    lastMs = performance.now();
    return { type: 'text', text };
  };
  try {
    let next = pull(iterator);
    for (;;) {
      const waitMs = pending === '' ? Number.POSITIVE_INFINITY : lastMs + intervalMs - performance.now();
      const result = waitMs <= 0 ? null : await within(next, waitMs);
      if (result === null) {
        yield take();
        continue;
      }
      if (!('error' in result) && result.value?.type === 'text') {
        pending += result.value.text;
        next = pull(iterator);
        continue;
      }
      // The end or a failure: the text before it goes first.
      if (pending !== '') yield take();
      if ('error' in result) throw result.error;
      if (result.value === null) return;
      yield result.value;
      next = pull(iterator);
    }
  } finally {
    // Not waited for: an engine that is busy ends only at its next event. Whoever leaves early also aborts its signal.
    iterator.return?.().catch(() => {});
  }
}

/** The next event, null at the end, or the error; never rejects, because it may settle while nobody waits for it. */
type Pulled = { readonly value: EngineEvent | null } | { readonly error: unknown };

async function pull(iterator: AsyncIterator<EngineEvent>): Promise<Pulled> {
  try {
    const { done, value } = await iterator.next();
    return { value: done === true ? null : value };
  } catch (error) {
    return { error };
  }
}

/** What `next` gives within `waitMs`, or null. */
async function within(next: Promise<Pulled>, waitMs: number): Promise<Pulled | null> {
  if (waitMs === Number.POSITIVE_INFINITY) return next;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => { timer = setTimeout(() => resolve(null), waitMs); });
  try {
    return await Promise.race([next, late]);
  } finally {
    clearTimeout(timer);
  }
}
