// All proxy contracts of one proxy at work: the one that serves, those that are wound down, and what is done for them by rule.
// Serves nothing unless the ledger is the newest, the chain is seen, and the proxy's own stake is what the network asks for.
import type { Address } from '@ton/core';
import { beginCell } from '@ton/core';
import { proxyDeployment } from '../../chain/addresses.ts';
import type { Deployment } from '../../chain/addresses.ts';
import { proxyStorage, STATE } from '../../chain/cells/storage.ts';
import type { RootView } from '../../chain/follow/root-follower.ts';
import { hasStake, readDeployed } from '../../chain/plans/reading.ts';
import { roundUp, tenYearsRent } from '../../chain/plans/rent.ts';
import { equalBytes } from '../../core/bytes.ts';
import { asCocoonError, ConfigError } from '../../core/errors.ts';
import type { CocoonError } from '../../core/errors.ts';
import { formatTon } from '../../core/units.ts';
import { Committer } from './commitments.ts';
import type { LedgerAccount } from '../ledger/ledger.ts';
import type { PaidContext } from './context.ts';
import { ContractBook } from './contract-book.ts';
import { Deliveries, waitMs } from './delivery.ts';
import { RollbackGuard } from './rollback.ts';
import { windDownContract } from './wind-down.ts';
import type { WindDownProgress } from './wind-down.ts';

export interface BooksOptions {
  readonly context: PaidContext;
  readonly rebuild: boolean;
  readonly olderContracts: readonly Address[];
  /** False: only what is there is wound down; nothing new is deployed or served. */
  readonly serving: boolean;
  /** A contract takes no new work any more. */
  readonly onInactive: () => void;
}

/** Beside its rent: the floor that it keeps, and gas to refuse a message. */
const NEW_PROXY_NANO = 60_000_000n;
const PROXY_GROWTH = { cells: 4, bits: 1_000 };
/** After this much silence of the chain nothing new is served: far below every delay after which money could move without the proxy. */
const MAX_SILENCE_MS = 600_000;
const RETRY_MS = 30_000;
/** Of one proxy contract, over all restarts: the wallet knows each by its number. */
const MAX_DEPLOYMENTS = 4;

export class Books {
  readonly committer: Committer;
  readonly #options: BooksOptions;
  readonly #context: PaidContext;
  readonly #guard: RollbackGuard;
  readonly #deliveries: Deliveries;
  readonly #tasks = new Set<Promise<void>>();
  /** Contracts with deliveries or their winding down under way. */
  readonly #busy = new Set<ContractBook>();
  /** Contracts with a client whose charge cannot wait for the next round. */
  readonly #hurrying = new Set<ContractBook>();
  #books: ContractBook[] = [];
  #current: ContractBook | null = null;
  #deployment: Deployment | null = null;
  #switching: Promise<void> | null = null;
  #stopListening: () => void = () => undefined;
  #failure: CocoonError | null = null;
  #notDeployed: string | null = null;
  /** Deployments of the serving contract that were carried out, and when the next one may be. */
  #deployed: { readonly contract: Address; readonly count: number; readonly notBeforeMs: number } | null = null;
  #rootProblem: string | null = null;

  constructor(options: BooksOptions) {
    const { context } = options;
    this.#options = options;
    this.#context = context;
    this.#guard = new RollbackGuard({ ledger: context.ledger, wallet: context.wallet.address, rebuild: options.rebuild, fail: (error) => this.fail(error) });
    this.#deliveries = new Deliveries(context);
    this.committer = new Committer(context, { all: () => this.#books, target: () => [...(this.#current === null ? [] : [this.#current]), ...this.#books].find(({ proxy }) => proxy !== null) ?? null });
  }

  /** All that are not closed. */
  get all(): readonly ContractBook[] {
    return this.#books;
  }

  /** The one that serves, or would if nothing were in the way. */
  get current(): ContractBook | null {
    return this.#current;
  }

  /** Why nothing is served; null while everything is. */
  refusal(): string | null {
    const { ledger, root, clock } = this.#context;
    const failure = this.#failure ?? ledger.failure;
    if (failure !== null) return failure.message;
    try {
      root.current();
    } catch (error) {
      return asCocoonError(error).message;
    }
    if (this.#rootProblem !== null) return this.#rootProblem;
    const book = this.#current;
    if (book === null) return 'the proxy contract is closed or closing';
    const { proxy, seenMs, instance } = book;
    if (proxy === null) return this.#notDeployed ?? `proxy contract ${instance.contract.toString()} is not deployed yet`;
    if (proxy.state !== STATE.normal) return `proxy contract ${instance.contract.toString()} is closing`;
    if (!hasStake(proxy, instance.params)) return `the proxy's stake is ${formatTon(proxy.stakeNano)} TON, the network asks for ${formatTon(instance.params.minProxyStakeNano)}`;
    if (seenMs === null || Math.abs(clock.now() - seenMs) > MAX_SILENCE_MS) return `proxy contract ${instance.contract.toString()} was not seen on chain for too long`;
    return null;
  }

  fail(error: CocoonError): void {
    this.#failure ??= error;
    this.#context.fail(this.#failure);
  }

  /** Reads the chain up to now and finds out whether the ledger is the newest. Throws ConfigError `E_LEDGER_BEHIND`, `E_CONFIG`, NetworkError. */
  async start(signal: AbortSignal): Promise<void> {
    const { ledger, root } = this.#context;
    await this.#guard.start();
    for (const address of this.#options.olderContracts) await this.#addOlder(address, signal);
    const wanted = await this.#wanted(root.current());
    for (const instance of ledger.instances()) {
      if (instance.phase === 'closed') continue;
      const book = new ContractBook(this.#context, instance, this.#guard);
      this.#books.push(book);
      if (wanted !== null && instance.contract.equals(wanted.address) && instance.phase === 'serving') this.#current = book;
    }
    this.#deployment = wanted;
    for (const book of this.#books) await book.start(signal);
    await this.#guard.caughtUp(this.#books.flatMap(({ accounts }) => accounts));
    await this.committer.sign();
  }

  /** Starts what goes on by itself. */
  run(): void {
    this.#stopListening = this.#context.root.onChange((now) => this.#spawn(this.#follow(now)));
    this.committer.start();
    this.#spawn(this.#maintain());
  }

  /** The client has used half of what may go uncharged: its charge is committed, signed and delivered now. Returns at once. */
  hurry(book: ContractBook, client: LedgerAccount): void {
    if (this.#hurrying.has(book) || book.instance.phase !== 'serving') return;
    this.#hurrying.add(book);
    this.#spawn(this.#chargeNow(book, client).finally(() => this.#hurrying.delete(book)));
  }

  /** Winds one contract down, in the background or for a caller who waits. */
  async windDown(book: ContractBook, progress: (progress: WindDownProgress) => void, signal: AbortSignal): Promise<void> {
    await windDownContract({ context: this.#context, book, committer: this.committer, progress, signal });
    await book.close();
    this.#books = this.#books.filter((other) => other !== book);
  }

  /** Ends when the context's signal has fired. */
  async ended(): Promise<void> {
    this.#stopListening();
    await Promise.all(this.#tasks);
    await this.committer.ended();
    for (const book of this.#books) await book.close();
  }

  /** The contract of these params, in the ledger; null where only winding down is wanted. */
  async #wanted({ config: { params } }: RootView): Promise<Deployment | null> {
    if (!this.#options.serving) return null;
    const { owner, signer, rootAddress, ledger } = this.#context;
    if (params.workerCode === null || params.clientCode === null || params.proxyCode === null) throw new ConfigError('E_CONFIG', 'the root contract does not list the codes of proxy, worker and client contracts');
    const deployment = proxyDeployment({ owner, publicKey: signer.publicKey, root: rootAddress, params });
    await ledger.addInstance(deployment.address, params);
    for (const instance of ledger.instances()) {
      if (!instance.contract.equals(deployment.address) && instance.phase === 'serving') await ledger.setPhase(instance, 'winding');
    }
    return deployment;
  }

  async #addOlder(address: Address, signal: AbortSignal): Promise<void> {
    const { access, ledger, owner, signer, rootAddress } = this.#context;
    const { storage } = await readDeployed({ access, signal }, address, 'proxy contract', (data) => proxyStorage.load(data));
    if (!storage.owner.equals(owner) || !equalBytes(storage.publicKey, signer.publicKey) || !storage.root.equals(rootAddress)) {
      throw new ConfigError('E_CONFIG', `proxy contract ${address.toString()} belongs to another owner, key or network`);
    }
    const instance = await ledger.addInstance(address, storage.params);
    if (instance.phase === 'serving') await ledger.setPhase(instance, 'winding');
  }

  /** The root contract changed: where its params lead to another proxy contract, that one serves from now on. */
  async #follow(view: RootView): Promise<void> {
    while (this.#switching !== null) await this.#switching; // one change after the other
    this.#switching = this.#switchTo(view).then(
      () => { this.#rootProblem = null; },
      (error: unknown) => {
        if (!(error instanceof ConfigError)) throw error;
        this.#rootProblem = error.message;
      },
    ).finally(() => { this.#switching = null; });
    await this.#switching;
  }

  async #switchTo(view: RootView): Promise<void> {
    const { ledger, log, ending } = this.#context;
    const wanted = await this.#wanted(view);
    if (wanted === null || this.#deployment?.address.equals(wanted.address) === true) return;
    log.info('params changed: another proxy contract serves', { contract: wanted.address.toString(), paramsVersion: view.config.params.paramsVersion });
    const instance = ledger.instances().find(({ contract }) => contract.equals(wanted.address));
    if (instance === undefined) return;
    const book = new ContractBook(this.#context, instance, this.#guard);
    this.#books.push(book);
    this.#deployment = wanted;
    this.#current = book;
    this.#options.onInactive();
    await this.#until(ending, async () => book.start(ending));
  }

  async #maintain(): Promise<void> {
    const { rules, sleep, ending, log, ledger } = this.#context;
    while (!ending.aborted && ledger.failure === null) {
      for (const book of this.#books) {
        try {
          await this.#maintainOne(book);
        } catch (error) {
          if (!ending.aborted) log.warn('proxy contract not looked after', { contract: book.instance.contract.toString(), code: asCocoonError(error).code, reason: asCocoonError(error).message });
        }
      }
      await sleep(rules.pollMs, ending).catch(() => undefined);
    }
  }

  async #maintainOne(book: ContractBook): Promise<void> {
    const { ledger, ending } = this.#context;
    await book.refresh(ending);
    if (book === this.#current) {
      if (book.proxy === null) return this.#deploy(book);
      if (book.proxy.state !== STATE.normal && book.instance.phase === 'serving') {
        // The owner closes it: what is left is to pay everybody out.
        await ledger.setPhase(book.instance, 'winding');
        this.#options.onInactive();
      }
    }
    if (this.#busy.has(book)) return undefined;
    if (book.instance.phase === 'serving') {
      // The wallet may take long; the contract is looked after meanwhile.
      this.#spawn(this.#deliver(book));
      return undefined;
    }
    this.#busy.add(book);
    this.#spawn(this.#until(ending, async () => this.windDown(book, () => undefined, ending)).finally(() => {
      if (book === this.#current) this.#current = null;
    }));
    return undefined;
  }

  async #deliver(book: ContractBook): Promise<void> {
    const { ending, log, ledger } = this.#context;
    this.#busy.add(book);
    await this.#deliveries.round(book, () => this.committer.commit()).catch((error: unknown) => {
      if (!ending.aborted && ledger.failure === null) log.warn('not everything was delivered', { code: asCocoonError(error).code, reason: asCocoonError(error).message });
    }).finally(() => this.#busy.delete(book));
  }

  async #chargeNow(book: ContractBook, client: LedgerAccount): Promise<void> {
    const { rules, sleep, ending, ledger, log } = this.#context;
    try {
      if (book.isWorthwhile(client, client.maxTokens - client.chainTokens)) await this.committer.commit();
      if (!this.#busy.has(book)) await this.#deliver(book);
      await book.catchUp(ending);
    } catch (error) {
      if (!ending.aborted && ledger.failure === null) log.warn('a client was not charged early', { code: asCocoonError(error).code, reason: asCocoonError(error).message });
    }
    await sleep(rules.commitSoonMs, ending).catch(() => undefined);
  }

  /** Once, and again where it had no effect: later each time, and never more than MAX_DEPLOYMENTS times, because each one pays. */
  async #deploy(book: ContractBook): Promise<void> {
    const { wallet, ending, clock, rules } = this.#context;
    const deployment = this.#deployment;
    if (deployment === null || !deployment.address.equals(book.instance.contract)) return;
    const { address, init } = deployment;
    const before = this.#deployed?.contract.equals(address) === true ? this.#deployed : null;
    if (before !== null && clock.now() < before.notBeforeMs) return;
    const count = before?.count ?? 0;
    if (count >= MAX_DEPLOYMENTS) {
      this.#notDeployed = `proxy contract ${address.toString()} is not deployed: ${count} deployments had no effect`;
      return;
    }
    const valueNano = roundUp(NEW_PROXY_NANO + tenYearsRent(init.code, init.data, PROXY_GROWTH));
    const key = `deploy:${address.toRawString()}`;
    try {
      await wallet.send(count === 0 ? key : `${key}:${count}`, [{ to: address, valueNano, body: beginCell().endCell(), init, bounce: false }], { signal: ending });
      this.#deployed = { contract: address, count: count + 1, notBeforeMs: clock.now() + waitMs(rules.redeliverMs, count) };
    } catch (error) {
      this.#notDeployed = `proxy contract ${address.toString()} is not deployed: ${asCocoonError(error).message}`;
      throw error;
    }
  }

  /** Tries again after passing errors, until it worked or everything ends. */
  async #until(signal: AbortSignal, work: () => Promise<void>): Promise<void> {
    const { sleep, log, ledger, rules } = this.#context;
    while (!signal.aborted && ledger.failure === null) {
      try {
        return await work();
      } catch (error) {
        if (signal.aborted) return undefined;
        log.warn('proxy contract: trying again later', { code: asCocoonError(error).code, reason: asCocoonError(error).message });
        await sleep(Math.max(rules.pollMs, Math.min(RETRY_MS, rules.pollMs * 6)), signal).catch(() => undefined);
      }
    }
    return undefined;
  }

  /** A task that ends by itself; its errors are the proxy's. */
  #spawn(task: Promise<void>): void {
    const guarded = task.catch((error: unknown) => {
      if (!this.#context.ending.aborted) this.fail(asCocoonError(error));
    });
    this.#tasks.add(guarded);
    void guarded.finally(() => this.#tasks.delete(guarded));
  }
}
