// What was received of one answer and not yet read, bounded in bytes.
// The connection is shared, so reading is never paused for one slow reader: its own request fails with E_BACKLOG instead,
// and the others go on.
import { deferred } from '../core/deferred.ts';
import type { Deferred } from '../core/deferred.ts';
import { NetworkError } from '../core/errors.ts';
import type { CocoonError } from '../core/errors.ts';
import type { FinalInfo, HttpHead } from './answer.ts';

/** `bytes` of `end` are the last of the body, often none. */
export type QueuedEvent =
  | { readonly kind: 'head'; readonly head: HttpHead }
  | { readonly kind: 'part'; readonly bytes: Uint8Array }
  | { readonly kind: 'end'; readonly info: FinalInfo; readonly bytes: Uint8Array };

/** Counted for each event on top of its bytes, so that many empty ones are bounded too. */
const EVENT_BYTES = 256;

export interface AnswerQueue {
  /**
   * Adds an event of about `size` bytes. False when the reader is too far behind; the queue has then failed with E_BACKLOG.
   * One event is always taken, however large.
   */
  push(event: QueuedEvent, size: number): boolean;
  /** No more events: after what is queued the reader gets `error`. */
  finish(error: CocoonError): void;
  /** Fails at once: what is queued is dropped. */
  abort(error: CocoonError): void;
  /** The next event; rejects with the error that ended the queue. One caller at a time. */
  next(): Promise<QueuedEvent>;
  /** What `work` gives, or the queue's error when it is aborted first. One caller at a time; nothing is left behind when `work` ends. */
  unlessAborted<T>(work: Promise<T>): Promise<T>;
}

export function createAnswerQueue(maxBytes: number): AnswerQueue {
  const events: { readonly event: QueuedEvent; readonly size: number }[] = [];
  let queuedBytes = 0;
  let ended: CocoonError | null = null;
  let waiting: Deferred<QueuedEvent> | null = null;
  let aborted = false;
  /** Ends the wait of `unlessAborted`. */
  let stop: ((error: CocoonError) => void) | null = null;

  const abort = (error: CocoonError): void => {
    if (ended === null) ended = error;
    events.length = 0;
    queuedBytes = 0;
    aborted = true;
    stop?.(ended);
    waiting?.reject(ended);
    waiting = null;
  };

  return {
    push(event, payloadBytes) {
      if (ended !== null) return true;
      if (waiting !== null) {
        waiting.resolve(event);
        waiting = null;
        return true;
      }
      const size = payloadBytes + EVENT_BYTES;
      if (events.length > 0 && queuedBytes + size > maxBytes) {
        abort(new NetworkError('E_BACKLOG', `answer has more than ${maxBytes} bytes that were not read in time`));
        return false;
      }
      events.push({ event: owned(event), size });
      queuedBytes += size;
      return true;
    },
    finish(error) {
      ended ??= error;
      waiting?.reject(ended);
      waiting = null;
    },
    abort,
    async next() {
      const first = events.shift();
      if (first !== undefined) {
        queuedBytes -= first.size;
        return first.event;
      }
      if (ended !== null) throw ended;
      waiting = deferred();
      return waiting.promise;
    },
    // Not Promise.race: each would leave a reaction at a promise that lives as long as the answer.
    unlessAborted: <T>(work: Promise<T>) => new Promise<T>((resolve, reject) => {
      if (aborted && ended !== null) reject(ended);
      stop = reject;
      work.then(resolve, reject).finally(() => { stop = null; });
    }),
  };
}

/** A small view would keep the whole frame or socket buffer that it points into alive for as long as it is queued. */
const ownedBytes = (bytes: Uint8Array): Uint8Array => (bytes.byteLength * 2 < bytes.buffer.byteLength ? new Uint8Array(bytes) : bytes);

function owned(event: QueuedEvent): QueuedEvent {
  switch (event.kind) {
    case 'head': return { kind: 'head', head: { ...event.head, payload: ownedBytes(event.head.payload) } };
    case 'part': return { kind: 'part', bytes: ownedBytes(event.bytes) };
    case 'end': return { ...event, bytes: ownedBytes(event.bytes) };
  }
}
