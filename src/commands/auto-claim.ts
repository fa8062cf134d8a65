// The node's own rule for claiming (`node start --auto-claim 10TON`): from time to time it looks at the payment book and claims,
// with the code and under the lock of `wallet claim`, what is worth at least the amount and costs at most the share of fees.
import { createHash } from 'node:crypto';
import { loadMessageRelaxed } from '@ton/core';
import { messagesOf } from '../chain/plans/plan.ts';
import { asCocoonError, CocoonError } from '../core/errors.ts';
import { sleep } from '../core/retry.ts';
import { formatTon } from '../core/units.ts';
import { claimAll, withClaimLock } from './claiming.ts';
import type { HotMessage, HotWallet } from '../chain/hot-wallet.ts';
import type { Plan } from '../chain/plans/plan.ts';
import type { Log } from '../core/log.ts';
import type { ClaimSource } from './claiming.ts';

export interface AutoClaimOptions {
  /** Its rules hold amount and share. */
  readonly source: ClaimSource;
  readonly hot: HotWallet;
  /** Outbox of the wallet, beside which the lock lies. */
  readonly outbox: string;
  /** Between two looks, milliseconds. */
  readonly everyMs: number;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** Limit of one round: signing, confirmation and the contracts' messages. */
const ROUND_MS = 300_000;

/** Claims until `signal` fires; resolves then. A round that fails is logged and the next one tries again. */
export async function autoClaim({ source, hot, outbox, everyMs, log, signal }: AutoClaimOptions): Promise<void> {
  /** How often a claim was refused by its contract: it is then another intent. */
  const refusals = new Map<string, number>();
  while (!signal.aborted) {
    try {
      await withClaimLock(outbox, source.wallet.address, { timeoutMs: ROUND_MS, signal }, () => claimAll(source, async (plan, payouts) => {
        await sendIntent(hot, plan, refusals, signal);
        for (const { payoutNano, proxy, owner } of payouts) log.info('claimed', { ton: formatTon(payoutNano), proxy: proxy.toString(), owner: owner.toString() });
        return 'sent';
      }, async () => {}, ROUND_MS));
    } catch (error) {
      if (signal.aborted) return;
      const { code, message } = asCocoonError(error);
      log.warn('could not claim', { code, reason: message });
    }
    await sleep(everyMs, signal).catch(() => {});
  }
}

async function sendIntent(hot: HotWallet, plan: Plan, refusals: Map<string, number>, signal: AbortSignal): Promise<void> {
  const digest = createHash('sha256').update(plan.name).digest('hex').slice(0, 32);
  const key = `claim:${digest}:${refusals.get(digest) ?? 0}`;
  try {
    await hot.send(key, await hotMessages(plan, hot), { follow: true, timeoutMs: ROUND_MS, signal });
  } catch (error) {
    if (error instanceof CocoonError && error.code === 'E_TX_FAILED') refusals.set(digest, (refusals.get(digest) ?? 0) + 1);
    throw error;
  }
}

/** The plan's messages as the daemon's wallet takes them. */
async function hotMessages(plan: Plan, { address }: HotWallet): Promise<HotMessage[]> {
  return (await messagesOf(plan, address, 0n)).map(({ message }) => {
    const { info, body, init } = loadMessageRelaxed(message.message.beginParse());
    if (info.type !== 'internal') throw new CocoonError('E_INTERNAL', 'a plan has internal messages only');
    const { code, data } = init ?? {};
    return { to: info.dest, valueNano: info.value.coins, body, bounce: info.bounce, ...(code && data ? { init: { code, data } } : {}) };
  });
}
