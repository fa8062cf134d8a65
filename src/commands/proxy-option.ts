// --proxy ADDRESS: the proxy contract that a command is about.
import { parseAddress } from '../chain/wallets/address-text.ts';
import { UsageError } from '../core/errors.ts';
import type { Address } from '@ton/core';
import type { Command } from 'commander';
import type { WalletNetwork } from '../chain/wallets/network.ts';
import type { Invocation } from './command.ts';

const DEFAULTS = { deposit: 'the only one that this machine has used', own: 'that of the proxy on this machine' } as const;

/** Left out it is what `chosenProxy` finds. */
export function declareProxy(command: Command, side: keyof typeof DEFAULTS): void {
  command.option('--proxy <address>', `address of the proxy contract (default: ${DEFAULTS[side]})`);
}

/** Throws UsageError when it is no address of this network. */
export function proxyOf({ options }: Pick<Invocation, 'options'>, network: WalletNetwork): Address {
  const text = options['proxy'];
  if (typeof text !== 'string') throw new UsageError('E_USAGE', 'the proxy contract is not named', { hint: 'add --proxy ADDRESS' });
  return parseAddress(text, network).address;
}
