// `cocoon localnet start`: a proxy and a node on this machine, as processes of their own. Without --detach they live as
// long as this command, and it ends when one of them does.
import { abortError } from '../core/deadline.ts';
import { DaemonError } from '../core/errors.ts';
import { pathExists } from '../core/files.ts';
import { sleep } from '../core/retry.ts';
import { LOCAL_ROLES, localnetLayout } from '../localnet/layout.ts';
import { localnetStatus, startLocalnet, stopLocalnet } from '../localnet/network.ts';
import { renderStatus, statusData } from './localnet-status.ts';
import type { Command } from 'commander';
import type { LocalRole, LocalnetLayout } from '../localnet/layout.ts';
import type { Invocation } from './command.ts';

/** A flood from the same machine is not what a local network is there to stop: the proof of work is done, but easy. */
const POW_BITS = 8;
/** How often the foreground command looks whether every part still runs. */
const WATCH_MS = 500;

interface LocalnetStartOptions {
  readonly detach?: boolean;
  readonly model?: string;
}

export function declare(command: Command): void {
  command
    .option('-d, --detach', 'return when everything is ready; stop it with `cocoon localnet stop`')
    .option('--model <file>', 'GGUF file that the node serves (default: the small model that comes with cocoon)');
}

function programOf(role: LocalRole, { context, settings, options }: Invocation, layout: LocalnetLayout, hasConfig: boolean): { command: string; args: string[] } {
  const { model }: LocalnetStartOptions = options;
  const own = role === 'proxy' ? ['--pow-bits', String(POW_BITS)] : model === undefined ? [] : ['--model', model];
  return {
    command: context.self.command,
    args: [...context.self.args, role, 'start', '--home', settings.home, ...(hasConfig ? ['--config', settings.file] : []), '--network', 'local', '--run-file', layout.record(role), ...own],
  };
}

export async function run(invocation: Invocation): Promise<void> {
  const { settings, context, options, out } = invocation;
  const { detach = false }: LocalnetStartOptions = options;
  const layout = localnetLayout(settings.home);
  const hasConfig = await pathExists(settings.file);
  const status = await startLocalnet(layout, {
    version: context.version,
    program: (role) => programOf(role, invocation, layout, hasConfig),
    signal: context.signal,
    onProgress: (what) => out.note(what),
  });
  if (detach) {
    out.result(statusData(status));
    await out.text(await renderStatus(status));
    return;
  }
  await out.event(statusData(status));
  await out.text(await renderStatus(status));
  await out.note('press Ctrl-C to stop it');
  try {
    await untilPartEnds(layout, context.signal);
  } finally {
    await out.note(`stopping ${[...LOCAL_ROLES].reverse().join(' and ')}`);
    await stopLocalnet(layout);
  }
}

/** Never resolves: throws the signal's reason, or DaemonError when a part is gone. */
async function untilPartEnds(layout: LocalnetLayout, signal: AbortSignal): Promise<never> {
  for (;;) {
    await sleep(WATCH_MS, signal).catch(() => {});
    if (signal.aborted) throw abortError(signal);
    const gone = (await localnetStatus(layout)).find(({ state }) => state === 'stopped');
    if (gone !== undefined) {
      throw new DaemonError('E_NOT_RUNNING', `the ${gone.role} of the local network has ended`, { hint: `its log is ${layout.log(gone.role)}` });
    }
  }
}
