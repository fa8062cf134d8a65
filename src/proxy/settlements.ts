// Bookings that run after their answers have ended: the answer's end never waits for one, the messages about payments do, and
// a proxy that stops waits for all of them.
import type { Log } from '../core/log.ts';
import type { TokensUsed } from '../wire/answer.ts';
import type { ClientLink, ClientRequest } from '../wire/client-acceptor.ts';
import type { RunOutcome } from '../wire/worker-acceptor.ts';
import type { ClientAccount, Reservation } from './accounts.ts';
import type { Node } from './nodes.ts';

/** One request to book. */
export interface Settlement {
  readonly client: ClientAccount;
  /** Who is told; null where nobody asked over a connection. */
  readonly asker: { readonly link: Pick<ClientLink, 'requestPayment' | 'remoteAddress'>; readonly request: Pick<ClientRequest, 'id'> } | null;
  readonly node: Node;
  readonly outcome: RunOutcome | null;
  readonly reservation: Reservation;
  readonly tokens: TokensUsed;
}

/** Books it and tells both sides. A request that cost nothing is not written down. Never rejects. */
export async function settle(settlement: Settlement, log: Log): Promise<void> {
  const { client, asker, node, outcome, reservation, tokens } = settlement;
  try {
    const totals = tokens.total === 0n ? release(settlement) : await reservation.settle(node.account, tokens);
    // A side that has gone in between asks again when it comes back; its total is booked either way.
    await Promise.allSettled([
      outcome === null ? null : node.link.requestPayment({ requestId: outcome.id, ...totals.worker, requestTokens: tokens.total, clientOwner: client.ownerAddress }),
      asker?.link.requestPayment({ requestId: asker.request.id, ...totals.client, requestTokens: tokens.total }),
    ]);
  } catch (error) {
    log.error('request not booked', { node: node.id, client: asker?.link.remoteAddress ?? 'the proxy itself', error: String(error) });
  }
}

function release({ client, node, reservation }: Settlement): Awaited<ReturnType<Reservation['settle']>> {
  reservation.release();
  return { client: client.status(), worker: node.account.status() };
}

/** What is under way. */
export class Pending {
  readonly #running = new Set<Promise<unknown>>();

  /** Keeps `work` until it is over; a rejection is its owner's to handle. */
  add<T>(work: Promise<T>): Promise<T> {
    this.#running.add(work);
    const over = (): void => { this.#running.delete(work); };
    work.then(over, over);
    return work;
  }

  get size(): number {
    return this.#running.size;
  }

  /** Resolves when nothing is under way any more, or after `withinMs`. */
  async idle(withinMs = Infinity): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<'late'>((resolve) => {
      if (Number.isFinite(withinMs)) timer = setTimeout(() => resolve('late'), withinMs);
    });
    const all = async (): Promise<void> => {
      while (this.#running.size > 0) await Promise.allSettled(this.#running);
    };
    await Promise.race([all(), late]);
    clearTimeout(timer);
  }
}
