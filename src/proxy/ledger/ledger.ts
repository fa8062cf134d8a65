// The proxy's ledger as the rest of the proxy sees it (WIRE.md section 16): what each client used and each worker earned,
// per proxy contract, durable before it is acknowledged. Totals never go back; chain <= db <= max; what is signed was
// committed on chain before. The first write that fails ends it: from then on everything is refused.
import type { Address } from '@ton/core';
import type { TransactionId } from '../../chain/access/types.ts';
import type { Params } from '../../chain/cells/params.ts';
import type { TokensKind } from '../../chain/cells/signed.ts';
import type { CocoonError } from '../../core/errors.ts';

/** Whose ledger it is. A ledger of another network, root, owner or key is refused at open. */
export interface LedgerIdentity {
  readonly globalId: number;
  readonly root: Address;
  readonly owner: Address;
  /** The key that signs payments, 32 bytes. */
  readonly publicKey: Uint8Array;
}

/** `serving`: takes work. `winding`: pays out and closes. `closed`: over. Only ever in this order. */
export type InstancePhase = 'serving' | 'winding' | 'closed';

/** One proxy contract: the current one, or one of earlier params. */
export interface LedgerInstance {
  readonly id: number;
  readonly contract: Address;
  /** Its params, with the codes of worker and client. */
  readonly params: Params;
  readonly phase: InstancePhase;
  /** Newest transaction of the contract whose meaning is in the ledger; null before the first. */
  readonly cursor: TransactionId | null;
}

/** A child contract as its last message to the proxy contract, or an agreed read, showed it. */
export interface ChildState {
  /** Logical time of the child's transaction; a state with a lower one is older and ignored. */
  readonly lt: bigint;
  /** STATE of cells/storage.ts. */
  readonly state: number;
  /** Tokens charged or paid on chain. */
  readonly tokens: bigint;
  /** Clients only; 0n for workers. */
  readonly balanceNano: bigint;
  readonly stakeNano: bigint;
  /** Clients only: 32 bytes, null while unset. */
  readonly secretHash: Uint8Array | null;
}

export interface StoredPayment {
  readonly kind: TokensKind;
  readonly tokens: bigint;
  /** BoC, as it was and will be handed out. */
  readonly boc: Uint8Array;
}

export type AccountKind = 'client' | 'worker';

/** One side's totals at one proxy contract, in adjusted tokens since that contract exists. Read-only: the ledger changes it. */
export interface LedgerAccount {
  readonly instance: LedgerInstance;
  readonly kind: AccountKind;
  readonly owner: Address;
  readonly contract: Address;
  /** All finished requests. */
  readonly maxTokens: bigint;
  /** What is on disk. */
  readonly dbTokens: bigint;
  /** What was on disk when a commitment was made that is confirmed on chain; payments are signed up to it. */
  readonly chainTokens: bigint;
  /** Highest charge or payout that was signed; null before the first. */
  readonly payment: StoredPayment | null;
  /** The last one of a contract that is wound down; nothing is signed after it. */
  readonly finalPayment: StoredPayment | null;
  /** Null while nothing of the contract was seen on chain. */
  readonly child: ChildState | null;
}

/** What a save_state message says, and what its confirmation raises. */
export interface Commitment {
  /** Counts the commitments, 1 to 2^31 - 1. */
  readonly seqno: number;
  /** Random for each opening of the ledger, 32 bytes. */
  readonly session: Uint8Array;
}

export interface Booking {
  readonly client: LedgerAccount;
  readonly worker: LedgerAccount;
  /** Added to both totals. */
  readonly tokens: bigint;
}

/** All promises resolve when the change is durable, and reject with DaemonError E_LEDGER when it is not known to be. */
export interface Ledger {
  readonly identity: LedgerIdentity;
  /** Of the newest commitment that was begun, by any session; 0 before the first. */
  readonly seqno: number;
  /** Of this opening. */
  readonly session: Uint8Array;
  /** False: made empty at this opening. */
  readonly existed: boolean;
  /** Why it refuses; null while it works. */
  readonly failure: CocoonError | null;
  /** Resolves when a write fails. */
  readonly failed: Promise<CocoonError>;
  /** Bookings, transactions, and the time that the last transaction took, since the ledger was opened. */
  readonly counters: { readonly bookings: number; readonly transactions: number; readonly lastCommitMs: number };

  instances(): readonly LedgerInstance[];
  /** Adds a proxy contract in phase `serving`. Idempotent by address. */
  addInstance(contract: Address, params: Params): Promise<LedgerInstance>;
  /** Throws E_INTERNAL when it would go back. */
  setPhase(instance: LedgerInstance, phase: InstancePhase): Promise<void>;

  /** Accounts that are on disk, or have something to be put there. */
  accounts(instance: LedgerInstance): readonly LedgerAccount[];
  /** The one account of this owner; made in memory where there is none, and put on disk with its first change. */
  account(instance: LedgerInstance, kind: AccountKind, owner: Address, contract: Address): LedgerAccount;

  /** Both totals grow now (`maxTokens`); they are durable (`dbTokens`) when it resolves. Throws E_INTERNAL on tokens below 0 or above 2^63 - 1 in sum. */
  book(booking: Booking): Promise<void>;
  /** Raises a total to one that is proven: by the chain, or by a payment that this key signed. Lower ones change nothing. `chainTokens` rises with it. */
  prove(account: LedgerAccount, tokens: bigint): Promise<void>;
  /** What the chain showed, and how far it was read, in one transaction. Older states of a child are ignored. */
  follow(instance: LedgerInstance, cursor: TransactionId | null, seen: readonly { readonly account: LedgerAccount; readonly child: ChildState }[]): Promise<void>;

  /** True when there are totals that no commitment covers yet. */
  readonly uncommitted: boolean;
  /** Writes everything that is booked and gives it the next seqno. One at a time: throws E_INTERNAL while another is open. */
  beginCommitment(): Promise<Commitment>;
  /** The commitment is confirmed on chain: raises `chainTokens` of all that it covered. `abandoned`: it never will be. */
  endCommitment(commitment: Commitment, result: 'confirmed' | 'abandoned'): Promise<void>;
  /** Session of a commitment that this ledger began; null when it began none of that number, or forgot it. */
  sessionOf(seqno: number): Uint8Array | null;
  /** Takes over the count of a chain that is ahead: only when the ledger was rebuilt from it. */
  adoptSeqno(seqno: number): Promise<void>;

  /** Stores signed payments; they may be handed out when it resolves. Throws E_INTERNAL for a total that is not committed, lower or final already, or other bytes for the same total. */
  sign(payments: readonly { readonly account: LedgerAccount; readonly payment: StoredPayment }[]): Promise<void>;

  /** Counts something that must happen once each time, such as withdrawals; starts at 0. */
  counter(name: string): number;
  setCounter(name: string, value: number): Promise<void>;

  /** A consistent copy of the running ledger in a new file of mode 0600, checked and durable. Throws ConfigError E_STATE where the file exists. */
  backup(path: string): Promise<void>;
  /** Writes what is pending and closes. Idempotent; never rejects. */
  close(): Promise<void>;
}
