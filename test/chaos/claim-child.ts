// `wallet claim` of a node's owner as a process of its own, beside the running node: everything that is signed, however small.
import { claimAll, withClaimLock } from '../../src/commands/claiming.ts';
import { openPaymentBook } from '../../src/chain/payment-book.ts';
import { carryOut } from '../../src/chain/plans/carry-out.ts';
import { requireDone } from '../../src/chain/plans/trace.ts';
import { UnconfirmedError } from '../../src/core/errors.ts';
import { openAccess } from './child-base.ts';
import { nodeBook, rootOf, walletOf } from './world.ts';
import type { ChildContext, Running } from './child-base.ts';

const TIMEOUT_MS = 60_000;

/** Claims once; ready means done. */
export async function startClaim({ world, signal, log }: ChildContext, index: number): Promise<Running> {
  const { kind: wallet, signer, folder } = walletOf(world, `node-wallet-${index}`);
  const access = openAccess(world);
  const book = await openPaymentBook(nodeBook(world, index));
  const source = {
    context: { access, signal, wallet: wallet.address }, root: rootOf(world), wallet, book, pollMs: 250,
    rules: { proxy: null, minAmountNano: 0n, maxFeePercent: null, owner: walletOf(world, `node-owner-${index}`).kind.address },
  };
  await withClaimLock(folder, wallet.address, { timeoutMs: TIMEOUT_MS, signal }, () => claimAll(source, async (plan) => {
    const { trace } = await carryOut(plan, { access, wallet, signer, folder, timeoutMs: TIMEOUT_MS, pollMs: 250, signal });
    try {
      requireDone(trace);
    } catch (error) {
      // Somebody else delivered the same total in between: the contract refuses the second one, and nothing is lost.
      if (!(error instanceof UnconfirmedError)) throw error;
      log.info('a payout had been delivered before', { reason: error.message });
    }
    return 'sent';
  }, async (rows) => { log.info('claims', { rows: rows.map(({ reason, payout }) => reason ?? String(payout?.tokens)) }); }, TIMEOUT_MS));
  return {
    handle: async () => null,
    close: async () => {
      await book.close();
      await access.close();
    },
  };
}
