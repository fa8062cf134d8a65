// A small file in which a running daemon says what it is and whether it is ready, so that other commands can find it.
// The record names process id and start time: a process id that was given to another program does not count as alive.
import { readFile, unlink } from 'node:fs/promises';
import { readBounded, writeFileAtomic } from './files.ts';
import { DaemonError } from './errors.ts';

const MAX_BYTES = 16 * 1024;

export type DaemonState = 'starting' | 'ready' | 'failed';

export interface DaemonRecord {
  readonly role: string;
  readonly pid: number;
  /** Start time of the process as the kernel counts it (Linux: field 22 of /proc/PID/stat); null where it cannot be read. */
  readonly startTicks: string | null;
  readonly state: DaemonState;
  /** Milliseconds since the Unix epoch. */
  readonly sinceMs: number;
  /** What the role wants to tell: addresses, model, the error of a failed start. Strings only. */
  readonly facts: Readonly<Record<string, string>>;
}

async function startTicks(pid: number): Promise<string | null> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    // The command name may contain spaces and parentheses; fields are counted after the last one.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // A zombie has ended; only its parent has not asked how.
    return fields[0] === 'Z' || fields[0] === 'X' ? 'ended' : fields[19] ?? null;
  } catch {
    return null;
  }
}

/** Writes the record of this process. */
export async function writeDaemonRecord(path: string, record: { role: string; state: DaemonState; sinceMs: number; facts: Record<string, string> }): Promise<void> {
  const full: DaemonRecord = { ...record, pid: process.pid, startTicks: await startTicks(process.pid) };
  await writeFileAtomic(path, `${JSON.stringify(full)}\n`);
}

export async function removeDaemonRecord(path: string): Promise<void> {
  await unlink(path).catch(() => {});
}

function isRecord(value: unknown): value is DaemonRecord {
  if (value === null || typeof value !== 'object') return false;
  const { role, pid, state, sinceMs, facts, startTicks: ticks } = value as Record<string, unknown>;
  return typeof role === 'string' && Number.isSafeInteger(pid) && Number(pid) > 1 && typeof sinceMs === 'number'
    && (state === 'starting' || state === 'ready' || state === 'failed') && (ticks === null || typeof ticks === 'string')
    && facts !== null && typeof facts === 'object' && Object.values(facts).every((fact) => typeof fact === 'string');
}

/** The record at `path`, or null when there is none. Throws DaemonError when the file is not a record. */
export async function readDaemonRecord(path: string): Promise<DaemonRecord | null> {
  let text: string;
  try {
    text = new TextDecoder().decode(await readBounded(path, MAX_BYTES));
  } catch {
    return null;
  }
  try {
    const value: unknown = JSON.parse(text);
    if (isRecord(value)) return value;
  } catch {
    // Told below: a file that is not JSON is as damaged as one of another shape.
  }
  throw new DaemonError('E_NOT_RUNNING', `"${path}" is not a daemon record`, { hint: 'remove the file and start the daemon again' });
}

/** True while the process that wrote the record runs. */
export async function isAlive(record: DaemonRecord): Promise<boolean> {
  try {
    process.kill(record.pid, 0);
  } catch {
    return false;
  }
  const ticks = await startTicks(record.pid);
  return record.startTicks === null || ticks === record.startTicks;
}
