// What `proxy status` shows of the money: accrued, signed and claimed kept apart, for each client and worker of each contract.
import { STATE } from '../../chain/cells/storage.ts';
import type { AccountKind, InstancePhase, LedgerAccount } from '../ledger/ledger.ts';
import type { Books } from './books.ts';
import type { PaidContext } from './context.ts';
import type { ContractBook } from './contract-book.ts';
import { owedNano } from './payments.ts';

/** Tokens are adjusted tokens since the contract exists. */
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
  /** Null while the contract is not deployed. */
  readonly earningsNano: bigint | null;
  readonly stakeNano: bigint | null;
  /** What the contract holds for clients and workers. */
  readonly poolNano: bigint | null;
  /** Chain time, unix seconds, from which the close can be completed; null while it is not closing. */
  readonly closableFrom: number | null;
  readonly accounts: readonly AccountMoney[];
}

export interface PaidStatus {
  /** Null while everything is served; else why not. */
  readonly refusal: string | null;
  /** Contracts that are not closed, the serving one first. */
  readonly instances: readonly InstanceMoney[];
  readonly commitment: {
    readonly seqno: number;
    /** Milliseconds since the last confirmed one; null before the first of this process. */
    readonly ageMs: number | null;
    /** Tokens of all workers that are booked and not committed. */
    readonly lagTokens: bigint;
    /** Why the last one failed; null after one that worked. */
    readonly problem: string | null;
  };
  /** Milliseconds since the serving contract was last seen; null before the first time. */
  readonly chainAgeMs: number | null;
  readonly ledger: { readonly bookings: number; readonly transactions: number; readonly lastCommitMs: number };
}

export function statusOf({ ledger, clock }: PaidContext, { all, current, committer }: Books, refusal: string | null): PaidStatus {
  const ordered = [...all].sort((a, b) => Number(b === current) - Number(a === current));
  const workers = ordered.flatMap(({ accounts }) => accounts.filter(({ kind }) => kind === 'worker'));
  const seenMs = current?.seenMs ?? null;
  return {
    refusal,
    instances: ordered.map(instanceOf),
    commitment: {
      seqno: ledger.seqno,
      ageMs: committer.confirmedMs === null ? null : clock.now() - committer.confirmedMs,
      lagTokens: workers.reduce((sum, { maxTokens, chainTokens }) => sum + maxTokens - chainTokens, 0n),
      problem: committer.problem?.message ?? null,
    },
    chainAgeMs: seenMs === null ? null : clock.now() - seenMs,
    ledger: { ...ledger.counters },
  };
}

function instanceOf(book: ContractBook): InstanceMoney {
  const { instance: { contract, phase, params }, proxy } = book;
  return {
    contract: contract.toString(), phase, paramsVersion: params.paramsVersion,
    earningsNano: proxy?.balanceNano ?? null,
    stakeNano: proxy?.stakeNano ?? null,
    poolNano: proxy === null ? null : proxy.accountNano - proxy.balanceNano - proxy.stakeNano,
    closableFrom: proxy?.state === STATE.closing ? proxy.unlockTime : null,
    accounts: book.accounts.map((account) => accountOf(account, book)),
  };
}

function accountOf(account: LedgerAccount, book: ContractBook): AccountMoney {
  const { kind, owner, contract, maxTokens, dbTokens, chainTokens, payment, finalPayment, child } = account;
  return {
    kind, owner: owner.toString(), contract: contract.toString(),
    accruedTokens: maxTokens, durableTokens: dbTokens, committedTokens: chainTokens,
    signedTokens: finalPayment?.tokens ?? payment?.tokens ?? 0n, claimedTokens: child?.tokens ?? 0n, owedNano: owedNano(account),
    balanceNano: kind === 'client' ? child?.balanceNano ?? 0n : null,
    reservedTokens: kind === 'client' ? book.reserved(account) : null,
    state: child === null ? 'unseen' : child.state === STATE.normal ? 'open' : child.state === STATE.closing ? 'closing' : 'closed',
  };
}
