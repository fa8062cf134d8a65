// `cocoon proxy start`: accepts clients and nodes until it is stopped.
import { startProxy } from '../proxy/proxy.ts';
import { unpaidAccounts } from '../proxy/unpaid-accounts.ts';
import { equalBytes } from '../core/bytes.ts';
import { createAttestation, localAttestation } from './attestation.ts';
import { declareDaemon, runDaemon } from './daemon.ts';
import { roleNetwork } from './network.ts';
import { listenAddress, storedAddress, wholeNumber } from './values.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';
import type { HostPort } from './values.ts';

const DEFAULT_POW_BITS = 20;

interface ProxyStartOptions {
  readonly clients?: HostPort;
  readonly workers?: HostPort;
  readonly powBits?: number;
}

export function declare(command: Command): void {
  command
    .option('--clients <host:port>', 'where to listen for clients (default: the address in the network\'s description)', listenAddress)
    .option('--workers <host:port>', 'where to listen for nodes (default: the address in the network\'s description)', listenAddress)
    .option('--pow-bits <n>', `difficulty of the proof of work (default: ${DEFAULT_POW_BITS})`, wholeNumber(0, 28));
  declareDaemon(command);
}

export async function run(invocation: Invocation): Promise<void> {
  const { settings, context } = invocation;
  const options: ProxyStartOptions = invocation.options;
  await runDaemon('proxy', invocation, async (log) => {
    const network = await roleNetwork(settings, context, 'proxy');
    const local = localAttestation(network);
    const attestation = await createAttestation({ ...local, settings, context, log });
    const identity = await attestation.identity('proxy');
    const proxy = await startProxy({
      clients: options.clients ?? storedAddress(network.description.proxy.clients),
      workers: options.workers ?? storedAddress(network.description.proxy.workers),
      identity: () => identity.current(),
      verifyClient: attestation.verifyPeer('client'),
      verifyWorker: attestation.verifyPeer('worker'),
      rules: {
        imageAllowed: (hash) => local.imageLists.allowed('worker').imageHashes.some((allowed) => equalBytes(allowed, hash)),
        // A local network has no list of models: whoever can start a node there owns the machine.
        modelAllowed: () => true,
      },
      accounts: unpaidAccounts({ publicKey: identity.publicKey, isTest: true }),
      powDifficultyBits: options.powBits ?? DEFAULT_POW_BITS,
      isTest: true, clock: context.clock, log,
    }).catch((error: unknown) => {
      identity.close();
      throw error;
    });
    return {
      facts: { clients: proxy.clientAddress, workers: proxy.workerAddress, evidence: identity.evidence },
      ended: new Promise(() => {}), // only a signal ends a proxy
      close: async () => {
        identity.close();
        await proxy.close();
        attestation.close();
      },
    };
  });
}
