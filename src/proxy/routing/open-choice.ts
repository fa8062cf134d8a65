// One choice from when it was made to its end: what is in flight because of it, and what its node is learned from it.
import type { Conversations } from './affinity.ts';
import type { Ask, FailureKind, Prediction, TokenCounts } from './chooser.ts';
import type { ExplanationRecord } from './explanations.ts';
import type { Seat, Waiting } from './seat.ts';
import type { SentState } from './speed.ts';

/** Bytes that a token of an answer adds to what a node has cached. */
const BYTES_PER_TOKEN = 4;

/** Bytes of the request that a node which holds `heldBytes` of its conversation is expected not to read again. */
export const cachedBytes = (seat: Seat, heldBytes: number, ask: Ask, now: number): number =>
  seat.known.cacheHits.value(now) * Math.min(heldBytes, ask.promptBytes);

interface Chosen {
  readonly seat: Seat;
  readonly ask: Ask;
  /** Part of the body that the node should have cached, bytes. */
  readonly heldBytes: number;
  readonly prediction: Prediction;
  readonly record: ExplanationRecord;
  readonly conversations: Conversations;
  readonly now: number;
}

/** Times are the chooser's. Calls out of order do nothing. */
export class OpenChoice {
  readonly #chosen: Chosen;
  /** To be read: what is not cached. */
  readonly #kilobytes: number;
  readonly #waiting: Waiting;
  #state: SentState | null = null;
  #sentMs = 0;
  #firstMs: number | null = null;
  #learned = false;

  constructor(chosen: Chosen) {
    const { seat, ask, heldBytes, prediction, now } = chosen;
    this.#chosen = chosen;
    this.#kilobytes = (ask.promptBytes - cachedBytes(seat, heldBytes, ask, now)) / 1_000;
    this.#waiting = { sentMs: now, expectedMs: ask.streamed ? prediction.firstTokenMs : prediction.totalMs, waiting: false };
  }

  sent(now: number): void {
    if (this.#state !== null) return;
    this.#sentMs = now;
    this.#waiting.sentMs = now;
    this.#waiting.waiting = true;
    this.#state = this.#chosen.seat.sent(this.#kilobytes, this.#waiting);
  }

  firstToken(now: number): void {
    if (this.#state === null || this.#firstMs !== null) return;
    const { seat, ask, record, conversations } = this.#chosen;
    this.#firstMs = now;
    record.outcome.firstTokenMs = now - this.#sentMs;
    this.#stopWaiting();
    if (!ask.streamed) return;
    conversations.keep(ask.affinity, seat.candidate.id, ask.promptBytes, now);
    // Bad news is believed at once; good news when the answer has turned out to be one.
    if (now - this.#sentMs > seat.known.speed.readMs(this.#state.kilobytes)) this.#learnFirstToken(this.#state, now);
  }

  finished(tokens: TokenCounts | null, now: number): void {
    if (this.#state === null) return;
    const { seat, ask, record, conversations, heldBytes } = this.#chosen;
    const { speed, attempts, cacheHits } = seat.known;
    record.outcome.totalMs = now - this.#sentMs;
    if (tokens !== null && tokens.prompt + tokens.completion <= 0) return attempts.failed('request', this.#sentMs, now); // a quick refusal is no answer
    attempts.succeeded(now);
    conversations.keep(ask.affinity, seat.candidate.id, ask.promptBytes + (tokens?.completion ?? 0) * BYTES_PER_TOKEN, now);
    if (tokens === null) return;
    if (ask.streamed && !this.#learned) this.#learnFirstToken(this.#state, now);
    const others = (this.#state.others + seat.inFlight - 1) / 2;
    speed.observeAnswer(others, this.#answerMs(now), tokens.completion, ask.maxTokens, now);
    if (heldBytes > 0 && tokens.prompt > 0) {
      cacheHits.add(Math.min(1, (tokens.cached / tokens.prompt) / (heldBytes / ask.promptBytes)), now);
    }
  }

  failed(failure: FailureKind, now: number): void {
    if (this.#state === null) return;
    const { seat, record } = this.#chosen;
    record.outcome.totalMs = now - this.#sentMs;
    record.outcome.failure = failure;
    seat.known.attempts.failed(failure, this.#sentMs, now);
    if (failure === 'busy') seat.known.speed.observeFull(this.#state.others, now);
    if (this.#firstMs === null && this.#chosen.ask.streamed && (failure === 'cancelled' || failure === 'timeout')) {
      seat.known.speed.observeSilence(this.#state, now - this.#sentMs, seat.candidate.capacity, now);
    }
  }

  /** The request is no longer at the node. */
  leave(): void {
    this.#stopWaiting();
    if (this.#state !== null) this.#chosen.seat.ended();
  }

  #learnFirstToken(state: SentState, now: number): void {
    if (this.#firstMs === null) return;
    const { seat } = this.#chosen;
    this.#learned = true;
    seat.known.speed.observeFirstToken(state, this.#firstMs - this.#sentMs, seat.candidate.capacity, now);
    seat.changed();
  }

  /** Time that the tokens took. Of an answer that came in one piece, what the prediction leaves of it, at least half. */
  #answerMs(now: number): number {
    if (this.#chosen.ask.streamed) return now - (this.#firstMs ?? now);
    const totalMs = now - this.#sentMs;
    return Math.max(totalMs / 2, totalMs - this.#chosen.prediction.firstTokenMs);
  }

  #stopWaiting(): void {
    if (!this.#waiting.waiting) return;
    this.#waiting.waiting = false;
    this.#chosen.seat.noLongerPending(this.#kilobytes);
  }
}
