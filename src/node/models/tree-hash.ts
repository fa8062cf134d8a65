// The tree hash of a model: SHA-256 over the SHA-256 of every 4 MiB of its files, so that many cores check it at once and a load
// is not slowed down. Two levels only; the size is part of the root, so that no two files have the same sequence of inputs.
//   leaf(i) = SHA-256(bytes i·4 MiB …)
//   file    = SHA-256("cocoon-model-file-1\n" ‖ u64le size ‖ leaf(0) ‖ leaf(1) …)
//   model   = file, or of several files SHA-256("cocoon-model-set-1\n" ‖ u32le count ‖ file(0) ‖ file(1) …)
import { createHash, webcrypto } from 'node:crypto';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { abortError } from '../../core/deadline.ts';
import type { FileHandle } from 'node:fs/promises';

export const LEAF_BYTES = 4 * 1024 * 1024;
const HASH_BYTES = 32;
const FILE_TAG = 'cocoon-model-file-1\n';
const SET_TAG = 'cocoon-model-set-1\n';
/** Leaves under way at a time: as many as Node's thread pool has threads. */
const DEFAULT_PARALLEL = 4;
/** 2 TiB: 16 MiB of leaf hashes. */
export const MAX_MODEL_BYTES = 2 ** 41;

export const leafCount = (size: number): number => Math.ceil(size / LEAF_BYTES);

/** SHA-256 of one leaf, 32 bytes, computed in Node's thread pool. */
export async function leafHash(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  return new Uint8Array(await webcrypto.subtle.digest('SHA-256', bytes));
}

/** The root of a file of `size` bytes whose leaves have these hashes, 32 bytes each, one after the other. */
export function fileRoot(size: number, leaves: Uint8Array): Uint8Array {
  if (leaves.byteLength !== leafCount(size) * HASH_BYTES) throw new RangeError(`expected ${leafCount(size)} hashes for ${size} bytes, got ${leaves.byteLength / HASH_BYTES}`);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(size));
  return new Uint8Array(createHash('sha256').update(FILE_TAG).update(length).update(leaves).digest());
}

/** The root of a model of these files, in the order in which the engine reads them. Throws RangeError without a file. */
export function modelRoot(fileRoots: readonly Uint8Array[]): Uint8Array {
  const [only] = fileRoots;
  if (only === undefined) throw new RangeError('expected at least one file');
  if (fileRoots.length === 1) return only;
  const count = Buffer.alloc(4);
  count.writeUInt32LE(fileRoots.length);
  const hash = createHash('sha256').update(SET_TAG).update(count);
  for (const root of fileRoots) hash.update(root);
  return new Uint8Array(hash.digest());
}

export interface TreeOptions {
  readonly signal?: AbortSignal | undefined;
  /** Leaves under way at a time. Default 4. */
  readonly parallel?: number;
  /** Told how many bytes have been hashed so far. */
  readonly onProgress?: (bytes: number) => void;
}

/**
 * The root of a regular file, read once. Rejects with the system's error, with Error where it is no regular file or changes while
 * it is read, and with the signal's reason.
 */
export async function hashFileTree(path: string, options: TreeOptions = {}): Promise<{ readonly size: number; readonly root: Uint8Array }> {
  // O_NONBLOCK: opening a named pipe must not hang.
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const info = await handle.stat();
    if (!info.isFile()) throw new Error('expected a regular file');
    if (info.size > MAX_MODEL_BYTES) throw new Error(`the file has ${info.size} bytes, expected at most ${MAX_MODEL_BYTES}`);
    const leaves = await hashLeaves(handle, info.size, options);
    if ((await handle.stat()).size !== info.size) throw new Error('the file is being written to');
    return { size: info.size, root: fileRoot(info.size, leaves) };
  } finally {
    await handle.close();
  }
}

async function hashLeaves(handle: FileHandle, size: number, { signal, parallel = DEFAULT_PARALLEL, onProgress }: TreeOptions): Promise<Uint8Array> {
  const count = leafCount(size);
  const leaves = new Uint8Array(count * HASH_BYTES);
  let next = 0;
  let done = 0;
  let failed = false;
  const work = async (): Promise<void> => {
    const buffer = new Uint8Array(Math.min(LEAF_BYTES, size));
    while (next < count && !failed) {
      if (signal?.aborted === true) throw abortError(signal);
      const index = next;
      next += 1;
      const leaf = buffer.subarray(0, Math.min(LEAF_BYTES, size - index * LEAF_BYTES));
      await readFully(handle, leaf, index * LEAF_BYTES);
      leaves.set(await leafHash(leaf), index * HASH_BYTES);
      done += leaf.byteLength;
      onProgress?.(done);
    }
  };
  // All workers have ended before the file is closed.
  const settled = await Promise.allSettled(Array.from({ length: Math.max(1, Math.min(parallel, count)) }, () => work().catch((error: unknown) => {
    failed = true;
    throw error;
  })));
  for (const result of settled) if (result.status === 'rejected') throw result.reason;
  return leaves;
}

/** Fills `buffer` from `position`. Throws where the file ends before. */
export async function readFully(handle: FileHandle, buffer: Uint8Array, position: number): Promise<void> {
  for (let length = 0; length < buffer.byteLength;) {
    const { bytesRead } = await handle.read(buffer, length, buffer.byteLength - length, position + length);
    if (bytesRead === 0) throw new Error('the file is shorter than it was');
    length += bytesRead;
  }
}
