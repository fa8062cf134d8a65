// `cocoon node stop`: lets the node finish what runs, then ends it. Stopping what does not run is no error.
import { runningRecord, stopDaemon } from '../core/daemon-process.ts';
import { CocoonError } from '../core/errors.ts';
import { declareDaemon } from './daemon.ts';
import { findDaemon } from './daemon-place.ts';
import { tellDrain, tellResume, untilDrained } from './draining.ts';
import type { Command } from 'commander';
import type { LocalRole } from '../localnet/layout.ts';
import type { Invocation } from './command.ts';

export function declare(command: Command): void {
  command.option('--now', 'do not wait for requests that run');
  declareDaemon(command);
  command.addHelpText('after', '\nRequests that run are waited for at most --timeout. A node that something else keeps running, as systemd, is started again by it.');
}

export async function run(invocation: Invocation): Promise<void> {
  if (invocation.options['now'] !== true && (await findDaemon(invocation, 'node')).record?.state === 'ready') await finishWork(invocation);
  await stopRole(invocation, 'node');
}

/** Given up with Ctrl-C, the node takes work again. */
async function finishWork(invocation: Invocation): Promise<void> {
  const { drainedSinceMs } = await tellDrain(invocation, false);
  try {
    const left = await untilDrained(invocation, invocation.settings.durationMs('timeout'));
    if (left > 0) await invocation.out.warn(`${left} requests still ran and were cut off`);
  } catch (error) {
    if (drainedSinceMs === null && error instanceof CocoonError && invocation.context.signal.aborted) await tellResume(invocation);
    throw error;
  }
}

/** Ends the daemon of a role. */
export async function stopRole(invocation: Invocation, role: LocalRole): Promise<void> {
  const { out } = invocation;
  const { place } = await findDaemon(invocation, role);
  const ended = await stopDaemon(place);
  if (ended === 'killed') await out.warn(`the ${role} did not end in time and was killed`);
  const again = ended === null ? null : await runningRecord(place);
  if (again !== null) await out.warn(`a ${role} runs again as process ${again.pid}: something keeps it running`);
  out.result({ role, ended: ended ?? 'was not running' });
  await out.line(`${role}: ${ended ?? 'was not running'}`);
}
