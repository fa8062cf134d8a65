// `cocoon proxy start`: accepts clients and nodes until it is stopped.
import { startProxy } from '../proxy/proxy.ts';
import { unpaidAccounts } from '../proxy/unpaid-accounts.ts';
import { equalBytes } from '../core/bytes.ts';
import { ConfigError } from '../core/errors.ts';
import { startAdmin } from './admin.ts';
import { declareDaemon, runDaemon } from './daemon.ts';
import { declareDetach, detach } from './detach.ts';
import { joinNetwork } from './network.ts';
import { requireListedImage } from './paid-role.ts';
import { declarePassphrase } from './passphrase.ts';
import { proxyAnswers } from './proxy-admin.ts';
import { openProxyMoney } from './proxy-money.ts';
import { listenAddress, storedAddress, wholeNumber } from './values.ts';
import type { Command } from 'commander';
import type { Log } from '../core/log.ts';
import type { RunningRole } from './daemon.ts';
import type { Invocation } from './command.ts';
import type { JoinedNetwork } from './network.ts';
import type { ProxyMoney } from './proxy-money.ts';
import type { HostPort } from './values.ts';

const DEFAULT_POW_BITS = 20;

interface ProxyStartOptions {
  readonly clients?: HostPort;
  readonly workers?: HostPort;
  readonly powBits?: number;
}

export function declare(command: Command): void {
  command
    .option('--clients <host:port>', 'where to listen for clients (default on a local network: the address in its description)', listenAddress)
    .option('--workers <host:port>', 'where to listen for nodes (default on a local network: the address in its description)', listenAddress)
    .option('--pow-bits <n>', `difficulty of the proof of work (default: ${DEFAULT_POW_BITS})`, wholeNumber(0, 28))
    .option('--wallet <name>', 'hot wallet that pays fees (default: the setting proxy.wallet)')
    .option('--owner <address>', 'cold address that owns the proxy contract (default: the setting proxy.owner)')
    .option('--rebuild', 'rebuild a ledger that is behind the chain, or new beside a contract in use, from the chain');
  declarePassphrase(command);
  declareDetach(command);
  declareDaemon(command);
}

export async function run(invocation: Invocation): Promise<void> {
  if (await detach(invocation, 'proxy')) return;
  await runDaemon('proxy', invocation, (log) => start(invocation, log));
}

async function start(invocation: Invocation, log: Log): Promise<RunningRole> {
  const opened: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (const part of opened.splice(0).reverse()) await part();
  };
  try {
    const network = await joinNetwork(invocation, 'proxy', log);
    opened.push(() => network.close());
    const money = network.paid === null ? null : await openProxyMoney(invocation, network.paid, network.isTest, log);
    if (money !== null) opened.push(() => money.close());
    return await serve(invocation, network, money, log, opened, close);
  } catch (error) {
    await close();
    throw error;
  }
}

async function serve(invocation: Invocation, network: JoinedNetwork, money: ProxyMoney | null, log: Log, opened: (() => Promise<void>)[], close: () => Promise<void>): Promise<RunningRole> {
  const { context, settings } = invocation;
  const { powBits, ...listening }: ProxyStartOptions = invocation.options;
  const { attestation, imageLists, local, paid } = network;
  const identity = await attestation.identity('proxy');
  opened.push(async () => identity.close());
  if (paid !== null && identity.imageHash !== null) requireListedImage(paid, 'proxy', identity.imageHash);
  const address = (side: 'clients' | 'workers'): HostPort => {
    const where = listening[side] ?? (local === null ? null : storedAddress(local.proxy[side]));
    if (where === null) throw new ConfigError('E_CONFIG', `it is not known where to listen for ${side === 'clients' ? 'clients' : 'nodes'}`, { hint: `add --${side} 0.0.0.0:PORT; the root contract lists the address under which others reach it` });
    return where;
  };
  const proxy = await startProxy({
    clients: address('clients'), workers: address('workers'),
    identity: () => identity.current(),
    verifyClient: attestation.verifyPeer('client'),
    verifyWorker: attestation.verifyPeer('worker'),
    rules: {
      imageAllowed: (hash) => imageLists.allowed('worker').imageHashes.some((allowed) => equalBytes(allowed, hash)),
      // Without contracts there is no list of models: whoever can start a node on a local network owns the machine.
      modelAllowed: (model) => paid === null || paid.modelAllowed(model),
    },
    accounts: money?.accounts ?? unpaidAccounts({ publicKey: identity.publicKey, isTest: network.isTest }),
    routing: { minBondNano: settings.ton('proxy.min_bond') ?? 0n },
    powDifficultyBits: powBits ?? DEFAULT_POW_BITS,
    isTest: network.isTest, clock: context.clock, log,
  });
  opened.push(() => proxy.close());
  const admin = await startAdmin(invocation, 'proxy', proxyAnswers(proxy, money === null ? null : () => money.accounts.status()), log);
  opened.push(() => admin.close());
  return {
    facts: { clients: proxy.clientAddress, workers: proxy.workerAddress, evidence: identity.evidence, ...money?.facts },
    ended: money === null ? new Promise(() => {}) : money.accounts.failed, // an unpaid proxy is ended by a signal only
    close,
  };
}
