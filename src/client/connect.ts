// Sessions with proxies of the network: dial several, verify, measure the round trip, shake hands with the nearest. One that
// is silent or unreachable is passed over; one whose evidence is refused is reported, never dialled again by this connector,
// and is the error when all are refused.
import { abortError, withDeadline } from '../core/deadline.ts';
import { asCocoonError, AttestationError, NetworkError } from '../core/errors.ts';
import { silentLog } from '../core/log.ts';
import { formatAddress } from '../wire/address.ts';
import { dial } from '../wire/dial.ts';
import { openClientSession } from '../wire/client-session.ts';
import { meteredSession } from './metered-session.ts';
import { createSealedNodes } from './sealed-nodes.ts';
import { sealedSession } from './sealed-session.ts';
import type { CocoonError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { VerifiedPeer, VerifyPeer } from '../tee/peer.ts';
import type { Connection } from '../wire/connection.ts';
import type { ClientSession } from '../wire/client-session.ts';
import type { TlsIdentity } from '../wire/tls.ts';
import type { VersionRange } from '../wire/versions.ts';
import type { ClientAccounts } from './accounts.ts';
import type { SealedNodesOptions } from './sealed-nodes.ts';
import type { SealOptions } from './sealed-session.ts';

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

export interface ConnectOptions {
  /** Client ports of the proxies. At least one. A function is asked at each attempt: the root contract's list changes. */
  readonly proxies: readonly HostPort[] | (() => readonly HostPort[]);
  /** A function is asked for each connection: certificates are renewed. */
  readonly identity: TlsIdentity | (() => TlsIdentity);
  readonly verifyProxy: VerifyPeer;
  readonly accounts: ClientAccounts;
  readonly isTest: boolean;
  /** For all proxies together. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** Other versions of the protocol than all that are known; for tests. */
  readonly versions?: VersionRange;
  readonly log?: Log;
  /** How requests are sealed. Absent: they are not, which is for networks of tests; commands always say. */
  readonly seal?: SealSettings;
  /** How many proxies are dialled at once, to find the nearest. Default 3: each costs a proof of work. */
  readonly parallel?: number;
  /** Uniform in [0, 1): which of many proxies are dialled first. Default Math.random. */
  readonly random?: () => number;
}

export type SealSettings = Pick<SealedNodesOptions, 'verifyNode' | 'root' | 'clock'> & Pick<SealOptions, 'mode' | 'unsealed' | 'sealed' | 'v1Keys'>;

export interface ConnectedProxy {
  readonly session: ClientSession;
  /** "ip:port". */
  readonly address: string;
  /** What the proxy's certificate and evidence proved. */
  readonly peer: VerifiedPeer;
  /** Measured over the verified connection, milliseconds. */
  readonly roundTripMs: number;
  /** Milliseconds from dialling to a verified connection, and from there to a ready session. */
  readonly connectMs: number;
  readonly handshakeMs: number;
}

export interface Connector {
  /**
   * A session with the nearest proxy that answers, other than those named in `except` ("host:port"). Throws the signal's reason, AttestationError
   * when every proxy was refused for its evidence, else the last error of one that was not (NetworkError, RemoteError, FundsError, PolicyError …).
   */
  connect(options: { readonly timeoutMs: number; readonly signal: AbortSignal; readonly except?: ReadonlySet<string> }): Promise<ConnectedProxy>;
  /** Up to `count` sessions with different proxies, nearest first; at least one. Errors as `connect`. */
  connectSeveral(count: number, options: { readonly timeoutMs: number; readonly signal: AbortSignal }): Promise<ConnectedProxy[]>;
  /** Proxies that are never dialled again, with the refusal of their evidence. */
  readonly refused: ReadonlyMap<string, AttestationError>;
}

const DEFAULT_PARALLEL = 3;
/** After the first proxy has answered, the others of its round have this much longer: several times a round trip around the world. */
const GRACE_MS = 300;
/** A proxy that has not answered by then, proof of work included, is silent, and others are dialled. */
const SILENT_MS = 15_000;

interface Reached {
  readonly name: string;
  readonly connection: Connection;
  readonly connectMs: number;
  readonly roundTripMs: number;
}

/** One connector a process, so that a refused proxy stays refused. */
export function createConnector(options: Omit<ConnectOptions, 'timeoutMs' | 'signal'>): Connector {
  return new RootConnector(options);
}

/** The nearest proxy that answers; see Connector.connect. */
export function connectToProxy(options: ConnectOptions): Promise<ConnectedProxy> {
  return createConnector(options).connect({ timeoutMs: options.timeoutMs, signal: options.signal });
}

class RootConnector implements Connector {
  readonly refused = new Map<string, AttestationError>();
  readonly #options: Omit<ConnectOptions, 'timeoutMs' | 'signal'>;
  readonly #log: Log;
  readonly #seal: SealOptions | null;

  constructor(options: Omit<ConnectOptions, 'timeoutMs' | 'signal'>) {
    const { seal, accounts, log = silentLog } = options;
    this.#options = options;
    this.#log = log;
    this.#seal = seal === undefined ? null : { ...seal, nodes: createSealedNodes({ ...seal, log }), paramsVersion: () => accounts.minConfigVersion() };
  }

  async connect({ timeoutMs, signal, except = new Set() }: { readonly timeoutMs: number; readonly signal: AbortSignal; readonly except?: ReadonlySet<string> }): Promise<ConnectedProxy> {
    const { parallel = DEFAULT_PARALLEL } = this.#options;
    const endsAt = performance.now() + timeoutMs;
    const listed = this.#listed().filter(({ name }) => !except.has(name));
    const left = listed.filter(({ name }) => !this.refused.has(name));
    let last: CocoonError | null = listed.length === 0 ? new NetworkError('E_UNREACHABLE', except.size === 0 ? 'this network has no proxies' : 'this network has no other proxies') : null;
    while (left.length > 0) {
      const round = left.splice(0, parallel);
      const share = Math.max(1, Math.round((endsAt - performance.now()) / (1 + Math.ceil(left.length / parallel))));
      const outcome = await this.#round(round, share, left.length > 0, signal);
      if (outcome.connected !== null) return outcome.connected;
      last = outcome.error ?? last;
    }
    // One that was only silent may answer later; refusals were reported when they happened, and are the error when there is nothing else.
    const refusal = listed.map(({ name }) => this.refused.get(name)).find((error) => error !== undefined);
    throw last ?? refusal ?? new NetworkError('E_UNREACHABLE', 'this network has no proxies');
  }

  async connectSeveral(count: number, options: { readonly timeoutMs: number; readonly signal: AbortSignal }): Promise<ConnectedProxy[]> {
    const endsAt = performance.now() + options.timeoutMs;
    const connected = [await this.connect(options)];
    const names = (): Set<string> => new Set(connected.map(({ address }) => address));
    while (connected.length < count) {
      try {
        connected.push(await this.connect({ signal: options.signal, timeoutMs: Math.max(1, endsAt - performance.now()), except: names() }));
      } catch (error) {
        if (options.signal.aborted) {
          for (const { session } of connected) session.close();
          throw abortError(options.signal);
        }
        this.#log.info('no further proxy is used', { connected: connected.length, reason: asCocoonError(error).message });
        break;
      }
    }
    return connected.sort((a, b) => a.roundTripMs - b.roundTripMs);
  }

  /** The list as it is now, without repetitions; in its own order where all are dialled at once, else in random order. */
  #listed(): { readonly name: string; readonly proxy: HostPort }[] {
    const { proxies, parallel = DEFAULT_PARALLEL, random = Math.random } = this.#options;
    const now = typeof proxies === 'function' ? proxies() : proxies;
    const named = [...new Map(now.map((proxy) => [formatAddress(proxy.host, proxy.port), proxy])).entries()].map(([name, proxy]) => ({ name, proxy }));
    if (named.length <= parallel) return named;
    return named.map((each) => ({ each, rank: random() })).sort((a, b) => a.rank - b.rank).map(({ each }) => each);
  }

  /** Dials a few at once and shakes hands with those that answer, nearest first, until one is ready. */
  async #round(
    round: readonly { readonly name: string; readonly proxy: HostPort }[], timeoutMs: number, hasOthers: boolean, signal: AbortSignal,
  ): Promise<{ readonly connected: ConnectedProxy | null; readonly error: CocoonError | null }> {
    const endsAt = performance.now() + timeoutMs;
    const dialling = new AbortController();
    const errors: CocoonError[] = [];
    const fail = (name: string, thrown: unknown): void => {
      if (signal.aborted) throw abortError(signal);
      const error = asCocoonError(thrown);
      if (error instanceof AttestationError) {
        this.refused.set(name, error);
        this.#log.error('proxy refused', { proxy: name, code: error.code, reason: error.message });
      } else {
        errors.push(error);
        this.#log.warn('proxy not used', { proxy: name, code: error.code, reason: error.message });
      }
    };
    const silentMs = hasOthers || round.length > 1 ? Math.min(timeoutMs, SILENT_MS) : timeoutMs;
    const open = new Map(round.map(({ name, proxy }) => [name, this.#reach(name, proxy, silentMs, AbortSignal.any([signal, dialling.signal]))
      .then((reached) => ({ name, reached }), (error: unknown) => ({ name, error }))]));
    const reached: Reached[] = [];
    try {
      while (open.size > 0 || reached.length > 0) {
        const graceEnds = performance.now() + GRACE_MS;
        // All that answer within the grace of the first one compete.
        while (open.size > 0 && (reached.length === 0 || performance.now() < graceEnds)) {
          const settled = await Promise.race([...open.values(), ...(reached.length === 0 ? [] : [pause(graceEnds - performance.now())])]);
          if (settled === null) break;
          open.delete(settled.name);
          if ('reached' in settled) reached.push(settled.reached);
          else fail(settled.name, settled.error);
        }
        reached.sort((a, b) => a.roundTripMs - b.roundTripMs);
        const nearest = reached.shift();
        if (nearest === undefined) continue;
        try {
          return { connected: await this.#shake(nearest, Math.max(1, endsAt - performance.now()), signal), error: null };
        } catch (error) {
          fail(nearest.name, error);
        }
      }
      return { connected: null, error: errors.at(-1) ?? null };
    } finally {
      // Those that are not needed are given up, also the ones that answer later.
      dialling.abort(new NetworkError('E_CLOSED', 'another proxy is used'));
      for (const { connection } of reached) connection.close();
    }
  }

  async #reach(name: string, proxy: HostPort, timeoutMs: number, signal: AbortSignal): Promise<Reached> {
    const { identity, verifyProxy } = this.#options;
    const late = (): NetworkError => new NetworkError('E_TIMEOUT', `proxy ${name} did not answer within ${timeoutMs} ms`);
    return withDeadline(async (inner) => {
      const startedMs = performance.now();
      const connection = await dial({ ...proxy, identity, verifyPeer: verifyProxy, signal: inner });
      const stop = (): void => connection.close(abortError(inner));
      inner.addEventListener('abort', stop, { once: true });
      if (inner.aborted) stop();
      const connectMs = performance.now() - startedMs;
      const roundTripMs = await connection.ping();
      inner.removeEventListener('abort', stop);
      return { name, connection, connectMs, roundTripMs };
    }, { timeoutMs, signal, late });
  }

  async #shake({ name, connection, connectMs, roundTripMs }: Reached, timeoutMs: number, signal: AbortSignal): Promise<ConnectedProxy> {
    const { accounts, isTest, versions } = this.#options;
    const late = (): NetworkError => new NetworkError('E_TIMEOUT', `proxy ${name} was not ready within ${Math.round(timeoutMs)} ms`);
    const account = accounts.open();
    const startedMs = performance.now();
    try {
      return await withDeadline(async (inner) => {
        const stop = (): void => connection.close(abortError(inner));
        inner.addEventListener('abort', stop, { once: true });
        try {
          const session = await openClientSession(connection, account, {
            ownerAddress: accounts.ownerAddress, isTest, minConfigVersion: () => accounts.minConfigVersion(), ...(versions !== undefined && { versions }),
          });
          const metered = meteredSession(session, account);
          return {
            session: this.#seal === null ? metered : sealedSession(metered, this.#seal), address: connection.remoteAddress, peer: connection.peer, roundTripMs, connectMs, handshakeMs: performance.now() - startedMs,
          };
        } finally {
          inner.removeEventListener('abort', stop);
        }
      }, { timeoutMs, signal, late });
    } catch (error) {
      await account.close();
      throw error;
    }
  }
}

const pause = (ms: number): Promise<null> => new Promise((resolve) => { setTimeout(() => resolve(null), Math.max(0, ms)); });
