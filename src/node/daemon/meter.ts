// Counts what a node does: requests that run, how they ended, tokens, and how fast they come. Knows nothing of what is asked.
// Tokens of an answer are known exactly when it ends; until then their number is estimated from its bytes by the answers before
// it, and the estimate is corrected over the time that the answer took.
import { nearest } from './quantile.ts';
import type { Clock } from '../../core/clock.ts';
import type { UsageCounts } from '../../openai/usage.ts';
import type { TokensUsed } from '../../wire/answer.ts';

export type RequestEnd = 'answered' | 'cancelled' | 'failed';

/** One request, told by who answers it. */
export interface MeteredRequest {
  /** A part of the answer has been given to the proxy. */
  wrote(bytes: number): void;
  /** The engine's own count; at most once. */
  counted(usage: UsageCounts): void;
  /** What it is paid for; at most once. */
  delivered(tokens: TokensUsed): void;
  /** Once, after everything else. */
  end(how: RequestEnd): void;
}

export interface RequestMeter {
  /** `proxy`: address of the contract of the proxy that asks, text. */
  begin(proxy: string): MeteredRequest;
}

export interface MeterView {
  readonly running: number;
  readonly answered: number;
  readonly cancelled: number;
  readonly failed: number;
  readonly prompt: number;
  readonly cached: number;
  readonly completion: number;
  readonly perSecond: { readonly s10: number; readonly m1: number; readonly m15: number; readonly h1: number };
  readonly firstTokenMs: { readonly median: number; readonly p95: number } | null;
}

/** What others want to know of each request. Must not throw. */
export interface MeterListeners {
  firstToken?(ms: number): void;
  ended?(how: RequestEnd, tookMs: number): void;
  counted?(usage: UsageCounts): void;
  delivered?(proxy: string, tokens: TokensUsed, usage: UsageCounts | null): void;
}

const SECONDS = 3_600;
const WINDOWS = { s10: 10, m1: 60, m15: 900, h1: 3_600 } as const;
/** First tokens that median and p95 are made of. */
const REMEMBERED = 256;
/** Bytes of a streamed answer for one token, before the first answer has ended: JSON around a short word. */
const FIRST_GUESS_BYTES = 180;
const LEARNING = 0.2;

/** Tokens generated in each of the last seconds. */
class Flow {
  readonly #seconds = new Float64Array(SECONDS);
  /** The newest second that has a place. */
  #now: number;

  constructor(second: number) {
    this.#now = second;
  }

  /** Makes place up to `second`; a clock that was set back changes nothing. */
  advance(second: number): void {
    for (let next = Math.max(this.#now + 1, second - SECONDS + 1); next <= second; next += 1) this.#seconds[next % SECONDS] = 0;
    this.#now = Math.max(this.#now, second);
  }

  /** Spreads `tokens`, which may be negative, evenly over the seconds from `from` to `to`. */
  add(tokens: number, from: number, to: number): void {
    const first = Math.max(from, to - SECONDS + 1, 0);
    for (let second = first; second <= to; second += 1) {
      const at = second % SECONDS;
      this.#seconds[at] = (this.#seconds[at] ?? 0) + tokens / (to - first + 1);
    }
  }

  /** Mean of the last `window` whole seconds, of which `lived` have been. */
  mean(window: number, lived: number): number {
    let sum = 0;
    for (let back = 1; back <= window; back += 1) sum += this.#seconds[(this.#now - back + SECONDS) % SECONDS] ?? 0;
    return Math.max(0, sum) / Math.max(1, Math.min(window, lived));
  }
}

export interface Meter extends RequestMeter {
  view(): MeterView;
}

export function createMeter(clock: Clock, listeners: MeterListeners = {}): Meter {
  const startedMs = clock.now();
  const secondNow = (): number => Math.floor(clock.now() / 1000);
  const flow = new Flow(secondNow());
  const totals = { running: 0, answered: 0, cancelled: 0, failed: 0, prompt: 0, cached: 0, completion: 0 };
  const firstTokens: number[] = [];
  let bytesPerToken = FIRST_GUESS_BYTES;

  const begin = (proxy: string): MeteredRequest => {
    totals.running += 1;
    const beganMs = clock.now();
    let firstSecond: number | null = null;
    let bytes = 0;
    let estimated = 0;
    let usage: UsageCounts | null = null;
    let over = false;
    return {
      wrote(length) {
        const second = secondNow();
        flow.advance(second);
        if (firstSecond === null) {
          firstSecond = second;
          const tookMs = Math.max(0, clock.now() - beganMs);
          firstTokens.push(tookMs);
          if (firstTokens.length > REMEMBERED) firstTokens.shift();
          listeners.firstToken?.(tookMs);
        }
        bytes += length;
        estimated += length / bytesPerToken;
        flow.add(length / bytesPerToken, second, second);
      },
      counted(counts) {
        if (usage !== null) return;
        usage = counts;
        totals.prompt += counts.promptTokens;
        totals.cached += counts.cachedTokens;
        totals.completion += counts.completionTokens;
        const second = secondNow();
        flow.advance(second);
        flow.add(counts.completionTokens - estimated, firstSecond ?? Math.floor(beganMs / 1000), second);
        estimated = counts.completionTokens;
        if (bytes > 0 && counts.completionTokens > 0) bytesPerToken += LEARNING * (bytes / counts.completionTokens - bytesPerToken);
        listeners.counted?.(counts);
      },
      delivered: (tokens) => listeners.delivered?.(proxy, tokens, usage),
      end(how) {
        if (over) return;
        over = true;
        totals.running -= 1;
        totals[how] += 1;
        listeners.ended?.(how, Math.max(0, clock.now() - beganMs));
      },
    };
  };

  return {
    begin,
    view() {
      flow.advance(secondNow());
      const lived = Math.floor((clock.now() - startedMs) / 1000);
      const { s10, m1, m15, h1 } = WINDOWS;
      return {
        ...totals, perSecond: { s10: flow.mean(s10, lived), m1: flow.mean(m1, lived), m15: flow.mean(m15, lived), h1: flow.mean(h1, lived) },
        firstTokenMs: firstTokens.length === 0 ? null : { median: nearest(firstTokens, 0.5), p95: nearest(firstTokens, 0.95) },
      };
    },
  };
}
