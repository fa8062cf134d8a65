// The part of a batch's record that is one intent's own. A wallet that ignores errors of actions may send some of a message's
// transfers and not others; which ones left is told by destination and value, in order.
import { Address } from '@ton/core';
import { lastAttempt, replaceLastAttempt } from './record.ts';
import type { Delivery, SendRecord } from './record.ts';

/** Which transfers of a batch an intent has. */
export interface Placed {
  readonly key: string;
  readonly first: number;
  readonly count: number;
}

/** For each transfer what left for it; null where nothing did. Transfers that do not leave are skipped, never reordered. */
function departures({ transfers }: SendRecord, deliveries: readonly Delivery[]): (Delivery | null)[] {
  let next = 0;
  return transfers.map(({ to, valueNano }) => {
    const delivery = deliveries[next];
    if (delivery === undefined || !Address.parseRaw(to).equals(Address.parseRaw(delivery.to)) || delivery.valueNano !== valueNano) return null;
    next += 1;
    return delivery;
  });
}

/** The record as if the intent had been sent alone: its transfers, what left of them, and confirmed exactly when all did. */
export function narrowed(record: SendRecord, { key, first, count }: Placed): SendRecord {
  const attempt = lastAttempt(record);
  const own = departures(record, attempt.deliveries).slice(first, first + count);
  const deliveries = own.filter((delivery) => delivery !== null);
  const part: SendRecord = { ...record, key, transfers: record.transfers.slice(first, first + count) };
  if (attempt.transaction === null) return part;
  if (deliveries.length === count) return replaceLastAttempt(part, { deliveries, status: 'confirmed', reason: null });
  const reason = attempt.deliveries.length === 0 && attempt.reason !== null
    ? attempt.reason
    : `the wallet executed the message but sent ${deliveries.length} of ${count} transfers; the usual cause is too little TON`;
  return replaceLastAttempt(part, { deliveries, status: 'failed', reason });
}
