// Winding down without a running proxy: what `proxy close` does when the daemon is stopped. Takes no work; brings every contract
// of the ledger to its end, tells how far it is, and can be interrupted and called again at any time.
import { NetworkError } from '../../core/errors.ts';
import type { CocoonError } from '../../core/errors.ts';
import { Books } from './books.ts';
import { contextOf } from './paid-accounts.ts';
import type { PaidAccountsOptions } from './paid-accounts.ts';
import type { WindDownProgress } from './wind-down.ts';

/**
 * Resolves when all proxy contracts of the ledger are closed: clients refunded, workers paid, stake and earnings with the owner.
 * Rejects with the signal's reason when it fires, DaemonError `E_LEDGER`, and as createPaidAccounts.
 */
export async function closeProxy(options: PaidAccountsOptions, progress: (progress: WindDownProgress) => void): Promise<void> {
  let failure: CocoonError | null = null;
  const { context, ending } = contextOf(options, (error) => {
    failure = error;
    ending.abort(error);
  });
  const books = new Books({ context, rebuild: options.rebuild ?? false, olderContracts: options.olderContracts ?? [], serving: false, onInactive: () => undefined });
  void options.ledger.failed.then((error) => books.fail(error));
  const stop = (): void => ending.abort(options.signal.reason);
  options.signal.addEventListener('abort', stop, { once: true });
  try {
    await books.start(options.signal);
    for (const book of books.all) await books.windDown(book, progress, ending.signal);
    if (failure !== null) throw failure;
  } finally {
    options.signal.removeEventListener('abort', stop);
    ending.abort(new NetworkError('E_CLOSED', 'the winding down has ended'));
    await books.ended();
  }
}
