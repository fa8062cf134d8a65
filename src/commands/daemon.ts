// The life of a role that runs on: say that it is starting, start it, say that it is ready, wait for a signal or its end,
// close it. Its record under the home directory tells other commands where it is; its log, where that is its own, is kept in bounds.
import { dirname, join, resolve } from 'node:path';
import { abortError } from '../core/deadline.ts';
import { asCocoonError, ConfigError } from '../core/errors.ts';
import { ensureFolder } from '../core/files.ts';
import { withLock } from '../core/lock.ts';
import { isAlive, readDaemonRecord, removeDaemonRecord, writeDaemonRecord } from '../core/daemon-record.ts';
import { logOf } from '../core/daemon-process.ts';
import { boundLog } from '../core/log-file.ts';
import { openLog } from '../core/pino-log.ts';
import type { Clock } from '../core/clock.ts';
import type { CocoonError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { DaemonState } from '../core/daemon-record.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

export interface RunningRole {
  /** What the ready line and the record tell: addresses, model. */
  readonly facts: Readonly<Record<string, string>>;
  /** Resolves with an error when the role cannot go on by itself, with null when it was told to end. */
  readonly ended: Promise<CocoonError | null>;
  /** Calls `changed` each time the role loses what it depends on (false) or has it again (true). */
  watch?(changed: (ready: boolean) => void): void;
  close(): Promise<void>;
}

export function declareDaemon(command: Command): void {
  command.option('--run-file <file>', 'where this process says that it runs (default: run/ROLE.json in the home directory)');
}

/** Where a daemon of this role says that it runs. */
export const recordPath = ({ settings, context, options }: Pick<Invocation, 'settings' | 'context' | 'options'>, role: string): string =>
  typeof options['runFile'] === 'string' ? resolve(context.cwd, options['runFile']) : join(settings.home, 'run', `${role}.json`);

/** How long to wait for another process that is claiming the same record. */
const CLAIM_MS = 5_000;

/** Runs until a signal or until the role ends. Throws what ended it: the signal's error, or the role's. */
export async function runDaemon(role: string, invocation: Invocation, start: (log: Log) => Promise<RunningRole>): Promise<void> {
  const { settings, context, out } = invocation;
  const { signal } = context;
  const path = recordPath(invocation, role);
  const record = daemonRecord(path, role, context.clock);
  await record.claim(signal);
  const log = await openLog(context.stderr, settings.boolean('verbose') ? 'debug' : settings.boolean('quiet') ? 'warn' : 'info');
  const unbound = boundLog(logOf(path), (error) => log.warn('the log could not be put away', { reason: String(error) }));
  let running: RunningRole | undefined;
  try {
    running = await start(log);
    const { facts } = running;
    await record.tell('ready', facts);
    running.watch?.((ready) => {
      record.tell(ready ? 'ready' : 'connecting', facts).catch((error: unknown) => log.warn('cannot write the daemon record', { error: String(error) }));
    });
    await out.event({ event: 'ready', role, ...facts });
    await out.line(`${role} ready ${Object.entries(facts).map(([name, value]) => `${name}=${value}`).join(' ')}`);
    const error = await untilAborted(running.ended, signal);
    if (error !== null) throw error;
  } catch (error) {
    await record.tell('failed', { error: asCocoonError(error).message.slice(0, 1_000) }).catch(() => {}); // the error itself is what matters
    throw error;
  } finally {
    try {
      await running?.close();
    } finally {
      await record.release();
      unbound();
    }
  }
}

interface OwnRecord {
  /** Throws ConfigError when another process runs under this record. */
  claim(signal: AbortSignal): Promise<void>;
  /** In the order of the calls. */
  tell(state: DaemonState, facts: Readonly<Record<string, string>>): Promise<void>;
  /** Removes the record and writes nothing more. */
  release(): Promise<void>;
}

function daemonRecord(path: string, role: string, clock: Clock): OwnRecord {
  let last: Promise<void> = Promise.resolve();
  let released = false;
  const tell: OwnRecord['tell'] = (state, facts) => {
    const write = async (): Promise<void> => {
      if (!released) await writeDaemonRecord(path, { role, state, sinceMs: clock.now(), facts });
    };
    last = last.then(write, write);
    return last;
  };
  return {
    tell,
    async claim(signal) {
      await ensureFolder(dirname(path));
      await withLock(path, async () => {
        const other = await readDaemonRecord(path);
        if (other !== null && isAlive(other)) {
          throw new ConfigError('E_STATE', `a ${role} runs already as process ${other.pid}`, { hint: 'stop it first, or give this one another --run-file' });
        }
        await tell('starting', {});
      }, { timeoutMs: CLAIM_MS, signal });
    },
    async release() {
      released = true;
      await last.catch(() => {});
      await removeDaemonRecord(path);
    },
  };
}

/** What `ended` resolves with, or the signal's error when it is aborted first. */
async function untilAborted(ended: Promise<CocoonError | null>, signal: AbortSignal): Promise<CocoonError | null> {
  let stop: () => void = () => {};
  const aborted = new Promise<CocoonError>((resolve) => {
    stop = () => resolve(abortError(signal));
  });
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  try {
    return await Promise.race([ended, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
