// A running node: an engine and one uplink to each proxy of a list that may change while it runs. It is ready when the first
// proxy has accepted it, and over when every proxy has been refused. A proxy that is taken off the list, or was told a share of
// the capacity that is not right any more, finishes what runs before its connection ends.
import { abortError } from '../core/deadline.ts';
import { deferred } from '../core/deferred.ts';
import { AttestationError, NetworkError } from '../core/errors.ts';
import type { CocoonError } from '../core/errors.ts';
import { formatAddress } from '../wire/address.ts';
import { dial } from '../wire/dial.ts';
import { openWorkerSession } from '../wire/worker-session.ts';
import { answerRequest } from './answer-request.ts';
import { runUplink } from './uplink.ts';
import type { NodeAccounts, NodeConnection } from './accounts.ts';
import type { Engine } from './engine.ts';
import type { UplinkState } from './uplink.ts';
import type { Clock } from '../core/clock.ts';
import type { Log } from '../core/log.ts';
import type { Sleep } from '../core/retry.ts';
import type { VerifyPeer } from '../tee/peer.ts';
import type { AnswerSink } from '../wire/answer.ts';
import type { TlsIdentity } from '../wire/tls.ts';
import type { VersionRange } from '../wire/versions.ts';
import type { WorkerSession, WorkerSessionPort } from '../wire/worker-session.ts';

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** A list that changes: the root contract's. */
export interface ProxySource {
  current(): readonly HostPort[];
  /** Returns how to stop listening. */
  onChange(listener: () => void): () => void;
}

export interface NodeOptions {
  readonly engine: Engine;
  /** Full name: `name@commit:verity`. */
  readonly model: string;
  /** Price in thousandths. */
  readonly coefficient: number;
  /** Worker ports of the proxies. At least one. */
  readonly proxies: readonly HostPort[] | ProxySource;
  readonly identity: () => TlsIdentity;
  readonly verifyProxy: VerifyPeer;
  readonly accounts: NodeAccounts;
  readonly isTest: boolean;
  readonly clock: Clock;
  readonly log: Log;
  /** Other versions of the protocol than all that are known, and faster redials; for tests. */
  readonly versions?: VersionRange;
  readonly sleep?: Sleep;
}

/** Longest that requests may go on at a proxy that is not used any more, and how often it is looked at. */
const DRAIN_MS = 600_000;
const DRAIN_LOOK_MS = 250;

export interface RunningNode {
  /** Resolves when the first proxy has accepted this node; rejects when none ever will. */
  readonly ready: Promise<void>;
  /** Resolves when the node has stopped: after `close`, or with the error when every proxy was refused. */
  readonly ended: Promise<CocoonError | null>;
  states(): ReadonlyMap<string, UplinkState>;
  /** Calls `changed` when no proxy is connected any more (false; also at once when none is now) and when there is one again (true). */
  watch(changed: (connected: boolean) => void): void;
  /** Ends the uplinks and frees the engine. Idempotent. */
  close(): Promise<void>;
}

function sessionPort(options: NodeOptions, account: NodeConnection): WorkerSessionPort {
  const deps = { engine: options.engine, clock: options.clock, multipliers: () => options.accounts.multipliers() };
  return {
    checkProxy: (offer, signal) => account.checkProxy(offer, signal),
    compared: (status, agreed) => account.compared(status, agreed),
    paymentStatus: (status) => account.paymentStatus(status),
    requestPayment: (payment) => account.requestPayment(payment),
    run: async (request, sink, signal) => {
      account.begin();
      await answerRequest(deps, request, countingSink(sink, account), signal);
    },
  };
}

/** The same sink; what the final message says is what was earned. */
const countingSink = (sink: AnswerSink, account: NodeConnection): AnswerSink => ({
  head: (head) => sink.head(head),
  part: (bytes) => sink.part(bytes),
  end: (info, bytes) => {
    account.delivered(info.tokens);
    return sink.end(info, bytes);
  },
  fail: (code, message, info) => {
    if (info !== undefined) account.delivered(info.tokens);
    return sink.fail(code, message, info);
  },
});

async function openSession(options: NodeOptions, proxy: HostPort, proxyCount: number, signal: AbortSignal): Promise<WorkerSession> {
  const connection = await dial({ ...proxy, identity: options.identity, verifyPeer: options.verifyProxy, signal });
  const stop = (): void => connection.close(abortError(signal));
  signal.addEventListener('abort', stop, { once: true });
  const account = options.accounts.open();
  void connection.closed.then(() => account.close());
  void account.failed.then((error) => connection.close(error));
  try {
    const session = await openWorkerSession(connection, sessionPort(options, account), {
      ownerAddress: options.accounts.ownerAddress,
      model: options.model,
      coefficient: options.coefficient,
      isTest: options.isTest,
      proxyCount,
      maxActiveRequests: options.engine.info().sequences,
      isDisabled: () => account.blocked,
      ...(options.versions !== undefined && { versions: options.versions }),
    });
    // A proxy that owes too much is told not to choose this node; one that chooses it all the same is refused.
    const tell = (blocked: boolean): void => { session.setDisabled(blocked).catch(() => undefined); };
    account.onBlocked(tell);
    tell(account.blocked);
    return session;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** Starts the uplinks; returns at once. The engine is the node's from then on. */
export function startNode(options: NodeOptions): RunningNode {
  return new Uplinks(options);
}

interface Uplink {
  readonly proxy: HostPort;
  readonly controller: AbortController;
  readonly over: Promise<void>;
  state: UplinkState;
  /** What the proxy was told: the capacity is split by it. */
  toldCount: number;
  /** True: its connection ends as soon as nothing runs. */
  draining: boolean;
}

class Uplinks implements RunningNode {
  readonly ended: Promise<CocoonError | null>;
  readonly #options: NodeOptions;
  readonly #controller = new AbortController();
  readonly #ready = deferred<void>();
  readonly #over = deferred<CocoonError | null>();
  readonly #uplinks = new Map<string, Uplink>();
  readonly #unlisten: () => void;
  #connected = false;
  #changed: (connected: boolean) => void = () => {};
  #closing: Promise<void> | null = null;

  constructor(options: NodeOptions) {
    this.#options = options;
    this.ended = this.#over.promise;
    this.#ready.promise.catch(() => {}); // who does not wait for it is not told; `ended` has the error too
    void this.ended.then((error) => this.#ready.reject(error ?? new NetworkError('E_CLOSED', 'the node was stopped')));
    const { proxies } = options;
    this.#unlisten = 'current' in proxies ? proxies.onChange(() => this.#follow()) : () => {};
    this.#follow();
  }

  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  states(): ReadonlyMap<string, UplinkState> {
    return new Map([...this.#uplinks].map(([name, { state }]) => [name, state]));
  }

  watch(listener: (connected: boolean) => void): void {
    this.#changed = listener;
    if (!this.#connected) listener(false);
  }

  close(): Promise<void> {
    return this.#closing ??= (async () => {
      this.#unlisten();
      this.#controller.abort(new NetworkError('E_CLOSED', 'the node is stopping'));
      this.#ready.reject(abortError(this.#controller.signal));
      await Promise.all([...this.#uplinks.values()].map(({ over }) => over));
      this.#over.resolve(null);
      await this.#options.engine.close();
    })();
  }

  /** Uplinks as the list says: new ones are dialled, others drained, and those that were told another count made anew when idle. */
  #follow(): void {
    if (this.#controller.signal.aborted) return;
    const { proxies } = this.#options;
    const listed = new Map(('current' in proxies ? proxies.current() : proxies).map((proxy) => [formatAddress(proxy.host, proxy.port), proxy]));
    for (const [name, uplink] of this.#uplinks) {
      if (!listed.has(name)) this.#drain(uplink, true);
    }
    for (const [name, proxy] of listed) {
      const known = this.#uplinks.get(name);
      if (known === undefined || known.controller.signal.aborted) this.#start(name, proxy);
    }
    this.#share();
  }

  /** Proxies that were told another share of the capacity than is theirs now are connected to anew. */
  #share(): void {
    for (const uplink of this.#uplinks.values()) {
      if (!uplink.draining && uplink.toldCount !== 0 && uplink.toldCount !== this.#count()) this.#drain(uplink, false);
    }
  }

  #count(): number {
    return Math.max(1, [...this.#uplinks.values()].filter(({ controller }) => !controller.signal.aborted).length);
  }

  #start(name: string, proxy: HostPort): void {
    const { log, sleep } = this.#options;
    const controller = new AbortController();
    const signal = AbortSignal.any([this.#controller.signal, controller.signal]);
    const ports = {
      open: (attempt: AbortSignal) => {
        uplink.toldCount = this.#count();
        return openSession(this.#options, proxy, uplink.toldCount, attempt);
      },
      log, ...(sleep !== undefined && { sleep }),
    };
    const uplink: Uplink = {
      proxy, controller, state: { kind: 'connecting' }, toldCount: 0, draining: false,
      // In a later turn, so that all proxies of a list are counted before the first is told how many there are.
      over: Promise.resolve().then(() => runUplink(name, ports, signal, (state) => {
        uplink.state = state;
        this.#told();
      })).then(() => this.#left(name, uplink)),
    };
    this.#uplinks.set(name, uplink);
  }

  #told(): void {
    const now = [...this.#uplinks.values()].some(({ state }) => state.kind === 'ready');
    if (now) this.#ready.resolve();
    if (now !== this.#connected) this.#changed(now);
    this.#connected = now;
  }

  /** An uplink has ended: it was drained, or its proxy refused, or the node is stopping. */
  #left(name: string, uplink: Uplink): void {
    if (uplink.controller.signal.aborted && this.#uplinks.get(name) === uplink) this.#uplinks.delete(name);
    if (this.#controller.signal.aborted) return;
    this.#told();
    this.#share();
    const states = [...this.#uplinks.values()].map(({ state }) => state);
    const refusals = states.flatMap((state) => (state.kind === 'refused' ? [state.error] : []));
    if (refusals.length > 0 && refusals.length === states.length) this.#over.resolve(refusals[0] ?? new AttestationError('E_EVIDENCE_REFUSED', 'every proxy was refused'));
  }

  /** No new requests; when nothing runs any more, or after DRAIN_MS, the connection ends. `forGood`: it is not made again. */
  #drain(uplink: Uplink, forGood: boolean): void {
    const { state, controller } = uplink;
    const closed = new NetworkError('E_CLOSED', forGood ? 'the proxy is not listed any more' : 'the node\'s share for this proxy has changed');
    if (state.kind !== 'ready') {
      if (forGood) controller.abort(closed);
      return;
    }
    if (uplink.draining) return;
    uplink.draining = true;
    const { session } = state;
    const endsMs = performance.now() + DRAIN_MS;
    session.setDisabled(true).catch(() => undefined);
    const look = (): void => {
      if (session.runningRequests > 0 && performance.now() < endsMs && !this.#controller.signal.aborted) return;
      clearInterval(timer);
      uplink.draining = false;
      if (forGood) controller.abort(closed);
      else session.close(closed);
    };
    const timer = setInterval(look, DRAIN_LOOK_MS);
    void session.closed.then(look);
    look();
  }
}
