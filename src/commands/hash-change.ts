// What `network allow` and `network revoke` share: a kind and a hash, changed in the root contract unless it is so already.
import { HASH_KINDS, hashPlan } from '../chain/plans/registry.ts';
import { readRoot } from '../chain/plans/reading.ts';
import { toHex } from '../core/bytes.ts';
import { UsageError } from '../core/errors.ts';
import { networkInUse, requireRoot, withAccess } from './chain.ts';
import { declareSending, sendPlan } from './sending.ts';
import { bytes32 } from './values.ts';
import { chooseKey } from './wallets.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

export function declareHashChange(command: Command): void {
  command.argument('<kind>', `${HASH_KINDS.join(', ')}`).argument('<hash>', 'image or model hash: 64 hexadecimal digits, or base64', bytes32Argument);
  declareSending(command);
}

/** Kept as text: arguments are. */
const bytes32Argument = (text: string): string => toHex(bytes32(text));

export async function changeHash(invocation: Invocation, allow: boolean): Promise<void> {
  const { args: [kindText = '', hashText = ''], settings, out, context: { signal } } = invocation;
  const kind = HASH_KINDS.find((word) => word === kindText);
  if (kind === undefined) throw new UsageError('E_USAGE', `cannot use kind "${kindText.slice(0, 40)}": expected ${HASH_KINDS.join(', ')}`);
  const change = { kind, hash: bytes32(hashText), allow };
  const network = await networkInUse(settings);
  const root = requireRoot(network);
  const entry = await chooseKey(invocation, network);
  const plan = await withAccess(invocation, network, async (access) => {
    const context = { access, signal, wallet: entry.address };
    return hashPlan(context, await readRoot(context, root), change) === null;
  });
  if (plan) {
    out.result({ status: 'unchanged', kind, hash: toHex(change.hash), allowed: allow });
    await out.note(`${kind} hash ${toHex(change.hash)} is ${allow ? 'allowed already' : 'not allowed'}: nothing to do`);
    return;
  }
  await sendPlan(invocation, network, async (context) => {
    const made = hashPlan(context, await readRoot(context, root), change);
    if (made === null) throw new UsageError('E_USAGE', 'the root contract was changed meanwhile: nothing to do');
    return made;
  });
}
