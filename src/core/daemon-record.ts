// A small file in which a running daemon says what it is and whether it is ready, so that other commands can find it.
// The record names process id and start time: a process id that was given to another program does not count as alive.
import { DaemonError, NotFoundError } from './errors.ts';
import { readBounded, removeFile, writeFileAtomic } from './files.ts';
import { isRunning, ownProcess } from './process-identity.ts';
import type { ProcessIdentity } from './process-identity.ts';

const MAX_BYTES = 16 * 1024;

/** `connecting`: it was ready and has lost what it depends on; it goes back to `ready` by itself. */
export type DaemonState = 'starting' | 'ready' | 'connecting' | 'failed';
const STATES: ReadonlySet<unknown> = new Set<DaemonState>(['starting', 'ready', 'connecting', 'failed']);

export interface DaemonRecord extends ProcessIdentity {
  readonly role: string;
  readonly state: DaemonState;
  /** Milliseconds since the Unix epoch. */
  readonly sinceMs: number;
  /** What the role wants to tell: addresses, model, the error of a failed start. Strings only. */
  readonly facts: Readonly<Record<string, string>>;
}

/** Writes the record of this process; the folder must exist. */
export async function writeDaemonRecord(path: string, record: Omit<DaemonRecord, keyof ProcessIdentity>): Promise<void> {
  const full: DaemonRecord = { ...record, ...ownProcess() };
  await writeFileAtomic(path, `${JSON.stringify(full)}\n`);
}

/** Removes the record whatever it says; no error when there is none. */
export async function removeDaemonRecord(path: string): Promise<void> {
  await removeFile(path);
}

function isRecord(value: unknown): value is DaemonRecord {
  if (value === null || typeof value !== 'object') return false;
  const { role, pid, start, state, sinceMs, facts } = value as Record<string, unknown>;
  return typeof role === 'string' && Number.isSafeInteger(pid) && Number(pid) > 1 && typeof start === 'string'
    && STATES.has(state) && typeof sinceMs === 'number'
    && facts !== null && typeof facts === 'object' && Object.values(facts).every((fact) => typeof fact === 'string');
}

/** The record at `path`, or null when there is none. Throws DaemonError when there is something else. */
export async function readDaemonRecord(path: string): Promise<DaemonRecord | null> {
  let cause: unknown;
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(await readBounded(path, MAX_BYTES)));
    if (isRecord(value)) return value;
  } catch (error) {
    if (error instanceof NotFoundError) return null;
    cause = error;
  }
  throw new DaemonError('E_NOT_RUNNING', `"${path}" is not a daemon record`, { hint: 'remove the file and start the daemon again', cause });
}

/** True while the process that wrote the record runs. */
export const isAlive = (record: DaemonRecord): boolean => isRunning(record);
