// `cocoon proxy withdraw`: what a proxy contract has earned goes to its owner.
import { withdrawProxyPlan } from '../chain/plans/proxy.ts';
import { readRoot } from '../chain/plans/reading.ts';
import { networkInUse, requireRoot } from './chain.ts';
import { chosenProxy } from './payments.ts';
import { declareProxy } from './proxy-option.ts';
import { declareSending, sendPlan } from './sending.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

export function declare(command: Command): void {
  declareProxy(command, 'own');
  declareSending(command);
}

export async function run(invocation: Invocation): Promise<void> {
  const network = await networkInUse(invocation.settings);
  const root = requireRoot(network);
  const proxy = await chosenProxy(invocation, network, 'own');
  await sendPlan(invocation, network, async (context) => withdrawProxyPlan(context, { root: await readRoot(context, root), proxy }), 'owner');
}
