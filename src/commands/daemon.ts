// The life of a role that runs on: say that it is starting, start it, say that it is ready, wait for a signal or its end,
// close it. Its record under the home directory tells other commands where it is.
import { dirname, join, resolve } from 'node:path';
import { asCocoonError, ConfigError } from '../core/errors.ts';
import { ensureFolder } from '../core/files.ts';
import { isAlive, readDaemonRecord, removeDaemonRecord, writeDaemonRecord } from '../core/daemon-record.ts';
import { openLog } from '../core/pino-log.ts';
import type { CocoonError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { DaemonState } from '../core/daemon-record.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

export interface RunningRole {
  /** What the ready line and the record tell: addresses, model. */
  readonly facts: Readonly<Record<string, string>>;
  /** Resolves with an error when the role cannot go on by itself. */
  readonly ended: Promise<CocoonError | null>;
  close(): Promise<void>;
}

export function declareDaemon(command: Command): void {
  command.option('--run-file <file>', 'where this process says that it runs (default: run/ROLE.json in the home directory)');
}

/** Runs until a signal or until the role ends. Throws what ended it: the signal's error, or the role's. */
export async function runDaemon(role: string, invocation: Invocation, start: (log: Log) => Promise<RunningRole>): Promise<void> {
  const { settings, context, options, out } = invocation;
  const path = typeof options['runFile'] === 'string' ? resolve(context.cwd, options['runFile']) : join(settings.home, 'run', `${role}.json`);
  const other = await readDaemonRecord(path);
  if (other !== null && await isAlive(other)) {
    throw new ConfigError('E_STATE', `a ${role} runs already as process ${other.pid}`, { hint: `stop it first, or give this one another --run-file` });
  }
  await ensureFolder(dirname(path));
  const log = await openLog(context.stderr, settings.boolean('verbose') ? 'debug' : settings.boolean('quiet') ? 'warn' : 'info');
  const tell = (state: DaemonState, facts: Record<string, string>): Promise<void> => writeDaemonRecord(path, { role, state, sinceMs: context.clock.now(), facts });

  await tell('starting', {});
  let running: RunningRole | undefined;
  try {
    running = await start(log);
    await tell('ready', { ...running.facts });
    await out.event({ event: 'ready', role, ...running.facts });
    await out.line(`${role} ready ${Object.entries(running.facts).map(([name, value]) => `${name}=${value}`).join(' ')}`);
    const error = await Promise.race([running.ended, aborted(context.signal)]);
    if (error !== null) throw error;
  } catch (error) {
    await tell('failed', { error: asCocoonError(error).message }).catch(() => {});
    throw error;
  } finally {
    await running?.close();
    await removeDaemonRecord(path);
  }
}

const aborted = (signal: AbortSignal): Promise<CocoonError> => new Promise((resolve) => {
  const end = (): void => resolve(asCocoonError(signal.reason));
  if (signal.aborted) end();
  else signal.addEventListener('abort', end, { once: true });
});
