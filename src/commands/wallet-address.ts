// `cocoon wallet address [NAME]`: where to send TON to.
import { networkInUse } from './chain.ts';
import { chooseKey, showWallet } from './wallets.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

export function declare(command: Command): void {
  command.argument('[name]', 'name of the wallet (default: the setting `wallet`, or the only one)');
}

export async function run(invocation: Invocation): Promise<void> {
  const { args: [name], settings, out } = invocation;
  const network = await networkInUse(settings);
  const { label, kind, address, owner } = await chooseKey(invocation, network, name);
  const text = showWallet(address, network);
  out.result({ name: label, kind, network: network.name, address: text, raw: address.toRawString(), owner: owner?.toRawString() ?? null });
  await out.line(text);
}
