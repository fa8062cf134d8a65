// `cocoon wallet deposit AMOUNT --proxy ADDRESS`: credit with one proxy, in the client contract of this wallet.
import { readRoot } from '../chain/plans/reading.ts';
import { depositPlan } from '../chain/plans/client.ts';
import { parseTon } from '../core/units.ts';
import { UsageError } from '../core/errors.ts';
import { networkInUse, requireRoot } from './chain.ts';
import { chosenProxy } from './payments.ts';
import { declareProxy } from './proxy-option.ts';
import { declareSending, sendPlan } from './sending.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

export function declare(command: Command): void {
  command.argument('<amount>', 'TON, for example 5');
  declareProxy(command, 'deposit');
  declareSending(command);
}

export async function run(invocation: Invocation): Promise<void> {
  const { args: [amount = ''], settings } = invocation;
  const amountNano = parseTon(amount);
  if (amountNano === 0n) throw new UsageError('E_USAGE', 'the deposit is 0 TON, expected more');
  const network = await networkInUse(settings);
  const root = requireRoot(network);
  const proxy = await chosenProxy(invocation, network, 'client');
  await sendPlan(invocation, network, async (context) => depositPlan(context, { root: await readRoot(context, root), proxy }, amountNano), 'client');
}
