// A running proxy: one port for clients, one for nodes, and the sessions behind them. Clients need a certificate,
// nodes need evidence; what each may do then is decided by the gates.
import { formatAddress } from '../wire/address.ts';
import { acceptClient } from '../wire/client-acceptor.ts';
import { listen } from '../wire/listen.ts';
import { acceptWorker } from '../wire/worker-acceptor.ts';
import { createCanaries } from './canaries.ts';
import { clientGate, workerGate } from './gates.ts';
import { NodeRegistry } from './nodes.ts';
import { CanaryPolicy } from './routing/canaries.ts';
import { createChooser } from './routing/create-chooser.ts';
import { SealKeys } from './sealed-keys.ts';
import { Pending } from './settlements.ts';
import type { Accounts } from './accounts.ts';
import type { WorkerRules } from './gates.ts';
import type { RelayDeps } from './relay.ts';
import type { ChooserOptions, Explanation } from './routing/chooser.ts';
import type { Clock } from '../core/clock.ts';
import type { Log } from '../core/log.ts';
import type { VerifyPeer } from '../tee/peer.ts';
import type { ListenCounters, ListenOptions } from '../wire/listen.ts';
import type { TlsIdentity } from '../wire/tls.ts';
import type { VersionRange } from '../wire/versions.ts';

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

export interface ProxyOptions {
  /** Where to listen; port 0 takes a free one. */
  readonly clients: ListenAddress;
  readonly workers: ListenAddress;
  readonly identity: () => TlsIdentity;
  /** Certificates of clients; they need no evidence. */
  readonly verifyClient: VerifyPeer;
  /** Certificates and evidence of nodes. */
  readonly verifyWorker: VerifyPeer;
  readonly rules: WorkerRules;
  readonly accounts: Accounts;
  /** What the owner decides about the choice of nodes. */
  readonly routing?: Pick<ChooserOptions, 'minBondNano' | 'explorationShare'>;
  readonly powDifficultyBits: number;
  readonly isTest: boolean;
  readonly clock: Clock;
  readonly log: Log;
  /** Other versions of the protocol than all that are known; for tests. */
  readonly versions?: VersionRange;
  /** Changes of limits and times of both listeners, for tests and small machines. */
  readonly listening?: Partial<Pick<ListenOptions, 'limits' | 'timeouts' | 'connectionLimits'>>;
}

export interface ProxyStatus {
  readonly nodes: readonly { readonly id: number; readonly model: string; readonly enabled: boolean; readonly running: number; readonly capacity: number }[];
  readonly clients: ListenCounters;
  readonly workers: ListenCounters;
}

export interface Proxy {
  /** "ip:port" of each listener. */
  readonly clientAddress: string;
  readonly workerAddress: string;
  status(): ProxyStatus;
  /** The last choices of a node with their reasons, newest first, at most `limit`. */
  explain(limit: number): readonly Explanation[];
  /** Accepts nothing more, closes every connection in order and waits for the bookings that are under way. Idempotent. */
  close(): Promise<void>;
}

/** How long nodes may take to confirm the requests that the end of the proxy cancels. */
const CANCEL_WAIT_MS = 2_000;

/** Throws NetworkError E_UNREACHABLE when a port cannot be listened on. */
export async function startProxy(options: ProxyOptions): Promise<Proxy> {
  const { identity, powDifficultyBits, isTest, log, versions } = options;
  const nodes = new NodeRegistry();
  const pending = new Pending();
  const chooser = createChooser({ random: Math.random, ...options.routing });
  const base = { accounts: options.accounts, nodes, chooser, sealKeys: new SealKeys(), pending, clock: options.clock, log };
  const canaries = createCanaries(base, new CanaryPolicy({ random: Math.random }));
  const deps: RelayDeps = { ...base, canaries };
  const forClients = clientGate(deps);
  const forWorkers = workerGate(deps, options.rules);
  const common = { identity, powDifficultyBits, log, ...options.listening };
  const accepting = { isTest, ...(versions !== undefined && { versions }) };

  const clients = await listen({
    ...common, ...options.clients, verifyPeer: options.verifyClient,
    onConnection: (connection) => { acceptClient(connection, forClients, accepting); },
  });
  const workers = await listen({
    ...common, ...options.workers, verifyPeer: options.verifyWorker,
    onConnection: (connection) => { acceptWorker(connection, forWorkers, accepting); },
  }).catch(async (error: unknown) => {
    await clients.close();
    throw error;
  });

  let closing: Promise<void> | null = null;
  return {
    clientAddress: formatAddress(clients.address.host, clients.address.port),
    workerAddress: formatAddress(workers.address.host, workers.address.port),
    status: () => ({
      nodes: [...nodes.all()].map(({ id, model, enabled, running, capacity }) => ({ id, model, enabled, running, capacity })),
      clients: clients.counters,
      workers: workers.counters,
    }),
    explain: (limit) => chooser.explain(limit),
    // Clients first: their requests are cancelled at the nodes while those are still there to say what was used.
    close: () => closing ??= (async () => {
      canaries.close();
      await clients.close();
      await pending.idle(CANCEL_WAIT_MS);
      await workers.close();
      await pending.idle();
    })(),
  };
}
