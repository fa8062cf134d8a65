// `cocoon localnet stop`: ends every part of the local network. Stopping what does not run is no error.
import { localnetLayout } from '../localnet/layout.ts';
import { stopLocalnet } from '../localnet/network.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

export function declare(_command: Command): void {}

export async function run({ settings, out }: Invocation): Promise<void> {
  const ended = await stopLocalnet(localnetLayout(settings.home));
  out.result({ parts: ended.map(({ role, ended: how }) => ({ role, ended: how ?? 'was not running' })) });
  for (const { role, ended: how } of ended) {
    if (how === 'killed') await out.warn(`the ${role} did not end in time and was killed`);
    await out.note(`${role}: ${how ?? 'was not running'}`);
  }
}
