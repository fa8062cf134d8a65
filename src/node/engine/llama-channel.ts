// The way from a generating sequence to the reader of its events. Text that comes faster than its reader wants, or takes it,
// is joined; a reader that does not come at all stops the generation at a bound. The generating side never waits for longer
// than its signal.
import type { EngineEvent, EngineLogprob, EngineToolCall, EngineUsage } from '../engine.ts';

export interface EventChannel {
  /** Adds text for the reader, and what was counted by now. Resolves when there is room for more, or as soon as the signal aborts. */
  text(piece: string, usage?: EngineUsage, logprobs?: readonly EngineLogprob[]): Promise<void> | undefined;
  /** Adds a call; it comes behind the text before it. */
  call(call: EngineToolCall): void;
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
  let counted: EngineUsage | undefined;
  let logprobs: EngineLogprob[] = [];
  let calls: EngineToolCall[] = [];
  let end: { readonly event: EngineEvent } | { readonly error: unknown } | undefined;
  let dueMs = Number.NEGATIVE_INFINITY;
  let wakeReader: (() => void) | undefined;
  let wakeWriter: (() => void) | undefined;
  let timer: NodeJS.Timeout | undefined;

  const wake = (): void => {
    clearTimeout(timer);
    timer = undefined;
    wakeReader?.();
    wakeReader = undefined;
  };
  /** Timers count whole milliseconds and may come a little early: what they wake for is due. */
  const wakeDue = (): void => {
    dueMs = Number.NEGATIVE_INFINITY;
    wake();
  };
  /** Wakes the reader when its piece is due. Text comes while the next batch is computed, so what the reader does with it costs nothing. */
  const wakeWhenDue = (): void => {
    if (timer !== undefined || wakeReader === undefined) return;
    const waitMs = dueMs - performance.now();
    if (waitMs > 0) timer = setTimeout(wakeDue, waitMs);
    else wake();
  };
  const resume = (): void => {
    wakeWriter?.();
    wakeWriter = undefined;
  };
  const hasUnread = (): boolean => unread !== '' || logprobs.length > 0;
  const isReady = (): boolean => unread.length >= bound || end !== undefined || performance.now() >= dueMs;

  return {
    text(piece, usage, more = []) {
      if (piece === '' && more.length === 0) return undefined;
      unread += piece;
      counted = usage ?? counted;
      logprobs.push(...more);
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
    call(call) {
      calls.push(call);
      wake();
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
        const call = calls[0];
        if (hasUnread() && (isReady() || call !== undefined)) {
          const event = { type: 'text', text: unread, ...(counted !== undefined && { usage: counted }), ...(logprobs.length > 0 && { logprobs }) } as const;
          unread = '';
          logprobs = [];
          dueMs = performance.now() + intervalMs;
          resume();
          yield event;
        } else if (call !== undefined) {
          calls = calls.slice(1);
          yield { type: 'call', call };
        } else if (end !== undefined) {
          if ('error' in end) throw end.error;
          yield end.event;
          return;
        } else {
          await new Promise<void>((resolve) => {
            wakeReader = resolve;
            if (hasUnread()) wakeWhenDue();
          });
        }
      }
    },
  };
}
