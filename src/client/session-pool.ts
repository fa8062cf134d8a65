// Warm, verified sessions with proxies: dialled before they are asked for, dialled again when they end, and a word on whose
// fault it is when there is none. A proxy whose evidence is refused stays refused; when all are, nothing is answered any more.
import { abortError } from '../core/deadline.ts';
import { deferred } from '../core/deferred.ts';
import { AttestationError, asCocoonError, NetworkError } from '../core/errors.ts';
import { backoffMs, sleep as realSleep } from '../core/retry.ts';
import { faultOf } from './faults.ts';
import type { CocoonError } from '../core/errors.ts';
import type { Deferred } from '../core/deferred.ts';
import type { Log } from '../core/log.ts';
import type { Sleep } from '../core/retry.ts';
import type { ConnectedProxy, Connector } from './connect.ts';
import type { FaultBoard } from './faults.ts';

export type PoolState =
  | { readonly kind: 'connecting'; readonly error: CocoonError | null }
  | { readonly kind: 'ready' }
  /** For good: the evidence of every proxy was refused. */
  | { readonly kind: 'refused'; readonly error: AttestationError };

export interface SessionPool {
  readonly state: PoolState;
  /** Ready sessions, nearest first. */
  sessions(): readonly ConnectedProxy[];
  /** The nearest ready session whose address is not in `except`; waits for one. Throws the pool's error when `timeoutMs` ends first. */
  acquire(options: { readonly timeoutMs: number; readonly signal: AbortSignal; readonly except?: ReadonlySet<string> }): Promise<ConnectedProxy>;
  close(): Promise<void>;
}

export interface SessionPoolOptions {
  readonly connector: Pick<Connector, 'connect'>;
  /** Sessions to keep with different proxies. Default 2. */
  readonly size?: number;
  readonly connectTimeoutMs: number;
  readonly log: Log;
  /** Told of what keeps proxies from being ready. */
  readonly board?: FaultBoard;
  readonly sleep?: Sleep;
}

const DEFAULT_SIZE = 2;
const RETRY = { baseMs: 500, maxMs: 10_000 };
/** With one session ready, further proxies are looked for at this pace. */
const FURTHER_MS = 15_000;

/** Starts to connect at once; returns before there is a session. */
export function openSessionPool(options: SessionPoolOptions): SessionPool {
  return new Pool(options);
}

class Pool implements SessionPool {
  state: PoolState = { kind: 'connecting', error: null };
  readonly #options: SessionPoolOptions;
  readonly #ending = new AbortController();
  #ready: ConnectedProxy[] = [];
  #waiting = new Set<Deferred<void>>();
  readonly #running: Promise<void>;

  constructor(options: SessionPoolOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  sessions(): readonly ConnectedProxy[] {
    return this.#ready;
  }

  async acquire({ timeoutMs, signal, except = new Set() }: { readonly timeoutMs: number; readonly signal: AbortSignal; readonly except?: ReadonlySet<string> }): Promise<ConnectedProxy> {
    const endsAt = performance.now() + timeoutMs;
    for (;;) {
      if (signal.aborted) throw abortError(signal);
      if (this.#ending.signal.aborted) throw abortError(this.#ending.signal);
      const found = this.#ready.find(({ address }) => !except.has(address));
      if (found !== undefined) return found;
      if (this.state.kind === 'refused') throw this.state.error;
      const leftMs = endsAt - performance.now();
      if (leftMs <= 0) throw this.#late();
      await this.#change(leftMs, signal);
    }
  }

  async close(): Promise<void> {
    this.#ending.abort(new NetworkError('E_CLOSED', 'the client is stopping'));
    for (const { session } of this.#ready) session.close();
    this.#changed();
    await this.#running;
  }

  #late(): CocoonError {
    const { state } = this;
    if (state.kind === 'connecting' && state.error !== null) return state.error;
    return new NetworkError('E_TIMEOUT', 'no verified connection to a proxy of the network was ready in time');
  }

  /** Resolves with the next change, the signal's end, or after `timeoutMs`. */
  async #change(timeoutMs: number, signal: AbortSignal): Promise<void> {
    const change = deferred<void>();
    this.#waiting.add(change);
    const stop = (): void => change.resolve();
    const timer = setTimeout(stop, timeoutMs);
    signal.addEventListener('abort', stop, { once: true });
    try {
      await change.promise;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
      this.#waiting.delete(change);
    }
  }

  #changed(): void {
    for (const change of this.#waiting) change.resolve();
  }

  async #run(): Promise<void> {
    const { connector, connectTimeoutMs, size = DEFAULT_SIZE, log, board, sleep = realSleep } = this.#options;
    const { signal } = this.#ending;
    for (let failures = 0; !signal.aborted;) {
      if (this.#ready.length >= size) {
        await this.#change(2 ** 31 - 1, signal);
        continue;
      }
      try {
        this.#add(await connector.connect({ timeoutMs: connectTimeoutMs, signal, except: new Set(this.#ready.map(({ address }) => address)) }));
        failures = 0;
        continue;
      } catch (thrown) {
        if (signal.aborted) return;
        const error = asCocoonError(thrown);
        if (this.#ready.length === 0) {
          board?.note(error);
          this.state = error instanceof AttestationError ? { kind: 'refused', error } : { kind: 'connecting', error };
          this.#changed();
          log.warn('no proxy is ready', { code: error.code, reason: error.message, fault: faultOf(error) });
          if (error instanceof AttestationError) return;
        }
        failures += 1;
      }
      // With a session ready nothing is urgent, until it ends.
      if (this.#ready.length > 0) await this.#change(FURTHER_MS, signal);
      else await sleep(backoffMs(failures - 1, RETRY), signal).catch(() => undefined);
    }
  }

  #add(connected: ConnectedProxy): void {
    const { log } = this.#options;
    if (this.#ending.signal.aborted) return connected.session.close();
    this.#ready = [...this.#ready, connected].sort((a, b) => a.roundTripMs - b.roundTripMs);
    this.state = { kind: 'ready' };
    log.info('proxy ready', { proxy: connected.address, evidence: connected.peer.evidence, roundTripMs: Math.round(connected.roundTripMs) });
    void connected.session.closed.then((error) => {
      this.#ready = this.#ready.filter((each) => each !== connected);
      if (this.#ready.length === 0 && !this.#ending.signal.aborted) this.state = { kind: 'connecting', error };
      log.warn('proxy gone', { proxy: connected.address, reason: error?.message ?? 'closed' });
      this.#changed();
    });
    this.#changed();
  }
}
