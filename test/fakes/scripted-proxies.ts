// Proxies as a client sees them, without sockets: each answers requests by a script, and can be cut, so that everything around a
// client's sessions is tested at once. A pool's connector hands them out as real ones are handed out: nearest first, none twice.
import { CapacityError, NetworkError } from '../../src/core/errors.ts';
import { deferred } from '../../src/core/deferred.ts';
import { abortError } from '../../src/core/deadline.ts';
import { NO_INFO } from '../../src/wire/answer.ts';
import { capabilitiesOf } from '../../src/wire/versions.ts';
import { decodeBoxed } from '../../src/wire/tl/codec.ts';
import type { ConnectedProxy } from '../../src/client/connect.ts';
import type { CocoonError } from '../../src/core/errors.ts';
import type { FinalInfo, HttpHeader } from '../../src/wire/answer.ts';
import type { AnswerEvent, AskRequest, ClientSession, ModelListing } from '../../src/wire/client-session.ts';
import type { SealTarget } from '../../src/wire/sealed.ts';

/** A request as a node gets it. */
export interface ScriptedRequest {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Record<string, unknown>;
  /** The body's own text. */
  readonly text: string;
  /** Address of the proxy, and what the client allows. */
  readonly proxy: string;
  readonly asked: AskRequest;
  /** Aborts when the client leaves or the proxy is cut. */
  readonly signal: AbortSignal;
}

export interface ScriptedHead {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What a script yields: a head first, then text of the body, then nothing (complete, with the info it returns). It throws to break. */
export type Script = (request: ScriptedRequest) => AsyncGenerator<ScriptedHead | string | Uint8Array, FinalInfo | void, void>;

export interface ScriptedProxy {
  readonly address: string;
  readonly requests: readonly ScriptedRequest[];
  /** Requests that run now, and those that ended because the client left. */
  readonly running: number;
  readonly left: number;
  /** False: it is not there, and its session has ended. */
  up: boolean;
}

export interface ScriptedProxies {
  readonly all: readonly ScriptedProxy[];
  connect(options: { readonly except?: ReadonlySet<string> }): Promise<ConnectedProxy>;
}

export interface ScriptedOptions {
  readonly script: Script;
  readonly count?: number;
  readonly models?: readonly ModelListing[];
  readonly targets?: (model: string) => readonly SealTarget[];
}

const MODELS: readonly ModelListing[] = [{ model: 'scripted', activeWorkers: 1, minCoefficient: 1_000, workers: [{ coefficient: 1_000, activeRequests: 0, maxActiveRequests: 4 }] }];

export function scriptedProxies({ script, count = 1, models = MODELS, targets = () => [] }: ScriptedOptions): ScriptedProxies {
  const proxies = Array.from({ length: count }, (_, index) => new OneProxy(`127.0.0.1:${1_000 + index}`, script, models, targets));
  return {
    all: proxies,
    async connect({ except = new Set() }) {
      const found = proxies.find((proxy) => proxy.up && !except.has(proxy.address));
      if (found === undefined) throw new NetworkError('E_UNREACHABLE', 'no scripted proxy is up');
      return found.connected();
    },
  };
}

class OneProxy implements ScriptedProxy {
  readonly address: string;
  readonly requests: ScriptedRequest[] = [];
  running = 0;
  left = 0;
  readonly #script: Script;
  readonly #models: readonly ModelListing[];
  readonly #targets: (model: string) => readonly SealTarget[];
  #up = new AbortController();

  constructor(address: string, script: Script, models: readonly ModelListing[], targets: (model: string) => readonly SealTarget[]) {
    this.address = address;
    this.#script = script;
    this.#models = models;
    this.#targets = targets;
  }

  get up(): boolean {
    return !this.#up.signal.aborted;
  }

  set up(up: boolean) {
    if (up && this.#up.signal.aborted) this.#up = new AbortController();
    if (!up) this.#up.abort(new NetworkError('E_CLOSED', 'the connection ended before the answer was complete'));
  }

  connected(): ConnectedProxy {
    const up = this.#up;
    const closed = deferred<CocoonError | null>();
    up.signal.addEventListener('abort', () => closed.resolve(new NetworkError('E_CLOSED', 'the connection ended')), { once: true });
    const session: ClientSession = {
      version: 7, capabilities: capabilitiesOf(7), closed: closed.promise,
      get offer(): never { throw new Error('not scripted'); },
      runningRequests: 0,
      ask: (request) => this.#ask(request, up.signal),
      models: async () => [...this.#models],
      sealTargets: async (model) => this.#targets(model),
      updatePaymentStatus: async () => { throw new CapacityError('E_NO_NODE', 'not scripted'); },
      close: () => closed.resolve(null),
    };
    const { port } = { port: Number(this.address.split(':')[1]) };
    return {
      session, address: this.address, roundTripMs: port - 999, connectMs: 0, handshakeMs: 0,
      peer: { evidence: 'simulated', imageHash: new Uint8Array(32).fill(7), publicKey: new Uint8Array(32).fill(8) } as ConnectedProxy['peer'],
    };
  }

  async *#ask(asked: AskRequest, up: AbortSignal): AsyncGenerator<AnswerEvent, void, undefined> {
    const query = decodeBoxed(asked.query);
    if (query._ !== 'http.request') throw new Error('no http.request');
    const text = new TextDecoder().decode(query.payload);
    const own = new AbortController();
    const signal = AbortSignal.any([up, own.signal, ...(asked.signal === undefined ? [] : [asked.signal])]);
    const request: ScriptedRequest = {
      path: query.url, text, body: JSON.parse(text) as Record<string, unknown>, proxy: this.address, asked, signal,
      headers: Object.fromEntries(query.headers.map(({ name, value }) => [name.toLowerCase(), value])),
    };
    this.requests.push(request);
    this.running += 1;
    const gone = deferred<never>();
    gone.promise.catch(() => undefined);
    signal.addEventListener('abort', () => gone.reject(abortError(signal)), { once: true });
    const events = this.#script(request);
    let over = false;
    try {
      if (signal.aborted) throw abortError(signal);
      for (;;) {
        const next = await Promise.race([events.next(), gone.promise]);
        if (next.done === true) {
          over = true;
          yield { kind: 'end', info: next.value ?? NO_INFO };
          return;
        }
        yield eventOf(next.value);
      }
    } catch (error) {
      over = !(asked.signal?.aborted ?? false);
      throw error;
    } finally {
      this.running -= 1;
      if (!over) this.left += 1;
      own.abort(new NetworkError('E_CLOSED', 'not read any more'));
      void events.return();
    }
  }
}

function eventOf(value: ScriptedHead | string | Uint8Array): AnswerEvent {
  if (typeof value === 'string') return { kind: 'part', bytes: new TextEncoder().encode(value) };
  if (value instanceof Uint8Array) return { kind: 'part', bytes: value };
  const headers: HttpHeader[] = Object.entries(value.headers ?? { 'content-type': 'text/event-stream; charset=utf-8', 'x-cocoon-continues': '1' }).map(([name, text]) => ({ name, value: text }));
  return { kind: 'head', head: { httpVersion: 'HTTP/1.1', status: value.status ?? 200, reason: 'OK', headers, payload: new Uint8Array(0) } };
}
