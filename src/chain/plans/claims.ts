// What proxies owe to this machine's nodes, and the transfers that collect it: the payment book's signed totals beside the state of
// the contracts, which payouts are worth their fees, and as many of them in one message as the wallet can carry. A proxy whose
// figures cannot be read or checked is told with its reason and holds up no other.
import type { Address } from '@ton/core';
import { asCocoonError, CocoonError } from '../../core/errors.ts';
import { formatTon } from '../../core/units.ts';
import { proxyStorage, STATE, workerStorage } from '../cells/storage.ts';
import type { BookEntry } from '../payment-entry.ts';
import { workerFeeOf } from '../root-config.ts';
import type { Prices } from '../root-config.ts';
import { parsePayment } from '../signed-payment.ts';
import type { WalletKind } from '../wallets/kinds.ts';
import { estimatePlan, messagesOf } from './plan.ts';
import type { Plan } from './plan.ts';
import { readState } from './reading.ts';
import type { KnownRoot, PlanContext } from './reading.ts';
import { readPayout } from './worker.ts';
import type { Payout } from './worker.ts';

/** What one payout costs beside the wallet's own transaction, at the dearer price set (ONCHAIN-GAS.md: 0.0088 to 0.0107 TON, and the way there). */
export const PAYOUT_COST_NANO = 12_000_000n;
/** Gas of the transaction that deploys a worker contract, and of carrying its code there. */
const DEPLOY_COST_NANO = 6_000_000n;

export interface ClaimRules {
  /** Null: all. */
  readonly proxy: Address | null;
  /** Payouts below are left for later. */
  readonly minAmountNano: bigint;
  /** Payouts whose fees are more than this share are left for later; null: no limit. */
  readonly maxFeePercent: number | null;
  /** Owner of worker contracts that are still to be deployed. */
  readonly owner: Address;
}

/** One proxy. Amounts are totals since its contract exists, in nanoTON; null where the prices are not known. */
export interface ClaimRow {
  readonly entry: BookEntry;
  /** Counted by the node itself. */
  readonly accruedNano: bigint | null;
  /** Signed by the proxy. */
  readonly signedNano: bigint | null;
  /** Paid by the contract. */
  readonly claimedNano: bigint | null;
  readonly claimedTokens: bigint;
  /** Null where nothing is claimed now; `reason` says why. */
  readonly payout: Payout | null;
  /** Estimated: what this payout costs the wallet for good; the floor and rent of a new contract (`payout.deployNano`) are not in it, as they go to its owner when it closes. 0n without a payout. */
  readonly feesNano: bigint;
  readonly reason: string | null;
  /** Set when the reason is an error and not a rule. */
  readonly error: CocoonError | null;
}

export interface ClaimReading {
  readonly context: PlanContext;
  readonly root: KnownRoot;
  readonly wallet: WalletKind;
  readonly entries: readonly BookEntry[];
  readonly rules: ClaimRules;
}

/** Every worker entry of the book with what can be claimed now. Throws what reading the chain throws, nothing about single entries. */
export async function readClaims(reading: ClaimReading): Promise<ClaimRow[]> {
  const { context, wallet, entries, rules } = reading;
  const wanted = entries.filter(({ kind, proxy }) => kind === 'worker' && (rules.proxy === null || rules.proxy.equals(proxy)));
  const rows = await Promise.all(wanted.map((entry) => readRow(reading, entry)));
  const open = rows.flatMap(({ payout }) => payout === null ? [] : [payout]);
  if (open.length === 0) return rows;
  const shareNano = await walletShare(context, wallet, open);
  return rows.map((row) => row.payout === null ? row : judge(row, row.payout, shareNano, rules));
}

async function readRow({ context, root, rules }: ClaimReading, entry: BookEntry): Promise<ClaimRow> {
  const nothing = { entry, accruedNano: null, signedNano: null, claimedNano: null, claimedTokens: entry.claimedTokens, payout: null, feesNano: 0n, error: null };
  try {
    const { storage } = await readState(context, entry.contract, (data) => workerStorage.load(data));
    const prices: Prices | null = storage?.params ?? (await readState(context, entry.proxy, (data) => proxyStorage.load(data))).storage?.params ?? null;
    const inTon = (tokens: bigint): bigint | null => prices === null ? null : workerFeeOf(prices, tokens);
    const claimedTokens = storage?.tokens ?? 0n;
    const known = { ...nothing, claimedTokens, accruedNano: inTon(entry.countedTokens), signedNano: inTon(entry.signedTokens), claimedNano: inTon(claimedTokens) };
    if (storage?.state === STATE.closed) return { ...known, reason: 'the worker contract is closed' };
    if (entry.payment === null) return { ...known, reason: 'nothing is signed yet' };
    const payment = parsePayment(entry.payment);
    const pays = 'tokens' in payment.claim && (payment.claim.tokens > claimedTokens || payment.claim.kind === 'workerLastPayout');
    if (!pays) return { ...known, reason: 'everything signed is claimed' };
    return { ...known, payout: await readPayout(context, payment, { choice: { root, proxy: entry.proxy }, owner: rules.owner }), reason: null };
  } catch (thrown) {
    const error = asCocoonError(thrown);
    // A chain that could not be read, an interruption and a bug are the command's failure, not this proxy's.
    if (error.retryable || error.code === 'E_INTERNAL') throw error;
    return { ...nothing, reason: error.message, error };
  }
}

/** The wallet's own fee for each payout, when all go together as far as they can. */
async function walletShare(context: PlanContext, wallet: WalletKind, payouts: readonly Payout[]): Promise<bigint> {
  const [batch = []] = batchesOf(payouts, wallet.maxMessages);
  const messages = await messagesOf({ name: '', facts: {}, warnings: [], steps: batch.flatMap(({ steps }) => steps) }, wallet.address, 0n);
  const { feesNano } = await estimatePlan({ access: context.access, wallet, messages, signal: context.signal });
  return feesNano / BigInt(batch.length) + 1n;
}

function judge(row: ClaimRow, payout: Payout, shareNano: bigint, { minAmountNano, maxFeePercent, proxy }: ClaimRules): ClaimRow {
  const feesNano = shareNano + PAYOUT_COST_NANO + (payout.deployNano === 0n ? 0n : DEPLOY_COST_NANO);
  const left = (reason: string): ClaimRow => ({ ...row, payout: null, feesNano: 0n, reason });
  if (payout.payoutNano < minAmountNano) return left(`${formatTon(payout.payoutNano)} TON are less than the least amount of ${formatTon(minAmountNano)}`);
  if (maxFeePercent !== null && feesNano * 100n > payout.payoutNano * BigInt(maxFeePercent)) {
    return left(`fees of ${formatTon(feesNano)} TON are more than ${maxFeePercent} % of ${formatTon(payout.payoutNano)}`);
  }
  // Asked for by name it is tried all the same: the contract refuses without loss.
  if (payout.missingNano > 0n && proxy === null) return left(`the proxy's pool lacks ${formatTon(payout.missingNano)} TON to pay it now`);
  return { ...row, feesNano };
}

/** Payouts in groups whose messages fit into one external message; at least one in each. */
export function batchesOf<T extends { readonly steps: readonly unknown[] }>(payouts: readonly T[], maxMessages: number): T[][] {
  const batches: T[][] = [];
  let room = 0;
  for (const payout of payouts) {
    const last = batches.at(-1);
    if (last === undefined || room < payout.steps.length) {
      batches.push([payout]);
      room = maxMessages - payout.steps.length;
    } else {
      last.push(payout);
      room -= payout.steps.length;
    }
  }
  return batches;
}

/** The plan of one group. The same signed totals give the same name. */
export function claimsPlan(payouts: readonly Payout[], wallet: Address): Plan {
  const [first] = payouts;
  if (first === undefined) throw new CocoonError('E_INTERNAL', 'a claim needs at least one payout');
  const sum = (of: (payout: Payout) => bigint): bigint => payouts.reduce((total, payout) => total + of(payout), 0n);
  const strangers = payouts.filter(({ owner }) => !owner.equals(wallet) && !owner.equals(first.owner));
  return {
    name: `claims ${payouts.map(({ contract, paidTokens, tokens, last }) => `${contract.toRawString()} ${paidTokens + tokens}${last ? ' last' : ''}`).join(', ')}`,
    facts: { owner: first.owner.toRawString(), payouts: String(payouts.length), payoutNano: sum(({ payoutNano }) => payoutNano).toString() },
    warnings: [
      ...(strangers.length > 0 ? [`the payouts go to ${strangers.length + 1} different owners`] : []),
      ...payouts.filter(({ missingNano }) => missingNano > 0n).map(({ proxy, missingNano }) => `the pool of ${proxy.toString()} lacks ${formatTon(missingNano)} TON: its payout may be refused, and can be claimed later`),
    ],
    steps: payouts.flatMap(({ steps }) => steps),
  };
}
