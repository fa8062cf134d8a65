// The methods of toncenter v2 that a local chain answers: one table of name, parameters and handler. All read one view of the
// chain, so an answer is consistent in itself; only sendBoc changes anything. Parameters come from JSON or from a query string.
import { Address, Cell, loadMessage } from '@ton/core';
import type { StateInit } from '@ton/core';
import { z } from 'zod';
import { CocoonError } from '../../core/errors.ts';
import { MESSAGE_LIMITS, parseBoc, STATE_LIMITS } from '../cells/boc.ts';
import { estimateFees } from './estimate.ts';
import { EXTERNAL_LIMITS, parseExternal } from './external.ts';
import type { LocalChain } from './local-chain.ts';
import { outgoingCells } from './produce.ts';
import { invalid, missing } from './rpc-error.ts';
import {
  accountBalance, accountJson, accountStatus, blockId, lastTransactionId, readAccount, SHARD, shortTransactionJson, transactionJson,
} from './shapes.ts';
import { parseStack, stackJson, StackParam } from './stack.ts';
import type { ChainView } from './state.ts';
import type { TransactionEntry } from './transactions.ts';

/** What a request is answered from. */
export interface RpcContext {
  readonly chain: LocalChain;
  /** Newest block that the request may see. */
  readonly view: ChainView;
  /** What becomes of a message that sendBoc takes: faults change it. */
  readonly delivery: { readonly drop: boolean; readonly lateBlocks: number };
}

interface RpcMethod {
  /** May be asked with GET, parameters in the query. */
  readonly get: boolean;
  /** Throws RpcError 422 when the parameters are not the method's. */
  call(context: RpcContext, params: unknown): Promise<unknown>;
}

const MAX_PAGE = 256;
const DEFAULT_PAGE = 10;
const MAX_UINT64 = 2n ** 64n - 1n;
/** An account without code: what public gateways answer for a get method there. */
const NO_CODE_EXIT = -13;
const base64 = (maxBytes: number) => z.base64().max(Math.ceil(maxBytes / 3) * 4);

const address = z.string().max(128).transform((text, context) => {
  try {
    return Address.parse(text);
  } catch {
    context.addIssue({ code: 'custom', message: 'not a TON address' });
    return z.NEVER;
  }
});
const whole = z.union([z.int(), z.string().regex(/^-?\d{1,15}$/).transform(Number)]);
const seqno = whole.pipe(z.int().min(0));
const uint64 = z.union([z.int(), z.string().regex(/^\d{1,20}$/)]).transform(BigInt).pipe(z.bigint().min(0n).max(MAX_UINT64));
const flag = z.union([z.boolean(), z.enum(['true', 'false']).transform((text) => text === 'true')]);
/** Of a transaction: 64 hexadecimal digits, or base64 of 32 bytes in either alphabet; as hexadecimal. */
const hash = z.string().max(64).transform((text, context) => {
  if (/^[0-9a-fA-F]{64}$/.test(text)) return text.toLowerCase();
  const bytes = Buffer.from(text, 'base64url');
  if (/^[A-Za-z0-9+/_-]{43}=?$/.test(text) && bytes.byteLength === 32) return bytes.toString('hex');
  context.addIssue({ code: 'custom', message: 'not a hash of 32 bytes' });
  return z.NEVER;
});
/** The one shard there is, as signed decimal, as hexadecimal, or as the number that JSON makes of it. */
const shard = z.union([z.literal(SHARD), z.literal('8000000000000000'), z.literal(-(2 ** 63))]);
const workchain = whole.pipe(z.union([z.literal(0), z.literal(-1)]));

/** Absent, null and (in queries) empty parameters mean the same. */
function present(params: unknown): unknown {
  if (params === undefined || params === null) return {};
  if (typeof params !== 'object' || Array.isArray(params)) return params;
  return Object.fromEntries(Object.entries(params).filter(([, value]) => value !== null && value !== ''));
}

function method<T>(schema: z.ZodType<T>, handler: (context: RpcContext, params: T) => Promise<unknown> | unknown, get = true): RpcMethod {
  return {
    get,
    call: async (context, params) => {
      const parsed = schema.safeParse(present(params));
      if (!parsed.success) {
        const issue = parsed.error.issues[0];
        throw invalid(`parameter ${issue?.path.join('.') || 'list'}: ${issue?.message ?? 'malformed'}`);
      }
      try {
        return await handler(context, parsed.data);
      } catch (error) {
        // Cells of the caller that are no cells.
        if (error instanceof CocoonError && error.code === 'E_CHAIN_DATA') throw invalid(error.message);
        throw error;
      }
    },
  };
}

function viewAt({ chain, view }: RpcContext, wanted: number | undefined): ChainView {
  if (wanted === undefined) return view;
  const found = wanted > view.seqno ? undefined : chain.state.at(wanted);
  if (found === undefined) throw missing(`the state of block ${wanted} is not kept`);
  return found;
}

const inAccount = z.object({ address, seqno: seqno.optional() });

const getTransactions = method(z.object({
  address, limit: whole.pipe(z.int().min(1).max(MAX_PAGE)).default(DEFAULT_PAGE), lt: uint64.optional(), hash: hash.optional(), to_lt: uint64.default(0n), archival: flag.optional(),
}), async ({ chain, view }, { address: of, limit, lt, hash: of32, to_lt: afterLt }) => {
  const raw = of.toRawString();
  if (of32 !== undefined && lt === undefined) throw invalid('hash is given without lt');
  if (lt !== undefined) {
    const from = chain.state.index.byLt(raw, lt);
    if (from === undefined || from.seqno > view.seqno || (of32 !== undefined && from.hash !== of32)) throw missing(`account ${raw} has no such transaction ${lt}`);
  }
  const entries = chain.state.index.page(raw, { ...(lt === undefined ? {} : { fromLt: lt }), afterLt, limit, seqno: view.seqno });
  return Promise.all(entries.map((entry) => transactionJson(chain, entry)));
});

const runGetMethod = method(z.object({
  address, method: z.union([z.string().min(1).max(128), z.int().min(0).max(2 ** 31 - 1)]), stack: StackParam.default([]), seqno: seqno.optional(),
}), async (context, { address: of, method: name, stack, seqno: at }) => {
  const { chain } = context;
  const view = viewAt(context, at);
  const account = readAccount(view, of.toRawString());
  const state = account.account?.storage.state;
  const common = { '@type': 'smc.runResult', block_id: blockId(chain, -1, view.seqno), last_transaction_id: lastTransactionId(account) };
  const { code, data } = state?.type === 'active' ? state.state : { code: null, data: null };
  if (code === null || code === undefined) return { ...common, gas_used: 0, stack: [], exit_code: NO_CODE_EXIT };
  const result = await chain.engine.getMethod({
    address: of, code, data: data ?? Cell.EMPTY, balanceNano: accountBalance(account), methodId: typeof name === 'number' ? name : methodId(name), stack: parseStack(stack), now: view.time,
  });
  // What a failed method leaves on its stack is not a result, and may be anything.
  const failed = result.exitCode !== 0 && result.exitCode !== 1;
  return { ...common, gas_used: result.gasUsed, stack: failed ? [] : stackJson(result.stack), exit_code: result.exitCode };
}, false);

/** CRC-16/XMODEM of a method's name, with bit 16 set; a decimal name is the number itself. */
function methodId(name: string): number {
  if (/^\d{1,9}$/.test(name)) return Number(name);
  let crc = 0;
  for (const byte of Buffer.from(name, 'utf8')) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc & 0x8000) === 0 ? crc << 1 : (crc << 1) ^ 0x1021;
    crc &= 0xffff;
  }
  return crc | 0x10000;
}

async function send({ chain, delivery }: RpcContext, boc: string): Promise<Cell> {
  const message = parseExternal(Buffer.from(boc, 'base64'));
  if (!delivery.drop) await chain.submit(message, delivery.lateBlocks);
  return message;
}

const boc = z.object({ boc: base64(EXTERNAL_LIMITS.maxBytes) });

const estimateFee = method(z.object({
  address, body: base64(MESSAGE_LIMITS.maxBytes), init_code: base64(MESSAGE_LIMITS.maxBytes).optional(), init_data: base64(MESSAGE_LIMITS.maxBytes).optional(), ignore_chksig: flag.default(true),
}), async ({ chain, view }, params) => {
  const cell = (text: string, what: string): Cell => parseBoc(Buffer.from(text, 'base64'), what, STATE_LIMITS);
  const { init_code: code, init_data: data } = params;
  const init: StateInit | undefined = code === undefined && data === undefined ? undefined : {
    ...(code === undefined ? {} : { code: cell(code, 'init_code') }), ...(data === undefined ? {} : { data: cell(data, 'init_data') }),
  };
  const fees = await estimateFees(chain.engine, view, { address: params.address, body: cell(params.body, 'body'), init, ignoreSignature: params.ignore_chksig });
  return {
    '@type': 'query.fees',
    source_fees: { '@type': 'fees', in_fwd_fee: Number(fees.importNano), storage_fee: Number(fees.storageNano), gas_fee: Number(fees.gasNano), fwd_fee: Number(fees.forwardNano) },
    destination_fees: [],
  };
}, false);

const located = z.object({ source: address, destination: address, created_lt: uint64 });

async function locateResult({ chain, view }: RpcContext, { source, destination, created_lt: lt }: z.infer<typeof located>): Promise<unknown> {
  const entry = chain.state.index.byMessageLt(lt);
  const sender = entry === undefined ? undefined : await senderOf(chain, source.toRawString(), destination.toRawString(), lt);
  if (entry === undefined || sender === undefined || entry.account !== destination.toRawString() || entry.seqno > view.seqno) throw missing('the transaction of this message is not there (yet)');
  return transactionJson(chain, entry);
}

async function locateSource({ chain, view }: RpcContext, { source, destination, created_lt: lt }: z.infer<typeof located>): Promise<unknown> {
  const entry = await senderOf(chain, source.toRawString(), destination.toRawString(), lt);
  if (entry === undefined || entry.seqno > view.seqno) throw missing('no transaction sent this message');
  return transactionJson(chain, entry);
}

/** The transaction of `source` that sent `destination` a message at this logical time. */
async function senderOf(chain: LocalChain, source: string, destination: string, lt: bigint): Promise<TransactionEntry | undefined> {
  const entry = chain.state.index.lastUpTo(source, lt);
  if (entry === undefined) return undefined;
  const sent = outgoingCells(Cell.fromBase64(await chain.transactionBoc(entry))).map((cell) => loadMessage(cell.beginParse()).info);
  return sent.some((info) => info.type === 'internal' && info.createdLt === lt && info.dest.toRawString() === destination) ? entry : undefined;
}

const inBlock = z.object({
  workchain, shard, seqno, count: whole.pipe(z.int().min(1).max(1024)).default(1024), after_lt: uint64.default(0n),
  root_hash: z.string().max(64).optional(), file_hash: z.string().max(64).optional(), after_hash: z.string().max(64).optional(), archival: flag.optional(),
});

function blockTransactions(shape: (chain: LocalChain, entry: TransactionEntry) => Promise<object> | object, type: string): RpcMethod {
  return method(inBlock, async ({ chain, view }, { workchain: wc, seqno: at, count, after_lt: after }) => {
    if (at > view.seqno) throw missing(`there is no block ${at} yet`);
    const all = chain.state.index.inBlock(at).filter(({ account, lt }) => account.startsWith(`${wc}:`) && lt > after);
    return {
      '@type': type, id: blockId(chain, wc, at), req_count: count, incomplete: all.length > count,
      transactions: await Promise.all(all.slice(0, count).map((entry) => shape(chain, entry))),
    };
  });
}

const masterchainInfo = method(z.object({}), ({ chain, view }) => ({
  '@type': 'blocks.masterchainInfo',
  last: blockId(chain, -1, view.seqno),
  state_root_hash: chain.blockHash('state', -1, view.seqno).toString('base64'),
  init: { ...blockId(chain, -1, 0), shard: '0' },
}));

const shards = method(z.object({ seqno }), ({ chain, view }, { seqno: at }) => {
  if (at > view.seqno) throw missing(`there is no block ${at} yet`);
  return { '@type': 'blocks.shards', shards: [blockId(chain, 0, at)] };
});

const resultTx = method(located, locateResult);

/** Null prototype: names such as `constructor` are not methods. */
export const METHODS: Readonly<Record<string, RpcMethod>> = Object.assign(Object.create(null) as Record<string, RpcMethod>, {
  getAddressInformation: method(inAccount, (context, params) => accountJson(context.chain, viewAt(context, params.seqno), params.address.toRawString())),
  getAddressBalance: method(inAccount, (context, params) => accountBalance(readAccount(viewAt(context, params.seqno), params.address.toRawString())).toString()),
  getAddressState: method(inAccount, (context, params) => accountStatus(readAccount(viewAt(context, params.seqno), params.address.toRawString()))),
  getTransactions,
  getMasterchainInfo: masterchainInfo,
  getConsensusBlock: method(z.object({}), ({ view }) => ({ consensus_block: view.seqno, timestamp: view.time })),
  shards,
  getShards: shards,
  getBlockTransactions: blockTransactions((_chain, entry) => shortTransactionJson(entry), 'blocks.transactions'),
  getBlockTransactionsExt: blockTransactions(async (chain, entry) => ({ ...await transactionJson(chain, entry), account: entry.account }), 'blocks.transactionsExt'),
  getConfigParam: method(z.object({ config_id: whole, seqno: seqno.optional() }), ({ chain }, { config_id: index }) => {
    const cell = chain.engine.config.param(index);
    if (cell === undefined) throw missing(`there is no configuration parameter ${index}`);
    return { '@type': 'configInfo', config: { '@type': 'tvm.cell', bytes: cell.toBoc().toString('base64') } };
  }),
  runGetMethod,
  sendBoc: method(boc, async (context, params) => {
    await send(context, params.boc);
    return { '@type': 'ok' };
  }, false),
  sendBocReturnHash: method(boc, async (context, params) => ({ '@type': 'raw.extMessageInfo', hash: (await send(context, params.boc)).hash().toString('base64') }), false),
  estimateFee,
  tryLocateTx: resultTx,
  tryLocateResultTx: resultTx,
  tryLocateSourceTx: method(located, locateSource),
});
