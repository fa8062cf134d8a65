// Executes waiting messages into the content of one block: first what earlier blocks left over, then external messages in
// order of arrival, then everything that follows from them. Pure: nothing is changed until the result is written down.
import { setImmediate as yieldToOthers } from 'node:timers/promises';
import { beginCell, Cell, Dictionary, loadMessage } from '@ton/core';
import { asCocoonError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import type { Engine } from './engine.ts';
import type { AcceptRecord, BlockRecord } from './records.ts';
import type { ChainView } from './state.ts';

export interface BlockInput {
  readonly engine: Engine;
  readonly state: ChainView;
  readonly seqno: number;
  readonly time: number;
  /** 32 bytes. */
  readonly seed: Buffer;
  /** Internal messages, base64 BoC. */
  readonly pending: readonly string[];
  readonly externals: readonly AcceptRecord[];
  readonly log: Log;
}

/** Logical times of a block start at its number times this; each transaction gets LT_STEP of them, more than it can use. */
const LT_PER_BLOCK = 1_000_000n;
const LT_STEP = 1000n;
const MAX_TRANSACTIONS = 500;
const MAX_BYTES = 8 << 20;

/** A ShardAccount without an account: `account_none$0`, last transaction 0. */
export const NO_ACCOUNT = beginCell().storeRef(beginCell().storeBit(0)).storeUint(0, 256).storeUint(0, 64).endCell().toBoc().toString('base64');

/** Logical time at which a message offered now would be executed. */
export const startLt = (seqno: number): bigint => BigInt(seqno) * LT_PER_BLOCK + LT_STEP;

/**
 * The cells of a transaction's outgoing messages, oldest first, exactly as it made them.
 * transaction$0111 … ^[ in_msg:(Maybe ^(Message Any)) out_msgs:(HashmapE 15 ^(Message Any)) ] … = Transaction;
 */
export function outgoingCells(transaction: Cell): Cell[] {
  const messages = transaction.beginParse().loadRef().beginParse();
  messages.loadMaybeRef();
  return messages.loadDict(Dictionary.Keys.Uint(15), Dictionary.Values.Cell()).values();
}

class Draft {
  readonly transactions: BlockRecord['transactions'] = [];
  readonly accounts: Record<string, string> = {};
  readonly settled: string[] = [];
  readonly queue: Cell[];
  readonly #input: BlockInput;
  #bytes = 0;

  constructor(input: BlockInput) {
    this.#input = input;
    this.queue = input.pending.map((boc) => Cell.fromBase64(boc));
  }

  get isFull(): boolean {
    return this.transactions.length >= MAX_TRANSACTIONS || this.#bytes >= MAX_BYTES;
  }

  /** Executes one message; false when it was not accepted. */
  async execute(message: Cell): Promise<boolean> {
    await yieldToOthers();
    const { engine, state, seqno, time, seed } = this.#input;
    const { info } = loadMessage(message.beginParse());
    if (info.type === 'external-out') return true;
    const raw = info.dest.toRawString();
    const lt = startLt(seqno) + BigInt(this.transactions.length) * LT_STEP;
    const result = await engine.transaction({ account: this.accounts[raw] ?? state.account(raw) ?? NO_ACCOUNT, message, now: time, lt, seed })
      // One message that breaks the executor must not keep every later block from being made.
      .catch((error: unknown) => ({ ok: false as const, reason: asCocoonError(error).message, exitCode: null }));
    if (!result.ok) {
      this.#input.log.debug('a message was not executed', { account: raw, exitCode: result.exitCode, reason: result.reason });
      return false;
    }
    const transaction = Cell.fromBase64(result.transaction);
    this.accounts[raw] = result.account;
    this.#bytes += result.transaction.length + result.account.length;
    this.transactions.push({
      account: raw, lt: lt.toString(), hash: transaction.hash().toString('hex'), boc: result.transaction,
      message: message.hash().toString('hex'), messageLt: info.type === 'internal' ? info.createdLt.toString() : null,
    });
    this.queue.push(...outgoingCells(transaction).filter((cell) => loadMessage(cell.beginParse()).info.type === 'internal'));
    return true;
  }

  async drain(): Promise<void> {
    while (!this.isFull) {
      const next = this.queue.shift();
      if (next === undefined) return;
      if (!(await this.execute(next))) {
        // The executor takes every message that it made itself; if it ever does not, the value is gone and must be known.
        this.#input.log.error('an internal message could not be executed and its value is lost', { message: next.hash().toString('hex') });
      }
    }
  }
}

/** The block's record. `settled` lists externals that were executed or refused; the others stay waiting. */
export async function produceBlock(input: BlockInput): Promise<BlockRecord> {
  const draft = new Draft(input);
  await draft.drain();
  for (const { hash, boc } of input.externals) {
    if (draft.isFull) break;
    await draft.execute(Cell.fromBase64(boc));
    draft.settled.push(hash);
  }
  await draft.drain();
  const { transactions, accounts, settled, queue } = draft;
  return { type: 'block', seqno: input.seqno, time: input.time, transactions, accounts, settled, pending: queue.map((cell) => cell.toBoc().toString('base64')) };
}
