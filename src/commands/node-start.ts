// `cocoon node start`: loads a model and serves it through the network's proxies until it is stopped.
import { availableParallelism } from 'node:os';
import { loadLlamaEngine } from '../node/llama-engine.ts';
import { startNode } from '../node/node.ts';
import { unpaidAccounts } from '../node/unpaid-accounts.ts';
import { createAttestation, localAttestation } from './attestation.ts';
import { declareDaemon, runDaemon } from './daemon.ts';
import { roleNetwork } from './network.ts';
import { servedModel } from './served-model.ts';
import { boundedSetting, hostPort, repeated, storedAddress, wholeNumber } from './values.ts';
import type { Command } from 'commander';
import type { Log } from '../core/log.ts';
import type { Engine } from '../node/engine.ts';
import type { ModelIdentity } from '../node/model-file.ts';
import type { RunningRole } from './daemon.ts';
import type { Invocation } from './command.ts';
import type { HostPort } from './values.ts';

type RoleNetwork = Awaited<ReturnType<typeof roleNetwork>>;

/** Thousandths: the network's own price. */
const DEFAULT_PRICE = 1_000;
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
    .option('--model <file>', 'GGUF file to serve (default: the small model that comes with cocoon)')
    .option('--name <name>', 'name under which it is served (default: the file\'s name)')
    .option('--proxy <host:port>', 'proxy to serve; may be repeated (default: the network\'s)', repeated(hostPort))
    .option('--threads <n>', 'CPU threads of the engine (default: the setting engine.threads)', wholeNumber(...THREADS))
    .option('--parallel <n>', 'requests answered at the same time (default: the setting engine.parallel)', wholeNumber(...PARALLEL))
    .option('--ctx <n>', 'tokens of context of each request (default: the setting engine.ctx)', wholeNumber(...CTX))
    .option('--price <n>', `price in thousandths of the network's (default: ${DEFAULT_PRICE})`, wholeNumber(0, 999_999_999));
  declareDaemon(command);
}

export async function run(invocation: Invocation): Promise<void> {
  const engineSettings = engineOptions(invocation);
  await runDaemon('node', invocation, async (log) => {
    const network = await roleNetwork(invocation.settings, invocation.context, 'worker');
    const { engine, model } = await loadEngine(invocation, engineSettings, log);
    try {
      return await serve(invocation, network, { engine, model }, log);
    } catch (error) {
      await engine.close();
      throw error;
    }
  });
}

interface LoadedModel {
  readonly engine: Engine;
  readonly model: ModelIdentity;
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

async function loadEngine({ context, options, out }: Invocation, engineSettings: ReturnType<typeof engineOptions>, log: Log): Promise<LoadedModel> {
  const { model: file, name }: NodeStartOptions = options;
  const model = await servedModel(context, file, name);
  let told = -1;
  const engine = await loadLlamaEngine({
    modelPath: model.path, model: model.name, gpu: 'off', ...engineSettings,
    onProgress: (fraction) => {
      const tenths = Math.floor(fraction * 10);
      if (tenths > told && out.interactive) void out.note(`loading ${model.name}: ${tenths * 10} %`);
      told = Math.max(told, tenths);
    },
    signal: context.signal, log,
  });
  return { engine, model };
}

/** Joins the network with a loaded engine; resolves when a proxy has accepted the node. The engine is the caller's to close when this rejects. */
async function serve({ context, options, settings }: Invocation, network: RoleNetwork, { engine, model }: LoadedModel, log: Log): Promise<RunningRole> {
  const { price, proxy }: NodeStartOptions = options;
  const { signal, clock } = context;
  const attestation = await createAttestation({ ...localAttestation(network), settings, context, log });
  const identity = await attestation.identity('worker');
  const node = startNode({
    engine, model: model.fullName, coefficient: price ?? DEFAULT_PRICE,
    proxies: distinct(proxy ?? [storedAddress(network.description.proxy.workers)]),
    identity: () => identity.current(),
    verifyProxy: attestation.verifyPeer('proxy'),
    accounts: unpaidAccounts(identity.publicKey), isTest: true, clock, log,
  });
  const close = async (): Promise<void> => {
    identity.close();
    await node.close();
    attestation.close();
  };
  const stop = (): void => { void close().catch(() => {}); }; // the wait for `ready` below tells
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  try {
    await node.ready;
  } catch (error) {
    await close();
    throw error;
  } finally {
    signal.removeEventListener('abort', stop);
  }
  const { backend, sequences, contextSize, threads } = engine.info();
  return {
    facts: {
      model: model.fullName, backend, threads: String(threads), parallel: String(sequences), ctx: String(contextSize),
      proxies: [...node.states().keys()].join(','), evidence: identity.evidence,
    },
    ended: node.ended,
    watch: (changed) => node.watch(changed),
    close,
  };
}

/** The same proxy twice would be told of half the capacity twice. */
const distinct = (proxies: readonly HostPort[]): HostPort[] =>
  [...new Map(proxies.map((proxy) => [`${proxy.host} ${proxy.port}`, proxy])).values()];
