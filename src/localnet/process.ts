// One daemon of a local network as a process of its own: start it, wait until its record says ready, stop it.
import { spawn } from 'node:child_process';
import { open, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { isAlive, readDaemonRecord, removeDaemonRecord } from '../core/daemon-record.ts';
import { DaemonError } from '../core/errors.ts';
import type { DaemonRecord } from '../core/daemon-record.ts';
import type { LocalRole, LocalnetLayout } from './layout.ts';

const POLL_MS = 25;
/** How long a daemon may take to finish what it is doing before it is killed. */
const STOP_MS = 10_000;
const LOG_TAIL_BYTES = 2_048;

export interface Program {
  readonly command: string;
  readonly args: readonly string[];
}

/** The record of a daemon that runs now, or null. A record of a dead process is removed. */
export async function runningRecord(layout: LocalnetLayout, role: LocalRole): Promise<DaemonRecord | null> {
  const record = await readDaemonRecord(layout.record(role));
  if (record === null) return null;
  if (await isAlive(record)) return record;
  await removeDaemonRecord(layout.record(role));
  return null;
}

async function logTail(path: string): Promise<string> {
  const text = await readFile(path, 'utf8').catch(() => '');
  return text.slice(-LOG_TAIL_BYTES).trim().split('\n').slice(-3).join(' | ');
}

/** Starts a daemon in a process group of its own and waits until it is ready. Throws DaemonError with the end of its log. */
export async function startDaemon(layout: LocalnetLayout, role: LocalRole, program: Program, options: { timeoutMs: number; signal: AbortSignal }): Promise<DaemonRecord> {
  const log = await open(layout.log(role), 'a', 0o600);
  // Its own group: Ctrl-C in the terminal reaches the starter, which stops the daemons in order.
  const child = spawn(program.command, [...program.args], { detached: true, stdio: ['ignore', log.fd, log.fd] });
  let exited: string | null = null;
  child.once('error', (error) => { exited = error.message; });
  child.once('exit', (code, signal) => { exited = signal ?? `exit code ${code}`; });
  child.unref();
  await log.close();

  const deadline = performance.now() + options.timeoutMs;
  try {
    for (;;) {
      options.signal.throwIfAborted();
      const record = await readDaemonRecord(layout.record(role));
      if (record !== null && record.pid === child.pid && record.state === 'ready') return record;
      if (exited !== null || record?.pid === child.pid && record?.state === 'failed') {
        throw new DaemonError('E_NOT_RUNNING', `the ${role} of the local network did not start (${exited ?? record?.facts['error'] ?? 'failed'}): ${await logTail(layout.log(role))}`, { hint: `its log is ${layout.log(role)}` });
      }
      if (performance.now() > deadline) {
        throw new DaemonError('E_NOT_RUNNING', `the ${role} of the local network was not ready after ${options.timeoutMs} ms`, { hint: `its log is ${layout.log(role)}` });
      }
      await sleep(POLL_MS);
    }
  } catch (error) {
    if (exited === null) child.kill('SIGKILL');
    await removeDaemonRecord(layout.record(role));
    throw error;
  }
}

/** Asks a daemon to end, waits, and kills it when it does not. Returns how it ended, or null when it did not run. */
export async function stopDaemon(layout: LocalnetLayout, role: LocalRole): Promise<'stopped' | 'killed' | null> {
  const record = await runningRecord(layout, role);
  if (record === null) return null;
  signalProcess(record.pid, 'SIGTERM');
  const deadline = performance.now() + STOP_MS;
  while (await isAlive(record)) {
    if (performance.now() > deadline) {
      signalProcess(record.pid, 'SIGKILL');
      while (await isAlive(record)) await sleep(POLL_MS);
      await removeDaemonRecord(layout.record(role));
      return 'killed';
    }
    await sleep(POLL_MS);
  }
  await removeDaemonRecord(layout.record(role));
  return 'stopped';
}

function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It ended in between: that is what was asked for.
  }
}
