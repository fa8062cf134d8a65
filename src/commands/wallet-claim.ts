// `cocoon wallet claim --payment FILE`: delivers a payout that a proxy has signed; the contract pays the worker's owner.
import { resolve } from 'node:path';
import { readRoot } from '../chain/plans/reading.ts';
import { claimPlan, MAX_PAYMENT_FILE_BYTES, paymentOfFile } from '../chain/plans/worker.ts';
import { readBounded } from '../core/files.ts';
import { networkInUse, requireRoot } from './chain.ts';
import { declareProxy, proxyOf } from './proxy-option.ts';
import { declareSending, sendPlan } from './sending.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

export function declare(command: Command): void {
  command.requiredOption('--payment <file>', 'the signed payment, as its bytes or their base64');
  declareProxy(command, false);
  declareSending(command);
}

export async function run(invocation: Invocation): Promise<void> {
  const { settings, options, context } = invocation;
  const payment = paymentOfFile(await readBounded(resolve(context.cwd, String(options['payment'])), MAX_PAYMENT_FILE_BYTES));
  const network = await networkInUse(settings);
  const root = requireRoot(network);
  const proxy = options['proxy'] === undefined ? null : proxyOf(invocation, network);
  await sendPlan(invocation, network, async (plan) => claimPlan(plan, payment, proxy === null ? null : { root: await readRoot(plan, root), proxy }));
}
