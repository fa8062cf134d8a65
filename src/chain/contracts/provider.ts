// Joins the wrappers to our own access to TON: reads go to the endpoints, `sendX` only collects the messages, which the
// durable sender (or a dry run) takes from there. Nothing leaves the machine from here.
import { beginCell, internal, openContract, SendMode, storeMessageRelaxed } from '@ton/core';
import type {
  Address, Cell, Contract, ContractGetMethodResult, ContractProvider, ContractState, OpenedContract, Sender, SenderArguments, StateInit, Transaction, TupleItem, TupleReader,
} from '@ton/core';
import { CocoonError } from '../../core/errors.ts';
import { chainDataError } from '../cells/codec.ts';
import type { ModedMessage } from '../cells/wallet-messages.ts';
import { explainExitCode } from '../opcodes.ts';

/** What the wrappers need of an access to TON; TonAccess has it. */
export interface ContractReads {
  account(address: Address, options?: ReadRules): Promise<{
    readonly status: 'active' | 'uninitialized' | 'frozen'; readonly balanceNano: bigint; readonly code: Cell | null; readonly data: Cell | null;
    readonly last: { readonly lt: bigint; readonly hash: Uint8Array } | null;
  }>;
  runGetMethod(address: Address, method: string, stack?: readonly TupleItem[], options?: ReadRules): Promise<{
    readonly exitCode: number; readonly stack: TupleReader;
  }>;
  transactions(address: Address, query: {
    readonly afterLt: bigint; readonly from: { readonly lt: bigint; readonly hash: Uint8Array }; readonly limit: number;
  }, options?: ReadRules): Promise<{ readonly transactions: readonly Transaction[] }>;
}

export interface ReadRules {
  /** True for reads on which money depends. */
  readonly agreed?: boolean;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

const DEFAULT_TRANSACTIONS = 100;

/** The contract with its get methods read through `access`. Errors are those of `access`, E_CHAIN_DATA and E_NOT_FOUND. */
export function openAt<T extends Contract>(access: ContractReads, contract: T, rules: ReadRules = {}): OpenedContract<T> {
  return openContract(contract, ({ address, init }) => new AccessProvider(access, address, init, rules));
}

class AccessProvider implements ContractProvider {
  readonly #access: ContractReads;
  readonly #address: Address;
  readonly #init: StateInit | null;
  readonly #rules: ReadRules;

  constructor(access: ContractReads, address: Address, init: StateInit | null, rules: ReadRules) {
    this.#access = access;
    this.#address = address;
    this.#init = init;
    this.#rules = rules;
  }

  async getState(): Promise<ContractState> {
    const { status, balanceNano, code, data, last } = await this.#access.account(this.#address, this.#rules);
    const shared = { balance: balanceNano, extracurrency: null, last: last === null ? null : { lt: last.lt, hash: Buffer.from(last.hash) } };
    if (status === 'active') return { ...shared, state: { type: 'active', code: code?.toBoc() ?? null, data: data?.toBoc() ?? null } };
    if (status === 'frozen') return { ...shared, state: { type: 'frozen', stateHash: Buffer.alloc(0) } };
    return { ...shared, state: { type: 'uninit' } };
  }

  async get(name: string | number, args: TupleItem[]): Promise<ContractGetMethodResult> {
    const { exitCode, stack } = await this.#access.runGetMethod(this.#address, String(name), args, this.#rules);
    if (exitCode !== 0 && exitCode !== 1) {
      throw chainDataError(`get method ${name} of ${this.#address.toString()} ended with exit code ${exitCode}: ${explainExitCode(exitCode)}`);
    }
    return { stack };
  }

  async internal(via: Sender, args: Parameters<ContractProvider['internal']>[1]): Promise<void> {
    const { value, body, bounce, sendMode } = args;
    if (typeof value === 'string' || typeof body === 'string') throw new CocoonError('E_INTERNAL', 'wrappers send bigint values and cells only');
    await via.send({
      to: this.#address, value, bounce: bounce ?? true, sendMode: sendMode ?? SendMode.PAY_GAS_SEPARATELY, body: body ?? null, init: await this.#initIfNeeded(),
    });
  }

  external(): Promise<void> {
    return Promise.reject(new CocoonError('E_INTERNAL', 'external messages are sent by the durable sender only'));
  }

  open<T extends Contract>(contract: T): OpenedContract<T> {
    return openAt(this.#access, contract, this.#rules);
  }

  async getTransactions(address: Address, lt: bigint, hash: Buffer, limit = DEFAULT_TRANSACTIONS): Promise<Transaction[]> {
    const { transactions } = await this.#access.transactions(address, { afterLt: 0n, from: { lt, hash: new Uint8Array(hash) }, limit }, this.#rules);
    return [...transactions];
  }

  async #initIfNeeded(): Promise<StateInit | null> {
    if (this.#init === null) return null;
    return (await this.#access.account(this.#address, this.#rules)).status === 'active' ? null : this.#init;
  }
}

export interface CollectingSender extends Sender {
  /** What was sent so far, in order. */
  readonly messages: readonly ModedMessage[];
}

/** A sender that keeps the messages for the durable sender; `address` is the wallet that will send them. */
export function collectingSender(address: Address): CollectingSender {
  const messages: ModedMessage[] = [];
  return {
    address,
    messages,
    send: async ({ to, value, bounce, sendMode, body, init }: SenderArguments) => {
      const message = internal({ to, value, bounce: bounce ?? true, ...(body ? { body } : {}), ...(init ? { init } : {}) });
      messages.push({ mode: sendMode ?? SendMode.PAY_GAS_SEPARATELY, message: beginCell().store(storeMessageRelaxed(message)).endCell() });
    },
  };
}
