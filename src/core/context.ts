// What a command may know of the world outside: streams, environment, time and the signal that ends it.
// system.ts makes the real one; tests make their own.
import type { Readable } from 'node:stream';
import type { Clock } from './clock.ts';

/** Standard output or error: text in, and whether a person is looking. */
export interface OutputStream {
  readonly isTTY: boolean;
  /** Columns of the terminal, 80 when unknown. */
  readonly columns: number;
  /** Resolves when the stream wants more. */
  write(text: string): Promise<void>;
}

export interface InputStream {
  readonly isTTY: boolean;
  /** The stream itself; read by at most one consumer. */
  readonly source: Readable;
}

export interface Context {
  readonly version: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly homedir: string;
  readonly stdin: InputStream;
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  readonly clock: Clock;
  /** Aborted by SIGINT and SIGTERM; the reason is the InterruptedError that ends the command. */
  readonly signal: AbortSignal;
  /** How to start this very program again as another process: executable and leading arguments. */
  readonly self: { readonly command: string; readonly args: readonly string[] };
}
