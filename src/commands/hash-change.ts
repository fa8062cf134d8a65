// What `network allow` and `network revoke` share: a kind and a hash, changed in the root contract unless it is so already.
import { HASH_KINDS, hashPlan } from '../chain/plans/registry.ts';
import { readRoot } from '../chain/plans/reading.ts';
import { toHex } from '../core/bytes.ts';
import { UsageError } from '../core/errors.ts';
import { networkInUse, requireRoot } from './chain.ts';
import { declareSending, sendPlan } from './sending.ts';
import { bytes32 } from './values.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

/** Kept as text: arguments are. */
const hashArgument = (text: string): string => toHex(bytes32(text));

export function declareHashChange(command: Command): void {
  command.argument('<kind>', HASH_KINDS.join(', ')).argument('<hash>', 'image or model hash: 64 hexadecimal digits, or base64', hashArgument);
  declareSending(command);
}

export async function changeHash(invocation: Invocation, allow: boolean): Promise<void> {
  const { args: [kindText = '', hashText = ''], settings } = invocation;
  const kind = HASH_KINDS.find((word) => word === kindText);
  if (kind === undefined) throw new UsageError('E_USAGE', `cannot use kind "${kindText.slice(0, 40)}": expected ${HASH_KINDS.join(', ')}`);
  const change = { kind, hash: bytes32(hashText), allow };
  const network = await networkInUse(settings);
  const root = requireRoot(network);
  await sendPlan(invocation, network, async (context) => hashPlan(context, await readRoot(context, root), change));
}
