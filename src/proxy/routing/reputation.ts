// What a node's word is worth: does it answer, does it hold what it announced, does it count honestly, does it compute what
// it says. Doubts fade with time, so every node can come back; failures in a row put it to rest for a while.
import { DecayedMean } from './estimate.ts';
import type { FailureKind, Reputation } from './chooser.ts';
import type { CanaryFinding } from './compare-answers.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** Share of requests that a node nothing is known of is assumed to answer, and how many requests that assumption is worth. */
const ASSUMED_SUCCESS = 0.95;
const ASSUMED_REQUESTS = 10;
/** Failures in a row after which a node rests, and for how long: four times longer with each. */
const REST_AFTER = 2;
const FIRST_REST_MS = 2_000;
const LONGEST_REST_MS = 5 * MINUTE;
/** What a failure counts, in failures: a time-out costs the client most; a refused request is hardly ever the node's fault. */
const FAILURE_WEIGHT: Readonly<Record<FailureKind, number>> = { busy: 0.25, lost: 1, error: 1, timeout: 2, request: 0.1, cancelled: 0 };

/** Whether one node answers. */
export class Attempts {
  readonly #success = new DecayedMean(ASSUMED_SUCCESS, ASSUMED_REQUESTS, { halfLifeMs: 10 * MINUTE, keep: 0.98 });
  #inARow = 0;
  #lastFailureMs = -Infinity;
  #restingUntilMs = -Infinity;
  #cachedMs = -Infinity;
  #cached = ASSUMED_SUCCESS;

  /** Share of requests that end well, 0 to 1. */
  success(nowMs: number): number {
    if (nowMs - this.#cachedMs >= 5_000) {
      this.#cached = this.#success.value(nowMs);
      this.#cachedMs = nowMs;
    }
    return this.#cached;
  }

  /** Ms until the node is tried again; 0 when it may be chosen. */
  restingMs(nowMs: number): number {
    return Math.max(0, this.#restingUntilMs - nowMs);
  }

  /** True from the end of a rest until an answer shows that it is over: one request at a time is enough to find out. */
  get onTrial(): boolean {
    return this.#inARow >= REST_AFTER;
  }

  succeeded(nowMs: number): void {
    this.#success.add(1, nowMs);
    this.#inARow = 0;
    this.#restingUntilMs = -Infinity;
    this.#cachedMs = -Infinity;
  }

  /** `sentMs`: when the request was sent. Requests that were under way when another failed are no further failure in a row. */
  failed(failure: FailureKind, sentMs: number, nowMs: number): void {
    const weight = FAILURE_WEIGHT[failure];
    if (weight === 0) return;
    this.#success.add(0, nowMs, weight);
    this.#cachedMs = -Infinity;
    if (weight < 1 || sentMs < this.#lastFailureMs) return;
    this.#lastFailureMs = nowMs;
    this.#inARow += 1;
    if (this.#inARow >= REST_AFTER) {
      this.#restingUntilMs = nowMs + Math.min(LONGEST_REST_MS, FIRST_REST_MS * 4 ** Math.min(8, this.#inARow - REST_AFTER));
    }
  }
}

/** Honest reports and answers that a new owner is trusted with in advance; one bad one weighs as much as several. */
const ASSUMED_REPORTS = 10;
const DISHONEST_WEIGHT = 5;
const ASSUMED_CANARIES = 4;
const WRONG_ANSWER_WEIGHT = 5;
const HONESTY_MEMORY = { halfLifeMs: 24 * HOUR, keep: 0.995 };

/** Whether one owner's nodes count and compute what they say. */
export class Honesty {
  readonly #metering = new DecayedMean(1, ASSUMED_REPORTS, HONESTY_MEMORY);
  readonly #verification = new DecayedMean(1, ASSUMED_CANARIES, HONESTY_MEMORY);

  reported(honest: boolean, nowMs: number): void {
    this.#metering.add(honest ? 1 : 0, nowMs, honest ? 1 : DISHONEST_WEIGHT);
  }

  compared(finding: CanaryFinding, nowMs: number): void {
    if (finding.answer === 'agrees') this.#verification.add(1, nowMs);
    if (finding.answer === 'differs') this.#verification.add(0, nowMs, WRONG_ANSWER_WEIGHT);
    if (finding.usage !== 'inconclusive') this.reported(finding.usage === 'agrees', nowMs);
  }

  metering(nowMs: number): number {
    return this.#metering.value(nowMs);
  }

  verification(nowMs: number): number {
    return this.#verification.value(nowMs);
  }
}

/** Below this product of metering and verification a node is used only where no other is. */
export const DISTRUSTED_BELOW = 0.35;

/** Part of what was announced that was measured: the lesser of streams and speed. 1 where nothing contradicts the node. */
export function promiseKept(measured: { readonly parallel: number | null; readonly tokensPerSecond: number | null }, announced: { readonly capacity: number; readonly tokensPerSecond: number | undefined }): number {
  const streams = measured.parallel === null ? 1 : Math.min(1, measured.parallel / announced.capacity);
  const speed = measured.tokensPerSecond === null || announced.tokensPerSecond === undefined || announced.tokensPerSecond <= 0
    ? 1 : Math.min(1, measured.tokensPerSecond / announced.tokensPerSecond);
  // The root: predictions know the true numbers already, this is only for the node's word.
  return Math.sqrt(Math.max(0.01, Math.min(streams, speed)));
}

/** How far a node's word is believed, the risk of failure left out: predictions are divided by it. At least 0.01. */
export const trust = (promise: number, metering: number, verification: number): number => Math.max(0.01, promise * metering * verification);

export const reputationOf = (parts: { readonly success: number; readonly promise: number; readonly metering: number; readonly verification: number }): Reputation => ({
  ...parts, overall: parts.success * parts.promise * parts.metering * parts.verification,
});
