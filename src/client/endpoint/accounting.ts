// What one request of an application costs over all its attempts: the most of each is put aside before it is sent, what the proxies
// said is counted, and what was never told counts as the most that it can be. Says once how the request ended.
import { adjustTokens } from '../../openai/token-price.ts';
import type { FinalInfo, TokensUsed } from '../../wire/answer.ts';
import type { Continuation } from '../continued.ts';
import type { AttemptCost } from '../forward.ts';
import type { Caller } from './callers.ts';

/** Price of the network now. */
export interface EndpointPrice {
  /** nanoTON of an adjusted token; 0n where nobody pays. */
  readonly perTokenNano: bigint;
  /** The largest of the network's multipliers, 10000 for ×1. */
  readonly largestMultiplier: number;
}

export type Outcome = 'complete' | 'failed' | 'cancelled';

export interface RequestEnd {
  readonly outcome: Outcome;
  readonly model: string;
  /** Of all attempts that told; null when none did. */
  readonly charged: TokensUsed | null;
  readonly costNano: bigint;
  /** From the request to its first byte and to its end, milliseconds; null where there was none. */
  readonly firstByteMs: number | null;
  readonly totalMs: number;
  /** Attempts in all, whether one was made beside a slow one, and how often the answer was taken up by another node. */
  readonly attempts: number;
  readonly hedged: boolean;
  readonly continued: readonly Continuation[];
}

export interface AccountOptions {
  readonly caller: Caller;
  readonly price: () => EndpointPrice;
  /** Highest price accepted, in thousandths of the network's. */
  readonly maxCoefficient: number;
  readonly model: string;
  readonly onEnd?: ((end: RequestEnd) => void) | undefined;
}

/** Of the HTTP request around a body, at most. */
const ENVELOPE_BYTES = 512;

const add = (a: TokensUsed | null, b: TokensUsed): TokensUsed => (a === null ? b : {
  prompt: a.prompt + b.prompt, cached: a.cached + b.cached, completion: a.completion + b.completion, reasoning: a.reasoning + b.reasoning, total: a.total + b.total,
});

export class RequestAccount {
  readonly #options: AccountOptions;
  readonly #startedMs = performance.now();
  #firstByteMs: number | null = null;
  #charged: TokensUsed | null = null;
  #costNano = 0n;
  #attempts = 0;
  #over = false;
  hedged = false;
  continued: readonly Continuation[] = [];

  constructor(options: AccountOptions) {
    this.#options = options;
  }

  /** Puts aside the most that an attempt can cost: all that may be read and generated, at the highest price (WIRE.md section 12). */
  cost(maxTokens: number, payloadBytes: number): AttemptCost {
    const { caller, price, maxCoefficient } = this.#options;
    const { perTokenNano, largestMultiplier } = price();
    const mostNano = perTokenNano === 0n ? 0n : adjustTokens(maxTokens + payloadBytes + ENVELOPE_BYTES, maxCoefficient, largestMultiplier) * perTokenNano;
    const reserved = caller.reserve(mostNano);
    this.#attempts += 1;
    return {
      settle: (info: FinalInfo | null, delivered: boolean) => {
        const unknown = delivered ? mostNano : 0n;
        const costNano = info === null ? unknown : info.tokens.total * perTokenNano;
        if (info !== null) this.#charged = add(this.#charged, info.tokens);
        this.#costNano += costNano;
        reserved.settle(costNano);
      },
    };
  }

  begun(): void {
    this.#firstByteMs ??= performance.now() - this.#startedMs;
  }

  end(outcome: Outcome): void {
    if (this.#over) return;
    this.#over = true;
    this.#options.onEnd?.({
      outcome, model: this.#options.model, charged: this.#charged, costNano: this.#costNano, firstByteMs: this.#firstByteMs, totalMs: performance.now() - this.#startedMs,
      attempts: this.#attempts, hedged: this.hedged, continued: this.continued,
    });
  }
}
