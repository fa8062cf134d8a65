// Keeps the log of a daemon within bounds. The process writes to descriptors that whoever started it has opened for appending, and
// so do native libraries, so the file is copied away and emptied, never renamed: every writer goes on at its new end.
import { copyFileSync, chmodSync, fstatSync, renameSync, rmSync, statSync, truncateSync } from 'node:fs';

export interface LogBounds {
  /** Bytes from which on the file is put away. */
  readonly maxBytes: number;
  /** How many old files are kept: `.1` is the newest. */
  readonly keep: number;
}

export const LOG_BOUNDS: LogBounds = { maxBytes: 8 << 20, keep: 4 };
const LOOK_MS = 10_000;
const STDERR = 2;

/** True when this process's standard error is that file. */
export function isStderr(path: string): boolean {
  try {
    const [own, file] = [fstatSync(STDERR), statSync(path)];
    return own.isFile() && own.ino === file.ino && own.dev === file.dev;
  } catch {
    return false;
  }
}

/** Puts the file away where it is larger than allowed; true when it was. What is written between the copy and the cut is lost. */
export function rotateLog(path: string, { maxBytes, keep }: LogBounds = LOG_BOUNDS): boolean {
  if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) <= maxBytes) return false;
  for (let number = keep; number > 1; number -= 1) {
    if (statSync(`${path}.${number - 1}`, { throwIfNoEntry: false }) !== undefined) renameSync(`${path}.${number - 1}`, `${path}.${number}`);
  }
  rmSync(`${path}.1`, { force: true });
  copyFileSync(path, `${path}.1`);
  chmodSync(`${path}.1`, 0o600);
  truncateSync(path, 0);
  return true;
}

/** Looks from time to time while the log is this process's own. Returns how to stop; `onError` hears what could not be done. */
export function boundLog(path: string, onError: (error: unknown) => void): () => void {
  if (!isStderr(path)) return () => undefined;
  const look = (): void => {
    try {
      rotateLog(path);
    } catch (error) {
      onError(error);
    }
  };
  look();
  const timer = setInterval(look, LOOK_MS);
  timer.unref();
  return () => clearInterval(timer);
}
