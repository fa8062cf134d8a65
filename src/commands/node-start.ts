// `cocoon node start`: loads a model and serves it through the network's proxies until it is stopped.
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { resolve } from 'node:path';
import { createTlsIdentity } from '../tee/tls-identity.ts';
import { createVerifyPeer } from '../tee/verify-peer.ts';
import { loadLlamaEngine } from '../node/llama-engine.ts';
import { modelIdentity } from '../node/model-file.ts';
import { startNode } from '../node/node.ts';
import { unpaidAccounts } from '../node/unpaid-accounts.ts';
import { declareDaemon, runDaemon } from './daemon.ts';
import { roleNetwork } from './network.ts';
import { hostPort, repeated, wholeNumber } from './values.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

/** The model that comes with the package. */
const BUNDLED_MODEL = fileURLToPath(new URL('../../models/cocoon-tiny-q8_0.gguf', import.meta.url));
const BUNDLED_NAME = 'cocoon-tiny';

interface NodeStartOptions {
  readonly model?: string;
  readonly name?: string;
  readonly proxy?: readonly string[];
  readonly threads?: number;
  readonly parallel?: number;
  readonly ctx?: number;
  readonly price?: number;
}

export function declare(command: Command): void {
  command
    .option('--model <file>', 'GGUF file to serve (default: the small model that comes with cocoon)')
    .option('--name <name>', 'name under which it is served (default: the file\'s name)')
    .option('--proxy <host:port>', 'proxy to serve; may be repeated (default: the network\'s)', repeated)
    .option('--threads <n>', 'CPU threads of the engine (default: the setting engine.threads)', wholeNumber(1, 1_024))
    .option('--parallel <n>', 'requests answered at the same time (default: the setting engine.parallel)', wholeNumber(1, 256))
    .option('--ctx <n>', 'tokens of context of each request (default: the setting engine.ctx)', wholeNumber(16, 10_000_000))
    .option('--price <n>', 'price in thousandths of the network\'s (default: 1000)', wholeNumber(0, 999_999_999));
  declareDaemon(command);
}

export async function run(invocation: Invocation): Promise<void> {
  const { settings, context, out } = invocation;
  const options: NodeStartOptions = invocation.options;
  await runDaemon('node', invocation, async (log) => {
    const network = await roleNetwork(settings, context, 'worker');
    const path = options.model === undefined ? BUNDLED_MODEL : resolve(context.cwd, options.model);
    const identityOfModel = await modelIdentity(path, options.name ?? (options.model === undefined ? BUNDLED_NAME : undefined), context.signal);
    let told = -1;
    const engine = await loadLlamaEngine({
      modelPath: path, model: identityOfModel.name, gpu: 'off',
      parallel: options.parallel ?? settings.integer('engine.parallel') ?? 4,
      threads: options.threads ?? settings.integer('engine.threads') ?? Math.max(1, availableParallelism() - 1),
      ...contextSize(options.ctx ?? settings.integer('engine.ctx')),
      onProgress: (fraction) => {
        const tenths = Math.floor(fraction * 10);
        if (tenths > told && out.interactive) void out.note(`loading ${identityOfModel.name}: ${tenths * 10} %`);
        told = Math.max(told, tenths);
      },
      signal: context.signal, log,
    });
    const identity = await createTlsIdentity({
      clock: context.clock, evidence: network.evidence, onError: (error) => log.error('certificate not renewed', { error: String(error) }),
    });
    const node = startNode({
      engine, model: identityOfModel.fullName, coefficient: options.price ?? 1_000,
      proxies: (options.proxy ?? [network.description.proxy.workers]).map((text) => hostPort(text)),
      identity: () => identity.current(),
      verifyProxy: createVerifyPeer(network.policy('proxy'), { clock: context.clock }),
      accounts: unpaidAccounts(identity.publicKey), isTest: true, clock: context.clock, log,
    });
    const close = async (): Promise<void> => {
      identity.close();
      await node.close();
    };
    const stop = (): void => { void close(); };
    context.signal.addEventListener('abort', stop, { once: true });
    try {
      await node.ready;
    } catch (error) {
      await close();
      throw error;
    }
    const { backend, sequences, contextSize: ctx, threads } = engine.info();
    return {
      facts: {
        model: identityOfModel.fullName, backend, threads: String(threads), parallel: String(sequences), ctx: String(ctx),
        proxies: [...node.states().keys()].join(','), evidence: 'simulated',
      },
      ended: node.ended,
      close,
    };
  });
}

const contextSize = (size: number | undefined): { contextSize?: number } => (size === undefined ? {} : { contextSize: size });
