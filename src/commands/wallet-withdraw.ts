// `cocoon wallet withdraw --proxy ADDRESS`: what the deposit at a proxy has above its stake comes back.
import { readRoot } from '../chain/plans/reading.ts';
import { withdrawPlan } from '../chain/plans/client.ts';
import { networkInUse, requireRoot } from './chain.ts';
import { chosenProxy } from './payments.ts';
import { declareProxy } from './proxy-option.ts';
import { declareSending, sendPlan } from './sending.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

export function declare(command: Command): void {
  declareProxy(command, 'deposit');
  declareSending(command);
}

export async function run(invocation: Invocation): Promise<void> {
  const network = await networkInUse(invocation.settings);
  const root = requireRoot(network);
  const proxy = await chosenProxy(invocation, network, 'client');
  await sendPlan(invocation, network, async (context) => withdrawPlan(context, { root: await readRoot(context, root), proxy }), 'client');
}
