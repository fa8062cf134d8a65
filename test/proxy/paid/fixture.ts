// A paid network in one process: the local chain with the real contracts, its root, a proxy contract with stake, client
// contracts with deposits, and the proxy's accounts over a real ledger and the real hot wallet.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Address } from '@ton/core';
import { createTonAccess } from '../../../src/chain/access/access.ts';
import type { TonAccess } from '../../../src/chain/access/types.ts';
import { signerOfSeed } from '../../../src/chain/ed25519.ts';
import type { Signer } from '../../../src/chain/ed25519.ts';
import { followRoot } from '../../../src/chain/follow/root-follower.ts';
import type { RootFollower } from '../../../src/chain/follow/root-follower.ts';
import { openHotWallet } from '../../../src/chain/hot-wallet.ts';
import type { HotWallet } from '../../../src/chain/hot-wallet.ts';
import { startLocalChain } from '../../../src/chain/local/start.ts';
import type { RunningLocalChain } from '../../../src/chain/local/start.ts';
import { carryOut } from '../../../src/chain/plans/carry-out.ts';
import { depositPlan } from '../../../src/chain/plans/client.ts';
import { deployNetworkPlan, proxyStakePlan } from '../../../src/chain/plans/deploy.ts';
import type { NetworkParams } from '../../../src/chain/plans/deploy.ts';
import type { Plan } from '../../../src/chain/plans/plan.ts';
import { readRoot } from '../../../src/chain/plans/reading.ts';
import type { KnownRoot, PlanContext } from '../../../src/chain/plans/reading.ts';
import { requireDone } from '../../../src/chain/plans/trace.ts';
import { proxyDeployment } from '../../../src/chain/addresses.ts';
import { walletV4R2 } from '../../../src/chain/wallets/kinds.ts';
import type { WalletKind } from '../../../src/chain/wallets/kinds.ts';
import { systemClock } from '../../../src/core/clock.ts';
import { silentLog } from '../../../src/core/log.ts';
import type { Log } from '../../../src/core/log.ts';
import type { Ledger } from '../../../src/proxy/ledger/ledger.ts';
import { openLedger } from '../../../src/proxy/ledger/open-ledger.ts';
import type { PaidRules } from '../../../src/proxy/paid/context.ts';
import { createPaidAccounts } from '../../../src/proxy/paid/paid-accounts.ts';
import type { PaidAccounts, PaidAccountsOptions } from '../../../src/proxy/paid/paid-accounts.ts';

export const TON = 10n ** 9n;
export const PARAMS: NetworkParams = {
  pricePerTokenNano: 1000n, workerFeePerTokenNano: 700n, promptMultiplier: 10_000, cachedMultiplier: 5_000, completionMultiplier: 20_000, reasoningMultiplier: 20_000,
  proxyDelaySeconds: 2_000, clientDelaySeconds: 1_000, minProxyStakeNano: 5n * TON, minClientStakeNano: TON,
};
const GLOBAL_ID = -4711;
const WAITS = { pollMs: 60, resendMs: 1_000, validForS: 60, expiryMarginS: 10 };
/** Nothing happens by itself but commitments. */
export const QUIET: PaidRules = {
  commitIntervalMs: 50, commitSoonMs: 20, chargeFromNano: 1_000n * TON, payoutFromNano: 1_000n * TON, withdrawFromNano: 1_000n * TON,
  pollMs: 200, bondRefreshMs: 1_000, redeliverMs: 20_000, lastCommitMs: 10_000,
};

export interface Person {
  readonly signer: Signer;
  readonly wallet: WalletKind;
}
export const person = (seed: number): Person => {
  const signer = signerOfSeed(new Uint8Array(32).fill(seed));
  return { signer, wallet: walletV4R2(signer.publicKey) };
};

export const eventually = async (what: string, look: () => boolean | Promise<boolean>, ms = 60_000): Promise<void> => {
  for (const ends = performance.now() + ms; performance.now() < ends;) {
    if (await look()) return;
    await new Promise((resolve) => { setTimeout(resolve, 20); });
  }
  throw new Error(`not in time: ${what}`);
};

export class PaidNetwork {
  readonly home = mkdtempSync(join(tmpdir(), 'paid-'));
  readonly paymentKey = signerOfSeed(new Uint8Array(32).fill(77));
  readonly rootOwner = person(1);
  readonly proxyOwner = person(2);
  readonly hot = person(3);
  chain!: RunningLocalChain;
  access!: TonAccess;
  rootAddress!: Address;
  #people = new Set<Person>();
  #root: RootFollower | null = null;
  #wallet: HotWallet | null = null;
  #ledgers = new Set<Ledger>();
  #accounts = new Set<PaidAccounts>();
  readonly #signal = new AbortController();

  static async start(): Promise<PaidNetwork> {
    const network = new PaidNetwork();
    network.chain = await startLocalChain({ dir: join(network.home, 'chain'), globalId: GLOBAL_ID, tickMs: 60 });
    const url = new URL(network.chain.endpoint);
    // Two names of one machine stand for two endpoints, so that reads are agreed.
    network.access = createTonAccess({ endpoints: [{ url: url.href }, { url: Object.assign(new URL(url), { hostname: 'localhost' }).href }], timeoutMs: 5_000 });
    await network.fund(network.rootOwner, 50n * TON);
    await network.fund(network.hot, 60n * TON);
    const { root, plan } = await deployNetworkPlan(network.context(network.rootOwner), GLOBAL_ID, PARAMS);
    network.rootAddress = root;
    if (plan !== null) await network.carryOut(network.rootOwner, plan);
    return network;
  }

  context(from: Person): PlanContext {
    return { access: this.access, signal: this.#signal.signal, wallet: from.wallet.address };
  }

  async fund(who: Person, amountNano: bigint): Promise<void> {
    if (this.#people.has(who)) return;
    this.#people.add(who);
    await this.chain.chain.faucet({ to: who.wallet.address, amountNano, key: who.wallet.address.toRawString() });
    await eventually('funds', async () => (await this.access.account(who.wallet.address)).balanceNano > 0n);
  }

  async carryOut(from: Person, plan: Plan): Promise<void> {
    const { trace } = await carryOut(plan, {
      access: this.access, wallet: from.wallet, signer: from.signer, folder: this.outbox(from), timeoutMs: 60_000, pollMs: 60, signal: this.#signal.signal,
    });
    requireDone(trace);
  }

  outbox(of: Person): string {
    return join(this.home, 'outbox', of.wallet.address.hash.toString('hex'));
  }

  root(): Promise<KnownRoot> {
    return readRoot(this.context(this.rootOwner), this.rootAddress);
  }

  async proxyAddress(): Promise<Address> {
    const { config: { params } } = await this.root();
    return proxyDeployment({ owner: this.proxyOwner.wallet.address, publicKey: this.paymentKey.publicKey, root: this.rootAddress, params }).address;
  }

  /** The proxy's owner puts stake into the contract of the present params. */
  async stake(amountNano = 10n * TON): Promise<void> {
    await this.fund(this.proxyOwner, 60n * TON);
    await this.carryOut(this.proxyOwner, await proxyStakePlan(this.context(this.proxyOwner), await this.root(), { publicKey: this.paymentKey.publicKey, amountNano }));
  }

  async deposit(client: Person, amountNano: bigint): Promise<void> {
    await this.fund(client, 30n * TON);
    await this.carryOut(client, await depositPlan(this.context(client), { root: await this.root(), proxy: await this.proxyAddress() }, amountNano));
  }

  async advance(seconds: number): Promise<void> {
    await this.chain.chain.advance(seconds);
  }

  async ledger(name = 'ledger.db'): Promise<Ledger> {
    const root = await this.root();
    const ledger = await openLedger(join(this.home, name), { globalId: GLOBAL_ID, root: root.address, owner: this.proxyOwner.wallet.address, publicKey: this.paymentKey.publicKey });
    this.#ledgers.add(ledger);
    return ledger;
  }

  async options(ledger: Ledger, rules: Partial<PaidRules> = {}, log: Log = silentLog): Promise<PaidAccountsOptions> {
    this.#root ??= await followRoot({ access: this.access, root: this.rootAddress, pollMs: 400, maxAgeS: 1_000_000, clock: { now: () => this.chain.chain.now() * 1000 }, log: silentLog, signal: this.#signal.signal });
    this.#wallet ??= openHotWallet({ access: this.access, wallet: this.hot.wallet, signer: this.hot.signer, folder: this.outbox(this.hot), ...WAITS });
    return {
      access: this.access, root: this.#root, owner: this.proxyOwner.wallet.address, signer: this.paymentKey, wallet: this.#wallet, ledger,
      rules: { ...QUIET, ...rules }, isTest: true, clock: systemClock, log, signal: this.#signal.signal,
    };
  }

  async accounts(ledger: Ledger, rules: Partial<PaidRules> = {}, more: Partial<PaidAccountsOptions> = {}): Promise<PaidAccounts> {
    const accounts = await createPaidAccounts({ ...await this.options(ledger, rules), ...more });
    this.#accounts.add(accounts);
    return accounts;
  }

  async close(): Promise<void> {
    for (const accounts of this.#accounts) await accounts.close();
    for (const ledger of this.#ledgers) await ledger.close();
    this.#signal.abort();
    await this.#root?.close();
    await this.#wallet?.close();
    await this.access.close();
    await this.chain.close();
    rmSync(this.home, { recursive: true, force: true });
  }
}
