// Blocks, accounts, messages and transactions in the JSON of toncenter v2. Logical times and amounts are decimal strings,
// hashes and BoCs base64.
import { Cell, loadShardAccount, loadTransaction } from '@ton/core';
import type { Address, Message, ShardAccount } from '@ton/core';
import type { LocalChain } from './local-chain.ts';
import { NO_ACCOUNT } from './produce.ts';
import type { ChainView } from './state.ts';
import type { TransactionEntry } from './transactions.ts';

/** The one shard of each workchain, as toncenter writes it: a signed decimal. */
export const SHARD = '-9223372036854775808';
const COMMENT_BITS = 32;

export interface BlockId {
  readonly '@type': 'ton.blockIdExt';
  readonly workchain: number;
  readonly shard: string;
  readonly seqno: number;
  readonly root_hash: string;
  readonly file_hash: string;
}

export function blockId(chain: LocalChain, workchain: number, seqno: number): BlockId {
  return {
    '@type': 'ton.blockIdExt', workchain, shard: SHARD, seqno,
    root_hash: chain.blockHash('root', workchain, seqno).toString('base64'),
    file_hash: chain.blockHash('file', workchain, seqno).toString('base64'),
  };
}

const hexToBase64 = (hex: string): string => Buffer.from(hex, 'hex').toString('base64');
const hashText = (hash: bigint): string => hexToBase64(hash.toString(16).padStart(64, '0'));
const bocText = (cell: Cell | null | undefined): string => cell?.toBoc().toString('base64') ?? '';
const addressText = (address: Address | null | undefined): string => address?.toString({ urlSafe: true, bounceable: true }) ?? '';

export const readAccount = (view: ChainView, raw: string): ShardAccount => loadShardAccount(Cell.fromBase64(view.account(raw) ?? NO_ACCOUNT).beginParse());

export function accountStatus({ account }: ShardAccount): 'active' | 'uninitialized' | 'frozen' {
  const type = account?.storage.state.type ?? 'uninit';
  return type === 'uninit' ? 'uninitialized' : type;
}

export const accountBalance = ({ account }: ShardAccount): bigint => account?.storage.balance.coins ?? 0n;

export function lastTransactionId(shard: ShardAccount): object {
  return { '@type': 'internal.transactionId', lt: shard.lastTransactionLt.toString(), hash: hashText(shard.lastTransactionHash) };
}

/** Result of getAddressInformation. */
export function accountJson(chain: LocalChain, view: ChainView, raw: string): object {
  const shard = readAccount(view, raw);
  const state = shard.account?.storage.state;
  return {
    '@type': 'raw.fullAccountState',
    balance: accountBalance(shard).toString(),
    extra_currencies: [],
    code: state?.type === 'active' ? bocText(state.state.code) : '',
    data: state?.type === 'active' ? bocText(state.state.data) : '',
    last_transaction_id: lastTransactionId(shard),
    block_id: blockId(chain, -1, view.seqno),
    frozen_hash: state?.type === 'frozen' ? hashText(state.stateHash) : '',
    sync_utime: view.time,
    state: accountStatus(shard),
  };
}

function messageJson(message: Message): object {
  const { info, body } = message;
  const internal = info.type === 'internal' ? info : undefined;
  const slice = body.beginParse();
  const isComment = slice.remainingBits >= COMMENT_BITS && slice.preloadUint(COMMENT_BITS) === 0;
  const text = isComment ? commentOf(body) : undefined;
  const data = text === undefined
    ? { '@type': 'msg.dataRaw', body: bocText(body), init_state: '' }
    : { '@type': 'msg.dataText', text: Buffer.from(text).toString('base64') };
  return {
    '@type': 'raw.message',
    source: info.type === 'external-in' ? '' : addressText(info.src),
    destination: info.type === 'external-out' ? '' : addressText(info.dest),
    value: (internal?.value.coins ?? 0n).toString(),
    fwd_fee: (internal?.forwardFee ?? 0n).toString(),
    ihr_fee: (internal?.ihrFee ?? 0n).toString(),
    created_lt: info.type === 'external-in' ? '0' : info.createdLt.toString(),
    body_hash: body.hash().toString('base64'),
    msg_data: data,
    message: text ?? '',
  };
}

/** The text of a comment; undefined when the cells hold no text. */
function commentOf(body: Cell): string | undefined {
  try {
    return body.beginParse().skip(COMMENT_BITS).loadStringTail();
  } catch {
    return undefined;
  }
}

/** `raw.transaction` of an entry. */
export async function transactionJson(chain: LocalChain, entry: TransactionEntry): Promise<object> {
  const data = await chain.transactionBoc(entry);
  const { description, totalFees, inMessage, outMessages, now } = loadTransaction(Cell.fromBase64(data).beginParse());
  const storageFee = 'storagePhase' in description ? description.storagePhase?.storageFeesCollected ?? 0n : 0n;
  return {
    '@type': 'raw.transaction',
    address: { '@type': 'accountAddress', account_address: entry.account },
    utime: now,
    data,
    transaction_id: { '@type': 'internal.transactionId', lt: entry.lt.toString(), hash: hexToBase64(entry.hash) },
    fee: totalFees.coins.toString(),
    storage_fee: storageFee.toString(),
    other_fee: (totalFees.coins - storageFee).toString(),
    ...(inMessage === null || inMessage === undefined ? {} : { in_msg: messageJson(inMessage) }),
    out_msgs: outMessages.values().map((message) => messageJson(message)),
  };
}

export function shortTransactionJson({ account, lt, hash }: TransactionEntry): object {
  return { '@type': 'blocks.shortTxId', mode: 135, account, lt: lt.toString(), hash: hexToBase64(hash) };
}
