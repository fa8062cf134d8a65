// `cocoon localnet start`: a proxy and a node on this machine, as processes of their own. Without --detach they live as
// long as this command, and it ends when one of them does. With --chain-only it is the local chain alone.
import { abortError } from '../core/deadline.ts';
import { DaemonError, UsageError } from '../core/errors.ts';
import { pathExists } from '../core/files.ts';
import { sleep } from '../core/retry.ts';
import { startChain, stopChain } from '../localnet/chain.ts';
import { LOCAL_ROLES, localnetLayout } from '../localnet/layout.ts';
import { localnetStatus, startLocalnet, stopLocalnet } from '../localnet/network.ts';
import { declareChain } from './localnet-run-chain.ts';
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
  readonly chainOnly?: boolean;
}

export function declare(command: Command): void {
  command
    .option('-d, --detach', 'return when everything is ready; stop it with `cocoon localnet stop`')
    .option('--model <file>', 'GGUF file that the node serves (default: the small model that comes with cocoon)')
    .option('--chain-only', 'start the local chain and nothing else');
  declareChain(command);
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
  const { chainOnly = false }: LocalnetStartOptions = options;
  if (chainOnly) return runChainOnly(invocation, layout, hasConfig);
  refuseChainOptions(options);
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

function chainProgram({ context, settings, options }: Invocation, layout: LocalnetLayout, hasConfig: boolean): { command: string; args: string[] } {
  const flags = ([['--port', 'port'], ['--era', 'era'], ['--block-ms', 'blockMs']] as const)
    .flatMap(([flag, name]) => options[name] === undefined ? [] : [flag, String(options[name])]);
  return {
    command: context.self.command,
    args: [...context.self.args, 'localnet', 'run-chain', '--home', settings.home, ...(hasConfig ? ['--config', settings.file] : []), '--run-file', layout.record('chain'), ...flags],
  };
}

/** What would have no effect is refused: a network without its own chain has no port of one. */
function refuseChainOptions(options: Invocation['options']): void {
  for (const name of ['port', 'era', 'blockMs']) {
    if (options[name] !== undefined) throw new UsageError('E_USAGE', `--${name === 'blockMs' ? 'block-ms' : name} is for --chain-only`);
  }
}

async function runChainOnly(invocation: Invocation, layout: LocalnetLayout, hasConfig: boolean): Promise<void> {
  const { context: { signal }, options, out } = invocation;
  await out.note('starting the chain');
  await startChain(layout, chainProgram(invocation, layout, hasConfig), signal);
  const status = (await localnetStatus(layout)).filter(({ role }) => role === 'chain');
  const { detach = false }: LocalnetStartOptions = options;
  if (detach) out.result(statusData(status));
  else await out.event(statusData(status));
  await out.text(await renderStatus(status));
  if (detach) return;
  await out.note('press Ctrl-C to stop it');
  try {
    while ((await localnetStatus(layout)).some(({ role }) => role === 'chain')) {
      await sleep(WATCH_MS, signal).catch(() => {});
      if (signal.aborted) throw abortError(signal);
    }
    throw new DaemonError('E_NOT_RUNNING', 'the local chain has ended', { hint: `its log is ${layout.log('chain')}` });
  } finally {
    await out.note('stopping the chain');
    await stopChain(layout);
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
