// Accounts of a network with contracts (WIRE.md sections 9, 10, 12 to 16; ONCHAIN.md sections 8 to 12): what clients may
// spend by their contracts, what both sides' totals are by the ledger, and the payments that are signed for them.
import type { Address } from '@ton/core';
import type { TonAccess } from '../../chain/access/types.ts';
import type { Signer } from '../../chain/ed25519.ts';
import type { RootFollower } from '../../chain/follow/root-follower.ts';
import type { HotWallet } from '../../chain/hot-wallet.ts';
import type { Clock } from '../../core/clock.ts';
import type { CocoonError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import type { Accounts } from '../accounts.ts';
import type { AccountKind, InstancePhase, Ledger } from '../ledger/ledger.ts';

/** When the proxy does what by itself. Defaults in rules.ts. */
export interface PaidRules {
  /** Between two commitments while there is something to commit. */
  readonly commitIntervalMs: number;
  /** How soon after a booking the first commitment of a busy time is made. */
  readonly commitSoonMs: number;
  /** A client's used and not charged tokens are worth this much: its charge is delivered. */
  readonly chargeFromNano: bigint;
  /** A worker's earned and not paid tokens are worth this much: its payout is delivered. */
  readonly payoutFromNano: bigint;
  /** The proxy contract's earnings are this much: they are withdrawn to its owner. */
  readonly withdrawFromNano: bigint;
  /** Between two looks at the proxy contract, and between two rounds of these rules. */
  readonly pollMs: number;
  /** Age at which a bond is read again. */
  readonly bondRefreshMs: number;
}

export interface PaidAccountsOptions {
  readonly access: TonAccess;
  readonly root: RootFollower;
  /** Cold address that owns the proxy contract and is paid its earnings. */
  readonly owner: Address;
  /** The key that signs payments. */
  readonly signer: Signer;
  /** Pays fees of everything that the proxy sends. */
  readonly wallet: HotWallet;
  readonly ledger: Ledger;
  readonly rules?: Partial<PaidRules>;
  /** Owner of the client contract that canary questions are paid from; default: canaries are off. */
  readonly canaryOwner?: Address | null;
  /** True: a ledger that the chain has overtaken, or that is new beside a contract in use, is rebuilt from the chain. Default: it is refused. */
  readonly rebuild?: boolean;
  /** Also rebuild and wind down these older contracts of the same owner and key. */
  readonly olderContracts?: readonly Address[];
  readonly isTest: boolean;
  readonly clock: Clock;
  readonly log: Log;
  /** Ends the start. */
  readonly signal: AbortSignal;
}

/** Amounts are adjusted tokens since the contract exists. */
export interface AccountMoney {
  readonly kind: AccountKind;
  readonly owner: string;
  readonly contract: string;
  /** Used by the client, earned by the worker: `max`, `db` and `chain` of WIRE.md section 16. */
  readonly accruedTokens: bigint;
  readonly durableTokens: bigint;
  readonly committedTokens: bigint;
  /** Of the highest signed payment. */
  readonly signedTokens: bigint;
  /** Charged or paid out on chain. */
  readonly claimedTokens: bigint;
  /** Accrued and not claimed, nanoTON by this contract's price (clients) or fee (workers). */
  readonly owedNano: bigint;
  /** Clients only. */
  readonly balanceNano: bigint | null;
  readonly reservedTokens: bigint | null;
  /** `unseen`: nothing of the contract was seen on chain. */
  readonly state: 'unseen' | 'open' | 'closing' | 'closed';
}

export interface InstanceMoney {
  readonly contract: string;
  readonly phase: InstancePhase;
  readonly paramsVersion: number;
  readonly earningsNano: bigint | null;
  readonly stakeNano: bigint | null;
  /** Chain time, unix seconds, from which the close can be completed. */
  readonly closableFrom: number | null;
  readonly accounts: readonly AccountMoney[];
}

export interface PaidStatus {
  /** Null while everything is served; else why not. */
  readonly refusal: string | null;
  readonly instances: readonly InstanceMoney[];
  readonly commitment: {
    readonly seqno: number;
    /** Milliseconds since the last confirmed one; null before the first of this process. */
    readonly ageMs: number | null;
    /** Tokens of all workers that are booked and not committed. */
    readonly lagTokens: bigint;
    readonly problem: string | null;
  };
  /** Milliseconds since the proxy contract was last seen; null before the first time. */
  readonly chainAgeMs: number | null;
}

export interface PaidAccounts extends Accounts {
  /** Resolves when nothing is served any more and the process should end unhealthy: a ledger that cannot be written, or another proxy with the same key. */
  readonly failed: Promise<CocoonError>;
  status(): PaidStatus;
  /** Commits and signs now what is booked. */
  commit(signal?: AbortSignal): Promise<void>;
  /** As Ledger.backup. */
  backup(path: string): Promise<void>;
  /** Takes no new work, commits and signs what is booked, and ends. Idempotent; the ledger stays open. */
  close(): Promise<void>;
}

/**
 * Resolves when the chain was read up to now and the ledger was found to be the newest. Throws ConfigError `E_LEDGER_BEHIND`
 * for a ledger that the chain has overtaken, `E_STATE`, NetworkError.
 */
export type CreatePaidAccounts = (options: PaidAccountsOptions) => Promise<PaidAccounts>;
