// What the owner of a proxy contract does beside staking (ONCHAIN.md section 8): earnings are withdrawn by anybody for the
// owner, the close is requested by the owner, completed by the proxy's key after the delay.
import type { Address } from '@ton/core';
import { ConfigError, FundsError, UsageError } from '../../core/errors.ts';
import { formatTon } from '../../core/units.ts';
import { STATE } from '../cells/storage.ts';
import { openAt } from '../contracts/provider.ts';
import { ProxyContract } from '../contracts/proxy.ts';
import { REQUEST_NANO } from './client.ts';
import type { ProxyChoice } from './client.ts';
import { readsOf } from './plan.ts';
import type { Plan } from './plan.ts';
import { chainTime, poolOf, readProxy, stateName } from './reading.ts';
import type { KnownProxy, PlanContext } from './reading.ts';

/** Earnings to the proxy's owner. Null where there are none. Throws ConfigError when the contract is closed. */
export async function withdrawProxyPlan(context: PlanContext, choice: ProxyChoice): Promise<Plan | null> {
  const { storage, address } = await readProxy(context, choice.proxy, choice.root);
  const { balanceNano, owner, state } = storage;
  if (state === STATE.closed) throw new ConfigError('E_CONTRACT_STATE', `proxy contract ${address.toString()} is ${stateName(state)}: its earnings were paid out when it closed`);
  if (balanceNano === 0n) return null;
  return {
    name: `proxy withdraw ${address.toRawString()}`,
    facts: { proxyContract: address.toRawString(), owner: owner.toRawString(), withdrawnNano: balanceNano.toString() },
    warnings: owner.equals(context.wallet) ? [] : [`the earnings go to the owner ${owner.toString()}, not to the wallet that sends`],
    steps: [{
      purpose: `withdrawal of ${formatTon(balanceNano)} TON of earnings to the owner; spare TON comes back`,
      send: (via, queryId) => openAt(readsOf(context.access), new ProxyContract(address)).sendPayoutRequest(via, { queryId, valueNano: REQUEST_NANO }, context.wallet),
    }],
  };
}

export interface ProxyClose {
  readonly proxy: KnownProxy;
  /** `request`: the owner's message is to be sent. `delay`: clients and workers are being paid out. `complete`: the key may close. */
  readonly step: 'request' | 'delay' | 'complete' | 'closed';
  /** Unix seconds of the chain from which the close can be completed; null once it is closed. */
  readonly completeFrom: number | null;
  /** What the owner gets when it is complete. */
  readonly paysNano: bigint;
  /** What clients and workers are still owed at most: the pool. */
  readonly poolNano: bigint;
  readonly plan: Plan | null;
  readonly time: number;
}

/** The close as the chain shows it. Throws UsageError where the wallet is not the owner, FundsError where the account cannot pay. */
export async function closeProxyPlan(context: PlanContext, choice: ProxyChoice): Promise<ProxyClose> {
  const proxy = await readProxy(context, choice.proxy, choice.root);
  const { storage, account: { time }, address } = proxy;
  const { state, owner, balanceNano, stakeNano, params, unlockTime } = storage;
  const common = { proxy, paysNano: balanceNano + stakeNano, poolNano: poolOf(proxy), time };
  if (state === STATE.closed) return { ...common, step: 'closed', completeFrom: null, plan: null };
  if (state === STATE.closing) return { ...common, step: time < unlockTime ? 'delay' : 'complete', completeFrom: unlockTime, plan: null };
  if (!owner.equals(context.wallet)) throw new UsageError('E_USAGE', `proxy contract ${address.toString()} belongs to ${owner.toString()}, not to the wallet ${context.wallet.toString()}`, { hint: 'choose the owner\'s wallet with --wallet' });
  if (common.poolNano < 0n) throw new FundsError('E_FUNDS', `proxy contract ${address.toString()} holds less than its stake and earnings`);
  const completeFrom = time + params.proxyDelaySeconds;
  return { ...common, step: 'request', completeFrom, plan: requestPlan(context, address, completeFrom) };
}

function requestPlan(context: PlanContext, address: Address, completeFrom: number): Plan {
  return {
    name: `proxy close ${address.toRawString()}`,
    facts: { proxyContract: address.toRawString(), completeFrom: chainTime(completeFrom) },
    warnings: ['a close cannot be taken back: the proxy takes no new requests, pays its clients and workers, and needs a new contract to go on'],
    steps: [{
      purpose: `request to close; the proxy completes it from about ${chainTime(completeFrom)} on`,
      send: (via, queryId) => openAt(readsOf(context.access), new ProxyContract(address)).sendClose(via, { queryId, valueNano: REQUEST_NANO }, context.wallet),
    }],
  };
}
