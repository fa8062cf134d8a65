// A file as a source of bytes.
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { NotFoundError } from '../../core/errors.ts';
import type { ByteSource } from './gguf-header.ts';

/** Runs `work` with the file open. Throws NotFoundError where it cannot be opened or is no regular file. */
export async function withFileSource<T>(path: string, work: (source: ByteSource) => Promise<T>): Promise<T> {
  // O_NONBLOCK: opening a named pipe must not hang.
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((cause: unknown) => {
    throw new NotFoundError('E_NOT_FOUND', `cannot read the model file "${path}": ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  });
  try {
    if (!(await handle.stat()).isFile()) throw new NotFoundError('E_NOT_FOUND', `cannot read the model file "${path}": expected a regular file`);
    return await work({
      name: path,
      async read(offset, length) {
        const buffer = Buffer.alloc(length);
        let total = 0;
        while (total < length) {
          const { bytesRead } = await handle.read(buffer, total, length - total, offset + total);
          if (bytesRead === 0) break;
          total += bytesRead;
        }
        return buffer.subarray(0, total);
      },
    });
  } finally {
    await handle.close();
  }
}
