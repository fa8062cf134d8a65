// One connection of a node to one proxy: dialled, verified, its account opened, its requests answered with the engine. Requests
// that still come a moment after the proxy was told to send nothing more are refused.
import { abortError } from '../core/deadline.ts';
import { RemoteError } from '../core/errors.ts';
import { NOT_READY } from '../wire/remote-codes.ts';
import { dial } from '../wire/dial.ts';
import { openWorkerSession } from '../wire/worker-session.ts';
import { answerRequest } from './answer-request.ts';
import { answerSealed } from './sealed-request.ts';
import type { NodeAccounts, NodeConnection } from './accounts.ts';
import type { AnswerSink, TokensUsed } from '../wire/answer.ts';
import type { Connection } from '../wire/connection.ts';
import type { WorkerRequest, WorkerSession, WorkerSessionPort } from '../wire/worker-session.ts';
import type { MeteredRequest, RequestEnd, RequestMeter } from './daemon/meter.ts';
import type { Engine } from './engine.ts';
import type { SealedDeps, SealedRequest } from './sealed-request.ts';
import type { Clock } from '../core/clock.ts';
import type { VerifyPeer } from '../tee/peer.ts';
import type { TlsIdentity } from '../wire/tls.ts';
import type { VersionRange } from '../wire/versions.ts';

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** What every connection of a node has in common. */
export interface SessionOptions {
  readonly engine: Engine;
  /** Full name: `name@commit:verity`. */
  readonly model: string;
  readonly identity: () => TlsIdentity;
  readonly verifyProxy: VerifyPeer;
  readonly accounts: NodeAccounts;
  readonly isTest: boolean;
  readonly clock: Clock;
  /** Other versions of the protocol than all that are known; for tests. */
  readonly versions?: VersionRange;
  /** Told of every request. */
  readonly meter?: RequestMeter;
  /** Opens requests that are sealed to this node; absent: it has no keys and takes none. */
  readonly sealing?: Omit<SealedDeps, 'now'>;
}

/** What the operator may change while the node runs, and what the engine does. */
export interface Terms {
  /** False while the engine cannot answer. */
  able: boolean;
  coefficient: number;
  capacity: number;
  draining: boolean;
  /** By performance.now(): from then on what still comes is refused. */
  refuseFromMs: number;
}

/** What one connection shares with the uplink that it belongs to. */
export interface UplinkHooks {
  /** True: this proxy is not to be used any more. */
  isLeaving(): boolean;
  /** The session is ready; `tell` says to the proxy whether it may choose this node, where that has changed. */
  opened(connection: Connection, tell: () => void): void;
}

/** What the proxies had sent before they heard that nothing new is wanted is answered. */
export const DRAIN_GRACE_MS = 2_000;

function sessionPort(options: SessionOptions, account: NodeConnection, terms: Terms): WorkerSessionPort {
  const deps = { engine: options.engine, clock: options.clock, multipliers: () => options.accounts.multipliers() };
  let proxy = '';
  let proxyPublicKey = new Uint8Array(0);
  return {
    checkProxy: (offer, signal) => {
      proxy = offer.proxy.contractAddress;
      proxyPublicKey = new Uint8Array(offer.proxy.publicKey);
      return account.checkProxy(offer, signal);
    },
    compared: (status, agreed) => account.compared(status, agreed),
    paymentStatus: (status) => account.paymentStatus(status),
    requestPayment: (payment) => account.requestPayment(payment),
    run: async (request, sink, signal) => {
      if (terms.draining && performance.now() > terms.refuseFromMs) throw new RemoteError(NOT_READY, 'worker: it takes no more requests');
      account.begin();
      const metered = (options.meter ?? NO_METER).begin(proxy);
      let how: RequestEnd = 'failed';
      try {
        const answer = (plain: WorkerRequest, to: AnswerSink): Promise<void> =>
          answerRequest({ ...deps, counted: (usage) => metered.counted(usage) }, plain, countingSink(to, account, metered, () => { how = 'answered'; }), signal);
        if (isSealed(request)) await answerSealed(sealedDeps(options), request, { proxyPublicKey, price: terms.coefficient }, sink, answer);
        else await answer(request, sink);
      } finally {
        metered.end(signal.aborted ? 'cancelled' : how);
      }
    },
  };
}

const isSealed = (request: WorkerRequest): request is SealedRequest => request.sealed !== undefined;

function sealedDeps({ sealing, clock }: SessionOptions): SealedDeps {
  if (sealing === undefined) throw new RemoteError(NOT_READY, 'worker: it has no keys for sealed requests');
  return { ...sealing, now: () => clock.now() };
}

const NO_METER: RequestMeter = { begin: () => ({ wrote() {}, counted() {}, delivered() {}, end() {} }) };
/** From here on an answer says that this side failed. */
const SERVER_ERROR = 500;

/** The same sink; what the final message says is what was earned. `answered` hears of a whole answer that is no failure of this side. */
function countingSink(sink: AnswerSink, account: NodeConnection, metered: MeteredRequest, answered: () => void): AnswerSink {
  let isFailure = false;
  const delivered = (tokens: TokensUsed): void => {
    account.delivered(tokens);
    metered.delivered(tokens);
  };
  return {
    head: (head) => {
      isFailure = head.status >= SERVER_ERROR;
      return sink.head(head);
    },
    part: (bytes) => {
      metered.wrote(bytes.byteLength);
      return sink.part(bytes);
    },
    end: (info, bytes) => {
      delivered(info.tokens);
      if (!isFailure) answered();
      return sink.end(info, bytes);
    },
    fail: (code, message, info) => {
      if (info !== undefined) delivered(info.tokens);
      return sink.fail(code, message, info);
    },
  };
}

/** Dials the proxy, verifies it and shakes hands. Rejects with what dialling, the port and the handshake reject with. */
export async function openSession(
  options: SessionOptions, proxy: HostPort, proxyCount: number, terms: Terms, signal: AbortSignal, hooks: UplinkHooks,
): Promise<WorkerSession> {
  const connection = await dial({ ...proxy, identity: options.identity, verifyPeer: options.verifyProxy, signal });
  const stop = (): void => connection.close(abortError(signal));
  signal.addEventListener('abort', stop, { once: true });
  const account = options.accounts.open();
  void connection.closed.then(() => account.close());
  void account.failed.then((error) => connection.close(error));
  try {
    const isDisabled = (): boolean => account.blocked || terms.draining || !terms.able || hooks.isLeaving();
    const told = terms.coefficient;
    const session = await openWorkerSession(connection, sessionPort(options, account, terms), {
      ownerAddress: options.accounts.ownerAddress,
      model: options.model,
      coefficient: told,
      isTest: options.isTest,
      proxyCount,
      maxActiveRequests: terms.capacity,
      isDisabled,
      ...(options.versions !== undefined && { versions: options.versions }),
    });
    // A proxy that owes too much is told not to choose this node; one that chooses it all the same is refused.
    const tell = (): void => { session.setDisabled(isDisabled()).catch(() => undefined); };
    account.onBlocked(tell);
    tell();
    if (told !== terms.coefficient) session.setCoefficient(terms.coefficient).catch(() => undefined); // changed during the handshake
    options.sealing?.sealing.publish(session);
    hooks.opened(connection, tell);
    return session;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
