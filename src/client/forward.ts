// One HTTP request of an application through the network, until an answer has begun: to the nearest proxy that may be tried, to
// another one when it fails before the first byte, again after a short wait when all have failed, and to two at once when the
// first is slow and that was asked for. What has begun is passed on as it comes and ends only when it is complete: whatever
// ends before is thrown to the reader. Every attempt is sealed and paid for anew.
import { abortError } from '../core/deadline.ts';
import { asCocoonError, CapacityError, NetworkError } from '../core/errors.ts';
import { backoffMs, sleep as realSleep } from '../core/retry.ts';
import { encodeBoxed } from '../wire/tl/codec.ts';
import { beginAnswer } from './answer-body.ts';
import { createBreakers, nodeCircuit, proxyCircuit, standardRules } from './breakers.ts';
import { faultOf, mayTryAgain, nodeFailureOf } from './faults.ts';
import { firstOf } from './hedge.ts';
import { createPlaces } from './places.ts';
import type { CocoonError } from '../core/errors.ts';
import type { Sleep } from '../core/retry.ts';
import type { FinalInfo, HttpHead, HttpHeader } from '../wire/answer.ts';
import type { NodeTarget } from '../wire/sealed.ts';
import type { AnswerBody, BegunAnswer } from './answer-body.ts';
import type { Breakers, Pass } from './breakers.ts';
import type { ConnectedProxy } from './connect.ts';
import type { FaultBoard } from './faults.ts';
import type { Contender } from './hedge.ts';
import type { Places } from './places.ts';
import type { SessionPool } from './session-pool.ts';

/** What one attempt may cost, put aside; exactly one call of `settle` ends it. */
export interface AttemptCost {
  /** `info`: what the proxy said at the end, null when nothing was told. `delivered`: something of the answer has come. */
  settle(info: FinalInfo | null, delivered: boolean): void;
}

export interface ForwardRequest {
  /** Path of the node's endpoint. */
  readonly path: string;
  /** Body, as the node gets it. */
  readonly payload: Uint8Array;
  readonly headers: readonly HttpHeader[];
  /** Base name. */
  readonly model: string;
  readonly maxTokens: number;
  /** Highest price accepted, in thousandths. */
  readonly maxCoefficient: number;
  /** For everything, further attempts included. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** Which nodes may answer; any when absent. */
  readonly target?: NodeTarget | undefined;
  /** True: the answer is one document, and is taken to another proxy until all of it is here. False: its first byte counts. */
  readonly whole: boolean;
  /** A proxy to try last: it has just failed. */
  readonly avoid?: string;
  /** Puts aside what each attempt may cost; throws to refuse it. */
  readonly cost?: (() => AttemptCost) | undefined;
}

export interface ForwardedAnswer {
  readonly proxy: ConnectedProxy;
  readonly head: HttpHead;
  /** The body as it comes. */
  readonly body: AnswerBody;
  /** Attempts until this one, itself included; those of a hedge too. */
  readonly attempts: number;
  /** A second attempt was made because the first one was slow. */
  readonly hedged: boolean;
}

export interface ForwarderOptions {
  readonly pool: Pick<SessionPool, 'acquire' | 'sessions'>;
  /** Milliseconds without a first byte after which a second attempt is made beside the first; null: never. */
  readonly hedgeMs?: number | null;
  readonly breakers?: Breakers;
  readonly places?: Places;
  readonly board?: FaultBoard;
  readonly sleep?: Sleep;
  /** Longest that an answer may stand still once it has begun. Default 20 s. */
  readonly stallMs?: number;
}

export interface Forwarder {
  /** Resolves with the beginning of an answer. Throws what `explainFailure` gives, the pool's error, what `cost` threw, or the signal's reason. */
  forward(request: ForwardRequest): Promise<ForwardedAnswer>;
  readonly breakers: Breakers;
}

const MAX_ATTEMPTS = 12;
/** How long a request that has failed everywhere goes on trying: engines that fail, and a network without a free node, are told of sooner than connections that break. */
const PATIENCE_MS = { busy: 1_500, engine: 1_500, lost: 10_000, broken: 10_000 } as const;
/** Attempts that broke after something had been delivered: each of them is paid. */
const MAX_PAID_FAILURES = 3;
const BACKOFF = { baseMs: 60, maxMs: 1_000 };
const MIN_LEFT_MS = 50;
const STALL_MS = 20_000;
const MAX_MODELS = 1_000;
const NODE_FAILURES = ['busy', 'lost', 'engine'] as const;

const NOT_READ = new NetworkError('E_CLOSED', 'the answer is not read any more');

/** What all requests of a forwarder share. */
interface Shared extends ForwarderOptions {
  readonly breakers: Breakers;
  readonly places: Places;
  /** Models that have been answered for. */
  readonly models: Set<string>;
}

/** One attempt at one proxy, with leave of its circuits and a place on its connection. */
interface Seat {
  readonly proxy: ConnectedProxy;
  readonly passes: ReadonlyMap<string, Pass>;
}

export function createForwarder(options: ForwarderOptions): Forwarder {
  const shared: Shared = { ...options, breakers: options.breakers ?? createBreakers(standardRules), places: options.places ?? createPlaces(), models: new Set() };
  return {
    breakers: shared.breakers,
    forward: (request) => new Job(shared, request).run(),
  };
}

class Job {
  readonly #shared: Shared;
  readonly #request: ForwardRequest;
  readonly #query: Uint8Array;
  readonly #endsAt: number;
  readonly #ticket: number;
  /** Proxies that have failed in this round. */
  readonly #tried = new Set<string>();
  #attempts = 0;
  #rounds = 0;
  #paidFailures = 0;
  /** A further attempt may not be paid for. */
  #unpaid = false;
  #hedged = false;
  #first: CocoonError | null = null;
  /** When trying ends; set by the first failure. */
  #patienceEndsAt = Infinity;

  constructor(shared: Shared, request: ForwardRequest) {
    this.#shared = shared;
    this.#request = request;
    this.#query = queryOf(request);
    this.#endsAt = performance.now() + request.timeoutMs;
    this.#ticket = shared.places.ticket();
    if (request.avoid !== undefined) this.#tried.add(request.avoid);
  }

  async run(): Promise<ForwardedAnswer> {
    const { signal, model } = this.#request;
    for (;;) {
      const seat = await this.#seat();
      try {
        const { proxy, begun } = await this.#attempt(seat);
        if (this.#shared.models.size < MAX_MODELS && begun.head.status === 200) this.#shared.models.add(model);
        return { proxy, head: begun.head, body: begun.body, attempts: this.#attempts, hedged: this.#hedged };
      } catch (thrown) {
        if (signal.aborted) throw abortError(signal);
        this.#failed(seat.proxy, asCocoonError(thrown));
      }
    }
  }

  get #leftMs(): number {
    return Math.max(1, Math.round(this.#endsAt - performance.now()));
  }

  /** Throws when nothing more can be done about the error. */
  #failed({ address }: ConnectedProxy, error: CocoonError): void {
    const { board, models } = this.#shared;
    board?.note(error);
    this.#first ??= error;
    this.#tried.add(address);
    // A proxy that has just started knows no model until its nodes are back.
    const unknown = error.code === 'E_NOT_FOUND' && !models.has(this.#request.model);
    const patienceMs = unknown ? 0 : PATIENCE_MS[nodeFailureOf(error) ?? 'broken'];
    this.#patienceEndsAt = Math.min(this.#patienceEndsAt, performance.now() + patienceMs);
    if (this.#unpaid || !mayTryAgain(error)) throw error;
    if (this.#attempts >= MAX_ATTEMPTS || this.#paidFailures >= MAX_PAID_FAILURES || this.#leftMs < MIN_LEFT_MS) throw this.#first;
  }

  /** A proxy to try now; waits for one. Throws the first error when there is none in time. */
  async #seat(): Promise<Seat> {
    const { pool, places, sleep = realSleep } = this.#shared;
    const { signal } = this.#request;
    // Who comes later waits behind those who wait.
    if (places.waiting > 0) await places.wait({ ticket: this.#ticket, timeoutMs: this.#leftMs, signal });
    for (;;) {
      if (signal.aborted) throw abortError(signal);
      // An attempt that has no time left would end as one that was late, which says less than what failed before.
      if (this.#first !== null && this.#leftMs < MIN_LEFT_MS) throw this.#first;
      const found = this.#free(this.#tried);
      if (found !== null) return found;
      const patienceMs = Math.min(this.#leftMs, this.#patienceEndsAt - performance.now());
      if (this.#first !== null && patienceMs <= 0) throw this.#first;
      if (performance.now() >= this.#endsAt) throw new NetworkError('E_TIMEOUT', 'the request waited for a place until its time was over');
      const others = pool.sessions();
      if (others.length === 0) {
        try {
          await pool.acquire({ timeoutMs: patienceMs, signal });
        } catch (error) {
          // That nobody else is there says less than why the one that was there failed.
          throw signal.aborted ? abortError(signal) : this.#first ?? error;
        }
        this.#tried.clear();
        continue;
      }
      const untried = others.filter(({ address }) => !this.#tried.has(address));
      if (untried.length === 0) {
        // All have failed: another round, a little later.
        await sleep(Math.min(patienceMs, backoffMs(this.#rounds, BACKOFF)), signal).catch(() => undefined);
        this.#rounds += 1;
        this.#tried.clear();
        continue;
      }
      // One of them would do, and has no place.
      if (untried.some(({ address }) => this.#shared.breakers.waitMs(circuitsOf(address, this.#request.model)) === 0)) {
        await places.wait({ ticket: this.#ticket, timeoutMs: this.#leftMs, signal });
        continue;
      }
      await this.#waitForCircuits(untried, sleep);
    }
  }

  /** Nobody may be tried now: waits until one may. Throws when that would be too late. */
  async #waitForCircuits(proxies: readonly ConnectedProxy[], sleep: Sleep): Promise<void> {
    const { breakers, board } = this.#shared;
    const { signal, model } = this.#request;
    const now = performance.now();
    if (this.#patienceEndsAt === Infinity) this.#patienceEndsAt = now + PATIENCE_MS.broken;
    const waitMs = Math.min(...proxies.map(({ address }) => breakers.waitMs(circuitsOf(address, model))));
    if (now + waitMs > Math.min(this.#patienceEndsAt, this.#endsAt)) {
      const why = board?.troubles().find(({ fault }) => fault === 'proxy' || fault === 'node');
      throw this.#first ?? new CapacityError('E_NO_NODE', `proxies and nodes for this model have failed several times in a row and are left alone for ${Math.round(waitMs)} ms${why === undefined ? '' : `: ${why.message}`}`);
    }
    await sleep(Math.max(5, Math.min(waitMs, 250)), signal).catch(() => undefined);
  }

  /** The nearest proxy outside `except` whose circuits let this request through. */
  #free(except: ReadonlySet<string>): Seat | null {
    const { pool, breakers, places } = this.#shared;
    for (const proxy of pool.sessions()) {
      if (except.has(proxy.address)) continue;
      if (!places.take(proxy.session)) continue;
      const passes = breakers.admit(circuitsOf(proxy.address, this.#request.model));
      if (passes !== null) return { proxy, passes };
      places.giveBack(proxy.session);
    }
    return null;
  }

  async #attempt(seat: Seat): Promise<{ readonly proxy: ConnectedProxy; readonly begun: BegunAnswer }> {
    const { hedgeMs = null } = this.#shared;
    const { signal } = this.#request;
    if (hedgeMs === null || this.#request.whole) return { proxy: seat.proxy, begun: await this.#begin(seat, signal) };
    const contender = (at: Seat): Contender<{ readonly proxy: ConnectedProxy; readonly begun: BegunAnswer }> => ({
      start: async (inner) => ({ proxy: at.proxy, begun: await this.#begin(at, inner) }),
      discard: ({ begun }) => begun.body.leave(),
    });
    return firstOf(contender(seat), () => {
      // Another proxy if there is one; else the same, which has other nodes.
      const second = this.#free(new Set([...this.#tried, seat.proxy.address])) ?? this.#free(this.#tried);
      if (second === null) return null;
      this.#hedged = true;
      return contender(second);
    }, { afterMs: hedgeMs, signal });
  }

  async #begin({ proxy, passes }: Seat, signal: AbortSignal): Promise<BegunAnswer> {
    const { stallMs = STALL_MS, board } = this.#shared;
    const { model, maxTokens, maxCoefficient, whole, cost, target } = this.#request;
    let aside: AttemptCost | undefined;
    try {
      aside = cost?.();
    } catch (error) {
      for (const pass of passes.values()) pass.left();
      this.#shared.places.giveBack(proxy.session);
      this.#unpaid = true;
      throw this.#first ?? error;
    }
    this.#attempts += 1;
    const own = new AbortController();
    const events = proxy.session.ask({
      model, query: this.#query, maxTokens, maxCoefficient, timeoutMs: this.#leftMs, signal: AbortSignal.any([signal, own.signal]), ...(target !== undefined && { target }),
    });
    return beginAnswer(events, {
      whole, stallMs,
      cancel: () => own.abort(NOT_READ),
      begun: () => {
        for (const pass of passes.values()) pass.begun();
      },
      ended: (end) => {
        this.#shared.places.giveBack(proxy.session);
        aside?.settle(end.info, end.delivered);
        if (end.kind === 'broken' && end.delivered) this.#paidFailures += 1;
        if (end.kind === 'complete') board?.answered();
        // Who was told to stop, or had too little time, has not failed.
        const left = end.kind === 'left' || (end.kind === 'broken' && (signal.aborted || end.error.code === 'E_TIMEOUT'));
        conclude(passes, proxy.address, model, left ? undefined : end.kind === 'broken' ? end.error : null);
      },
    });
  }
}

const circuitsOf = (address: string, model: string): string[] => [proxyCircuit(address), ...NODE_FAILURES.map((failure) => nodeCircuit(address, model, failure))];

/** Tells the circuits how an attempt ended. `error`: null for a complete answer, undefined for one that was left. */
function conclude(passes: ReadonlyMap<string, Pass>, address: string, model: string, error: CocoonError | null | undefined): void {
  const failure = error === null || error === undefined ? null : nodeFailureOf(error);
  const broken = failure !== null ? nodeCircuit(address, model, failure) : error !== null && error !== undefined && faultOf(error) === 'proxy' ? proxyCircuit(address) : null;
  for (const [name, pass] of passes) {
    if (name === broken) pass.failed();
    else if (error === null) pass.succeeded();
    else pass.left();
  }
}

/** The boxed `http.request`. */
export function queryOf({ path, payload, headers }: Pick<ForwardRequest, 'path' | 'payload' | 'headers'>): Uint8Array {
  if (!path.startsWith('/')) throw new NetworkError('E_PROTOCOL', 'the path of a request begins with a slash');
  const all = [{ name: 'Content-Type', value: 'application/json' }, { name: 'Content-Length', value: String(payload.byteLength) }, ...headers];
  return encodeBoxed({
    _: 'http.request', method: 'POST', url: path, http_version: 'HTTP/1.1',
    headers: all.map(({ name, value }) => ({ _: 'http.header', name, value })), payload,
  });
}
