// The money of a proxy that runs: its payment key, its ledger, and the accounts over both; the owner is never the hot wallet.
import { openLedger } from '../proxy/ledger/open-ledger.ts';
import { createPaidAccounts } from '../proxy/paid/paid-accounts.ts';
import { paymentKey, proxyFiles } from './proxy-files.ts';
import { roleOwner } from './role-wallet.ts';
import { accountOf, showWallet } from './wallets.ts';
import type { Log } from '../core/log.ts';
import type { PaidAccounts, PaidRules } from '../proxy/paid/paid-accounts.ts';
import type { Settings } from '../core/settings.ts';
import type { Invocation } from './command.ts';
import type { PaidRole } from './paid-role.ts';

export interface ProxyMoney {
  readonly accounts: PaidAccounts;
  /** For the daemon's record: other commands find the contract there. */
  readonly facts: Readonly<Record<string, string>>;
  /** Commits and signs what is booked, then closes the ledger. */
  close(): Promise<void>;
}

/** A local network is for looking: what is booked is signed within a moment, unless the settings say otherwise. */
const LOCAL_RULES: Partial<PaidRules> = { commitIntervalMs: 3_000, commitSoonMs: 300, pollMs: 300, lastCommitMs: 5_000 };

function rulesOf(settings: Settings, isLocal: boolean): Partial<PaidRules> {
  const [charge, payout] = [settings.ton('proxy.charge_from'), settings.ton('proxy.payout_from')];
  const isOwn = settings.get('proxy.commit_interval').source !== 'default';
  return {
    ...(isLocal && LOCAL_RULES),
    ...(!isLocal || isOwn ? { commitIntervalMs: settings.durationMs('proxy.commit_interval') } : {}),
    ...(charge !== undefined && { chargeFromNano: charge }), ...(payout !== undefined && { payoutFromNano: payout }),
  };
}

/** Throws what the ledger and the accounts throw: ConfigError `E_LEDGER_BEHIND`, `E_STATE`, DaemonError `E_LEDGER`, NetworkError. */
export async function openProxyMoney(invocation: Invocation, paid: PaidRole, isTest: boolean, log: Log): Promise<ProxyMoney> {
  const { settings, options, context: { clock, signal } } = invocation;
  const { network, root, access, wallet, entry } = paid;
  const owner = await roleOwner(invocation, network, 'proxy', entry);
  const files = proxyFiles(settings.home, network);
  const signer = await paymentKey(files);
  const canary = settings.text('proxy.canary_wallet');
  const canaryOwner = canary === undefined ? null : (await accountOf(invocation, network, canary)).address;
  const ledger = await openLedger(files.ledger, { globalId: network.globalId, root: root.current().address, owner, publicKey: signer.publicKey });
  try {
    const accounts = await createPaidAccounts({
      access, root, owner, signer, wallet, ledger, isTest, clock, log, signal, canaryOwner,
      rules: rulesOf(settings, network.kind === 'local'), rebuild: options['rebuild'] === true,
    });
    return {
      accounts,
      facts: { contract: accounts.proxy.contractAddress, paymentKey: Buffer.from(signer.publicKey).toString('hex'), owner: showWallet(owner, network) },
      close: async () => {
        await accounts.close();
        await ledger.close();
      },
    };
  } catch (error) {
    await ledger.close();
    throw error;
  }
}
