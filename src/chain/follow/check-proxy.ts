// That a proxy which says who it is owns a contract that can be trusted with money: its address follows from its key, its
// owner, the root contract and the root's params; it is deployed with the code that the root lists, open, and has its stake.
import { Address } from '@ton/core';
import { equalBytes } from '../../core/bytes.ts';
import { ConfigError, FundsError, NetworkError } from '../../core/errors.ts';
import { formatTon } from '../../core/units.ts';
import type { TonAccess } from '../access/types.ts';
import { proxyDeployment } from '../addresses.ts';
import { proxyStorage, STATE } from '../cells/storage.ts';
import type { ProxyStorage } from '../cells/storage.ts';
import { hasStake, listedCode, readState, stateName } from '../plans/reading.ts';
import type { RootFollower, RootView } from './root-follower.ts';

/** What a proxy says about itself; addresses as text. */
export interface SaidIdentity {
  readonly publicKey: Uint8Array;
  readonly ownerAddress: string;
  readonly contractAddress: string;
}

export interface CheckedProxy {
  readonly address: Address;
  /** Payment key, 32 bytes. */
  readonly publicKey: Uint8Array;
  readonly storage: ProxyStorage;
  /** The view that it was checked against. */
  readonly root: RootView;
}

export interface CheckProxyOptions {
  readonly access: TonAccess;
  readonly root: RootFollower;
  readonly signal: AbortSignal;
}

/**
 * Throws NetworkError `E_PROTOCOL` where an address does not follow, `E_CHAIN_STALE` and the errors of TonAccess; ConfigError
 * `E_CONTRACT_STATE` where the contract is not deployed, runs other code or is closing; FundsError where its stake is too small.
 */
export async function checkProxyContract(said: SaidIdentity, { access, root, signal }: CheckProxyOptions): Promise<CheckedProxy> {
  const owner = parseSaid(said.ownerAddress, 'owner');
  const address = parseSaid(said.contractAddress, 'contract');
  const { publicKey } = said;
  const follows = ({ address: rootAddress, config: { params } }: RootView): boolean => {
    listedCode(params.proxyCode, 'proxy');
    return proxyDeployment({ owner, publicKey, root: rootAddress, params }).address.equals(address);
  };
  let view = root.current();
  // The proxy may have seen a change of the params before this side.
  if (!follows(view)) view = await root.refresh(signal);
  if (!follows(view)) {
    throw new NetworkError('E_PROTOCOL', `proxy contract ${address.toString()} does not follow from the proxy's key, its owner and the params of root contract ${view.address.toString()}`, {
      hint: 'the proxy is of another network, or has not followed a change of the params yet',
    });
  }
  const { account, storage } = await readState({ access, signal }, address, (data) => proxyStorage.load(data));
  const refuse = (why: string): never => { throw new ConfigError('E_CONTRACT_STATE', `proxy contract ${address.toString()} ${why}`, { hint: 'use another proxy' }); };
  const { params } = view.config;
  if (storage === null) return refuse(`is not deployed (account is ${account.status})`);
  if (account.code?.hash().equals(listedCode(params.proxyCode, 'proxy').hash()) !== true) refuse('runs other code than the root contract lists');
  if (!storage.owner.equals(owner) || !equalBytes(storage.publicKey, publicKey) || !storage.root.equals(view.address)) refuse('says something else than the proxy about key, owner or root');
  if (storage.state !== STATE.normal) refuse(`is ${stateName(storage.state)}`);
  if (!hasStake(storage, params)) {
    throw new FundsError('E_FUNDS', `proxy contract ${address.toString()} has a stake of ${formatTon(storage.stakeNano)} TON, the network asks for ${formatTon(params.minProxyStakeNano)}`, {
      hint: 'use another proxy, or wait until its owner has added stake',
    });
  }
  return { address, publicKey, storage, root: view };
}

/** An address as a peer wrote it. Throws NetworkError `E_PROTOCOL`. */
export function parseSaid(text: string, what: string): Address {
  try {
    return Address.parse(text);
  } catch (cause) {
    throw new NetworkError('E_PROTOCOL', `the proxy's ${what} ${JSON.stringify(text.slice(0, 80))} is no address`, { cause });
  }
}
