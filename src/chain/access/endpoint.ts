// One toncenter-v2 JSON-RPC endpoint through @ton/ton's TonClient: typed answers or EndpointError, nothing else.
// Refuses plain HTTP except on loopback, malformed addresses and hashes, and transactions that are not those asked for.
import { Address, serializeTuple } from '@ton/core';
import type { Cell, StateInit, Transaction, TupleItem } from '@ton/core';
import { TonClient } from '@ton/ton';
import type { Dispatcher } from 'undici';
import { ConfigError } from '../../core/errors.ts';
import { parseBoc, STATE_LIMITS } from '../cells/boc.ts';
import { createHttpAdapter, EndpointError, shown } from './http-adapter.ts';
import type { AccountState, FeeEstimate, GetMethodResult, TransactionId } from './types.ts';

export interface EndpointConfig {
  /** Full URL of the JSON-RPC, for example `https://toncenter.com/api/v2/jsonRPC`. */
  readonly url: string;
  readonly apiKey?: string;
  /** True: allow plain HTTP to another machine (a gateway of one's own in a private network). Default false. */
  readonly insecure?: boolean;
}

export interface EndpointPorts {
  readonly dispatcher: Dispatcher;
  readonly maxResponseBytes: number;
  /** Unix milliseconds. */
  readonly now: () => number;
}

const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]']);
/** The masterchain's configuration contract exists on every network; asked for only because the answer carries the block's time. */
const CONFIG_ADDRESS = Address.parseRaw(`-1:${'5'.repeat(64)}`);
const HASH_BYTES = 32;
export const PAGE_SIZE = 32;

/** Parses and checks an endpoint's URL. Throws `E_CONFIG`. */
export function parseEndpointUrl(config: EndpointConfig): URL {
  const url = URL.canParse(config.url) ? new URL(config.url) : undefined;
  if (url === undefined || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw new ConfigError('E_CONFIG', 'a TON endpoint is not an http(s) URL', { hint: 'expected for example https://toncenter.com/api/v2/jsonRPC' });
  }
  if (url.username !== '' || url.password !== '') throw new ConfigError('E_CONFIG', `TON endpoint ${url.host}: a name or password in the URL is not supported`);
  if (url.protocol === 'http:' && !LOOPBACK.has(url.hostname) && config.insecure !== true) {
    throw new ConfigError('E_CONFIG', `TON endpoint ${url.origin} is not encrypted`, { hint: 'use https, or mark the endpoint as insecure if it is in your own network' });
  }
  return url;
}

function parseHash(base64: string, name: string): Uint8Array {
  const hash = new Uint8Array(Buffer.from(base64, 'base64'));
  if (hash.byteLength !== HASH_BYTES) throw new EndpointError('E_CHAIN_DATA', `${name} sent a hash of ${hash.byteLength} bytes, expected ${HASH_BYTES}`);
  return hash;
}

/** Accounts whose last state is kept parsed: those that are polled. */
const MAX_KNOWN = 64;

/** Cells of states by account: polls find the same bytes again and again, and parsing them costs more than all the rest. */
class KnownStates {
  readonly #known = new Map<string, { readonly boc: Buffer; readonly cell: Cell }>();

  cell(boc: Buffer | null, address: Address, what: 'code' | 'data'): Cell | null {
    if (boc === null) return null;
    const key = `${what} ${address.toRawString()}`;
    const known = this.#known.get(key);
    if (known?.boc.equals(boc) === true) return known.cell;
    const cell = parseBoc(boc, what, STATE_LIMITS);
    this.#known.delete(key);
    this.#known.set(key, { boc, cell });
    const [oldest] = this.#known.keys();
    if (this.#known.size > MAX_KNOWN && oldest !== undefined) this.#known.delete(oldest);
    return cell;
  }
}

export class Endpoint {
  /** Scheme, host and port; safe to log. */
  readonly name: string;
  readonly #url: string;
  readonly #apiKey: string | undefined;
  readonly #ports: EndpointPorts;
  readonly #states = new KnownStates();

  constructor(config: EndpointConfig, ports: EndpointPorts) {
    const url = parseEndpointUrl(config);
    this.name = url.origin;
    this.#url = url.href;
    this.#apiKey = config.apiKey;
    this.#ports = ports;
  }

  async #call<T>(signal: AbortSignal, use: (client: TonClient) => Promise<T>): Promise<T> {
    const { dispatcher, maxResponseBytes, now } = this.#ports;
    const httpAdapter = createHttpAdapter({ name: this.name, url: this.#url, apiKey: this.#apiKey, dispatcher, maxResponseBytes, signal, now });
    try {
      // A client for each call costs nothing and keeps its caches from answering with what is no longer true.
      return await use(new TonClient({ endpoint: this.#url, httpAdapter }));
    } catch (error) {
      if (error instanceof EndpointError) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      throw new EndpointError('E_CHAIN_DATA', `${this.name} sent malformed data: ${shown(reason)}`, { cause: error });
    }
  }

  account(address: Address, signal: AbortSignal): Promise<AccountState> {
    return this.#call(signal, async (client) => {
      const state = await client.getContractState(address);
      const { lastTransaction: last } = state;
      if (state.balance < 0n || !Number.isSafeInteger(state.timestampt)) throw new RangeError('balance or time out of range');
      return {
        address,
        status: state.state,
        balanceNano: state.balance,
        code: this.#states.cell(state.code, address, 'code'),
        data: this.#states.cell(state.data, address, 'data'),
        last: last === null ? null : { lt: BigInt(last.lt), hash: parseHash(last.hash, this.name) },
        time: state.timestampt,
      };
    });
  }

  runGetMethod(address: Address, method: string, stack: readonly TupleItem[], signal: AbortSignal): Promise<GetMethodResult> {
    return this.#call(signal, async (client) => {
      const result = await client.runMethodWithError(address, method, [...stack]);
      const items: TupleItem[] = [];
      while (result.stack.remaining > 0) items.push(result.stack.pop());
      // Fails on what no TVM stack holds, such as integers of more than 257 bits.
      serializeTuple([...items]);
      return { exitCode: result.exit_code, gasUsed: result.gas_used, stack: items };
    });
  }

  /** One page going back from `from`, newest first, each checked against the hash that its successor names. At least one. */
  page(address: Address, from: TransactionId, signal: AbortSignal): Promise<Transaction[]> {
    return this.#call(signal, async (client) => {
      const hash = Buffer.from(from.hash).toString('base64');
      const transactions = await client.getTransactions(address, { limit: PAGE_SIZE, lt: from.lt.toString(), hash, inclusive: true });
      if (transactions.length === 0) throw new EndpointError('E_CHAIN_DATA', `${this.name} does not have transaction ${from.lt} of ${address}`);
      let expected = { lt: from.lt, hash: BigInt(`0x${Buffer.from(from.hash).toString('hex')}`) };
      for (const transaction of transactions) {
        const actual = BigInt(`0x${transaction.hash().toString('hex')}`);
        if (transaction.lt !== expected.lt || actual !== expected.hash || transaction.address !== addressNumber(address)) {
          throw new EndpointError('E_CHAIN_DATA', `${this.name} sent another transaction than ${expected.lt} of ${address}`);
        }
        expected = { lt: transaction.prevTransactionLt, hash: transaction.prevTransactionHash };
      }
      return transactions;
    });
  }

  async masterchain(signal: AbortSignal): Promise<{ seqno: number; time: number }> {
    const info = await this.#call(signal, (client) => client.getMasterchainInfo());
    const { time } = await this.account(CONFIG_ADDRESS, signal);
    return { seqno: info.latestSeqno, time };
  }

  sendBoc(boc: Uint8Array, signal: AbortSignal): Promise<void> {
    return this.#call(signal, (client) => client.sendFile(Buffer.from(boc)));
  }

  estimateFee(address: Address, body: Cell, init: StateInit | undefined, signal: AbortSignal): Promise<FeeEstimate> {
    return this.#call(signal, async (client) => {
      const { source_fees: fees } = await client.estimateExternalMessageFee(address, {
        body, initCode: init?.code ?? null, initData: init?.data ?? null, ignoreSignature: true,
      });
      const [importNano, storageNano, gasNano, forwardNano] = [fees.in_fwd_fee, fees.storage_fee, fees.gas_fee, fees.fwd_fee].map((fee) => {
        const nano = BigInt(fee);
        if (nano < 0n) throw new RangeError('negative fee');
        return nano;
      }) as [bigint, bigint, bigint, bigint];
      return { importNano, storageNano, gasNano, forwardNano, totalNano: importNano + storageNano + gasNano + forwardNano };
    });
  }

  async locateResult(source: Address, destination: Address, createdLt: bigint, signal: AbortSignal): Promise<Transaction | null> {
    try {
      return await this.#call(signal, async (client) => {
        const transaction = await client.tryLocateResultTx(source, destination, createdLt.toString());
        const info = transaction.inMessage?.info;
        const isAsked = transaction.address === addressNumber(destination)
          && info?.type === 'internal' && info.src.equals(source) && info.createdLt === createdLt;
        if (!isAsked) throw new EndpointError('E_CHAIN_DATA', `${this.name} sent another transaction than the one asked for`);
        return transaction;
      });
    } catch (error) {
      // The API has no other way to say "not there yet" than to refuse.
      if (error instanceof EndpointError && error.code === 'E_CHAIN_REFUSED') return null;
      throw error;
    }
  }
}

/** The account part of an address as transactions carry it. */
export function addressNumber(address: Address): bigint {
  return BigInt(`0x${address.hash.toString('hex')}`);
}
