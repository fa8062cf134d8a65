// New contracts of a network: its root, and a proxy contract with its stake. Refuses params that cheat somebody (H5, H6, H10), and
// funds ten years of rent at the dearer price set (H9); unique_id depends on the chain and the owner (H8).
import type { Address } from '@ton/core';
import { ConfigError } from '../../core/errors.ts';
import { toHex } from '../../core/bytes.ts';
import { formatTon } from '../../core/units.ts';
import { networkUniqueId } from '../addresses.ts';
import { CONTRACT_STRUCT_VERSION } from '../cells/params.ts';
import type { Params } from '../cells/params.ts';
import { EMPTY_SETS } from '../cells/root-storage.ts';
import { proxyStorage, STATE } from '../cells/storage.ts';
import { contractCode } from '../code.ts';
import { ProxyContract } from '../contracts/proxy.ts';
import { openAt } from '../contracts/provider.ts';
import { RootContract } from '../contracts/root.ts';
import { paramsProblems } from '../root-config.ts';
import { MAINNET } from '../wallets/network.ts';
import { REQUEST_NANO } from './client.ts';
import { readsOf } from './plan.ts';
import type { Plan } from './plan.ts';
import { listedCode, readState, stateName } from './reading.ts';
import type { KnownRoot, PlanContext } from './reading.ts';
import { roundUp, tenYearsRent } from './rent.ts';
import type { CellStats } from './rent.ts';

export type NetworkParams = Omit<Params, 'structVersion' | 'paramsVersion' | 'uniqueId' | 'isTest' | 'proxyCode' | 'workerCode' | 'clientCode'>;

/** Cells of two hundred hashes and proxies, so that a registry that grows does not run out of rent. */
const ROOT_GROWTH: CellStats = { cells: 800, bits: 120_000 };
/** A pool that was written once, and the header. */
const PROXY_GROWTH: CellStats = { cells: 4, bits: 1_000 };
/** For changes of the first years: the root answers each with what is left of its value, a proxy needs some gas to refuse. */
const OPERATION_NANO = 50_000_000n;
const STORAGE_FLOOR_NANO = 10_000_000n;

export interface DeployedNetwork {
  /** Null where the very same contract is there already. */
  readonly plan: Plan | null;
  readonly root: Address;
}

/** A root contract owned by the wallet. The address follows from owner and params. */
export async function deployNetworkPlan(context: PlanContext, globalId: number, wished: NetworkParams): Promise<DeployedNetwork> {
  const params: Params = {
    ...wished, structVersion: CONTRACT_STRUCT_VERSION, paramsVersion: 0, uniqueId: networkUniqueId(globalId, context.wallet), isTest: globalId !== MAINNET.globalId,
    proxyCode: contractCode('proxy'), workerCode: contractCode('worker'), clientCode: contractCode('client'),
  };
  const problems = paramsProblems(params);
  if (problems.length > 0) throw new ConfigError('E_CONFIG', `these params are refused: ${problems.join('; ')}`);
  const root = RootContract.fromStorage(contractCode('root'), { owner: context.wallet, version: 0, sets: EMPTY_SETS, params, keyManager: null, verifiedKeys: null });
  const { account } = await readState(context, root.address, () => null);
  // The address follows from owner, params and code: what is there is what was asked for, perhaps by a command that was interrupted.
  if (account.status === 'active') return { root: root.address, plan: null };
  const init = root.init;
  const valueNano = init === undefined ? 0n : roundUp(STORAGE_FLOOR_NANO + OPERATION_NANO + tenYearsRent(init.code, init.data, ROOT_GROWTH));
  return {
    root: root.address,
    plan: {
      name: `deploy ${root.address.toRawString()}`, warnings: [],
      facts: { root: root.address.toRawString(), owner: context.wallet.toRawString(), uniqueId: String(params.uniqueId) },
      steps: [{ purpose: 'new root contract owned by this wallet, with its rent for ten years', send: (via) => openAt(readsOf(context.access), root).sendDeploy(via, valueNano) }],
    },
  };
}

export interface ProxyStakeWish {
  /** The key with which the proxy signs payments, 32 bytes. */
  readonly publicKey: Uint8Array;
  readonly amountNano: bigint;
}

/** Stake for the proxy contract of this wallet and key, which is deployed first where it is not yet. */
export async function proxyStakePlan(context: PlanContext, root: KnownRoot, { publicKey, amountNano }: ProxyStakeWish): Promise<Plan> {
  const { params } = root.config;
  listedCode(params.proxyCode, 'proxy');
  const problems = paramsProblems(params);
  if (problems.length > 0) throw new ConfigError('E_CONTRACT_STATE', `the network's params are not safe to put stake into: ${problems.join('; ')}`);
  const proxy = ProxyContract.fromIdentity({ owner: context.wallet, publicKey, root: root.address, params });
  const { storage } = await readState(context, proxy.address, (data) => proxyStorage.load(data));
  if (storage !== null && storage.state !== STATE.normal) throw new ConfigError('E_CONTRACT_STATE', `proxy contract ${proxy.address.toString()} is ${stateName(storage.state)}`);
  const stakeNano = (storage?.stakeNano ?? 0n) + amountNano;
  const reads = readsOf(context.access);
  const init = proxy.init;
  return {
    name: `proxy stake ${proxy.address.toRawString()} ${amountNano}`,
    facts: { proxyContract: proxy.address.toRawString(), publicKey: toHex(publicKey), stakeNano: stakeNano.toString() },
    warnings: stakeNano < params.minProxyStakeNano ? [`the stake would be ${formatTon(stakeNano)} TON; clients deposit from ${formatTon(params.minProxyStakeNano)} TON on`] : [],
    steps: [
      ...(storage !== null || init === undefined ? [] : [{
        purpose: 'new proxy contract, with its rent for ten years',
        send: (via: Parameters<Plan['steps'][number]['send']>[0]) =>
          openAt(reads, proxy).sendDeploy(via, roundUp(STORAGE_FLOOR_NANO + OPERATION_NANO + tenYearsRent(init.code, init.data, PROXY_GROWTH))),
      }]),
      {
        purpose: `stake of ${formatTon(amountNano)} TON; spare TON comes back`,
        send: (via, queryId) => openAt(reads, new ProxyContract(proxy.address)).sendIncreaseStake(via, { queryId, valueNano: amountNano + REQUEST_NANO }, amountNano, context.wallet),
      },
    ],
  };
}
