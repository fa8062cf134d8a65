// Carries out a plan through the durable sender. A plan that an earlier process began and did not see the end of is gone on with,
// never begun again; two processes never work on the same wallet at the same time.
import { createHash } from 'node:crypto';
import type { Address } from '@ton/core';
import { UsageError, WalletError } from '../../core/errors.ts';
import { ensureFolder } from '../../core/files.ts';
import { dirname } from 'node:path';
import { withLock } from '../../core/lock.ts';
import { sleep as realSleep } from '../../core/retry.ts';
import type { TonAccess } from '../access/types.ts';
import type { Signer } from '../ed25519.ts';
import { createSender, requireConfirmed } from '../sending/sender.ts';
import type { Sender } from '../sending/sender.ts';
import { lastAttempt, statusOf } from '../sending/record.ts';
import type { SendRecord } from '../sending/record.ts';
import type { WalletKind } from '../wallets/kinds.ts';
import { messagesOf, queryIdOf } from './plan.ts';
import type { Plan } from './plan.ts';
import { followTrace } from './trace.ts';
import type { Hop, Trace } from './trace.ts';

export interface CarryOutOptions {
  readonly access: TonAccess;
  readonly wallet: WalletKind;
  readonly signer: Signer;
  /** Outbox of this wallet on this network. */
  readonly folder: string;
  /** Caller's own name for this one transfer: asked for again, it is not made again. Absent: each call that ends is one transfer. */
  readonly id?: string | undefined;
  /** Limit of the whole, lock and trace included. */
  readonly timeoutMs: number;
  readonly pollMs: number;
  readonly signal: AbortSignal;
  /** Called when the wallet's transaction is confirmed, before the rest is followed. */
  readonly onConfirmed?: (record: SendRecord) => void | Promise<void>;
}

export interface CarriedOut {
  readonly record: SendRecord;
  readonly hops: readonly Hop[];
  readonly trace: Trace;
  /** All fees: of the wallet, of carrying messages, of the contracts. */
  readonly feesNano: bigint;
  /** True: an earlier call had begun or ended it. */
  readonly resumed: boolean;
}

const ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const LOCK_MS = 30_000;

/** Folder of a wallet's outbox under `root`. */
export const outboxName = (globalId: number, wallet: Address): string => `${globalId}_${wallet.workChain}_${wallet.hash.toString('hex')}`;

/**
 * Sends what the plan says exactly once and follows it to its end; `requireDone(trace)` tells whether that is a good one.
 * Throws what `Sender.send` throws, UnconfirmedError when the wallet's own transaction expired or failed.
 */
export async function carryOut(plan: Plan, options: CarryOutOptions): Promise<CarriedOut> {
  const { access, wallet, signer, folder, pollMs, signal, timeoutMs, id } = options;
  if (id !== undefined && !ID.test(id)) throw new UsageError('E_USAGE', `${JSON.stringify(id.slice(0, 80))} is no id of a transfer, expected up to 64 letters, digits, dots, - and _`);
  const ends = performance.now() + timeoutMs;
  const sender = createSender({ access, wallet, signer, folder, pollMs, lockTimeoutMs: Math.min(LOCK_MS, timeoutMs) });
  await ensureFolder(dirname(folder));
  const busy = (holder: string): WalletError => new WalletError('E_WALLET_BUSY', `wallet ${wallet.address} is busy: ${holder} is sending from it`);
  const { record, resumed } = await withLock(`${folder}.plan`, () => sendOnce(plan, sender, options, ends), { timeoutMs: Math.min(LOCK_MS, timeoutMs), busy, signal });
  requireConfirmed(record);
  await options.onConfirmed?.(record);
  const { deliveries, transaction } = lastAttempt(record);
  const trace = await followTrace(wallet.address, deliveries, { access, pollMs, ends, signal, sleep: realSleep });
  const feesNano = trace.hops.reduce((sum, hop) => sum + hop.feesNano, BigInt(transaction?.feesNano ?? '0'));
  return { record, hops: trace.hops, trace, feesNano, resumed };
}

async function sendOnce(plan: Plan, sender: Sender, { wallet, signal, id }: CarryOutOptions, ends: number): Promise<{ record: SendRecord; resumed: boolean }> {
  const leftMs = (): number => Math.max(1000, ends - performance.now());
  const records = await sender.records();
  const key = keyOf(plan, records, id);
  const earlier = records.find((record) => record.key === key);
  if (earlier !== undefined && statusOf(earlier) === 'pending') {
    const finished = await sender.resume({ timeoutMs: leftMs(), signal });
    return { record: finished.find((record) => record.key === key) ?? earlier, resumed: true };
  }
  if (earlier !== undefined && statusOf(earlier) !== 'expired') return { record: earlier, resumed: true };
  const planned = await messagesOf(plan, wallet.address, queryIdOf(key));
  const attempts = (earlier?.attempts.length ?? 0) + 1;
  const record = await sender.send({ key, messages: planned.map(({ message }) => message) }, { timeoutMs: leftMs(), signal, attempts });
  return { record, resumed: false };
}

/** The outbox key of this call: the caller's id, an attempt of the same plan that is still pending, or a new number. */
function keyOf(plan: Plan, records: readonly SendRecord[], id: string | undefined): string {
  const digest = createHash('sha256').update(plan.name).digest('hex').slice(0, 32);
  if (id === undefined) {
    const own = records.filter(({ key }) => key.startsWith(`plan:${digest}:`));
    return own.find((record) => statusOf(record) === 'pending')?.key ?? `plan:${digest}:${own.length}`;
  }
  const key = `id:${id}:${digest}`;
  if (records.some((record) => record.key.startsWith(`id:${id}:`) && record.key !== key)) {
    throw new UsageError('E_USAGE', `id "${id}" was used for something else from this wallet`, { hint: 'use another id for another transfer' });
  }
  return key;
}
