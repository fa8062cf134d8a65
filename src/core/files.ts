// Durable files: atomic writes that survive a crash at any instant, bounded reads, private folders.
// Refuses what is not a regular file, is larger than the caller's bound, or (for secrets) may be read by others.
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { link, mkdir, open, readdir, rename, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { ConfigError, NotFoundError } from './errors.ts';

const TEMP_SUFFIX = '.tmp';

export interface WriteOptions {
  /** Permission bits of the file, exactly (the umask does not apply). Default 0600. */
  readonly mode?: number;
  /** True: fail with `E_STATE` when the file exists, instead of replacing it. Default false. */
  readonly exclusive?: boolean;
  /** Called with the name of each step that has just been completed; for crash tests. */
  readonly onStep?: (step: WriteStep) => void;
}

export type WriteStep = 'temp-written' | 'renamed' | 'durable';

/** Error code of a failed system call (`ENOENT`), or undefined. */
export function systemErrorCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

function fileError(action: string, path: string, error: unknown): ConfigError | NotFoundError {
  const code = systemErrorCode(error);
  if (code === 'ENOENT') return new NotFoundError('E_NOT_FOUND', `cannot ${action} ${path}: no such file`, { cause: error });
  const reason = code ?? (error instanceof Error ? error.message : String(error));
  return new ConfigError('E_STATE', `cannot ${action} ${path}: ${reason}`, { cause: error });
}

/** Creates a folder and its parents with permission bits `mode` (default 0700); an existing folder is left as it is. */
export async function ensureFolder(path: string, mode = 0o700): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode });
  } catch (error) {
    throw fileError('create folder', path, error);
  }
}

/** Makes names that were created, replaced or removed in the folder survive a power loss. */
export async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY);
  try {
    await handle.sync();
  } catch (error) {
    // Some file systems know no fsync of a folder (EINVAL); they order renames themselves.
    if (systemErrorCode(error) !== 'EINVAL') throw error;
  } finally {
    await handle.close();
  }
}

/**
 * Writes `data` so that after a crash at any instant the path holds either the old content or all of the new one:
 * temporary file in the same folder, fsync, rename, fsync of the folder. Throws `E_STATE` or `E_NOT_FOUND` (no folder).
 */
export async function writeFileAtomic(path: string, data: string | Uint8Array, options: WriteOptions = {}): Promise<void> {
  const { mode = 0o600, exclusive = false, onStep } = options;
  const folder = dirname(path);
  const temp = join(folder, `.${basename(path)}.${randomBytes(6).toString('hex')}${TEMP_SUFFIX}`);
  try {
    const handle = await open(temp, 'wx', mode);
    try {
      await handle.chmod(mode);
      await handle.writeFile(data);
      await handle.sync();
    } finally {
      await handle.close();
    }
    onStep?.('temp-written');
    if (exclusive) {
      // link() fails when the name exists; rename() would replace it.
      await link(temp, path);
      await unlink(temp);
    } else {
      await rename(temp, path);
    }
    onStep?.('renamed');
    await syncFolder(folder);
    onStep?.('durable');
  } catch (error) {
    await unlink(temp).catch(() => undefined);
    if (exclusive && systemErrorCode(error) === 'EEXIST') {
      throw new ConfigError('E_STATE', `cannot create ${path}: the file exists already`, { cause: error });
    }
    throw fileError('write', path, error);
  }
}

/** Removes what interrupted `writeFileAtomic` calls left behind. Only under a lock that keeps other writers of the folder out. */
export async function removeLeftovers(folder: string): Promise<void> {
  for (const name of await listFolder(folder)) {
    if (name.startsWith('.') && name.endsWith(TEMP_SUFFIX)) await removeFile(join(folder, name));
  }
}

/** Names in a folder, sorted; empty when the folder does not exist. */
export async function listFolder(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).sort();
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return [];
    throw fileError('list', folder, error);
  }
}

/** Removes a file if it exists, durably. */
export async function removeFile(path: string): Promise<void> {
  try {
    await unlink(path);
    await syncFolder(dirname(path));
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw fileError('remove', path, error);
  }
}

export interface ReadOptions {
  /** True: refuse (`E_STATE`) a file that its group or others may read or write. For secrets. Default false. */
  readonly private?: boolean;
  /** Refuse (`E_STATE`) a file with any of these permission bits. Default: 0077 when `private`, else none. */
  readonly forbiddenMode?: number;
}

/** The whole content of a regular file of at most `maxBytes`. Throws `E_NOT_FOUND` or `E_STATE`. */
export async function readBounded(path: string, maxBytes: number, options: ReadOptions = {}): Promise<Uint8Array> {
  // O_NONBLOCK: opening a named pipe must not hang.
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: unknown) => {
    throw fileError('read', path, error);
  });
  try {
    const info = await handle.stat();
    if (!info.isFile()) throw new ConfigError('E_STATE', `cannot read ${path}: expected a regular file`);
    if ((info.mode & (options.forbiddenMode ?? (options.private === true ? 0o077 : 0))) !== 0) {
      const mode = (info.mode & 0o777).toString(8).padStart(4, '0');
      throw new ConfigError('E_STATE', `cannot read ${path}: its mode is ${mode}, expected 0600`, { hint: `chmod 600 ${path}` });
    }
    // One byte more than allowed is asked for: the size in `info` may be out of date.
    const buffer = Buffer.alloc(Math.min(info.size, maxBytes) + 1);
    let length = 0;
    while (length < buffer.byteLength) {
      const { bytesRead } = await handle.read(buffer, length, buffer.byteLength - length, null);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    if (info.size > maxBytes || length > maxBytes) {
      throw new ConfigError('E_STATE', `cannot read ${path}: larger than ${maxBytes} bytes`);
    }
    if (length > info.size) throw new ConfigError('E_STATE', `cannot read ${path}: it is being written to`);
    return buffer.subarray(0, length);
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw fileError('read', path, error);
  } finally {
    await handle.close();
  }
}

/** True when something exists at the path. */
export async function pathExists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return false;
    throw fileError('look at', path, error);
  }
}
