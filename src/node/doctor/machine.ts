// The machine that is examined, as a port: files, folders, links and tools that only read. Tests give a recorded tree instead.
// Everything is bounded; what may not be read is told apart from what is not there.
import { constants } from 'node:fs';
import { open, readdir, readlink, statfs } from 'node:fs/promises';
import { release } from 'node:os';
import { basename, join } from 'node:path';
import { CocoonError } from '../../core/errors.ts';
import { systemErrorCode } from '../../core/files.ts';
import { runTool } from '../../tee/collect/run-tool.ts';

/** What became of reading a file. `denied`: it is there, and this user may not read it. */
export type Reading = { readonly kind: 'text'; readonly text: string } | { readonly kind: 'absent' } | { readonly kind: 'denied' };

export interface ToolText {
  /** Null when a signal ended the tool. */
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Machine {
  /** The start of a file, at most 1 MiB. */
  read(path: string): Promise<Reading>;
  /** Names in a folder, sorted; empty where there is none. */
  list(path: string): Promise<string[]>;
  /** Last part of where a symbolic link leads; null where there is none. */
  link(path: string): Promise<string | null>;
  exists(path: string): Promise<boolean>;
  /** Null: there is no such program. One that did not end in time has no exit code, and says so in `stderr`. */
  run(tool: string, args: readonly string[]): Promise<ToolText | null>;
  /** Of the file system that holds `path` or the nearest folder above it. */
  disk(path: string): Promise<{ readonly freeBytes: number; readonly totalBytes: number } | null>;
  /** Version of the running kernel. */
  release(): string;
  /** `linux`, `darwin`, … */
  readonly platform: string;
  readonly nodeVersion: string;
  /** True when this process may read and do everything. */
  readonly isRoot: boolean;
}

const MAX_FILE_BYTES = 1 << 20;
const MAX_TOOL_BYTES = 4 << 20;
const TOOL_TIMEOUT_MS = 6_000;
const CHUNK_BYTES = 65_536;

export function realMachine(signal: AbortSignal): Machine {
  return {
    read: readStart,
    async list(path) {
      try {
        return (await readdir(path)).sort();
      } catch {
        return [];
      }
    },
    async link(path) {
      try {
        return basename(await readlink(path));
      } catch {
        return null;
      }
    },
    exists: async (path) => (await readStart(path, 0)).kind !== 'absent',
    async run(tool, args) {
      try {
        const output = await runTool(tool, args, { timeoutMs: TOOL_TIMEOUT_MS, maxBytes: MAX_TOOL_BYTES, signal });
        return output === null ? null : { exitCode: output.exitCode, stdout: Buffer.from(output.stdout).toString('utf8'), stderr: output.stderr };
      } catch (error) {
        if (signal.aborted || !(error instanceof CocoonError)) throw error;
        return { exitCode: null, stdout: '', stderr: error.message };
      }
    },
    async disk(path) {
      for (let folder = path; ; folder = join(folder, '..')) {
        try {
          const { bavail, blocks, bsize } = await statfs(folder);
          return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
        } catch {
          if (folder === '/') return null;
        }
      }
    },
    release,
    platform: process.platform,
    nodeVersion: process.versions.node,
    isRoot: process.getuid?.() === 0,
  };
}

async function readStart(path: string, maxBytes = MAX_FILE_BYTES): Promise<Reading> {
  let handle;
  try {
    // O_NONBLOCK: devices and pipes must not hang.
    handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const chunks: Buffer[] = [];
    for (let length = 0; length < maxBytes;) {
      const chunk = Buffer.alloc(Math.min(CHUNK_BYTES, maxBytes - length));
      const { bytesRead } = await handle.read(chunk, 0, chunk.byteLength, null);
      if (bytesRead === 0) break;
      chunks.push(chunk.subarray(0, bytesRead));
      length += bytesRead;
    }
    return { kind: 'text', text: Buffer.concat(chunks).toString('utf8') };
  } catch (error) {
    const code = systemErrorCode(error);
    return { kind: code === 'ENOENT' || code === 'ENOTDIR' ? 'absent' : 'denied' };
  } finally {
    await handle?.close().catch(() => undefined);
  }
}
