// Joins pieces of text that come faster than anybody reads. Each piece costs every hop a message, so a fast engine would
// be slowed down by its own transport. The first piece and the end never wait.
import type { EngineEvent } from './engine.ts';

/** Shortest time between two pieces: 50 a second is more than a reader sees. */
export const PIECE_INTERVAL_MS = 20;

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
  // One timer for all pieces of an interval: this loop runs for each token of a fast engine.
  let due: { readonly late: Promise<null>; readonly timer: NodeJS.Timeout } | null = null;
  try {
    let next = pull(iterator);
    for (;;) {
      const waitMs = lastMs + intervalMs - performance.now();
      if (pending !== '' && waitMs > 0) due ??= startTimer(waitMs);
      const result = pending !== '' && waitMs <= 0 ? null : due === null ? await next : await Promise.race([next, due.late]);
      if (result === null) {
        clearTimeout(due?.timer);
        due = null;
        if (pending !== '') yield take();
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
    clearTimeout(due?.timer);
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

function startTimer(waitMs: number): { late: Promise<null>; timer: NodeJS.Timeout } {
  let resolveLate: (value: null) => void = () => {};
  const late = new Promise<null>((resolve) => { resolveLate = resolve; });
  return { late, timer: setTimeout(() => resolveLate(null), waitMs) };
}
