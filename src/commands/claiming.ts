// What `wallet claim`, `node close` and the node's own rule have in common: one lock for each wallet, the figures read anew under
// it, and nothing sent again before the chain shows what was sent before.
import { batchesOf, claimsPlan, readClaims } from '../chain/plans/claims.ts';
import { readRoot } from '../chain/plans/reading.ts';
import { abortError } from '../core/deadline.ts';
import { NetworkError, UnconfirmedError, WalletError } from '../core/errors.ts';
import { withLock } from '../core/lock.ts';
import { sleep } from '../core/retry.ts';
import { formatTon } from '../core/units.ts';
import { renderTable } from './table-view.ts';
import { showContract } from './wallets.ts';
import type { Address } from '@ton/core';
import type { ClaimReading, ClaimRow, ClaimRules } from '../chain/plans/claims.ts';
import type { ChainNetwork } from '../chain/networks.ts';
import type { PaymentBook } from '../chain/payment-book.ts';
import type { Plan } from '../chain/plans/plan.ts';
import type { PlanContext } from '../chain/plans/reading.ts';
import type { Payout } from '../chain/plans/worker.ts';
import type { WalletKind } from '../chain/wallets/kinds.ts';
import type { JsonValue } from './output.ts';

/** Every claimer of a wallet takes this lock, whether a command or a daemon. */
export function withClaimLock<T>(outbox: string, wallet: Address, options: { readonly timeoutMs: number; readonly signal: AbortSignal }, work: () => Promise<T>): Promise<T> {
  const busy = (holder: string): WalletError => new WalletError('E_WALLET_BUSY', `wallet ${wallet.toString()} is busy: ${holder} is claiming with it`);
  return withLock(`${outbox}.claim`, work, { ...options, busy });
}

export interface ClaimSource {
  readonly context: PlanContext;
  /** The network's root contract. */
  readonly root: Address;
  readonly wallet: WalletKind;
  readonly book: PaymentBook;
  readonly rules: ClaimRules;
  readonly pollMs: number;
}

/** The rows of the book as chain and rules judge them now; what the chain says is written into the book. */
export async function currentClaims({ context, root, wallet, book, rules }: ClaimSource): Promise<ClaimRow[]> {
  const reading: ClaimReading = { context, wallet, rules, root: await readRoot(context, root), entries: await book.entries() };
  const rows = await readClaims(reading);
  for (const { entry, claimedTokens, error } of rows) {
    if (error === null && claimedTokens > entry.claimedTokens) await book.stated(entry.contract, { claimedTokens });
  }
  return rows;
}

/**
 * Claims in as few messages as the wallet can: `carryOut` sends one plan and resolves when it is done. `onRows` gets the rows before
 * each. Returns the rows after the last. Call it under the lock.
 */
export async function claimAll(source: ClaimSource, carryOut: (plan: Plan, payouts: readonly Payout[]) => Promise<'sent' | 'stop'>, onRows: (rows: readonly ClaimRow[]) => Promise<void>, timeoutMs: number): Promise<ClaimRow[]> {
  const ends = performance.now() + timeoutMs;
  for (let rows = await currentClaims(source); ; rows = await currentClaims(source)) {
    await onRows(rows);
    const [batch] = batchesOf(rows.flatMap(({ payout }) => payout === null ? [] : [payout]), source.wallet.maxMessages);
    if (batch === undefined || await carryOut(claimsPlan(batch, source.wallet.address), batch) === 'stop') return rows;
    await untilSeen(source, batch, ends);
  }
}

/** Waits until the reads on which the next plan is based show what was sent: an endpoint that lags must not have it sent again. */
async function untilSeen(source: ClaimSource, batch: readonly Payout[], ends: number): Promise<void> {
  const { context: { signal }, pollMs } = source;
  for (;;) {
    const rows = await currentClaims(source);
    const behind = batch.find((payout) => rows.some(({ payout: again }) => again !== null && again.contract.equals(payout.contract) && again.paidTokens === payout.paidTokens));
    if (behind === undefined) return;
    if (performance.now() > ends) throw new UnconfirmedError('E_UNCONFIRMED', `the payout to ${behind.contract.toString()} has arrived, and the endpoints do not show it yet`, { hint: 'look at `cocoon wallet history` before claiming again' });
    await sleep(pollMs, signal).catch(() => {});
    if (signal.aborted) throw abortError(signal);
  }
}

/** Looks until something can be claimed. Throws NetworkError `E_TIMEOUT`. */
export async function untilClaimable(source: ClaimSource, timeoutMs: number): Promise<void> {
  const { context: { signal }, pollMs } = source;
  const ends = performance.now() + timeoutMs;
  while ((await currentClaims(source)).every(({ payout }) => payout === null)) {
    if (performance.now() > ends) throw new NetworkError('E_TIMEOUT', `nothing could be claimed within ${timeoutMs} ms`, { hint: 'a proxy signs what it has committed on chain; run the command without --wait to see the figures' });
    await sleep(Math.max(pollMs, 500), signal).catch(() => {});
    if (signal.aborted) throw abortError(signal);
  }
}

const nano = (amount: bigint | null): string | null => amount?.toString() ?? null;
const ton = (amount: bigint | null): string => amount === null ? '?' : formatTon(amount);

export function claimData(rows: readonly ClaimRow[]): JsonValue {
  return rows.map(({ entry, accruedNano, signedNano, claimedNano, claimedTokens, payout, feesNano, reason }) => ({
    proxy: entry.proxy.toRawString(), workerContract: entry.contract.toRawString(), model: entry.model,
    accruedNano: nano(accruedNano), signedNano: nano(signedNano), claimedNano: nano(claimedNano),
    accruedTokens: entry.countedTokens.toString(), signedTokens: entry.signedTokens.toString(), claimedTokens: claimedTokens.toString(),
    toClaimNano: nano(payout?.payoutNano ?? 0n), feesNano: feesNano.toString(), netNano: ((payout?.payoutNano ?? 0n) - feesNano).toString(),
    newContractNano: (payout?.deployNano ?? 0n).toString(), last: payout?.last ?? false, owner: payout?.owner.toRawString() ?? null, reason,
  }));
}

const noteOf = (payout: Payout | null): string => [
  ...(payout?.last === true ? ['last payout'] : []), ...(payout !== null && payout.deployNano > 0n ? [`and ${formatTon(payout.deployNano)} for a new contract`] : []),
].join(', ');

/** All amounts in TON. */
export function renderClaims(rows: readonly ClaimRow[], network: ChainNetwork): Promise<string> {
  return renderTable(['PROXY', 'ACCRUED', 'SIGNED', 'CLAIMED', 'TO CLAIM', 'FEE', 'NET', 'NOTE'], rows.map(({ entry, accruedNano, signedNano, claimedNano, payout, feesNano, reason }) => [
    showContract(entry.proxy, network), ton(accruedNano), ton(signedNano), ton(claimedNano),
    ...(payout === null ? ['0', '-', '-'] : [ton(payout.payoutNano), ton(feesNano), ton(payout.payoutNano - feesNano)]),
    reason ?? noteOf(payout),
  ]));
}
