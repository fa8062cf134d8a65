// How fast a node answers, learned from its answers: until the first token by the bytes to be read (its own, and those of
// requests ahead of it), then per token by the number of streams beside it, and how many streams it really runs at once.
// A new node starts as what new nodes of its model turned out to be.
import { decayFactor, DecayedMean, LineEstimate, valueAt } from './estimate.ts';
import type { Line } from './estimate.ts';

const MINUTE = 60_000;
/** How fast what was measured of one node is forgotten. */
const NODE_MEMORY = { halfLifeMs: 30 * MINUTE, keep: 0.97 };
/** The same for what all nodes of a model have in common. */
const MODEL_MEMORY = { halfLifeMs: 24 * 60 * MINUTE, keep: 0.998 };
/** A node's first observations are what tells how new nodes turn out; later ones would count busy nodes for many. */
const TELLING_OBSERVATIONS = 4;

/** Before anything was measured: an ordinary GPU. Until the first token: base and per KB (1,000 bytes) to be read. */
const ASSUMED_FIRST_TOKEN: Line = { base: 200, slope: 60 };
/** Per token: alone, and for each stream beside it. */
const ASSUMED_TOKEN: Line = { base: 25, slope: 1 };
const ASSUMED_ANSWER_TOKENS = 250;

/** A measured round trip moves the one in use by this part. */
const ROUND_TRIP_GAIN = 0.2;
/** Streams that a node is trusted with at once before it has shown more. */
const FIRST_PARALLEL = 1;
/** A first token later than this many times the prediction, and by this much, came out of a queue. */
const QUEUED_FACTOR = 3;
const QUEUED_MS = 250;
/** How far the number of parallel streams moves towards the number that were there when a request had to wait. */
const PARALLEL_CUT = 0.25;
/** A first token within this many times the prediction, and this much, has not waited at all. */
const PROMPT_FACTOR = 1.5;
const PROMPT_MS = 50;
/** So many such first tokens prove a number of streams: one may have come just when another stream ended. */
const PROOFS = 2;
const PARALLEL_HALF_LIFE_MS = 30 * MINUTE;
/** Predictions are refreshed (evidence fades) this often at most. */
const REFRESH_MS = 15_000;
/**
 * A node whose answers are longer than others' by more than this factor counts tokens that are not there, or happens to be so
 * used: its speed is taken by answers then, not by tokens, so that over-reporting does not make a node look fast.
 */
const LONGER_ANSWERS = 1.4;
/** Longer than any request may take: such times come from clocks and sleeping machines. */
const MAX_DURATION_MS = 3_600_000;

const plausible = (ms: number): boolean => ms >= 0 && ms <= MAX_DURATION_MS;
const sizeClass = (maxTokens: number): number => Math.min(24, Math.max(0, Math.floor(Math.log2(Math.max(1, maxTokens)))));

/** What the nodes of one model have in common: what new ones turn out to be, and how long answers are. */
export class ModelSpeed {
  readonly #firstToken = new LineEstimate(ASSUMED_FIRST_TOKEN, MODEL_MEMORY);
  readonly #token = new LineEstimate(ASSUMED_TOKEN, MODEL_MEMORY);
  readonly #prompts = new DecayedMean(1, 0.01, MODEL_MEMORY);
  /** Length of answers by the power of two of what was allowed: the mean, and the mean of its logarithm. */
  readonly #answers = new Map<number, { readonly tokens: DecayedMean; readonly logTokens: DecayedMean }>();

  get firstToken(): Line {
    return this.#firstToken.line;
  }

  get token(): Line {
    return this.#token.line;
  }

  /** Tokens that an answer of at most `maxTokens` is likely to have. */
  answerTokens(maxTokens: number, nowMs: number): number {
    const mean = this.#answers.get(sizeClass(maxTokens))?.tokens.value(nowMs) ?? ASSUMED_ANSWER_TOKENS;
    return Math.max(1, Math.min(maxTokens, mean));
  }

  /** Counts an answer; comes back with the logarithm of how much longer it was than such answers usually are. */
  answered(maxTokens: number, tokens: number, nowMs: number): number {
    const size = sizeClass(maxTokens);
    let means = this.#answers.get(size);
    if (means === undefined) {
      const assumed = Math.min(maxTokens, ASSUMED_ANSWER_TOKENS);
      means = { tokens: new DecayedMean(assumed, 2, MODEL_MEMORY), logTokens: new DecayedMean(Math.log(assumed), 2, MODEL_MEMORY) };
      this.#answers.set(size, means);
    }
    const counted = Math.max(1, Math.min(tokens, maxTokens));
    const longer = Math.log(counted) - means.logTokens.value(nowMs);
    means.tokens.add(counted, nowMs);
    means.logTokens.add(Math.log(counted), nowMs);
    return longer;
  }

  /** Whether a prompt of this length is no longer than the average of those before. Counts it. */
  isOrdinary(kilobytes: number, nowMs: number): boolean {
    const before = this.#prompts.value(nowMs);
    this.#prompts.add(kilobytes, nowMs);
    return kilobytes <= before * 1.001; // of equal ones rounding must not exclude any
  }

  newNodeFirstToken(kilobytes: number, ms: number, nowMs: number): void {
    this.#firstToken.add(kilobytes, ms, nowMs);
  }

  newNodeToken(others: number, ms: number, nowMs: number): void {
    this.#token.add(others, ms, nowMs);
  }
}

/** State of a request when it was sent, as its observations need it. */
export interface SentState {
  /** KB to be read before its first token: its own without what was cached, and those ahead of it. */
  readonly kilobytes: number;
  /** Requests beside it at the node. */
  readonly others: number;
}

/** One node's speed. Numbers that the scan over all nodes reads are plain fields, kept up to date by `refresh`. */
export class NodeSpeed {
  readonly #model: ModelSpeed;
  readonly #firstToken: LineEstimate;
  readonly #token: LineEstimate;
  /** How much longer its answers are than others' to such requests, as a logarithm. */
  readonly #longer = new DecayedMean(0, 8, NODE_MEMORY);
  #roundTripMs: number | null = null;
  #told = { firstToken: 0, token: 0 };
  #refreshedMs = -Infinity;
  #parallelMs = 0;
  /** Until a request had to wait, each full house without waiting raises `parallel` faster. */
  #everQueued = false;
  #proofs = 0;
  firstTokenLine: Line;
  tokenLine: Line;
  /** Streams that run at once without waiting. */
  parallel = FIRST_PARALLEL;
  /** Streams that were there at once without one of them waiting. One always can be. */
  proven = 1;
  /** 0 to 1. */
  confidence = 0;

  constructor(model: ModelSpeed) {
    this.#model = model;
    this.#firstToken = new LineEstimate(model.firstToken, NODE_MEMORY);
    this.#token = new LineEstimate(model.token, NODE_MEMORY);
    this.firstTokenLine = model.firstToken;
    this.tokenLine = model.token;
  }

  /** Number of first tokens seen, old ones counted less. */
  get evidence(): number {
    return this.#firstToken.evidence;
  }

  /** 0 before one was measured. */
  get roundTripMs(): number {
    return this.#roundTripMs ?? 0;
  }

  /** True once a request has waited at fewer streams than the node announces. */
  get fellShort(): boolean {
    return this.#everQueued;
  }

  /** Tokens per second of one stream alone, as measured; null before anything was. */
  get tokensPerSecond(): number | null {
    return this.#token.evidence < 0.5 ? null : 1_000 / Math.max(valueAt(this.tokenLine, 0), 0.001);
  }

  /** Cheap when nothing is due; call before the fields are read. */
  refresh(nowMs: number, capacity: number): void {
    if (this.parallel > capacity) this.parallel = capacity;
    if (nowMs - this.#refreshedMs < REFRESH_MS) return;
    this.#refreshedMs = nowMs;
    this.#firstToken.refresh(this.#model.firstToken, nowMs);
    this.#token.refresh(this.#model.token, nowMs);
    if (this.#everQueued) {
      this.parallel += (capacity - this.parallel) * (1 - decayFactor(nowMs - this.#parallelMs, PARALLEL_HALF_LIFE_MS));
      this.#parallelMs = nowMs;
      if (this.parallel > capacity * 0.95) this.#everQueued = false;
    }
    this.#publish();
  }

  roundTrip(ms: number): void {
    if (!plausible(ms)) return;
    this.#roundTripMs = this.#roundTripMs === null ? ms : this.#roundTripMs + (ms - this.#roundTripMs) * ROUND_TRIP_GAIN;
  }

  /** Ms until the first token without waiting for a stream. The round trip is a floor: nothing can be faster. */
  readMs(kilobytes: number): number {
    return Math.max(this.roundTripMs, this.firstTokenLine.base + this.firstTokenLine.slope * kilobytes);
  }

  /** Ms per token with `others` streams beside. */
  tokenMs(others: number): number {
    return this.tokenLine.base + this.tokenLine.slope * others;
  }

  observeFirstToken(sent: SentState, ms: number, capacity: number, nowMs: number): void {
    if (!plausible(ms)) return;
    const expected = this.readMs(sent.kilobytes);
    const late = ms > QUEUED_FACTOR * expected + QUEUED_MS;
    const streams = sent.others + 1;
    if (late && sent.others >= 1 && this.evidence >= 1) {
      // Whether it waited for a stream or the node is slower than thought cannot be told from one: both are believed a little.
      this.parallel = Math.max(1, Math.min(this.parallel, this.parallel + PARALLEL_CUT * (sent.others - this.parallel)));
      this.#disprove(sent.others);
      this.#everQueued = true;
      this.#parallelMs = nowMs;
      if (streams > this.parallel) return;
    } else if (!late && streams > this.parallel - 0.5) {
      const step = this.#everQueued ? 0.1 : 1;
      this.parallel = Math.min(capacity, Math.max(this.parallel, streams) + step);
    }
    if (streams > this.proven && ms <= PROMPT_FACTOR * expected + PROMPT_MS) this.#prove(streams);
    this.#firstToken.add(sent.kilobytes, ms, nowMs);
    if (this.#told.firstToken < TELLING_OBSERVATIONS) {
      this.#told.firstToken += 1;
      this.#model.newNodeFirstToken(sent.kilobytes, ms, nowMs);
    }
    this.#publish();
  }

  /** Nothing came for `ms`, and then the client left: at least that long, if that is news. */
  observeSilence(sent: SentState, ms: number, capacity: number, nowMs: number): void {
    if (ms > this.readMs(sent.kilobytes)) this.observeFirstToken(sent, ms, capacity, nowMs);
  }

  /** `ms` from the first token to the last of `tokens` (of `maxTokens` allowed), with `others` streams beside it on average. */
  observeAnswer(others: number, ms: number, tokens: number, maxTokens: number, nowMs: number): void {
    this.#longer.add(this.#model.answered(maxTokens, tokens, nowMs), nowMs);
    if (!plausible(ms) || tokens < 4) return; // too few to tell speed from the size of packets
    const longer = Math.exp(this.#longer.value(nowMs));
    const perToken = (ms / (tokens - 1)) * (longer > LONGER_ANSWERS ? longer : 1);
    this.#token.add(others, perToken, nowMs);
    if (this.#told.token < TELLING_OBSERVATIONS) {
      this.#told.token += 1;
      this.#model.newNodeToken(others, perToken, nowMs);
    }
    this.#publish();
  }

  /** The node said that it is full with `running` requests there. */
  observeFull(running: number, nowMs: number): void {
    this.parallel = Math.max(1, Math.min(this.parallel, running));
    this.#disprove(running);
    this.#everQueued = true;
    this.#parallelMs = nowMs;
  }

  #prove(streams: number): void {
    this.#proofs += 1;
    if (this.#proofs < PROOFS) return;
    this.proven = streams;
    this.#proofs = 0;
  }

  /** With so many streams there another one had to wait. */
  #disprove(streams: number): void {
    this.proven = Math.max(1, Math.min(this.proven, streams));
    this.#proofs = 0;
  }

  #publish(): void {
    this.firstTokenLine = this.#firstToken.line;
    this.tokenLine = this.#token.line;
    const evidence = this.#firstToken.evidence;
    this.confidence = evidence / (evidence + 2);
  }
}
