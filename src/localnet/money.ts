// What a paid local network needs on its chain: wallets with TON, the root contract with this version's images, the model and the
// proxy's addresses, and the proxy contract with its stake. Each step looks first whether it is done, so that a start that was
// interrupted goes on, and a second start sends nothing. Refuses a chain on which the root belongs to somebody else.
import { randomBytes } from 'node:crypto';
import { unlink } from 'node:fs/promises';
import type { Address } from '@ton/core';
import { fromHex } from '../core/bytes.ts';
import { ConfigError, NotFoundError } from '../core/errors.ts';
import { NANO_PER_TON } from '../core/units.ts';
import type { TonAccess } from '../chain/access/types.ts';
import { parseEndpoint } from '../chain/cells/proxy-text.ts';
import { MULTIPLIER_ONE } from '../chain/cells/params.ts';
import { proxyStorage, STATE } from '../chain/cells/storage.ts';
import { LOCAL_KDF } from '../chain/keystore/key-file.ts';
import { Keystore } from '../chain/keystore/keystore.ts';
import type { KeyEntry } from '../chain/keystore/keystore.ts';
import { secretOfKey } from '../chain/keystore/secret.ts';
import { carryOut, outboxName } from '../chain/plans/carry-out.ts';
import { deployNetworkPlan, proxyStakePlan } from '../chain/plans/deploy.ts';
import type { NetworkParams } from '../chain/plans/deploy.ts';
import type { Plan } from '../chain/plans/plan.ts';
import { readRoot, readState } from '../chain/plans/reading.ts';
import type { KnownRoot, PlanContext } from '../chain/plans/reading.ts';
import { hashPlan, registerProxyPlan, unregisterProxyPlan } from '../chain/plans/registry.ts';
import { requireDone } from '../chain/plans/trace.ts';
import { walletV5R1 } from '../chain/wallets/kinds.ts';
import type { WalletNetwork } from '../chain/wallets/network.ts';
import { ProxyContract } from '../chain/contracts/proxy.ts';
import { formatProxyText } from '../chain/cells/proxy-text.ts';
import type { LocalChainAdmin } from '../chain/local/admin-client.ts';
import { LOCAL_WALLETS } from './wallets.ts';
import type { LocalWalletRole } from './wallets.ts';
import type { LocalnetDescription } from './layout.ts';
import { join } from 'node:path';

const DAY_SECONDS = 86_400;

/** Prices at which a short answer is worth more than the fees of being paid for it. */
export const LOCAL_PARAMS: NetworkParams = {
  pricePerTokenNano: 500_000n, workerFeePerTokenNano: 400_000n, promptMultiplier: MULTIPLIER_ONE, cachedMultiplier: MULTIPLIER_ONE, completionMultiplier: MULTIPLIER_ONE,
  reasoningMultiplier: MULTIPLIER_ONE, proxyDelaySeconds: 2 * DAY_SECONDS, clientDelaySeconds: DAY_SECONDS, minProxyStakeNano: 20n * NANO_PER_TON, minClientStakeNano: 9n * NANO_PER_TON,
};

/** What each wallet is given once. The operator starts with nothing, so that what it has is what it has earned. */
const FUNDS: Readonly<Record<LocalWalletRole, bigint>> = {
  owner: 100n * NANO_PER_TON, operator: 0n, proxy: 20n * NANO_PER_TON, node: 10n * NANO_PER_TON, client: 100n * NANO_PER_TON,
};
const STAKE_NANO = 25n * NANO_PER_TON;
const TIMEOUT_MS = 60_000;
const POLL_MS = 100;

export interface MoneyOptions {
  readonly access: TonAccess;
  readonly admin: LocalChainAdmin;
  readonly network: WalletNetwork;
  /** Home directory: keys and outboxes. */
  readonly home: string;
  readonly passphrase: string;
  /** Root contract that is known of this chain; null before the first start. */
  readonly root: Address | null;
  readonly description: LocalnetDescription;
  /** SHA-256 of the model's full name, 32 bytes. */
  readonly modelHash: Uint8Array;
  /** Public half of the proxy's payment key, 32 bytes. */
  readonly paymentKey: Uint8Array;
  /** Remembers the root contract; called before anything else is sent to it. */
  recordRoot(root: Address): Promise<void>;
  onProgress(what: string): void | Promise<void>;
  readonly signal: AbortSignal;
}

/** Resolves when everything is on the chain. Throws what sending throws; called again it goes on. */
export async function setUpMoney(options: MoneyOptions): Promise<void> {
  const { access, admin, home, signal, onProgress, recordRoot } = options;
  const keys = await ensureWallets(options);
  for (const role of Object.keys(FUNDS) as LocalWalletRole[]) {
    // The key names the gift: a second start gives nothing.
    if (FUNDS[role] > 0n) await admin.faucet(keys[role].address, FUNDS[role], { key: `localnet ${role} ${keys[role].address.hash.toString('hex').slice(0, 16)}` });
  }
  const keystore = new Keystore({ folder: join(home, 'keys') });
  const { signer } = await keystore.unlock(LOCAL_WALLETS.owner, options.passphrase);
  const wallet = walletV5R1(signer.publicKey, options.network);
  const context: PlanContext = { access, signal, wallet: wallet.address };
  const folder = join(home, 'outbox', outboxName(options.network.globalId, wallet.address));
  const send = async (plan: Plan): Promise<void> => {
    const done = await carryOut(plan, { access, wallet, signer, folder, timeoutMs: TIMEOUT_MS, pollMs: POLL_MS, signal });
    requireDone(done.trace);
  };
  const root = options.root ?? await deployRoot(options, context, onProgress, send);
  if (options.root === null) await recordRoot(root);
  const known = await readRoot(context, root);
  if (!known.config.owner.equals(wallet.address)) throw new ConfigError('E_STATE', `the root contract ${root.toString()} of the local chain belongs to ${known.config.owner.toString()}`, { hint: 'start with --unpaid or --chain-only, or use another home directory' });
  const plans = await missing(options, context, known);
  if (plans.length > 0) {
    await onProgress('allowing images and model, registering the proxy, staking');
    await send(joined(plans));
  }
}

async function deployRoot({ network }: MoneyOptions, context: PlanContext, onProgress: MoneyOptions['onProgress'], send: (plan: Plan) => Promise<void>): Promise<Address> {
  const { plan, root } = await deployNetworkPlan(context, network.globalId, LOCAL_PARAMS);
  if (plan !== null) {
    await onProgress('deploying the root contract');
    await send(plan);
  }
  return root;
}

/** What the root contract and the proxy contract still lack. */
async function missing(options: MoneyOptions, context: PlanContext, known: KnownRoot): Promise<Plan[]> {
  const { description, modelHash, paymentKey } = options;
  const hashes = [
    ...description.proxyImageHashes.map((hash) => ({ kind: 'proxy' as const, hash: fromHex(hash) })),
    ...description.workerImageHashes.map((hash) => ({ kind: 'worker' as const, hash: fromHex(hash) })),
    { kind: 'model' as const, hash: modelHash },
  ];
  const plans = hashes.flatMap((change) => hashPlan(context, known, { ...change, allow: true }) ?? []);
  const endpoints = { workers: endpointOf(description.proxy.workers), clients: endpointOf(description.proxy.clients) };
  // Addresses under which the proxy was known before are nobody's now.
  for (const { seqno, ...other } of known.config.proxies) if (formatProxyText(other) !== formatProxyText(endpoints)) plans.push(unregisterProxyPlan(context, known, seqno));
  if (known.config.proxies.every((other) => formatProxyText(other) !== formatProxyText(endpoints))) plans.push(registerProxyPlan(context, known, endpoints));
  const contract = ProxyContract.fromIdentity({ owner: context.wallet, publicKey: paymentKey, root: known.address, params: known.config.params });
  const { storage } = await readState(context, contract.address, (data) => proxyStorage.load(data));
  if (storage === null || (storage.state === STATE.normal && storage.stakeNano < known.config.params.minProxyStakeNano)) {
    plans.push(await proxyStakePlan(context, known, { publicKey: paymentKey, amountNano: STAKE_NANO }));
  }
  return plans;
}

function endpointOf(text: string): { host: string; port: number } {
  const endpoint = parseEndpoint(text);
  if (typeof endpoint === 'string') throw new ConfigError('E_CONFIG', `the address ${endpoint}`);
  return endpoint;
}

/** True when the proxy contract of this key was closed: it serves nobody any more, and its key can have no other contract here. */
export async function isProxyClosed({ access, home, network, root, signal }: Pick<MoneyOptions, 'access' | 'home' | 'network' | 'root' | 'signal'>, publicKey: Uint8Array): Promise<boolean> {
  if (root === null) return false;
  const owner = await new Keystore({ folder: join(home, 'keys') }).get(LOCAL_WALLETS.owner);
  if (owner.globalId !== network.globalId) return false;
  const reads = { access, signal };
  const { config } = await readRoot(reads, root);
  const { address } = ProxyContract.fromIdentity({ owner: owner.address, publicKey, root, params: config.params });
  return (await readState(reads, address, (data) => proxyStorage.load(data))).storage?.state === STATE.closed;
}

/** All plans as one: the owner's wallet carries them in one message. */
const joined = (plans: readonly Plan[]): Plan => ({ name: plans.map(({ name }) => name).join('; '), steps: plans.flatMap(({ steps }) => steps), warnings: [], facts: {} });

/** Makes the wallets that are not there; wallets of an earlier chain of this folder make room. */
export async function ensureWallets({ home, network, passphrase }: Pick<MoneyOptions, 'home' | 'network' | 'passphrase'>): Promise<Record<LocalWalletRole, KeyEntry>> {
  const keystore = new Keystore({ folder: join(home, 'keys') });
  const ensure = async (role: LocalWalletRole): Promise<readonly [LocalWalletRole, KeyEntry]> => {
    const label = LOCAL_WALLETS[role];
    const known = await keystore.get(label).catch((error: unknown) => {
      if (error instanceof NotFoundError) return null;
      throw error;
    });
    if (known?.globalId === network.globalId) return [role, known];
    if (known !== null) await removeEarlier(known);
    const secret = secretOfKey(randomBytes(32));
    try {
      return [role, await keystore.import({ label, network, passphrase, kdf: LOCAL_KDF, walletOf: (publicKey) => walletV5R1(publicKey, network) }, secret)];
    } finally {
      secret.dispose();
    }
  };
  const made: (readonly [LocalWalletRole, KeyEntry])[] = [];
  for (const role of Object.keys(LOCAL_WALLETS) as LocalWalletRole[]) made.push(await ensure(role));
  return Object.fromEntries(made) as Record<LocalWalletRole, KeyEntry>;
}

/** The chain that knew the wallet is gone, and with it everything it had. Throws ConfigError for a wallet of anything but a local network. */
async function removeEarlier({ label, network, path }: KeyEntry): Promise<void> {
  if (network !== 'local') throw new ConfigError('E_STATE', `there is a wallet named ${label} of network ${network} (${path})`, { hint: 'give that wallet another name: the local network needs this one' });
  await unlink(path);
}
