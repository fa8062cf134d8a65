// Follows the transfers of a confirmed message to their destinations and reports those that bounced or failed there.
import { Address } from '@ton/core';
import { abortError } from '../../core/deadline.ts';
import { NetworkError } from '../../core/errors.ts';
import type { Sleep } from '../../core/retry.ts';
import type { TonAccess } from '../access/types.ts';
import { explainExit } from './exit-text.ts';
import { judgeDelivery } from './outcome.ts';
import { lastAttempt, replaceLastAttempt } from './record.ts';
import type { Delivery, SendRecord } from './record.ts';

export interface FollowOptions {
  readonly access: TonAccess;
  readonly wallet: Address;
  readonly pollMs: number;
  /** When to stop looking, on the clock of performance.now(). */
  readonly ends: number;
  readonly signal: AbortSignal | undefined;
  readonly sleep: Sleep;
}

async function lookUp(delivery: Delivery, { access, wallet, ends, signal }: FollowOptions): Promise<Delivery> {
  if (delivery.status !== 'pending') return delivery;
  const options = { timeoutMs: Math.max(1000, ends - performance.now()), ...(signal === undefined ? {} : { signal }) };
  try {
    return judgeDelivery(delivery, await access.locateResult(wallet, Address.parseRaw(delivery.to), BigInt(delivery.createdLt), options));
  } catch (error) {
    if (!(error instanceof NetworkError) || signal?.aborted === true) throw error;
    return delivery;
  }
}

function withResult(record: SendRecord, deliveries: Delivery[]): SendRecord {
  const lost = deliveries.findIndex(({ status }) => status === 'bounced' || status === 'failed');
  const delivery = deliveries[lost];
  if (delivery === undefined) return replaceLastAttempt(record, { deliveries });
  const what = delivery.status === 'bounced' ? 'bounced and its value came back, less fees' : 'failed at its destination and its value stayed there';
  const why = delivery.exitCode === null ? '' : `: ${explainExit(delivery.exitCode, null)}`;
  return replaceLastAttempt(record, {
    deliveries, status: 'failed', reason: `transfer ${lost + 1} of ${deliveries.length} to ${delivery.to} ${what}${why}`,
  });
}

/** The record with what is known of its deliveries when all are known or the time ends; `failed` when one did not arrive. */
export async function followDeliveries(record: SendRecord, options: FollowOptions): Promise<SendRecord> {
  let { deliveries } = lastAttempt(record);
  for (;;) {
    deliveries = await Promise.all(deliveries.map((delivery) => lookUp(delivery, options)));
    const leftMs = options.ends - performance.now();
    if (deliveries.every(({ status }) => status !== 'pending') || leftMs <= 0) return withResult(record, deliveries);
    await options.sleep(Math.min(options.pollMs, leftMs), options.signal).catch(() => undefined);
    if (options.signal?.aborted === true) throw abortError(options.signal);
  }
}
