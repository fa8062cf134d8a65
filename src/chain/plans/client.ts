// A client's deposit at a proxy contract and its withdrawal (ONCHAIN.md section 9). Refuses to deposit with a proxy that is not
// of this network, is closing, or has less stake than the network asks for (H5).
import type { Address } from '@ton/core';
import { ConfigError, FundsError } from '../../core/errors.ts';
import { formatTon } from '../../core/units.ts';
import { clientStorage, STATE } from '../cells/storage.ts';
import { ClientContract } from '../contracts/client.ts';
import { openAt } from '../contracts/provider.ts';
import { readsOf } from './plan.ts';
import type { Plan } from './plan.ts';
import { chainTime, hasStake, listedCode, readDeployed, readProxy, readState, stateName } from './reading.ts';
import type { KnownProxy, KnownRoot, PlanContext } from './reading.ts';
import { roundUp, tenYearsRent } from './rent.ts';

/** Sent with each request; what is not used comes back. The contract asks for 0.1 TON (ONCHAIN.md section 3.1). */
export const REQUEST_NANO = 300_000_000n;
/** A client or worker contract keeps this much beside its rent (section 2.1). */
export const CHILD_FLOOR_NANO = 110_000_000n;

/** The client contract of a wallet at a proxy contract. */
export function clientOf(proxy: KnownProxy, owner: Address): ClientContract {
  const { publicKey, params } = proxy.storage;
  listedCode(params.clientCode, 'client');
  return ClientContract.fromIdentity({ owner, proxy: proxy.address, proxyPublicKey: publicKey, params });
}

export interface ProxyChoice {
  readonly root: KnownRoot;
  /** Address of the proxy contract. */
  readonly proxy: Address;
}

export async function depositPlan(context: PlanContext, choice: ProxyChoice, amountNano: bigint): Promise<Plan> {
  const proxy = await readProxy(context, choice.proxy, choice.root);
  const { params, state, stakeNano } = proxy.storage;
  if (state !== STATE.normal) throw new ConfigError('E_CONTRACT_STATE', `proxy contract ${choice.proxy.toString()} is ${stateName(state)} and takes no deposits`);
  if (!hasStake(proxy.storage, params)) {
    throw new FundsError('E_FUNDS', `proxy contract ${choice.proxy.toString()} has a stake of ${formatTon(stakeNano)} TON, the network asks for ${formatTon(params.minProxyStakeNano)}`, { hint: 'choose another proxy, or wait until its owner has added stake' });
  }
  const client = clientOf(proxy, context.wallet);
  const { storage } = await readState(context, client.address, (data) => clientStorage.load(data));
  if (storage?.state === STATE.closed) throw new ConfigError('E_CONTRACT_STATE', `client contract ${client.address.toString()} is closed for good`, { hint: 'deposit from another wallet, or with another proxy contract' });
  const reads = readsOf(context.access);
  const deployNano = client.init === undefined ? 0n : roundUp(CHILD_FLOOR_NANO + tenYearsRent(client.init.code, client.init.data));
  const balanceAfter = (storage?.balanceNano ?? 0n) + amountNano;
  return {
    name: `deposit ${client.address.toRawString()} ${amountNano}`,
    facts: { clientContract: client.address.toRawString(), balanceNano: balanceAfter.toString() },
    warnings: [
      ...(balanceAfter < params.minClientStakeNano ? [`the balance would be ${formatTon(balanceAfter)} TON; requests need the client stake of ${formatTon(params.minClientStakeNano)} TON`] : []),
      ...(storage?.state === STATE.closing ? ['the client contract is closing: the deposit can be claimed back, not used'] : []),
    ],
    steps: [
      ...(storage !== null ? [] : [{
        purpose: `new client contract, with its rent for ten years`,
        send: (via: Parameters<Plan['steps'][number]['send']>[0]) => openAt(reads, client).sendDeploy(via, deployNano),
      }]),
      {
        purpose: `deposit of ${formatTon(amountNano)} TON; spare TON comes back`,
        send: (via, queryId) => openAt(reads, new ClientContract(client.address))
          .sendTopUp(via, { queryId, valueNano: amountNano + REQUEST_NANO }, amountNano, context.wallet),
      },
    ],
  };
}

/** Pays out what the client's balance has above its stake. */
export async function withdrawPlan(context: PlanContext, choice: ProxyChoice): Promise<Plan> {
  const proxy = await readProxy(context, choice.proxy, choice.root);
  const client = clientOf(proxy, context.wallet);
  const { storage } = await readDeployed(context, client.address, 'client contract of this wallet', (data) => clientStorage.load(data));
  const { state, balanceNano, stakeNano, unlockTime } = storage;
  if (state !== STATE.normal) {
    const until = state === STATE.closing ? `; the rest can be claimed after ${chainTime(unlockTime)}` : '';
    throw new ConfigError('E_CONTRACT_STATE', `client contract ${client.address.toString()} is ${stateName(state)}${until}`);
  }
  if (balanceNano <= stakeNano) {
    throw new FundsError('E_FUNDS', `nothing can be withdrawn: the balance is ${formatTon(balanceNano)} TON, of which the stake of ${formatTon(stakeNano)} TON stays until the contract is closed`);
  }
  const amountNano = balanceNano - stakeNano;
  return {
    name: `withdraw ${client.address.toRawString()}`,
    facts: { clientContract: client.address.toRawString(), withdrawnNano: amountNano.toString() },
    warnings: [],
    steps: [{
      purpose: `withdrawal of ${formatTon(amountNano)} TON to this wallet; spare TON comes back`,
      send: (via, queryId) => openAt(readsOf(context.access), new ClientContract(client.address)).sendWithdraw(via, { queryId, valueNano: REQUEST_NANO }, context.wallet),
    }],
  };
}
