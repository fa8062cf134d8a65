// What plans need to know of contracts before they are made: storage from agreed reads, and that a proxy contract is what it says.
import type { Address, Cell } from '@ton/core';
import { ConfigError, NotFoundError, UsageError } from '../../core/errors.ts';
import type { AccountState, TonAccess } from '../access/types.ts';
import { proxyDeployment } from '../addresses.ts';
import { proxyStorage, STATE } from '../cells/storage.ts';
import type { ProxyStorage } from '../cells/storage.ts';
import { rootStorage } from '../cells/root-storage.ts';
import type { RootStorage } from '../cells/root-storage.ts';
import type { Params } from '../cells/params.ts';
import { configOfStorage } from '../root-config.ts';
import type { RootConfig } from '../root-config.ts';

/** What every plan is made with. */
export interface PlanContext {
  readonly access: TonAccess;
  readonly signal: AbortSignal;
  /** The wallet that sends, and gets what is spare. */
  readonly wallet: Address;
}

type Reads = Pick<PlanContext, 'access' | 'signal'>;

export interface ReadState<T> {
  readonly account: AccountState;
  /** Null where nothing is deployed. */
  readonly storage: T | null;
}

/** Agreed state of a contract. Throws NetworkError. */
export async function readState<T>({ access, signal }: Reads, address: Address, load: (data: Cell) => T): Promise<ReadState<T>> {
  const account = await access.account(address, { agreed: true, signal });
  return { account, storage: account.status === 'active' && account.data !== null ? load(account.data) : null };
}

/** Like readState. Throws NotFoundError where nothing is deployed. */
export async function readDeployed<T>(reads: Reads, address: Address, what: string, load: (data: Cell) => T): Promise<{ account: AccountState; storage: T }> {
  const { account, storage } = await readState(reads, address, load);
  if (storage === null) throw new NotFoundError('E_NOT_FOUND', `there is no ${what} at ${address.toString()} (account is ${account.status})`, { hint: 'check the address and the network' });
  return { account, storage };
}

export interface KnownRoot {
  readonly address: Address;
  readonly account: AccountState;
  readonly storage: RootStorage;
  readonly config: RootConfig;
}

export async function readRoot(reads: Reads, address: Address): Promise<KnownRoot> {
  const { account, storage } = await readDeployed(reads, address, 'root contract', (data) => rootStorage.load(data));
  return { address, account, storage, config: configOfStorage(storage) };
}

export interface KnownProxy {
  readonly address: Address;
  readonly account: AccountState;
  readonly storage: ProxyStorage;
}

/**
 * A proxy contract of the network: it names the network's root, runs the proxy code that the root lists, and its address follows
 * from what it says of itself. Throws NotFoundError, or UsageError `E_WRONG_NETWORK` when it is none of this network.
 */
export async function readProxy(reads: Reads, address: Address, root: KnownRoot): Promise<KnownProxy> {
  const { account, storage } = await readDeployed(reads, address, 'proxy contract', (data) => proxyStorage.load(data));
  const { owner, publicKey, params } = storage;
  const refuse = (why: string): never => {
    throw new UsageError('E_WRONG_NETWORK', `${address.toString()} is no proxy contract of this network: ${why}`, { hint: 'do not send TON there' });
  };
  if (!storage.root.equals(root.address)) refuse(`it belongs to the root contract ${storage.root.toString()}`);
  const { proxyCode } = root.config.params;
  if (account.code === null || proxyCode === null || !account.code.hash().equals(proxyCode.hash())) refuse('it runs other code than the root contract lists');
  const derived = proxyDeployment({ owner, publicKey, root: storage.root, params: { ...params, proxyCode } });
  if (!derived.address.equals(address)) refuse('its address does not follow from its data');
  return { address, account, storage };
}

export const stateName = (state: number): string => state === STATE.normal ? 'open' : state === STATE.closing ? 'closing' : 'closed';

/** What a proxy contract holds for its clients and workers: everything but its earnings and its stake (ONCHAIN.md section 13, H1). */
export const poolOf = ({ account, storage }: Pick<KnownProxy, 'account' | 'storage'>): bigint => account.balanceNano - storage.balanceNano - storage.stakeNano;

/** Rent (ONCHAIN.md section 13, H9) may take this much of a proxy's stake before it counts as below the minimum. */
const RENT_ALLOWANCE_NANO = 500_000_000n;

/** True while a proxy's stake is enough to deposit with it (H5). */
export const hasStake = ({ stakeNano }: ProxyStorage, { minProxyStakeNano }: Params): boolean => stakeNano + RENT_ALLOWANCE_NANO >= minProxyStakeNano;

/** Code from the params, which a root contract must list for the network to be usable. Throws ConfigError. */
export function listedCode(code: Cell | null, name: string): Cell {
  if (code === null) throw new ConfigError('E_CONTRACT_STATE', `the root contract lists no code for ${name} contracts`);
  return code;
}

/** Time of the chain for people: UTC, whole seconds. */
export const chainTime = (unixSeconds: number): string => new Date(unixSeconds * 1000).toISOString().replace('.000Z', 'Z');
