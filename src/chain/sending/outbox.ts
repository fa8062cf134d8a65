// The outbox of one wallet: a private folder with one record a file, named by the digest of the intent's key.
// Nothing in it is deleted by the sender; a damaged file stops sending, because it may be a transfer in flight.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { ConfigError } from '../../core/errors.ts';
import { ensureFolder, listFolder, readBounded, removeLeftovers, writeFileAtomic } from '../../core/files.ts';
import type { WriteStep } from '../../core/files.ts';
import { decodeRecord, encodeRecord } from './record.ts';
import type { SendRecord } from './record.ts';

const MAX_RECORD_BYTES = 4 << 20;
const RECORD_NAME = /^[0-9a-f]{32}\.json$/;

export class Outbox {
  readonly folder: string;
  readonly #wallet: string;

  /** `wallet`: raw address; records of another wallet are refused. */
  constructor(folder: string, wallet: string) {
    this.folder = folder;
    this.#wallet = wallet;
  }

  /** Makes the folder and removes what interrupted writes left. Call it under the wallet's lock. */
  async open(): Promise<void> {
    await ensureFolder(this.folder);
    await removeLeftovers(this.folder);
  }

  #path(key: string): string {
    return join(this.folder, `${createHash('sha256').update(key).digest('hex').slice(0, 32)}.json`);
  }

  async #read(path: string): Promise<SendRecord> {
    const record = decodeRecord(Buffer.from(await readBounded(path, MAX_RECORD_BYTES)).toString('utf8'), path);
    if (record.wallet !== this.#wallet) throw new ConfigError('E_STATE', `${path} belongs to wallet ${record.wallet}, expected ${this.#wallet}`);
    return record;
  }

  /** All records in order of signing. Throws `E_STATE` when one is damaged. */
  async list(): Promise<SendRecord[]> {
    const names = (await listFolder(this.folder)).filter((name) => RECORD_NAME.test(name));
    const records = await Promise.all(names.map((name) => this.#read(join(this.folder, name))));
    return records.sort((a, b) => a.number - b.number);
  }

  /** Returns when the record is durable. */
  async save(record: SendRecord, onStep?: (step: WriteStep) => void): Promise<void> {
    await writeFileAtomic(this.#path(record.key), encodeRecord(record), onStep === undefined ? {} : { onStep });
  }
}
