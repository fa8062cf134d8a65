// Rows of the ledger as objects in memory, and the strict way back: a row that does not parse means a damaged ledger.
import { Address } from '@ton/core';
import { fromHex } from '../../core/bytes.ts';
import { parseBoc } from '../../chain/cells/boc.ts';
import { paramsCell } from '../../chain/cells/params.ts';
import type { Params } from '../../chain/cells/params.ts';
import type { TransactionId } from '../../chain/access/types.ts';
import { parsePayment } from '../../chain/signed-payment.ts';
import type { Database, Row } from './database.ts';
import { blob, integer, optional, text } from './sql.ts';
import type { AccountKind, ChildState, InstancePhase, LedgerAccount, LedgerInstance, StoredPayment } from './ledger.ts';

export const PHASES: readonly InstancePhase[] = ['serving', 'winding', 'closed'];
export const KINDS: readonly AccountKind[] = ['client', 'worker'];

export class Instance implements LedgerInstance {
  readonly id: number;
  readonly contract: Address;
  readonly params: Params;
  phase: InstancePhase = 'serving';
  cursor: TransactionId | null = null;
  /** By kind and owner, also those that are not on disk yet; a WeakRef lets go of who connected and never did anything. */
  readonly accounts = new Map<string, Account>();
  readonly passing = new Map<string, WeakRef<Account>>();

  constructor(id: number, contract: Address, params: Params) {
    this.id = id;
    this.contract = contract;
    this.params = params;
  }
}

export class Account implements LedgerAccount {
  readonly instance: Instance;
  readonly kind: AccountKind;
  readonly owner: Address;
  readonly contract: Address;
  /** Row number; null while nothing of it is to be kept. */
  id: number | null = null;
  maxTokens = 0n;
  dbTokens = 0n;
  chainTokens = 0n;
  payment: StoredPayment | null = null;
  finalPayment: StoredPayment | null = null;
  child: ChildState | null = null;

  constructor(instance: Instance, kind: AccountKind, owner: Address, contract: Address) {
    this.instance = instance;
    this.kind = kind;
    this.owner = owner;
    this.contract = contract;
  }
}

export const accountKey = (kind: AccountKind, owner: Address): string => `${kind} ${owner.toRawString()}`;

export const insertInstance = ({ id, contract, params }: Instance): string =>
  `INSERT INTO instances (id, contract, params, phase) VALUES (${integer(id)}, ${text(contract.toRawString())}, ${blob(new Uint8Array(paramsCell.store(params).toBoc()))}, 0);`;

export const insertAccount = ({ instance, kind, owner, contract }: Account, id: number): string =>
  `INSERT INTO accounts (id, instance, kind, owner, contract) VALUES (${integer(id)}, ${integer(instance.id)}, ${KINDS.indexOf(kind)}, ${text(owner.toRawString())}, ${text(contract.toRawString())});`;

export const updateChild = (id: number, { lt, state, tokens, balanceNano, stakeNano, secretHash }: ChildState): string =>
  `UPDATE accounts SET child_lt = ${integer(lt)}, child_state = ${integer(state)}, child_tokens = ${integer(tokens)}, child_balance = ${text(balanceNano.toString())},`
  + ` child_stake = ${text(stakeNano.toString())}, child_secret = ${optional(blob, secretHash)} WHERE id = ${integer(id)};`;

export const updateCursor = ({ id }: Instance, { lt, hash }: TransactionId): string =>
  `UPDATE instances SET cursor_lt = ${integer(lt)}, cursor_hash = ${blob(hash)} WHERE id = ${integer(id)};`;

export const putPayment = (id: number, final: boolean, { tokens, boc }: StoredPayment): string =>
  `INSERT INTO payments (account, final, tokens, boc) VALUES (${integer(id)}, ${final ? 1 : 0}, ${integer(tokens)}, ${blob(boc)})`
  + ' ON CONFLICT (account, final) DO UPDATE SET tokens = excluded.tokens, boc = excluded.boc;';

/** All that the tables hold. Throws whatever does not parse throws. */
export async function loadRecords(database: Database): Promise<{ instances: Instance[]; accounts: Account[] }> {
  const instances: Instance[] = [];
  for (const row of await database.all('SELECT id, contract, hex(params) AS params, phase, cursor_lt, hex(cursor_hash) AS cursor_hash FROM instances ORDER BY id')) instances.push(instanceOf(row));
  const byId = new Map(instances.map((instance) => [instance.id, instance]));
  const accounts: Account[] = [];
  const accountById = new Map<bigint, Account>();
  for (const row of await database.all('SELECT id, instance, kind, owner, contract, db, chain, child_lt, child_state, child_tokens, child_balance, child_stake, hex(child_secret) AS child_secret FROM accounts ORDER BY id')) {
    const instance = byId.get(numberOf(row, 'instance'));
    if (instance === undefined) throw new Error(`account ${String(row['id'])} belongs to no proxy contract`);
    const account = accountOf(row, instance);
    accounts.push(account);
    accountById.set(bigintOf(row, 'id'), account);
    instance.accounts.set(accountKey(account.kind, account.owner), account);
  }
  for (const row of await database.all('SELECT account, final, tokens, hex(boc) AS boc FROM payments')) {
    const account = accountById.get(bigintOf(row, 'account'));
    if (account === undefined) throw new Error('a payment belongs to no account');
    const boc = bytesOf(row, 'boc');
    const { claim } = parsePayment(boc);
    if (!('tokens' in claim) || claim.tokens !== row['tokens'] || !claim.contract.equals(account.contract)) throw new Error(`payment of account ${account.contract.toRawString()} is for something else`);
    const payment: StoredPayment = { kind: claim.kind, tokens: claim.tokens, boc };
    if (row['final'] === 1n) account.finalPayment = payment;
    else account.payment = payment;
  }
  return { instances, accounts };
}

function instanceOf(row: Row): Instance {
  const instance = new Instance(numberOf(row, 'id'), Address.parseRaw(textOf(row, 'contract')), paramsCell.load(parseBoc(bytesOf(row, 'params'), 'params in the ledger')));
  const phase = PHASES[numberOf(row, 'phase')];
  if (phase === undefined) throw new Error('a proxy contract has no phase');
  instance.phase = phase;
  if (row['cursor_lt'] !== null) instance.cursor = { lt: bigintOf(row, 'cursor_lt'), hash: bytesOf(row, 'cursor_hash') };
  return instance;
}

function accountOf(row: Row, instance: Instance): Account {
  const kind = KINDS[numberOf(row, 'kind')];
  if (kind === undefined) throw new Error('an account has no kind');
  const account = new Account(instance, kind, Address.parseRaw(textOf(row, 'owner')), Address.parseRaw(textOf(row, 'contract')));
  account.id = numberOf(row, 'id');
  account.dbTokens = bigintOf(row, 'db');
  account.maxTokens = account.dbTokens;
  account.chainTokens = bigintOf(row, 'chain');
  if (row['child_lt'] !== null) {
    const secret = bytesOf(row, 'child_secret');
    account.child = {
      lt: bigintOf(row, 'child_lt'), state: numberOf(row, 'child_state'), tokens: bigintOf(row, 'child_tokens'),
      balanceNano: nanoOf(row, 'child_balance'), stakeNano: nanoOf(row, 'child_stake'), secretHash: secret.byteLength === 0 ? null : secret,
    };
  }
  return account;
}

function bigintOf(row: Row, column: string): bigint {
  const value = row[column];
  if (typeof value !== 'bigint' || value < 0n) throw new Error(`column ${column} is no whole number from 0`);
  return value;
}

function numberOf(row: Row, column: string): number {
  const value = bigintOf(row, column);
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new Error(`column ${column} is too large`);
  return Number(value);
}

function textOf(row: Row, column: string): string {
  const value = row[column];
  if (typeof value !== 'string') throw new Error(`column ${column} is no text`);
  return value;
}

function nanoOf(row: Row, column: string): bigint {
  const value = textOf(row, column);
  if (!/^(0|[1-9]\d{0,38})$/.test(value)) throw new Error(`column ${column} is no amount`);
  return BigInt(value);
}

/** Of a column that was asked for as hex(); empty for NULL. */
const bytesOf = (row: Row, column: string): Uint8Array => fromHex(textOf(row, column).toLowerCase());
