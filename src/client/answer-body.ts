// The beginning of one answer and the way to its end: what comes before the first byte can still be taken elsewhere and is thrown;
// a node's status of failure is such a failure. A document is read to its end first, as long as it is of a bounded size. Says once
// how the answer ended, also when nobody reads it any more. Refuses answers that stand still.
import { asCocoonError, NetworkError } from '../core/errors.ts';
import { AnswerError } from '../wire/answer.ts';
import { explainFailure, refusedByNode } from './refusals.ts';
import type { CocoonError } from '../core/errors.ts';
import type { FinalInfo, HttpHead } from '../wire/answer.ts';
import type { AnswerEvent } from '../wire/client-session.ts';

/** The last event of a complete answer. */
export type AnswerEnd = Extract<AnswerEvent, { readonly kind: 'end' }>;

export interface AnswerBody {
  /** The next bytes, or the end of a complete answer. Throws what ended it before; nothing can be read after that. */
  next(): Promise<Uint8Array | AnswerEnd>;
  /** The reader leaves: the request is cancelled unless it is over. Idempotent. */
  leave(): Promise<void>;
}

export interface BegunAnswer {
  readonly head: HttpHead;
  readonly body: AnswerBody;
}

/** How an answer ended. `info`: what the proxy said with it, null when nothing was told. */
export type AnswerEnding = { readonly info: FinalInfo | null; readonly delivered: boolean } & (
  | { readonly kind: 'complete' }
  | { readonly kind: 'left' }
  | { readonly kind: 'broken'; readonly error: CocoonError });

export interface BeginOptions {
  /** Read a document to its end before it counts as begun. */
  readonly whole: boolean;
  /** Longest pause within an answer that has begun. */
  readonly stallMs: number;
  /** Ends the request at once, also while its next event is waited for. Without it that event is waited for. */
  cancel?(): void;
  /** The answer has begun. */
  begun(): void;
  /** Called once, at the end of everything. */
  ended(ending: AnswerEnding): void;
}

/** Longest document that is kept until its end; what is longer is passed on as it comes. */
const MAX_HELD_BYTES = 8 << 20;
/** Of the body of a failure. */
const MAX_ERROR_BYTES = 64 * 1024;

export const isEnd = (piece: Uint8Array | AnswerEnd): piece is AnswerEnd => !(piece instanceof Uint8Array);

/** `events` of one request, not iterated yet. Throws a CocoonError when the answer did not begin. */
export async function beginAnswer(events: AsyncGenerator<AnswerEvent, void, undefined>, options: BeginOptions): Promise<BegunAnswer> {
  const reading = new Reading(events, options);
  const head = await reading.head();
  if (head.status >= 500 || head.status === 429 || head.status === 408) throw await reading.refusal(head);
  if (options.whole) await reading.hold();
  reading.begun();
  return { head, body: reading };
}

class Reading implements AnswerBody {
  readonly #events: AsyncGenerator<AnswerEvent, void, undefined>;
  readonly #options: BeginOptions;
  readonly #held: (Uint8Array | AnswerEnd)[] = [];
  #begun = false;
  #delivered = false;
  #over = false;

  constructor(events: AsyncGenerator<AnswerEvent, void, undefined>, options: BeginOptions) {
    this.#events = events;
    this.#options = options;
  }

  async head(): Promise<HttpHead> {
    const event = await this.#take(null);
    if (event.kind !== 'head') throw this.#broken(new NetworkError('E_PROTOCOL', 'the answer does not begin with its head'));
    if (event.head.payload.byteLength > 0) this.#held.push(event.head.payload);
    return event.head;
  }

  /** The error of a status of failure; ends the reading. */
  async refusal({ status }: HttpHead): Promise<CocoonError> {
    const body: Uint8Array[] = [];
    let bytes = 0;
    for (;;) {
      const piece = this.#held.shift() ?? await this.#read();
      if (isEnd(piece)) {
        const error = refusedByNode(status, Buffer.concat(body).subarray(0, MAX_ERROR_BYTES));
        this.#end({ kind: 'broken', info: piece.info, delivered: false, error });
        return error;
      }
      // The bytes are a view into the connection's buffer; what is kept is copied.
      if (bytes < MAX_ERROR_BYTES) body.push(piece.slice(0, MAX_ERROR_BYTES - bytes));
      bytes += piece.byteLength;
    }
  }

  /** Reads on until the end, or until there is too much to keep. */
  async hold(): Promise<void> {
    let bytes = this.#held.reduce((sum, piece) => sum + (isEnd(piece) ? 0 : piece.byteLength), 0);
    while (bytes <= MAX_HELD_BYTES) {
      const piece = await this.#read();
      this.#held.push(isEnd(piece) ? piece : piece.slice());
      if (isEnd(piece)) {
        this.#end({ kind: 'complete', info: piece.info, delivered: true }); // it is all here, whether or not it is read
        return;
      }
      bytes += piece.byteLength;
    }
  }

  begun(): void {
    this.#begun = true;
    this.#options.begun();
  }

  async next(): Promise<Uint8Array | AnswerEnd> {
    const piece = this.#held.shift() ?? await this.#read();
    if (isEnd(piece)) this.#end({ kind: 'complete', info: piece.info, delivered: true });
    return piece;
  }

  async leave(): Promise<void> {
    this.#end({ kind: 'left', info: null, delivered: this.#delivered });
    await this.#events.return().catch(() => undefined);
  }

  async #read(): Promise<Uint8Array | AnswerEnd> {
    for (;;) {
      const event = await this.#take(this.#options.stallMs);
      if (event.kind === 'head') throw this.#broken(new NetworkError('E_PROTOCOL', 'the answer has two heads'));
      if (event.kind === 'end') return event;
      if (event.bytes.byteLength === 0) continue;
      this.#delivered = true;
      return event.bytes;
    }
  }

  async #take(stallMs: number | null): Promise<AnswerEvent> {
    let next: IteratorResult<AnswerEvent, void>;
    try {
      next = await (stallMs === null ? this.#events.next() : within(this.#events.next(), stallMs));
    } catch (thrown) {
      throw this.#broken(asCocoonError(explainFailure(thrown, this.#begun || this.#delivered)), thrown);
    }
    if (next.done === true) throw this.#broken(new NetworkError('E_CLOSED', 'the answer ended before it was complete'));
    return next.value;
  }

  #broken(error: CocoonError, thrown: unknown = error): CocoonError {
    this.#end({ kind: 'broken', info: thrown instanceof AnswerError ? thrown.info : null, delivered: this.#delivered, error });
    return error;
  }

  #end(ending: AnswerEnding): void {
    if (this.#over) return;
    this.#over = true;
    this.#options.ended(ending);
    if (ending.kind !== 'complete') this.#options.cancel?.();
    // What the events hold is freed, also behind the last one.
    void this.#events.return().catch(() => undefined);
  }
}

async function within<T>(work: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new NetworkError('E_CLOSED', `the answer stood still for ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
