// The highest signed payment of each contract, on disk before it is acted on: one private file a contract, replaced
// atomically, shared by processes under a lock. Refuses to go back, payments that are not the proxy's, and damaged files.
import type { Address } from '@ton/core';
import type { SignedPayment } from './signed-payment.ts';

export interface BookEntry {
  readonly proxy: Address;
  /** The client or worker contract that the payments are for; names the entry. */
  readonly contract: Address;
  readonly kind: 'client' | 'worker';
  /** The proxy's payment key, 32 bytes. */
  readonly publicKey: Uint8Array;
  /** Total of the highest signed payment; 0n without one. */
  readonly signedTokens: bigint;
  /** That payment's BoC; null without one. */
  readonly payment: Uint8Array | null;
  /** What this side counted itself, cumulative over all processes and restarts. */
  readonly countedTokens: bigint;
  /** Reservations of requests whose end is not known, also of processes that died; a client's tolerance. 0n for workers. */
  readonly openTokens: bigint;
  /** What the proxy said it had booked, highest. Only a statement. */
  readonly dbTokens: bigint;
  /** What the contract has on chain, highest seen. */
  readonly claimedTokens: bigint;
  /** Base name of the model, where a node serves one. */
  readonly model: string | null;
  /** Unix milliseconds of the last change. */
  readonly updatedAtMs: number;
}

export type NewBookEntry = Pick<BookEntry, 'proxy' | 'contract' | 'kind' | 'publicKey'> & {
  readonly model?: string;
  /** Where counting begins: what the contract has on chain. Default 0n. */
  readonly startTokens?: bigint;
};

/** Errors of every method: ConfigError `E_STATE` naming a file that is damaged, unreadable or in use. */
export interface PaymentBook {
  /** All entries, read anew: other processes write to the same book. */
  entries(): Promise<BookEntry[]>;
  /** As last read or written by this object; null where it has not been opened. */
  entry(contract: Address): BookEntry | null;
  /** Makes the entry durable where there is none. Throws `E_STATE` when there is one of another proxy, key or kind. */
  open(entry: NewBookEntry): Promise<BookEntry>;
  /**
   * Makes a payment durable; a lower or equal total than the recorded one changes nothing. Throws NetworkError
   * `E_SIGNED_PAYMENT` when it is not signed by the entry's key for the entry's contract. Errors as `open`.
   */
  record(contract: Address, payment: SignedPayment): Promise<BookEntry>;
  /** Adds to what was counted (`tokens`) and to what is open (`openTokens`, may be negative; never below 0 in all). */
  counted(contract: Address, change: { readonly tokens?: bigint; readonly openTokens?: bigint }): Promise<BookEntry>;
  /** Raises what the proxy says is booked, and what the chain says is claimed; lower values change nothing. */
  stated(contract: Address, change: { readonly dbTokens?: bigint; readonly claimedTokens?: bigint }): Promise<BookEntry>;
  /** Waits for writes under way. Idempotent. */
  close(): Promise<void>;
}
