// Puts a world on its chain: wallets with TON, the root contract with this version's images, a registered proxy with stake for
// each proxy. The chain runs already.
import { createTonAccess } from '../../src/chain/access/access.ts';
import { MULTIPLIER_ONE } from '../../src/chain/cells/params.ts';
import { ProxyContract } from '../../src/chain/contracts/proxy.ts';
import { localChainAdmin, readAdminToken } from '../../src/chain/local/admin-client.ts';
import { carryOut } from '../../src/chain/plans/carry-out.ts';
import { deployNetworkPlan, proxyStakePlan } from '../../src/chain/plans/deploy.ts';
import { hashPlan, registerProxyPlan } from '../../src/chain/plans/registry.ts';
import { readRoot } from '../../src/chain/plans/reading.ts';
import { requireDone } from '../../src/chain/plans/trace.ts';
import { signerOfSeed } from '../../src/chain/ed25519.ts';
import { fromHex } from '../../src/core/bytes.ts';
import { localnetLayout } from '../../src/localnet/layout.ts';
import { describeLocalnet } from '../../src/localnet/network.ts';
import { chainFolder, endpointOf, secretOf, VERSION, walletOf } from './world.ts';
import type { NetworkParams } from '../../src/chain/plans/deploy.ts';
import type { Plan } from '../../src/chain/plans/plan.ts';
import type { LocalChainAdmin } from '../../src/chain/local/admin-client.ts';
import type { KeyName, Ports, World, WorldProxy } from './world.ts';

const TON = 1_000_000_000n;

/** Prices and stakes with which charges, payouts and deposits all happen within a few hundred requests. */
export const PARAMS: NetworkParams = {
  pricePerTokenNano: 250_000n, workerFeePerTokenNano: 200_000n, promptMultiplier: MULTIPLIER_ONE, cachedMultiplier: MULTIPLIER_ONE / 2, completionMultiplier: MULTIPLIER_ONE * 2,
  reasoningMultiplier: MULTIPLIER_ONE, proxyDelaySeconds: 172_800, clientDelaySeconds: 86_400, minProxyStakeNano: 20n * TON, minClientStakeNano: 3n * TON,
};
export const DEPOSIT = { depositNano: 6n * TON, maxPerProxyNano: 60n * TON, maxTotalNano: 200n * TON };
const STAKE_NANO = 25n * TON;

/** The TON that each wallet is given, once. */
export function funds({ size }: Pick<World, 'size'>): ReadonlyMap<KeyName, bigint> {
  const all = new Map<KeyName, bigint>([['owner', 200n * TON]]);
  for (let index = 0; index < size.proxies; index += 1) all.set(`proxy-wallet-${index}`, 40n * TON);
  for (let index = 0; index < size.nodes; index += 1) all.set(`node-wallet-${index}`, 10n * TON);
  for (let index = 0; index < size.clients; index += 1) all.set(`client-wallet-${index}`, 250n * TON);
  return all;
}

export const adminOf = async (world: Pick<World, 'home' | 'chainPort'>): Promise<LocalChainAdmin> =>
  localChainAdmin({ endpoint: endpointOf(world), token: await readAdminToken(chainFolder(world)) });

export async function createWorld(draft: Omit<World, 'root' | 'proxies'>, ports: readonly { readonly inner: Ports; readonly outer: Ports }[], signal: AbortSignal): Promise<World> {
  const description = await describeLocalnet(localnetLayout(draft.home), VERSION, 'chain');
  const admin = await adminOf(draft);
  const access = createTonAccess({ endpoints: [{ url: endpointOf(draft) }] });
  try {
    for (const [name, amountNano] of funds(draft)) await admin.faucet(walletOf(draft, name).kind.address, amountNano, { key: name });
    const { kind: wallet, signer, folder } = walletOf(draft, 'owner');
    const context = { access, signal, wallet: wallet.address };
    const send = async (plans: readonly Plan[]): Promise<void> => {
      const plan = { name: plans.map(({ name }) => name).join('; '), steps: plans.flatMap(({ steps }) => steps), warnings: [], facts: {} };
      requireDone((await carryOut(plan, { access, wallet, signer, folder, timeoutMs: 60_000, pollMs: 50, signal })).trace);
    };
    const { plan, root } = await deployNetworkPlan(context, draft.globalId, PARAMS);
    if (plan !== null) await send([plan]);
    const known = await readRoot(context, root);
    const hashes = [
      ...description.proxyImageHashes.map((hash) => ({ kind: 'proxy' as const, hash: fromHex(hash) })),
      ...description.workerImageHashes.map((hash) => ({ kind: 'worker' as const, hash: fromHex(hash) })),
    ];
    const proxies: WorldProxy[] = [];
    const plans = hashes.flatMap((change) => hashPlan(context, known, { ...change, allow: true }) ?? []);
    for (const [index, { inner, outer }] of ports.entries()) {
      const { publicKey } = signerOfSeed(secretOf(draft, `payment-${index}`));
      plans.push(registerProxyPlan(context, known, { workers: { host: '127.0.0.1', port: outer.workers }, clients: { host: '127.0.0.1', port: outer.clients } }));
      plans.push(await proxyStakePlan(context, known, { publicKey, amountNano: STAKE_NANO }));
      const contract = ProxyContract.fromIdentity({ owner: wallet.address, publicKey, root: known.address, params: known.config.params }).address;
      proxies.push({ inner, outer, contract: contract.toRawString() });
    }
    await send(plans);
    return { ...draft, root: root.toRawString(), proxies };
  } finally {
    await access.close();
  }
}
