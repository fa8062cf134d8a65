// TonAccess over several toncenter-v2 endpoints: fail-over, back-off, and agreement of two for reads on which money depends.
// Fails closed: with two endpoints configured and one silent, an agreed read ends in an error, not in one endpoint's word.
import type { Address } from '@ton/core';
import { Agent } from 'undici';
import { abortError } from '../../core/deadline.ts';
import { ConfigError, NetworkError } from '../../core/errors.ts';
import { backoffMs, sleep as realSleep } from '../../core/retry.ts';
import type { Sleep } from '../../core/retry.ts';
import { accountFingerprint, compareLt, findAgreement, getMethodFingerprint } from './agreement.ts';
import type { Answer } from './agreement.ts';
import { Endpoint, parseEndpointUrl } from './endpoint.ts';
import type { EndpointConfig } from './endpoint.ts';
import { askingOrder, HealthRecord, reports } from './health.ts';
import { EndpointError } from './http-adapter.ts';
import type { AccountState, BroadcastResult, ReadOptions, TonAccess, TransactionId, TransactionList, TransactionsQuery } from './types.ts';

export interface TonAccessOptions {
  /** In order of preference; at least one. */
  readonly endpoints: readonly EndpointConfig[];
  /** Deadline of one call, fail-over and waits included. Default 30 s. */
  readonly timeoutMs?: number;
  /** Deadline of one HTTP request. Default 10 s. */
  readonly requestTimeoutMs?: number;
  /** Default 4 MiB. */
  readonly maxResponseBytes?: number;
  readonly now?: () => number;
  readonly random?: () => number;
  readonly sleep?: Sleep;
}

const DEFAULT_TIMEOUT_MS = 30_000;
const DEFAULT_REQUEST_TIMEOUT_MS = 10_000;
const DEFAULT_MAX_RESPONSE_BYTES = 4 << 20;
const DEFAULT_LIST_LIMIT = 256;
const AGREEMENT_POLL = { baseMs: 250, maxMs: 2000 };
const MIN_WAIT_MS = 10;
/** Longest delay that timers keep. */
const MAX_TIMER_MS = 2 ** 31 - 1;

type Ask<T> = (endpoint: Endpoint, signal: AbortSignal) => Promise<T>;

interface Deadline {
  readonly signal: AbortSignal;
  readonly leftMs: () => number;
}

/** Throws `E_CONFIG` when an endpoint's URL is not usable or none is given. */
export function createTonAccess(options: TonAccessOptions): TonAccess {
  return new HttpTonAccess(options);
}

class HttpTonAccess implements TonAccess {
  readonly #endpoints: readonly { readonly endpoint: Endpoint; readonly health: HealthRecord }[];
  readonly #dispatcher: Agent;
  readonly #timeoutMs: number;
  readonly #requestTimeoutMs: number;
  readonly #now: () => number;
  readonly #random: () => number;
  readonly #sleep: Sleep;

  constructor(options: TonAccessOptions) {
    if (options.endpoints.length === 0) throw new ConfigError('E_CONFIG', 'no TON endpoint is configured for this network', { hint: 'cocoon network add NAME --endpoint URL' });
    if (new Set(options.endpoints.map((config) => parseEndpointUrl(config).href)).size < options.endpoints.length) {
      throw new ConfigError('E_CONFIG', 'a TON endpoint is configured twice', { hint: 'two endpoints must be of two operators, or their agreement means nothing' });
    }
    this.#timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    this.#requestTimeoutMs = options.requestTimeoutMs ?? DEFAULT_REQUEST_TIMEOUT_MS;
    this.#now = options.now ?? Date.now;
    this.#random = options.random ?? Math.random;
    this.#sleep = options.sleep ?? realSleep;
    this.#dispatcher = new Agent({ connections: 8, connect: { timeout: this.#requestTimeoutMs } });
    const ports = { dispatcher: this.#dispatcher, maxResponseBytes: options.maxResponseBytes ?? DEFAULT_MAX_RESPONSE_BYTES, now: this.#now };
    this.#endpoints = options.endpoints.map((config) => {
      const endpoint = new Endpoint(config, ports);
      return { endpoint, health: new HealthRecord(endpoint.name, { now: this.#now, random: this.#random }) };
    });
  }

  #deadline(options: ReadOptions | undefined): Deadline {
    const timeoutMs = Math.min(Math.ceil(options?.timeoutMs ?? this.#timeoutMs), MAX_TIMER_MS);
    const ends = performance.now() + timeoutMs;
    const limit = AbortSignal.timeout(timeoutMs);
    return {
      signal: options?.signal === undefined ? limit : AbortSignal.any([options.signal, limit]),
      leftMs: () => Math.max(0, ends - performance.now()),
    };
  }

  /** One request to one endpoint, with its effect on the endpoint's health. Rejects with EndpointError, or the caller's abort reason. */
  async #ask<T>(index: number, ask: Ask<T>, deadline: Deadline): Promise<T> {
    const entry = this.#endpoints[index];
    if (entry === undefined) throw new RangeError(`no endpoint ${index}`);
    const started = this.#now();
    const { troubles } = entry.health;
    try {
      const answer = await ask(entry.endpoint, AbortSignal.any([deadline.signal, AbortSignal.timeout(this.#requestTimeoutMs)]));
      entry.health.succeeded(started);
      return answer;
    } catch (error) {
      if (!(error instanceof EndpointError)) throw error;
      // An abort is the caller's doing, not the endpoint's, unless the time ran out.
      if (!deadline.signal.aborted || deadline.leftMs() <= 0) entry.health.failed(error, troubles);
      throw error;
    }
  }

  #records(): HealthRecord[] {
    return this.#endpoints.map(({ health }) => health);
  }

  /** Waits until an endpoint may be asked again. False when the deadline comes first. */
  async #waitForOne(deadline: Deadline): Promise<boolean> {
    const waitMs = Math.max(MIN_WAIT_MS, Math.min(...this.#records().map((record) => record.coolingMs)));
    if (waitMs >= deadline.leftMs()) return false;
    return this.#sleepWithin(waitMs, deadline);
  }

  /** The first usable answer, asking in order of health. */
  async #firstOf<T>(what: string, ask: Ask<T>, options: ReadOptions | undefined): Promise<T> {
    const deadline = this.#deadline(options);
    const errors = new Map<string, EndpointError>();
    for (;;) {
      const order = askingOrder(this.#records());
      for (const index of order) {
        try {
          return await this.#ask(index, ask, deadline);
        } catch (error) {
          throwIfAborted(options);
          if (!(error instanceof EndpointError)) throw error;
          const name = this.#endpoints[index]?.endpoint.name ?? '';
          // What an endpoint did wrong says more than that its last request was cut off by the deadline.
          if (deadline.leftMs() > 0 || !errors.has(name)) errors.set(name, error);
        }
        if (deadline.leftMs() <= 0) throw summary(what, errors);
      }
      const refused = [...errors.values()].filter((error) => error.definite);
      if (refused[0] !== undefined && refused.length === this.#endpoints.length) throw refused[0];
      // Those that refused for good are not cooling; asking them again at once would be a busy loop.
      const proceed = refused.length > 0
        ? await this.#pause(deadline)
        : await this.#waitForOne(deadline);
      throwIfAborted(options);
      if (!proceed) throw summary(what, errors);
    }
  }

  async #pause(deadline: Deadline): Promise<boolean> {
    const waitMs = backoffMs(0, { ...AGREEMENT_POLL, random: this.#random });
    if (waitMs >= deadline.leftMs()) return false;
    return this.#sleepWithin(waitMs, deadline);
  }

  /** False when the deadline or the caller ended the sleep. */
  async #sleepWithin(waitMs: number, deadline: Deadline): Promise<boolean> {
    try {
      await this.#sleep(waitMs, deadline.signal);
      return true;
    } catch {
      return false;
    }
  }

  /** Two equal answers; asks all endpoints, and again those that lag, until two agree or the deadline ends. */
  async #agreed<T>(what: string, ask: Ask<T>, options: ReadOptions, rules: AgreementRules<T>): Promise<T> {
    const deadline = this.#deadline(options);
    let errors = new Map<string, EndpointError>();
    let answers: Answer<T>[] = [];
    for (let round = 0; ; round += 1) {
      const order = askingOrder(this.#records());
      const fresh: Answer<T>[] = [];
      errors = new Map();
      await Promise.all(order.map(async (index) => {
        const name = this.#endpoints[index]?.endpoint.name ?? '';
        try {
          const value = await this.#ask(index, ask, deadline);
          fresh.push({ name, index, value, fingerprint: rules.fingerprint(value) });
        } catch (error) {
          if (!(error instanceof EndpointError)) throw error;
          errors.set(name, error);
        }
      }));
      throwIfAborted(options);
      if (order.length > 0) answers = fresh;
      const found = findAgreement(answers, rules.prefer);
      if (found !== undefined) return found;
      const isFinal = answers.length === this.#endpoints.length && rules.contradict(answers.map(({ value }) => value));
      const waitMs = backoffMs(round, { ...AGREEMENT_POLL, random: this.#random });
      if (isFinal || waitMs >= deadline.leftMs()) throw disagreement(what, answers, errors, this.#endpoints.length);
      await this.#sleepWithin(waitMs, deadline);
      throwIfAborted(options);
    }
  }

  #sawAccount(endpoint: Endpoint, state: AccountState): AccountState {
    this.#endpoints.find((entry) => entry.endpoint === endpoint)?.health.sawBlock(state.time);
    return state;
  }

  account(address: Address, options: ReadOptions = {}): Promise<AccountState> {
    const ask: Ask<AccountState> = async (endpoint, signal) => this.#sawAccount(endpoint, await endpoint.account(address, signal));
    const what = `account ${address}`;
    if (options.agreed !== true || this.#endpoints.length < 2) return this.#firstOf(what, ask, options);
    return this.#agreed(what, ask, options, {
      fingerprint: accountFingerprint,
      // Of equal states the older time: nobody then concludes that more time has passed than two endpoints saw pass.
      prefer: (a, b) => compareLt(a, b) || b.time - a.time,
      contradict: (states) => states.every((state) => compareLt(state, states[0] ?? state) === 0),
    });
  }

  runGetMethod(...[address, method, stack = [], options = {}]: Parameters<TonAccess['runGetMethod']>): ReturnType<TonAccess['runGetMethod']> {
    const ask = (endpoint: Endpoint, signal: AbortSignal): ReturnType<Endpoint['runGetMethod']> => endpoint.runGetMethod(address, method, stack, signal);
    const what = `get method ${method} of ${address}`;
    if (options.agreed !== true || this.#endpoints.length < 2) return this.#firstOf(what, ask, options);
    return this.#agreed(what, ask, options, { fingerprint: getMethodFingerprint, prefer: () => 0, contradict: () => false });
  }

  async transactions(address: Address, query: TransactionsQuery, options: ReadOptions = {}): Promise<TransactionList> {
    const limit = query.limit ?? DEFAULT_LIST_LIMIT;
    const deadline = this.#deadline(options);
    const transactions: TransactionList['transactions'][number][] = [];
    let next: TransactionId | null = query.from ?? (await this.account(address, options)).last;
    while (next !== null && next.lt > query.afterLt) {
      if (transactions.length >= limit) return { transactions: transactions.slice(0, limit), complete: false };
      const from: TransactionId = next;
      const page = await this.#firstOf(`transactions of ${address}`, (endpoint, signal) => endpoint.page(address, from, signal), { ...options, timeoutMs: deadline.leftMs() });
      next = null;
      for (const transaction of page) {
        if (transaction.lt <= query.afterLt) break;
        transactions.push(transaction);
        next = previousOf(transaction);
      }
    }
    return transactions.length > limit
      ? { transactions: transactions.slice(0, limit), complete: false }
      : { transactions, complete: true };
  }

  masterchain(options: ReadOptions = {}): ReturnType<TonAccess['masterchain']> {
    return this.#firstOf('masterchain info', async (endpoint, signal) => {
      const info = await endpoint.masterchain(signal);
      this.#endpoints.find((entry) => entry.endpoint === endpoint)?.health.sawBlock(info.time, info.seqno);
      return info;
    }, options);
  }

  async sendBoc(boc: Uint8Array, options: ReadOptions = {}): Promise<BroadcastResult> {
    const deadline = this.#deadline(options);
    const accepted: string[] = [];
    const errors = new Map<string, EndpointError>();
    let order = askingOrder(this.#records());
    while (order.length === 0 && await this.#waitForOne(deadline)) order = askingOrder(this.#records());
    await Promise.all(order.map(async (index) => {
      const name = this.#endpoints[index]?.endpoint.name ?? '';
      try {
        await this.#ask(index, (endpoint, signal) => endpoint.sendBoc(boc, signal), deadline);
        accepted.push(name);
      } catch (error) {
        if (!(error instanceof EndpointError)) throw error;
        errors.set(name, error);
      }
    }));
    throwIfAborted(options);
    const refused = [...errors.values()].filter(({ code }) => code === 'E_CHAIN_REFUSED');
    if (accepted.length > 0) return { accepted, refused: refused.map(({ message }) => message) };
    throw refused[0] ?? summary('message', errors);
  }

  estimateFee(...[address, body, init, options = {}]: Parameters<TonAccess['estimateFee']>): ReturnType<TonAccess['estimateFee']> {
    return this.#firstOf('fees', (endpoint, signal) => endpoint.estimateFee(address, body, init, signal), options);
  }

  locateResult(...[source, destination, createdLt, options = {}]: Parameters<TonAccess['locateResult']>): ReturnType<TonAccess['locateResult']> {
    return this.#firstOf('delivery', (endpoint, signal) => endpoint.locateResult(source, destination, createdLt, signal), options);
  }

  health(): ReturnType<TonAccess['health']> {
    return reports(this.#records());
  }

  async close(): Promise<void> {
    await this.#dispatcher.destroy();
  }
}

interface AgreementRules<T> {
  readonly fingerprint: (value: T) => string;
  readonly prefer: (a: T, b: T) => number;
  /** True when waiting cannot make these answers equal. */
  readonly contradict: (values: readonly T[]) => boolean;
}

function previousOf(transaction: TransactionList['transactions'][number]): TransactionId | null {
  const { prevTransactionLt: lt, prevTransactionHash } = transaction;
  if (lt === 0n) return null;
  return { lt, hash: new Uint8Array(Buffer.from(prevTransactionHash.toString(16).padStart(64, '0'), 'hex')) };
}

function throwIfAborted(options: ReadOptions | undefined): void {
  if (options?.signal?.aborted === true) throw abortError(options.signal);
}

function listErrors(errors: ReadonlyMap<string, EndpointError>): string {
  return [...errors.values()].map(({ message }) => message).join('; ');
}

/** One error for several endpoints: the data error when no endpoint failed otherwise, else "unreachable". */
function summary(what: string, errors: ReadonlyMap<string, EndpointError>): NetworkError {
  const all = [...errors.values()];
  const first = all[0];
  const code = first !== undefined && all.every((error) => error.code === first.code) ? first.code : 'E_CHAIN_UNREACHABLE';
  const detail = all.length === 0 ? 'all endpoints are resting after earlier failures' : listErrors(errors);
  const hint = all.map((error) => error.hint).find((text) => text !== undefined);
  return new NetworkError(code, `cannot read ${what}: ${detail}`, { ...(hint === undefined ? {} : { hint }), ...(first === undefined ? {} : { cause: first }) });
}

function disagreement<T>(what: string, answers: readonly Answer<T>[], errors: ReadonlyMap<string, EndpointError>, configured: number): NetworkError {
  if (answers.length >= 2) {
    const list = answers.map(({ name, fingerprint }) => `${name}: ${fingerprint}`).join('; ');
    return new NetworkError('E_CHAIN_DISAGREES', `endpoints disagree about ${what} (${list})`);
  }
  const detail = errors.size === 0 ? '' : ` (${listErrors(errors)})`;
  return new NetworkError('E_CHAIN_UNREACHABLE', `cannot read ${what}: ${answers.length} of ${configured} endpoints answered, two must agree${detail}`);
}
