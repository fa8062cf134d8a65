// `cocoon network price PRICE FEE`: announces new prices, or executes what was announced a day ago. Owner only.
import { paramsPlan } from '../chain/plans/registry.ts';
import { readRoot } from '../chain/plans/reading.ts';
import { UsageError } from '../core/errors.ts';
import { networkInUse, requireRoot } from './chain.ts';
import { declareSending, sendPlan } from './sending.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

export function declare(command: Command): void {
  command.argument('<price>', 'price of a token in nanoTON').argument('<fee>', 'what the worker gets of it, in nanoTON');
  declareSending(command);
  command.addHelpText('after', '\nThe first call announces the change; the same call after a day executes it.');
}

function nano(text: string): bigint {
  if (!/^\d{1,18}$/.test(text)) throw new UsageError('E_USAGE', `cannot use "${text.slice(0, 40)}": expected a whole number of nanoTON`);
  return BigInt(text);
}

export async function run(invocation: Invocation): Promise<void> {
  const { args: [price = '', fee = ''], settings } = invocation;
  const change = { pricePerTokenNano: nano(price), workerFeePerTokenNano: nano(fee) };
  const network = await networkInUse(settings);
  const root = requireRoot(network);
  await sendPlan(invocation, network, async (context) => paramsPlan(context, await readRoot(context, root), change, { onlyPrices: true }));
}
