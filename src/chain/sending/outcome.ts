// What the chain says about a signed message: pure decisions from the account's state and its transactions.
import type { Transaction } from '@ton/core';
import { equalBytes, fromHex, toHex } from '../../core/bytes.ts';
import type { AccountState } from '../access/types.ts';
import { explainExit } from './exit-text.ts';
import { incomingExternalHash } from './external-hash.ts';
import type { Attempt, Delivery } from './record.ts';

/** The transaction that consumed the attempt's message, newest first. */
export function findOwn(transactions: readonly Transaction[], messageHash: string): Transaction[] {
  const wanted = fromHex(messageHash);
  return transactions.filter(({ inMessage }) => {
    const hash = inMessage ? incomingExternalHash(inMessage) : null;
    return hash !== null && equalBytes(hash, wanted);
  });
}

interface Phases {
  readonly exitCode: number | null;
  readonly actionCode: number | null;
  readonly success: boolean;
}

function phasesOf(transaction: Transaction): Phases {
  const { description } = transaction;
  if (description.type !== 'generic') return { exitCode: null, actionCode: null, success: false };
  const { computePhase: compute, actionPhase: action, aborted } = description;
  return {
    exitCode: compute.type === 'vm' ? compute.exitCode : null,
    actionCode: action?.resultCode ?? null,
    success: !aborted && compute.type === 'vm' && compute.success && action?.success === true,
  };
}

export function transactionFacts(transaction: Transaction): NonNullable<Attempt['transaction']> {
  const { exitCode, actionCode } = phasesOf(transaction);
  return {
    lt: transaction.lt.toString(),
    hash: toHex(transaction.hash()),
    time: transaction.now,
    feesNano: transaction.totalFees.coins.toString(),
    exitCode,
    actionCode,
  };
}

function deliveriesOf(transaction: Transaction): Delivery[] {
  return transaction.outMessages.values().flatMap(({ info }): Delivery[] => info.type === 'internal'
    ? [{ to: info.dest.toRawString(), valueNano: info.value.coins.toString(), createdLt: info.createdLt.toString(), status: 'pending', exitCode: null }]
    : []);
}

export type Verdict = Pick<Attempt, 'status' | 'reason' | 'transaction' | 'deliveries'>;

const PENDING: Verdict = { status: 'pending', reason: null, transaction: null, deliveries: [] };

export interface Evidence {
  readonly attempt: Attempt;
  /** Agreed state of the wallet. */
  readonly account: AccountState;
  /** Sequence number in that state; null when the wallet is not active. */
  readonly seqno: number | null;
  /** All transactions of the wallet after `attempt.afterLt`, up to that state. */
  readonly transactions: readonly Transaction[];
  readonly transfers: number;
  /** Seconds after validUntil from which no block can still hold the message. */
  readonly expiryMarginS: number;
}

/**
 * Decides one attempt. `pending` means exactly: it may still be executed. A pending verdict with a transaction: it was
 * executed, failed and left the sequence number as it was, so sending it again would only burn more gas.
 */
export function judge({ attempt, account, seqno, transactions, transfers, expiryMarginS }: Evidence): Verdict {
  const expired = account.time > attempt.validUntil + expiryMarginS;
  const own = findOwn(transactions, attempt.messageHash);
  const success = own.find((transaction) => phasesOf(transaction).success);
  if (success !== undefined) return judgeSuccess(success, transfers);
  const taken = seqno !== null && seqno > attempt.seqno;
  const failed = own[0];
  if (failed !== undefined) {
    // A wallet that reverted its sequence number with the failed action accepts the same bytes again until they expire.
    if (!taken && !expired) return { ...PENDING, transaction: transactionFacts(failed) };
    const { exitCode, actionCode } = phasesOf(failed);
    return { status: 'failed', reason: `the wallet's transaction failed: ${explainExit(exitCode, actionCode)}`, transaction: transactionFacts(failed), deliveries: [] };
  }
  if (taken) {
    return { ...PENDING, status: 'failed', reason: `another message of this wallet used sequence number ${attempt.seqno}; this one was not and can never be executed` };
  }
  if (expired) return { ...PENDING, status: 'expired', reason: `not executed until ${attempt.validUntil} (chain time); it can never be executed any more` };
  return PENDING;
}

function judgeSuccess(transaction: Transaction, transfers: number): Verdict {
  const deliveries = deliveriesOf(transaction);
  const facts = transactionFacts(transaction);
  // Wallets that ignore errors of actions succeed without sending; what counts is what left.
  if (deliveries.length < transfers) {
    const reason = `the wallet executed the message but sent ${deliveries.length} of ${transfers} transfers; the usual cause is too little TON`;
    return { status: 'failed', reason, transaction: facts, deliveries };
  }
  return { status: 'confirmed', reason: null, transaction: facts, deliveries };
}

/** What became of an internal message, from the destination's transaction. */
export function judgeDelivery(delivery: Delivery, transaction: Transaction | null): Delivery {
  if (transaction === null) return delivery;
  const { description } = transaction;
  if (description.type !== 'generic') return { ...delivery, status: 'delivered' };
  const { computePhase: compute, bouncePhase, aborted } = description;
  const exitCode = compute.type === 'vm' ? compute.exitCode : null;
  if (bouncePhase?.type === 'ok') return { ...delivery, status: 'bounced', exitCode };
  // No code to run: the value is credited, which is what a payment to a new account wants.
  if (compute.type === 'skipped') return { ...delivery, status: 'delivered' };
  return { ...delivery, status: aborted ? 'failed' : 'delivered', exitCode };
}
