// What the driver and the processes of a world tell each other. Amounts travel as text.

/** One request. Of the answer, `pieces` tokens are generated, unless `maxTokens` is less. */
export interface Ask {
  readonly client: number;
  readonly proxy: number;
  readonly words: number;
  readonly pieces: number;
  readonly pieceDelayMs: number;
  readonly maxTokens: number;
  /** Cancelled when so many pieces have come; null: never. */
  readonly cancelAfter: number | null;
  readonly timeoutMs: number;
}

export type Command =
  | { readonly do: 'ask'; readonly ask: Ask }
  /** Clients: connect to every proxy and take in what it says; nodes: connect to every proxy. */
  | { readonly do: 'settle' }
  /** Proxies only. */
  | { readonly do: 'status' };

export interface Call {
  readonly id: number;
  readonly command: Command;
}

/** `asked`: a complete answer, one that was cancelled on purpose, or the error's code. */
export interface Asked {
  readonly outcome: string;
  readonly message?: string;
}

export interface AccountStatus {
  readonly kind: 'client' | 'worker';
  readonly contract: string;
  readonly owner: string;
  readonly accrued: string;
  readonly durable: string;
  readonly committed: string;
  readonly signed: string;
  readonly claimed: string;
  readonly reserved: string;
  readonly state: string;
}

export interface ProxyStatusReply {
  readonly refusal: string | null;
  readonly accounts: readonly AccountStatus[];
  readonly running: number;
  readonly nodes: number;
}

export type Told =
  | { readonly kind: 'ready' }
  /** The process ends by itself. */
  | { readonly kind: 'fatal'; readonly code: string; readonly message: string }
  /** Something that must not be, seen by the process itself. */
  | { readonly kind: 'violation'; readonly text: string }
  | { readonly kind: 'reply'; readonly id: number; readonly value: unknown };

/** A line of a truth file. `contract` raw; tokens as text; `at` unix milliseconds. */
export type Truth =
  /** Clients: a request that may be sent, with the most that it may cost. */
  | { readonly t: 'begin'; readonly m: string; readonly contract: string; readonly reserved: string; readonly at: number }
  /** Its answer was complete and cost so much. */
  | { readonly t: 'end'; readonly m: string; readonly contract: string; readonly tokens: string; readonly at: number }
  /** It was not sent after all. */
  | { readonly t: 'unsent'; readonly m: string; readonly contract: string }
  /** Nodes: a process begins. */
  | { readonly t: 'life'; readonly at: number }
  /** A request is taken. */
  | { readonly t: 'job'; readonly m: string; readonly contract: string; readonly at: number }
  /** So many parts of its answer in all may be handed over from here on. */
  | { readonly t: 'ahead'; readonly m: string; readonly contract: string; readonly parts: number }
  /** Its work was counted: it has ended, also where it was cut short. */
  | { readonly t: 'work'; readonly m: string; readonly contract: string; readonly tokens: string; readonly at: number }
  /** It ended after so many parts, and nothing was counted for it. */
  | { readonly t: 'over'; readonly m: string; readonly contract: string; readonly parts: number }
  /** What a proxy said is booked. */
  | { readonly t: 'told'; readonly contract: string; readonly db: string; readonly max: string; readonly poll: boolean; readonly at: number }
  /** A payment that was not seen before in this process; base64. */
  | { readonly t: 'pay'; readonly contract: string; readonly boc: string };
