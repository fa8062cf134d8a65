// Composition root: the only file that touches the process itself. Makes the real streams, clock and signals.
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { fileURLToPath } from 'node:url';
import type * as Inquirer from '@inquirer/prompts';
import { systemClock } from './core/clock.ts';
import { abortError } from './core/deadline.ts';
import { InterruptedError } from './core/errors.ts';
import type { Context, OutputStream, Prompts } from './core/context.ts';

function packageVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  return manifest !== null && typeof manifest === 'object' && 'version' in manifest ? String(manifest.version) : 'unknown';
}

function outputStream(stream: NodeJS.WriteStream, closed: (reason: InterruptedError) => void): OutputStream {
  // A reader that went away (`cocoon … | head -1`) ends the command like an interrupt, without a stack trace.
  stream.on('error', () => closed(new InterruptedError('E_INTERRUPTED', 'the reader of the output went away')));
  return {
    isTTY: stream.isTTY === true,
    columns: stream.columns ?? 80,
    write: (text) => new Promise((resolve) => { stream.write(text, () => resolve()); }),
  };
}

/**
 * Calls `first` at the first signal; the second one ends the process. The listener stays: libraries that restore the terminal
 * kill the process at once when they find that nobody else listens any more.
 */
function onSignal(signal: NodeJS.Signals, first: () => void): void {
  let seen = false;
  process.on(signal, () => {
    if (!seen) {
      seen = true;
      first();
      return;
    }
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

function onHangup(listener: () => void): () => void {
  if (process.stdin.isTTY === true || process.stderr.isTTY === true) return () => undefined;
  process.on('SIGHUP', listener);
  return () => process.off('SIGHUP', listener);
}

/** Prompts on stderr, so that stdout stays data. Null unless a person can see the question and type the answer. */
function terminalPrompts(signal: AbortSignal): Prompts | null {
  if (process.stdin.isTTY !== true || process.stderr.isTTY !== true) return null;
  const options = { output: process.stderr, signal, clearPromptOnDone: false };
  const ask = async <T>(question: (prompts: typeof Inquirer) => Promise<T>): Promise<T> => {
    try {
      return await question(await import('@inquirer/prompts'));
    } catch (error) {
      // Ctrl-C reaches the prompt as a key, not as a signal.
      throw signal.aborted ? abortError(signal) : new InterruptedError('E_INTERRUPTED', 'interrupted', { cause: error });
    }
  };
  return {
    secret: (message) => ask(({ password }) => password({ message, mask: false }, options)),
    confirm: (message) => ask(({ confirm }) => confirm({ message, default: false }, options)),
  };
}

/** The context of the running process. SIGINT and SIGTERM abort its signal once; a second one ends the process at once. */
export function realContext(): Context {
  const controller = new AbortController();
  const end = (reason: InterruptedError): void => controller.abort(reason);
  onSignal('SIGINT', () => end(new InterruptedError('E_INTERRUPTED', 'interrupted')));
  onSignal('SIGTERM', () => end(new InterruptedError('E_TERMINATED', 'terminated')));
  return {
    version: packageVersion(),
    env: process.env,
    cwd: process.cwd(),
    homedir: homedir(),
    stdin: { isTTY: process.stdin.isTTY === true, source: process.stdin },
    stdout: outputStream(process.stdout, end),
    stderr: outputStream(process.stderr, end),
    prompts: terminalPrompts(controller.signal),
    clock: systemClock,
    signal: controller.signal,
    onHangup,
    self: { command: process.execPath, args: [fileURLToPath(new URL('../bin/cocoon', import.meta.url))] },
  };
}
