// A whole network in one process over real loopback TCP and TLS: its own key in a temporary home, a proxy (no proof of
// work), nodes whose engines are scripted, clients. `close` ends everything and removes the home.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Address } from '@ton/core';
import { unpaidAccounts as clientAccounts } from '../../src/client/accounts.ts';
import { askChat } from '../../src/client/chat.ts';
import { throughSession } from '../../src/client/one-session.ts';
import { connectToProxy } from '../../src/client/connect.ts';
import { equalBytes } from '../../src/core/bytes.ts';
import { systemClock } from '../../src/core/clock.ts';
import { silentLog } from '../../src/core/log.ts';
import { sleep } from '../../src/core/retry.ts';
import { localnetLayout } from '../../src/localnet/layout.ts';
import { joinAsRole } from '../../src/localnet/membership.ts';
import { describeLocalnet } from '../../src/localnet/network.ts';
import { startNode } from '../../src/node/node.ts';
import { createSealing } from '../../src/node/sealed-keys.ts';
import { unpaidAccounts as nodeAccounts } from '../../src/node/unpaid-accounts.ts';
import { startProxy } from '../../src/proxy/proxy.ts';
import { unpaidAccounts as proxyAccounts } from '../../src/proxy/unpaid-accounts.ts';
import { createTlsIdentity } from '../../src/tee/tls-identity.ts';
import { createVerifyPeer } from '../../src/tee/verify-peer.ts';
import { dial } from '../../src/wire/dial.ts';
import { forward } from './forwarder.ts';
import { createInstantEngine } from './instant-engine.ts';
import type { Answer, AskOptions, Question } from '../../src/client/chat.ts';
import type { ConnectedProxy } from '../../src/client/connect.ts';
import type { SealMode } from '../../src/client/sealed-session.ts';
import type { V1Key } from '../../src/client/v1-request.ts';
import type { Clock } from '../../src/core/clock.ts';
import type { Log } from '../../src/core/log.ts';
import type { LocalMembership } from '../../src/localnet/membership.ts';
import type { NodeOptions, RunningNode } from '../../src/node/node.ts';
import type { NodeSealing } from '../../src/node/sealed-keys.ts';
import type { Proxy, ProxyOptions } from '../../src/proxy/proxy.ts';
import type { CertificateEvidence } from '../../src/tee/certificate-evidence.ts';
import type { Policy as AnyKind, TeePolicy } from '../../src/tee/policy.ts';
import type { Connection } from '../../src/wire/connection.ts';
import type { VersionRange } from '../../src/wire/versions.ts';
import type { Forwarder } from './forwarder.ts';
import type { Engine } from '../../src/node/engine.ts';
import type { InstantEngine, InstantEngineOptions } from './instant-engine.ts';

/** Of the network's images; the version of test/fakes/context.ts. */
export const TEST_VERSION = '0.0.0-test';

/** What is judged without collateral. */
type Policy = Exclude<AnyKind, TeePolicy>;
type MakeEvidence = (publicKey: Uint8Array) => CertificateEvidence;
interface HostPort { readonly host: string; readonly port: number }

export interface TestNodeOptions {
  readonly engine?: InstantEngineOptions;
  /** Instead of a scripted engine; the node's own from then on. */
  readonly served?: Engine;
  /** Base name; the engine's too. Default "instant". */
  readonly model?: string;
  readonly price?: number;
  readonly versions?: VersionRange;
  /** Instead of the network's own. */
  readonly evidence?: MakeEvidence;
  readonly policy?: Policy;
  /** Where to dial instead of the proxy. */
  readonly proxies?: NodeOptions['proxies'];
  readonly log?: NodeOptions['log'];
  readonly meter?: NonNullable<NodeOptions['meter']>;
  /** False: does not wait until it is ready. */
  readonly wait?: boolean;
  /** False: it has no keys for sealed requests. */
  readonly sealing?: boolean;
}

export interface TestNode extends RunningNode {
  readonly engine: InstantEngine;
  readonly sealing: NodeSealing | null;
  readonly tlsPublicKey: Uint8Array;
}

export interface TestClientOptions {
  readonly proxies?: readonly HostPort[];
  readonly versions?: VersionRange;
  readonly policy?: Policy;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Default: requests are not sealed. */
  readonly seal?: SealMode;
  readonly unsealed?: (why: string) => void;
  readonly v1Keys?: () => readonly V1Key[];
  /** Instead of the clock of this machine, and of the policy for nodes. */
  readonly clock?: Clock;
  readonly nodePolicy?: Policy;
  readonly log?: Log;
}

export interface TestProxyOptions {
  readonly evidence?: MakeEvidence;
  readonly workerPolicy?: Policy;
  readonly versions?: VersionRange;
  readonly log?: ProxyOptions['log'];
  /** Instead of those of a network without contracts; gets the proxy's public key. */
  readonly accounts?: (publicKey: Uint8Array) => ProxyOptions['accounts'];
}

export interface TestNetwork {
  readonly home: string;
  readonly member: LocalMembership;
  /** The one that runs now. */
  readonly proxy: Proxy;
  readonly clientPort: HostPort;
  readonly workerPort: HostPort;
  /** What the network gives members of this role to show. */
  evidence(role: 'proxy' | 'worker'): Promise<MakeEvidence>;
  startNode(options?: TestNodeOptions): Promise<TestNode>;
  connect(options?: TestClientOptions): Promise<ConnectedProxy>;
  /** A verified connection without a session, for peers that misbehave. */
  dial(role: 'client' | 'worker'): Promise<{ readonly connection: Connection; readonly publicKey: Uint8Array }>;
  /** Ends the proxy, and starts another on the same ports. */
  stopProxy(): Promise<void>;
  startProxy(options?: TestProxyOptions): Promise<void>;
  /** A way to an address that can be cut or held up. */
  forward(to: HostPort): Promise<Forwarder>;
  close(): Promise<void>;
}

const NO_HASH = new Uint8Array(32);
const NO_TERMS = { globalId: 0, bond: new Address(0, Buffer.alloc(32)), pricePerTokenNano: 0n, paramsVersion: 0 };

const address = (text: string): HostPort => ({ host: text.slice(0, text.lastIndexOf(':')), port: Number(text.slice(text.lastIndexOf(':') + 1)) });

/** `nodes`: what each node is like. Default: one with every default. */
export async function startTestNetwork({ nodes = [{}], proxy: proxyOptions = {} }: { nodes?: readonly TestNodeOptions[]; proxy?: TestProxyOptions } = {}): Promise<TestNetwork> {
  const home = await mkdtemp(join(tmpdir(), 'cocoon-network-'));
  await describeLocalnet(localnetLayout(home), TEST_VERSION);
  const member = await joinAsRole(home, 'proxy', TEST_VERSION);
  const clientPort = address(member.description.proxy.clients);
  const workerPort = address(member.description.proxy.workers);
  const undo: (() => unknown)[] = [];
  let proxy: Proxy | null = null;

  const identity = async (evidence: MakeEvidence, role: 'proxy' | 'worker' | null = null) => {
    const machine = role === null ? null : await joinAsRole(home, role, TEST_VERSION);
    const made = await createTlsIdentity({ clock: systemClock, evidence, ...(machine !== null && { attester: machine.attester }) });
    undo.push(() => made.close());
    return made;
  };
  const verify = (policy: Policy) => createVerifyPeer(policy, { clock: systemClock });
  const evidenceOf = async (role: 'proxy' | 'worker'): Promise<MakeEvidence> => (await joinAsRole(home, role, TEST_VERSION)).evidence;
  const none: MakeEvidence = () => ({ family: 'none' });

  const network: TestNetwork = {
    home, member, clientPort, workerPort,
    get proxy() {
      if (proxy === null) throw new Error('the proxy is stopped');
      return proxy;
    },
    evidence: evidenceOf,
    async startProxy({ evidence, workerPolicy, versions, log = silentLog, accounts } = {}) {
      const own = await identity(evidence ?? await evidenceOf('proxy'), 'proxy');
      const policy = member.policy('worker');
      proxy = await startProxy({
        clients: clientPort, workers: workerPort, identity: () => own.current(),
        verifyClient: verify({ kind: 'any' }), verifyWorker: verify(workerPolicy ?? policy),
        rules: { imageAllowed: (hash) => workerPolicy !== undefined || policy.imageHashes.some((allowed) => equalBytes(allowed, hash)), modelAllowed: () => true },
        accounts: accounts?.(own.publicKey) ?? proxyAccounts({ publicKey: own.publicKey, isTest: true }), powDifficultyBits: 0, isTest: true, clock: systemClock, log,
        ...(versions !== undefined && { versions }),
      });
    },
    async stopProxy() {
      await proxy?.close();
      proxy = null;
    },
    async startNode({ engine: engineOptions = {}, served, model = 'instant', price = 1_000, versions, evidence, policy, proxies = [workerPort], log = silentLog, wait = true, meter, sealing: seals = true } = {}) {
      const own = await identity(evidence ?? await evidenceOf('worker'), 'worker');
      const engine = createInstantEngine({ model, sequences: 4, ...engineOptions });
      const sealing = seals && evidence === undefined
        ? await createSealing({ identity: () => own.current(), imageHash: member.policy('worker').imageHashes[0] ?? NO_HASH, model: `${model}@test:0`, root: '', clock: systemClock, log }) : null;
      if (sealing !== null) undo.push(async () => sealing.close());
      const node = startNode({
        engine: served ?? engine, model: `${model}@test:0`, coefficient: price, proxies, identity: () => own.current(),
        verifyProxy: verify(policy ?? member.policy('proxy')), accounts: nodeAccounts(own.publicKey), isTest: true, clock: systemClock, log,
        sleep: (ms, signal) => sleep(Math.min(ms, 20), signal), ...(sealing !== null && { sealing: { sealing, terms: () => NO_TERMS } }),
        ...(versions !== undefined && { versions }), ...(meter !== undefined && { meter }),
      });
      undo.push(() => node.close());
      if (wait) {
        await node.ready;
        await until(() => [...proxyNodes(proxy)].some(({ enabled, model: name }) => enabled && name === `${model}@test:0`));
      }
      return Object.assign(node, { engine, sealing, tlsPublicKey: own.publicKey });
    },
    async connect({ proxies = [clientPort], versions, policy, timeoutMs = 5_000, signal = new AbortController().signal, seal, unsealed, v1Keys, clock = systemClock, nodePolicy, log = silentLog } = {}) {
      const own = await identity(none);
      const connected = await connectToProxy({
        proxies, identity: own.current(), verifyProxy: verify(policy ?? member.policy('proxy')), accounts: clientAccounts(own.publicKey),
        isTest: true, timeoutMs, signal, log, ...(versions !== undefined && { versions }),
        ...(seal !== undefined && { seal: { mode: seal, verifyNode: verify(nodePolicy ?? member.policy('worker')), root: '', clock, ...(unsealed !== undefined && { unsealed }), ...(v1Keys !== undefined && { v1Keys }) } }),
      });
      undo.push(() => connected.session.close());
      return connected;
    },
    async dial(role) {
      const own = await identity(role === 'client' ? none : await evidenceOf('worker'), role === 'client' ? null : 'worker');
      const connection = await dial({ ...(role === 'client' ? clientPort : workerPort), identity: own.current(), verifyPeer: verify(member.policy('proxy')) });
      undo.push(() => connection.close());
      return { connection, publicKey: own.publicKey };
    },
    forward: async (to) => {
      const forwarder = await forward(to);
      undo.push(forwarder.close);
      return forwarder;
    },
    async close() {
      for (const step of undo.splice(0).reverse()) await step();
      await network.stopProxy();
      await rm(home, { recursive: true, force: true });
    },
  };
  await network.startProxy(proxyOptions);
  for (const node of nodes) await network.startNode(node);
  return network;
}

function proxyNodes(proxy: Proxy | null): ReturnType<Proxy['status']>['nodes'] {
  return proxy === null ? [] : proxy.status().nodes;
}

/** Waits for `test` to hold; fails after `withinMs`. */
export async function until(test: () => boolean, withinMs = 15_000): Promise<void> {
  const end = performance.now() + withinMs;
  while (!test()) {
    if (performance.now() > end) throw new Error(`never became true: ${test.toString()}`);
    await sleep(2);
  }
}

/** One question put to its end: the pieces as they came, the answer or the error. */
export interface Asked {
  readonly pieces: readonly string[];
  readonly answer: Answer | null;
  readonly error: unknown;
}

/** Asks and collects; `onPiece` sees each piece as it comes. Never rejects. */
export async function ask(
  proxy: ConnectedProxy, question: Partial<Question> = {},
  { onPiece, ...options }: Partial<AskOptions> & { onPiece?: (piece: string, count: number) => void | Promise<void> } = {},
): Promise<Asked> {
  const pieces: string[] = [];
  const stream = askChat(throughSession(proxy), { model: 'instant', prompt: 'hello there', maxTokens: 10_000, ...question }, {
    timeoutMs: 10_000, maxCoefficient: 4_000, signal: new AbortController().signal, ...options,
  });
  try {
    for (;;) {
      const next = await stream.next();
      if (next.done === true) return { pieces, answer: next.value, error: null };
      pieces.push(next.value);
      await onPiece?.(next.value, pieces.length);
    }
  } catch (error) {
    return { pieces, answer: null, error };
  }
}
