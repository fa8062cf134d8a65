// The part of an operating system that evidence comes from, as a port: files and folders of Linux's configfs, sysfs and
// procfs. There is no ioctl in it: Node cannot make one without native code, so only interfaces made of files are used.
import { constants } from 'node:fs';
import { access, mkdir, open, rmdir } from 'node:fs/promises';
import { release } from 'node:os';
import type { SystemFiles } from '../../core/context.ts';
import { systemErrorCode } from '../../core/files.ts';

export type TeeKernel = SystemFiles;

const CHUNK_BYTES = 65_536;

/** The running system. On another system than Linux nothing exists. */
export const linuxKernel: TeeKernel = {
  async read(path, maxBytes) {
    // Sizes that these file systems state mean nothing: read to the end, with one byte more than allowed.
    const handle = await open(path, constants.O_RDONLY);
    try {
      const chunks: Uint8Array[] = [];
      let length = 0;
      for (;;) {
        const chunk = Buffer.alloc(Math.min(CHUNK_BYTES, maxBytes + 1 - length));
        const { bytesRead } = await handle.read(chunk, 0, chunk.byteLength, null);
        if (bytesRead === 0) return new Uint8Array(Buffer.concat(chunks, length));
        length += bytesRead;
        if (length > maxBytes) throw Object.assign(new Error(`${path} has more than ${maxBytes} bytes`), { code: 'EFBIG' });
        chunks.push(chunk.subarray(0, bytesRead));
      }
    } finally {
      await handle.close();
    }
  },

  async write(path, data) {
    const handle = await open(path, constants.O_WRONLY);
    try {
      const { bytesWritten } = await handle.write(data);
      if (bytesWritten !== data.byteLength) throw Object.assign(new Error(`${path} took ${bytesWritten} of ${data.byteLength} bytes`), { code: 'EIO' });
    } finally {
      await handle.close();
    }
  },

  async makeFolder(path) {
    await mkdir(path, { mode: 0o700 });
  },

  removeFolder: (path) => rmdir(path),

  async exists(path) {
    try {
      await access(path);
      return true;
    } catch (error) {
      const code = systemErrorCode(error);
      if (code === 'ENOENT' || code === 'ENOTDIR') return false;
      if (code === 'EACCES') return true;
      throw error;
    }
  },

  release,
};
