// `cocoon stake add [AMOUNT]`: an operator's stake into the bond of this wallet, and the receipt keys that it answers for.
import { addStakePlan } from '../chain/plans/bond.ts';
import { parseTon } from '../core/units.ts';
import { networkInUse, requireRoot } from './chain.ts';
import { declareSending, sendPlan } from './sending.ts';
import { bytes32, repeated } from './values.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

interface AddOptions {
  readonly receiptKey?: readonly Uint8Array[];
  readonly dropKey?: readonly Uint8Array[];
}

export function declare(command: Command): void {
  command
    .argument('[amount]', 'TON, for example 100 (default: 0, for keys only)')
    .option('--receipt-key <key>', 'public key that signs receipts, 32 bytes; may be repeated', repeated(bytes32))
    .option('--drop-key <key>', 'public key that signs no more; it counts for the delay of unbonding', repeated(bytes32));
  declareSending(command);
}

export async function run(invocation: Invocation): Promise<void> {
  const { args: [amount], options, settings } = invocation;
  const { receiptKey = [], dropKey = [] }: AddOptions = options;
  const wish = { amountNano: amount === undefined ? 0n : parseTon(amount), addKeys: receiptKey, removeKeys: dropKey };
  const network = await networkInUse(settings);
  const root = requireRoot(network);
  await sendPlan(invocation, network, (context) => addStakePlan(context, root, wish));
}
