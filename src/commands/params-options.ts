// Options for the params of a network that its owner can choose: prices, delays, least stakes.
import { nanoAmount, secondsOption, tonAmount } from './values.ts';
import type { Command } from 'commander';
import type { ParamsChange } from '../chain/plans/registry.ts';
import type { Invocation } from './command.ts';

/** `defaults`: what the help says of all of them. */
export function declareParams(command: Command, defaults: string): void {
  command
    .option('--price <nano>', 'price of a token in nanoTON', nanoAmount)
    .option('--worker-fee <nano>', 'what the worker gets of it', nanoAmount)
    .option('--proxy-delay <time>', 'how long a proxy contract takes to close', secondsOption)
    .option('--client-delay <time>', 'how long a client waits for a forced claim', secondsOption)
    .option('--min-proxy-stake <ton>', 'least stake of a proxy contract', tonAmount(true))
    .option('--min-client-stake <ton>', 'least stake of a client contract', tonAmount(true))
    .addHelpText('after', `\nDefaults of prices, delays and stakes: ${defaults}`);
}

const NAMES = {
  price: 'pricePerTokenNano', workerFee: 'workerFeePerTokenNano', proxyDelay: 'proxyDelaySeconds',
  clientDelay: 'clientDelaySeconds', minProxyStake: 'minProxyStakeNano', minClientStake: 'minClientStakeNano',
} as const satisfies Record<string, keyof ParamsChange>;

/** The params that were given. */
export function paramsChange(options: Invocation['options']): ParamsChange {
  return Object.fromEntries(Object.entries(NAMES).flatMap(([option, name]) => options[option] === undefined ? [] : [[name, options[option]]]));
}
