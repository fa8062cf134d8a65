// The ledger over SQLite: all records in memory, every change through the group commit. What the interface promises about
// order is checked here before it is written, and once more by the database.
import type { Address } from '@ton/core';
import { equalBytes } from '../../core/bytes.ts';
import { CocoonError, DaemonError } from '../../core/errors.ts';
import type { TransactionId } from '../../chain/access/types.ts';
import { paramsCell, proxyParams } from '../../chain/cells/params.ts';
import type { Params } from '../../chain/cells/params.ts';
import { backupTo } from './backup.ts';
import { reasonOf } from './database.ts';
import type { Database } from './database.ts';
import { GroupCommit } from './group-commit.ts';
import type { Item } from './group-commit.ts';
import { Account, accountKey, insertAccount, insertInstance, Instance, PHASES, putPayment, updateChild, updateCursor } from './records.ts';
import { blob, integer, MAX_INTEGER, text } from './sql.ts';
import type { AccountKind, Booking, ChildState, Commitment, InstancePhase, Ledger, LedgerAccount, LedgerIdentity, LedgerInstance, StoredPayment } from './ledger.ts';

/** What a transaction writes. Totals are written once an account, before everything else. */
interface Batch {
  readonly totals: Map<Account, bigint>;
  readonly inserts: string[];
  readonly statements: string[];
}

/** Sessions of this many commitments are kept: more than can be pending on a chain. */
export const KEPT_COMMITMENTS = 10_000;
const MAX_SEQNO = 2 ** 31 - 1;

export interface LedgerState {
  readonly identity: LedgerIdentity;
  readonly existed: boolean;
  readonly path: string;
  readonly session: Uint8Array;
  readonly seqno: number;
  readonly instances: Instance[];
  readonly accounts: readonly Account[];
  readonly sessions: Map<number, Uint8Array>;
  readonly counters: Map<string, number>;
}

export class SqliteLedger implements Ledger {
  readonly #state: LedgerState;
  readonly #commit: GroupCommit<Batch>;
  readonly #instances: Instance[];
  /** Accounts with db > chain. */
  readonly #uncommitted = new Set<Account>();
  readonly #gone = new FinalizationRegistry<() => void>((forget) => forget());
  readonly failed: Promise<CocoonError>;
  #onFailed: (error: CocoonError) => void = () => undefined;
  #failure: CocoonError | null = null;
  #seqno: number;
  #nextAccount: number;
  #bookings = 0;
  #open: { readonly commitment: Commitment; readonly totals: ReadonlyMap<Account, bigint> } | 'beginning' | null = null;

  constructor(database: Database, state: LedgerState) {
    this.#state = state;
    this.#seqno = state.seqno;
    this.#instances = state.instances;
    this.#nextAccount = state.accounts.reduce((highest, { id }) => Math.max(highest, id ?? 0), 0) + 1;
    for (const account of state.accounts) if (account.dbTokens > account.chainTokens) this.#uncommitted.add(account);
    this.failed = new Promise((resolve) => { this.#onFailed = resolve; });
    this.#commit = new GroupCommit<Batch>({
      database,
      begin: () => ({ totals: new Map(), inserts: [], statements: [] }),
      sql: sqlOf,
      onFailure: (error) => this.#fail(error),
    });
  }

  get identity(): LedgerIdentity { return this.#state.identity; }
  get existed(): boolean { return this.#state.existed; }
  get session(): Uint8Array { return this.#state.session; }
  get seqno(): number { return this.#seqno; }
  get failure(): CocoonError | null { return this.#failure; }
  get uncommitted(): boolean { return this.#uncommitted.size > 0; }

  get counters(): Ledger['counters'] {
    const { transactions, lastCommitMs } = this.#commit;
    return { bookings: this.#bookings, transactions, lastCommitMs };
  }

  instances(): readonly LedgerInstance[] {
    return [...this.#instances];
  }

  async addInstance(contract: Address, params: Params): Promise<LedgerInstance> {
    const known = this.#instances.find((instance) => instance.contract.equals(contract));
    if (known !== undefined) return known;
    // Read back, so that what is used now is what a restart will find.
    const kept = paramsCell.load(paramsCell.store(proxyParams(params)));
    const instance = new Instance(this.#instances.reduce((highest, { id }) => Math.max(highest, id), 0) + 1, contract, kept);
    this.#instances.push(instance);
    await this.#write((batch) => batch.inserts.push(insertInstance(instance)));
    return instance;
  }

  async setPhase(instance: LedgerInstance, phase: InstancePhase): Promise<void> {
    const own = this.#own(instance);
    const [from, to] = [PHASES.indexOf(own.phase), PHASES.indexOf(phase)];
    if (to < from) throw broken(`proxy contract ${own.contract.toRawString()} would go from ${own.phase} back to ${phase}`);
    if (to === from) return;
    own.phase = phase;
    await this.#write((batch) => batch.statements.push(`UPDATE instances SET phase = ${to} WHERE id = ${integer(own.id)};`));
  }

  accounts(instance: LedgerInstance): readonly LedgerAccount[] {
    return [...this.#own(instance).accounts.values()];
  }

  account(instance: LedgerInstance, kind: AccountKind, owner: Address, contract: Address): LedgerAccount {
    const own = this.#own(instance);
    const key = accountKey(kind, owner);
    const known = own.accounts.get(key) ?? own.passing.get(key)?.deref();
    if (known !== undefined) return known;
    const account = new Account(own, kind, owner, contract);
    const reference = new WeakRef(account);
    own.passing.set(key, reference);
    this.#gone.register(account, () => { if (own.passing.get(key) === reference) own.passing.delete(key); });
    return account;
  }

  async book({ client, worker, tokens }: Booking): Promise<void> {
    const sides = [this.#ownAccount(client, 'client'), this.#ownAccount(worker, 'worker')];
    if (tokens < 0n) throw broken(`${tokens} tokens would be booked`);
    for (const { maxTokens, instance } of sides) {
      if (maxTokens + tokens > MAX_INTEGER) throw broken('a total would pass 2^63 - 1');
      if (instance.phase === 'closed' || instance !== sides[0]?.instance) throw broken('a booking has no common open proxy contract');
    }
    if (this.#failure !== null) throw this.#failure;
    this.#bookings += 1;
    if (tokens === 0n) return;
    for (const account of sides) account.maxTokens += tokens;
    await this.#write((batch) => { for (const account of sides) this.#addTokens(batch, account, tokens); }, () => this.#raised(sides, tokens));
  }

  async prove(account: LedgerAccount, tokens: bigint): Promise<void> {
    const own = this.#ownAccount(account, account.kind);
    if (tokens > MAX_INTEGER) throw broken('a total would pass 2^63 - 1');
    const missing = tokens > own.maxTokens ? tokens - own.maxTokens : 0n;
    if (missing === 0n && tokens <= own.chainTokens) return;
    own.maxTokens += missing;
    await this.#write((batch) => {
      this.#addTokens(batch, own, missing);
      batch.statements.push(`UPDATE accounts SET chain = max(chain, ${integer(tokens)}) WHERE id = ${integer(this.#idOf(own))};`);
    }, () => {
      this.#raised([own], missing);
      this.#committedUpTo(own, tokens);
    });
  }

  async follow(instance: LedgerInstance, cursor: TransactionId | null, seen: readonly { readonly account: LedgerAccount; readonly child: ChildState }[]): Promise<void> {
    const own = this.#own(instance);
    const newer = seen.map(({ account, child }) => ({ account: this.#ownAccount(account, account.kind), child })).filter(({ account, child }) => {
      if (account.child !== null && child.lt <= account.child.lt) return false;
      account.child = child;
      return true;
    });
    const before = own.cursor;
    if (cursor !== null && before !== null && cursor.lt < before.lt) throw broken('the cursor of a proxy contract would go back');
    if (cursor !== null) own.cursor = cursor;
    if (newer.length === 0 && cursor === null) return;
    await this.#write((batch) => {
      for (const { account, child } of newer) {
        this.#makeRow(batch, account);
        batch.statements.push(updateChild(this.#idOf(account), child));
      }
      if (cursor !== null) batch.statements.push(updateCursor(own, cursor));
    });
  }

  async beginCommitment(): Promise<Commitment> {
    if (this.#open !== null) throw broken('a commitment is begun while another one is open');
    if (this.#seqno >= MAX_SEQNO) throw broken('all commitments are used up');
    const commitment: Commitment = { seqno: this.#seqno + 1, session: this.session };
    this.#open = 'beginning';
    await this.#write((batch) => {
      batch.statements.push(
        `UPDATE meta SET seqno = ${integer(commitment.seqno)};`,
        `INSERT INTO commitments (seqno, session) VALUES (${integer(commitment.seqno)}, ${blob(commitment.session)});`,
        `DELETE FROM commitments WHERE seqno <= ${integer(Math.max(0, commitment.seqno - KEPT_COMMITMENTS))};`,
      );
    }, () => {
      // Items are done in the order in which they were asked for: these totals are what this transaction left on disk, or less.
      this.#seqno = commitment.seqno;
      this.#state.sessions.set(commitment.seqno, commitment.session);
      this.#state.sessions.delete(commitment.seqno - KEPT_COMMITMENTS);
      this.#open = { commitment, totals: new Map([...this.#uncommitted].map((account) => [account, account.dbTokens])) };
    });
    return commitment;
  }

  async endCommitment(commitment: Commitment, result: 'confirmed' | 'abandoned'): Promise<void> {
    const open = this.#open;
    if (open === null || open === 'beginning' || open.commitment.seqno !== commitment.seqno) throw broken(`commitment ${commitment.seqno} is not open`);
    this.#open = null;
    if (result === 'abandoned' || open.totals.size === 0) return;
    await this.#write((batch) => {
      const rows = [...open.totals].map(([account, tokens]) => `(${integer(this.#idOf(account))},${integer(tokens)})`);
      batch.statements.push(`UPDATE accounts SET chain = max(chain, seen.column2) FROM (VALUES ${rows.join()}) AS seen WHERE accounts.id = seen.column1;`);
    }, () => { for (const [account, tokens] of open.totals) this.#committedUpTo(account, tokens); });
  }

  sessionOf(seqno: number): Uint8Array | null {
    return this.#state.sessions.get(seqno) ?? null;
  }

  async adoptSeqno(seqno: number): Promise<void> {
    if (seqno <= this.#seqno) return;
    await this.#write((batch) => batch.statements.push(`UPDATE meta SET seqno = max(seqno, ${integer(seqno)});`), () => { this.#seqno = Math.max(this.#seqno, seqno); });
  }

  async sign(payments: readonly { readonly account: LedgerAccount; readonly payment: StoredPayment }[]): Promise<void> {
    const fresh = payments.map(({ account, payment }) => ({ account: this.#ownAccount(account, account.kind), payment })).filter(({ account, payment }) => !isSigned(account, payment));
    if (fresh.length === 0) return;
    await this.#write((batch) => {
      for (const { account, payment } of fresh) {
        this.#makeRow(batch, account);
        batch.statements.push(putPayment(this.#idOf(account), isFinal(payment), payment));
      }
    }, () => {
      for (const { account, payment } of fresh) {
        if (isFinal(payment)) account.finalPayment = payment;
        else account.payment = payment;
      }
    });
  }

  counter(name: string): number {
    return this.#state.counters.get(name) ?? 0;
  }

  async setCounter(name: string, value: number): Promise<void> {
    await this.#write(
      (batch) => batch.statements.push(`INSERT INTO counters (name, value) VALUES (${text(name)}, ${integer(value)}) ON CONFLICT (name) DO UPDATE SET value = excluded.value;`),
      () => { this.#state.counters.set(name, value); },
    );
  }

  async backup(path: string): Promise<void> {
    await this.#commit.exclusively((database) => backupTo(database, path));
  }

  async close(): Promise<void> {
    const closed = new DaemonError('E_LEDGER', `the ledger ${this.#state.path} is closed`);
    await this.#commit.close(closed);
    this.#failure ??= closed;
  }

  #write(write: (batch: Batch) => unknown, done: () => void = () => undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const item: Item<Batch> = {
        write,
        done: () => {
          done();
          resolve();
        },
        reject,
      };
      this.#commit.add(item);
    });
  }

  #fail(error: unknown): CocoonError {
    const { path } = this.#state;
    this.#failure = new DaemonError('E_LEDGER', `the ledger ${path} cannot be written: ${reasonOf(error)}`, {
      cause: error, hint: 'nothing that was not on disk was promised; free the disk or restore the file, then start the proxy again',
    });
    this.#onFailed(this.#failure);
    return this.#failure;
  }

  #own(instance: LedgerInstance): Instance {
    if (!(instance instanceof Instance) || !this.#instances.includes(instance)) throw broken('a proxy contract of another ledger is used');
    return instance;
  }

  #ownAccount(account: LedgerAccount, kind: AccountKind): Account {
    if (!(account instanceof Account) || account.kind !== kind || !this.#instances.includes(account.instance)) throw broken(`an account is used that is no ${kind} of this ledger`);
    return account;
  }

  #makeRow(batch: Batch, account: Account): void {
    if (account.id !== null) return;
    account.id = this.#nextAccount;
    this.#nextAccount += 1;
    const key = accountKey(account.kind, account.owner);
    account.instance.accounts.set(key, account);
    account.instance.passing.delete(key);
    batch.inserts.push(insertAccount(account, account.id));
  }

  #idOf({ id, contract }: Account): number {
    if (id === null) throw broken(`account ${contract.toRawString()} has no row`);
    return id;
  }

  #addTokens(batch: Batch, account: Account, tokens: bigint): void {
    this.#makeRow(batch, account);
    if (tokens > 0n) batch.totals.set(account, (batch.totals.get(account) ?? account.dbTokens) + tokens);
  }

  #raised(accounts: readonly Account[], tokens: bigint): void {
    for (const account of accounts) {
      account.dbTokens += tokens;
      if (account.dbTokens > account.maxTokens) throw broken(`account ${account.contract.toRawString()} has more on disk than was booked`);
      if (account.dbTokens > account.chainTokens) this.#uncommitted.add(account);
    }
  }

  #committedUpTo(account: Account, tokens: bigint): void {
    if (tokens > account.dbTokens) throw broken(`account ${account.contract.toRawString()} has more committed than booked`);
    if (tokens > account.chainTokens) account.chainTokens = tokens;
    if (account.chainTokens === account.dbTokens) this.#uncommitted.delete(account);
  }
}

function sqlOf({ totals, inserts, statements }: Batch): string {
  const rows = [...totals].map(([account, tokens]) => `(${integer(account.id ?? -1)},${integer(tokens)})`);
  const update = rows.length === 0 ? '' : `UPDATE accounts SET db = seen.column2 FROM (VALUES ${rows.join()}) AS seen WHERE accounts.id = seen.column1;`;
  return `${inserts.join('')}${update}${statements.join('')}`;
}

const isFinal = ({ kind }: StoredPayment): boolean => kind === 'clientGrantRefund' || kind === 'workerLastPayout';

/** True when it is stored already. Throws E_INTERNAL where it must not be signed. */
function isSigned(account: Account, payment: StoredPayment): boolean {
  const name = account.contract.toRawString();
  const before = isFinal(payment) ? account.finalPayment : account.payment;
  if (before !== null && before.tokens === payment.tokens) {
    if (!equalBytes(before.boc, payment.boc)) throw broken(`total ${payment.tokens} of ${name} would be signed in other bytes`);
    return true;
  }
  if (payment.tokens > account.chainTokens) throw broken(`total ${payment.tokens} of ${name} is signed before it is committed (${account.chainTokens})`);
  if (account.finalPayment !== null) throw broken(`total ${payment.tokens} of ${name} is signed after the last one`);
  if (before !== null && payment.tokens < before.tokens) throw broken(`total ${payment.tokens} of ${name} is signed after ${before.tokens}`);
  return false;
}

const broken = (message: string): CocoonError => new CocoonError('E_INTERNAL', `ledger: ${message}`);
