// A daemon's wallet over the durable sender: intents with keys wait in one queue, as many as the wallet kind can carry
// leave in one external message, and what an earlier process began is finished first. The same key never pays twice.
import { createHash } from 'node:crypto';
import type { Address, Cell } from '@ton/core';
import { abortError } from '../core/deadline.ts';
import { deferred } from '../core/deferred.ts';
import type { Deferred } from '../core/deferred.ts';
import { toHex } from '../core/bytes.ts';
import { asCocoonError, ConfigError, FundsError, NetworkError, UnconfirmedError, UsageError, WalletError } from '../core/errors.ts';
import type { CocoonError } from '../core/errors.ts';
import { silentLog } from '../core/log.ts';
import type { Log } from '../core/log.ts';
import { backoffMs, sleep as realSleep } from '../core/retry.ts';
import type { Sleep } from '../core/retry.ts';
import type { TonAccess } from './access/types.ts';
import type { CodeAndData, ModedMessage } from './cells/wallet-messages.ts';
import type { Signer } from './ed25519.ts';
import { followTrace, requireDone } from './plans/trace.ts';
import { HotIntents } from './sending/hot-intents.ts';
import type { Batch } from './sending/hot-intents.ts';
import { narrowed } from './sending/narrow.ts';
import { Outbox } from './sending/outbox.ts';
import { lastAttempt, statusOf } from './sending/record.ts';
import type { SendRecord } from './sending/record.ts';
import { createSender, requireConfirmed } from './sending/sender.ts';
import type { Sender, SenderOptions } from './sending/sender.ts';
import type { WalletKind } from './wallets/kinds.ts';
import { summaryOf, transferOf } from './wallets/transfer.ts';

export interface HotMessage {
  readonly to: Address;
  readonly valueNano: bigint;
  readonly body: Cell;
  readonly init?: CodeAndData;
  /** Default: true without `init`, false with it. */
  readonly bounce?: boolean;
}

export interface HotSendOptions {
  /** True: resolve only when all that the messages caused was seen; a refusal on the way is then `E_TX_FAILED`. Default false. */
  readonly follow?: boolean;
  /** How long to wait for the result. Default 180 s. What was sent goes on without the waiter, under the same key. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface HotWallet {
  readonly address: Address;
  /** Agreed balance. Throws NetworkError. */
  balanceNano(): Promise<bigint>;
  /**
   * Carries out an intent exactly once. `key` (1 to 120 characters) names it for ever: asked again, also by another process on the
   * same folder, it joins or gives the earlier result. At most `WalletKind.maxMessages` messages, which leave together, in order,
   * possibly beside those of other intents. Resolves when confirmed, with a record of its own messages only. Throws `E_FUNDS`
   * (nothing was sent; the key may be used again), `E_TX_FAILED`, `E_TX_EXPIRED` (nothing was sent; the key may be used again),
   * `E_UNCONFIRMED` when the time ends first, UsageError when the key was used for other messages, NetworkError.
   */
  send(key: string, messages: readonly HotMessage[], options?: HotSendOptions): Promise<SendRecord>;
  /**
   * For intents that come again and again under ever new keys, so that they do not fill the disk: the key of a decided one is free
   * again some time after this. It must never be used again.
   */
  forget(key: string): void;
  /** Stops at once: waiters get `E_UNCONFIRMED` for what was sent, which the next process goes on with, and `E_CLOSED` for the rest. Idempotent. */
  close(): Promise<void>;
}

export interface HotWalletOptions extends Pick<SenderOptions, 'pollMs' | 'resendMs' | 'validForS' | 'expiryMarginS' | 'lockTimeoutMs' | 'onStep'> {
  readonly access: TonAccess;
  readonly wallet: WalletKind;
  readonly signer: Signer;
  /** Outbox of this wallet on this network (`outboxName`): the one that commands use. The intents lie beside it, in `folder.hot`. */
  readonly folder: string;
  readonly log?: Log;
  readonly sleep?: Sleep;
}

const MAX_KEY = 120;
const DEFAULT_TIMEOUT_MS = 180_000;
const DEFAULT_POLL_MS = 1500;
/** How often a message that expired is signed anew before its intents are given back. */
const ATTEMPTS = 3;
/** One look after a message under way, before anything else gets a turn. */
const ROUND_MS = 60_000;
const LOCK_MS = 30_000;
const RETRY = { baseMs: 500, maxMs: 15_000 };

interface Waiter {
  readonly done: Deferred<SendRecord>;
}

interface Intent {
  readonly key: string;
  readonly hash: string;
  readonly messages: readonly ModedMessage[];
  readonly waiters: Set<Waiter>;
  /** Why the last try came to nothing, while nothing is signed. */
  problem: CocoonError | null;
  /** True from the moment when it may have been signed. */
  sent: boolean;
}

/** Opens the wallet; what an earlier process left under way is finished before anything new is sent. */
export function openHotWallet(options: HotWalletOptions): HotWallet {
  const wallet = new QueueingWallet(options);
  wallet.start();
  return wallet;
}

class QueueingWallet implements HotWallet {
  readonly #options: HotWalletOptions;
  readonly #log: Log;
  readonly #sender: Sender;
  readonly #outbox: Outbox;
  readonly #intents: HotIntents;
  readonly #ending = new AbortController();
  readonly #byKey = new Map<string, Intent>();
  readonly #forgotten = new Set<string>();
  #queue: Intent[] = [];
  /** Intents that go alone, because together with others they cost more than the wallet holds. */
  #alone = 0;
  #signing: Batch | null = null;
  #working: Promise<void> | null = null;

  constructor(options: HotWalletOptions) {
    const { access, wallet, signer, folder, log = silentLog } = options;
    this.#options = options;
    this.#log = log;
    const { pollMs, resendMs, validForS, expiryMarginS, lockTimeoutMs, sleep } = options;
    const given = Object.fromEntries(Object.entries({ pollMs, resendMs, validForS, expiryMarginS, lockTimeoutMs, sleep }).filter(([, value]) => value !== undefined));
    const onStep = (step: string): void => {
      // From here on a caller who gives up must be told that it may happen.
      if (step === 'signed' && this.#signing !== null) this.#mark(this.#signing);
      options.onStep?.(step);
    };
    this.#sender = createSender({ access, wallet, signer, folder, log, onStep, ...given });
    this.#outbox = new Outbox(folder, wallet.address.toRawString());
    this.#intents = new HotIntents(`${folder}.hot`, options.onStep);
  }

  get address(): Address {
    return this.#options.wallet.address;
  }

  /** Finishes in the background what an earlier process left under way. */
  start(): void {
    this.#working = this.#work();
  }

  async balanceNano(): Promise<bigint> {
    return (await this.#options.access.account(this.address, { agreed: true })).balanceNano;
  }

  async send(key: string, messages: readonly HotMessage[], options: HotSendOptions = {}): Promise<SendRecord> {
    const { timeoutMs = DEFAULT_TIMEOUT_MS, signal, follow = false } = options;
    const { wallet } = this.#options;
    if (key.length === 0 || key.length > MAX_KEY) throw new UsageError('E_USAGE', `the intent's key has ${key.length} characters, expected 1 to ${MAX_KEY}`);
    if (messages.length === 0 || messages.length > wallet.maxMessages) {
      throw new UsageError('E_USAGE', `an intent has ${messages.length} messages, expected 1 to ${wallet.maxMessages}`);
    }
    if (this.#ending.signal.aborted) throw abortError(this.#ending.signal);
    if (signal?.aborted === true) throw abortError(signal);
    const ends = performance.now() + timeoutMs;
    const moded = messages.map(({ to, valueNano, body, init, bounce }) => transferOf({ to, valueNano, body, bounce: bounce ?? init === undefined, ...(init === undefined ? {} : { init }) }));
    const record = requireConfirmed(await this.#wait(this.#intent(key, moded), ends, signal));
    if (follow) {
      const trace = await followTrace(wallet.address, lastAttempt(record).deliveries, {
        access: this.#options.access, pollMs: this.#options.pollMs ?? DEFAULT_POLL_MS, ends, sleep: this.#options.sleep ?? realSleep,
        signal: signal === undefined ? this.#ending.signal : AbortSignal.any([signal, this.#ending.signal]),
      });
      requireDone(trace);
    }
    return record;
  }

  forget(key: string): void {
    this.#forgotten.add(key); // done with the next intent, when the lock is held anyway
  }

  async close(): Promise<void> {
    this.#ending.abort(new NetworkError('E_CLOSED', 'the wallet is being closed'));
    await this.#working;
    for (const intent of this.#byKey.values()) this.#finish(intent, intent.sent ? unconfirmed(intent) : abortError(this.#ending.signal));
  }

  #intent(key: string, messages: readonly ModedMessage[]): Intent {
    const hash = intentHash(messages);
    const known = this.#byKey.get(key);
    if (known !== undefined) {
      if (known.hash !== hash) throw usedOtherwise(key);
      return known;
    }
    const intent: Intent = { key, hash, messages, waiters: new Set(), problem: null, sent: false };
    this.#byKey.set(key, intent);
    this.#queue.push(intent);
    this.#working ??= this.#work();
    return intent;
  }

  /** One caller's wait. When it ends first, what was not signed is forgotten with its last waiter; what was goes on. */
  async #wait(intent: Intent, ends: number, signal: AbortSignal | undefined): Promise<SendRecord> {
    const waiter: Waiter = { done: deferred() };
    intent.waiters.add(waiter);
    const giveUp = (error: CocoonError): void => {
      intent.waiters.delete(waiter);
      waiter.done.reject(error);
      if (intent.waiters.size > 0 || intent.sent || !this.#queue.includes(intent)) return;
      this.#queue = this.#queue.filter((queued) => queued !== intent);
      this.#byKey.delete(intent.key);
    };
    const late = (): CocoonError => intent.sent
      ? unconfirmed(intent)
      : intent.problem ?? new NetworkError('E_TIMEOUT', `intent ${JSON.stringify(intent.key)} had no turn in its time; nothing was sent`);
    const timer = setTimeout(() => giveUp(late()), Math.max(0, Math.min(ends - performance.now(), 2 ** 31 - 1)));
    const onAbort = (): void => { if (signal !== undefined) giveUp(abortError(signal)); };
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      return await waiter.done.promise;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  #finish(intent: Intent, result: SendRecord | CocoonError): void {
    this.#byKey.delete(intent.key);
    this.#queue = this.#queue.filter((queued) => queued !== intent);
    for (const { done } of intent.waiters) {
      if (result instanceof Error) done.reject(result);
      else done.resolve(result);
    }
    intent.waiters.clear();
  }

  async #work(): Promise<void> {
    await Promise.resolve(); // what is asked for in the same turn goes along
    let failures = 0;
    do {
      let round: readonly Intent[] = [];
      try {
        await this.#locked(async () => {
          for (const batch of await this.#intents.recover()) await this.#carryOut(batch);
          await this.#forgetDecided();
          round = this.#nextRound();
          if (round.length > 0) await this.#round(round);
        });
        failures = 0;
      } catch (error) {
        if (this.#ending.signal.aborted) break;
        const known = asCocoonError(error);
        if (round.length === 0) round = this.#nextRound();
        for (const intent of round) {
          if (isPassing(known)) intent.problem = known;
          else this.#finish(intent, known);
        }
        this.#log.warn('nothing could be sent', { code: known.code, reason: known.message });
        failures += 1;
        await (this.#options.sleep ?? realSleep)(backoffMs(failures - 1, RETRY), this.#ending.signal).catch(() => undefined);
      }
    } while (this.#queue.length > 0 && !this.#ending.signal.aborted);
    this.#working = null; // in the same turn in which nothing was found waiting
  }

  /** A record that several intents share stays: the others may still be asked for. */
  async #forgetDecided(): Promise<void> {
    for (const key of this.#forgotten) {
      this.#forgotten.delete(key);
      const placed = await this.#intents.find(key);
      const record = placed === null ? undefined : await this.#outbox.find(placed.outboxKey);
      if (placed === null || (record !== undefined && statusOf(record) === 'pending')) continue;
      await this.#intents.forget(key);
      if (record !== undefined && record.transfers.length === placed.count) await this.#outbox.forget(placed.outboxKey);
    }
  }

  #locked(work: () => Promise<void>): Promise<void> {
    const busy = (holder: string): WalletError => new WalletError('E_WALLET_BUSY', `wallet ${this.address.toString()} is busy: ${holder} is sending from it`);
    return this.#intents.locked(work, { timeoutMs: this.#options.lockTimeoutMs ?? LOCK_MS, signal: this.#ending.signal, busy });
  }

  /** The first intents of the queue that can go together: in order, no more messages than fit, no two alike of different intents. */
  #nextRound(): Intent[] {
    const round: Intent[] = [];
    const seen = new Set<string>();
    let count = 0;
    for (const intent of this.#queue) {
      const marks = intent.messages.map(markOf);
      count += marks.length;
      if (round.length > 0 && (this.#alone > 0 || count > this.#options.wallet.maxMessages || marks.some((mark) => seen.has(mark)))) break;
      for (const mark of marks) seen.add(mark);
      round.push(intent);
    }
    return round;
  }

  async #round(round: readonly Intent[]): Promise<void> {
    const isDead = async (outboxKey: string): Promise<boolean> => {
      const record = await this.#outbox.find(outboxKey);
      return record === undefined || isVoid(record);
    };
    const { batches, refused } = await this.#intents.place(round, isDead);
    for (const { key } of refused) this.#finishKey(key, usedOtherwise(key));
    for (const batch of batches) await this.#carryOut(batch, true);
  }

  /** Stays with a batch until it is decided. One of an earlier process that was never signed is given up: nobody waits for it. */
  async #carryOut(batch: Batch, isOwn = false): Promise<void> {
    for (;;) {
      const known = await this.#outbox.find(batch.outboxKey);
      if (known !== undefined) this.#mark(batch);
      if (known === undefined && !isOwn) return this.#dissolve(batch, null);
      if (batch.messages === null || (known !== undefined && statusOf(known) !== 'pending')) {
        if (known === undefined) throw new ConfigError('E_STATE', `the outbox has no record of transfer ${batch.outboxKey}`);
        return this.#decided(batch, known);
      }
      this.#signing = batch;
      try {
        const options = { attempts: ATTEMPTS, timeoutMs: ROUND_MS, signal: this.#ending.signal };
        return await this.#decided(batch, await this.#sender.send({ key: batch.outboxKey, messages: batch.messages }, options));
      } catch (error) {
        const problem = asCocoonError(error);
        if (await this.#outbox.find(batch.outboxKey) === undefined) {
          await this.#dissolve(batch, problem);
          if (isPassing(problem)) throw problem;
          return undefined;
        }
        this.#mark(batch);
        if (this.#ending.signal.aborted || !(problem instanceof UnconfirmedError || isPassing(problem))) throw problem;
        this.#log.warn('transfers not confirmed yet', { reason: problem.message, intents: batch.placed.length });
        await (this.#options.sleep ?? realSleep)(RETRY.baseMs, this.#ending.signal).catch(() => undefined);
      } finally {
        this.#signing = null;
      }
    }
  }

  #mark(batch: Batch): void {
    for (const { key } of batch.placed) {
      const intent = this.#byKey.get(key);
      if (intent !== undefined) intent.sent = true;
    }
  }

  async #decided(batch: Batch, record: SendRecord): Promise<void> {
    if (isVoid(record)) {
      const { reason, status } = lastAttempt(record);
      return this.#dissolve(batch, new UnconfirmedError('E_TX_EXPIRED', reason ?? status));
    }
    await this.#intents.settle(batch);
    this.#alone = Math.max(0, this.#alone - 1);
    for (const placed of batch.placed) this.#finishKey(placed.key, narrowed(record, placed));
    return undefined;
  }

  /** Forgets a batch of which nothing was or can be executed; its keys are free again, and who still waits for one is in the queue. */
  async #dissolve(batch: Batch, problem: CocoonError | null): Promise<void> {
    await this.#intents.dissolve(batch);
    // Together they cost more than there is: each alone may not.
    const together = problem instanceof FundsError && batch.placed.length > 1;
    this.#alone = together ? batch.placed.length : Math.max(0, this.#alone - 1);
    for (const { key } of batch.placed) {
      const intent = this.#byKey.get(key);
      if (intent === undefined) continue;
      intent.sent = false;
      intent.problem = problem;
      if (problem !== null && !together && !isPassing(problem)) this.#finish(intent, problem);
      else if (intent.waiters.size === 0) this.#finish(intent, new NetworkError('E_CLOSED', 'nobody waits for it'));
    }
  }

  #finishKey(key: string, result: SendRecord | CocoonError): void {
    const intent = this.#byKey.get(key);
    if (intent !== undefined) this.#finish(intent, result);
  }
}

/** True when nothing of a final record was or can be executed: it expired, or another message took its number. */
const isVoid = (record: SendRecord): boolean => statusOf(record) !== 'pending' && statusOf(record) !== 'confirmed' && lastAttempt(record).transaction === null;

/** Troubles that pass by themselves while nothing is signed. */
const isPassing = (error: CocoonError): boolean => error instanceof NetworkError || error.code === 'E_WALLET_BUSY' || error.code === 'E_TX_EXPIRED';

const usedOtherwise = (key: string): UsageError => new UsageError('E_USAGE', `intent ${JSON.stringify(key)} was used for other transfers before`, { hint: 'use another key for another transfer' });

const unconfirmed = ({ key }: Intent): UnconfirmedError => new UnconfirmedError('E_UNCONFIRMED', `intent ${JSON.stringify(key)} was sent and is not confirmed yet`, {
  hint: 'ask again under the same key: no second transfer is made',
});

function intentHash(messages: readonly ModedMessage[]): string {
  const digest = createHash('sha256');
  for (const { mode, message } of messages) digest.update(Uint8Array.of(mode)).update(message.hash());
  return toHex(digest.digest());
}

/** What a transfer that left is told by: destination and value. */
function markOf(message: ModedMessage): string {
  const { to, valueNano } = summaryOf(message);
  return `${to.toRawString()} ${valueNano}`;
}
