// What the rest of the program needs from a TON network, independent of who answers. Implemented over toncenter-v2
// JSON-RPC by access.ts; amounts are nanoTON, times are unix seconds of the chain, never of this machine.
import type { Address, Cell, StateInit, Transaction, TupleItem } from '@ton/core';

/** Names one transaction of an account: logical time and hash (32 bytes) of its cell. */
export interface TransactionId {
  readonly lt: bigint;
  readonly hash: Uint8Array;
}

export interface AccountState {
  readonly address: Address;
  readonly status: 'active' | 'uninitialized' | 'frozen';
  readonly balanceNano: bigint;
  readonly code: Cell | null;
  readonly data: Cell | null;
  /** Newest transaction of the account; null before the first. */
  readonly last: TransactionId | null;
  /** Time of the masterchain block in which the account was looked up. */
  readonly time: number;
}

export interface GetMethodResult {
  /** 0 or 1: the method returned; anything else is the contract's error. */
  readonly exitCode: number;
  readonly gasUsed: number;
  /** Bottom first; `new TupleReader([...stack])` reads it. */
  readonly stack: readonly TupleItem[];
}

export interface ReadOptions {
  /**
   * True for reads on which money depends: when two or more endpoints are configured, two must give the same answer.
   * Default false: the first healthy endpoint's answer.
   */
  readonly agreed?: boolean;
  /** Deadline of the whole read, fail-over and waits included. Default: the access object's own. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface TransactionsQuery {
  /** Transactions with a greater logical time are wanted. */
  readonly afterLt: bigint;
  /** Where to start, going back; default: the account's newest. */
  readonly from?: TransactionId;
  /** At most this many are fetched. Default 256. */
  readonly limit?: number;
}

export interface TransactionList {
  /** Newest first, without gaps: each names the next by hash, and the hashes were checked. */
  readonly transactions: readonly Transaction[];
  /** False when `limit` ended the list before `afterLt` was reached. */
  readonly complete: boolean;
}

/** Answers of the endpoints to one broadcast; at least one accepted. */
export interface BroadcastResult {
  readonly accepted: readonly string[];
  readonly refused: readonly string[];
}

export interface FeeEstimate {
  readonly importNano: bigint;
  readonly storageNano: bigint;
  readonly gasNano: bigint;
  readonly forwardNano: bigint;
  readonly totalNano: bigint;
}

export interface EndpointHealth {
  /** Scheme, host and port; never a key. */
  readonly name: string;
  readonly status: 'ok' | 'lagging' | 'cooling' | 'untried';
  readonly latencyMs: number | null;
  /** Newest masterchain block seen through it. */
  readonly seqno: number | null;
  /** Seconds behind the endpoint that is furthest ahead. */
  readonly lagS: number | null;
  readonly consecutiveFailures: number;
  readonly lastError: string | null;
}

export interface MasterchainInfo {
  readonly seqno: number;
  readonly time: number;
}

/** Errors of every method: `E_CHAIN_UNREACHABLE`, `E_CHAIN_DISAGREES`, `E_CHAIN_DATA`, `E_CHAIN_REFUSED` (NetworkError). */
export interface TonAccess {
  account(address: Address, options?: ReadOptions): Promise<AccountState>;
  runGetMethod(address: Address, method: string, stack?: readonly TupleItem[], options?: ReadOptions): Promise<GetMethodResult>;
  /** With `agreed`, the start of the list is agreed on; the rest is bound to it by hashes. */
  transactions(address: Address, query: TransactionsQuery, options?: ReadOptions): Promise<TransactionList>;
  masterchain(options?: Omit<ReadOptions, 'agreed'>): Promise<MasterchainInfo>;
  /** Hands a serialised external message to every endpoint that is not cooling down. Success means only that one took it. */
  sendBoc(boc: Uint8Array, options?: Omit<ReadOptions, 'agreed'>): Promise<BroadcastResult>;
  /** Fees of delivering an external message; `init` for an account that is not deployed yet. */
  estimateFee(address: Address, body: Cell, init?: StateInit, options?: Omit<ReadOptions, 'agreed'>): Promise<FeeEstimate>;
  /** The transaction of `destination` that consumed the message which `source` sent at logical time `createdLt`; null when there is none yet. */
  locateResult(source: Address, destination: Address, createdLt: bigint, options?: Omit<ReadOptions, 'agreed'>): Promise<Transaction | null>;
  health(): readonly EndpointHealth[];
  /** Closes all connections; requests under way fail. */
  close(): Promise<void>;
}
