// `cocoon node drain`: the node takes no new requests and finishes what runs; it stays so, also after a restart, until `node resume`.
import { NetworkError } from '../core/errors.ts';
import { declareDaemon } from './daemon.ts';
import { requireDaemon } from './daemon-place.ts';
import { tellDrain, untilDrained } from './draining.ts';
import { readNodeState } from './node-status.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

export function declare(command: Command): void {
  command.option('--no-wait', 'return at once, not when nothing runs any more (which is waited for at most --timeout)');
  declareDaemon(command);
}

export async function run(invocation: Invocation): Promise<void> {
  const { out, options, settings } = invocation;
  await requireDaemon(invocation, 'node');
  let state = await tellDrain(invocation, true);
  out.result(state);
  if (options['wait'] !== false) {
    const left = await untilDrained(invocation, settings.durationMs('timeout'));
    if (left > 0) throw new NetworkError('E_TIMEOUT', `${left} requests still run; the node takes nothing new`, { hint: 'run the same command again to wait longer' });
    state = await readNodeState(invocation);
    out.result(state);
  }
  await out.line(`${state.state}: it takes no work until \`cocoon node resume\``);
}
