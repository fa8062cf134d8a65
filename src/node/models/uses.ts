// Who uses a model: one flag file for each process that has it open, in a folder of the model's. A flag of a process that has
// ended (its number gone, or given to another program) does not count and is removed.
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ConfigError } from '../../core/errors.ts';
import { ensureFolder, listFolder, removeFile } from '../../core/files.ts';
import { isRunning, ownProcess } from '../../core/process-identity.ts';

const FLAG = /^(\d{1,10})-(\d{1,20})-[0-9a-f]{16}$/;

/** Raises a flag of this process; call what it resolves to when the model is closed. Throws `E_STATE`. */
export async function raiseUse(folder: string): Promise<() => Promise<void>> {
  const { pid, start } = ownProcess();
  const path = join(folder, `${pid}-${start}-${randomBytes(8).toString('hex')}`);
  await ensureFolder(folder);
  try {
    await writeFile(path, '', { flag: 'wx', mode: 0o600 });
  } catch (cause) {
    throw new ConfigError('E_STATE', `cannot note the use of a model in ${folder}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
  return () => removeFile(path);
}

/** Process numbers of those that use it, ascending; flags of ended processes are removed on the way. */
export async function usersIn(folder: string): Promise<number[]> {
  const live: number[] = [];
  for (const name of await listFolder(folder)) {
    const [, pid, start = ''] = FLAG.exec(name) ?? [];
    if (pid === undefined) continue;
    if (isRunning({ pid: Number(pid), start })) live.push(Number(pid));
    else await removeFile(join(folder, name));
  }
  return [...new Set(live)].sort((a, b) => a - b);
}
