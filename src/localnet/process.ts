// One daemon of a local network as a process of its own: start it, wait until its record says ready, stop it.
import { spawn } from 'node:child_process';
import { open } from 'node:fs/promises';
import { isAlive, readDaemonRecord, removeDaemonRecord } from '../core/daemon-record.ts';
import { abortError } from '../core/deadline.ts';
import { DaemonError } from '../core/errors.ts';
import { sleep } from '../core/retry.ts';
import type { DaemonRecord } from '../core/daemon-record.ts';
import type { LocalPart, LocalnetLayout } from './layout.ts';

const POLL_MS = 25;
/** How long a daemon may take to finish what it is doing before it is killed, and how long the kernel may take then. */
const STOP_MS = 10_000;
const KILL_MS = 5_000;
const LOG_TAIL_BYTES = 2_048;

export interface Program {
  readonly command: string;
  readonly args: readonly string[];
}

export interface WaitOptions {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** The record of a daemon that runs now, or null. A record of a dead process is removed. */
export async function runningRecord(layout: LocalnetLayout, role: LocalPart): Promise<DaemonRecord | null> {
  const record = await readDaemonRecord(layout.record(role));
  if (record === null) return null;
  if (isAlive(record)) return record;
  await removeDaemonRecord(layout.record(role));
  return null;
}

/** The last lines of a log, on one line. */
async function logTail(path: string): Promise<string> {
  const file = await open(path).catch(() => null);
  if (file === null) return 'no log';
  try {
    const { size } = await file.stat();
    const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(LOG_TAIL_BYTES), position: Math.max(0, size - LOG_TAIL_BYTES) });
    return buffer.toString('utf8', 0, bytesRead).trim().split('\n').slice(-3).join(' | ');
  } finally {
    await file.close();
  }
}

interface Child {
  readonly pid: number | undefined;
  /** How it ended; null while it runs. */
  exited(): string | null;
  kill(): void;
}

async function launch(program: Program, logPath: string): Promise<Child> {
  const log = await open(logPath, 'a', 0o600);
  try {
    // Its own group: Ctrl-C in the terminal reaches the starter, which stops the daemons in order.
    const child = spawn(program.command, [...program.args], { detached: true, stdio: ['ignore', log.fd, log.fd] });
    let exited: string | null = null;
    child.once('error', (error) => { exited = error.message; });
    child.once('exit', (code, signal) => { exited = signal ?? `exit code ${code}`; });
    child.unref();
    return { pid: child.pid, exited: () => exited, kill: () => { child.kill('SIGKILL'); } };
  } finally {
    await log.close();
  }
}

/** Starts a daemon in a process group of its own and waits until it is ready. Throws DaemonError with the end of its log, or the signal's reason. */
export async function startDaemon(layout: LocalnetLayout, role: LocalPart, program: Program, options: WaitOptions): Promise<DaemonRecord> {
  const child = await launch(program, layout.log(role));
  try {
    return await waitUntilReady(layout, role, options, async (record) => {
      const own = record !== null && record.pid === child.pid ? record : null;
      const exited = child.exited();
      if (exited !== null || own?.state === 'failed') {
        throw new DaemonError('E_NOT_RUNNING', `the ${role} of the local network did not start (${exited ?? own?.facts['error'] ?? 'failed'}): ${await logTail(layout.log(role))}`, { hint: `its log is ${layout.log(role)}` });
      }
      return own;
    });
  } catch (error) {
    if (child.exited() === null) child.kill();
    await removeDaemonRecord(layout.record(role));
    throw error;
  }
}

/** Waits until a daemon that runs already is ready again. Throws DaemonError when it ends or does not become ready, or the signal's reason. */
export async function awaitDaemon(layout: LocalnetLayout, role: LocalPart, options: WaitOptions): Promise<DaemonRecord> {
  return waitUntilReady(layout, role, options, async (record) => {
    if (record === null || !isAlive(record)) throw new DaemonError('E_NOT_RUNNING', `the ${role} of the local network has ended: ${await logTail(layout.log(role))}`, { hint: `its log is ${layout.log(role)}` });
    return record;
  });
}

/** Looks at the record until `judge` gives one that is ready. */
async function waitUntilReady(
  layout: LocalnetLayout, role: LocalPart, { timeoutMs, signal }: WaitOptions, judge: (record: DaemonRecord | null) => Promise<DaemonRecord | null>,
): Promise<DaemonRecord> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    if (signal.aborted) throw abortError(signal);
    const record = await judge(await readDaemonRecord(layout.record(role)));
    if (record?.state === 'ready') return record;
    if (performance.now() > deadline) {
      throw new DaemonError('E_NOT_RUNNING', `the ${role} of the local network was not ready after ${timeoutMs} ms`, { hint: `its log is ${layout.log(role)}` });
    }
    await sleep(POLL_MS);
  }
}

/** Asks a daemon to end, waits, and kills it when it does not. Returns how it ended, or null when it did not run. Throws DaemonError when nothing ends it. */
export async function stopDaemon(layout: LocalnetLayout, role: LocalPart): Promise<'stopped' | 'killed' | null> {
  const record = await runningRecord(layout, role);
  if (record === null) return null;
  const ended = await endProcess(record, 'SIGTERM', STOP_MS) ? 'stopped' : 'killed';
  if (ended === 'killed' && !(await endProcess(record, 'SIGKILL', KILL_MS))) {
    throw new DaemonError('E_NOT_RUNNING', `the ${role} of the local network, process ${record.pid}, cannot be ended`);
  }
  await removeDaemonRecord(layout.record(role));
  return ended;
}

/** True when the process has ended within `withinMs` after the signal. */
async function endProcess(record: DaemonRecord, signal: NodeJS.Signals, withinMs: number): Promise<boolean> {
  try {
    process.kill(record.pid, signal);
  } catch {
    // It ended in between: that is what was asked for.
  }
  const deadline = performance.now() + withinMs;
  while (isAlive(record)) {
    if (performance.now() > deadline) return false;
    await sleep(POLL_MS);
  }
  return true;
}
