// The results of a batch: a file of JSON lines to which each result is appended and flushed when it is there, so that whatever
// ends a run loses no result and asks no question twice. The next run reads it first; a line that was cut by a crash is removed.
// At the end the file is put in the order of the questions, in one step. Refuses files that are anything else.
import { constants } from 'node:fs';
import { open, rename, unlink } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { ConfigError } from '../core/errors.ts';
import { syncFolder, systemErrorCode } from '../core/files.ts';
import type { FileHandle } from 'node:fs/promises';

/** Longest line: an answer of the largest size, escaped. */
const MAX_LINE_BYTES = 128 * 1024 * 1024;
const CHUNK_BYTES = 1024 * 1024;
const NEWLINE = 0x0a;

/** What of a result says whether its question is done. */
export interface ResultKey {
  readonly id: string;
  readonly ok: boolean;
  /** Digest of the request that was asked. */
  readonly request: string;
}

export type JsonValue = string | number | boolean | null | readonly JsonValue[] | JsonObject;
export interface JsonObject { readonly [key: string]: JsonValue | undefined }
export type BatchResult = ResultKey & JsonObject;

export interface BatchResults {
  /** The newest result of each id that is in the file. */
  readonly known: ReadonlyMap<string, ResultKey>;
  /** Resolves when the result is on disk. Results that come together are flushed together. */
  append(result: BatchResult): Promise<void>;
  /** Puts the newest result of each id in this order; others stay, behind them. */
  arrange(ids: readonly string[]): Promise<void>;
  close(): Promise<void>;
}

const Line = z.looseObject({ id: z.string(), ok: z.boolean(), request: z.string() });

interface Place {
  readonly key: ResultKey;
  readonly at: number;
  /** With its line end. */
  readonly length: number;
}

/** Opens or creates the file. Throws ConfigError `E_STATE` for a file that is no results of a batch; nothing is changed then. */
export async function openBatchResults(path: string): Promise<BatchResults> {
  const failed = (error: unknown): ConfigError =>
    error instanceof ConfigError ? error : new ConfigError('E_STATE', `cannot use ${path}: ${systemErrorCode(error) ?? String(error)}`, { cause: error });
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, constants.O_RDWR | constants.O_CREAT | constants.O_NONBLOCK, 0o600);
    if (!(await handle.stat()).isFile()) throw new ConfigError('E_STATE', `cannot use ${path}: expected a regular file`);
    const { places, end, tail } = await readPlaces(handle, path);
    const last = tail.length === 0 ? null : lastLine(tail, path, places.length + 1);
    await handle.truncate(last === null ? end : end + tail.length);
    if (last !== null) {
      await handle.write('\n', end + tail.length);
      places.push({ key: last, at: end, length: tail.length + 1 });
    }
    await handle.sync();
    await syncFolder(dirname(path));
    return new ResultsFile(path, handle, places);
  } catch (error) {
    await handle?.close();
    throw failed(error);
  }
}

/** How each line begins. */
const BEGINNING = Buffer.from('{"id":"');

/** What stands behind the last line end: a line that lacks only its end, or null for the beginning of one, whose rest was never written. */
function lastLine(tail: Buffer, path: string, line: number): ResultKey | null {
  if (!tail.subarray(0, BEGINNING.length).equals(BEGINNING.subarray(0, tail.length))) throw foreign(path, line);
  try {
    JSON.parse(tail.toString('utf8'));
  } catch {
    return null;
  }
  return keyOf(tail, path, line);
}

/** Every whole line; `end` is where they end, `tail` what follows. */
async function readPlaces(handle: FileHandle, path: string): Promise<{ places: Place[]; end: number; tail: Buffer }> {
  const places: Place[] = [];
  let rest: Buffer = Buffer.alloc(0);
  let end = 0;
  for (let position = 0; ;) {
    const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(CHUNK_BYTES), 0, CHUNK_BYTES, position);
    if (bytesRead === 0) return { places, end, tail: rest };
    position += bytesRead;
    rest = rest.length === 0 ? buffer.subarray(0, bytesRead) : Buffer.concat([rest, buffer.subarray(0, bytesRead)]);
    for (let newline = rest.indexOf(NEWLINE); newline >= 0; newline = rest.indexOf(NEWLINE)) {
      places.push({ key: keyOf(rest.subarray(0, newline), path, places.length + 1), at: end, length: newline + 1 });
      end += newline + 1;
      rest = rest.subarray(newline + 1);
    }
    if (rest.length > MAX_LINE_BYTES) throw foreign(path, places.length + 1);
  }
}

const foreign = (path: string, line: number, cause?: unknown): ConfigError =>
  new ConfigError('E_STATE', `cannot use ${path}: line ${line} is no result of a batch`, { ...(cause === undefined ? {} : { cause }), hint: 'name another file with --out' });

function keyOf(bytes: Uint8Array, path: string, line: number): ResultKey {
  try {
    const { id, ok, request } = Line.parse(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)));
    return { id, ok, request };
  } catch (cause) {
    throw foreign(path, line, cause);
  }
}

class ResultsFile implements BatchResults {
  readonly known = new Map<string, ResultKey>();
  readonly #path: string;
  #handle: FileHandle;
  /** In the order of the file. */
  #places: Place[];
  #end: number;
  #waiting: { readonly key: ResultKey; readonly bytes: Buffer }[] = [];
  #flushing: Promise<void> | null = null;

  constructor(path: string, handle: FileHandle, places: Place[]) {
    this.#path = path;
    this.#handle = handle;
    this.#places = places;
    this.#end = places.reduce((end, { length }) => end + length, 0);
    for (const { key } of places) this.known.set(key.id, key);
  }

  async append({ id, ok, request, ...rest }: BatchResult): Promise<void> {
    this.#waiting.push({ key: { id, ok, request }, bytes: Buffer.from(`${JSON.stringify({ id, ok, request, ...rest })}\n`) });
    // One flush at a time; what came meanwhile shares the next one.
    while (this.#flushing !== null) await this.#flushing;
    if (!this.#waiting.some(({ key }) => key.id === id)) return;
    this.#flushing = this.#flush().finally(() => { this.#flushing = null; });
    await this.#flushing;
  }

  async arrange(ids: readonly string[]): Promise<void> {
    const newest = new Map(this.#places.map((place) => [place.key.id, place]));
    const wanted = new Set(ids);
    const ordered = [...ids.flatMap((id) => newest.get(id) ?? []), ...this.#places.filter((place) => newest.get(place.key.id) === place && !wanted.has(place.key.id))];
    if (ordered.length === this.#places.length && ordered.every((place, index) => place === this.#places[index])) return;
    const temp = join(dirname(this.#path), `.${basename(this.#path)}.${randomBytes(6).toString('hex')}.tmp`);
    const target = await open(temp, 'wx+', (await this.#handle.stat()).mode & 0o777);
    try {
      const places: Place[] = [];
      let end = 0;
      for (const { key, at, length } of ordered) {
        await copy(this.#handle, at, length, target, end);
        places.push({ key, at: end, length });
        end += length;
      }
      await target.sync();
      await rename(temp, this.#path);
      await syncFolder(dirname(this.#path));
      await this.#handle.close();
      this.#handle = target;
      this.#places = places;
      this.#end = end;
    } catch (error) {
      await target.close();
      await unlink(temp).catch(() => undefined);
      throw new ConfigError('E_STATE', `cannot write ${this.#path}: ${systemErrorCode(error) ?? String(error)}`, { cause: error });
    }
  }

  async close(): Promise<void> {
    await this.#flushing?.catch(() => undefined);
    await this.#handle.close();
  }

  async #flush(): Promise<void> {
    const batch = this.#waiting;
    this.#waiting = [];
    const bytes = Buffer.concat(batch.map((each) => each.bytes));
    try {
      for (let written = 0; written < bytes.length;) {
        written += (await this.#handle.write(bytes, written, bytes.length - written, this.#end + written)).bytesWritten;
      }
      await this.#handle.datasync();
    } catch (error) {
      throw new ConfigError('E_STATE', `cannot write ${this.#path}: ${systemErrorCode(error) ?? String(error)}`, { cause: error, hint: 'free some room and run the same command again: what is in the file stays' });
    }
    for (const { key, bytes: line } of batch) {
      this.#places.push({ key, at: this.#end, length: line.length });
      this.#end += line.length;
      this.known.set(key.id, key);
    }
  }
}

async function copy(from: FileHandle, at: number, length: number, to: FileHandle, end: number): Promise<void> {
  const buffer = Buffer.allocUnsafe(Math.min(length, CHUNK_BYTES));
  for (let done = 0; done < length;) {
    const { bytesRead } = await from.read(buffer, 0, Math.min(buffer.length, length - done), at + done);
    if (bytesRead === 0) throw new Error('the file became shorter');
    await to.write(buffer, 0, bytesRead, end + done);
    done += bytesRead;
  }
}
