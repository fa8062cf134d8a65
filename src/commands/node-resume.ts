// `cocoon node resume`: a node that was drained takes work again.
import { declareDaemon } from './daemon.ts';
import { requireDaemon } from './daemon-place.ts';
import { tellResume } from './draining.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

export function declare(command: Command): void {
  declareDaemon(command);
}

export async function run(invocation: Invocation): Promise<void> {
  await requireDaemon(invocation, 'node');
  const state = await tellResume(invocation);
  invocation.out.result(state);
  await invocation.out.line(`${state.state}: it takes work`);
}
