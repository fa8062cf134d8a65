// The way from a generating sequence to the reader of its events. A slow reader gets joined pieces; a reader that does
// not come at all stops the generation at a bound. The generating side never waits for longer than its signal.
import type { EngineEvent } from './engine.ts';

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

/** `bound` is the number of UTF-16 units of unread text at which generation pauses. */
export function createEventChannel(bound: number, signal: AbortSignal): EventChannel {
  let unread = '';
  let end: { readonly event: EngineEvent } | { readonly error: unknown } | undefined;
  let wakeReader: (() => void) | undefined;
  let wakeWriter: (() => void) | undefined;

  const wake = (): void => {
    wakeReader?.();
    wakeReader = undefined;
  };
  const resume = (): void => {
    wakeWriter?.();
    wakeWriter = undefined;
  };

  return {
    text(piece) {
      unread += piece;
      wake();
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
        if (unread !== '') {
          const text = unread;
          unread = '';
          resume();
          yield { type: 'text', text };
        } else if (end !== undefined) {
          if ('error' in end) throw end.error;
          yield end.event;
          return;
        } else {
          await new Promise<void>((resolve) => {
            wakeReader = resolve;
          });
        }
      }
    },
  };
}
