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

/** Questions to the person at the terminal. */
export interface Prompts {
  /** A line that is not shown while it is typed. Rejects with the InterruptedError of the signal when it is given up. */
  secret(question: string): Promise<string>;
  /** Yes or no; no is what a bare return means. */
  confirm(question: string): Promise<boolean>;
}

/**
 * Files and folders of the running system that attestation evidence comes from. Every failure is an Error whose `code` is that
 * of the system call (`EBUSY`); `EFBIG` for a file that is larger than allowed.
 */
export interface SystemFiles {
  /** The whole content of a file, at most `maxBytes`. May block until hardware has answered. */
  read(path: string, maxBytes: number): Promise<Uint8Array>;
  /** One write of all bytes; binary attributes of configfs take effect when the file is closed. */
  write(path: string, data: Uint8Array): Promise<void>;
  makeFolder(path: string): Promise<void>;
  removeFolder(path: string): Promise<void>;
  exists(path: string): Promise<boolean>;
  /** Version of the running kernel, as `6.8.0-45-generic`. */
  release(): string;
}

export interface Context {
  readonly version: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly homedir: string;
  readonly stdin: InputStream;
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  /** Null without a terminal: then nothing may ask. */
  readonly prompts: Prompts | null;
  /** For tests: cheaper scrypt in the keystore. system.ts never sets it, so no configuration leads here. */
  readonly weakKdf?: { readonly n: number; readonly allowWeakKdf: true };
  readonly clock: Clock;
  /** Aborted by SIGINT and SIGTERM; the reason is the InterruptedError that ends the command. */
  readonly signal: AbortSignal;
  /**
   * Calls `listener` at each SIGHUP, which otherwise ends the process; returns how to stop. Where a terminal is attached the signal
   * says that it is gone, and goes on to end the process. Absent: there are no such signals.
   */
  readonly onHangup?: (listener: () => void) => () => void;
  /** For tests: a system that is a TEE or none. Absent: the running one. */
  readonly systemFiles?: SystemFiles;
  /** How to start this very program again as another process: executable and leading arguments. */
  readonly self: { readonly command: string; readonly args: readonly string[] };
}
