// `cocoon network params`: announces new prices, delays or stakes, or executes what was announced a day ago. Owner only.
import { paramsPlan } from '../chain/plans/registry.ts';
import { readRoot } from '../chain/plans/reading.ts';
import { UsageError } from '../core/errors.ts';
import { networkInUse, requireRoot } from './chain.ts';
import { declareParams, paramsChange } from './params-options.ts';
import { declareSending, sendPlan } from './sending.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

export function declare(command: Command): void {
  declareParams(command);
  declareSending(command);
  command.addHelpText('after', '\nWhat is not given stays as it is. The first call announces the change; the same call after a day executes it.');
}

export async function run(invocation: Invocation): Promise<void> {
  const change = paramsChange(invocation.options);
  if (Object.keys(change).length === 0) throw new UsageError('E_USAGE', 'no param is to be changed', { hint: 'run `cocoon network params --help`' });
  const network = await networkInUse(invocation.settings);
  const root = requireRoot(network);
  await sendPlan(invocation, network, async (context) => paramsPlan(context, await readRoot(context, root), change, { onlyPrices: false }));
}
