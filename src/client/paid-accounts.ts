// The client's side of the money (WIRE.md sections 9, 12 to 15). Refuses proxies whose contracts do not follow from the root
// contract, deposits beyond the owner's ceilings, payments that are not the proxy's, and totals above what this side counted
// itself. Bound: a client loses at most the reservations of requests whose end it did not see.
import type { Address } from '@ton/core';
import { deferred } from '../core/deferred.ts';
import { equalBytes } from '../core/bytes.ts';
import { asCocoonError, NetworkError, PolicyError } from '../core/errors.ts';
import { checkPayment, parsePayment } from '../chain/signed-payment.ts';
import { checkProxyContract, parseSaid } from '../chain/follow/check-proxy.ts';
import { clientStorage, STATE } from '../chain/cells/storage.ts';
import { proxySecret, secretHashOf } from '../chain/proxy-secret.ts';
import { readState } from '../chain/plans/reading.ts';
import { aboveCount } from './accounts.ts';
import { impossibleBill, reservationOf } from './bounds.ts';
import { clientOf, depositDue, prepareIntent, readClient, registerIntent } from './deposit.ts';
import type { CocoonError } from '../core/errors.ts';
import type { Clock } from '../core/clock.ts';
import type { Log } from '../core/log.ts';
import type { TonAccess } from '../chain/access/types.ts';
import type { CheckedProxy } from '../chain/follow/check-proxy.ts';
import type { RootFollower } from '../chain/follow/root-follower.ts';
import type { HotWallet } from '../chain/hot-wallet.ts';
import type { PaymentBook } from '../chain/payment-book.ts';
import type { BookEntry } from '../chain/payment-entry.ts';
import type { Params } from '../chain/cells/params.ts';
import type { SignedPayment } from '../chain/signed-payment.ts';
import type { TokenMultipliers } from '../openai/token-price.ts';
import type { AuthAnswer, ProxyOffer } from '../wire/client-session.ts';
import type { PaymentStatus, RequestPayment } from '../wire/peer-info.ts';
import type { ClientAccounts, ConnectionAccount, RequestBounds, RequestMeter } from './accounts.ts';
import type { ClientContractState, DepositRules } from './deposit.ts';

export interface PaidClientOptions {
  readonly access: TonAccess;
  readonly root: RootFollower;
  /** Owns the client contracts and pays for their messages. */
  readonly wallet: HotWallet;
  /** At least 32 secret bytes of this client; the secrets for proxies are derived from them. */
  readonly secretKey: Uint8Array;
  readonly book: PaymentBook;
  readonly rules: DepositRules;
  /** Tokens that a proxy may claim beyond the chain's count for a contract that this book does not know yet: used from elsewhere. Default 0n. */
  readonly acceptTokens?: bigint;
  readonly clock: Clock;
  readonly log: Log;
}

/** For the messages that prepare a contract, and for the one that registers. */
const SEND_MS = 150_000;
/** A request whose end was not seen is billed within seconds: after this long what was not billed of its reservation is free again. */
const LEFTOVER_MS = 60_000;
const TOP_UP_PAUSE_MS = 60_000;

/** Accounts for any number of connections; they share what is known of proxies that over-billed, what may still be billed, and the ceilings. */
export function paidAccounts(options: PaidClientOptions): ClientAccounts {
  const shared: Shared = { overbilled: new Map(), leftovers: new Map() };
  return {
    ownerAddress: options.wallet.address.toString({ bounceable: false }),
    minConfigVersion: () => options.root.current().config.version,
    open: () => new PaidConnection(options, shared),
  };
}

/** By raw address of the client contract. */
interface Shared {
  readonly overbilled: Map<string, CocoonError>;
  readonly leftovers: Map<string, Leftover>;
}

/** Reservations of requests whose end nobody here sees any more, and when the last of them came to it. */
interface Leftover {
  readonly tokens: bigint;
  readonly sinceMs: number;
}

export const multipliersOf = ({ promptMultiplier, cachedMultiplier, completionMultiplier, reasoningMultiplier }: Params): TokenMultipliers =>
  ({ prompt: promptMultiplier, cached: cachedMultiplier, completion: completionMultiplier, reasoning: reasoningMultiplier });

interface Known {
  readonly proxy: CheckedProxy;
  readonly contract: Address;
}

class PaidConnection implements ConnectionAccount {
  readonly #options: PaidClientOptions;
  readonly #shared: Shared;
  readonly #failure = deferred<CocoonError>();
  readonly #ending = new AbortController();
  #problem: CocoonError | null = null;
  #known: Known | null = null;
  #state: ClientContractState | null = null;
  #running = 0;
  /** Everything that is being written or checked; the next step waits for the one before. */
  #work: Promise<void> = Promise.resolve();
  #toppedUpMs = -Infinity;
  #unlisten: () => void = () => undefined;
  #retire: CocoonError | null = null;

  constructor(options: PaidClientOptions, shared: Shared) {
    this.#options = options;
    this.#shared = shared;
  }

  get failed(): Promise<CocoonError> {
    return this.#failure.promise;
  }

  async checkProxy(offer: ProxyOffer, signal: AbortSignal): Promise<AuthAnswer> {
    const { access, root, wallet, book, secretKey, acceptTokens = 0n } = this.#options;
    const proxy = await checkProxyContract(offer.proxy, { access, root, signal });
    const client = clientOf(proxy, wallet.address);
    if (!parseSaid(offer.clientContractAddress, 'client contract').equals(client.address)) {
      throw new NetworkError('E_PROTOCOL', `the proxy says that this client's contract is ${offer.clientContractAddress}, expected ${client.address.toString()}`);
    }
    const banned = this.#shared.overbilled.get(client.address.toRawString());
    if (banned !== undefined) throw banned;
    const state = await readClient(access, client.address, signal);
    const chainTokens = state.storage?.tokensUsed ?? 0n;
    await book.open({ proxy: proxy.address, contract: client.address, kind: 'client', publicKey: proxy.publicKey, startTokens: chainTokens + (state.storage === null ? 0n : acceptTokens) });
    const entry = await book.stated(client.address, { claimedTokens: chainTokens });
    this.#known = { proxy, contract: client.address };
    this.#state = state;
    this.#abandoned(await book.use(client.address));
    const first = offer.signedPayment === null ? null : this.#checked(offer.signedPayment);
    this.#judge(entry, larger(chainTokens, first?.tokens ?? 0n));
    if (first !== null) await book.record(client.address, first.payment);
    const secret = proxySecret(secretKey, proxy.address, client.address);
    const isShort = offer.auth.kind === 'short' && equalBytes(offer.auth.secretHash, secretHashOf(secret));
    await this.#prepare(secretHashOf(secret), isShort ? null : offer.auth.nonce, signal);
    // Prices are the contract's for ever; a change of the params is served by another contract.
    this.#unlisten = root.onChange(({ config }) => {
      if (config.params.paramsVersion === proxy.root.config.params.paramsVersion) return;
      this.#retire = new NetworkError('E_CLOSED', 'the network\'s params changed: the connection is made anew');
      if (this.#running === 0) this.#fail(this.#retire);
    });
    return isShort ? { kind: 'short', secret } : { kind: 'long' };
  }

  /** Deploys, deposits and sets the hash where that is due, and registers with the nonce; returns when the proxy contract has it all. */
  async #prepare(secretHash: Uint8Array, nonce: bigint | null, signal: AbortSignal): Promise<void> {
    const { access, wallet, book } = this.#options;
    const { proxy, contract } = this.#ready();
    // One decision at a time over all proxies and processes, or two of them could pass the ceiling together.
    await book.exclusively(async () => {
      const state = await readClient(access, contract, signal);
      const amountNano = await this.#due(state, signal);
      const intent = prepareIntent({ client: clientOf(proxy, wallet.address), state, amountNano, secretHash, wallet: wallet.address });
      const register = nonce === null ? null : registerIntent(contract, nonce, wallet.address);
      const options = { follow: true, timeoutMs: SEND_MS, signal };
      // Asked for in one turn, so both leave in one message of the wallet, in this order.
      const results = await Promise.allSettled([intent, register].flatMap((each) => each === null ? [] : [wallet.send(each.key, each.messages, options)]));
      for (const result of results) if (result.status === 'rejected') throw result.reason;
      if (amountNano > 0n) this.#options.log.info('deposited', { proxy: proxy.address.toString(), amountNano: String(amountNano) });
      this.#state = intent === null ? state : await readClient(access, contract, signal);
    }, { timeoutMs: SEND_MS, signal });
  }

  async #due(state: ClientContractState, signal: AbortSignal): Promise<bigint> {
    const { access, book, wallet, rules } = this.#options;
    const { proxy, contract } = this.#ready();
    const others = (await book.entries()).filter((entry) => entry.kind === 'client' && !entry.contract.equals(contract));
    const balances = await Promise.all(others.map(async (entry) => {
      const { storage } = await readState({ access, signal }, entry.contract, (data) => clientStorage.load(data));
      return storage !== null && storage.state !== STATE.closed && storage.fixed.owner.equals(wallet.address) ? storage.balanceNano : 0n;
    }));
    const elsewhereNano = balances.reduce((sum, balance) => sum + balance, 0n);
    const usedTokens = book.entry(contract)?.countedTokens ?? 0n;
    return depositDue({ proxy, storage: state.storage, usedTokens, elsewhereNano, rules });
  }

  paymentStatus(status: PaymentStatus): void {
    const signed = status.signedPayment === null ? null : this.#checked(status.signedPayment);
    this.#then(async () => {
      const { book, clock } = this.#options;
      const { contract } = this.#ready();
      const entry = await book.stated(contract, { dbTokens: status.dbTokens });
      const claimed = larger(larger(status.maxTokens, status.dbTokens), signed?.tokens ?? 0n);
      this.#judge(entry, claimed);
      if (signed !== null && signed.tokens < entry.signedTokens) this.#options.log.warn('the proxy signed a lower total than before; the higher one is kept', { contract: contract.toString() });
      if (signed !== null) await book.record(contract, signed.payment);
      const { tokens: leftover, sinceMs } = this.#leftover();
      const isOver = leftover > 0n && clock.now() - sinceMs > LEFTOVER_MS;
      // While nothing runs, what exceeds the own count is the bill of requests whose end was not seen, within their reservations;
      // where something always runs, as much of it as they can have cost.
      const excess = larger(0n, claimed - entry.countedTokens);
      const billed = this.#running === 0 ? excess : isOver ? smaller(excess, leftover) : 0n;
      if (billed === 0n && !isOver) return;
      const free = isOver ? leftover : smaller(billed, leftover);
      this.#setLeftover({ tokens: leftover - free, sinceMs });
      await book.counted(contract, { tokens: billed, openTokens: -larger(free, billed) });
    });
  }

  #leftover(): Leftover {
    return this.#shared.leftovers.get(this.#ready().contract.toRawString()) ?? { tokens: 0n, sinceMs: 0 };
  }

  #setLeftover(leftover: Leftover): void {
    this.#shared.leftovers.set(this.#ready().contract.toRawString(), leftover);
  }

  /** Nobody here will see the end of requests with these reservations. */
  #abandoned(tokens: bigint): void {
    if (tokens > 0n) this.#setLeftover({ tokens: this.#leftover().tokens + tokens, sinceMs: this.#options.clock.now() });
  }

  requestPayment(payment: RequestPayment): void {
    this.paymentStatus(payment);
  }

  async begin(bounds: RequestBounds): Promise<RequestMeter> {
    await this.#work; // what the proxy said before has been judged
    if (this.#problem !== null) throw this.#problem;
    if (this.#retire !== null) throw this.#retire;
    const { root, book } = this.#options;
    const { contract } = this.#ready();
    const multipliers = multipliersOf(root.current().config.params);
    const reservation = reservationOf(bounds, multipliers);
    this.#running += 1;
    try {
      // On disk before it is sent: after a crash the bill for it is expected.
      await book.counted(contract, { openTokens: reservation });
    } catch (error) {
      this.#running -= 1;
      throw error;
    }
    let delivered = 0;
    let over = false;
    const end = (change: { tokens: bigint; isLost: boolean }): void => {
      over = true;
      this.#running -= 1;
      if (change.isLost) this.#abandoned(reservation);
      else this.#then(async () => { await book.counted(contract, { tokens: change.tokens, openTokens: -reservation }); });
      this.#topUpIfDue();
      if (this.#retire !== null && this.#running === 0) this.#fail(this.#retire);
    };
    return {
      delivered: (bytes) => { delivered += bytes; },
      ended: (tokens, counted = null) => {
        if (over) return;
        const why = aboveCount(tokens, counted) ?? impossibleBill(tokens, bounds, delivered, multipliers);
        end(why === null ? { tokens: tokens.total, isLost: false } : { tokens: 0n, isLost: true });
        if (why !== null) throw this.#ban(`the proxy billed ${why}`);
      },
      lost: () => {
        if (!over) end({ tokens: 0n, isLost: true });
      },
    };
  }

  async close(): Promise<void> {
    this.#ending.abort(new NetworkError('E_CLOSED', 'the connection is closed'));
    this.#unlisten();
    await this.#work;
  }

  #ready(): Known {
    if (this.#known === null) throw new NetworkError('E_PROTOCOL', 'the proxy spoke of payments before it said who it is');
    return this.#known;
  }

  /** A payment that is the proxy's own for this contract. Throws `E_SIGNED_PAYMENT`. */
  #checked(boc: Uint8Array): { readonly payment: SignedPayment; readonly tokens: bigint } {
    const { proxy, contract } = this.#ready();
    const payment = parsePayment(boc);
    checkPayment(payment, { kinds: ['clientCharge'], contract, publicKey: proxy.publicKey });
    return { payment, tokens: 'tokens' in payment.claim ? payment.claim.tokens : 0n };
  }

  /** Tolerance above the own count: the reservations of requests that run, or whose end nobody saw. Nothing else. */
  #judge({ countedTokens, openTokens }: BookEntry, claimed: bigint): void {
    if (claimed > countedTokens + openTokens) {
      throw this.#ban(`it claims ${claimed} tokens, ${countedTokens} were counted here and ${openTokens} may still be billed`);
    }
  }

  #ban(why: string): PolicyError {
    const { proxy, contract } = this.#ready();
    const error = new PolicyError('E_OVERBILLED', `proxy contract ${proxy.address.toString()} is not used any more: ${why}`, {
      hint: 'use another proxy; `cocoon wallet close` gets back what is left. If this wallet was used from another machine, its payment book is there',
    });
    this.#shared.overbilled.set(contract.toRawString(), error);
    this.#options.log.error('proxy left', { code: error.code, reason: error.message });
    return error;
  }

  #fail(error: CocoonError): void {
    this.#problem ??= error;
    this.#failure.resolve(error);
  }

  #then(step: () => Promise<void>): void {
    this.#work = this.#work.then(step).catch((error: unknown) => this.#fail(asCocoonError(error)));
  }

  /** In the background, at most once a minute: a deposit before the last half of it is used. The stake is looked at again first. */
  #topUpIfDue(): void {
    const { rules, book, clock, access, root, log } = this.#options;
    const { proxy, contract } = this.#ready();
    const usedTokens = book.entry(contract)?.countedTokens ?? 0n;
    const nowMs = clock.now();
    if (nowMs - this.#toppedUpMs < TOP_UP_PAUSE_MS || this.#retire !== null || this.#ending.signal.aborted) return;
    try {
      if (depositDue({ proxy, storage: this.#state?.storage ?? null, usedTokens, elsewhereNano: 0n, rules }) === 0n) return;
    } catch {
      return; // the ceiling forbids it: requests go on until the proxy refuses them
    }
    this.#toppedUpMs = nowMs;
    const { signal } = this.#ending;
    const { secretHash = null } = this.#state?.storage ?? {};
    if (secretHash === null) return;
    const said = { publicKey: proxy.publicKey, ownerAddress: proxy.storage.owner.toString(), contractAddress: proxy.address.toString() };
    void checkProxyContract(said, { access, root, signal }).then(() => this.#prepare(secretHash, null, signal)).catch((error: unknown) => {
      if (!signal.aborted) log.warn('no deposit was made', { code: asCocoonError(error).code, reason: asCocoonError(error).message });
    });
  }
}

const larger = (a: bigint, b: bigint): bigint => (a > b ? a : b);
const smaller = (a: bigint, b: bigint): bigint => (a < b ? a : b);
