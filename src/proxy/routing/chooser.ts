// The choice of a node for one request, as a port: who is asked about, what is asked, what is learned afterwards, and why a
// choice was made. Pure: time and chance come from the caller. Refuses with the errors of WIRE.md section 11 step 3.
import type { CanaryFinding } from './compare-answers.ts';

/** Number of a node's connection, as the registry of nodes counts them; never used twice. */
export type NodeId = number;

/**
 * A connected node as the chooser sees it. The registry's own record has this shape, so nothing is copied for a choice;
 * the same object must be given for the same connection each time (what is in flight is kept by it).
 */
export interface Candidate {
  readonly id: NodeId;
  /**
   * Name that stays when the node connects again, so that a node cannot shed what is known of it by reconnecting: owner, model
   * and host without port. Speed and success are remembered by it. At most 200 characters count.
   */
  readonly key: string;
  /** Address of the owner: whose honesty is weighed, over all of the owner's nodes. */
  readonly owner: string;
  /** Requests that this proxy may have at the node at the same time, as announced. */
  readonly capacity: number;
  /** Price in thousandths. */
  readonly coefficient: number;
  /** The node takes requests. */
  readonly enabled: boolean;
  /** The connection takes requests. */
  readonly ready: boolean;
  /** Requests of this proxy at the node now; the caller counts. */
  readonly running: number;
  /** Stake of the owner in nanoTON; 0n without a bond. */
  bondNano(): bigint;
  /** Tokens per second and stream that the node says it generates; absent where it says nothing. Weighed as a promise only. */
  readonly announcedTokensPerSecond?: number;
}

/** What is to be answered. */
export interface Ask {
  /** Base name of the model: for the texts of errors, and for what nodes of one model have in common. */
  readonly model: string;
  /** Highest price in thousandths. */
  readonly maxCoefficient: number;
  /** Length of the request's body. */
  readonly promptBytes: number;
  /** Most tokens of the answer. */
  readonly maxTokens: number;
  /** The answer comes while it is made. False: nothing comes before it is complete, and only that tells of speed. */
  readonly streamed: boolean;
  /**
   * Key of the conversation, opaque: compose it of the client's owner and its `X-Cocoon-Conversation`, so that clients cannot
   * meet in one. Null without one. Longer than 200 characters is treated as null.
   */
  readonly affinity: string | null;
  /** Nodes that have failed this request already. */
  readonly exclude: ReadonlySet<NodeId>;
}

/** Why a node was chosen: in the words that `explain` uses too. */
export type ChoiceReason =
  /** Predicted to be done first, or within the tolerance of that and cheaper, or with the larger bond. */
  | 'fastest' | 'cheaper' | 'bond' | 'turn'
  /** Holds the beginning of this conversation and is predicted to be as fast as any. */
  | 'conversation'
  /** Little is known of it; a bounded share of requests goes to such nodes. */
  | 'exploration'
  /** It is at rest after failures, or distrusted: no other could take the request, or only after a much longer wait. */
  | 'last resort';

export interface Prediction {
  /** Until the first token, of it `waitMs` until a sequence is free. */
  readonly firstTokenMs: number;
  readonly waitMs: number;
  /** Until the answer is complete. */
  readonly totalMs: number;
  /** 0 (nothing measured, an assumption from nodes like it) to 1. */
  readonly confidence: number;
}

export interface Choice {
  /** Names this choice in what is observed of it. Counts up; never used twice. */
  readonly id: number;
  readonly node: NodeId;
  readonly reason: ChoiceReason;
  readonly prediction: Prediction;
}

/** Whose failure it was, as far as the relay can tell. */
export type FailureKind =
  /** The node said that it has no room (602 "too many active queries"). */
  | 'busy'
  /** The connection ended. */
  | 'lost'
  /** The node or its engine failed (HTTP 5xx, codes 0, 601, 602, 651, malformed or incomplete answers). */
  | 'error'
  /** Nothing, or not all, within the time allowed. */
  | 'timeout'
  /** The request itself was refused (HTTP 4xx, 621): says little about the node. */
  | 'request'
  /** The client went away: says nothing about the node, except how long it had been silent. */
  | 'cancelled';

/** The engine's counts for one answer, unadjusted where they are known, else the adjusted ones divided by price and multiplier. */
export interface TokenCounts {
  readonly prompt: number;
  /** Of `prompt`, those that the node had cached. */
  readonly cached: number;
  readonly completion: number;
}

/**
 * What happened. Per choice: `sent`, `first-token`, then one of `finished` and `failed`; or `unsent` instead of all of them.
 * Events of unknown or ended choices are ignored, so that late ones do no harm.
 */
export type Observation =
  | { readonly kind: 'sent' | 'first-token' | 'unsent'; readonly choice: number; readonly nowMs: number }
  /** `tokens` null: the node sent no usage. No tokens at all are no answer, and count as `request` above. */
  | { readonly kind: 'finished'; readonly choice: number; readonly nowMs: number; readonly tokens: TokenCounts | null }
  | { readonly kind: 'failed'; readonly choice: number; readonly nowMs: number; readonly failure: FailureKind }
  /** One measured round trip of the connection. */
  | { readonly kind: 'round-trip'; readonly node: Candidate; readonly nowMs: number; readonly ms: number }
  /** Whether the node's report stayed within the reservation and added up (WIRE.md section 12). */
  | { readonly kind: 'metering'; readonly node: Candidate; readonly nowMs: number; readonly honest: boolean }
  | { readonly kind: 'canary'; readonly node: Candidate; readonly nowMs: number; readonly finding: CanaryFinding };

/**
 * Why a node was not taken. `slower`: its predicted time, weighed with its reputation, was not the best; `dearer`: as good, for
 * more; `unproven`: it would have more requests than it has shown to run without waiting, and another was sure to be free.
 */
export type PassedOver =
  | 'disabled' | 'closing' | 'full' | 'too dear' | 'already failed' | 'bond too small' | 'resting' | 'distrusted' | 'slower' | 'dearer' | 'another explored' | 'unproven';

/** One node in an explanation. Times in ms. */
export interface RankedNode {
  readonly node: NodeId;
  readonly firstTokenMs: number;
  readonly totalMs: number;
  /** What was compared: `totalMs` with the risk of failure and doubts about the node's word added. */
  readonly weighedMs: number;
  readonly coefficient: number;
  readonly running: number;
  readonly capacity: number;
  /** 0 to 1. */
  readonly reputation: number;
  readonly confidence: number;
  /** Null for the chosen one. */
  readonly passedOver: PassedOver | null;
}

export interface Explanation {
  readonly choice: number;
  readonly atMs: number;
  readonly model: string;
  readonly promptBytes: number;
  readonly maxTokens: number;
  readonly maxCoefficient: number;
  /** `kept`: went back to the node of its conversation; `moved`: another was faster or that one could not; `new`: none known. */
  readonly conversation: 'none' | 'new' | 'kept' | 'moved';
  /** Null when the request was refused; `refusal` has the text then. */
  readonly chosen: RankedNode | null;
  readonly reason: ChoiceReason | null;
  readonly refusal: string | null;
  /** The best of the others by what was compared, at most four. */
  readonly others: readonly RankedNode[];
  /** How many nodes were passed over before any comparison, by reason. */
  readonly passedOver: Readonly<Partial<Record<PassedOver, number>>>;
  /** One sentence with the numbers above, for a person. */
  readonly text: string;
  /** What came of it, as far as known. */
  readonly outcome: { readonly firstTokenMs: number | null; readonly totalMs: number | null; readonly failure: FailureKind | null };
}

/** The parts of a node's reputation, each 0 to 1; `overall` is their product. */
export interface Reputation {
  /** Share of recent requests that were answered; old ones count less. */
  readonly success: number;
  /** Measured against announced: sequences and, where announced, speed. */
  readonly promise: number;
  /** Reports within what was reserved, parts that add up, counts that agree with other nodes'. */
  readonly metering: number;
  /** Canary questions and repeated requests that agreed with other nodes. */
  readonly verification: number;
  readonly overall: number;
}

/** Why requests went elsewhere, told to the node itself: its own figures, and others' only as medians. For `node why`. */
export interface NodeView {
  /** Choices among nodes of its model since it connected, and how many of them it won. */
  readonly considered: number;
  readonly chosen: number;
  readonly passedOver: Readonly<Partial<Record<PassedOver, number>>>;
  /** Own figures for a typical request of 2 KB, and the median of the others; null where too little was measured to tell. */
  readonly own: NodeFigures | null;
  readonly median: NodeFigures | null;
  readonly reputation: Reputation;
  readonly bondNano: bigint;
  /** Milliseconds until it is tried again after failures in a row; 0 when it is not at rest. */
  readonly restingMs: number;
  /** How much later, on average, it would have finished than the node that was taken, where it was compared; null if never. */
  readonly meanBehindMs: number | null;
  /** Sentences, most important first. */
  readonly advice: readonly string[];
}

export interface NodeFigures {
  readonly firstTokenMs: number;
  readonly tokensPerSecond: number;
  readonly coefficient: number;
  /** Sequences that work at once without waiting, as measured. */
  readonly parallel: number;
}

export interface Chooser {
  /**
   * The node for `ask` among `candidates`: the connected nodes of the model, or null when no node ever served it. The caller
   * counts `running` up before it awaits anything. Takes O(candidates). Throws RemoteError: 621 unknown model; 651 no workers,
   * no ready workers, or "can run this query with coefficient=N".
   */
  choose(ask: Ask, candidates: Iterable<Candidate> | null, nowMs: number): Choice;
  /**
   * The nodes that could take `ask` now, those that are full included at the end, best first: for who chooses elsewhere, with these words
   * in hand. One of which little is known comes first as often as `choose` would take it. Nothing is counted as chosen.
   */
  rank(ask: Ask, candidates: Iterable<Candidate>, nowMs: number): NodeId[];
  observed(event: Observation): void;
  /** The last choices, newest first, at most `limit` (at most 256 are kept). */
  explain(limit: number): Explanation[];
  /** What one node may know of why it was or was not chosen; `peers` are the connected nodes of its model. */
  viewFor(node: Candidate, peers: Iterable<Candidate>, nowMs: number): NodeView;
  /** Reputation of a node now; for status pages and metrics. */
  reputation(node: Candidate, nowMs: number): Reputation;
}

export interface ChooserOptions {
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Nodes whose owner has bonded less are not used. Default 0n: bonds only break ties. */
  readonly minBondNano?: bigint;
  /** Most of the choices that may go to nodes because little is known of them. Default 0.05; 0 turns exploration off. */
  readonly explorationShare?: number;
}
