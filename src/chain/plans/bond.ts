// An operator's stake: the bond contract of a wallet at the network's root (contracts/bond.tolk). Stake goes in at once and comes
// out in two steps: unbonding starts the delay, after it the same command withdraws.
import type { Address } from '@ton/core';
import { ConfigError, UsageError } from '../../core/errors.ts';
import { toHex } from '../../core/bytes.ts';
import { formatTon } from '../../core/units.ts';
import { bondStorage, UNBOND_DELAY_SECONDS } from '../cells/bond.ts';
import type { BondStorage } from '../cells/bond.ts';
import { STATE } from '../cells/storage.ts';
import { contractCode } from '../code.ts';
import { BondContract } from '../contracts/bond.ts';
import { openAt } from '../contracts/provider.ts';
import { REQUEST_NANO } from './client.ts';
import { readsOf } from './plan.ts';
import type { Plan, PlanStep } from './plan.ts';
import { chainTime, readDeployed, readState } from './reading.ts';
import type { PlanContext } from './reading.ts';
import { roundUp, tenYearsRent } from './rent.ts';

/** The contract keeps this much beside stake and rent. */
const STORAGE_FLOOR_NANO = 10_000_000n;

const bondOf = (root: Address, owner: Address): BondContract => BondContract.fromOwner(contractCode('bond'), root, owner);

export interface BondStatus {
  readonly address: Address;
  /** Null where it is not deployed. */
  readonly storage: BondStorage | null;
  /** Unix seconds of the chain. */
  readonly time: number;
}

/** The bond of an owner at a root. */
export async function readBond(reads: Pick<PlanContext, 'access' | 'signal'>, root: Address, owner: Address): Promise<BondStatus> {
  const { address } = bondOf(root, owner);
  const { account, storage } = await readState(reads, address, (data) => bondStorage.load(data));
  return { address, storage, time: account.time };
}

export interface StakeWish {
  /** 0n: only the keys. */
  readonly amountNano: bigint;
  /** Receipt keys to list, 32 bytes each. */
  readonly addKeys: readonly Uint8Array[];
  readonly removeKeys: readonly Uint8Array[];
}

export async function addStakePlan(context: PlanContext, root: Address, { amountNano, addKeys, removeKeys }: StakeWish): Promise<Plan> {
  if (amountNano === 0n && addKeys.length === 0 && removeKeys.length === 0) throw new UsageError('E_USAGE', 'there is nothing to add: expected an amount above 0 or a receipt key');
  const { wallet } = context;
  const bond = bondOf(root, wallet);
  const { storage } = await readState(context, bond.address, (data) => bondStorage.load(data));
  if (storage !== null && storage.state !== STATE.normal && amountNano > 0n) {
    throw new ConfigError('E_CONTRACT_STATE', `bond ${bond.address.toString()} is unbonding until ${chainTime(storage.unlockTime)} and takes no deposits`, { hint: 'withdraw with `cocoon stake remove` when the time has come, then add stake again' });
  }
  const missing = removeKeys.filter((key) => storage?.keys.get(toHex(key)) !== 0);
  if (missing[0] !== undefined) throw new UsageError('E_USAGE', `receipt key ${toHex(missing[0])} is not in use`, { hint: 'run `cocoon stake status` to see the keys' });
  const reads = readsOf(context.access);
  const deployed = new BondContract(bond.address);
  const steps: PlanStep[] = [];
  if (storage === null && bond.init !== undefined) {
    const { code, data } = bond.init;
    steps.push({ purpose: 'new bond contract, with its rent for ten years', send: (via) => openAt(reads, bond).sendDeploy(via, roundUp(STORAGE_FLOOR_NANO + tenYearsRent(code, data))) });
  }
  if (amountNano > 0n) {
    steps.push({
      purpose: `stake of ${formatTon(amountNano)} TON; spare TON comes back`,
      send: (via, queryId) => openAt(reads, deployed).sendDeposit(via, { queryId, valueNano: amountNano + REQUEST_NANO }, amountNano, wallet),
    });
  }
  for (const key of addKeys) {
    steps.push({ purpose: `list receipt key ${toHex(key)}`, send: (via, queryId) => openAt(reads, deployed).sendAddKey(via, { queryId, valueNano: REQUEST_NANO }, key, wallet) });
  }
  for (const key of removeKeys) {
    steps.push({ purpose: `remove receipt key ${toHex(key)}`, send: (via, queryId) => openAt(reads, deployed).sendRemoveKey(via, { queryId, valueNano: REQUEST_NANO }, key, wallet) });
  }
  return {
    name: `stake add ${bond.address.toRawString()} ${amountNano} +${addKeys.map(toHex).join()} -${removeKeys.map(toHex).join()}`,
    facts: { bond: bond.address.toRawString(), stakeNano: ((storage?.stakeNano ?? 0n) + amountNano).toString() },
    warnings: amountNano > 0n ? [`the stake can be withdrawn ${UNBOND_DELAY_SECONDS / 86_400} days after \`cocoon stake remove\`, and slashed for contradicting receipts until then`] : [],
    steps,
  };
}

/** Unbonds, or withdraws once the delay has passed. Throws ConfigError `E_TOO_EARLY` in between. */
export async function removeStakePlan(context: PlanContext, root: Address): Promise<Plan> {
  const { wallet } = context;
  const { address } = bondOf(root, wallet);
  const { storage, account } = await readDeployed(context, address, 'bond of this wallet', (data) => bondStorage.load(data));
  const { state, stakeNano, unlockTime } = storage;
  const contract = openAt(readsOf(context.access), new BondContract(address));
  if (state === STATE.normal) {
    const unlock = account.time + UNBOND_DELAY_SECONDS;
    return {
      name: `stake unbond ${address.toRawString()}`, warnings: [],
      facts: { bond: address.toRawString(), step: 'unbond', stakeNano: stakeNano.toString(), withdrawFrom: chainTime(unlock) },
      steps: [{
        purpose: `start to unbond ${formatTon(stakeNano)} TON; they can be withdrawn from about ${chainTime(unlock)} on`,
        send: (via, queryId) => contract.sendUnbond(via, { queryId, valueNano: REQUEST_NANO }, wallet),
      }],
    };
  }
  if (account.time < unlockTime) {
    throw new ConfigError('E_TOO_EARLY', `bond ${address.toString()} is unbonding: ${formatTon(stakeNano)} TON can be withdrawn from ${chainTime(unlockTime)} on`, { hint: 'run the same command again then' });
  }
  return {
    name: `stake withdraw ${address.toRawString()} ${unlockTime}`, warnings: [],
    facts: { bond: address.toRawString(), step: 'withdraw', stakeNano: stakeNano.toString() },
    steps: [{
      purpose: `withdrawal of ${formatTon(stakeNano)} TON of stake to this wallet; its receipt keys end`,
      send: (via, queryId) => contract.sendWithdraw(via, { queryId, valueNano: REQUEST_NANO }, wallet),
    }],
  };
}
