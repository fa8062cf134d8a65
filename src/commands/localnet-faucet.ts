// `cocoon localnet faucet ADDRESS AMOUNT`: TON out of nothing, on the local chain only.
import { chainAdmin } from '../localnet/chain.ts';
import { localnetLayout } from '../localnet/layout.ts';
import { formatTon, parseTon } from '../core/units.ts';
import { accountOf } from './wallets.ts';
import { networksOf } from './chain.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

export function declare(command: Command): void {
  command
    .argument('<address>', 'account that receives, or the name of a wallet')
    .argument('<amount>', 'TON, for example 100 or 1.5')
    .option('--id <id>', 'name of this gift: asked for again, it is not given again');
}

export async function run(invocation: Invocation): Promise<void> {
  const { args: [name = '', amount = ''], settings, options, out } = invocation;
  const amountNano = parseTon(amount);
  const layout = localnetLayout(settings.home);
  const admin = await chainAdmin(layout);
  const { address, text } = await accountOf(invocation, await networksOf(settings).get('local'), name);
  const id = typeof options['id'] === 'string' ? { key: options['id'] } : {};
  const receipt = await admin.faucet(address, amountNano, id);
  out.result({ to: address.toRawString(), amountNano: amountNano.toString(), ...receipt });
  await out.line(`${formatTon(amountNano)} TON to ${text}, block ${receipt.seqno}`);
}
