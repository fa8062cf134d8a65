// `cocoon network deploy`: a root contract of one's own, owned by the wallet; the network remembers it.
import { deployNetworkPlan } from '../chain/plans/deploy.ts';
import { MULTIPLIER_ONE } from '../chain/cells/params.ts';
import { recordLocalRoot } from '../localnet/chain.ts';
import { localnetLayout } from '../localnet/layout.ts';
import { ConfigError } from '../core/errors.ts';
import { NANO_PER_TON } from '../core/units.ts';
import { networkInUse, networksOf } from './chain.ts';
import { declareParams, paramsChange } from './params-options.ts';
import { declareSending, sendPlan } from './sending.ts';
import { wholeNumber } from './values.ts';
import { showContract } from './wallets.ts';
import type { Address } from '@ton/core';
import type { Command } from 'commander';
import type { ChainNetwork } from '../chain/networks.ts';
import type { NetworkParams } from '../chain/plans/deploy.ts';
import type { Invocation } from './command.ts';

const DAY_SECONDS = 86_400;
/** What a new network starts with where nothing else is asked for. The proxy's delay leaves clients a day to claim. */
const DEFAULTS: NetworkParams = {
  pricePerTokenNano: 2n, workerFeePerTokenNano: 1n, promptMultiplier: MULTIPLIER_ONE, cachedMultiplier: MULTIPLIER_ONE, completionMultiplier: MULTIPLIER_ONE,
  reasoningMultiplier: MULTIPLIER_ONE, proxyDelaySeconds: 2 * DAY_SECONDS, clientDelaySeconds: DAY_SECONDS, minProxyStakeNano: NANO_PER_TON, minClientStakeNano: NANO_PER_TON,
};
const MULTIPLIERS = ['prompt', 'cached', 'completion', 'reasoning'] as const;

export function declare(command: Command): void {
  declareParams(command, ['2', '1', '2d', '1d', '1', '1']);
  for (const kind of MULTIPLIERS) command.option(`--${kind}-multiplier <n>`, `price of ${kind} tokens in ten-thousandths of the price (default: ${MULTIPLIER_ONE})`, wholeNumber(0, 1_000_000_000));
  declareSending(command);
}

function multipliers(options: Invocation['options']): Partial<NetworkParams> {
  return Object.fromEntries(MULTIPLIERS.flatMap((kind) => options[`${kind}Multiplier`] === undefined ? [] : [[`${kind}Multiplier`, options[`${kind}Multiplier`]]]));
}

export async function run(invocation: Invocation): Promise<void> {
  const { settings, options, out } = invocation;
  const network = await networkInUse(settings);
  if (network.kind === 'built-in' || network.root !== null) {
    throw new ConfigError('E_CONFIG', network.root === null ? `network "${network.name}" is built in and keeps no root contract of yours` : `network "${network.name}" has a root contract already`, {
      hint: 'add a network without --root, and deploy with --network NAME',
    });
  }
  let root: Address | undefined;
  const outcome = await sendPlan(invocation, network, async (context) => {
    const deployed = await deployNetworkPlan(context, network.globalId, { ...DEFAULTS, ...multipliers(options), ...paramsChange(options) });
    root = deployed.root;
    return deployed.plan;
  });
  if (outcome === 'dry-run' || root === undefined) return;
  await record(invocation, network, root);
  if (outcome === 'unchanged') out.result({ status: 'unchanged', root: root.toRawString() });
  await out.note(outcome !== 'unsigned' ? `network ${network.name} has its root contract ${showContract(root, network)}` : 'the root contract is remembered; it exists once the transaction was signed and sent');
}

async function record({ settings }: Invocation, network: ChainNetwork, root: Address): Promise<void> {
  if (network.kind === 'local') await recordLocalRoot(localnetLayout(settings.home), root);
  else await networksOf(settings).recordRoot(network.name, root);
}
