// A small chain for contract tests: accounts as serialised cells, messages delivered one by one in the order the test chooses,
// each executed by the real TVM and transaction executor of @ton/sandbox. Used in place of its Blockchain class, which keeps
// every transaction of every run and delivers in one fixed order.
import {
  beginCell, Cell, Dictionary, external, loadMessageRelaxed, loadShardAccount, loadTransaction, parseTuple, storeAccountStorage, storeMessage,
  storeShardAccount,
} from '@ton/core';
import type { Address, Message, Transaction, TupleItem } from '@ton/core';
import { createEmptyShardAccount, createShardAccount, defaultConfig, Executor } from '@ton/sandbox';

/** Fee parameters of the two eras: 400 and 66.67 nanoTON per gas; every price of the second is a sixth of the first. */
export type PriceSet = 'dear' | 'cheap';

const sixth = (price: bigint): bigint => (price + 5n) / 6n;

/** Configuration cell (base64) with the fee parameters of one era for the base workchain. */
function configOf(prices: PriceSet): string {
  if (prices === 'dear') return defaultConfig;
  const config = Dictionary.loadDirect(Dictionary.Keys.Int(32), Dictionary.Values.Cell(), Cell.fromBase64(defaultConfig));
  const gas = param(config, 21).beginParse();
  // gas_flat_pfx#d1 flat_gas_limit flat_gas_price, gas_prices_ext#de gas_price gas_limit special credit block freeze delete
  const gasOut = beginCell().storeUint(gas.loadUint(8), 8).storeUint(gas.loadUintBig(64), 64).storeUint(sixth(gas.loadUintBig(64)), 64)
    .storeUint(gas.loadUint(8), 8).storeUint(sixth(gas.loadUintBig(64)), 64).storeSlice(gas).endCell();
  config.set(21, gasOut);
  const fwd = param(config, 25).beginParse();
  // msg_forward_prices#ea lump_price bit_price cell_price ihr_factor first_frac next_frac
  const fwdOut = beginCell().storeUint(fwd.loadUint(8), 8).storeUint(sixth(fwd.loadUintBig(64)), 64).storeUint(sixth(fwd.loadUintBig(64)), 64)
    .storeUint(sixth(fwd.loadUintBig(64)), 64).storeSlice(fwd).endCell();
  config.set(25, fwdOut);
  return beginCell().storeDictDirect(config, Dictionary.Keys.Int(32), Dictionary.Values.Cell()).endCell().toBoc().toString('base64');
}

function param(config: Dictionary<number, Cell>, index: number): Cell {
  const cell = config.get(index);
  if (cell === undefined) throw new Error(`no configuration parameter ${index}`);
  return cell;
}

const configs = new Map<PriceSet, string>();

/** Configuration of an era, built once. */
export function priceConfig(prices: PriceSet): string {
  let config = configs.get(prices);
  if (config === undefined) configs.set(prices, config = configOf(prices));
  return config;
}

export type Action =
  | { type: 'reserve'; mode: number; amount: bigint }
  | { type: 'send'; mode: number; dest: string; bounce: boolean; value: bigint; body: Cell }
  | { type: 'set_code'; code: Cell }
  | { type: 'malformed' };

/** Actions that the code left in c5, oldest first, whatever became of them. */
function parseActions(boc: string | null): Action[] {
  const actions: Action[] = [];
  if (boc === null) return actions;
  let list = Cell.fromBase64(boc).beginParse();
  while (list.remainingRefs > 0) {
    const previous = list.loadRef();
    const tag = list.loadUint(32);
    if (tag === 0x36e6b809) actions.push({ type: 'reserve', mode: list.loadUint(8), amount: list.loadCoins() });
    else if (tag === 0xad4de08e) actions.push({ type: 'set_code', code: list.loadRef() });
    else if (tag === 0x0ec3c86d) actions.push(parseSend(list.loadUint(8), list.loadRef()));
    else actions.push({ type: 'malformed' });
    list = previous.beginParse();
  }
  return actions.reverse();
}

function parseSend(mode: number, cell: Cell): Action {
  try {
    const message = loadMessageRelaxed(cell.beginParse());
    if (message.info.type !== 'internal') return { type: 'malformed' };
    const { dest, bounce, value } = message.info;
    return { type: 'send', mode, dest: dest.toRawString(), bounce, value: value.coins, body: message.body };
  } catch {
    return { type: 'malformed' };
  }
}

/** One executed transaction. `exit` is undefined when the compute phase was skipped. */
export interface Tx {
  readonly account: string;
  readonly from: string | undefined;
  readonly exit: number | undefined;
  readonly actionResult: number | undefined;
  readonly aborted: boolean;
  readonly bounce: string | undefined;
  readonly gas: bigint;
  readonly storageFee: bigint;
  readonly totalFees: bigint;
  readonly fwdFees: bigint;
  readonly actions: Action[];
  readonly out: Message[];
  readonly raw: Transaction;
}

export interface InternalMessage {
  readonly from: Address;
  readonly to: Address;
  readonly value: bigint;
  readonly body?: Cell;
  readonly bounce?: boolean;
  readonly bounced?: boolean;
}

/** Distinct cells of a tree and their bits, as rent is charged for. */
function measure(root: Cell): { cells: bigint; bits: bigint } {
  const seen = new Map<string, number>();
  const visit = (cell: Cell): void => {
    const hash = cell.hash().toString('hex');
    if (seen.has(hash)) return;
    seen.set(hash, cell.bits.length);
    cell.refs.forEach(visit);
  };
  visit(root);
  return { cells: BigInt(seen.size), bits: BigInt([...seen.values()].reduce((sum, bits) => sum + bits, 0)) };
}

interface Account { cell: string; balance: bigint; data: Cell | undefined; code: Cell | undefined; active: boolean }

let shared: Promise<Executor> | undefined;

/** The executor of this process: making one costs a second, running it costs milliseconds. */
export const executor = async (): Promise<Executor> => (shared ??= Executor.create());

/** Forgets the executor; after an abort inside it (a mutant can cause one) the next run needs a new one. */
export const resetExecutor = (): void => {
  shared = undefined;
};

export class World {
  readonly #executor: Executor;
  readonly #config: string;
  readonly #accounts = new Map<string, Account>();
  /** Contracts whose transactions are executed; other accounts just receive (as ordinary wallets do). */
  readonly received = new Map<string, bigint>();
  now: number;
  lt = 1_000_000n;
  count = 0;

  private constructor(exec: Executor, config: string, now: number) {
    this.#executor = exec;
    this.#config = config;
    this.now = now;
  }

  static async create(prices: PriceSet = 'dear', now = 1_800_000_000): Promise<World> {
    return new World(await executor(), priceConfig(prices), now);
  }

  /** Puts an account in place; its storage is paid until `now`. */
  install(address: Address, code: Cell, data: Cell, balance: bigint): void {
    const shard = createShardAccount({ address, code, data, balance });
    if (shard.account) {
      // the executor updates these by differences: they must be right from the start
      shard.account.storageStats.used = measure(beginCell().store(storeAccountStorage(shard.account.storage)).endCell());
      shard.account.storageStats.lastPaid = this.now;
    }
    this.#accounts.set(address.toRawString(), {
      cell: beginCell().store(storeShardAccount(shard)).endCell().toBoc().toString('base64'), balance, data, code, active: true,
    });
  }

  /** An address without an account: the chain executes (and bounces) what is sent there, instead of just collecting it. */
  installEmpty(address: Address): void {
    const cell = beginCell().store(storeShardAccount(createEmptyShardAccount(address))).endCell().toBoc().toString('base64');
    this.#accounts.set(address.toRawString(), { cell, balance: 0n, data: undefined, code: undefined, active: false });
  }

  balance(address: Address): bigint {
    const key = address.toRawString();
    return this.#accounts.get(key)?.balance ?? this.received.get(key) ?? 0n;
  }

  /** Storage cell of an active account; throws where there is none. */
  data(address: Address): Cell {
    const data = this.#accounts.get(address.toRawString())?.data;
    if (data === undefined) throw new Error(`account ${address.toRawString()} has no storage`);
    return data;
  }

  codeOf(address: Address): Cell {
    const code = this.#accounts.get(address.toRawString())?.code;
    if (code === undefined) throw new Error(`account ${address.toRawString()} has no code`);
    return code;
  }

  /** Overwrites storage and balance of an installed account: the state a test starts from. */
  replace(address: Address, change: { data?: Cell; balance?: bigint }): void {
    const account = this.#accounts.get(address.toRawString());
    if (account?.data === undefined || account.code === undefined) throw new Error('only an active account can be replaced');
    this.install(address, account.code, change.data ?? account.data, change.balance ?? account.balance);
  }

  isActive(address: Address): boolean {
    return this.#accounts.get(address.toRawString())?.active ?? false;
  }

  message(m: InternalMessage): Message {
    this.lt += 1n;
    return {
      info: {
        type: 'internal', ihrDisabled: true, bounce: m.bounce ?? true, bounced: m.bounced ?? false, src: m.from, dest: m.to,
        value: { coins: m.value }, ihrFee: 0n, forwardFee: 0n, createdLt: this.lt, createdAt: this.now,
      },
      body: m.body ?? Cell.EMPTY,
    };
  }

  /** Delivers one message and returns its transaction; an account that was never installed only collects the value. */
  async deliver(message: Message): Promise<Tx | undefined> {
    if (message.info.type === 'external-out') throw new Error('an external-out message has no receiver here');
    const dest = message.info.dest;
    const key = dest.toRawString();
    const account = this.#accounts.get(key);
    if (account === undefined) {
      if (message.info.type === 'internal') this.received.set(key, (this.received.get(key) ?? 0n) + message.info.value.coins);
      return undefined;
    }
    const { tx } = await this.#run(key, account, beginCell().store(storeMessage(message)).endCell());
    if (tx === undefined) throw new Error('an internal message was not executed');
    return tx;
  }

  /** Offers an external message: the transaction, or the exit code with which it was not accepted. */
  async external(to: Address, body: Cell): Promise<{ tx: Tx } | { rejected: number }> {
    const account = this.#accounts.get(to.toRawString());
    if (account === undefined) throw new Error('no such account');
    const { tx, exit } = await this.#run(to.toRawString(), account, beginCell().store(storeMessage(external({ to, body }))).endCell());
    return tx === undefined ? { rejected: exit } : { tx };
  }

  async #run(key: string, account: Account, message: Cell): Promise<{ tx: Tx | undefined; exit: number }> {
    this.lt += 1000n;
    this.count += 1;
    const { result } = await this.#executor.runTransaction({
      config: this.#config, libs: null, verbosity: 'short', shardAccount: account.cell, message, now: this.now, lt: this.lt,
      randomSeed: Buffer.alloc(32), ignoreChksig: false, debugEnabled: false,
    });
    if (!result.success) return { tx: undefined, exit: result.vmResults?.vmExitCode ?? 0 };
    const shard = loadShardAccount(Cell.fromBase64(result.shardAccount).beginParse());
    const state = shard.account?.storage.state;
    account.cell = result.shardAccount;
    account.balance = shard.account?.storage.balance.coins ?? 0n;
    account.active = state?.type === 'active';
    if (state?.type === 'active') {
      account.data = state.state.data ?? undefined;
      account.code = state.state.code ?? undefined;
    }
    return { tx: readTransaction(key, result.transaction, result.actions), exit: 0 };
  }

  /** Sends one message and delivers everything that follows from it, oldest first. */
  async send(m: InternalMessage): Promise<Tx[]> {
    return this.settle([this.message(m)]);
  }

  async settle(queue: Message[]): Promise<Tx[]> {
    const txs: Tx[] = [];
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const tx = await this.deliver(next);
      if (tx === undefined) continue;
      txs.push(tx);
      queue.push(...tx.out);
      if (txs.length > 100) throw new Error('messages do not come to an end');
    }
    return txs;
  }

  /** Runs a get method by its id; returns exit code and stack. */
  async get(address: Address, method: number, stack: { type: 'int'; value: bigint }[] = []): Promise<{ exit: number; stack: TupleItem[]; gas: bigint }> {
    const account = this.#accounts.get(address.toRawString());
    if (account?.code === undefined || account.data === undefined) throw new Error('no such contract');
    const { output } = await this.#executor.runGetMethod({
      code: account.code, data: account.data, methodId: method, stack, config: this.#config, verbosity: 'short', address, unixTime: this.now,
      balance: account.balance, randomSeed: Buffer.alloc(32), gasLimit: 1_000_000n, debugEnabled: false,
    });
    if (!output.success) throw new Error(output.error);
    return { exit: output.vm_exit_code, stack: parseTuple(Cell.fromBase64(output.stack)), gas: BigInt(output.gas_used) };
  }
}

function readTransaction(account: string, boc: string, actions: string | null): Tx {
  const raw = loadTransaction(Cell.fromBase64(boc).beginParse());
  const d = raw.description;
  if (d.type !== 'generic') throw new Error(`unexpected transaction ${d.type}`);
  const compute = d.computePhase.type === 'vm' ? d.computePhase : undefined;
  const src = raw.inMessage?.info.type === 'internal' ? raw.inMessage.info.src.toRawString() : undefined;
  return {
    account, from: src, exit: compute?.exitCode, actionResult: d.actionPhase?.resultCode, aborted: d.aborted,
    bounce: d.bouncePhase?.type,
    gas: compute?.gasUsed ?? 0n, storageFee: d.storagePhase?.storageFeesCollected ?? 0n, totalFees: raw.totalFees.coins,
    fwdFees: d.actionPhase?.totalFwdFees ?? 0n, actions: parseActions(actions), out: raw.outMessages.values(), raw,
  };
}
