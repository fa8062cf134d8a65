// `cocoon localnet start`: a chain with the contracts, a proxy and a node on this machine, as processes of their own. Without
// --detach they live as long as this command, and it ends when one of them does. --unpaid leaves chain and contracts out,
// --chain-only everything else.
import { abortError } from '../core/deadline.ts';
import { DaemonError, UsageError } from '../core/errors.ts';
import { pathExists } from '../core/files.ts';
import { sleep } from '../core/retry.ts';
import { chainAdmin, recordLocalRoot, startChain, stopChain } from '../localnet/chain.ts';
import { LOCAL_ROLES, localnetLayout } from '../localnet/layout.ts';
import { localnetStatus, startLocalnet, stopLocalnet } from '../localnet/network.ts';
import { readPassphrase } from '../chain/keystore/passphrase.ts';
import { ensureLocalPassphrase } from '../localnet/wallets.ts';
import { networksOf, withAccess } from './chain.ts';
import { localMoney } from './localnet-money.ts';
import { declareChain } from './localnet-run-chain.ts';
import { paymentKey, proxyFiles, retireProxyFiles } from './proxy-files.ts';
import { modelHash, servedModel } from './served-model.ts';
import { renderStatus, statusData } from './localnet-status.ts';
import type { Command } from 'commander';
import type { LocalRole, LocalnetDescription, LocalnetLayout } from '../localnet/layout.ts';
import type { RoleStatus } from '../localnet/network.ts';
import type { Invocation } from './command.ts';

/** A flood from the same machine is not what a local network is there to stop: the proof of work is done, but easy. */
const POW_BITS = 8;
/** How often the foreground command looks whether every part still runs. */
const WATCH_MS = 500;

interface LocalnetStartOptions {
  readonly detach?: boolean;
  readonly model?: string;
  readonly chainOnly?: boolean;
  readonly unpaid?: boolean;
}

export function declare(command: Command): void {
  command
    .option('-d, --detach', 'return when everything is ready; stop it with `cocoon localnet stop`')
    .option('--model <file>', 'GGUF file that the node serves (default: the small model that comes with cocoon)')
    .option('--unpaid', 'without chain and contracts: nobody pays and nobody is paid')
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
  const { detach = false, chainOnly = false, unpaid = false }: LocalnetStartOptions = options;
  const layout = localnetLayout(settings.home);
  const hasConfig = await pathExists(settings.file);
  if (chainOnly && unpaid) throw new UsageError('E_USAGE', 'cannot use both --chain-only and --unpaid');
  if (chainOnly) return runChainOnly(invocation, layout, hasConfig);
  if (unpaid) refuseChainOptions(options);
  const start = (prepare?: (description: LocalnetDescription) => Promise<void>): Promise<RoleStatus[]> => startLocalnet(layout, {
    version: context.version, payments: unpaid ? 'none' : 'chain',
    program: (role) => programOf(role, invocation, layout, hasConfig),
    signal: context.signal,
    onProgress: (what) => out.note(what),
    ...(prepare !== undefined && { prepare }),
  });
  const status = unpaid ? await start() : await startPaid(invocation, layout, hasConfig, start);
  const money = unpaid ? null : await localMoney(invocation);
  if (unpaid) await out.note('nobody is paid on this network: it was started with --unpaid');
  if (detach) out.result(statusData(status, money));
  else await out.event(statusData(status, money));
  await out.text(await renderStatus(status, money));
  if (detach) return;
  await out.note('press Ctrl-C to stop it');
  try {
    await untilPartEnds(layout, context.signal);
  } finally {
    await out.note(`stopping ${[...LOCAL_ROLES].reverse().join(' and ')}`);
    await stopLocalnet(layout);
  }
}

/** The chain first, then what the roles need on it, then the roles. A chain that this call started is stopped again when it fails. */
async function startPaid(invocation: Invocation, layout: LocalnetLayout, hasConfig: boolean, start: (prepare: (description: LocalnetDescription) => Promise<void>) => Promise<RoleStatus[]>): Promise<RoleStatus[]> {
  const { context: { signal }, out } = invocation;
  const wasRunning = (await localnetStatus(layout)).some(({ role, state }) => role === 'chain' && state !== 'stopped');
  if (!wasRunning) await out.note('starting the chain');
  await startChain(layout, chainProgram(invocation, layout, hasConfig), signal);
  try {
    return await start((description) => prepareMoney(invocation, layout, description));
  } catch (error) {
    if (!wasRunning) await stopChain(layout);
    throw error;
  }
}

async function prepareMoney(invocation: Invocation, layout: LocalnetLayout, description: LocalnetDescription): Promise<void> {
  const { settings, context, options, out } = invocation;
  const { model }: LocalnetStartOptions = options;
  const { isProxyClosed, setUpMoney } = await import('../localnet/money.ts');
  const network = await networksOf(settings).get('local');
  const passphrase = await readPassphrase({ kind: 'file', path: await ensureLocalPassphrase(layout) }, { subject: 'the local network', purpose: 'unlock' }, { env: context.env });
  const { fullName } = await servedModel({ cwd: context.cwd, signal: context.signal, home: settings.home }, model);
  const files = proxyFiles(settings.home, network);
  await withAccess(invocation, network, async (access) => {
    let { publicKey } = await paymentKey(files);
    const isStopped = (await localnetStatus(layout)).some(({ role, state }) => role === 'proxy' && state === 'stopped');
    if (isStopped && await isProxyClosed({ access, network, home: settings.home, root: network.root, signal: context.signal }, publicKey)) {
      await out.note('the proxy contract was closed: the proxy begins a new one');
      await retireProxyFiles(files, publicKey);
      ({ publicKey } = await paymentKey(files));
    }
    await setUpMoney({
      access, network, description, passphrase, home: settings.home, root: network.root, admin: await chainAdmin(layout), modelHash: modelHash(fullName), paymentKey: publicKey,
      recordRoot: (root) => recordLocalRoot(layout, root), onProgress: (what) => out.note(what), signal: context.signal,
    });
  });
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
    if (options[name] !== undefined) throw new UsageError('E_USAGE', `--${name === 'blockMs' ? 'block-ms' : name} is for the chain, and --unpaid has none`);
  }
}

async function runChainOnly(invocation: Invocation, layout: LocalnetLayout, hasConfig: boolean): Promise<void> {
  const { context: { signal }, options, out } = invocation;
  await out.note('starting the chain');
  await startChain(layout, chainProgram(invocation, layout, hasConfig), signal);
  const status = (await localnetStatus(layout)).filter(({ role }) => role === 'chain');
  const { detach = false }: LocalnetStartOptions = options;
  if (detach) out.result(statusData(status, null));
  else await out.event(statusData(status, null));
  await out.text(await renderStatus(status, null));
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
