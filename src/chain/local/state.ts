// The state of a local chain in memory: accounts, waiting messages, recent blocks, transaction index. Changes only by records,
// at run time and when the journal is read again alike, so both give the same state.
import { ConfigError } from '../../core/errors.ts';
import type { Place } from './journal.ts';
import type { AcceptRecord, BlockRecord, GenesisRecord, HeadRecord, JournalRecord } from './records.ts';
import { TransactionIndex } from './transactions.ts';

/** The chain as it was after one block. */
export interface ChainView {
  readonly seqno: number;
  /** Unix seconds of that block. */
  readonly time: number;
  /** ShardAccount, base64 BoC, of a raw address; undefined for an account that never existed. */
  account(raw: string): string | undefined;
}

interface RecentBlock {
  readonly seqno: number;
  readonly time: number;
  /** States before this block of the accounts that it changed. */
  readonly before: ReadonlyMap<string, string | undefined>;
}

/** How many blocks back views reach. */
export const RECENT_BLOCKS = 128;
const NOTHING: ReadonlyMap<string, string | undefined> = new Map();

export class ChainState {
  readonly genesis: GenesisRecord;
  readonly index = new TransactionIndex();
  readonly #accounts: Map<string, string>;
  readonly #waiting = new Map<string, AcceptRecord>();
  readonly #faucet = new Map<string, AcceptRecord>();
  #pending: readonly string[] = [];
  #offsetS = 0;
  readonly #recent: RecentBlock[];

  constructor(genesis: GenesisRecord) {
    this.genesis = genesis;
    this.#accounts = new Map(Object.entries(genesis.accounts));
    this.#recent = [{ seqno: 0, time: genesis.time, before: NOTHING }];
  }

  get #last(): RecentBlock {
    const last = this.#recent.at(-1);
    if (last === undefined) throw new RangeError('a chain has at least its first block');
    return last;
  }

  get head(): ChainView {
    const { seqno, time } = this.#last;
    return { seqno, time, account: (raw) => this.#accountAt(seqno, raw) };
  }

  /** Seconds that chain time runs ahead of the clock. */
  get offsetS(): number {
    return this.#offsetS;
  }

  /** Accepted external messages that are in no block yet, oldest first. */
  get waiting(): ReadonlyMap<string, AcceptRecord> {
    return this.#waiting;
  }

  /** Internal messages that the next block delivers first; base64 BoC. */
  get pending(): readonly string[] {
    return this.#pending;
  }

  faucetRequest(key: string): AcceptRecord | undefined {
    return this.#faucet.get(key);
  }

  /** A block of the recent past, or undefined when it is not kept (or does not exist). */
  at(seqno: number): ChainView | undefined {
    const block = this.#recent.find((candidate) => candidate.seqno === seqno);
    return block === undefined ? undefined : { seqno, time: block.time, account: (raw) => this.#accountAt(seqno, raw) };
  }

  /** Also for a view that was taken before newer blocks came: what changed the account first since then knows what it was. */
  #accountAt(seqno: number, raw: string): string | undefined {
    const changed = this.#recent.find((block) => block.seqno > seqno && block.before.has(raw));
    return changed === undefined ? this.#accounts.get(raw) : changed.before.get(raw);
  }

  /** The view `blocks` back, or the oldest kept. */
  lagging(blocks: number): ChainView {
    const block = this.#recent[Math.max(0, this.#recent.length - 1 - blocks)];
    return this.at(block?.seqno ?? -1) ?? this.head;
  }

  /** A block without transactions. */
  addEmpty(seqno: number, time: number): void {
    this.#push({ seqno, time, before: NOTHING });
  }

  /** Continues after the block numbers that the head file reserved. */
  resume({ chainId, seqno, time }: HeadRecord): void {
    if (chainId !== this.genesis.chainId) throw new ConfigError('E_STATE', 'the head file belongs to another chain than the journal');
    if (seqno > this.#last.seqno) this.addEmpty(seqno, Math.max(time, this.#last.time));
  }

  apply(record: JournalRecord, place: Place): void {
    switch (record.type) {
      case 'genesis': throw new ConfigError('E_STATE', 'the journal has a second first record');
      case 'advance': this.#offsetS = record.offsetS; return;
      case 'accept':
        this.#waiting.set(record.hash, record);
        if (record.faucet !== undefined) this.#faucet.set(record.faucet.key, record);
        return;
      case 'block': this.#applyBlock(record, place);
    }
  }

  #applyBlock(block: BlockRecord, place: Place): void {
    const before = new Map<string, string | undefined>();
    for (const [raw, account] of Object.entries(block.accounts)) {
      before.set(raw, this.#accounts.get(raw));
      this.#accounts.set(raw, account);
    }
    this.#push({ seqno: block.seqno, time: block.time, before });
    this.#pending = block.pending;
    this.index.add(block, place);
    for (const hash of block.settled) {
      const key = this.#waiting.get(hash)?.faucet?.key;
      this.#waiting.delete(hash);
      // A request whose message the wallet refused was not served; the same key may ask again.
      if (key !== undefined && this.index.byMessage(hash) === undefined) this.#faucet.delete(key);
    }
  }

  #push(block: RecentBlock): void {
    const { seqno, time } = this.#last;
    if (block.seqno <= seqno || block.time < time) throw new ConfigError('E_STATE', `block ${block.seqno} at ${block.time} cannot follow block ${seqno} at ${time}`);
    this.#recent.push(block);
    if (this.#recent.length > RECENT_BLOCKS) this.#recent.shift();
  }
}
