// A context without a process: captured streams, given input, its own home directory and signal.
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../src/core/clock.ts';
import type { Context, OutputStream } from '../../src/core/context.ts';

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
}

const capture = (): { stream: OutputStream; text: () => string } => {
  let text = '';
  return { stream: { isTTY: false, columns: 100, write: async (part) => { text += part; } }, text: () => text };
};

export function fakeContext({ home, env = {}, stdin = '', stdinIsTTY = false }: FakeContextOptions): Captured {
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
      clock: systemClock,
      signal: controller.signal,
      self: { command: process.execPath, args: [fileURLToPath(new URL('../../bin/cocoon', import.meta.url))] },
    },
    stdout: out.text,
    stderr: err.text,
    abort: (reason) => controller.abort(reason),
  };
}
