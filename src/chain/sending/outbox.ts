// The outbox of one wallet: a private folder with one record a file, named by the digest of the intent's key; those that are
// final have `.done` in their name, so that a long history costs nothing. Nothing in it is forgotten by the sender, and only what
// is final by anybody; a damaged file stops sending, because it may be a transfer in flight.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import { ConfigError } from '../../core/errors.ts';
import { ensureFolder, listFolder, pathExists, readBounded, removeFile, removeLeftovers, writeFileAtomic } from '../../core/files.ts';
import type { WriteStep } from '../../core/files.ts';
import { decodeRecord, encodeRecord, lastAttempt, statusOf } from './record.ts';
import type { SendRecord } from './record.ts';

const MAX_RECORD_BYTES = 4 << 20;
const RECORD_NAME = /^([0-9a-f]{32})(\.done)?\.json$/;

const NEWEST_NAME = 'newest.json';
const newestSchema = z.strictObject({
  schema: z.literal('cocoon.newest/1'), wallet: z.string(), lt: z.string().regex(/^\d{1,20}$/), time: z.int().min(0),
});

export interface NewestTransaction {
  readonly lt: bigint;
  /** Unix seconds of the chain. */
  readonly time: number;
}

const idOf = (key: string): string => createHash('sha256').update(key).digest('hex').slice(0, 32);

/** Order of signing: by sequence number, and by validity among attempts at the same one. */
function bySigning(a: SendRecord, b: SendRecord): number {
  const [x, y] = [lastAttempt(a), lastAttempt(b)];
  return x.seqno - y.seqno || x.validUntil - y.validUntil;
}

export class Outbox {
  readonly folder: string;
  readonly #wallet: string;

  /** `wallet`: raw address; records of another wallet are refused. */
  constructor(folder: string, wallet: string) {
    this.folder = folder;
    this.#wallet = wallet;
  }

  /** Makes the folder and finishes what an interrupted write left. Call it under the wallet's lock. */
  async open(): Promise<void> {
    await ensureFolder(this.folder);
    await removeLeftovers(this.folder);
    for (const id of await this.#ids(false)) {
      if (await pathExists(this.#path(id, true))) await this.#current(id);
    }
  }

  #path(id: string, done: boolean): string {
    return join(this.folder, `${id}${done ? '.done' : ''}.json`);
  }

  async #ids(done: boolean): Promise<string[]> {
    const matches = (await listFolder(this.folder)).map((name) => RECORD_NAME.exec(name));
    return matches.flatMap((match) => match?.[1] !== undefined && (match[2] !== undefined) === done ? [match[1]] : []);
  }

  async #read(id: string, done: boolean): Promise<SendRecord | undefined> {
    const path = this.#path(id, done);
    if (!await pathExists(path)) return undefined;
    const record = decodeRecord(Buffer.from(await readBounded(path, MAX_RECORD_BYTES)).toString('utf8'), path);
    if (record.wallet !== this.#wallet) throw new ConfigError('E_STATE', `${path} belongs to wallet ${record.wallet}, expected ${this.#wallet}`);
    if (idOf(record.key) !== id) throw new ConfigError('E_STATE', `${path} holds another intent than its name says`);
    return record;
  }

  /** The record of an id. Of two files that a crash left, the one with more attempts is newer, else the final one. */
  async #current(id: string): Promise<SendRecord | undefined> {
    const [open, done] = [await this.#read(id, false), await this.#read(id, true)];
    if (open === undefined || done === undefined) return open ?? done;
    const isOpenNewer = open.attempts.length > done.attempts.length;
    await removeFile(this.#path(id, isOpenNewer));
    return isOpenNewer ? open : done;
  }

  /** Throws `E_STATE` when the file is damaged. */
  find(key: string): Promise<SendRecord | undefined> {
    return this.#current(idOf(key));
  }

  /** Records whose result is not known yet, in order of signing. Throws `E_STATE` when one is damaged. */
  async pending(): Promise<SendRecord[]> {
    const records = await Promise.all((await this.#ids(false)).map((id) => this.#read(id, false)));
    return records.filter((record) => record !== undefined).sort(bySigning);
  }

  /** All records in order of signing. */
  async list(): Promise<SendRecord[]> {
    const done = await Promise.all((await this.#ids(true)).map((id) => this.#read(id, true)));
    const open = (await this.pending()).filter(({ key }) => !done.some((record) => record?.key === key));
    return [...done.filter((record) => record !== undefined), ...open].sort(bySigning);
  }

  /** The wallet's newest transaction that any sender of this folder has seen, also of records that are forgotten; null before the first. Throws `E_STATE`. */
  async newest(): Promise<NewestTransaction | null> {
    const path = join(this.folder, NEWEST_NAME);
    if (!await pathExists(path)) return null;
    try {
      const { wallet, lt, time } = newestSchema.parse(JSON.parse(Buffer.from(await readBounded(path, MAX_RECORD_BYTES)).toString('utf8')));
      if (wallet !== this.#wallet) throw new Error(`it belongs to wallet ${wallet}`);
      return { lt: BigInt(lt), time };
    } catch (cause) {
      throw new ConfigError('E_STATE', `${path} is damaged: ${cause instanceof Error ? cause.message : String(cause)}`, { cause, hint: 'remove it: it only saves from signing with a number that is used' });
    }
  }

  async #see(record: SendRecord): Promise<void> {
    const { transaction } = lastAttempt(record);
    if (transaction === null || BigInt(transaction.lt) <= ((await this.newest())?.lt ?? 0n)) return;
    const { lt, time } = transaction;
    await writeFileAtomic(join(this.folder, NEWEST_NAME), `${JSON.stringify({ schema: 'cocoon.newest/1', wallet: this.#wallet, lt, time })}\n`);
  }

  /** Returns when the record is durable. */
  async save(record: SendRecord, onStep?: (step: WriteStep | 'filed') => void): Promise<void> {
    await this.#see(record);
    const done = statusOf(record) !== 'pending';
    await writeFileAtomic(this.#path(idOf(record.key), done), encodeRecord(record), onStep === undefined ? {} : { onStep });
    await removeFile(this.#path(idOf(record.key), !done));
    onStep?.('filed');
  }

  /** Removes the record of a final intent. Does nothing for one that is pending or unknown. */
  async forget(key: string): Promise<void> {
    await removeFile(this.#path(idOf(key), true));
  }
}
