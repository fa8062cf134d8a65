// `cocoon node start`: loads a model and serves it through the network's proxies until it is stopped.
import { toHex } from '../core/bytes.ts';
import { startNode } from '../node/node.ts';
import { unpaidAccounts } from '../node/unpaid-accounts.ts';
import { declareDaemon, runDaemon } from './daemon.ts';
import { declareDetach, detach } from './detach.ts';
import { joinNetwork } from './network.ts';
import { openNodeDaemon } from './node-daemon.ts';
import { declareEngine, engineChoice, engineFacts, openEngine } from './node-engine.ts';
import { openNodeMoney } from './node-money.ts';
import { openNodeSealing } from './node-sealing.ts';
import { requireListedImage, requireListedModel } from './paid-role.ts';
import { declarePassphrase } from './passphrase.ts';
import { servedModel } from './served-model.ts';
import { hostPort, repeated, tonAmount, wholeNumber } from './values.ts';
import type { Command } from 'commander';
import type { Log } from '../core/log.ts';
import type { ProxySource } from '../node/node.ts';
import type { RunningRole } from './daemon.ts';
import type { Invocation } from './command.ts';
import type { EngineChoice } from './node-engine.ts';
import type { JoinedNetwork } from './network.ts';
import type { HostPort } from './values.ts';

interface NodeStartOptions {
  readonly model?: string;
  readonly name?: string;
  readonly proxy?: readonly HostPort[];
  readonly price?: number;
}

export function declare(command: Command): void {
  command
    .option('--model <model>', 'model of `models list --local`, or a GGUF file (default: the small model that comes with cocoon)')
    .option('--name <name>', 'name under which it is served (default: the file\'s name)')
    .option('--proxy <host:port>', 'proxy to serve; may be repeated (default: the network\'s)', repeated(hostPort))
    .option('--price <n>', 'price in thousandths of the network\'s (default: the setting node.price)', wholeNumber(0, 999_999_999))
    .option('--wallet <name>', 'hot wallet that pays fees (default: the setting node.wallet)')
    .option('--owner <address>', 'cold address that is paid (default: the setting node.owner)')
    .option('--auto-claim <ton>', 'claim by itself what is signed from this amount on, for example 10 or 10TON (default: the setting node.auto_claim)', (text) => tonAmount()(text.replace(/ ?TON$/i, '')));
  declareEngine(command);
  declarePassphrase(command);
  declareDetach(command);
  declareDaemon(command);
}

export async function run(invocation: Invocation): Promise<void> {
  const choice = engineChoice(invocation);
  if (await detach(invocation, 'node')) return;
  await runDaemon('node', invocation, async (log) => {
    const opened: (() => Promise<void>)[] = [];
    const close = async (): Promise<void> => {
      for (const part of opened.splice(0).reverse()) await part();
    };
    try {
      const network = await joinNetwork(invocation, 'node', log);
      opened.push(() => network.close());
      return await serve(invocation, network, choice, log, opened, close);
    } catch (error) {
      await close();
      throw error;
    }
  });
}

/** Checks, loads and joins; resolves when a proxy has accepted the node. What was opened is in `opened`, also when this rejects. */
async function serve(
  invocation: Invocation, network: JoinedNetwork, choice: EngineChoice, log: Log, opened: (() => Promise<void>)[], close: () => Promise<void>,
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
  const engine = await openEngine(invocation, served, choice, { file, name }, log);
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
  const control = await daemon.serve({ node, engine, identity, sealing: sealing.sealing, money });
  opened.push(() => control.close());
  const stop = (): void => { void node.close().catch(() => {}); }; // the wait for `ready` below tells
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  try {
    await node.ready;
  } finally {
    signal.removeEventListener('abort', stop);
  }
  return {
    facts: {
      model: served.fullName, ...engineFacts(engine),
      proxies: [...node.states().keys()].join(','), evidence: identity.evidence, receiptKey: toHex(sealing.sealing.keys().receiptKey), ...money?.facts,
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
