// Runs a program and takes its output: a port and its real implementation. No shell, a limit on bytes and time, and the
// program is killed when either is exceeded.
import { spawn } from 'node:child_process';
import { deferred } from '../../core/deferred.ts';
import { abortError } from '../../core/deadline.ts';
import { systemErrorCode } from '../../core/files.ts';
import { collectFailed } from './failure.ts';

export interface ToolLimits {
  readonly timeoutMs: number;
  /** Of standard output; of standard error the beginning is kept. */
  readonly maxBytes: number;
  readonly signal?: AbortSignal | undefined;
}

export interface ToolOutput {
  /** Null when a signal ended the program. */
  readonly exitCode: number | null;
  readonly stdout: Uint8Array;
  /** The first 4 KiB. */
  readonly stderr: string;
}

/** Null: there is no such program. Rejects with E_COLLECT when it exceeds a limit or cannot be started. */
export type RunTool = (file: string, args: readonly string[], limits: ToolLimits) => Promise<ToolOutput | null>;

const MAX_STDERR_BYTES = 4096;

export const runTool: RunTool = async (file, args, { timeoutMs, maxBytes, signal }) => {
  if (signal?.aborted === true) throw abortError(signal);
  const child = spawn(file, [...args], { stdio: ['ignore', 'pipe', 'pipe'], shell: false });
  const done = deferred<ToolOutput | null>();
  const stop = (error: unknown): void => {
    done.reject(error);
    child.kill('SIGKILL');
    // A grandchild may hold the pipes open for ever.
    child.stdout.destroy();
    child.stderr.destroy();
  };
  const chunks: Uint8Array[] = [];
  let length = 0;
  let stderr = '';
  child.stdout.on('data', (chunk: Uint8Array) => {
    length += chunk.byteLength;
    if (length > maxBytes) stop(collectFailed(`${file} printed more than ${maxBytes} bytes`));
    else chunks.push(chunk);
  });
  child.stderr.on('data', (chunk: Uint8Array) => {
    if (stderr.length < MAX_STDERR_BYTES) stderr = (stderr + Buffer.from(chunk).toString('latin1')).slice(0, MAX_STDERR_BYTES);
  });
  child.on('error', (error) => {
    if (systemErrorCode(error) === 'ENOENT') done.resolve(null);
    else stop(collectFailed(`${file} cannot be started: ${systemErrorCode(error) ?? error.message}`, { cause: error }));
  });
  child.on('close', (exitCode) => done.resolve({ exitCode, stdout: Buffer.concat(chunks), stderr }));
  const timer = setTimeout(() => stop(collectFailed(`${file} did not finish within ${timeoutMs} ms`)), timeoutMs);
  const onAbort = (): void => {
    if (signal !== undefined) stop(abortError(signal));
  };
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    return await done.promise;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  }
};
