// The identity of a model file: the name that clients use, and the SHA-256 of its bytes, which ties the name to what is
// really served (WIRE.md section 10: `name@commit:hash`; a local file has no commit).
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { basename } from 'node:path';
import { abortError } from '../core/deadline.ts';
import { NotFoundError, UsageError } from '../core/errors.ts';
import { toHex } from '../core/bytes.ts';

export interface ModelIdentity {
  /** Base name, as clients ask for it. */
  readonly name: string;
  /** `name@local:SHA-256`. */
  readonly fullName: string;
}

/** Read at once; the signal is looked at in between. */
const READ_BYTES = 1 << 20;

const NAME = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$/;

/**
 * Reads the whole file once. Throws NotFoundError without a regular file at `path`, UsageError for a name that the wire
 * cannot carry, the signal's reason.
 */
export async function modelIdentity(path: string, name: string | undefined, signal: AbortSignal): Promise<ModelIdentity> {
  const chosen = name ?? basename(path).replace(/\.gguf$/i, '');
  if (!NAME.test(chosen)) {
    throw new UsageError('E_USAGE', `cannot serve a model as "${chosen}": expected letters, digits, ".", "_", "-" and "/", at most 128`, { hint: 'choose a name with --name' });
  }
  try {
    return { name: chosen, fullName: `${chosen}@local:${toHex(await hashFile(path, signal))}` };
  } catch (cause) {
    if (signal.aborted) throw abortError(signal);
    throw new NotFoundError('E_NOT_FOUND', `cannot read the model file "${path}": ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

async function hashFile(path: string, signal: AbortSignal): Promise<Uint8Array> {
  // O_NONBLOCK: opening a named pipe must not hang.
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    if (!(await handle.stat()).isFile()) throw new Error('expected a regular file');
    const hash = createHash('sha256');
    const buffer = Buffer.alloc(READ_BYTES);
    for (;;) {
      if (signal.aborted) throw abortError(signal);
      const { bytesRead } = await handle.read(buffer, 0, READ_BYTES, null);
      if (bytesRead === 0) return hash.digest();
      hash.update(buffer.subarray(0, bytesRead));
    }
  } finally {
    await handle.close();
  }
}
