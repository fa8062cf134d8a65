// `cocoon network unregister-proxy NUMBER`: takes a proxy out of the root contract. Owner only.
import { unregisterProxyPlan } from '../chain/plans/registry.ts';
import { readRoot } from '../chain/plans/reading.ts';
import { UsageError } from '../core/errors.ts';
import { networkInUse, requireRoot } from './chain.ts';
import { declareSending, sendPlan } from './sending.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

export function declare(command: Command): void {
  command.argument('<number>', 'number of the proxy in `cocoon network show`');
  declareSending(command);
}

export async function run(invocation: Invocation): Promise<void> {
  const { args: [text = ''], settings } = invocation;
  const number = Number(text);
  // The highest number is that of a pending change, which is no proxy.
  if (!/^\d{1,10}$/.test(text) || number >= 0xffff_ffff) throw new UsageError('E_USAGE', `cannot use "${text.slice(0, 40)}": expected the number of a proxy`);
  const network = await networkInUse(settings);
  const root = requireRoot(network);
  await sendPlan(invocation, network, async (context) => unregisterProxyPlan(context, await readRoot(context, root), number));
}
