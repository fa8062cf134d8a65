// A running node: an engine and one uplink to each proxy of a list that may change while it runs. It is ready when the first
// proxy has accepted it, and over when every proxy has been refused. A proxy that is taken off the list, or was told a share of
// the capacity that is not right any more, finishes what runs before its connection ends.
import { abortError } from '../core/deadline.ts';
import { deferred } from '../core/deferred.ts';
import { AttestationError, NetworkError } from '../core/errors.ts';
import type { CocoonError } from '../core/errors.ts';
import { formatAddress } from '../wire/address.ts';
import { DRAIN_GRACE_MS, openSession } from './open-session.ts';
import { runUplink } from './uplink.ts';
import type { HostPort, SessionOptions, Terms } from './open-session.ts';
import type { UplinkState } from './uplink.ts';
import type { Log } from '../core/log.ts';
import type { Sleep } from '../core/retry.ts';
import type { VerifiedPeer } from '../tee/peer.ts';
import type { Connection } from '../wire/connection.ts';
import type { WorkerSession } from '../wire/worker-session.ts';

/** A list that changes: the root contract's. */
export interface ProxySource {
  current(): readonly HostPort[];
  /** Returns how to stop listening. */
  onChange(listener: () => void): () => void;
}

export interface NodeOptions extends SessionOptions {
  /** Price in thousandths. */
  readonly coefficient: number;
  /** Requests at once, 1 to the engine's sequences. Default: all of them. */
  readonly capacity?: number;
  /** True: it connects, and takes no work until it is told to. */
  readonly draining?: boolean;
  /** Worker ports of the proxies. At least one. */
  readonly proxies: readonly HostPort[] | ProxySource;
  readonly log: Log;
  /** Faster redials; for tests. */
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
  /** One entry a proxy of the list, with the verified peer of a connection that is up. */
  connections(): readonly ProxyConnection[];
  /** Requests that run now, at all proxies together. */
  readonly running: number;
  /** True: the proxies are told to send nothing new, what runs goes on, and what still comes is refused after a moment. */
  setDraining(draining: boolean): void;
  /** Thousandths; told to every proxy at once. */
  setPrice(coefficient: number): void;
  /** Requests at once, 1 to the engine's sequences. Connections that were told another number are made anew when idle. */
  setCapacity(requests: number): void;
  /** Ends the uplinks and frees the engine. Idempotent. */
  close(): Promise<void>;
}

/** A proxy as this node sees it. */
export interface ProxyConnection {
  /** `host:port` as listed. */
  readonly address: string;
  readonly state: UplinkState;
  /** Null while there is no connection. */
  readonly peer: VerifiedPeer | null;
  /** Milliseconds until the proxy answered a ping. Null without a connection; rejects when it ends meanwhile. */
  ping(): Promise<number> | null;
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
  /** What the proxy was told: how many proxies share the capacity, and the capacity. 0: nothing yet. */
  toldCount: number;
  toldCapacity: number;
  /** Of the state `ready`, and how its proxy is told whether it may choose this node. */
  connection: Connection | null;
  tell(): void;
  /** True: its connection ends as soon as nothing runs. */
  draining: boolean;
}

const NOT_CONNECTED: Pick<Uplink, 'connection' | 'tell'> = { connection: null, tell: () => undefined };

class Uplinks implements RunningNode {
  readonly ended: Promise<CocoonError | null>;
  readonly #options: NodeOptions;
  readonly #controller = new AbortController();
  readonly #ready = deferred<void>();
  readonly #over = deferred<CocoonError | null>();
  readonly #uplinks = new Map<string, Uplink>();
  readonly #unlisten: () => void;
  readonly #terms: Terms;
  #connected = false;
  #changed: (connected: boolean) => void = () => {};
  #closing: Promise<void> | null = null;

  constructor(options: NodeOptions) {
    this.#options = options;
    this.#terms = { able: true, coefficient: options.coefficient, capacity: options.capacity ?? options.engine.info().sequences, draining: options.draining ?? false, refuseFromMs: 0 };
    this.ended = this.#over.promise;
    this.#ready.promise.catch(() => {}); // who does not wait for it is not told; `ended` has the error too
    void this.ended.then((error) => this.#ready.reject(error ?? new NetworkError('E_CLOSED', 'the node was stopped')));
    const { proxies } = options;
    const unfollow = 'current' in proxies ? proxies.onChange(() => this.#follow()) : () => {};
    // Proxies choose others while the engine is being started again.
    const unwatch = options.engine.watch?.((able) => {
      this.#terms.able = able;
      for (const uplink of this.#uplinks.values()) uplink.tell();
    });
    this.#unlisten = () => {
      unfollow();
      unwatch?.();
    };
    this.#follow();
  }

  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  states(): ReadonlyMap<string, UplinkState> {
    return new Map([...this.#uplinks].map(([name, { state }]) => [name, state]));
  }

  connections(): readonly ProxyConnection[] {
    return [...this.#uplinks].map(([address, { state, connection }]) => ({
      address, state, peer: connection?.peer ?? null, ping: () => connection?.ping() ?? null,
    }));
  }

  get running(): number {
    return this.#sessions().reduce((sum, { runningRequests }) => sum + runningRequests, 0);
  }

  setDraining(draining: boolean): void {
    if (draining && !this.#terms.draining) this.#terms.refuseFromMs = performance.now() + DRAIN_GRACE_MS;
    this.#terms.draining = draining;
    for (const uplink of this.#uplinks.values()) uplink.tell();
  }

  setPrice(coefficient: number): void {
    if (coefficient === this.#terms.coefficient) return;
    this.#terms.coefficient = coefficient;
    for (const session of this.#sessions()) session.setCoefficient(coefficient).catch(() => undefined);
  }

  setCapacity(requests: number): void {
    const most = this.#options.engine.info().sequences;
    if (!Number.isSafeInteger(requests) || requests < 1 || requests > most) throw new RangeError(`expected 1 to ${most} requests at once, got ${requests}`);
    this.#terms.capacity = requests;
    this.#share();
  }

  #sessions(): WorkerSession[] {
    return [...this.#uplinks.values()].flatMap(({ state }) => (state.kind === 'ready' ? [state.session] : []));
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

  /** Proxies that were told another share of the capacity than is theirs now, or another capacity, are connected to anew. */
  #share(): void {
    for (const uplink of this.#uplinks.values()) {
      const { draining, toldCount, toldCapacity } = uplink;
      if (!draining && toldCount !== 0 && (toldCount !== this.#count() || toldCapacity !== this.#terms.capacity)) this.#drain(uplink, false);
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
        uplink.toldCapacity = this.#terms.capacity;
        return openSession(this.#options, proxy, uplink.toldCount, this.#terms, attempt, {
          isLeaving: () => uplink.draining,
          opened: (connection, tell) => Object.assign(uplink, { connection, tell }),
        });
      },
      log, ...(sleep !== undefined && { sleep }),
    };
    const uplink: Uplink = {
      proxy, controller, state: { kind: 'connecting' }, toldCount: 0, toldCapacity: 0, draining: false, ...NOT_CONNECTED,
      // In a later turn, so that all proxies of a list are counted before the first is told how many there are.
      over: Promise.resolve().then(() => runUplink(name, ports, signal, (state) => {
        uplink.state = state;
        if (state.kind !== 'ready') Object.assign(uplink, NOT_CONNECTED);
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
    uplink.tell();
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
