// Options of commands that ask, and pay for it on a network with contracts.
import { oneOf } from './values.ts';
import { declarePassphrase } from './passphrase.ts';
import type { Command } from 'commander';
import type { SealMode } from '../client/sealed-session.ts';
import type { Invocation } from './command.ts';

const SEAL_MODES = ['require', 'prefer', 'off'] as const;

export function declareSeal(command: Command): void {
  command.option('--seal <mode>', 'require: only what one verified node can read is sent; prefer: says when it goes without; off (default: the setting client.seal)', oneOf(SEAL_MODES));
}

export function declarePaying(command: Command): void {
  declareSeal(command);
  command.option('--wallet <name>', 'wallet that pays (default: the setting client.wallet)');
  declarePassphrase(command);
}

/** How requests of this run are sealed. */
export function sealModeOf({ options, settings }: Pick<Invocation, 'options' | 'settings'>): SealMode {
  const wanted = options['seal'] ?? settings.text('client.seal');
  return SEAL_MODES.find((mode) => mode === wanted) ?? 'require';
}
