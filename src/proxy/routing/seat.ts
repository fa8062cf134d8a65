// One connected node as the chooser knows it: what is remembered of the node by its key, of its owner by address, and what is
// in flight on this connection. `weigh` turns all of it into the numbers that are compared.
import { DISTRUSTED_BELOW, promiseKept, reputationOf, trust } from './reputation.ts';
import type { Candidate, PassedOver, Reputation } from './chooser.ts';
import type { DecayedMean, Line } from './estimate.ts';
import type { Attempts, Honesty } from './reputation.ts';
import type { NodeSpeed, SentState } from './speed.ts';

/** What a failure costs the client beside the time of another attempt: its own patience. */
const FAILURE_MS = 2_000;
/** A first token that is later than this many times its prediction, and by this much, tells that the node may hang. */
const OVERDUE_FACTOR = 2;
const OVERDUE_MS = 1_000;
/** What is derived from slowly changing evidence is derived again after this time. */
const DERIVE_MS = 5_000;

const INDEX: Readonly<Record<PassedOver, number>> = {
  disabled: 0, closing: 1, full: 2, 'too dear': 3, 'already failed': 4, 'bond too small': 5, resting: 6, distrusted: 7, dearer: 8, 'another explored': 9, slower: 10, unproven: 11,
};
const PASSED_OVER = Object.keys(INDEX) as PassedOver[];

/** What survives the connection. */
export interface Known {
  readonly speed: NodeSpeed;
  readonly attempts: Attempts;
  /** Of the part of a conversation that the node should have cached, the part that it said it had. */
  readonly cacheHits: DecayedMean;
}

/** A request that was sent and of which nothing may have come yet. */
export interface Waiting {
  sentMs: number;
  readonly expectedMs: number;
  /** Nothing has come yet. */
  waiting: boolean;
}

/** What one request asks of a node, the same for all candidates. */
export interface Load {
  readonly kilobytes: number;
  readonly answerTokens: number;
  /** What such a request takes at a node of which nothing is known, ms. */
  readonly typicalMs: number;
  readonly nowMs: number;
}

/** Why a node is used only where no other is. */
export type Aside = 'resting' | 'distrusted';

export class Seat {
  readonly candidate: Candidate;
  readonly known: Known;
  readonly honesty: Honesty;
  // Numbers for the request that is being placed; valid until the next one.
  aside: Aside | null = null;
  firstTokenMs = 0;
  waitMs = 0;
  /** More requests would be there than the node has shown to run at once without waiting. */
  unproven = false;
  totalMs = 0;
  /** What is compared: `totalMs` with doubts about the node's word, and the risk that another attempt is needed. */
  weighedMs = 0;
  /** KB that requests which have no first token yet were sent with. */
  pendingKilobytes = 0;
  inFlight = 0;
  /** Value of a counter that grows with each choice. */
  lastChosen = 0;
  considered = 0;
  chosen = 0;
  /** How much later than the chosen node it would have been, summed over a sample, and how often that was looked at. */
  behindMs = 0;
  compared = 0;
  readonly #passedOver = new Uint32Array(PASSED_OVER.length);
  #queue: Waiting[] = [];
  // Derived from slowly changing evidence, so that a scan over all nodes reads numbers only.
  #derivedMs = -Infinity;
  #firstToken: Line;
  #token: Line;
  #roundTripMs = 0;
  #parallel = 1;
  #proven = 1;
  #trust = 1;
  #risk = 0;
  #distrusted = false;
  #restingUntilMs = -Infinity;
  #onTrial = false;

  constructor(candidate: Candidate, known: Known, honesty: Honesty) {
    this.candidate = candidate;
    this.known = known;
    this.honesty = honesty;
    this.#firstToken = known.speed.firstTokenLine;
    this.#token = known.speed.tokenLine;
  }

  /** Sets the numbers for `load`, of which the node is expected to have `cachedKilobytes`. They never fall when `running` rises. */
  weigh(load: Load, cachedKilobytes: number): void {
    const { nowMs } = load;
    if (nowMs - this.#derivedMs >= DERIVE_MS) this.#derive(nowMs);
    const { running } = this.candidate;
    const answerMs = load.answerTokens * (this.#token.base + this.#token.slope * running);
    const kilobytes = Math.max(0, load.kilobytes - cachedKilobytes) + this.pendingKilobytes;
    const readMs = Math.max(this.#roundTripMs, this.#firstToken.base + this.#firstToken.slope * kilobytes);
    const ahead = running + 1 - this.#parallel;
    let waitMs = ahead <= 0 ? 0 : (ahead / this.#parallel) * (readMs + answerMs);
    if (this.#queue.length > 0) waitMs = Math.max(waitMs, this.#overdueMs(nowMs));
    this.waitMs = waitMs;
    this.unproven = running >= this.#proven;
    this.firstTokenMs = waitMs + readMs;
    this.totalMs = waitMs + readMs + answerMs;
    this.weighedMs = this.totalMs / this.#trust + this.#risk * (load.typicalMs + FAILURE_MS);
    if (nowMs < this.#restingUntilMs || (this.#onTrial && this.inFlight > 0)) this.aside = 'resting';
    else this.aside = this.#distrusted ? 'distrusted' : null;
  }

  sent(kilobytes: number, waiting: Waiting): SentState {
    const state = { kilobytes: kilobytes + this.pendingKilobytes, others: this.inFlight };
    this.pendingKilobytes += kilobytes;
    this.inFlight += 1;
    this.#queue.push(waiting);
    return state;
  }

  /** A request has its first token, or will never have one. */
  noLongerPending(kilobytes: number): void {
    this.pendingKilobytes = Math.max(0, this.pendingKilobytes - kilobytes);
    if (this.#queue.length > 32) this.#queue = this.#queue.filter(({ waiting }) => waiting);
  }

  ended(): void {
    this.inFlight -= 1;
    this.changed();
  }

  /** Something was learned: numbers are derived again when they are next needed. */
  changed(): void {
    this.#derivedMs = -Infinity;
  }

  passOver(reason: PassedOver): void {
    const index = INDEX[reason];
    this.#passedOver[index] = (this.#passedOver[index] ?? 0) + 1;
  }

  /** Counts by reason. Slower is whatever has no other reason: counting it would mean writing to every node at every choice. */
  passedOver(): Partial<Record<PassedOver, number>> {
    const counts = PASSED_OVER.map((reason, index) => [reason, this.#passedOver[index] ?? 0] as const).filter(([, count]) => count > 0);
    const slower = this.considered - this.chosen - counts.reduce((sum, [, count]) => sum + count, 0);
    return { ...Object.fromEntries(counts), ...(slower > 0 && { slower }) };
  }

  reputation(nowMs: number): Reputation {
    return reputationOf({
      success: this.known.attempts.success(nowMs),
      promise: this.#promise(),
      metering: this.honesty.metering(nowMs),
      verification: this.honesty.verification(nowMs),
    });
  }

  #promise(): number {
    const { speed } = this.known;
    const { capacity, announcedTokensPerSecond } = this.candidate;
    return promiseKept(
      { parallel: speed.fellShort ? speed.parallel : null, tokensPerSecond: speed.tokensPerSecond },
      { capacity, tokensPerSecond: announcedTokensPerSecond },
    );
  }

  /** Age of the oldest request without a first token, if that is later than it should be; else 0. */
  #overdueMs(nowMs: number): number {
    let first = this.#queue[0];
    while (first !== undefined && !first.waiting) {
      this.#queue.shift();
      first = this.#queue[0];
    }
    if (first === undefined) return 0;
    const ageMs = nowMs - first.sentMs;
    return ageMs > OVERDUE_FACTOR * first.expectedMs + OVERDUE_MS ? ageMs : 0;
  }

  #derive(nowMs: number): void {
    const { attempts } = this.known;
    this.#derivedMs = nowMs;
    this.#restingUntilMs = nowMs + attempts.restingMs(nowMs);
    this.#onTrial = attempts.onTrial;
    const { speed } = this.known;
    speed.refresh(nowMs, this.candidate.capacity);
    this.#firstToken = speed.firstTokenLine;
    this.#token = speed.tokenLine;
    this.#roundTripMs = speed.roundTripMs;
    this.#parallel = speed.parallel;
    this.#proven = speed.proven;
    const metering = this.honesty.metering(nowMs);
    const verification = this.honesty.verification(nowMs);
    const success = Math.max(0.02, attempts.success(nowMs));
    this.#trust = trust(this.#promise(), metering, verification);
    this.#risk = (1 - success) / success;
    this.#distrusted = metering * verification < DISTRUSTED_BELOW;
  }
}
