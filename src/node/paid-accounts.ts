// The node's side of the money (WIRE.md sections 10, 12 to 15). Refuses proxies whose contracts do not follow from the root
// contract, payments that are not theirs, totals that go back, and work for a proxy that owes too much. Bound: a node works
// unpaid for `maxOwedNano` and one hundredth of what it ever counted, and for the requests that run when that is reached.
import type { Address } from '@ton/core';
import { deferred } from '../core/deferred.ts';
import { asCocoonError, ConfigError, NetworkError, RemoteError } from '../core/errors.ts';
import { formatTon } from '../core/units.ts';
import { workerDeployment } from '../chain/addresses.ts';
import { STATE, workerStorage } from '../chain/cells/storage.ts';
import { checkProxyContract, parseSaid } from '../chain/follow/check-proxy.ts';
import { CHILD_FLOOR_NANO } from '../chain/plans/client.ts';
import { readState, stateName } from '../chain/plans/reading.ts';
import { roundUp, tenYearsRent } from '../chain/plans/rent.ts';
import { workerFeeOf } from '../chain/root-config.ts';
import { checkPayment, parsePayment } from '../chain/signed-payment.ts';
import { deployWorker, MAX_DEPLOYMENTS } from './deploy-worker.ts';
import type { CocoonError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { TonAccess } from '../chain/access/types.ts';
import type { Params } from '../chain/cells/params.ts';
import type { RootFollower } from '../chain/follow/root-follower.ts';
import type { HotWallet } from '../chain/hot-wallet.ts';
import type { PaymentBook } from '../chain/payment-book.ts';
import type { SignedPayment } from '../chain/signed-payment.ts';
import type { TokensUsed } from '../wire/answer.ts';
import type { PaymentStatus, WorkerRequestPayment } from '../wire/peer-info.ts';
import type { WorkerBalance, WorkerOffer } from '../wire/worker-session.ts';
import type { NodeAccounts, NodeConnection, ProxyMoney } from './accounts.ts';

export interface DeployRule {
  readonly wallet: HotWallet;
  /** The worker contract is deployed once a proxy has signed this much, nanoTON. */
  readonly fromNano: bigint;
  /** Most that deploying one may cost, nanoTON. */
  readonly maxNano: bigint;
}

export interface PaidNodeOptions {
  readonly access: TonAccess;
  readonly root: RootFollower;
  /** Owns the worker contracts and is paid; cold. */
  readonly owner: Address;
  readonly book: PaymentBook;
  /** Base name of the model that is served; kept in the book. */
  readonly model: string;
  /** What a proxy may owe without having signed it, nanoTON. */
  readonly maxOwedNano: bigint;
  /** Null: contracts are deployed by `wallet claim` only. */
  readonly deploy: DeployRule | null;
  readonly log: Log;
  /** How soon counts are on disk. Default 1000 ms. */
  readonly flushMs?: number;
}

const FLUSH_MS = 1_000;
/** Share of the own count by which a proxy's bookings may differ for ever: answers that were cut on the way. One hundredth. */
const DISPUTE_PARTS = 100n;
const NOT_READY = 651;
const KINDS = ['workerPayout', 'workerLastPayout'] as const;

/** What connections with one worker contract share; it stays when they end. */
interface Ledger {
  readonly proxy: Address;
  readonly contract: Address;
  readonly publicKey: Uint8Array;
  readonly params: Params;
  /** Own count, also of what is not on disk yet. */
  counted: bigint;
  /** Of which is not on disk yet. */
  unwritten: bigint;
  /** Highest total that was checked, and the highest that is on disk: only the latter counts. */
  seen: bigint;
  signed: bigint;
  dbTokens: bigint;
  /** The proxy has signed the last payout: the contract will close, and no more can be earned there. */
  closing: boolean;
  blocked: boolean;
  /** Its contract is being deployed. */
  deploying: boolean;
  readonly listeners: Set<(blocked: boolean) => void>;
  timer: NodeJS.Timeout | null;
  work: Promise<void>;
  readonly broken: ReturnType<typeof deferred<CocoonError>>;
  problem: CocoonError | null;
}

export function paidAccounts(options: PaidNodeOptions): NodeAccounts {
  const ledgers = new Map<string, Ledger>();
  return {
    ownerAddress: options.owner.toString({ bounceable: false }),
    multipliers: () => {
      const { params } = options.root.current().config;
      return { prompt: params.promptMultiplier, cached: params.cachedMultiplier, completion: params.completionMultiplier, reasoning: params.reasoningMultiplier };
    },
    open: () => new PaidConnection(options, ledgers),
    money: () => [...ledgers.values()].map((ledger): ProxyMoney => ({
      proxy: ledger.proxy.toString(), contract: ledger.contract.toString(), accruedTokens: ledger.counted, signedTokens: ledger.signed,
      claimedTokens: options.book.entry(ledger.contract)?.claimedTokens ?? 0n, owedNano: workerFeeOf(ledger.params, owedTokens(ledger)), blocked: ledger.blocked,
    })),
  };
}

const owedTokens = ({ counted, signed }: Ledger): bigint => (counted > signed ? counted - signed : 0n);

class PaidConnection implements NodeConnection {
  readonly #options: PaidNodeOptions;
  readonly #ledgers: Map<string, Ledger>;
  readonly #failure = deferred<CocoonError>();
  readonly #listeners: (() => void)[] = [];
  #ledger: Ledger | null = null;
  /** What was known when the last answer to a poll, or the comparison, came: the next answer was made after it. */
  #polled: Pick<Ledger, 'seen' | 'dbTokens'> = { seen: 0n, dbTokens: 0n };

  constructor(options: PaidNodeOptions, ledgers: Map<string, Ledger>) {
    this.#options = options;
    this.#ledgers = ledgers;
  }

  get failed(): Promise<CocoonError> {
    return this.#failure.promise;
  }

  get blocked(): boolean {
    return this.#ledger?.blocked ?? false;
  }

  onBlocked(listener: (blocked: boolean) => void): () => void {
    const { listeners } = this.#known();
    listeners.add(listener);
    const stop = (): void => { listeners.delete(listener); };
    this.#listeners.push(stop);
    return stop;
  }

  async checkProxy(offer: WorkerOffer, signal: AbortSignal): Promise<WorkerBalance> {
    const { access, root, owner, book, model } = this.#options;
    const proxy = await checkProxyContract(offer.proxy, { access, root, signal });
    const { params } = proxy.root.config;
    const worker = workerDeployment({ owner, proxy: proxy.address, proxyPublicKey: proxy.publicKey, params });
    if (!parseSaid(offer.workerContractAddress, 'worker contract').equals(worker.address)) {
      throw new NetworkError('E_PROTOCOL', `the proxy says that this worker's contract is ${offer.workerContractAddress}, expected ${worker.address.toString()}`);
    }
    const { storage } = await readState({ access, signal }, worker.address, (data) => workerStorage.load(data));
    if (storage !== null && storage.state !== STATE.normal) throw new ConfigError('E_CONTRACT_STATE', `worker contract ${worker.address.toString()} is ${stateName(storage.state)}`);
    const chainTokens = storage?.tokens ?? 0n;
    await book.open({ proxy: proxy.address, contract: worker.address, kind: 'worker', publicKey: proxy.publicKey, model, startTokens: chainTokens });
    const entry = await book.stated(worker.address, { claimedTokens: chainTokens });
    const key = worker.address.toRawString();
    let ledger = this.#ledgers.get(key);
    if (ledger === undefined) {
      const isLast = entry.payment !== null && parsePayment(entry.payment).claim.kind === 'workerLastPayout';
      ledger = {
        proxy: proxy.address, contract: worker.address, publicKey: proxy.publicKey, params, counted: entry.countedTokens, unwritten: 0n, seen: entry.signedTokens,
        signed: entry.signedTokens, dbTokens: entry.dbTokens, closing: isLast, blocked: false, deploying: false, listeners: new Set(), timer: null, work: Promise.resolve(),
        broken: deferred(), problem: null,
      };
      this.#ledgers.set(key, ledger);
    }
    if (ledger.problem !== null) throw ledger.problem;
    this.#ledger = ledger;
    void ledger.broken.promise.then((error) => this.#failure.resolve(error));
    this.#judge(ledger);
    if (storage === null) this.#deployIfWorth(ledger);
    return {
      chainTokens: entry.signedTokens, dbTokens: ledger.dbTokens, maxTokens: larger(ledger.dbTokens, entry.signedTokens), payment: entry.payment,
    };
  }

  /** Where the proxy knows less than it has signed (`agreed` false), it is shown its own signature next and must then go on from there. */
  compared(status: PaymentStatus, agreed: boolean): void {
    const ledger = this.#known();
    const payment = this.#checked(ledger, status);
    if (agreed) this.#refuseLess(ledger, status, payment);
    // The proxy may know of work that was counted in the last second before a crash, or of a life of this node whose book is gone.
    this.#count(ledger, larger(0n, larger(status.maxTokens, payment?.tokens ?? 0n) - ledger.counted));
    this.#accept(ledger, status, payment);
    this.#polled = { seen: ledger.seen, dbTokens: ledger.dbTokens };
  }

  /** The answer to a poll, which messages about requests may have overtaken: held against what was known at the poll before. */
  paymentStatus(status: PaymentStatus): void {
    const ledger = this.#known();
    const payment = this.#checked(ledger, status);
    this.#refuseLess(ledger, status, payment, this.#polled);
    this.#accept(ledger, status, payment);
    this.#polled = { seen: ledger.seen, dbTokens: ledger.dbTokens };
  }

  requestPayment(status: WorkerRequestPayment): void {
    const ledger = this.#known();
    const payment = this.#checked(ledger, status);
    this.#refuseLess(ledger, status, payment);
    this.#accept(ledger, status, payment);
  }

  begin(): void {
    const ledger = this.#known();
    if (ledger.problem !== null) throw new RemoteError(NOT_READY, 'worker: its payment book cannot be written');
    if (ledger.closing) throw new RemoteError(NOT_READY, 'worker: its contract at this proxy is closing');
    this.#judge(ledger);
    if (ledger.blocked) {
      const { maxOwedNano } = this.#options;
      throw new RemoteError(NOT_READY, `worker: this proxy owes ${owedTokens(ledger)} tokens that it has not signed, worth ${formatTon(workerFeeOf(ledger.params, owedTokens(ledger)))} TON; at most ${formatTon(maxOwedNano)} TON are lent`);
    }
  }

  delivered(tokens: TokensUsed): void {
    const ledger = this.#known();
    this.#count(ledger, tokens.total);
    this.#judge(ledger);
  }

  async close(): Promise<void> {
    for (const stop of this.#listeners.splice(0)) stop();
    if (this.#ledger === null) return;
    this.#flush(this.#ledger);
    await this.#ledger.work;
  }

  #known(): Ledger {
    if (this.#ledger === null) throw new NetworkError('E_PROTOCOL', 'the proxy spoke of payments before it said who it is');
    return this.#ledger;
  }

  /** The status's payment when it is the proxy's own for this contract. Throws `E_SIGNED_PAYMENT`. */
  #checked({ contract, publicKey }: Ledger, { signedPayment }: PaymentStatus): { readonly payment: SignedPayment; readonly tokens: bigint } | null {
    if (signedPayment === null) return null;
    const payment = parsePayment(signedPayment);
    checkPayment(payment, { kinds: KINDS, contract, publicKey });
    return { payment, tokens: 'tokens' in payment.claim ? payment.claim.tokens : 0n };
  }

  #refuseLess(ledger: Ledger, status: PaymentStatus, payment: { readonly tokens: bigint } | null, known: Pick<Ledger, 'seen' | 'dbTokens'> = ledger): void {
    const less = (what: string, told: bigint | string, before: bigint): never => {
      throw new NetworkError('E_SIGNED_PAYMENT', `proxy contract ${ledger.proxy.toString()} says ${told} ${what}, it said ${before} before`, { hint: 'the higher signature is kept and can be claimed' });
    };
    if ((payment?.tokens ?? 0n) < known.seen) less('signed tokens', payment === null ? 'no' : payment.tokens, known.seen);
    if (status.dbTokens < known.dbTokens) less('booked tokens', status.dbTokens, known.dbTokens);
  }

  /** Durable first; only then does it count as signed. */
  #accept(ledger: Ledger, { dbTokens }: PaymentStatus, payment: { readonly payment: SignedPayment; readonly tokens: bigint } | null): void {
    ledger.dbTokens = larger(ledger.dbTokens, dbTokens);
    const isNew = payment !== null && (payment.tokens > ledger.seen || (!ledger.closing && payment.payment.claim.kind === 'workerLastPayout'));
    if (payment !== null && isNew) {
      ledger.seen = larger(ledger.seen, payment.tokens);
      // More than was counted is the proxy's own promise; what it owes starts from there.
      this.#count(ledger, larger(0n, payment.tokens - ledger.counted));
    }
    this.#then(ledger, async () => {
      const { book } = this.#options;
      if (payment !== null && isNew) {
        const entry = await book.record(ledger.contract, payment.payment);
        ledger.signed = larger(ledger.signed, entry.signedTokens);
        ledger.closing ||= payment.payment.claim.kind === 'workerLastPayout';
      }
      await book.stated(ledger.contract, { dbTokens });
      this.#judge(ledger);
      if (payment !== null && isNew) this.#deployIfWorth(ledger);
    });
  }

  #count(ledger: Ledger, tokens: bigint): void {
    if (tokens <= 0n) return;
    ledger.counted += tokens;
    ledger.unwritten += tokens;
    ledger.timer ??= setTimeout(() => this.#flush(ledger), this.#options.flushMs ?? FLUSH_MS);
  }

  #flush(ledger: Ledger): void {
    if (ledger.timer !== null) clearTimeout(ledger.timer);
    ledger.timer = null;
    if (ledger.unwritten === 0n) return;
    const tokens = ledger.unwritten;
    ledger.unwritten = 0n;
    this.#then(ledger, async () => { await this.#options.book.counted(ledger.contract, { tokens }); });
  }

  /** A book that cannot be written ends the work for this proxy: nothing is done whose payment could be lost. */
  #then(ledger: Ledger, step: () => Promise<void>): void {
    ledger.work = ledger.work.then(step).catch((error: unknown) => {
      ledger.problem ??= asCocoonError(error);
      this.#options.log.error('payments cannot be kept', { proxy: ledger.proxy.toString(), code: ledger.problem.code, reason: ledger.problem.message });
      ledger.broken.resolve(ledger.problem);
    });
  }

  #judge(ledger: Ledger): void {
    const { maxOwedNano, log } = this.#options;
    const owedNano = workerFeeOf(ledger.params, owedTokens(ledger) - minOf(owedTokens(ledger), ledger.counted / DISPUTE_PARTS));
    const blocked = ledger.closing || owedNano > maxOwedNano;
    if (blocked === ledger.blocked) return;
    ledger.blocked = blocked;
    log[blocked ? 'warn' : 'info'](blocked ? 'no more work for a proxy that owes too much' : 'the proxy has signed what it owed', { proxy: ledger.proxy.toString(), owedNano: String(owedNano) });
    for (const listener of ledger.listeners) listener(blocked);
  }

  /** In the background, one at a time; what was paid for is not paid for again. */
  #deployIfWorth(ledger: Ledger): void {
    const { access, deploy, owner, log } = this.#options;
    if (deploy === null || ledger.signed === 0n || workerFeeOf(ledger.params, ledger.signed) < deploy.fromNano) return;
    const { address, init } = workerDeployment({ owner, proxy: ledger.proxy, proxyPublicKey: ledger.publicKey, params: ledger.params });
    const valueNano = roundUp(CHILD_FLOOR_NANO + tenYearsRent(init.code, init.data));
    if (valueNano > deploy.maxNano) {
      log.warn('worker contract not deployed', { contract: address.toString(), costNano: String(valueNano), maxNano: String(deploy.maxNano) });
      return;
    }
    if (ledger.deploying) return;
    ledger.deploying = true;
    void deployWorker({ access, wallet: deploy.wallet, address, init, valueNano, log }).then((isThere) => {
      if (!isThere) log.warn('worker contract not deployed', { contract: address.toString(), reason: `${MAX_DEPLOYMENTS} deployments had no effect` });
    }, (error: unknown) => {
      log.warn('worker contract not deployed', { contract: address.toString(), code: asCocoonError(error).code, reason: asCocoonError(error).message });
    }).finally(() => { ledger.deploying = false; });
  }
}

const larger = (a: bigint, b: bigint): bigint => (a > b ? a : b);
const minOf = (a: bigint, b: bigint): bigint => (a < b ? a : b);
