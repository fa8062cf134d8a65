// A proxy that keeps everything it can see and changes what it passes on: what a proxy whose operator is curious or dishonest could
// do inside its own process, where no evidence is looked at. Takes the ports of a test network over; routes to the node of the key.
import { toHex } from '../../src/core/bytes.ts';
import { systemClock } from '../../src/core/clock.ts';
import { RemoteError } from '../../src/core/errors.ts';
import { silentLog } from '../../src/core/log.ts';
import { decodeKeyRecord } from '../../src/seal/key-record.ts';
import { unpaidAccounts } from '../../src/proxy/unpaid-accounts.ts';
import { joinAsRole } from '../../src/localnet/membership.ts';
import { createTlsIdentity } from '../../src/tee/tls-identity.ts';
import { createVerifyPeer } from '../../src/tee/verify-peer.ts';
import { acceptClient } from '../../src/wire/client-acceptor.ts';
import { listen } from '../../src/wire/listen.ts';
import { acceptWorker } from '../../src/wire/worker-acceptor.ts';
import { TEST_VERSION } from './network.ts';
import type { AnswerSink, FinalInfo, HttpHead } from '../../src/wire/answer.ts';
import type { ClientRequest } from '../../src/wire/client-acceptor.ts';
import type { Connection } from '../../src/wire/connection.ts';
import type { SealedRun, SealKey, SealOffer } from '../../src/wire/sealed.ts';
import type { RunRequest, WorkerLink } from '../../src/wire/worker-acceptor.ts';
import type { TestNetwork } from './network.ts';

/** Each gets what would be passed on, and gives what is instead. */
export interface Meddling {
  offers?(offers: SealOffer[]): SealOffer[];
  key?(key: SealKey): SealKey;
  run?(run: SealedRun): SealedRun;
  hop?(request: RunRequest): RunRequest;
  /** Which of the connected nodes answers; default: the one whose key it is. */
  node?(keyId: string, nodes: readonly WorkerLink[]): WorkerLink | undefined;
  head?(head: HttpHead): HttpHead;
  /** The parts of an answer, the last one that comes with the end included, as a list that grows; gives those to send now. */
  parts?(bytes: Uint8Array, index: number, isLast: boolean): readonly Uint8Array[];
  info?(info: FinalInfo): FinalInfo;
  /** Called when a request has been answered, with how to ask its node the same again. */
  after?(again: () => Promise<void>): Promise<void>;
}

export interface MiddleProxy {
  meddling: Meddling;
  /** Every byte string and text that came in or went out, and every log line, in order. */
  readonly seen: Uint8Array[];
  readonly keys: SealKey[];
  readonly nodes: WorkerLink[];
  readonly runs: SealedRun[];
  close(): Promise<void>;
}

function record(seen: Uint8Array[], value: unknown): void {
  if (value instanceof Uint8Array) seen.push(value.slice());
  else if (typeof value === 'string') seen.push(Buffer.from(value));
  else if (typeof value === 'object' && value !== null) for (const each of Object.values(value)) record(seen, each);
}

/** The same connection; everything that passes is kept. */
function tapped(connection: Connection, seen: Uint8Array[]): Connection {
  return new Proxy(connection, {
    get(target, name) {
      const handle: Connection['handle'] = (handlers) => target.handle({
        ...handlers,
        onQuery: async (query) => {
          record(seen, query);
          const answer = await handlers.onQuery(query);
          record(seen, answer);
          return answer;
        },
        onPacket: async (packet) => {
          record(seen, packet);
          return handlers.onPacket(packet);
        },
      });
      const send: Connection['send'] = (packet) => {
        record(seen, packet);
        return target.send(packet);
      };
      if (name === 'handle') return handle;
      if (name === 'send') return send;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value as (...args: unknown[]) => unknown).bind(target) : value;
    },
  });
}

/** Stops the network's proxy and takes its place. */
export async function startMiddleProxy(network: TestNetwork, { versions }: { readonly versions?: { readonly min: number; readonly max: number } } = {}): Promise<MiddleProxy> {
  await network.stopProxy();
  const machine = await joinAsRole(network.home, 'proxy', TEST_VERSION);
  const own = await createTlsIdentity({ clock: systemClock, evidence: machine.evidence, attester: machine.attester });
  const accounts = unpaidAccounts({ publicKey: own.publicKey, isTest: true });
  const middle: MiddleProxy = { meddling: {}, seen: [], keys: [], nodes: [], runs: [], close: async () => undefined };
  const { seen } = middle;
  const nodeOf = new Map<string, WorkerLink>();
  const log = { ...silentLog };
  for (const level of ['debug', 'info', 'warn', 'error'] as const) log[level] = (...args: unknown[]) => record(seen, args);
  const accepting = { isTest: true, ...(versions !== undefined && { versions }) };
  const common = { powDifficultyBits: 0, log, identity: () => own.current() };
  const clients = await listen({
    ...common, ...network.clientPort, verifyPeer: createVerifyPeer({ kind: 'any' }, { clock: systemClock }),
    onConnection: (connection) => {
      acceptClient(tapped(connection, seen), {
        checkOwner: () => undefined,
        configVersion: () => 0,
        async admit({ ownerAddress }) {
          const account = await accounts.client(ownerAddress);
          return {
            proxy: accounts.proxy, clientContractAddress: account.contractAddress, secretHash: account.secretHash, nonce: 1n, signedPayment: null,
            authorize: async () => account.status(),
            paymentStatus: () => account.status(),
            workerTypes: () => [{ model: 'instant', workers: middle.nodes.map(() => ({ coefficient: 1_000, activeRequests: 0, maxActiveRequests: 4 })) }],
            sealOffers: () => offersOf(middle),
            sealKey(keyId) {
              const key = middle.keys.find(({ record: bytes }) => toHex(decodeKeyRecord(bytes).keyId) === toHex(keyId));
              if (key === undefined) throw new RemoteError(651, 'no such key');
              return middle.meddling.key?.(key) ?? key;
            },
            run: (request, sink, signal) => passOn(middle, nodeOf, request, sink, signal),
          };
        },
      }, accepting);
    },
  });
  const workers = await listen({
    ...common, ...network.workerPort, verifyPeer: createVerifyPeer(network.member.policy('worker'), { clock: systemClock }),
    onConnection: (connection) => {
      acceptWorker(tapped(connection, seen), {
        checkImage: () => undefined,
        checkModel: () => undefined,
        async admit(hello, link) {
          const account = await accounts.worker(hello.ownerAddress);
          return {
            proxy: accounts.proxy, workerContractAddress: account.contractAddress,
            compareBalance: async (claim) => account.compare(claim),
            extendedCompare: async () => undefined,
            ready: () => { middle.nodes.push(link); },
            enabled: () => undefined,
            coefficient: () => undefined,
            paymentStatus: () => account.status(),
            sealKey(key) {
              middle.keys.push(key);
              nodeOf.set(toHex(decodeKeyRecord(key.record).keyId), link);
            },
          };
        },
      }, accepting);
    },
  });
  middle.close = async () => {
    await clients.close();
    await workers.close();
    own.close();
  };
  return middle;
}

function offersOf({ keys, meddling }: MiddleProxy): SealOffer[] {
  const offers = keys.map(({ record: bytes, signature }) => ({ record: bytes, signature, coefficient: 1_000, running: 0, capacity: 4 }));
  return meddling.offers?.(offers) ?? offers;
}

async function passOn(middle: MiddleProxy, nodeOf: ReadonlyMap<string, WorkerLink>, request: ClientRequest, sink: AnswerSink, signal: AbortSignal): Promise<void> {
  const { meddling, nodes } = middle;
  const hop: RunRequest = { query: request.query, signedPayment: null, coefficient: 1_000, timeoutMs: request.timeoutMs, enableDebug: false };
  const { sealed } = request;
  if (sealed !== undefined) middle.runs.push(sealed.run);
  const node = sealed === undefined ? nodes[0] : meddling.node?.(toHex(sealed.run.keyId), nodes) ?? nodeOf.get(toHex(sealed.run.keyId));
  if (node === undefined) throw new RemoteError(651, 'no node');
  const run = sealed === undefined ? hop : { ...hop, sealed: meddling.run?.(sealed.run) ?? sealed.run };
  const asked = meddling.hop?.(run) ?? run;
  let index = 0;
  let ending = Promise.resolve();
  const partsOf = (bytes: Uint8Array, isLast: boolean): readonly Uint8Array[] => {
    if (bytes.byteLength === 0) return [];
    const parts = meddling.parts?.(bytes.slice(), index, isLast) ?? [bytes];
    index += 1;
    return parts;
  };
  await node.run(asked, {
    head: async (head) => {
      // The first bytes of the answer come with the head: passed on as a part of their own, as any proxy may.
      const { payload, ...rest } = meddling.head?.(head) ?? head;
      await sink.head({ ...rest, payload: new Uint8Array(0) });
      for (const part of partsOf(payload, false)) await sink.part(part);
    },
    part: async (bytes) => {
      for (const part of partsOf(bytes, false)) await sink.part(part);
    },
    end: (info, bytes = new Uint8Array(0)) => ending = (async () => {
      for (const part of partsOf(bytes, true)) await sink.part(part);
      await sink.end(meddling.info?.(info) ?? info);
    })(),
    fail: (code, message, info) => sink.fail(code, message, info),
  }, signal);
  await ending;
  await meddling.after?.(async () => {
    const ignored: AnswerSink = { head: async () => undefined, part: async () => undefined, end: async () => undefined, fail: async (code, message) => { throw new RemoteError(code, message); } };
    let refusal: unknown = null;
    await node.run(asked, { ...ignored, fail: async (code, message) => { refusal = new RemoteError(code, message); } }, new AbortController().signal);
    if (refusal !== null) throw refusal as Error;
  });
}
