// A proxy as a process: real contracts, ledger on disk, no proof of work. Ends unhealthily when its accounts fail.
import { openLedger } from '../../src/proxy/ledger/open-ledger.ts';
import { createPaidAccounts } from '../../src/proxy/paid/paid-accounts.ts';
import { startProxy } from '../../src/proxy/proxy.ts';
import { equalBytes } from '../../src/core/bytes.ts';
import { systemClock } from '../../src/core/clock.ts';
import { joinAsRole } from '../../src/localnet/membership.ts';
import { signerOfSeed } from '../../src/chain/ed25519.ts';
import { createTlsIdentity } from '../../src/tee/tls-identity.ts';
import { createVerifyPeer } from '../../src/tee/verify-peer.ts';
import { openAccess, openRoot, openWallet } from './child-base.ts';
import { ledgerFile, rootOf, secretOf, VERSION, walletOf } from './world.ts';
import type { PaidRules } from '../../src/proxy/paid/context.ts';
import type { ChildContext, Running } from './child-base.ts';
import type { ProxyStatusReply } from './messages.ts';

/** Everything often, so that much of it is under way whenever something dies. */
const RULES: Partial<PaidRules> = {
  commitIntervalMs: 1_500, commitSoonMs: 250, chargeFromNano: 200_000_000n, payoutFromNano: 200_000_000n, withdrawFromNano: 300_000_000n, pollMs: 400,
  bondRefreshMs: 60_000, redeliverMs: 6_000, lastCommitMs: 8_000,
};

export async function startProxyChild(context: ChildContext, index: number): Promise<Running> {
  const { world, log, signal, fatal } = context;
  const member = await joinAsRole(world.home, 'proxy', VERSION);
  const own = world.proxies[index];
  if (own === undefined) throw new Error(`there is no proxy ${index}`);
  const access = openAccess(world);
  const root = await openRoot(context, access);
  const wallet = openWallet(context, access, `proxy-wallet-${index}`);
  const signer = signerOfSeed(secretOf(world, `payment-${index}`));
  const owner = walletOf(world, 'owner').kind.address;
  const ledger = await openLedger(ledgerFile(world, index), { globalId: world.globalId, root: rootOf(world), owner, publicKey: signer.publicKey });
  const identity = await createTlsIdentity({ clock: systemClock, evidence: member.evidence, attester: member.attester });
  const rules = world.settling ? { ...RULES, chargeFromNano: 1n, payoutFromNano: 1n } : RULES;
  const accounts = await createPaidAccounts({ access, root, owner, signer, wallet, ledger, rules, isTest: true, clock: systemClock, log, signal });
  void accounts.failed.then(fatal);
  const policy = member.policy('worker');
  const proxy = await startProxy({
    clients: { host: '127.0.0.1', port: own.inner.clients }, workers: { host: '127.0.0.1', port: own.inner.workers }, identity: () => identity.current(),
    verifyClient: createVerifyPeer({ kind: 'any' }, { clock: systemClock }), verifyWorker: createVerifyPeer(policy, { clock: systemClock }),
    rules: { imageAllowed: (hash) => policy.imageHashes.some((allowed) => equalBytes(allowed, hash)), modelAllowed: () => true },
    accounts, powDifficultyBits: 0, isTest: true, clock: systemClock, log,
  });
  const status = (): ProxyStatusReply => {
    const { refusal, instances } = accounts.status();
    const { nodes } = proxy.status();
    return {
      refusal, nodes: nodes.length, running: nodes.reduce((sum, { running }) => sum + running, 0),
      accounts: instances.flatMap((instance) => instance.accounts.map((account) => ({
        kind: account.kind, contract: account.contract, owner: account.owner, accrued: String(account.accruedTokens), durable: String(account.durableTokens),
        committed: String(account.committedTokens), signed: String(account.signedTokens), claimed: String(account.claimedTokens), reserved: String(account.reservedTokens ?? 0n), state: account.state,
      }))),
    };
  };
  return {
    handle: async (command) => command.do === 'status' ? status() : null,
    close: async () => {
      await proxy.close();
      await accounts.close();
      await wallet.close();
      await root.close();
      await ledger.close();
      identity.close();
      await access.close();
    },
  };
}
