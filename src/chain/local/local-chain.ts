// A local chain: the only writer of its folder. Every change is one journal record, durable before it is visible or answered.
// Refuses a second writer, time that goes back, and external messages that are malformed or that no contract accepts.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { Cell, loadShardAccount } from '@ton/core';
import type { Address } from '@ton/core';
import { toHex } from '../../core/bytes.ts';
import { ConfigError, FundsError, NetworkError, UsageError } from '../../core/errors.ts';
import { ensureFolder, removeLeftovers, writeFileAtomic } from '../../core/files.ts';
import { formatTon } from '../../core/units.ts';
import { buildExternalMessage, checkExternal, refusalText } from './external.ts';
import { createEngine } from './engine.ts';
import type { Engine } from './engine.ts';
import { FILES, holdLock, loadState } from './folder.ts';
import type { LocalChainOptions } from './folder.ts';
import { faucetOf, loadSecret } from './genesis.ts';
import type { Faucet } from './genesis.ts';
import type { Journal } from './journal.ts';
import { NO_ACCOUNT, outgoingCells, produceBlock, startLt } from './produce.ts';
import { parseJournalRecord } from './records.ts';
import type { AcceptRecord, BlockRecord, JournalRecord } from './records.ts';
import type { ChainState } from './state.ts';
import type { TransactionEntry } from './transactions.ts';
import { transferOf } from '../wallets/transfer.ts';

export interface FaucetRequest {
  readonly to: Address;
  readonly amountNano: bigint;
  /** The same key again sends nothing and gives the first answer. */
  readonly key: string;
}

/** Empty blocks whose numbers one write of the head file reserves. */
const LEASE_BLOCKS = 1024;
const MAX_WAITING = 1024;
const MAX_TIME = 0xffff_ffff;
const BLOCK_CACHE = 32;

export class LocalChain {
  readonly engine: Engine;
  readonly state: ChainState;
  readonly #journal: Journal;
  readonly #faucet: Faucet;
  readonly #options: LocalChainOptions;
  readonly #unlock: () => Promise<void>;
  readonly #blocks = new Map<number, BlockRecord>();
  /** Block number up to which the head file allows empty blocks. */
  #leased: number;
  #last: Promise<unknown> = Promise.resolve();
  #closed = false;
  #closing: Promise<void> | undefined;

  private constructor(parts: { engine: Engine; state: ChainState; journal: Journal; faucet: Faucet; options: LocalChainOptions; unlock: () => Promise<void> }) {
    ({ engine: this.engine, state: this.state, journal: this.#journal, faucet: this.#faucet, options: this.#options, unlock: this.#unlock } = parts);
    this.#leased = this.state.head.seqno;
  }

  /** Opens the chain in a folder, or makes a new one. Throws `E_STATE` (in use, damaged, another chain) or `E_CONFIG`. */
  static async open(options: LocalChainOptions): Promise<LocalChain> {
    const { dir } = options;
    await ensureFolder(dir);
    const unlock = await holdLock(join(dir, FILES.lock));
    try {
      await removeLeftovers(dir);
      const { state, journal } = await loadState(dir, options);
      try {
        const { globalId, era, faucet: address } = state.genesis;
        const faucet = faucetOf(await loadSecret(dir, FILES.faucetKey), globalId);
        if (faucet.wallet.address.toRawString() !== address) throw new ConfigError('E_STATE', `the faucet key in ${dir} is not this chain's`);
        return new LocalChain({ engine: await createEngine(era, globalId), state, journal, faucet, options, unlock });
      } catch (error) {
        await journal.close();
        throw error;
      }
    } catch (error) {
      await unlock();
      throw error;
    }
  }

  get globalId(): number {
    return this.state.genesis.globalId;
  }

  get faucetAddress(): Address {
    return this.#faucet.wallet.address;
  }

  /** Bytes of the journal. */
  get diskBytes(): number {
    return this.#journal.size;
  }

  /** Chain time of a block made now: the clock plus what was advanced, never before the newest block. */
  now(): number {
    return Math.min(MAX_TIME, Math.max(this.state.head.time, Math.floor(this.#options.clock.now() / 1000) + this.state.offsetS));
  }

  /**
   * Accepts an external message: durable, and in a block later, when this resolves. The same message again, while it waits,
   * changes nothing. `lateBlocks` keeps it out of the next so many blocks.
   * Throws NetworkError E_CHAIN_REFUSED with the text that public gateways answer.
   */
  async submit(message: Cell, lateBlocks = 0): Promise<void> {
    const { raw } = checkExternal(message);
    await this.#exclusive(async () => {
      const hash = toHex(message.hash());
      if (this.state.waiting.has(hash)) return;
      if (this.state.waiting.size >= MAX_WAITING) throw new NetworkError('E_CHAIN_REFUSED', 'too many external messages are waiting for a block');
      const { head } = this.state;
      const result = await this.engine.transaction({
        account: head.account(raw) ?? NO_ACCOUNT, message, now: this.now(), lt: startLt(head.seqno + 1), seed: this.#seed(head.seqno + 1),
      });
      if (!result.ok) throw new NetworkError('E_CHAIN_REFUSED', refusalText(raw, result));
      await this.#record({ type: 'accept', hash, boc: bocOf(message), notBefore: head.seqno + 1 + lateBlocks });
    });
  }

  /** Makes the next block. Costs nothing on disk when there is nothing to put in it, but once in 1024 times. */
  async tick(): Promise<{ seqno: number; time: number }> {
    return this.#exclusive(() => this.#makeBlock());
  }

  /** Moves chain time forward and makes a block at the new time. Throws `E_USAGE`. */
  async advance(seconds: number): Promise<{ seqno: number; time: number }> {
    return this.#exclusive(async () => {
      const target = this.now() + seconds;
      if (!Number.isSafeInteger(seconds) || seconds < 1 || target > MAX_TIME) {
        throw new UsageError('E_USAGE', `cannot advance time by ${seconds} seconds, expected a whole number from 1 to ${MAX_TIME - this.now()}`);
      }
      const offsetS = Math.min(MAX_TIME, Math.max(this.state.offsetS, target - Math.floor(this.#options.clock.now() / 1000)));
      await this.#record({ type: 'advance', offsetS });
      return this.#makeBlock();
    });
  }

  /** Sends TON from the faucet and makes a block with the transfer; the faucet's transaction. Throws `E_USAGE` or `E_FUNDS`. */
  async faucet(request: FaucetRequest): Promise<TransactionEntry> {
    const { key, amountNano } = request;
    const to = request.to.toRawString();
    return this.#exclusive(async () => {
      const earlier = this.state.faucetRequest(key);
      if (earlier !== undefined && (earlier.faucet?.to !== to || earlier.faucet.amountNano !== amountNano.toString())) {
        throw new UsageError('E_USAGE', `the faucet was asked with the key ${JSON.stringify(key)} before, for another address or amount`);
      }
      const accept = earlier ?? await this.#faucetTransfer(request);
      if (this.state.waiting.has(accept.hash)) await this.#makeBlock();
      const entry = this.state.index.byMessage(accept.hash);
      if (entry === undefined) throw new FundsError('E_FUNDS', 'the faucet did not accept the transfer');
      const sent = outgoingCells(Cell.fromBase64(await this.transactionBoc(entry)));
      if (sent.length === 0) throw new FundsError('E_FUNDS', 'the faucet executed the transfer but sent nothing');
      return entry;
    });
  }

  async #faucetTransfer({ to, amountNano, key }: FaucetRequest): Promise<AcceptRecord> {
    const { wallet, signer } = this.#faucet;
    const account = loadShardAccount(Cell.fromBase64(this.state.head.account(wallet.address.toRawString()) ?? NO_ACCOUNT).beginParse()).account;
    const state = account?.storage.state;
    const data = state?.type === 'active' ? state.state.data : null;
    const balance = account?.storage.balance.coins ?? 0n;
    if (data === null || data === undefined || amountNano < 1n || amountNano + 10n ** 9n > balance) {
      throw new FundsError('E_FUNDS', `the faucet holds ${formatTon(balance)} TON, cannot send ${formatTon(amountNano)}`);
    }
    // Transfers of an earlier run that still wait use the sequence numbers before this one.
    const before = [...this.state.waiting.values()].filter(({ faucet }) => faucet !== undefined).length;
    const body = await wallet.buildExternal(wallet.readSeqno(data) + before, MAX_TIME, [transferOf({ to, valueNano: amountNano, bounce: false })], signer);
    const message = buildExternalMessage(wallet.address, body);
    const record: AcceptRecord = {
      type: 'accept', hash: toHex(message.hash()), boc: bocOf(message), notBefore: this.state.head.seqno + 1,
      faucet: { key, to: to.toRawString(), amountNano: amountNano.toString() },
    };
    await this.#record(record);
    return record;
  }

  /** Base64 BoC of a transaction, from the journal. */
  async transactionBoc({ place, position, seqno }: TransactionEntry): Promise<string> {
    const block = this.#blocks.get(seqno) ?? parseJournalRecord(await this.#journal.read(place));
    const boc = block.type === 'block' ? block.transactions[position]?.boc : undefined;
    if (block.type !== 'block' || boc === undefined) throw new ConfigError('E_STATE', `the journal does not hold block ${seqno} where it was written`);
    this.#blocks.delete(seqno);
    this.#blocks.set(seqno, block);
    for (const oldest of this.#blocks.keys()) {
      if (this.#blocks.size <= BLOCK_CACHE) break;
      this.#blocks.delete(oldest);
    }
    return boc;
  }

  /** Identifies a block: deterministic, so the same before and after a restart. There is no block file that it is the hash of. */
  blockHash(part: 'root' | 'file' | 'state', workchain: number, seqno: number): Buffer {
    return createHash('sha256').update(`${part} ${this.state.genesis.chainId} ${workchain} ${seqno}`).digest();
  }

  /** Writes down the exact head and lets go of the folder, after what was asked before. Idempotent. */
  close(): Promise<void> {
    return this.#closing ??= this.#exclusive(async () => {
      this.#closed = true;
      try {
        await this.#writeHead(this.state.head.seqno);
      } finally {
        await this.#journal.close();
        await this.#unlock();
      }
    });
  }

  async #makeBlock(): Promise<{ seqno: number; time: number }> {
    const { head, pending, waiting } = this.state;
    const [seqno, time] = [head.seqno + 1, this.now()];
    const externals = [...waiting.values()].filter(({ notBefore }) => notBefore <= seqno);
    if (externals.length === 0 && pending.length === 0) {
      if (seqno > this.#leased) await this.#writeHead(seqno + LEASE_BLOCKS);
      this.state.addEmpty(seqno, time);
    } else {
      await this.#record(await produceBlock({ engine: this.engine, state: head, seqno, time, seed: this.#seed(seqno), pending, externals, log: this.#options.log }));
    }
    return { seqno, time };
  }

  async #writeHead(seqno: number): Promise<void> {
    const head = { version: 1, chainId: this.state.genesis.chainId, seqno, time: this.state.head.time };
    await writeFileAtomic(join(this.#options.dir, FILES.head), `${JSON.stringify(head)}\n`);
    this.#leased = seqno;
  }

  async #record(record: JournalRecord): Promise<void> {
    this.state.apply(record, await this.#journal.append(record));
  }

  #seed(seqno: number): Buffer {
    return createHash('sha256').update(`seed ${this.state.genesis.chainId} ${seqno}`).digest();
  }

  /** One change at a time, in order of arrival. */
  #exclusive<T>(change: () => Promise<T>): Promise<T> {
    const result = this.#last.then(() => {
      if (this.#closed) throw new NetworkError('E_CLOSED', 'the local chain is closing');
      return change();
    });
    this.#last = result.catch(() => undefined);
    return result;
  }
}

const bocOf = (message: Cell): string => message.toBoc().toString('base64');

