// `cocoon proxy stop`: ends the proxy of this machine in order: what is booked is signed and its ledger closed.
import { declareDaemon } from './daemon.ts';
import { stopRole } from './node-stop.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

export function declare(command: Command): void {
  declareDaemon(command);
}

export const run = (invocation: Invocation): Promise<void> => stopRole(invocation, 'proxy');
