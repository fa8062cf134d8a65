// A context without a process: captured streams, given input, its own home directory and signal.
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../src/core/clock.ts';
import type { Context, OutputStream, Prompts } from '../../src/core/context.ts';

export interface Captured {
  readonly context: Context;
  stdout(): string;
  stderr(): string;
  /** Ends the command as SIGINT or SIGTERM would. */
  abort(reason: Error): void;
}

export interface FakeContextOptions {
  readonly home: string;
  readonly env?: Record<string, string>;
  readonly stdin?: string;
  readonly stdinIsTTY?: boolean;
  /** Answers of the person at the terminal; absent: there is none. */
  readonly prompts?: Prompts;
  /** How to start the program again; default: the built one. */
  readonly self?: Context['self'];
}

const capture = (): { stream: OutputStream; text: () => string } => {
  let text = '';
  return { stream: { isTTY: false, columns: 100, write: async (part) => { text += part; } }, text: () => text };
};

export function fakeContext({ home, env = {}, stdin = '', stdinIsTTY = false, prompts, self }: FakeContextOptions): Captured {
  const out = capture();
  const err = capture();
  const controller = new AbortController();
  return {
    context: {
      version: '0.0.0-test',
      env: { COCOON_HOME: home, ...env },
      cwd: home,
      homedir: home,
      stdin: { isTTY: stdinIsTTY, source: Readable.from(stdin === '' ? [] : [Buffer.from(stdin)]) },
      stdout: out.stream,
      stderr: err.stream,
      prompts: prompts ?? null,
      // Scrypt at its real cost is tested with the keystore; here it would only take time.
      weakKdf: { n: 2 ** 10, allowWeakKdf: true },
      clock: systemClock,
      signal: controller.signal,
      self: self ?? { command: process.execPath, args: [fileURLToPath(new URL('../../bin/cocoon', import.meta.url))] },
    },
    stdout: out.text,
    stderr: err.text,
    abort: (reason) => controller.abort(reason),
  };
}
