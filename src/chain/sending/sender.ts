// Durable sending from one wallet (never twice, never unknown). The signed message is on disk before its first byte
// leaves; the same bytes go out until the wallet's transaction shows them or chain time makes them impossible; only then may
// anything be signed anew, with the same sequence number, so that of all messages ever signed for an intent one can execute.
import { createHash } from 'node:crypto';
import type { Cell } from '@ton/core';
import { abortError } from '../../core/deadline.ts';
import { toHex } from '../../core/bytes.ts';
import { CocoonError, FundsError, NetworkError, UnconfirmedError, UsageError, WalletError } from '../../core/errors.ts';
import { withLock } from '../../core/lock.ts';
import { silentLog } from '../../core/log.ts';
import type { Log } from '../../core/log.ts';
import { sleep as realSleep } from '../../core/retry.ts';
import type { Sleep } from '../../core/retry.ts';
import type { AccountState, TonAccess } from '../access/types.ts';
import { externalMessage } from '../cells/wallet-messages.ts';
import type { ModedMessage } from '../cells/wallet-messages.ts';
import type { Signer } from '../ed25519.ts';
import type { WalletKind } from '../wallets/kinds.ts';
import { checkFunds, summaryOf } from '../wallets/transfer.ts';
import { followDeliveries } from './delivery.ts';
import { externalHash } from './external-hash.ts';
import { judge } from './outcome.ts';
import { Outbox } from './outbox.ts';
import { lastAttempt, replaceLastAttempt, statusOf } from './record.ts';
import type { Attempt, SendRecord } from './record.ts';

export interface SenderOptions {
  readonly access: TonAccess;
  readonly wallet: WalletKind;
  readonly signer: Signer;
  /** Outbox folder of this wallet on this network. */
  readonly folder: string;
  /** Validity of a message in seconds of chain time. Default 60. */
  readonly validForS?: number;
  /**
   * Seconds after validity ends from which no block can still include the message: a shard's block may be a little older
   * than the masterchain block that shows it. Default 30.
   */
  readonly expiryMarginS?: number;
  readonly pollMs?: number;
  readonly resendMs?: number;
  /** How long to wait for another process that sends from this wallet. Default 30 s. */
  readonly lockTimeoutMs?: number;
  readonly sleep?: Sleep;
  readonly log?: Log;
  /** Called with the name of each completed step; for crash tests. */
  readonly onStep?: (step: string) => void;
}

export interface SendIntent {
  /** Names the intent: the same key again returns the same record. 1 to 200 characters. */
  readonly key: string;
  readonly messages: readonly ModedMessage[];
}

export interface SendOptions {
  /** How many messages may be signed for the intent when one expires after the other. Default 1. */
  readonly attempts?: number;
  /** True: wait also until each transfer reached its destination; one that bounces makes the result `failed`. Default false. */
  readonly awaitDelivery?: boolean;
  /** How long to wait for the result. Default 180 s, which is longer than a message's validity. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface Sender {
  /**
   * Carries out the intent exactly once or not at all and says which. A final record is returned whatever it says (see
   * `requireConfirmed`). Throws `E_UNCONFIRMED` when the time ends first (the record stays pending and `resume` goes on with it),
   * `E_FUNDS`, `E_WALLET_BUSY`, UsageError when the key was used for something else, NetworkError while nothing is signed yet.
   */
  send(intent: SendIntent, options?: SendOptions): Promise<SendRecord>;
  /** Finishes what an earlier process left pending; returns the records that became final. Same errors as `send`. */
  resume(options?: SendOptions): Promise<SendRecord[]>;
  /** All records of the outbox, oldest first. */
  records(): Promise<SendRecord[]>;
}

const DEFAULTS = { validForS: 60, expiryMarginS: 30, pollMs: 1500, resendMs: 10_000, lockTimeoutMs: 30_000, timeoutMs: 180_000 };
const MAX_KEY = 200;
const MAX_VALID_FOR_S = 3600;
const HISTORY_LIMIT = 2000;
const ENOUGH_HEADROOM_PERCENT = 10n;
const SIGNATURE_BYTES = 64;
const MAX_LAG_S = 600;

export function createSender(options: SenderOptions): Sender {
  return new DurableSender(options);
}

/** Returns a confirmed record; throws UnconfirmedError `E_TX_EXPIRED` or `E_TX_FAILED` for one with another result. */
export function requireConfirmed(record: SendRecord): SendRecord {
  const { status, reason } = lastAttempt(record);
  if (status === 'confirmed') return record;
  if (status === 'pending') throw unconfirmed(record);
  throw new UnconfirmedError(status === 'expired' ? 'E_TX_EXPIRED' : 'E_TX_FAILED', reason ?? status);
}

function unconfirmed(record: SendRecord, cause?: unknown): UnconfirmedError {
  const { messageHash, validUntil } = lastAttempt(record);
  return new UnconfirmedError('E_UNCONFIRMED', `message ${messageHash} was sent and is not confirmed yet; it is valid until ${validUntil} (chain time)`, {
    hint: 'run the same command again: it goes on with this message and makes no second transfer', ...(cause === undefined ? {} : { cause }),
  });
}

function intentHash(messages: readonly ModedMessage[]): string {
  const digest = createHash('sha256');
  for (const { mode, message } of messages) digest.update(Uint8Array.of(mode)).update(message.hash());
  return digest.digest('hex');
}

/** Signs with zeros: for estimates, which do not look at the signature. */
const unsigned = ({ publicKey }: Signer): Signer => ({ publicKey, sign: () => new Uint8Array(SIGNATURE_BYTES) });

interface Wait {
  readonly ends: number;
  readonly signal: AbortSignal | undefined;
}

class DurableSender implements Sender {
  readonly #options: Required<Omit<SenderOptions, 'onStep'>>;
  readonly #onStep: (step: string) => void;
  readonly #outbox: Outbox;

  constructor(options: SenderOptions) {
    this.#options = { ...DEFAULTS, sleep: realSleep, log: silentLog, ...options };
    this.#onStep = options.onStep ?? (() => undefined);
    this.#outbox = new Outbox(options.folder, options.wallet.address.toRawString());
    if (this.#options.validForS < 1 || this.#options.validForS > MAX_VALID_FOR_S) {
      throw new UsageError('E_USAGE', `a message would be valid for ${this.#options.validForS} s, expected 1 to ${MAX_VALID_FOR_S}`);
    }
  }

  async send(intent: SendIntent, options: SendOptions = {}): Promise<SendRecord> {
    if (intent.key.length === 0 || intent.key.length > MAX_KEY) throw new UsageError('E_USAGE', `the intent's key has ${intent.key.length} characters, expected 1 to ${MAX_KEY}`);
    const hash = intentHash(intent.messages);
    const wait = waitOf(options);
    return this.#locked(options, async () => {
      const earlier = await this.#outbox.find(intent.key);
      if (earlier !== undefined && earlier.intentHash !== hash) {
        throw new UsageError('E_USAGE', `intent ${JSON.stringify(intent.key)} was used for other transfers before`, { hint: 'use another key for another transfer' });
      }
      for (const record of await this.#outbox.pending()) {
        if (record.key !== intent.key) await this.#settle(record, wait);
      }
      let record = earlier ?? await this.#sign(intent, undefined, wait);
      if (statusOf(record) === 'pending') record = await this.#settle(record, wait);
      while (statusOf(record) === 'expired' && record.attempts.length < (options.attempts ?? 1)) {
        record = await this.#settle(await this.#sign(intent, record, wait), wait);
      }
      return options.awaitDelivery === true ? this.#deliver(record, wait) : record;
    });
  }

  async resume(options: SendOptions = {}): Promise<SendRecord[]> {
    const wait = waitOf(options);
    return this.#locked(options, async () => {
      const finished: SendRecord[] = [];
      for (const record of await this.#outbox.pending()) finished.push(await this.#settle(record, wait));
      return finished;
    });
  }

  records(): Promise<SendRecord[]> {
    return this.#outbox.list();
  }

  #locked<T>(options: SendOptions, work: () => Promise<T>): Promise<T> {
    const { folder, lockTimeoutMs, wallet } = this.#options;
    const busy = (holder: string): WalletError => new WalletError('E_WALLET_BUSY', `wallet ${wallet.address} is busy: ${holder} is sending from it`);
    return withLock(folder, async () => {
      await this.#outbox.open();
      this.#onStep('locked');
      return work();
    }, { timeoutMs: lockTimeoutMs, busy, ...(options.signal === undefined ? {} : { signal: options.signal }) });
  }

  #seqnoOf(account: AccountState): number | null {
    const { wallet } = this.#options;
    if (account.status === 'uninitialized') return 0;
    return account.status === 'active' && account.data !== null ? wallet.readSeqno(account.data) : null;
  }

  /** Signs a message for the intent and makes it durable. Nothing has left yet when it returns. */
  async #sign(intent: SendIntent, earlier: SendRecord | undefined, wait: Wait): Promise<SendRecord> {
    const { wallet, signer, validForS } = this.#options;
    const transfers = intent.messages.map(summaryOf);
    const account = await this.#present(wait);
    const seqno = this.#seqnoOf(account);
    if (seqno === null) throw new FundsError('E_FUNDS', `wallet ${wallet.address} is frozen: it owes storage fees`, { hint: 'send TON to it; it can be revived with its old state' });
    if (account.status === 'uninitialized' && account.balanceNano === 0n) {
      throw new FundsError('E_FUNDS', `wallet ${wallet.address} holds nothing and is not deployed yet`, { hint: 'send TON to it first' });
    }
    const validUntil = account.time + validForS;
    const init = account.status === 'uninitialized' ? wallet.init : null;
    // Nothing that is really signed leaves before it is on disk, not even to have its fees estimated.
    await this.#checkFunds(account, intent.messages, await wallet.buildExternal(seqno, validUntil, intent.messages, unsigned(signer)), wait.signal);
    const body = await wallet.buildExternal(seqno, validUntil, intent.messages, signer);
    const boc = externalMessage.store({ to: wallet.address, body, init }).toBoc();
    const attempt: Attempt = {
      seqno, validUntil, afterLt: (account.last?.lt ?? 0n).toString(), messageHash: toHex(externalHash(wallet.address, body)),
      boc: boc.toString('base64'), status: 'pending', reason: null, transaction: null, deliveries: [],
    };
    this.#onStep('signed');
    const record: SendRecord = {
      schema: 'cocoon.send/1', key: intent.key, wallet: wallet.address.toRawString(), intentHash: intentHash(intent.messages),
      transfers: transfers.map(({ to, valueNano, all }) => ({ to: to.toRawString(), valueNano: valueNano.toString(), all })),
      attempts: [...(earlier?.attempts ?? []), attempt],
    };
    await this.#outbox.save(record, (step) => this.#onStep(`intent-${step}`));
    return record;
  }

  /**
   * Agreed state of the wallet, with its newest transaction that any sender of the outbox has seen: an endpoint that lags shows a
   * number that another process has used. Throws NetworkError E_CHAIN_STALE when the wait ends before it shows it.
   */
  async #present(wait: Wait): Promise<AccountState> {
    const { access, wallet, pollMs, sleep } = this.#options;
    const newest = await this.#outbox.newest();
    for (;;) {
      const account = await access.account(wallet.address, { agreed: true, ...(wait.signal === undefined ? {} : { signal: wait.signal }) });
      // No endpoint lags for longer; an account that was deleted in between begins anew.
      const lags = newest !== null && (account.last?.lt ?? 0n) < newest.lt && account.time <= newest.time + MAX_LAG_S;
      if (!lags) return account;
      const leftMs = wait.ends - performance.now();
      if (leftMs <= 0) throw new NetworkError('E_CHAIN_STALE', `endpoints show wallet ${wallet.address} as it was before its last transaction`);
      await sleep(Math.min(pollMs, leftMs), wait.signal).catch(() => undefined);
      if (wait.signal?.aborted === true) throw abortError(wait.signal);
    }
  }

  async #checkFunds(account: AccountState, messages: readonly ModedMessage[], body: Cell, signal: AbortSignal | undefined): Promise<void> {
    const { access, wallet } = this.#options;
    const init = account.status === 'uninitialized' ? wallet.init : undefined;
    const fees = await access.estimateFee(wallet.address, body, init, signal === undefined ? {} : { signal });
    // The estimate's storage fee and gas may rise a little until the block is made.
    const feesNano = fees.totalNano + fees.totalNano * ENOUGH_HEADROOM_PERCENT / 100n;
    checkFunds({ balanceNano: account.balanceNano, feesNano, minBalanceNano: wallet.minBalanceNano, messages });
  }

  /** Sends and looks until the last attempt is final; makes the result durable. */
  async #settle(record: SendRecord, wait: Wait): Promise<SendRecord> {
    const { pollMs, resendMs, sleep } = this.#options;
    const boc = Buffer.from(lastAttempt(record).boc, 'base64');
    let nextSendMs = 0;
    let lastError: unknown;
    for (;;) {
      try {
        // Looked at first: after a restart the message may be through already.
        const verdict = await this.#look(record, wait);
        this.#onStep('looked');
        if (verdict.status !== 'pending') {
          const done = replaceLastAttempt(record, verdict);
          await this.#outbox.save(done, (step) => this.#onStep(`result-${step}`));
          return done;
        }
        if (verdict.transaction === null && performance.now() >= nextSendMs) {
          nextSendMs = performance.now() + resendMs;
          await this.#broadcast(boc, wait);
        }
        lastError = undefined;
      } catch (error) {
        if (wait.signal?.aborted === true) throw abortError(wait.signal);
        // What an endpoint did not say, or said wrongly, decides nothing: the message stays pending.
        if (!(error instanceof NetworkError)) throw error;
        lastError = error;
        this.#options.log.warn('message not confirmed yet', { error: error.message });
      }
      const leftMs = wait.ends - performance.now();
      if (leftMs <= 0) throw unconfirmed(record, lastError);
      await sleep(Math.min(pollMs, leftMs), wait.signal).catch(() => undefined);
      if (wait.signal?.aborted === true) throw abortError(wait.signal);
    }
  }

  async #broadcast(boc: Uint8Array, wait: Wait): Promise<void> {
    this.#onStep('sending');
    try {
      const { accepted, refused } = await this.#options.access.sendBoc(boc, readOptions(wait));
      this.#options.log.debug('message handed over', { accepted, refused });
    } catch (error) {
      // Refused or not delivered: either way only the chain says what became of it.
      if (!(error instanceof CocoonError) || wait.signal?.aborted === true) throw error;
      this.#options.log.warn('message not handed over', { error: error.message });
    }
    this.#onStep('sent');
  }

  async #look(record: SendRecord, wait: Wait): Promise<ReturnType<typeof judge>> {
    const { access, wallet, expiryMarginS } = this.#options;
    const attempt = lastAttempt(record);
    const afterLt = BigInt(attempt.afterLt);
    const account = await access.account(wallet.address, { agreed: true, ...readOptions(wait) });
    if ((account.last?.lt ?? 0n) < afterLt) throw new NetworkError('E_CHAIN_DATA', `endpoints show wallet ${wallet.address} as it was before the message was signed`);
    const history = account.last === null
      ? { transactions: [], complete: true }
      : await access.transactions(wallet.address, { afterLt, from: account.last, limit: HISTORY_LIMIT }, readOptions(wait));
    const verdict = judge({
      attempt, account, seqno: this.#seqnoOf(account), transactions: history.transactions, transfers: record.transfers.length, expiryMarginS,
    });
    // With a part of the history missing, only a transaction that was found is proof.
    if (!history.complete && verdict.transaction === null && verdict.status !== 'pending') {
      throw new NetworkError('E_CHAIN_DATA', `wallet ${wallet.address} has more than ${HISTORY_LIMIT} transactions since the message was signed`);
    }
    return verdict;
  }

  async #deliver(record: SendRecord, wait: Wait): Promise<SendRecord> {
    if (statusOf(record) !== 'confirmed') return record;
    const { access, wallet, pollMs, sleep } = this.#options;
    const done = await followDeliveries(record, { access, wallet: wallet.address, pollMs, sleep, ...wait });
    if (done !== record) await this.#outbox.save(done);
    return done;
  }
}

function waitOf(options: SendOptions): Wait {
  return { ends: performance.now() + (options.timeoutMs ?? DEFAULTS.timeoutMs), signal: options.signal };
}

function readOptions(wait: Wait): { timeoutMs: number; signal?: AbortSignal } {
  // An expired wait still gets one look: the answer may be there.
  const timeoutMs = Math.max(1000, wait.ends - performance.now());
  return wait.signal === undefined ? { timeoutMs } : { timeoutMs, signal: wait.signal };
}
