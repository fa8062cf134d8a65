// Copies of the ledger: taken from a running one, consistent, checked and durable before they get their name; and brought
// back where there is none. Refuses to overwrite anything.
import { chmod, copyFile, open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ConfigError } from '../../core/errors.ts';
import { pathExists, removeFile, syncFolder } from '../../core/files.ts';
import { openDatabase } from './database.ts';
import type { Database } from './database.ts';

const PATH = /^[^\0']{1,4000}$/;

/** A copy of the open database in a new file of mode 0600. Throws ConfigError `E_STATE`, DaemonError `E_LEDGER`. */
export async function backupTo(database: Database, path: string): Promise<void> {
  await refuseExisting(path);
  if (!PATH.test(path)) throw new ConfigError('E_STATE', 'cannot write a backup to a path with quotes in it');
  const temporary = `${path}.tmp`;
  await removeFile(temporary);
  try {
    // The file is made first, so that it never has wider permissions; VACUUM INTO takes an empty one.
    await (await open(temporary, 'wx', 0o600)).close();
    await database.exec(`VACUUM INTO '${temporary}'`);
    await makeDurable(temporary);
    await (await openDatabase(temporary, { mustExist: true })).close();
    await moveInto(temporary, path);
  } catch (error) {
    for (const suffix of ['', '-wal', '-shm']) await removeFile(`${temporary}${suffix}`).catch(() => undefined);
    if (error instanceof ConfigError) throw error;
    throw new ConfigError('E_STATE', `the backup ${path} was not written: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

/** Brings a backup to where the ledger is kept; the ledger there must have been moved away before. Throws ConfigError `E_STATE`, DaemonError `E_LEDGER`. */
export async function restoreLedger(backup: string, path: string): Promise<void> {
  for (const suffix of ['', '-wal', '-shm']) await refuseExisting(`${path}${suffix}`);
  const temporary = `${path}.tmp`;
  await removeFile(temporary);
  await copyFile(backup, temporary).catch((error: unknown) => {
    throw new ConfigError('E_STATE', `cannot read the backup ${backup}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  });
  await chmod(temporary, 0o600);
  await makeDurable(temporary);
  await (await openDatabase(temporary, { mustExist: true })).close();
  await moveInto(temporary, path);
}

async function refuseExisting(path: string): Promise<void> {
  if (await pathExists(path)) throw new ConfigError('E_STATE', `${path} exists already`, { hint: 'move it away, or choose another name' });
}

async function makeDurable(path: string): Promise<void> {
  const handle = await open(path, 'r+');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function moveInto(temporary: string, path: string): Promise<void> {
  // Opening it for the check has left it in one file: its log was empty and is gone with the close.
  for (const suffix of ['-wal', '-shm']) await removeFile(`${temporary}${suffix}`);
  await makeDurable(temporary);
  await rename(temporary, path);
  await syncFolder(dirname(path));
}
