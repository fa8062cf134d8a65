// `cocoon node start`: loads a model and serves it through the network's proxies until it is stopped.
import { availableParallelism } from 'node:os';
import { loadLlamaEngine } from '../node/engine/llama-engine.ts';
import { startNode } from '../node/node.ts';
import { unpaidAccounts } from '../node/unpaid-accounts.ts';
import { declareDaemon, runDaemon } from './daemon.ts';
import { declareDetach, detach } from './detach.ts';
import { joinNetwork } from './network.ts';
import { openNodeDaemon } from './node-daemon.ts';
import { openNodeMoney } from './node-money.ts';
import { openNodeSealing } from './node-sealing.ts';
import { requireListedImage, requireListedModel } from './paid-role.ts';
import { declarePassphrase } from './passphrase.ts';
import { servedModel } from './served-model.ts';
import { boundedSetting, hostPort, repeated, tonAmount, wholeNumber } from './values.ts';
import type { Command } from 'commander';
import type { Log } from '../core/log.ts';
import type { Engine } from '../node/engine.ts';
import type { ProxySource } from '../node/node.ts';
import type { RunningRole } from './daemon.ts';
import type { Invocation } from './command.ts';
import type { JoinedNetwork } from './network.ts';
import type { ServedModel } from './served-model.ts';
import type { HostPort } from './values.ts';

const DEFAULT_PARALLEL = 4;
/** Least and most of what flags and settings may ask for. */
const THREADS = [1, 1_024] as const;
const PARALLEL = [1, 256] as const;
const CTX = [16, 10_000_000] as const;

interface NodeStartOptions {
  readonly model?: string;
  readonly name?: string;
  readonly proxy?: readonly HostPort[];
  readonly threads?: number;
  readonly parallel?: number;
  readonly ctx?: number;
  readonly price?: number;
}

export function declare(command: Command): void {
  command
    .option('--model <model>', 'model of `models list --local`, or a GGUF file (default: the small model that comes with cocoon)')
    .option('--name <name>', 'name under which it is served (default: the file\'s name)')
    .option('--proxy <host:port>', 'proxy to serve; may be repeated (default: the network\'s)', repeated(hostPort))
    .option('--threads <n>', 'CPU threads of the engine (default: the setting engine.threads)', wholeNumber(...THREADS))
    .option('--parallel <n>', 'requests answered at the same time (default: the setting engine.parallel)', wholeNumber(...PARALLEL))
    .option('--ctx <n>', 'tokens of context of each request (default: the setting engine.ctx)', wholeNumber(...CTX))
    .option('--price <n>', 'price in thousandths of the network\'s (default: the setting node.price)', wholeNumber(0, 999_999_999))
    .option('--wallet <name>', 'hot wallet that pays fees (default: the setting node.wallet)')
    .option('--owner <address>', 'cold address that is paid (default: the setting node.owner)')
    .option('--auto-claim <ton>', 'claim by itself what is signed from this amount on, for example 10 or 10TON (default: the setting node.auto_claim)', (text) => tonAmount()(text.replace(/ ?TON$/i, '')));
  declarePassphrase(command);
  declareDetach(command);
  declareDaemon(command);
}

export async function run(invocation: Invocation): Promise<void> {
  const engineSettings = engineOptions(invocation);
  if (await detach(invocation, 'node')) return;
  await runDaemon('node', invocation, async (log) => {
    const opened: (() => Promise<void>)[] = [];
    const close = async (): Promise<void> => {
      for (const part of opened.splice(0).reverse()) await part();
    };
    try {
      const network = await joinNetwork(invocation, 'node', log);
      opened.push(() => network.close());
      return await serve(invocation, network, engineSettings, log, opened, close);
    } catch (error) {
      await close();
      throw error;
    }
  });
}

/** Flags and settings of the engine, checked before anything is read or started. */
function engineOptions({ settings, options }: Invocation): { parallel: number; threads: number; contextSize?: number } {
  const { parallel, threads, ctx }: NodeStartOptions = options;
  const contextSize = ctx ?? boundedSetting(settings, 'engine.ctx', ...CTX);
  return {
    parallel: parallel ?? boundedSetting(settings, 'engine.parallel', ...PARALLEL) ?? DEFAULT_PARALLEL,
    threads: threads ?? boundedSetting(settings, 'engine.threads', ...THREADS) ?? Math.max(1, availableParallelism() - 1),
    ...(contextSize !== undefined && { contextSize }),
  };
}

async function loadEngine({ context, out }: Invocation, model: ServedModel, engineSettings: ReturnType<typeof engineOptions>, log: Log): Promise<Engine> {
  let told = -1;
  return loadLlamaEngine({
    modelPath: model.path, model: model.name, gpu: 'off', ...engineSettings,
    onProgress: (fraction) => {
      const tenths = Math.floor(fraction * 10);
      if (tenths > told && out.interactive) void out.note(`loading ${model.name}: ${tenths * 10} %`);
      told = Math.max(told, tenths);
    },
    signal: context.signal, log,
  });
}

/** Checks, loads and joins; resolves when a proxy has accepted the node. What was opened is in `opened`, also when this rejects. */
async function serve(
  invocation: Invocation, network: JoinedNetwork, engineSettings: ReturnType<typeof engineOptions>, log: Log, opened: (() => Promise<void>)[], close: () => Promise<void>,
): Promise<RunningRole> {
  const { context, options, settings } = invocation;
  const { price, proxy, model: file, name }: NodeStartOptions = options;
  const { signal, clock } = context;
  const { attestation, paid } = network;
  const identity = await attestation.identity('worker');
  opened.push(async () => identity.close());
  const served = await servedModel({ cwd: context.cwd, signal, home: settings.home }, file, name);
  opened.push(await served.hold());
  // Seconds, before minutes are spent on loading what nobody would accept.
  if (paid !== null && identity.imageHash !== null) requireListedImage(paid, 'worker', identity.imageHash);
  if (paid !== null) requireListedModel(paid, served.fullName);
  const money = paid === null ? null : await openNodeMoney(invocation, paid, served.name, log);
  if (money !== null) opened.push(() => money.close());
  const daemon = await openNodeDaemon(invocation, network, served, { price }, log);
  opened.push(() => daemon.close());
  const engine = await loadEngine(invocation, served, engineSettings, log);
  // Its bytes were hashed while they were loaded: nothing is served before they are known.
  await served.verified.catch(async (error: unknown) => {
    await engine.close();
    throw error;
  });
  const sealing = await openNodeSealing({ network, identity, model: served.fullName, owner: money?.accounts.ownerAddress ?? null, clock, log });
  opened.push(async () => sealing.sealing.close());
  const node = startNode({
    sealing, engine, model: served.fullName, coefficient: daemon.price, capacity: daemon.capacity(engine), draining: daemon.draining, meter: daemon.meter,
    proxies: proxy === undefined ? sourceOf(network) : distinct(proxy),
    identity: () => identity.current(),
    verifyProxy: attestation.verifyPeer('proxy'),
    accounts: money?.accounts ?? unpaidAccounts(identity.publicKey), isTest: network.isTest, clock, log,
  });
  opened.push(() => node.close()); // and the engine, which is the node's
  const control = await daemon.serve({ node, engine, identity, money });
  opened.push(() => control.close());
  const stop = (): void => { void node.close().catch(() => {}); }; // the wait for `ready` below tells
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  try {
    await node.ready;
  } finally {
    signal.removeEventListener('abort', stop);
  }
  const { backend, sequences, contextSize, threads } = engine.info();
  return {
    facts: {
      model: served.fullName, backend, threads: String(threads), parallel: String(sequences), ctx: String(contextSize),
      proxies: [...node.states().keys()].join(','), evidence: identity.evidence, ...money?.facts,
    },
    ended: control.ended,
    watch: (changed) => node.watch(changed),
    close,
  };
}

/** The network's list as it changes; a local network without contracts has one that stays. */
function sourceOf(network: JoinedNetwork): readonly HostPort[] | ProxySource {
  const { paid } = network;
  const current = (): readonly HostPort[] => distinct(network.proxies('workers'));
  return paid === null ? current() : { current, onChange: (listener) => paid.root.onChange(() => listener()) };
}

/** The same proxy twice would be told of half the capacity twice. */
const distinct = (proxies: readonly HostPort[]): readonly HostPort[] =>
  [...new Map(proxies.map((proxy) => [`${proxy.host} ${proxy.port}`, proxy])).values()];
