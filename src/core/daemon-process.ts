// A daemon as a process of its own: start it apart from the terminal, wait until its record says ready, stop it. Its log is a
// private file beside its record. A record of a process that has ended counts for nothing.
import { spawn } from 'node:child_process';
import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Writable } from 'node:stream';
import { isAlive, readDaemonRecord, removeDaemonRecord } from './daemon-record.ts';
import { abortError } from './deadline.ts';
import { DaemonError } from './errors.ts';
import { ensureFolder } from './files.ts';
import { sleep } from './retry.ts';
import type { DaemonRecord } from './daemon-record.ts';

const POLL_MS = 25;
/** How long a daemon may take to finish what it is doing before it is killed, and how long the kernel may take then. */
const STOP_MS = 10_000;
const KILL_MS = 5_000;
const LOG_TAIL_BYTES = 2_048;
/** Descriptor on which a started daemon finds a secret. */
export const SECRET_FD = 3;

/** Where a daemon says that it runs, and where it logs. */
export interface DaemonPlace {
  /** For messages: `node`, `proxy of the local network`. */
  readonly what: string;
  readonly record: string;
  readonly log: string;
}

export interface Program {
  readonly command: string;
  readonly args: readonly string[];
  /** Default: this process's own. */
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Written to descriptor SECRET_FD of the process, which is closed then. */
  readonly secret?: string;
}

export interface WaitOptions {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** The log of the daemon that has this record. */
export const logOf = (record: string): string => `${record.replace(/\.json$/, '')}.log`;

/** The record of a daemon that runs now, or null. A record of a dead process is removed. */
export async function runningRecord({ record: path }: Pick<DaemonPlace, 'record'>): Promise<DaemonRecord | null> {
  const record = await readDaemonRecord(path);
  if (record === null) return null;
  if (isAlive(record)) return record;
  await removeDaemonRecord(path);
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

async function launch({ command, args, cwd, env, secret }: Program, logPath: string): Promise<Child> {
  await ensureFolder(dirname(logPath));
  const log = await open(logPath, 'a', 0o600);
  try {
    // Its own session: it outlives the terminal, and Ctrl-C there reaches the starter only.
    const child = spawn(command, [...args], { detached: true, ...(cwd !== undefined && { cwd }), ...(env !== undefined && { env }), stdio: ['ignore', log.fd, log.fd, secret === undefined ? 'ignore' : 'pipe'] });
    let exited: string | null = null;
    child.once('error', (error) => { exited = error.message; });
    child.once('exit', (code, signal) => { exited = signal ?? `exit code ${code}`; });
    hand(child.stdio[SECRET_FD] as Writable | null | undefined, secret);
    child.unref();
    return { pid: child.pid, exited: () => exited, kill: () => { child.kill('SIGKILL'); } };
  } finally {
    await log.close();
  }
}

/** A process that ended before it read the secret has said why in its log. */
function hand(pipe: Writable | null | undefined, secret: string | undefined): void {
  if (pipe === null || pipe === undefined || secret === undefined) return;
  pipe.on('error', () => undefined);
  pipe.end(secret);
}

/** Starts a daemon in a session of its own and waits until it is ready. Throws DaemonError with the end of its log, or the signal's reason. */
export async function startDaemon(place: DaemonPlace, program: Program, options: WaitOptions): Promise<DaemonRecord> {
  const { what, record, log } = place;
  const child = await launch(program, log);
  try {
    return await waitUntilReady(place, options, async (found) => {
      const own = found !== null && found.pid === child.pid ? found : null;
      const exited = child.exited();
      if (exited !== null || own?.state === 'failed') {
        throw new DaemonError('E_NOT_RUNNING', `the ${what} did not start (${own?.facts['error'] ?? exited ?? 'failed'}): ${await logTail(log)}`, { hint: `its log is ${log}` });
      }
      return own;
    });
  } catch (error) {
    if (child.exited() === null) child.kill();
    const left = await readDaemonRecord(record).catch(() => null);
    if (left === null || left.pid === child.pid) await removeDaemonRecord(record);
    throw error;
  }
}

/**
 * Waits until a daemon is ready that something else starts, or that runs already; `appearMs`: how long until it says so much as that
 * it starts (default: it has said so). Throws DaemonError when it ends or does not become ready, or the signal's reason.
 */
export async function awaitDaemon(place: DaemonPlace, { appearMs = 0, ...options }: WaitOptions & { readonly appearMs?: number }): Promise<DaemonRecord> {
  const deadline = performance.now() + appearMs;
  let appeared = false;
  return waitUntilReady(place, options, async (record) => {
    const lives = record !== null && isAlive(record);
    appeared ||= lives;
    if (!lives && !appeared && performance.now() < deadline) return null;
    if (!lives) throw new DaemonError('E_NOT_RUNNING', `the ${place.what} has ended: ${await logTail(place.log)}`, { hint: `its log is ${place.log}` });
    return record;
  });
}

/** Looks at the record until `judge` gives one that is ready. */
async function waitUntilReady(
  { what, record: path, log }: DaemonPlace, { timeoutMs, signal }: WaitOptions, judge: (record: DaemonRecord | null) => Promise<DaemonRecord | null>,
): Promise<DaemonRecord> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    if (signal.aborted) throw abortError(signal);
    const record = await judge(await readDaemonRecord(path));
    if (record?.state === 'ready') return record;
    if (performance.now() > deadline) {
      throw new DaemonError('E_NOT_RUNNING', `the ${what} was not ready after ${timeoutMs} ms`, { hint: `its log is ${log}` });
    }
    await sleep(POLL_MS);
  }
}

/** Asks a daemon to end, waits, and kills it when it does not. Returns how it ended, or null when it did not run. Throws DaemonError when nothing ends it. */
export async function stopDaemon({ what, record: path }: Pick<DaemonPlace, 'what' | 'record'>): Promise<'stopped' | 'killed' | null> {
  const record = await runningRecord({ record: path });
  if (record === null) return null;
  const ended = await endProcess(record, 'SIGTERM', STOP_MS) ? 'stopped' : 'killed';
  if (ended === 'killed' && !(await endProcess(record, 'SIGKILL', KILL_MS))) {
    throw new DaemonError('E_NOT_RUNNING', `the ${what}, process ${record.pid}, cannot be ended`);
  }
  // Whoever keeps it running may have started another one already.
  const left = await readDaemonRecord(path);
  if (left !== null && !isAlive(left)) await removeDaemonRecord(path);
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
