// Carries out a plan through the durable sender. A plan that an earlier process began and did not see the end of is gone on with,
// never begun again; two processes never work on the same wallet at the same time.
import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import type { Address } from '@ton/core';
import { ConfigError, NotFoundError, UsageError, WalletError } from '../../core/errors.ts';
import { ensureFolder, readBounded, removeFile, writeFileAtomic } from '../../core/files.ts';
import { withLock } from '../../core/lock.ts';
import { sleep as realSleep } from '../../core/retry.ts';
import type { TonAccess } from '../access/types.ts';
import type { Signer } from '../ed25519.ts';
import { createSender, requireConfirmed } from '../sending/sender.ts';
import type { Sender } from '../sending/sender.ts';
import { Outbox } from '../sending/outbox.ts';
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
  const { access, wallet, signer, folder, pollMs, signal, timeoutMs } = options;
  const ends = performance.now() + timeoutMs;
  const lockTimeoutMs = Math.min(LOCK_MS, timeoutMs);
  const sender = createSender({ access, wallet, signer, folder, pollMs, lockTimeoutMs });
  await ensureFolder(dirname(folder));
  const busy = (holder: string): WalletError => new WalletError('E_WALLET_BUSY', `wallet ${wallet.address} is busy: ${holder} is sending from it`);
  // Held to the end: an attempt whose end was not seen is then always one that nobody is following any more.
  return withLock(`${folder}.plan`, () => sendAndFollow(plan, sender, options, ends), { timeoutMs: lockTimeoutMs, busy, signal });
}

async function sendAndFollow(plan: Plan, sender: Sender, options: CarryOutOptions, ends: number): Promise<CarriedOut> {
  const { access, wallet, folder, pollMs, signal } = options;
  const { record, resumed } = await sendOnce(plan, sender, options, ends);
  if (statusOf(record) !== 'pending' && statusOf(record) !== 'confirmed') await removeFile(attemptFile(plan, folder));
  requireConfirmed(record);
  await options.onConfirmed?.(record);
  const { deliveries, transaction } = lastAttempt(record);
  const trace = await followTrace(wallet.address, deliveries, { access, pollMs, ends, signal, sleep: realSleep });
  if (trace.open === 0) await removeFile(attemptFile(plan, folder));
  const feesNano = trace.hops.reduce((sum, hop) => sum + hop.feesNano, BigInt(transaction?.feesNano ?? '0'));
  return { record, hops: trace.hops, trace, feesNano, resumed };
}

/** True when a call of the same plan, or with the same id, was begun before and is what the next call goes on with. */
export async function isBegun(plan: Plan, { folder, wallet, id }: Pick<CarryOutOptions, 'folder' | 'wallet' | 'id'>): Promise<boolean> {
  const records = await new Outbox(folder, wallet.address.toRawString()).list();
  const key = await keyOf(plan, records, folder, id);
  return records.some((record) => record.key === key);
}

async function sendOnce(plan: Plan, sender: Sender, { wallet, signal, id, folder }: CarryOutOptions, ends: number): Promise<{ record: SendRecord; resumed: boolean }> {
  const leftMs = (): number => Math.max(1000, ends - performance.now());
  const records = await sender.records();
  const key = await keyOf(plan, records, folder, id);
  const earlier = records.find((record) => record.key === key);
  if (earlier !== undefined && statusOf(earlier) === 'pending') {
    const finished = await sender.resume({ timeoutMs: leftMs(), signal });
    return { record: finished.find((record) => record.key === key) ?? earlier, resumed: true };
  }
  if (earlier !== undefined && statusOf(earlier) !== 'expired') return { record: earlier, resumed: true };
  if (id === undefined) {
    await ensureFolder(dirname(attemptFile(plan, folder)));
    await writeFileAtomic(attemptFile(plan, folder), `${key}\n`);
  }
  const planned = await messagesOf(plan, wallet.address, queryIdOf(key));
  const attempts = (earlier?.attempts.length ?? 0) + 1;
  const record = await sender.send({ key, messages: planned.map(({ message }) => message) }, { timeoutMs: leftMs(), signal, attempts });
  return { record, resumed: false };
}

const digestOf = ({ name }: Plan): string => createHash('sha256').update(name).digest('hex').slice(0, 32);

/** Names the attempt of a plan whose end was not seen yet; written before anything is sent, removed when its last message was seen. */
const attemptFile = (plan: Plan, folder: string): string => join(`${folder}.attempts`, digestOf(plan));

/** The outbox key of this call: the caller's id, the attempt of the same plan whose end was not seen, or a new number. */
async function keyOf(plan: Plan, records: readonly SendRecord[], folder: string, id: string | undefined): Promise<string> {
  const digest = digestOf(plan);
  if (id === undefined) {
    const numberOfOwn = records.filter(({ key }) => key.startsWith(`plan:${digest}:`)).length;
    return await readAttempt(attemptFile(plan, folder), digest) ?? `plan:${digest}:${numberOfOwn}`;
  }
  if (!ID.test(id)) throw new UsageError('E_USAGE', `${JSON.stringify(id.slice(0, 80))} is no id of a transfer, expected up to 64 letters, digits, dots, - and _`);
  const key = `id:${id}:${digest}`;
  if (records.some((record) => record.key.startsWith(`id:${id}:`) && record.key !== key)) {
    throw new UsageError('E_USAGE', `id "${id}" was used for something else from this wallet`, { hint: 'use another id for another transfer' });
  }
  return key;
}

async function readAttempt(path: string, digest: string): Promise<string | null> {
  try {
    const key = Buffer.from(await readBounded(path, 256)).toString('latin1').trim();
    if (new RegExp(`^plan:${digest}:\\d{1,9}$`).test(key)) return key;
  } catch (error) {
    if (error instanceof NotFoundError) return null;
    throw error;
  }
  // A file that cannot be read may name a transfer under way: nothing is sent over it.
  throw new ConfigError('E_STATE', `${path} does not name an attempt`, { hint: 'look at `cocoon wallet history`, then remove the file' });
}
