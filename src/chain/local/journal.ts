// An append-only file of checked records, one a line: 16 hexadecimal digits of SHA-256, a space, JSON. A record is durable
// when `append` resolves. Opening removes an unfinished last record, and refuses (`E_STATE`) a file damaged anywhere else.
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { ConfigError } from '../../core/errors.ts';
import { syncFolder, writeFileAtomic } from '../../core/files.ts';
import { dirname } from 'node:path';
import type { Log } from '../../core/log.ts';

/** Where a record lies in the file. */
export interface Place {
  readonly offset: number;
  readonly length: number;
}

const CHECK_CHARS = 16;
const CHUNK_BYTES = 1 << 20;
/** A block of the most and largest transactions stays below. */
export const MAX_RECORD_BYTES = 64 << 20;
const NEWLINE = 0x0a;

const checkOf = (json: string | Uint8Array): string => createHash('sha256').update(json).digest('hex').slice(0, CHECK_CHARS);
const lineOf = (record: unknown): Buffer => {
  const json = JSON.stringify(record);
  return Buffer.from(`${checkOf(json)} ${json}\n`);
};

/** The record of a line without its newline; undefined when it is damaged. */
function parseLine(line: Buffer): { readonly value: unknown } | undefined {
  const json = line.subarray(CHECK_CHARS + 1);
  if (line[CHECK_CHARS] !== 0x20 || line.toString('latin1', 0, CHECK_CHARS) !== checkOf(json)) return undefined;
  try {
    return { value: JSON.parse(json.toString('utf8')) };
  } catch {
    return undefined;
  }
}

/** Creates the file with its first record, whole or not at all. Throws `E_STATE` when it exists. */
export async function createJournal(path: string, first: unknown): Promise<void> {
  await writeFileAtomic(path, lineOf(first), { exclusive: true });
}

export class Journal {
  readonly #path: string;
  readonly #handle: FileHandle;
  #size: number;
  #broken = false;

  private constructor(path: string, handle: FileHandle, size: number) {
    this.#path = path;
    this.#handle = handle;
    this.#size = size;
  }

  /** Opens an existing journal and hands over its records in order; what `onRecord` throws ends the opening. */
  static async open(path: string, onRecord: (record: unknown, place: Place) => void, log: Log): Promise<Journal> {
    const handle = await open(path, 'r+');
    try {
      const { good, end } = await readAll(path, handle, onRecord);
      if (good < end) {
        log.warn('an unfinished record at the end of the journal was removed', { path, bytes: end - good });
        await handle.truncate(good);
        await handle.sync();
        await syncFolder(dirname(path));
      }
      return new Journal(path, handle, good);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** Bytes of the file. */
  get size(): number {
    return this.#size;
  }

  /** One at a time. When it fails nothing was recorded; when that cannot be guaranteed, every later call fails too. */
  async append(record: unknown): Promise<Place> {
    if (this.#broken) throw this.#error('an earlier write failed and could not be undone');
    const line = lineOf(record);
    if (line.byteLength > MAX_RECORD_BYTES) throw this.#error(`a record of ${line.byteLength} bytes is too large`);
    const offset = this.#size;
    try {
      for (let written = 0; written < line.byteLength;) {
        written += (await this.#handle.write(line, written, line.byteLength - written, offset + written)).bytesWritten;
      }
      await this.#handle.datasync();
    } catch (error) {
      await this.#handle.truncate(offset).catch(() => { this.#broken = true; });
      throw this.#error(error instanceof Error ? error.message : String(error), error);
    }
    this.#size += line.byteLength;
    return { offset, length: line.byteLength };
  }

  /** Reads a record again. Throws `E_STATE` when it is no longer what was written. */
  async read({ offset, length }: Place): Promise<unknown> {
    const line = Buffer.alloc(length);
    const { bytesRead } = await this.#handle.read(line, 0, length, offset).catch((error: unknown) => {
      throw this.#error(error instanceof Error ? error.message : String(error), error);
    });
    const record = bytesRead === length ? parseLine(line.subarray(0, -1)) : undefined;
    if (record === undefined) throw this.#error(`the record at byte ${offset} is damaged`);
    return record.value;
  }

  async close(): Promise<void> {
    this.#broken = true;
    await this.#handle.close();
  }

  #error(reason: string, cause?: unknown): ConfigError {
    return new ConfigError('E_STATE', `cannot use ${this.#path}: ${reason}`, { cause });
  }
}

async function readAll(path: string, handle: FileHandle, onRecord: (record: unknown, place: Place) => void): Promise<{ good: number; end: number }> {
  let rest = Buffer.alloc(0);
  let good = 0;
  for (let position = 0; ;) {
    const chunk = Buffer.alloc(CHUNK_BYTES);
    const { bytesRead } = await handle.read(chunk, 0, CHUNK_BYTES, position);
    position += bytesRead;
    if (bytesRead === 0) return { good, end: position };
    rest = Buffer.concat([rest, chunk.subarray(0, bytesRead)]);
    for (let at = rest.indexOf(NEWLINE); at >= 0; at = rest.indexOf(NEWLINE)) {
      const line = rest.subarray(0, at);
      const record = parseLine(line);
      if (record === undefined) {
        // A whole line with wrong content was not cut short by a crash: a process that dies leaves a beginning, no newline.
        throw new ConfigError('E_STATE', `the journal ${path} is damaged at byte ${good}`, { hint: 'restore the folder from a backup, or remove it to start a new chain' });
      }
      onRecord(record.value, { offset: good, length: at + 1 });
      good += at + 1;
      rest = rest.subarray(at + 1);
    }
    if (rest.byteLength > MAX_RECORD_BYTES) throw new ConfigError('E_STATE', `the journal ${path} has a record over ${MAX_RECORD_BYTES} bytes at byte ${good}`);
  }
}
