// SHA-256 of a whole file, as repositories state it and as `sha256sum` prints it: read once, in order, with the signal looked at
// in between. Refuses what is no regular file.
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { abortError } from '../../core/deadline.ts';

const READ_BYTES = 1 << 20;

export interface FileHashOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (bytes: number) => void;
}

/** 32 bytes. Rejects with the system's error, Error for what is no regular file, the signal's reason. */
export async function sha256File(path: string, { signal, onProgress }: FileHashOptions = {}): Promise<Uint8Array> {
  // O_NONBLOCK: opening a named pipe must not hang.
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    if (!(await handle.stat()).isFile()) throw new Error('expected a regular file');
    const hash = createHash('sha256');
    const buffer = Buffer.alloc(READ_BYTES);
    for (let total = 0; ;) {
      if (signal?.aborted === true) throw abortError(signal);
      const { bytesRead } = await handle.read(buffer, 0, READ_BYTES, null);
      if (bytesRead === 0) return new Uint8Array(hash.digest());
      hash.update(buffer.subarray(0, bytesRead));
      total += bytesRead;
      onProgress?.(total);
    }
  } finally {
    await handle.close();
  }
}
