// `cocoon proxy stake AMOUNT`: stake for the proxy contract of this wallet, which is deployed first where it is not yet.
import { proxyStakePlan } from '../chain/plans/deploy.ts';
import { readRoot } from '../chain/plans/reading.ts';
import { parseTon } from '../core/units.ts';
import { UsageError } from '../core/errors.ts';
import { networkInUse, requireRoot } from './chain.ts';
import { declareSending, sendPlan } from './sending.ts';
import { bytes32 } from './values.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

export function declare(command: Command): void {
  command
    .argument('<amount>', 'TON, for example 10')
    .requiredOption('--public-key <key>', 'public half of the key that signs the proxy\'s payments, 32 bytes', bytes32);
  declareSending(command);
}

export async function run(invocation: Invocation): Promise<void> {
  const { args: [amount = ''], options, settings } = invocation;
  const amountNano = parseTon(amount);
  const publicKey = options['publicKey'];
  if (amountNano === 0n || !(publicKey instanceof Uint8Array)) throw new UsageError('E_USAGE', 'the stake is 0 TON, expected more');
  const network = await networkInUse(settings);
  const root = requireRoot(network);
  await sendPlan(invocation, network, async (context) => proxyStakePlan(context, await readRoot(context, root), { publicKey, amountNano }), 'owner');
}
