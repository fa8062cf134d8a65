// `cocoon node reload`: the node reads its settings anew. Price, capacity and alerts are in force at once, without a restart and
// without losing a request; what needs a restart is named. SIGHUP does the same to a node without a terminal.
import { z } from 'zod';
import { askAdmin } from './admin.ts';
import { declareDaemon } from './daemon.ts';
import { requireDaemon } from './daemon-place.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

const Answer = z.object({
  changed: z.array(z.object({ key: z.string(), before: z.string(), after: z.string() })), needRestart: z.array(z.string()), overruled: z.array(z.string()),
});

export function declare(command: Command): void {
  declareDaemon(command);
  command.addHelpText('after', '\nFor example: cocoon config set node.price 1200 && cocoon node reload\nsystemd: ExecReload=/bin/kill -HUP $MAINPID');
}

export async function run(invocation: Invocation): Promise<void> {
  const { out } = invocation;
  await requireDaemon(invocation, 'node');
  const { changed, needRestart, overruled } = await askAdmin(invocation, 'node', '/reload', Answer, {});
  for (const key of overruled) await out.warn(`${key} has changed, but a flag of \`node start\` overrules it`);
  for (const key of needRestart) await out.warn(`${key} has changed and needs a restart`);
  out.result({ changed, needRestart, overruled });
  for (const { key, before, after } of changed) await out.line(`${key}: ${before} → ${after}`);
  if (changed.length === 0) await out.note('nothing has changed');
}
