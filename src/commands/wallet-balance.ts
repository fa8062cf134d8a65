// `cocoon wallet balance [NAME|ADDRESS]`: what an account holds, from endpoints that agree.
import { formatTon } from '../core/units.ts';
import { networkInUse, withAccess } from './chain.ts';
import { accountOf, chooseKey } from './wallets.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

export function declare(command: Command): void {
  command.argument('[account]', 'name of a wallet, or an address (default: the setting `wallet`, or the only wallet)');
}

export async function run(invocation: Invocation): Promise<void> {
  const { args: [name], settings, context: { signal }, out } = invocation;
  const network = await networkInUse(settings);
  const { address } = name === undefined ? await chooseKey(invocation, network) : await accountOf(invocation, network, name);
  await withAccess(invocation, network, async (access) => {
    const { balanceNano, status, time } = await access.account(address, { agreed: true, signal });
    out.result({ address: address.toRawString(), network: network.name, balanceNano: balanceNano.toString(), status, time });
    await out.line(formatTon(balanceNano));
  });
}
