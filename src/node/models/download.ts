// Downloads one file in segments, several at a time and from several sources, so that it can go on after a cut, a crash or a reboot.
// A segment counts as done when it is on disk (fdatasync) and noted. While it downloads, what is there without a gap is hashed:
// SHA-256 of the file, and of each leaf of its tree. Refuses sources that change, and ends with the right bytes or an error.
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { z } from 'zod';
import { toHex } from '../../core/bytes.ts';
import { abortError } from '../../core/deadline.ts';
import { CocoonError, ConfigError, NetworkError, NotFoundError } from '../../core/errors.ts';
import { readBounded, systemErrorCode, writeFileAtomic } from '../../core/files.ts';
import { backoffMs, sleep as realSleep } from '../../core/retry.ts';
import { ChangedError, PassingError } from './fetch.ts';
import { fileRoot, LEAF_BYTES, leafCount, leafHash, MAX_MODEL_BYTES, readFully } from './tree-hash.ts';
import type { FileHandle } from 'node:fs/promises';
import type { Sleep } from '../../core/retry.ts';
import type { ModelFetcher } from './fetch.ts';
import type { RemoteFile } from './hub.ts';

/** A whole number of leaves. */
export const SEGMENT_BYTES = 8 * LEAF_BYTES;
const MAX_STATE_BYTES = 4 << 20;
/** Failures one after the other, without a byte in between, after which a segment gives up. */
const MAX_FAILURES = 6;
const BACKOFF = { baseMs: 500, maxMs: 15_000 };
const MAX_WAIT_MS = 60_000;
const HASH_BYTES = 32;

const State = z.strictObject({ version: z.literal(1), size: z.int().min(0), sha256: z.string().nullable(), etag: z.string().nullable(), done: z.array(z.int().min(0)) });

export interface DownloadOptions {
  readonly fetcher: ModelFetcher;
  /** Where the file is written. */
  readonly path: string;
  /** Where its progress is noted. */
  readonly statePath: string;
  readonly parallel: number;
  /** Free bytes of the file system of `path`. */
  readonly freeBytes: () => Promise<number>;
  readonly signal: AbortSignal;
  readonly sleep?: Sleep;
  /** Bytes of this file that are there. */
  readonly onProgress?: (bytes: number) => void;
  readonly segmentBytes?: number;
}

export interface Downloaded {
  readonly size: number;
  /** 64 hexadecimal digits. */
  readonly sha256: string;
  /** Root of the file's tree, 32 bytes. */
  readonly root: Uint8Array;
}

interface Source {
  readonly url: string;
  readonly etag: string | null;
}

/** What is known of the file before a byte of it is fetched. */
interface Plan {
  readonly size: number;
  readonly sources: Source[];
  /** False: one answer has to give the whole file. */
  readonly ranges: boolean;
}

/**
 * Downloads, or goes on with what an earlier call left. Throws ConfigError `E_DISK_SPACE`, `E_MODEL_ACCESS`, NetworkError
 * `E_MODEL_SOURCE` (nothing is worth keeping then) or a passing one (what is there is kept), NotFoundError, the signal's reason.
 */
export async function downloadFile(file: RemoteFile, options: DownloadOptions): Promise<Downloaded> {
  const plan = await probe(file, options);
  const done = await readState(file, plan, options);
  const segmentBytes = plan.ranges ? options.segmentBytes ?? SEGMENT_BYTES : Math.max(1, plan.size);
  await requireSpace(plan.size, done.size * segmentBytes, options);
  const handle = await open(options.path, done.size > 0 ? 'r+' : 'w+', 0o600);
  try {
    await handle.truncate(plan.size);
    const work = new Work(file, plan, done, segmentBytes, handle, options);
    const hashed = await work.run();
    if (file.sha256 !== null && hashed.sha256 !== file.sha256) {
      throw new NetworkError('E_MODEL_SOURCE', `${file.name} has the SHA-256 ${hashed.sha256}, expected ${file.sha256}`, { hint: 'nothing of it was kept; try another source, and check the hash' });
    }
    await handle.sync();
    return hashed;
  } catch (error) {
    throw diskFull(error, options.path);
  } finally {
    await handle.close();
  }
}

/** Asks each source for one byte: size, validator, and whether it knows ranges. Sources that differ or do not answer are left out. */
async function probe(file: RemoteFile, { fetcher, signal, sleep = realSleep }: DownloadOptions): Promise<Plan> {
  const sources: (Source & { readonly size: number; readonly ranges: boolean })[] = [];
  let failure: unknown;
  for (let attempt = 0; sources.length === 0 && attempt < 3; attempt += 1) {
    if (attempt > 0) await sleep(backoffMs(attempt - 1, BACKOFF), signal);
    for (const url of file.urls) {
      try {
        const { partial, totalBytes, etag, body } = await fetcher.range({ url, start: 0, end: 0, etag: null, hashKnown: file.sha256 !== null }, signal);
        body.on('error', () => undefined).destroy();
        if (totalBytes === null) throw new NetworkError('E_MODEL_SOURCE', `${new URL(url).host} does not say how long ${file.name} is`);
        if (file.size !== null && totalBytes !== file.size) throw new NetworkError('E_MODEL_SOURCE', `${new URL(url).host} has ${totalBytes} bytes of ${file.name}, expected ${file.size}`);
        // Without a hash and a validator nothing says that two answers are of the same file.
        sources.push({ url, etag, size: totalBytes, ranges: partial && (file.sha256 !== null || etag !== null) });
      } catch (error) {
        if (signal.aborted) throw abortError(signal);
        failure = error;
      }
    }
    if (!(failure instanceof PassingError)) break;
  }
  const [first] = sources;
  if (first === undefined) throw failure;
  if (first.size > MAX_MODEL_BYTES || first.size === 0) throw new NetworkError('E_MODEL_SOURCE', `${file.name} has ${first.size} bytes, expected 1 to ${MAX_MODEL_BYTES}`);
  // Only a hash makes the bytes of several sources one file.
  const usable = file.sha256 === null ? [first] : sources.filter(({ ranges }) => ranges === first.ranges);
  return { size: first.size, ranges: first.ranges, sources: usable };
}

/** The segments that an earlier call has finished; none where the file is not the same, or cannot be gone on with. */
async function readState(file: RemoteFile, { size, sources, ranges }: Plan, { statePath, path, segmentBytes = SEGMENT_BYTES }: DownloadOptions): Promise<Set<number>> {
  try {
    const state = State.parse(JSON.parse(Buffer.from(await readBounded(statePath, MAX_STATE_BYTES)).toString('utf8')));
    const same = state.size === size && state.sha256 === file.sha256 && (file.sha256 !== null || (state.etag !== null && state.etag === sources[0]?.etag));
    const there = await open(path, 'r').then(async (handle) => handle.close().then(() => true), () => false);
    return same && ranges && there ? new Set(state.done.filter((segment) => segment * segmentBytes < size)) : new Set();
  } catch (error) {
    if (error instanceof NotFoundError || error instanceof z.ZodError || error instanceof SyntaxError) return new Set();
    throw error;
  }
}

async function requireSpace(size: number, there: number, { freeBytes }: DownloadOptions): Promise<void> {
  const [needed, free] = [Math.max(0, size - there), await freeBytes()];
  if (needed > free) throw new ConfigError('E_DISK_SPACE', `${needed} bytes are still to be written and the disk has ${free}`, { hint: `free ${needed - free} bytes, or use another disk with --home; nothing was written` });
}

function diskFull(error: unknown, path: string): unknown {
  const code = systemErrorCode(error);
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error;
  return new ConfigError('E_DISK_SPACE', `the disk is full (${code}) while writing ${path}`, { cause: error, hint: 'free space and run the same command again: it goes on with what is there' });
}

/** One download: workers that fetch segments, and a follower that hashes what is there without a gap. */
class Work {
  readonly #file: RemoteFile;
  readonly #plan: Plan;
  readonly #done: Set<number>;
  readonly #segmentBytes: number;
  readonly #handle: FileHandle;
  readonly #options: DownloadOptions;
  readonly #stop = new AbortController();
  readonly #open: number[];
  #bytes = 0;
  #wake: () => void = () => undefined;
  #saving: Promise<void> = Promise.resolve();
  #turn = 0;

  constructor(file: RemoteFile, plan: Plan, done: Set<number>, segmentBytes: number, handle: FileHandle, options: DownloadOptions) {
    this.#file = file;
    this.#plan = plan;
    this.#done = done;
    this.#segmentBytes = segmentBytes;
    this.#handle = handle;
    this.#options = options;
    this.#open = Array.from({ length: Math.ceil(plan.size / segmentBytes) }, (_unused, index) => index).filter((index) => !done.has(index));
    for (const segment of done) this.#bytes += this.#endOf(segment) - segment * segmentBytes;
  }

  #endOf(segment: number): number {
    return Math.min(this.#plan.size, (segment + 1) * this.#segmentBytes);
  }

  async run(): Promise<Downloaded> {
    const signal = AbortSignal.any([this.#options.signal, this.#stop.signal]);
    this.#options.onProgress?.(this.#bytes);
    const parts = [this.#follow(signal), ...Array.from({ length: Math.max(1, Math.min(this.#options.parallel, this.#open.length)) }, () => this.#fetchSegments(signal))];
    // The first failure ends the others; all have ended before the file is closed.
    let failure: { readonly error: unknown } | undefined;
    const settled = await Promise.allSettled(parts.map((part) => part.catch((error: unknown) => {
      failure ??= { error };
      this.#stop.abort(error);
      this.#wake();
      throw error;
    })));
    await this.#saving.catch(() => undefined);
    if (this.#options.signal.aborted) throw abortError(this.#options.signal);
    if (failure !== undefined) throw failure.error;
    const [hashed] = settled;
    if (hashed?.status !== 'fulfilled' || hashed.value === undefined) throw new RangeError('the file was not hashed');
    return hashed.value;
  }

  async #fetchSegments(signal: AbortSignal): Promise<undefined> {
    for (let segment = this.#open.shift(); segment !== undefined; segment = this.#open.shift()) {
      await this.#fetchSegment(segment, signal);
      await this.#handle.datasync();
      this.#done.add(segment);
      this.#wake();
      await this.#save();
    }
    return undefined;
  }

  async #fetchSegment(segment: number, signal: AbortSignal): Promise<void> {
    const { ranges } = this.#plan;
    const end = this.#endOf(segment);
    let position = segment * this.#segmentBytes;
    let failures = 0;
    while (position < end) {
      const source = this.#nextSource();
      const before = position;
      try {
        // Without ranges only a whole answer is one file: back to the start.
        if (!ranges && position > 0) {
          this.#count(-position);
          position = 0;
        }
        for await (const piece of this.#stream(source, position, end, signal)) {
          if (piece.byteLength > end - position) throw new ChangedError(`${new URL(source.url).host} sent more bytes than it announced`);
          await this.#write(piece, position);
          position += piece.byteLength;
          this.#count(piece.byteLength);
        }
        if (position < end) throw new PassingError('E_CLOSED', `${new URL(source.url).host} ended its answer early`);
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        failures = position > before && ranges ? 1 : failures + 1;
        await this.#afterFailure(error, source, failures, signal);
      }
    }
  }

  /** Waits, or leaves a source that cannot be used; throws what cannot be mended. */
  async #afterFailure(error: unknown, source: Source, failures: number, signal: AbortSignal): Promise<void> {
    if (error instanceof PassingError) {
      if (failures >= MAX_FAILURES) {
        throw new NetworkError(error.code === 'E_TIMEOUT' ? 'E_TIMEOUT' : 'E_UNREACHABLE', `${this.#file.name}: ${error.message}, ${failures} times in a row; ${this.#done.size * this.#segmentBytes} bytes are kept`, { cause: error, hint: 'run the same command again: it goes on with what is there' });
      }
      const { sleep = realSleep } = this.#options;
      await sleep(Math.min(MAX_WAIT_MS, error.waitMs ?? backoffMs(failures - 1, BACKOFF)), signal);
      return;
    }
    const { sources } = this.#plan;
    const index = sources.indexOf(source);
    const isSources = error instanceof CocoonError && this.#file.sha256 !== null;
    // Another worker may have left it already.
    if (isSources && index < 0 && sources.length > 0) return;
    if (!isSources || sources.length < 2) throw error;
    sources.splice(index, 1);
  }

  #nextSource(): Source {
    const { sources } = this.#plan;
    const source = sources[this.#turn % sources.length];
    if (source === undefined) throw new RangeError('there is no source');
    this.#turn += 1;
    return source;
  }

  async* #stream({ url, etag }: Source, start: number, end: number, signal: AbortSignal): AsyncGenerator<Uint8Array, void, void> {
    const { ranges, size } = this.#plan;
    const { partial, totalBytes, body } = await this.#options.fetcher.range({ url, start, end: end - 1, etag: ranges ? etag : null, hashKnown: this.#file.sha256 !== null }, signal);
    try {
      if (totalBytes !== size) throw new ChangedError(`${new URL(url).host} now has ${totalBytes ?? 'an unknown number of'} bytes, expected ${size}`);
      if (partial !== ranges && (ranges || start > 0)) throw new ChangedError(`${new URL(url).host} no longer answers ranges`);
      for await (const chunk of body) yield chunk as Uint8Array;
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (error instanceof NetworkError) throw error;
      throw new PassingError(/TIMEOUT/.test(systemErrorCode(error) ?? '') ? 'E_TIMEOUT' : 'E_CLOSED', `${new URL(url).host} broke off (${systemErrorCode(error) ?? 'connection lost'})`, { cause: error });
    } finally {
      body.on('error', () => undefined).destroy();
    }
  }

  async #write(piece: Uint8Array, position: number): Promise<void> {
    for (let length = 0; length < piece.byteLength;) {
      const { bytesWritten } = await this.#handle.write(piece, length, piece.byteLength - length, position + length);
      length += bytesWritten;
    }
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    this.#options.onProgress?.(this.#bytes);
  }

  /** Notes what is done; one write at a time, each with all that is known then. */
  #save(): Promise<void> {
    this.#saving = this.#saving.then(async () => {
      const { size, sources, ranges } = this.#plan;
      if (!ranges) return;
      await writeFileAtomic(this.#options.statePath, JSON.stringify({ version: 1, size, sha256: this.#file.sha256, etag: this.#file.sha256 === null ? sources[0]?.etag ?? null : null, done: [...this.#done].sort((a, b) => a - b) }));
    });
    return this.#saving;
  }

  /** Hashes leaf after leaf, as far as segments are there without a gap. */
  async #follow(signal: AbortSignal): Promise<Downloaded> {
    const { size } = this.#plan;
    const whole = createHash('sha256');
    const leaves = new Uint8Array(leafCount(size) * HASH_BYTES);
    const buffer = new Uint8Array(Math.min(LEAF_BYTES, size));
    for (let leaf = 0, at = 0; at < size; leaf += 1, at += LEAF_BYTES) {
      const bytes = buffer.subarray(0, Math.min(LEAF_BYTES, size - at));
      for (let segment = Math.floor(at / this.#segmentBytes); segment * this.#segmentBytes < at + bytes.byteLength; segment += 1) await this.#until(segment, signal);
      await readFully(this.#handle, bytes, at);
      const hashing = leafHash(bytes);
      whole.update(bytes);
      leaves.set(await hashing, leaf * HASH_BYTES);
    }
    return { size, sha256: toHex(whole.digest()), root: fileRoot(size, leaves) };
  }

  async #until(segment: number, signal: AbortSignal): Promise<void> {
    while (!this.#done.has(segment)) {
      if (signal.aborted) throw signal.reason;
      await new Promise<void>((resolve) => {
        this.#wake = resolve; // the follower is the only one that waits
        if (signal.aborted || this.#done.has(segment)) resolve();
      });
    }
  }
}
