// The serving side of requests on one connection: a worker's towards its proxy, a proxy's towards a client (WIRE.md section 11).
// Every request gets exactly one final message. Refuses more requests than announced; a request that is cancelled or out of
// time is told to stop, and gets its final message after a short grace whether or not it obeys.
import { toHex } from '../core/bytes.ts';
import { CocoonError, InterruptedError, NetworkError } from '../core/errors.ts';
import { NO_INFO } from './answer.ts';
import type { AnswerSink, FinalInfo } from './answer.ts';
import type { AnswerEncoder } from './answer-codec.ts';
import type { TlPacket } from './connection.ts';
import { CANCELLED, ERROR, FAILURE, failureOf, TIMEOUT } from './remote-codes.ts';
import type { RemoteFailure } from './remote-codes.ts';
import type { Timers } from './timers.ts';

export interface ServingOptions {
  readonly timers: Timers;
  readonly send: (packet: TlPacket) => Promise<void>;
  readonly maxRunning: number;
  /** What a request beyond `maxRunning` is told. */
  readonly tooMany: RemoteFailure;
  /** A longer time-out is cut to this. */
  readonly maxRequestMs: number;
}

export type Answer = (sink: AnswerSink, signal: AbortSignal) => Promise<void>;

export interface Serving {
  readonly running: number;
  /** False while a request with this id runs: a second answer would end the first request. */
  isFree(requestId: Uint8Array): boolean;
  /** Runs one request and answers it through `encoder`. `timeoutMs` is the peer's: NaN, zero and negative ones are refused. */
  start(requestId: Uint8Array, timeoutMs: number, encoder: AnswerEncoder, answer: Answer): void;
  /** Tells a request to stop. Unknown ids are ignored: the answer may be on its way. */
  cancel(requestId: Uint8Array): void;
  /** The connection is gone: tells everything to stop and sends nothing more. */
  closeAll(error: CocoonError): void;
}

/** What a request that is told to stop may still use to report its final info. */
const STOP_GRACE_MS = 1_000;

/** One running request. */
class Served {
  readonly controller = new AbortController();
  readonly #encoder: AnswerEncoder;
  readonly #options: ServingOptions;
  readonly #forget: () => void;
  #state: 'waiting' | 'streaming' | 'over' = 'waiting';
  /** Why the request has to stop; its final message says this. */
  #stopping: RemoteFailure | null = null;
  #stopTimer: () => void = () => undefined;

  constructor(encoder: AnswerEncoder, options: ServingOptions, forget: () => void) {
    this.#encoder = encoder;
    this.#options = options;
    this.#forget = forget;
  }

  readonly sink: AnswerSink = {
    head: async (head) => {
      this.#expect('waiting');
      this.#state = 'streaming';
      await this.#options.send(this.#encoder.head(head));
    },
    part: async (bytes) => {
      this.#expect('streaming');
      await this.#options.send(this.#encoder.part(bytes, null));
    },
    end: async (info, bytes = new Uint8Array(0)) => {
      if (this.#stopping !== null) return this.#fail(this.#stopping, info);
      this.#expect('streaming');
      await this.#finish(this.#encoder.part(bytes, info));
    },
    fail: async (code, message, info = NO_INFO) => this.#fail(this.#stopping ?? { code, message }, info),
  };

  get over(): boolean {
    return this.#state === 'over';
  }

  startDeadline(timeoutMs: number): void {
    this.#stopTimer = this.#options.timers.after(timeoutMs, () => {
      const message = `answer was not complete after ${timeoutMs} ms`;
      this.stop({ code: TIMEOUT, message }, new NetworkError('E_TIMEOUT', message));
    });
  }

  /** Aborts; the final message is sent by the request itself, or for it when the grace is over. */
  stop(failure: RemoteFailure, reason: CocoonError): void {
    if (this.#stopping !== null || this.over) return;
    this.#stopping = failure;
    this.#stopTimer();
    this.#stopTimer = this.#options.timers.after(STOP_GRACE_MS, () => this.failQuietly(failure));
    this.controller.abort(reason);
  }

  /** The connection is gone: nothing can be sent. */
  abandon(error: CocoonError): void {
    this.#over();
    this.controller.abort(error);
  }

  /** Fails the request unless it is over; a connection that ends meanwhile has told its owner already. */
  failQuietly(failure: RemoteFailure): void {
    if (!this.over) this.#fail(this.#stopping ?? failure, NO_INFO).catch(() => undefined);
  }

  #expect(state: 'waiting' | 'streaming'): void {
    this.#refuseLate();
    if (this.#stopping !== null) throw this.controller.signal.reason;
    if (this.#state !== state) throw new CocoonError('E_INTERNAL', `answer is ${this.#state}, expected ${state}`);
  }

  #refuseLate(): void {
    if (!this.over) return;
    throw this.controller.signal.aborted ? this.controller.signal.reason : new CocoonError('E_INTERNAL', 'answer was continued after its end');
  }

  async #fail(failure: RemoteFailure, info: FinalInfo): Promise<void> {
    this.#refuseLate();
    await this.#finish(this.#encoder.error(failure.code, failure.message, info, this.#state === 'streaming'));
  }

  #finish(packet: TlPacket): Promise<void> {
    this.#over();
    return this.#options.send(packet);
  }

  #over(): void {
    this.#state = 'over';
    this.#stopTimer();
    this.#forget();
  }
}

export function createServing(options: ServingOptions): Serving {
  const running = new Map<string, Served>();

  return {
    get running() {
      return running.size;
    },
    isFree: (requestId) => !running.has(toHex(requestId)),
    start(requestId, timeoutMs, encoder, answer) {
      const key = toHex(requestId);
      const served = new Served(encoder, options, () => {
        if (running.get(key) === served) running.delete(key);
      });
      if (running.size >= options.maxRunning) {
        served.failQuietly(options.tooMany);
        return;
      }
      if (!(timeoutMs > 0)) {
        served.failQuietly({ code: ERROR, message: `timeout is ${timeoutMs / 1000}, expected more than 0 seconds` });
        return;
      }
      running.set(key, served);
      served.startDeadline(Math.min(timeoutMs, options.maxRequestMs));
      answer(served.sink, served.controller.signal).then(
        () => served.failQuietly({ code: FAILURE, message: 'request was not answered' }),
        (error: unknown) => served.failQuietly(failureOf(error)),
      );
    },
    cancel(requestId) {
      const message = 'request was cancelled';
      running.get(toHex(requestId))?.stop({ code: CANCELLED, message }, new InterruptedError('E_INTERRUPTED', message));
    },
    closeAll(error) {
      for (const served of running.values()) served.abandon(error);
    },
  };
}
