// Follows what a wallet's transaction caused, message by message to the last contract, and says where it stopped: a transfer
// that reached its first contract has not done its work when the next one refused it. Bounded in messages and in time.
import { Address } from '@ton/core';
import type { Transaction } from '@ton/core';
import { abortError } from '../../core/deadline.ts';
import { NetworkError, UnconfirmedError } from '../../core/errors.ts';
import { toHex } from '../../core/bytes.ts';
import type { Sleep } from '../../core/retry.ts';
import type { TonAccess } from '../access/types.ts';
import { explainExit } from '../sending/exit-text.ts';
import { judgeDelivery } from '../sending/outcome.ts';
import type { Delivery } from '../sending/record.ts';

/** One message and the transaction that consumed it. */
export interface Hop {
  readonly from: Address;
  readonly to: Address;
  readonly valueNano: bigint;
  /** `bounced`: refused, the value came back. `failed`: executed with an error, the value stayed there. */
  readonly status: 'delivered' | 'bounced' | 'failed';
  /** Why it did not do its work; null when it did. */
  readonly reason: string | null;
  /** Fees of that transaction and of carrying the message to it. */
  readonly feesNano: bigint;
  readonly lt: bigint;
  readonly hash: string;
}

export interface Trace {
  readonly hops: readonly Hop[];
  /** Messages that were not seen to arrive in time. */
  readonly open: number;
}

/** Our requests cause at most nine messages each; a wallet sends at most a few of them at once. */
const MAX_HOPS = 256;

interface OpenMessage {
  readonly from: Address;
  readonly delivery: Delivery;
}

export interface TraceOptions {
  readonly access: TonAccess;
  readonly pollMs: number;
  /** When to stop looking, on the clock of performance.now(). */
  readonly ends: number;
  readonly signal: AbortSignal;
  readonly sleep: Sleep;
}

/** Everything that the messages of `wallet` caused. Endpoints that do not answer leave messages open, never fail the trace. */
export async function followTrace(wallet: Address, deliveries: readonly Delivery[], options: TraceOptions): Promise<Trace> {
  const hops: Hop[] = [];
  let open: OpenMessage[] = deliveries.map((delivery) => ({ from: wallet, delivery: { ...delivery, status: 'pending' } }));
  for (;;) {
    const looked = await Promise.all(open.map(async (message) => ({ message, transaction: await lookUp(message, options) })));
    const arrived = looked.flatMap(({ message, transaction }) => transaction === null ? [] : [{ message, transaction }]);
    hops.push(...arrived.map(({ message, transaction }) => hopOf(message, transaction)));
    open = [...looked.filter(({ transaction }) => transaction === null).map(({ message }) => message), ...arrived.flatMap(({ transaction, message }) => causedBy(transaction, message))];
    const leftMs = options.ends - performance.now();
    if (open.length === 0 || hops.length >= MAX_HOPS || leftMs <= 0) return { hops, open: open.length };
    if (arrived.length > 0) continue;
    await options.sleep(Math.min(options.pollMs, leftMs), options.signal).catch(() => undefined);
    if (options.signal.aborted) throw abortError(options.signal);
  }
}

async function lookUp({ from, delivery }: OpenMessage, { access, ends, signal }: TraceOptions): Promise<Transaction | null> {
  try {
    return await access.locateResult(from, Address.parseRaw(delivery.to), BigInt(delivery.createdLt), { timeoutMs: Math.max(1000, ends - performance.now()), signal });
  } catch (error) {
    if (!(error instanceof NetworkError) || signal.aborted) throw error;
    return null;
  }
}

function causedBy(transaction: Transaction, { delivery }: OpenMessage): OpenMessage[] {
  const from = Address.parseRaw(delivery.to);
  return transaction.outMessages.values().flatMap(({ info }): OpenMessage[] => info.type === 'internal'
    ? [{ from, delivery: { to: info.dest.toRawString(), valueNano: info.value.coins.toString(), createdLt: info.createdLt.toString(), status: 'pending', exitCode: null } }]
    : []);
}

function hopOf({ from, delivery }: OpenMessage, transaction: Transaction): Hop {
  const { status, exitCode } = judgeDelivery(delivery, transaction);
  const { description, inMessage, totalFees, lt } = transaction;
  const actionCode = description.type === 'generic' ? description.actionPhase?.resultCode ?? null : null;
  const carriedNano = inMessage?.info.type === 'internal' ? inMessage.info.forwardFee : 0n;
  return {
    from, to: Address.parseRaw(delivery.to), valueNano: BigInt(delivery.valueNano), status: status === 'pending' ? 'delivered' : status,
    reason: status === 'bounced' || status === 'failed' ? explainExit(exitCode, actionCode) : null,
    feesNano: totalFees.coins + carriedNano, lt, hash: toHex(transaction.hash()),
  };
}

/** Throws UnconfirmedError: `E_TX_FAILED` where a contract refused, `E_UNCONFIRMED` where the end was not seen in time. */
export function requireDone({ hops, open }: Trace): void {
  const lost = hops.find(({ status }) => status !== 'delivered');
  if (lost !== undefined) {
    const what = lost.status === 'bounced' ? 'refused the message, and its value went back' : 'failed, and the value stayed there';
    throw new UnconfirmedError('E_TX_FAILED', `contract ${lost.to.toString()} ${what}: ${lost.reason ?? 'no reason is known'}`);
  }
  if (open > 0) {
    throw new UnconfirmedError('E_UNCONFIRMED', `the wallet's transaction is confirmed, but ${open} of the messages that it caused were not seen to arrive in time`, {
      hint: 'run the same command again: it goes on with this transfer and makes no second one',
    });
  }
}
