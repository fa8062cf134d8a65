// `cocoon proxy stake AMOUNT`: stake for the proxy contract of this wallet, which is deployed first where it is not yet.
import { proxyStakePlan } from '../chain/plans/deploy.ts';
import { readRoot } from '../chain/plans/reading.ts';
import { parseTon } from '../core/units.ts';
import { UsageError } from '../core/errors.ts';
import { pathExists } from '../core/files.ts';
import { networkInUse, requireRoot } from './chain.ts';
import { declareSending, sendPlan } from './sending.ts';
import { paymentKey, proxyFiles } from './proxy-files.ts';
import { bytes32 } from './values.ts';
import type { Command } from 'commander';
import type { ChainNetwork } from '../chain/networks.ts';
import type { Settings } from '../core/settings.ts';
import type { Invocation } from './command.ts';

export function declare(command: Command): void {
  command
    .argument('<amount>', 'TON, for example 10')
    .option('--public-key <key>', 'public half of the key that signs the proxy\'s payments, 32 bytes (default: that of the proxy on this machine)', bytes32);
  declareSending(command);
}

export async function run(invocation: Invocation): Promise<void> {
  const { args: [amount = ''], options, settings } = invocation;
  const amountNano = parseTon(amount);
  if (amountNano === 0n) throw new UsageError('E_USAGE', 'the stake is 0 TON, expected more');
  const network = await networkInUse(settings);
  const publicKey = options['publicKey'] instanceof Uint8Array ? options['publicKey'] : await ownKey(settings, network);
  const root = requireRoot(network);
  await sendPlan(invocation, network, async (context) => proxyStakePlan(context, await readRoot(context, root), { publicKey, amountNano }), 'owner');
}

/** The key of the proxy on this machine. Never made here: stake behind a key that no proxy has would be lost to it. */
async function ownKey({ home }: Settings, network: ChainNetwork): Promise<Uint8Array> {
  const files = proxyFiles(home, network);
  if (await pathExists(files.key)) return (await paymentKey(files)).publicKey;
  throw new UsageError('E_USAGE', `there is no payment key of a proxy of network ${network.name} on this machine`, { hint: 'add --public-key KEY; the proxy makes its key at its first start, and `cocoon proxy start` tells it' });
}
