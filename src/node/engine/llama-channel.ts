// The way from a generating sequence to the reader of its events. Text that comes faster than its reader wants, or takes it,
// is joined; a reader that does not come at all stops the generation at a bound. The generating side never waits for longer
// than its signal.
import type { EngineEvent } from '../engine.ts';

export interface EventChannel {
  /** Adds text for the reader. Resolves when there is room for more, or as soon as the signal aborts. */
  text(piece: string): Promise<void> | undefined;
  /** Adds the last event. */
  finish(event: EngineEvent): void;
  /** Ends with an error: the reader gets the text before it, then the error. */
  fail(error: unknown): void;
  /** To be read once. */
  events(): AsyncGenerator<EngineEvent, void, void>;
}

export interface EventChannelOptions {
  /** UTF-16 units of unread text at which generation pauses. */
  readonly bound: number;
  /** Shortest time between two pieces of text. The first piece, a full channel and the end do not wait. Default 0. */
  readonly intervalMs?: number | undefined;
}

export function createEventChannel({ bound, intervalMs = 0 }: EventChannelOptions, signal: AbortSignal): EventChannel {
  let unread = '';
  let end: { readonly event: EngineEvent } | { readonly error: unknown } | undefined;
  let dueMs = Number.NEGATIVE_INFINITY;
  let wakeReader: (() => void) | undefined;
  let wakeWriter: (() => void) | undefined;
  let wakeScheduled = false;
  let timer: NodeJS.Timeout | undefined;

  const wake = (): void => {
    wakeScheduled = false;
    clearTimeout(timer);
    wakeReader?.();
    wakeReader = undefined;
  };
  /**
   * Wakes the reader when its piece is due. A piece that is due already waits for two turns of the event loop: the first gives
   * llama.cpp its next batch, and what the reader does with the text, down to the socket, is then done while that is computed.
   */
  const wakeWhenDue = (): void => {
    if (wakeScheduled || wakeReader === undefined) return;
    wakeScheduled = true;
    const waitMs = dueMs - performance.now();
    if (waitMs > 0) timer = setTimeout(wake, waitMs);
    else setImmediate(() => setImmediate(wake));
  };
  const resume = (): void => {
    wakeWriter?.();
    wakeWriter = undefined;
  };
  const isReady = (): boolean => unread.length >= bound || end !== undefined || performance.now() >= dueMs;

  return {
    text(piece) {
      unread += piece;
      if (unread.length < bound) wakeWhenDue();
      else wake();
      if (unread.length < bound || signal.aborted) return undefined;
      return new Promise((resolve) => {
        const done = (): void => {
          signal.removeEventListener('abort', done);
          resolve();
        };
        wakeWriter = done;
        signal.addEventListener('abort', done);
      });
    },
    finish(event) {
      end = { event };
      wake();
    },
    fail(error) {
      end = { error };
      wake();
    },
    async *events() {
      for (;;) {
        if (unread !== '' && isReady()) {
          const text = unread;
          unread = '';
          dueMs = performance.now() + intervalMs;
          resume();
          yield { type: 'text', text };
        } else if (end !== undefined) {
          if ('error' in end) throw end.error;
          yield end.event;
          return;
        } else {
          await new Promise<void>((resolve) => {
            wakeReader = resolve;
            if (unread !== '') wakeWhenDue();
          });
        }
      }
    },
  };
}
