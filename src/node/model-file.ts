// The identity of a model file: the name that clients use, and the SHA-256 of its bytes, which ties the name to what is
// really served (WIRE.md section 10: `name@commit:hash`; a local file has no commit).
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { basename } from 'node:path';
import { NotFoundError, UsageError } from '../core/errors.ts';
import { toHex } from '../core/bytes.ts';

export interface ModelIdentity {
  /** Base name, as clients ask for it. */
  readonly name: string;
  /** `name@local:SHA-256`. */
  readonly fullName: string;
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$/;

/** Reads the whole file once. Throws NotFoundError without the file, UsageError for a name that the wire cannot carry. */
export async function modelIdentity(path: string, name: string | undefined, signal: AbortSignal): Promise<ModelIdentity> {
  const chosen = name ?? basename(path).replace(/\.gguf$/i, '');
  if (!NAME.test(chosen)) {
    throw new UsageError('E_USAGE', `cannot serve a model as "${chosen}": expected letters, digits, ".", "_", "-" and "/", at most 128`, { hint: 'choose a name with --name' });
  }
  const hash = createHash('sha256');
  try {
    for await (const chunk of createReadStream(path, { signal, highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  } catch (cause) {
    signal.throwIfAborted();
    throw new NotFoundError('E_NOT_FOUND', `cannot read the model file "${path}": ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
  return { name: chosen, fullName: `${chosen}@local:${toHex(hash.digest())}` };
}
