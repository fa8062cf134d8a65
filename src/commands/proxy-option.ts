// --proxy ADDRESS: the proxy contract that a command is about.
import { parseAddress } from '../chain/wallets/address-text.ts';
import { UsageError } from '../core/errors.ts';
import type { Address } from '@ton/core';
import type { Command } from 'commander';
import type { WalletNetwork } from '../chain/wallets/network.ts';
import type { Invocation } from './command.ts';

export function declareProxy(command: Command, mandatory: boolean): void {
  if (mandatory) command.requiredOption('--proxy <address>', 'address of the proxy contract');
  else command.option('--proxy <address>', 'address of the proxy contract, to deploy the worker contract with it');
}

/** Throws UsageError when it is no address of this network. */
export function proxyOf({ options }: Pick<Invocation, 'options'>, network: WalletNetwork): Address {
  const text = options['proxy'];
  if (typeof text !== 'string') throw new UsageError('E_USAGE', 'the proxy contract is not named', { hint: 'add --proxy ADDRESS' });
  return parseAddress(text, network).address;
}
