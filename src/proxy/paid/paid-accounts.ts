// Accounts of a network with contracts (WIRE.md sections 9, 10, 12 to 16; ONCHAIN.md sections 8 to 12): what clients may
// spend by their contracts, what both sides' totals are by the ledger, and the payments that are signed for them.
import { setMaxListeners } from 'node:events';
import type { Address } from '@ton/core';
import type { TonAccess } from '../../chain/access/types.ts';
import type { Signer } from '../../chain/ed25519.ts';
import type { RootFollower } from '../../chain/follow/root-follower.ts';
import type { HotWallet } from '../../chain/hot-wallet.ts';
import type { Clock } from '../../core/clock.ts';
import { asCocoonError, CocoonError, ConfigError, NetworkError, RemoteError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import { sleep as realSleep } from '../../core/retry.ts';
import type { Sleep } from '../../core/retry.ts';
import type { Accounts, ClientAccount, Reservation, WorkerAccount } from '../accounts.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { ProxyIdentity } from '../../wire/peer-info.ts';
import { Bonds } from './bonds.ts';
import { Books } from './books.ts';
import type { ContractBook } from './contract-book.ts';
import { DEFAULT_RULES } from './context.ts';
import type { PaidContext, PaidRules } from './context.ts';
import { isEnded, ownClient, ownWorker, PaidClient, PaidWorker, parseAddress, textOf } from './paid-peers.ts';
import { statusOf } from './paid-status.ts';
import { SignedNews } from './signed-news.ts';
import type { PaidStatus } from './paid-status.ts';

export type { AccountMoney, InstanceMoney, PaidStatus } from './paid-status.ts';
export type { PaidRules } from './context.ts';

export interface PaidAccountsOptions {
  readonly access: TonAccess;
  readonly root: RootFollower;
  /** Cold address that owns the proxy contract and is paid its earnings. */
  readonly owner: Address;
  /** The key that signs payments. */
  readonly signer: Signer;
  /** Pays fees of everything that the proxy sends. */
  readonly wallet: HotWallet;
  readonly ledger: Ledger;
  readonly rules?: Partial<PaidRules>;
  /** Owner of the client contract that canary questions are paid from; default: canaries are off. */
  readonly canaryOwner?: Address | null;
  /** True: a ledger that the chain has overtaken, or that is new beside a contract in use, is rebuilt from the chain. Default: it is refused. */
  readonly rebuild?: boolean;
  /** Older contracts of the same owner and key that a rebuilt ledger does not know: they are read, and wound down. */
  readonly olderContracts?: readonly Address[];
  readonly isTest: boolean;
  readonly clock: Clock;
  readonly log: Log;
  readonly sleep?: Sleep;
  /** Ends the start. */
  readonly signal: AbortSignal;
}

export interface PaidAccounts extends Accounts {
  /** Resolves when nothing is served any more and the process should end unhealthy: a ledger that cannot be written, or another proxy with the same key. */
  readonly failed: Promise<CocoonError>;
  status(): PaidStatus;
  /** Commits and signs now what is booked. */
  commit(signal?: AbortSignal): Promise<void>;
  /** As Ledger.backup. */
  backup(path: string): Promise<void>;
  /** Takes no new work, commits and signs what is booked if that can be done in time, and ends. Idempotent; the ledger stays open. */
  close(): Promise<void>;
}

const ERROR = 602;
const NOT_READY = 651;
const BALANCE_TOO_LOW = 'balance is too low';

/**
 * Resolves when the chain was read up to now and the ledger was found to be the newest. Throws ConfigError `E_LEDGER_BEHIND`
 * for a ledger that the chain has overtaken, `E_CONFIG`, `E_STATE`, NetworkError, DaemonError `E_LEDGER`.
 */
export async function createPaidAccounts(options: PaidAccountsOptions): Promise<PaidAccounts> {
  const accounts = new ContractAccounts(options);
  await accounts.start(options.signal);
  return accounts;
}

/** The context of a proxy's accounts, and what ends it. */
export function contextOf(options: PaidAccountsOptions, fail: (error: CocoonError) => void): { readonly context: PaidContext; readonly ending: AbortController } {
  const { access, root, owner, signer, wallet, ledger, clock, log } = options;
  const { identity } = ledger;
  const rootAddress = root.current().address;
  if (!identity.owner.equals(owner) || !identity.root.equals(rootAddress)) throw new ConfigError('E_STATE', 'the ledger is of another owner or network');
  const ending = new AbortController();
  // Every delivery under way waits on it; Node takes more than ten listeners for a leak, and says so on stderr.
  setMaxListeners(0, ending.signal);
  const context: PaidContext = {
    access, root, rootAddress, owner, signer, wallet, ledger, clock, log, fail,
    rules: { ...DEFAULT_RULES, ...options.rules }, sleep: options.sleep ?? realSleep, signed: new SignedNews(), ending: ending.signal,
  };
  return { context, ending };
}

class ContractAccounts implements PaidAccounts {
  readonly failed: Promise<CocoonError>;
  readonly #options: PaidAccountsOptions;
  readonly #context: PaidContext;
  readonly #books: Books;
  readonly #bonds: Bonds;
  readonly #ending: AbortController;
  readonly #listeners = new Set<() => void>();
  #identity: { readonly book: ContractBook; readonly proxy: ProxyIdentity } | null = null;
  #canary: { readonly book: ContractBook; readonly account: ClientAccount } | null = null;
  #closing: Promise<void> | null = null;

  constructor(options: PaidAccountsOptions) {
    let onFailed: (error: CocoonError) => void = () => undefined;
    const failed = new Promise<CocoonError>((resolve) => { onFailed = resolve; });
    const { context, ending } = contextOf(options, (error) => {
      options.log.error('proxy stops serving', { code: error.code, reason: error.message });
      onFailed(error);
    });
    this.failed = failed;
    this.#options = options;
    this.#context = context;
    this.#ending = ending;
    this.#bonds = new Bonds(context);
    this.#books = new Books({
      context, rebuild: options.rebuild ?? false, olderContracts: options.olderContracts ?? [], serving: true,
      onInactive: () => { for (const listener of this.#listeners) listener(); },
    });
    void options.ledger.failed.then((error) => this.#books.fail(error));
  }

  async start(signal: AbortSignal): Promise<void> {
    try {
      await this.#books.start(signal);
    } catch (error) {
      this.#ending.abort(asCocoonError(error));
      await this.#books.ended();
      throw error;
    }
    this.#books.run();
  }

  get proxy(): ProxyIdentity {
    const book = this.#books.current;
    if (book === null) return this.#identity?.proxy ?? this.#identityOf(null);
    if (this.#identity?.book !== book) this.#identity = { book, proxy: this.#identityOf(book) };
    return this.#identity.proxy;
  }

  configVersion(): number {
    return this.#context.root.current().config.version;
  }

  multipliers(): ReturnType<Accounts['multipliers']> {
    const { promptMultiplier, cachedMultiplier, completionMultiplier, reasoningMultiplier } = this.#books.current?.instance.params ?? this.#context.root.current().config.params;
    return { prompt: promptMultiplier, cached: cachedMultiplier, completion: completionMultiplier, reasoning: reasoningMultiplier };
  }

  canary(): ClientAccount | null {
    const owner = this.#options.canaryOwner ?? null;
    const book = this.#books.current;
    if (owner === null || book === null || this.#refusal() !== null) return null;
    if (this.#canary?.book !== book) {
      const account = this.#clientAccount(book, owner);
      this.#canary = { book, account };
      void book.refreshChild(book.account('client', owner), this.#context.ending).catch(() => undefined); // an unread one has no balance
    }
    return this.#canary.account.isActive() ? this.#canary.account : null;
  }

  onInactive(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  checkAddress(address: string): void {
    parseAddress(address);
  }

  async client(ownerAddress: string): Promise<ClientAccount> {
    const owner = parseAddress(ownerAddress);
    const book = this.#serving();
    const account = book.account('client', owner);
    // What is known came from the contract's own messages, every one of them; who is new is read once.
    if (account.child === null) await reachable(book.refreshChild(account, this.#context.ending));
    if (isEnded(account)) throw new RemoteError(ERROR, 'client is closing');
    return this.#clientAccount(book, owner);
  }

  async worker(ownerAddress: string): Promise<WorkerAccount> {
    const owner = parseAddress(ownerAddress);
    const book = this.#serving();
    const account = book.account('worker', owner);
    if (account.child === null) await reachable(book.refreshChild(account, this.#context.ending));
    await this.#bonds.read(owner);
    return new PaidWorker({ context: this.#context, bonds: this.#bonds, book, account, isActive: () => this.#isActive(book) });
  }

  available(client: ClientAccount): bigint {
    const { book, account } = ownClient(client);
    return this.#refusal() === null && this.#isActive(book) ? book.available(account) : 0n;
  }

  reserve(client: ClientAccount, tokens: bigint): Reservation {
    const { book, account } = ownClient(client);
    const refusal = this.#refusal();
    if (refusal !== null) throw new RemoteError(NOT_READY, `proxy is not participating in this iteration: ${refusal}`);
    if (!this.#isActive(book)) throw new RemoteError(NOT_READY, 'proxy is not participating in this iteration');
    if (isEnded(account)) throw new RemoteError(NOT_READY, 'client is closing');
    const isCovered = tokens >= 0n && tokens <= book.available(account);
    if (isCovered) book.reserve(account, tokens);
    if (book.isPressed(account)) this.#books.hurry(book, account);
    if (!isCovered) throw new RemoteError(NOT_READY, BALANCE_TOO_LOW);
    let isOpen = true;
    const end = (): void => {
      if (!isOpen) throw new CocoonError('E_INTERNAL', 'a reservation was ended twice');
      isOpen = false;
      book.free(account, tokens);
    };
    return {
      release: end,
      settle: async (worker, used) => {
        const paid = ownWorker(worker);
        // A node of another contract is paid by the contract that the client pays: its owner's worker contract there.
        const side = paid.book === book ? paid.account : book.account('worker', paid.account.owner);
        const booked = used.total < tokens ? used.total : tokens;
        // The total grows in the same turn in which the reservation ends: nothing in between can spend it twice.
        const booking = this.#context.ledger.book({ client: account, worker: side, tokens: booked < 0n ? 0n : booked });
        end();
        await booking;
        if (book.isPressed(account)) this.#books.hurry(book, account);
        return { client: client.status(), worker: worker.status() };
      },
    };
  }

  status(): PaidStatus {
    return statusOf(this.#context, this.#books, this.#refusal());
  }

  commit(signal?: AbortSignal): Promise<void> {
    return this.#books.committer.commit(signal ?? this.#context.ending);
  }

  backup(path: string): Promise<void> {
    return this.#context.ledger.backup(path);
  }

  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  async #end(): Promise<void> {
    const { ledger, rules, log } = this.#context;
    if (ledger.failure === null && ledger.uncommitted) {
      await this.commit(AbortSignal.timeout(rules.lastCommitMs)).catch((error: unknown) => {
        log.warn('the last bookings are on disk and not committed yet; the next start does it', { code: asCocoonError(error).code, reason: asCocoonError(error).message });
      });
    }
    this.#ending.abort(new NetworkError('E_CLOSED', 'the proxy is being closed'));
    await this.#books.ended();
  }

  #refusal(): string | null {
    return this.#closing === null ? this.#books.refusal() : 'the proxy is being stopped';
  }

  /** Throws RemoteError 651 while nothing is served. */
  #serving(): ContractBook {
    const refusal = this.#refusal();
    const book = this.#books.current;
    if (refusal !== null || book === null) throw new RemoteError(NOT_READY, `proxy is not participating in this iteration${refusal === null ? '' : `: ${refusal}`}`);
    return book;
  }

  #isActive(book: ContractBook): boolean {
    return book === this.#books.current && book.instance.phase === 'serving';
  }

  #clientAccount(book: ContractBook, owner: Address): ClientAccount {
    return new PaidClient({ context: this.#context, book, account: book.account('client', owner), isActive: () => this.#isActive(book) });
  }

  #identityOf(book: ContractBook | null): ProxyIdentity {
    const { signer, owner, ledger } = this.#context;
    const contract = book?.instance.contract ?? ledger.instances().at(-1)?.contract;
    if (contract === undefined) throw new CocoonError('E_INTERNAL', 'there is no proxy contract');
    return { publicKey: signer.publicKey, ownerAddress: textOf(owner), contractAddress: textOf(contract), isTest: this.#options.isTest };
  }
}

/** What the chain did not say is told to the peer as not ready. */
async function reachable<T>(reading: Promise<T>): Promise<T> {
  try {
    return await reading;
  } catch (error) {
    if (error instanceof NetworkError) throw new RemoteError(NOT_READY, 'proxy cannot read the chain now', { cause: error });
    throw error;
  }
}
