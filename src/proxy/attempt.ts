// One try of a request at one node. What the node says is held back until the first byte of an answer, so that a failure
// before it can be taken to another node unseen by the client; from then on everything is passed on as it comes, and the
// tokens in the last message are those that will be booked. Nothing of the body is kept or logged.
import { NO_INFO } from '../wire/answer.ts';
import { deferred } from '../core/deferred.ts';
import { asCocoonError } from '../core/errors.ts';
import { CANCELLED, FAILURE, failureOf, PROTOCOL_VIOLATION, TIMEOUT } from '../wire/remote-codes.ts';
import { billFor } from './charge.ts';
import { Relayed } from './relayed.ts';
import type { AnswerSink, FinalInfo, HttpHead } from '../wire/answer.ts';
import type { RunOutcome, RunRequest } from '../wire/worker-acceptor.ts';
import type { Bill, Terms } from './charge.ts';
import type { Node } from './nodes.ts';
import type { FailureKind } from './routing/chooser.ts';

/** An HTTP answer with a status of failure that another node may do better than. */
export interface HeldAnswer {
  readonly head: HttpHead;
  readonly parts: readonly Uint8Array[];
}

/** How a node failed a request of which the client has seen nothing yet. */
export interface Failure {
  readonly kind: FailureKind;
  /** What the client is told when nobody else answers. */
  readonly code: number;
  readonly message: string;
  /** To be passed on instead, whole. */
  readonly answer: HeldAnswer | null;
}

export interface AttemptOptions {
  readonly node: Node;
  readonly terms: Terms;
  readonly sink: AnswerSink;
  readonly signal: AbortSignal;
  /** The body cannot be read here: only its length tells anything. */
  readonly opaque?: boolean;
  /** Adds the proxy's times. */
  readonly headOf: (head: HttpHead) => HttpHead;
  readonly infoOf: (info: FinalInfo) => FinalInfo;
  /** The first byte of the answer is here; called once, just before it is passed on. */
  readonly firstByte: () => void;
}

/** Longest body of a failure that is held back. */
const MAX_HELD_BYTES = 64 * 1024;
const TOO_MANY = /^too many active queries/;

export class Attempt {
  /** Null as soon as an answer is on its way to the client; else how the node failed. Never rejects. */
  readonly verdict: Promise<Failure | null>;
  /** Of the answer to the client, set when its last message was passed on or, for one that was cut short, by `conclude`. */
  bill: Bill | null = null;
  readonly relayed = new Relayed();
  readonly #options: AttemptOptions;
  readonly #verdict = deferred<Failure | null>();
  #state: 'waiting' | 'holding' | 'refusing' | 'passing' | 'over' = 'waiting';
  #head: HttpHead | null = null;
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  /** The answer was cut short on the client's side: it is told when the node has said what it used. */
  #cut: { readonly code: number; readonly message: string } | null = null;

  constructor(options: AttemptOptions) {
    this.#options = options;
    this.verdict = this.#verdict.promise;
  }

  /** Sends the request. Resolves when the node's slot is free again; null when it could not even be sent. Never rejects. */
  async run(request: RunRequest): Promise<RunOutcome | null> {
    const { node, signal } = this.#options;
    try {
      return await node.link.run(request, this.#sink, signal);
    } catch (thrown) {
      const { code, message } = failureOf(asCocoonError(thrown));
      await this.#fail(code, message).catch(() => undefined); // the client is gone too
      return null;
    }
  }

  /** To be called with the outcome of an attempt whose answer was passed on. What is booked for it. */
  async conclude(outcome: RunOutcome | null): Promise<Bill> {
    const info = outcome?.info ?? null;
    const bill = this.bill ??= this.#billOf(info, false);
    if (this.#cut !== null) await this.#options.sink.fail(this.#cut.code, this.#cut.message, this.#priced(info ?? NO_INFO, bill)).catch(() => undefined);
    return bill;
  }

  readonly #sink: AnswerSink = {
    head: async (head) => {
      this.#head = head;
      this.#state = isRetryable(head.status) ? 'refusing' : 'holding';
      if (head.payload.byteLength > 0) await this.#part(new Uint8Array(0));
    },
    part: (bytes) => this.#part(bytes),
    end: (info, bytes) => this.#end(info, bytes),
    fail: (code, message, info) => this.#fail(code, message, info),
  };

  async #part(bytes: Uint8Array): Promise<void> {
    const { sink } = this.#options;
    if (this.#state === 'refusing' && this.#heldBytes + bytes.byteLength <= MAX_HELD_BYTES) {
      this.#held.push(new Uint8Array(bytes)); // what is kept is copied: the bytes are a view into the connection's buffer
      this.#heldBytes += bytes.byteLength;
      return;
    }
    await this.#begin();
    this.#see(bytes);
    if (bytes.byteLength > 0) await sink.part(bytes);
  }

  async #end(info: FinalInfo, bytes: Uint8Array = new Uint8Array(0)): Promise<void> {
    const { sink, node } = this.#options;
    if (this.#state === 'refusing' && this.#head !== null) {
      if (bytes.byteLength > 0) this.#held.push(bytes);
      const answer = { head: this.#head, parts: this.#held };
      const { status } = answer.head;
      this.#decide({ kind: status === 503 || status === 429 ? 'busy' : 'error', code: 0, message: `node ${node.id} answered ${status}`, answer });
      return;
    }
    await this.#begin();
    this.#see(bytes);
    this.bill = this.#billOf(info, true);
    this.#state = 'over';
    await sink.end(this.#priced(info, this.bill), bytes);
  }

  async #fail(code: number, message: string, info: FinalInfo | null = null): Promise<void> {
    const { node, sink, signal } = this.#options;
    if (this.#state !== 'passing') {
      this.#decide({ kind: this.#kindOf(code, message), code, message, answer: null });
      return;
    }
    this.#state = 'over';
    // Cut short by this side (the client left or does not read, the time is over): the node was told, and still says what it used.
    const nodeReports = info === null && code !== FAILURE && node.link.state === 'ready';
    if (signal.aborted || nodeReports) {
      this.#cut = { code, message };
      return;
    }
    this.bill = this.#billOf(info, false);
    await sink.fail(code, message, this.#priced(info ?? NO_INFO, this.bill));
  }

  /** The answer goes to the client from here on. */
  async #begin(): Promise<void> {
    const head = this.#head;
    if (this.#state === 'passing' || this.#state === 'over' || head === null) return;
    const { sink, headOf, firstByte } = this.#options;
    this.#state = 'passing';
    firstByte();
    this.#verdict.resolve(null);
    this.#see(head.payload);
    const sent = [sink.head(headOf(head)), ...this.#held.splice(0).map((bytes) => sink.part(bytes))];
    await Promise.all(sent);
  }

  #decide(failure: Failure): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#verdict.resolve(failure);
  }

  /** Only answers with a status of success are worth anything. */
  #see(bytes: Uint8Array): void {
    const status = this.#head?.status ?? 0;
    if (status < 200 || status >= 300) return;
    if (this.#options.opaque === true) this.relayed.addOpaque(bytes);
    else this.relayed.add(bytes);
  }

  #billOf(info: FinalInfo | null, complete: boolean): Bill {
    const { bytes, texts } = this.relayed;
    return billFor(info?.tokens ?? null, { bytes, texts, usage: this.relayed.usage(), complete }, this.#options.terms);
  }

  #priced(info: FinalInfo, bill: Bill): FinalInfo {
    return this.#options.infoOf({ ...info, tokens: bill.tokens });
  }

  #kindOf(code: number, message: string): FailureKind {
    const { signal, node } = this.#options;
    if (signal.aborted) return asCocoonError(signal.reason).code === 'E_TIMEOUT' ? 'timeout' : 'cancelled';
    if (code === TIMEOUT) return 'timeout';
    if (code === CANCELLED) return 'cancelled';
    if (code === PROTOCOL_VIOLATION) return 'request';
    if (TOO_MANY.test(message)) return 'busy';
    return node.link.state === 'closed' ? 'lost' : 'error';
  }
}

/** Statuses that say something about the node, not about the request. */
const isRetryable = (status: number): boolean => status >= 500 || status === 429 || status === 408;
