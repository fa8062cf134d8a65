// `cocoon stake remove`: starts to unbond the stake of this wallet; the same command after the delay withdraws it.
import { removeStakePlan } from '../chain/plans/bond.ts';
import { networkInUse, requireRoot } from './chain.ts';
import { declareSending, sendPlan } from './sending.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

export function declare(command: Command): void {
  declareSending(command);
  command.addHelpText('after', '\nThe first call starts the delay; the same call after it withdraws.');
}

export async function run(invocation: Invocation): Promise<void> {
  const network = await networkInUse(invocation.settings);
  const root = requireRoot(network);
  await sendPlan(invocation, network, (context) => removeStakePlan(context, root));
}
