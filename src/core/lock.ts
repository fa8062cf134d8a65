// A lock between processes (and between callers of one process) on a path, made of flag files in a folder.
// A contender first raises its own flag under a name never used before, then looks for others: of two, at least the later
// one sees the other and stands back, so both never hold it. Flags of dead processes can be removed by anyone without a race.
// Dead is: the process number is gone, or has another start time (Linux). A flag from another machine or container counts
// as dead when it was not renewed for STALE_MS.
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { open, stat, utimes } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { abortError } from './deadline.ts';
import { ConfigError } from './errors.ts';
import type { CocoonError } from './errors.ts';
import { ensureFolder, listFolder, removeFile } from './files.ts';
import { isRunning, ownProcess } from './process-identity.ts';
import type { ProcessIdentity } from './process-identity.ts';
import { sleep } from './retry.ts';

const FLAG = /^([0-9a-f]{16})-(\d{1,10})-(\d{1,20})-[0-9a-f]{16}$/;
const RENEW_MS = 10_000;
const STALE_MS = 60_000;
const POLL_MS = 50;

export interface LockOptions {
  /** How long to wait for another holder; 0 tries once. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** The error when the wait ends; `holder` names the process that holds the lock. Default: `E_STATE`. */
  readonly busy?: (holder: string) => CocoonError;
}

interface Identity extends ProcessIdentity {
  readonly place: string;
}

/** Where a process number means the same process: one boot of one machine, one process name space. */
function placeId(): string {
  const parts = [hostname()];
  try {
    parts.push(readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim(), readlinkSync('/proc/self/ns/pid'));
  } catch {
    // Not Linux: the host name alone.
  }
  return createHash('sha256').update(parts.join('\n')).digest('hex').slice(0, 16);
}

let own: Identity | undefined;
function ownIdentity(): Identity {
  own ??= { place: placeId(), ...ownProcess() };
  return own;
}

async function isLive(folder: string, name: string): Promise<boolean> {
  const match = FLAG.exec(name);
  if (match === null) return false;
  const [, place, pid, start = ''] = match;
  if (place === ownIdentity().place) return isRunning({ pid: Number(pid), start });
  try {
    const { mtimeMs } = await stat(join(folder, name));
    return Date.now() - mtimeMs < STALE_MS;
  } catch {
    return false;
  }
}

/** The first live flag other than `mine`; removes dead ones on the way. */
async function otherHolder(folder: string, mine: string | undefined): Promise<string | undefined> {
  for (const name of await listFolder(folder)) {
    if (name === mine || !FLAG.test(name)) continue;
    if (await isLive(folder, name)) return name;
    await removeFile(join(folder, name));
  }
  return undefined;
}

async function raiseFlag(folder: string): Promise<string> {
  const { place, pid, start } = ownIdentity();
  const name = `${place}-${pid}-${start}-${randomBytes(8).toString('hex')}`;
  try {
    await (await open(join(folder, name), 'wx', 0o600)).close();
  } catch (error) {
    throw new ConfigError('E_STATE', `cannot lock ${folder}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
  return name;
}

const describeHolder = (flag: string): string => `process ${FLAG.exec(flag)?.[2] ?? 'unknown'}`;

async function acquire(path: string, folder: string, options: LockOptions): Promise<string> {
  const deadline = performance.now() + options.timeoutMs;
  for (;;) {
    let holder = await otherHolder(folder, undefined);
    if (holder === undefined) {
      const mine = await raiseFlag(folder);
      holder = await otherHolder(folder, mine).catch(async (error: unknown) => {
        await removeFile(join(folder, mine));
        throw error;
      });
      if (holder === undefined) return mine;
      await removeFile(join(folder, mine));
    }
    if (performance.now() >= deadline) {
      throw options.busy?.(describeHolder(holder))
        ?? new ConfigError('E_STATE', `cannot use ${path}: ${describeHolder(holder)} is using it`, { hint: 'wait for it to finish, or stop it' });
    }
    // Random, so that two contenders that saw each other do not meet again.
    await sleep(POLL_MS * (0.5 + Math.random()), options.signal).catch(() => undefined);
    if (options.signal?.aborted === true) throw abortError(options.signal);
  }
}

/**
 * Runs `fn` while no other process, and no other caller in this one, holds the lock on `path`. The flags lie in the folder
 * `path.lock`, which stays. Not re-entrant. Throws the `busy` error after `timeoutMs`.
 */
export async function withLock<T>(path: string, fn: () => Promise<T>, options: LockOptions): Promise<T> {
  const folder = `${path}.lock`;
  await ensureFolder(folder);
  const flag = await acquire(path, folder, options);
  const lower = keepRaised(folder, flag);
  try {
    return await fn();
  } finally {
    await lower();
  }
}

/** Renews a flag until the returned function takes it down. */
function keepRaised(folder: string, flag: string): () => Promise<void> {
  const renewal = setInterval(() => {
    const now = new Date();
    utimes(join(folder, flag), now, now).catch(() => undefined);
  }, RENEW_MS);
  renewal.unref();
  return () => {
    clearInterval(renewal);
    return removeFile(join(folder, flag));
  };
}

export interface Presence {
  /** No other living process, and no other caller in this one, showed its presence when this one did. */
  readonly isAlone: boolean;
  leave(): Promise<void>;
}

/**
 * Shows that something at `path` is in use, until `leave` or the end of the process, however it ends. The flags lie in the folder
 * `path.users`, which stays. Call it under a lock of the same thing: of two at once neither would be alone.
 */
export async function showPresence(path: string): Promise<Presence> {
  const folder = `${path}.users`;
  await ensureFolder(folder);
  const isAlone = await otherHolder(folder, undefined) === undefined;
  return { isAlone, leave: keepRaised(folder, await raiseFlag(folder)) };
}
