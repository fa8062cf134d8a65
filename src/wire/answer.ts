// What an answer to one request consists of (WIRE.md section 11), free of constructors and versions: a head, parts,
// then exactly one end or failure. The same words are used on both hops (worker to proxy, proxy to client).
import { RemoteError } from '../core/errors.ts';

export interface HttpHeader {
  readonly name: string;
  readonly value: string;
}

/** `http.response`: status line and headers. `payload` is the beginning of the body, usually empty; no part repeats it. */
export interface HttpHead {
  readonly httpVersion: string;
  readonly status: number;
  readonly reason: string;
  readonly headers: readonly HttpHeader[];
  readonly payload: Uint8Array;
}

/** Adjusted tokens (WIRE.md section 12), all of them zero or more. */
export interface TokensUsed {
  readonly prompt: bigint;
  readonly cached: bigint;
  readonly completion: bigint;
  readonly reasoning: bigint;
  readonly total: bigint;
}

export const NO_TOKENS: TokensUsed = { prompt: 0n, cached: 0n, completion: 0n, reasoning: 0n, total: 0n };

/** When a hop began and ended, in seconds since the Unix epoch; 0 where it is unknown. */
export interface HopTimes {
  readonly startedAt: number;
  readonly endedAt: number;
}

/** What the last message of an answer says. The proxy's fields are absent on the hop between worker and proxy. */
export interface FinalInfo {
  readonly tokens: TokensUsed;
  readonly workerTimes?: HopTimes;
  readonly proxyTimes?: HopTimes;
  /** Debugging text of a hop, where the request asked for it. */
  readonly workerDebug?: string;
  readonly proxyDebug?: string;
}

export const NO_INFO: FinalInfo = { tokens: NO_TOKENS };

/**
 * Where an answer goes. Order: `head`, any number of `part`, then `end`; `fail` may take the place of any of them.
 * `end` and `fail` are the last call. The promises resolve when the receiver takes more; calls need not wait for them,
 * but a caller that never waits fills the receiver's buffer.
 */
export interface AnswerSink {
  head(head: HttpHead): Promise<void>;
  part(bytes: Uint8Array): Promise<void>;
  /** The answer is complete; `bytes` are the last of the body. */
  end(info: FinalInfo, bytes?: Uint8Array): Promise<void>;
  /** The answer will not be completed. `code` is one of remote-codes.ts. */
  fail(code: number, message: string, info?: FinalInfo): Promise<void>;
}

/** An error that ended an answer, with the final info that came with it. */
export class AnswerError extends RemoteError {
  /** Tokens, times and debugging text up to the failure; null where the peer sent none. */
  readonly info: FinalInfo | null;

  constructor(code: number, message: string, info: FinalInfo | null) {
    super(code, message);
    this.info = info;
  }
}
