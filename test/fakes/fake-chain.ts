// A scripted TON network for tests: real contracts in the real TVM (@ton/sandbox), blocks on demand or by timer, and any
// number of toncenter-v2 HTTP endpoints that may lag, lie, drop, refuse, limit, hang or send garbage.
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Address, beginCell, Cell, loadMessage, storeMessage } from '@ton/core';
import type { Message, TupleItem } from '@ton/core';
import { Blockchain } from '@ton/sandbox';
import type { SandboxContract, TreasuryContract } from '@ton/sandbox';

export const START_TIME = 1_800_000_000;
const ZERO_HASH = Buffer.alloc(32).toString('base64');

interface StoredTransaction { readonly block: number; readonly lt: bigint; readonly hash: Buffer; readonly boc: Buffer; readonly time: number; readonly inMessage: Message | null | undefined }
interface StoredState { readonly block: number; readonly balance: bigint; readonly status: string; readonly code: string; readonly data: string; readonly lt: bigint; readonly hash: string }

/** What an endpoint does with a request instead of answering it; undefined: answers. */
export type Fault =
  | { readonly kind: 'status'; readonly status: number; readonly headers?: Record<string, string>; readonly body?: string }
  | { readonly kind: 'hang' } | { readonly kind: 'reset' } | { readonly kind: 'endless' } | { readonly kind: 'slow'; readonly ms: number }
  /** Takes a message and tells nobody; answers as usual. */
  | { readonly kind: 'drop' }
  /** Does what is asked and breaks the connection instead of answering. */
  | { readonly kind: 'lost-answer' };

export interface EndpointScript {
  /** Decides on the n-th request (from 0) to this endpoint. */
  fault?: (method: string, n: number) => Fault | undefined;
  /** Changes a correct result before it is sent. */
  lie?: (method: string, result: Record<string, unknown>) => unknown;
  /** Shows the chain as it was so many blocks ago. */
  lagBlocks?: number;
}

export interface FakeEndpoint {
  readonly url: string;
  readonly script: EndpointScript;
  /** Methods asked for, in order. */
  readonly requests: string[];
  readonly headers: IncomingMessage['headers'][];
}

export class FakeChain {
  readonly sandbox: Blockchain;
  readonly #treasury: SandboxContract<TreasuryContract>;
  readonly #servers: Server[] = [];
  readonly #transactions = new Map<string, StoredTransaction[]>();
  readonly #states = new Map<string, StoredState[]>();
  readonly #times: number[] = [START_TIME];
  #mempool: Cell[] = [];
  #work: Promise<unknown> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  /** External messages that reached the network, as hashes of their cells. */
  readonly received: string[] = [];
  /** Bodies whose fees were asked for. */
  readonly estimated: Cell[] = [];

  private constructor(sandbox: Blockchain, treasury: SandboxContract<TreasuryContract>) {
    this.sandbox = sandbox;
    this.#treasury = treasury;
  }

  static async create(): Promise<FakeChain> {
    const sandbox = await Blockchain.create();
    sandbox.now = START_TIME;
    return new FakeChain(sandbox, await sandbox.treasury('faucet', { balance: 10n ** 18n }));
  }

  /** Number of the newest block. */
  get lastBlock(): number {
    return this.#times.length - 1;
  }

  get time(): number {
    return this.#times[this.#times.length - 1] ?? START_TIME;
  }

  /** Sends `nano` from the faucet in a block of its own. */
  fund(to: Address, nano: bigint): Promise<void> {
    return this.#serially(async () => {
      this.#newBlock(1);
      const { transactions } = await this.#treasury.send({ to, value: nano, bounce: false });
      await this.#store(transactions);
    });
  }

  /** Makes a block `seconds` later with everything that waits (`include` false: leaves it waiting). */
  tick(seconds = 5, include = true): Promise<void> {
    return this.#serially(async () => {
      this.#newBlock(seconds);
      if (!include) return;
      for (const cell of this.#mempool.splice(0)) {
        try {
          await this.#store((await this.sandbox.sendMessage(loadMessage(cell.beginParse()))).transactions);
        } catch {
          // Not accepted by the contract: validators drop such a message without a trace.
        }
      }
    });
  }

  /** Makes a block every `ms` milliseconds of real time. */
  run(ms: number, seconds = 1, include = true): void {
    this.pause();
    this.#timer = setInterval(() => void this.tick(seconds, include), ms);
  }

  pause(): void {
    clearInterval(this.#timer);
  }

  /** Forgets messages that wait for a block. */
  dropWaiting(): number {
    return this.#mempool.splice(0).length;
  }

  async balance(address: Address): Promise<bigint> {
    return (await this.sandbox.getContract(address)).balance;
  }

  transactionsOf(address: Address): readonly StoredTransaction[] {
    return this.#transactions.get(address.toRawString()) ?? [];
  }

  #serially<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#work.then(work);
    this.#work = done.catch(() => undefined);
    return done;
  }

  #newBlock(seconds: number): void {
    this.#times.push(this.time + seconds);
    this.sandbox.now = this.time;
  }

  async #store(transactions: Awaited<ReturnType<Blockchain['sendMessage']>>['transactions']): Promise<void> {
    const block = this.#times.length - 1;
    for (const { address: hash, raw, lt, now, inMessage } of transactions) {
      const address = new Address(0, Buffer.from(hash.toString(16).padStart(64, '0'), 'hex'));
      const list = this.#transactions.get(address.toRawString()) ?? [];
      list.push({ block, lt, hash: raw.hash(), boc: raw.toBoc(), time: now, inMessage });
      this.#transactions.set(address.toRawString(), list);
      const contract = await this.sandbox.getContract(address);
      const state = contract.accountState;
      const states = this.#states.get(address.toRawString()) ?? [];
      states.push({
        block, balance: contract.balance, status: state?.type === 'active' || state?.type === 'frozen' ? state.type : 'uninitialized',
        code: state?.type === 'active' ? state.state.code?.toBoc().toString('base64') ?? '' : '',
        data: state?.type === 'active' ? state.state.data?.toBoc().toString('base64') ?? '' : '',
        lt, hash: raw.hash().toString('base64'),
      });
      this.#states.set(address.toRawString(), states);
    }
  }

  async endpoint(script: EndpointScript = {}): Promise<FakeEndpoint> {
    const requests: string[] = [];
    const headers: IncomingMessage['headers'][] = [];
    const server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const { method, params } = JSON.parse(Buffer.concat(chunks).toString()) as { method: string; params: Record<string, unknown> };
        headers.push(request.headers);
        void this.#serve(method, params, script, requests.push(method) - 1, response);
      });
    });
    this.#servers.push(server);
    await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/jsonRPC`, script, requests, headers };
  }

  async close(): Promise<void> {
    this.pause();
    await this.#work;
    for (const server of this.#servers) {
      server.closeAllConnections();
      await new Promise((resolve) => { server.close(resolve); });
    }
  }

  async #serve(method: string, params: Record<string, unknown>, script: EndpointScript, n: number, response: ServerResponse): Promise<void> {
    const fault = script.fault?.(method, n);
    if (fault?.kind === 'hang') return;
    if (fault?.kind === 'reset') {
      response.socket?.destroy();
      return;
    }
    if (fault?.kind === 'status') {
      response.writeHead(fault.status, { 'content-type': 'text/html', ...fault.headers }).end(fault.body ?? '');
      return;
    }
    if (fault?.kind === 'endless') {
      const more = (): void => { if (!response.destroyed && response.write('x'.repeat(65_536))) setImmediate(more); };
      response.on('drain', more);
      more();
      return;
    }
    if (fault?.kind === 'slow') await new Promise((resolve) => { setTimeout(resolve, fault.ms); });
    const block = Math.max(0, this.#times.length - 1 - (script.lagBlocks ?? 0));
    try {
      const honest = await this.#answer(method, params, block, fault?.kind === 'drop');
      if (fault?.kind === 'lost-answer') {
        response.socket?.destroy();
        return;
      }
      const result = script.lie?.(method, honest as Record<string, unknown>) ?? honest;
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ ok: true, result, jsonrpc: '2.0', id: '1' }));
    } catch (error) {
      response.writeHead(500, { 'content-type': 'application/json' }).end(JSON.stringify({ ok: false, code: 500, error: String(error) }));
    }
  }

  async #answer(method: string, params: Record<string, unknown>, block: number, drop: boolean): Promise<unknown> {
    const address = (): Address => Address.parse(String(params['address']));
    switch (method) {
      case 'getMasterchainInfo': return { state_root_hash: ZERO_HASH, last: blockId(block), init: blockId(0) };
      case 'getAddressInformation': return this.#accountInfo(address(), block);
      case 'getTransactions': return this.#history(address(), params, block);
      case 'runGetMethod': return this.#getMethod(address(), String(params['method']), params['stack'] as unknown[]);
      case 'sendBoc': {
        const cell = Cell.fromBase64(String(params['boc']));
        loadMessage(cell.beginParse());
        this.received.push(cell.hash().toString('hex'));
        if (!drop && !this.#mempool.some((waiting) => waiting.equals(cell))) this.#mempool.push(cell);
        return { '@type': 'ok' };
      }
      case 'estimateFee':
        this.estimated.push(Cell.fromBase64(String(params['body'])));
        return { '@type': 'query.fees', source_fees: { '@type': 'fees', in_fwd_fee: 1_000_000, storage_fee: 1000, gas_fee: 3_000_000, fwd_fee: 500_000 } };
      case 'tryLocateResultTx': return this.#locate(params);
      default: throw new Error(`unknown method ${method}`);
    }
  }

  #accountInfo(address: Address, block: number): Record<string, unknown> {
    const state = this.#states.get(address.toRawString())?.findLast((each) => each.block <= block);
    return {
      balance: (state?.balance ?? 0n).toString(), state: state?.status ?? 'uninitialized', code: state?.code ?? '', data: state?.data ?? '',
      last_transaction_id: { '@type': 'internal.transactionId', lt: (state?.lt ?? 0n).toString(), hash: state?.hash ?? ZERO_HASH },
      block_id: blockId(block), sync_utime: this.#times[block],
    };
  }

  #history(address: Address, params: Record<string, unknown>, block: number): unknown[] {
    const visible = this.transactionsOf(address).filter((each) => each.block <= block).toReversed();
    const from = params['lt'] === undefined ? 0 : visible.findIndex(({ lt }) => lt === BigInt(String(params['lt'])));
    return from < 0 ? [] : visible.slice(from, from + Number(params['limit'])).map((each) => transactionJson(each));
  }

  #locate(params: Record<string, unknown>): unknown {
    const [source, destination] = [Address.parse(String(params['source'])), Address.parse(String(params['destination']))];
    const found = this.transactionsOf(destination).find(({ inMessage }) => inMessage?.info.type === 'internal'
      && inMessage.info.src.equals(source) && inMessage.info.createdLt === BigInt(String(params['created_lt'])));
    if (found === undefined) throw new Error('message not found');
    return transactionJson(found);
  }

  async #getMethod(address: Address, method: string, stack: unknown[]): Promise<unknown> {
    const items = stack.map((item): TupleItem => ({ type: 'int', value: BigInt(String((item as unknown[])[1])) }));
    const contract = await this.sandbox.getContract(address);
    const result = await contract.get(method, items).catch((error: { exitCode?: number }) => ({ stack: [], exitCode: error.exitCode ?? -1, gasUsed: 0n }));
    return {
      '@type': 'smc.runResult', gas_used: Number(result.gasUsed), exit_code: result.exitCode,
      stack: result.stack.map((item) => item.type === 'int' ? ['num', item.value.toString()]
        : item.type === 'null' ? ['null'] : ['cell', { bytes: (item as { cell: Cell }).cell.toBoc().toString('base64') }]),
    };
  }
}

const blockId = (seqno: number): unknown => ({ '@type': 'ton.blockIdExt', workchain: -1, shard: '-9223372036854775808', seqno, root_hash: ZERO_HASH, file_hash: ZERO_HASH });

const transactionJson = ({ lt, hash, boc, time }: StoredTransaction): unknown => ({
  '@type': 'raw.transaction', utime: time, data: boc.toString('base64'), transaction_id: { '@type': 'internal.transactionId', lt: lt.toString(), hash: hash.toString('base64') },
  fee: '0', storage_fee: '0', other_fee: '0', out_msgs: [],
});

/** Hash of a message's cell. */
export const messageCellHash = (message: Message): string => beginCell().store(storeMessage(message)).endCell().hash().toString('hex');
