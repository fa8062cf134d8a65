// The money of a node that runs: its payment book, the accounts over it, and the rule by which it claims. The owner who is paid is
// never the hot wallet that pays the fees.
import { openPaymentBook } from '../chain/payment-book.ts';
import { paidAccounts } from '../node/paid-accounts.ts';
import { NANO_PER_TON } from '../core/units.ts';
import { autoClaim } from './auto-claim.ts';
import { paymentFolder } from './payments.ts';
import { roleOwner } from './role-wallet.ts';
import { outboxFolder } from './sending.ts';
import { showWallet } from './wallets.ts';
import type { Log } from '../core/log.ts';
import type { NodeAccounts } from '../node/accounts.ts';
import type { Invocation } from './command.ts';
import type { PaidRole } from './paid-role.ts';

export interface NodeMoney {
  readonly accounts: NodeAccounts;
  readonly facts: Readonly<Record<string, string>>;
  close(): Promise<void>;
}

/** A worker contract is deployed by the node itself once a proxy has signed ten times what that may cost. */
const DEPLOY_MAX_NANO = NANO_PER_TON / 2n;
const DEPLOY_FROM_NANO = 10n * DEPLOY_MAX_NANO;
/** Between two looks whether something is to be claimed. */
const CLAIM_EVERY_MS = { local: 1_000, remote: 600_000 } as const;

/** `model`: base name. Throws ConfigError where the owner is not known or is the hot wallet, `E_STATE` for a damaged book. */
export async function openNodeMoney(invocation: Invocation, paid: PaidRole, model: string, log: Log): Promise<NodeMoney> {
  const { settings, options } = invocation;
  const { network, access, root, wallet, walletKind, entry, pollMs } = paid;
  const owner = await roleOwner(invocation, network, 'node', entry);
  const book = await openPaymentBook(paymentFolder(settings, network));
  const accounts = paidAccounts({
    access, root, owner, book, model, log, maxOwedNano: settings.ton('node.max_owed') ?? NANO_PER_TON,
    deploy: { wallet, fromNano: DEPLOY_FROM_NANO, maxNano: DEPLOY_MAX_NANO },
  });
  const fromNano = typeof options['autoClaim'] === 'bigint' ? options['autoClaim'] : settings.ton('node.auto_claim') ?? null;
  const ending = new AbortController();
  const claiming = fromNano === null ? Promise.resolve() : autoClaim({
    hot: wallet, outbox: outboxFolder(invocation, network, walletKind), log, signal: ending.signal,
    everyMs: network.kind === 'local' ? CLAIM_EVERY_MS.local : CLAIM_EVERY_MS.remote,
    source: {
      context: { access, signal: ending.signal, wallet: wallet.address }, root: root.current().address, wallet: walletKind, book, pollMs,
      rules: { proxy: null, minAmountNano: fromNano, maxFeePercent: settings.integer('node.max_fee_percent') ?? null, owner },
    },
  });
  return {
    accounts, facts: { owner: showWallet(owner, network) },
    close: async () => {
      ending.abort();
      await claiming;
      await book.close();
    },
  };
}
