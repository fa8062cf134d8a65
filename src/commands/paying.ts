// Options of commands that pay for what they ask on a network with contracts.
import { declarePassphrase } from './passphrase.ts';
import type { Command } from 'commander';

export function declarePaying(command: Command): void {
  command.option('--wallet <name>', 'wallet that pays (default: the setting client.wallet)');
  declarePassphrase(command);
}
