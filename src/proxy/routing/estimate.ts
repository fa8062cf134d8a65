// Estimates that are made of a few observations, forget old ones, and start from an assumption: a mean, a share of
// successes, and a line through points. All take the chooser's own time (ForwardTime), never the clock's.

/** The longest step of the clock that counts as time passed. */
export const MAX_STEP_MS = 10 * 60_000;

/** Time since the first reading in ms that never goes back and never leaps, however the clock is set. */
export class ForwardTime {
  #last: number | null = null;
  #now = 0;

  at(clockMs: number): number {
    if (!Number.isFinite(clockMs)) return this.#now;
    const step = this.#last === null ? 0 : clockMs - this.#last;
    this.#last = clockMs;
    if (step > 0) this.#now += Math.min(step, MAX_STEP_MS);
    return this.#now;
  }
}

/** How much of an observation counts after `ageMs`: 1, then half of it each `halfLifeMs`. */
export const decayFactor = (ageMs: number, halfLifeMs: number): number => (ageMs <= 0 ? 1 : 2 ** (-ageMs / halfLifeMs));

export interface Forgetting {
  readonly halfLifeMs: number;
  /** Part of the evidence that each new observation leaves of the old one, at most 1. */
  readonly keep: number;
}

/** A mean that begins as `assumed`, which weighs as much as `assumedWeight` observations. */
export class DecayedMean {
  readonly #assumed: number;
  readonly #assumedWeight: number;
  readonly #forgetting: Forgetting;
  #sum = 0;
  #weight = 0;
  #atMs = 0;

  constructor(assumed: number, assumedWeight: number, forgetting: Forgetting) {
    this.#assumed = assumed;
    this.#assumedWeight = assumedWeight;
    this.#forgetting = forgetting;
  }

  add(value: number, nowMs: number, weight = 1): void {
    const kept = decayFactor(nowMs - this.#atMs, this.#forgetting.halfLifeMs) * this.#forgetting.keep;
    this.#sum = this.#sum * kept + value * weight;
    this.#weight = this.#weight * kept + weight;
    this.#atMs = nowMs;
  }

  value(nowMs: number): number {
    const kept = decayFactor(nowMs - this.#atMs, this.#forgetting.halfLifeMs);
    return (this.#sum * kept + this.#assumed * this.#assumedWeight) / (this.#weight * kept + this.#assumedWeight);
  }

  /** Weight of what was observed, the assumption not counted. */
  evidence(nowMs: number): number {
    return this.#weight * decayFactor(nowMs - this.#atMs, this.#forgetting.halfLifeMs);
  }
}

/** A line `y = base + slope × x` with neither part negative, both in ms (of y, and of y for each unit of x). */
export interface Line {
  readonly base: number;
  readonly slope: number;
}

export const valueAt = (line: Line, x: number): number => line.base + line.slope * x;

/** Spread of single observations around the line, as a part of the value: what one observation is worth. */
const NOISE = 0.35;
/** How far off the assumption may be, as a part of it: much less is believed of it than of one observation. */
const ASSUMED_SPREAD = 1;
/** Residuals beyond this many times NOISE count as if they were just that far off. */
const OUTLIER = 4;
/** Of the evidence, what two outliers in a row on the same side leave: the node has changed. */
const KEPT_AFTER_CHANGE = 0.4;

/**
 * A line fitted to points in the manner of ridge regression: the assumption stands in for evidence until there is some.
 * Residuals are taken relative to the value, so that long requests do not drown short ones, and outliers are pulled in
 * (Huber). Evidence fades with time and with each new observation.
 */
export class LineEstimate {
  #assumed: Line;
  readonly #forgetting: Forgetting;
  #line: Line;
  // Weighted sums of 1, x, x², y, xy: all there is to know of the points.
  #n = 0;
  #x = 0;
  #xx = 0;
  #y = 0;
  #xy = 0;
  #count = 0;
  #atMs = 0;
  #lastOutlier = 0;

  constructor(assumed: Line, forgetting: Forgetting) {
    this.#assumed = assumed;
    this.#forgetting = forgetting;
    this.#line = assumed;
  }

  /** As of the last `add` or `refresh`. */
  get line(): Line {
    return this.#line;
  }

  /** Number of observations, old ones counted less; as of the last `add` or `refresh`. */
  get evidence(): number {
    return this.#count;
  }

  add(x: number, y: number, nowMs: number): void {
    this.#fade(nowMs, this.#forgetting.keep);
    const expected = Math.max(valueAt(this.#line, x), 0.01);
    const spread = NOISE * Math.max(expected, y / 4);
    const residual = (y - expected) / spread;
    const side = Math.abs(residual) > OUTLIER ? Math.sign(residual) : 0;
    if (side !== 0 && side === this.#lastOutlier) this.#scale(KEPT_AFTER_CHANGE);
    this.#lastOutlier = side;
    const weight = Math.min(1, OUTLIER / Math.abs(residual)) / spread ** 2;
    this.#n += weight;
    this.#x += weight * x;
    this.#xx += weight * x * x;
    this.#y += weight * y;
    this.#xy += weight * x * y;
    this.#count += 1;
    this.#solve();
  }

  /** Lets evidence fade up to now, towards `assumed`. */
  refresh(assumed: Line, nowMs: number): void {
    this.#assumed = assumed;
    this.#fade(nowMs, 1);
    this.#solve();
  }

  #fade(nowMs: number, keep: number): void {
    this.#scale(decayFactor(nowMs - this.#atMs, this.#forgetting.halfLifeMs) * keep);
    this.#atMs = nowMs;
  }

  #scale(by: number): void {
    this.#n *= by;
    this.#x *= by;
    this.#xx *= by;
    this.#y *= by;
    this.#xy *= by;
    this.#count *= by;
  }

  #solve(): void {
    const { base, slope } = this.#assumed;
    const forBase = 1 / (ASSUMED_SPREAD * Math.max(base, 0.01)) ** 2;
    const forSlope = 1 / (ASSUMED_SPREAD * Math.max(slope, 0.01)) ** 2;
    const a = forBase + this.#n;
    const d = forSlope + this.#xx;
    const u = forBase * base + this.#y;
    const v = forSlope * slope + this.#xy;
    const determinant = a * d - this.#x * this.#x; // positive: both assumptions weigh something
    const freeBase = (u * d - v * this.#x) / determinant;
    const freeSlope = (a * v - this.#x * u) / determinant;
    if (freeSlope < 0) this.#line = { base: u / a, slope: 0 };
    else if (freeBase < 0) this.#line = { base: 0, slope: v / d };
    else this.#line = { base: freeBase, slope: freeSlope };
  }
}
