// Options for the params of a network that its owner can choose: prices, delays, least stakes.
import { nanoAmount, secondsOption, tonAmount } from './values.ts';
import type { Command } from 'commander';
import type { ParamsChange } from '../chain/plans/registry.ts';
import type { Invocation } from './command.ts';

/** `defaults`: what the help says of each, in the order of the options; absent where they stay as they are. */
export function declareParams(command: Command, defaults: readonly string[] = []): void {
  const or = (index: number): string => defaults[index] === undefined ? '' : ` (default: ${defaults[index]})`;
  command
    .option('--price <nano>', `price of a token in nanoTON${or(0)}`, nanoAmount)
    .option('--worker-fee <nano>', `what the worker gets of it${or(1)}`, nanoAmount)
    .option('--proxy-delay <time>', `how long a proxy contract takes to close${or(2)}`, secondsOption)
    .option('--client-delay <time>', `how long a client waits for a forced claim${or(3)}`, secondsOption)
    .option('--min-proxy-stake <ton>', `least stake of a proxy contract${or(4)}`, tonAmount(true))
    .option('--min-client-stake <ton>', `least stake of a client contract${or(5)}`, tonAmount(true));
}

const NAMES = {
  price: 'pricePerTokenNano', workerFee: 'workerFeePerTokenNano', proxyDelay: 'proxyDelaySeconds',
  clientDelay: 'clientDelaySeconds', minProxyStake: 'minProxyStakeNano', minClientStake: 'minClientStakeNano',
} as const satisfies Record<string, keyof ParamsChange>;

/** The params that were given. */
export function paramsChange(options: Invocation['options']): ParamsChange {
  return Object.fromEntries(Object.entries(NAMES).flatMap(([option, name]) => options[option] === undefined ? [] : [[name, options[option]]]));
}
