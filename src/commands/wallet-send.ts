// `cocoon wallet send TO AMOUNT`: a transfer, exactly once.
import { transferPlan } from '../chain/plans/transfer.ts';
import { parseTon } from '../core/units.ts';
import { networkInUse } from './chain.ts';
import { declareSending, sendPlan } from './sending.ts';
import { accountOf } from './wallets.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

export function declare(command: Command): void {
  command
    .argument('<to>', 'address, or the name of a wallet')
    .argument('<amount>', 'TON, for example 1.5, or all')
    .option('--comment <text>', 'text that the receiver sees; everybody can read it');
  declareSending(command);
}

export async function run(invocation: Invocation): Promise<void> {
  const { args: [name = '', amount = ''], settings, options } = invocation;
  const valueNano = amount === 'all' ? 'all' : parseTon(amount);
  const comment = typeof options['comment'] === 'string' ? options['comment'] : undefined;
  const network = await networkInUse(settings);
  const to = await accountOf(invocation, network, name);
  await sendPlan(invocation, network, (context) => transferPlan(context, { to, valueNano, comment }));
}
