// `cocoon stake status [OWNER]`: the bond of an operator: stake, state, receipt keys.
import { readBond } from '../chain/plans/bond.ts';
import { chainTime } from '../chain/plans/reading.ts';
import { STATE } from '../chain/cells/storage.ts';
import { NotFoundError } from '../core/errors.ts';
import { formatTon } from '../core/units.ts';
import { networkInUse, requireRoot, withAccess } from './chain.ts';
import { renderTable } from './table-view.ts';
import { accountOf, chooseKey, showContract, showWallet } from './wallets.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

export function declare(command: Command): void {
  command.argument('[owner]', 'name of a wallet, or an address (default: the setting `wallet`, or the only wallet)');
}

export async function run(invocation: Invocation): Promise<void> {
  const { args: [name], settings, context: { signal }, out } = invocation;
  const network = await networkInUse(settings);
  const root = requireRoot(network);
  const owner = (name === undefined ? await chooseKey(invocation, network) : await accountOf(invocation, network, name)).address;
  await withAccess(invocation, network, async (access) => {
    const { address, storage, time } = await readBond({ access, signal }, root, owner);
    if (storage === null) throw new NotFoundError('E_NOT_FOUND', `${showWallet(owner, network)} has no bond in this network`, { hint: 'make one with `cocoon stake add AMOUNT`' });
    const { state, stakeNano, unlockTime, keys } = storage;
    const unbonding = state !== STATE.normal;
    const listed = [...keys].map(([key, until]) => ({ key, inUse: until === 0, endsAt: until === 0 ? null : until }));
    out.result({ bond: address.toRawString(), owner: owner.toRawString(), root: root.toRawString(), state: unbonding ? 'unbonding' : 'bonded', stakeNano: stakeNano.toString(), withdrawFrom: unbonding ? unlockTime : null, time, receiptKeys: listed });
    await out.text(await renderTable(['WHAT', 'VALUE'], [
      ['bond', showContract(address, network)], ['owner', showWallet(owner, network)], ['stake', `${formatTon(stakeNano)} TON`],
      ['state', unbonding ? `unbonding, can be withdrawn from ${chainTime(unlockTime)} on` : 'bonded'],
      ...listed.map(({ key, endsAt }) => ['receipt key', `${key}${endsAt === null ? '' : ` until ${chainTime(endsAt)}`}`]),
    ]));
  });
}
