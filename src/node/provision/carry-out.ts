// Does the steps of a plan and takes them back. Each change is noted with its way back before it is made; each is made so that doing
// it again, or taking it back when it was half made, is right. Refuses to take back a file that was changed since.
import { createHash } from 'node:crypto';
import { chmod, chown, lstat, mkdir, open, readFile, rename, rm, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ConfigError } from '../../core/errors.ts';
import { syncFolder, systemErrorCode } from '../../core/files.ts';
import { ProvisionJournal } from './journal.ts';
import type { BeforeFile, JournalData, JournalEntry } from './journal.ts';
import type { Action, Plan, Step } from './step.ts';

export const JOURNAL_FOLDER = '/var/lib/cocoon-provision';
const MAX_KEPT_BYTES = 4 << 20;
/** A file that is being written lies beside its name under this ending. */
const NEW = '.cocoon-new';

export interface CommandOutput {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ProvisionPorts {
  /** `/`, or the folder that stands in for it. */
  readonly root: string;
  /** Null: there is no such program. */
  readonly run: (argv: readonly string[]) => Promise<CommandOutput | null>;
  readonly signal: AbortSignal;
  readonly onStep?: (step: Step, state: StepState) => void;
  /** For crash tests: called after each thing that is on disk. */
  readonly onDurable?: (what: string) => void;
}

export type StepState = 'done' | 'was so';

type Entry<K extends JournalEntry['kind']> = Extract<JournalEntry, { kind: K }>;

const journalOf = ({ root }: ProvisionPorts): ProvisionJournal => new ProvisionJournal(join(root, JOURNAL_FOLDER));

/** Whether each step would change anything. Changes nothing. */
export async function pendingSteps({ steps }: Plan, ports: ProvisionPorts): Promise<Set<string>> {
  const pending = new Set<string>();
  for (const step of steps) if (!await isSo(step.action, ports)) pending.add(step.id);
  return pending;
}

/** Does what is not so yet. Throws ConfigError `E_PROVISION` naming the step, the signal's reason; what was done stays noted. */
export async function applyPlan(plan: Plan, ports: ProvisionPorts): Promise<{ readonly changed: number }> {
  const journal = journalOf(ports);
  let data: JournalData = await journal.read() ?? { version: 1, role: plan.role, made: await missingFolders(dirname(journal.folder)), entries: [] };
  if (data.role !== plan.role && data.entries.length > 0) {
    throw new ConfigError('E_PROVISION', `this machine was provisioned as ${data.role}, asked for ${plan.role}`, { hint: 'take that back first: cocoon node provision --undo' });
  }
  const note = async (entry: JournalEntry): Promise<void> => {
    const known = data.entries.findIndex(({ id }) => id === entry.id);
    data = { ...data, role: plan.role, entries: known < 0 ? [...data.entries, entry] : data.entries.map((other, index) => (index === known ? entry : other)) };
    await journal.write(data);
    ports.onDurable?.(`noted ${entry.id}`);
  };
  const pending = await pendingSteps(plan, ports);
  const willChange = plan.steps.some(({ id, action }) => action.kind !== 'refresh' && (pending.has(id) || data.entries.some((entry) => entry.id === id && !entry.done)));
  // Whatever is changed from here on has to be read again, also by a run that goes on after this one was cut off.
  if (willChange) {
    for (const { id, action } of plan.steps) if (action.kind === 'refresh' && action.when === 'apply') await note({ id, kind: 'refresh', undo: [], done: false });
  }
  let changed = 0;
  for (const step of plan.steps) {
    ports.signal.throwIfAborted();
    const known = data.entries.find(({ id }) => id === step.id);
    if (known?.done !== false && await isSo(step.action, ports)) {
      ports.onStep?.(step, 'was so');
      continue;
    }
    if (step.action.kind === 'refresh' && !(step.action.when === 'undo' ? willChange && known === undefined : known?.done === false)) continue;
    await inStep(step, () => apply(step, known, note, ports));
    if (step.action.kind !== 'refresh') changed += 1;
    ports.onStep?.(step, 'done');
  }
  return { changed };
}

async function inStep<T>(step: Pick<Step, 'id' | 'title'>, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    if (systemErrorCode(error) === undefined) throw error;
    throw new ConfigError('E_PROVISION', `${step.title}: ${error instanceof Error ? error.message : String(error)}`, { cause: error, hint: systemErrorCode(error) === 'EACCES' || systemErrorCode(error) === 'EPERM' ? 'run it as root' : 'correct it and run the same command again: it goes on here' });
  }
}

/** True when a step has nothing to do. */
async function isSo(action: Action, ports: ProvisionPorts): Promise<boolean> {
  switch (action.kind) {
    case 'file': {
      const now = await stateOf(join(ports.root, action.path));
      return now.kind === 'file' && (now.mode & 0o7777) === action.mode && Buffer.from(now.content, 'base64').toString('utf8') === action.content;
    }
    case 'folder': return (await kindAt(join(ports.root, action.path))) === 'folder';
    case 'command': return (await ports.run(action.check))?.exitCode === 0;
    case 'packages': return (await missingPackages(action.names, ports)).length === 0;
    case 'refresh': return false;
  }
}

async function apply(step: Step, known: JournalEntry | undefined, note: (entry: JournalEntry) => Promise<void>, ports: ProvisionPorts): Promise<void> {
  const { id, action } = step;
  const durable = (): void => ports.onDurable?.(`did ${id}`);
  switch (action.kind) {
    case 'file': {
      const path = join(ports.root, action.path);
      // What was there before the first run stays what is restored.
      const before = known?.kind === 'file' ? known.before : await stateOf(path);
      const made = [...known?.kind === 'file' ? known.made : [], ...await missingFolders(dirname(path))];
      const entry: Entry<'file'> = { id, kind: 'file', path: action.path, before, made: [...new Set(made)], sha256: sha256(action.content), done: false };
      await note(entry);
      await mkdir(dirname(path), { recursive: true, mode: 0o755 });
      await writeWhole(path, Buffer.from(action.content), action.mode);
      durable();
      await note({ ...entry, done: true });
      return;
    }
    case 'folder': {
      const path = join(ports.root, action.path);
      const entry: Entry<'folder'> = { id, kind: 'folder', path: action.path, made: known?.kind === 'folder' ? known.made : await missingFolders(path), done: false };
      await note(entry);
      await mkdir(path, { recursive: true, mode: 0o755 });
      await chmod(path, action.mode);
      durable();
      await note({ ...entry, done: true });
      return;
    }
    case 'packages': {
      const missing = await missingPackages(action.names, ports);
      const before = known?.kind === 'command' ? known.undo.flatMap((argv) => argv.slice(4)) : [];
      const names = [...new Set([...before, ...missing])];
      const entry: Entry<'command'> = { id, kind: 'command', check: null, undo: [['apt-get', 'remove', '--yes', '--', ...names]], done: false };
      await note(entry);
      if (missing.length > 0) await mustRun(step, ['apt-get', 'install', '--yes', '--no-install-recommends', '--', ...missing], ports);
      durable();
      await note({ ...entry, done: true });
      return;
    }
    case 'command': {
      const entry: Entry<'command'> = { id, kind: 'command', check: [...action.check], undo: action.undo.map((argv) => [...argv]), done: false };
      await note(entry);
      // A run that was cut off may have done it already.
      if (!await isSo(action, ports)) for (const argv of action.apply) await mustRun(step, argv, ports);
      durable();
      await note({ ...entry, done: true });
      return;
    }
    case 'refresh': {
      if (action.when === 'undo') {
        await note({ id, kind: 'refresh', undo: [[...action.argv]], done: true });
        return;
      }
      const entry: Entry<'refresh'> = { id, kind: 'refresh', undo: [], done: false };
      await note(entry);
      await mustRun(step, action.argv, ports);
      durable();
      await note({ ...entry, done: true });
    }
  }
}

async function mustRun(step: Pick<Step, 'title'>, argv: readonly string[], { run }: ProvisionPorts): Promise<void> {
  const output = await run(argv);
  if (output?.exitCode === 0) return;
  throw new ConfigError('E_PROVISION', `${step.title}: ${argv.join(' ')} ${output === null ? 'cannot be run: there is no such program' : `ended with code ${output.exitCode}: ${(output.stderr.trim() || output.stdout.trim()).slice(-400)}`}`, { hint: 'correct it and run the same command again: it goes on here' });
}

async function missingPackages(names: readonly string[], { run }: ProvisionPorts): Promise<string[]> {
  const missing: string[] = [];
  for (const name of names) {
    const output = await run(['dpkg-query', '--show', '--showformat=${db:Status-Status}', name]);
    if (output?.exitCode !== 0 || output.stdout.trim() !== 'installed') missing.push(name);
  }
  return missing;
}

/**
 * Takes back everything that the journal knows, the last first. Nothing is begun when a file of ours was changed since, unless
 * `force`. Throws ConfigError `E_PROVISION`, the signal's reason; run again, it goes on.
 */
export async function undoAll(ports: ProvisionPorts, { force = false }: { readonly force?: boolean } = {}): Promise<{ readonly undone: number }> {
  const journal = journalOf(ports);
  let data = await journal.read();
  if (data === null) return { undone: 0 };
  const changed = force ? [] : await changedSince(data, ports);
  if (changed.length > 0) {
    throw new ConfigError('E_PROVISION', `changed since it was written: ${changed.join(', ')}`, { hint: 'keep a copy of what you changed, then run --undo --force' });
  }
  let undone = 0;
  for (const entry of [...data.entries].reverse()) {
    ports.signal.throwIfAborted();
    await inStep({ id: entry.id, title: entry.id }, () => undo(entry, ports));
    ports.onDurable?.(`undid ${entry.id}`);
    data = { ...data, entries: data.entries.filter(({ id }) => id !== entry.id) };
    await journal.write(data);
    ports.onDurable?.(`noted the undo of ${entry.id}`);
    undone += 1;
  }
  await journal.remove();
  await removeFolders(data.made);
  return { undone };
}

/** Files that are neither what was written nor what was there before. */
async function changedSince({ entries }: JournalData, { root }: ProvisionPorts): Promise<string[]> {
  const changed: string[] = [];
  for (const entry of entries) {
    if (entry.kind !== 'file' || !entry.done) continue;
    const now = await stateOf(join(root, entry.path));
    const isBefore = now.kind === entry.before.kind && (now.kind === 'absent' || (entry.before.kind === 'file' && now.content === entry.before.content));
    if (!isBefore && (now.kind !== 'file' || sha256(Buffer.from(now.content, 'base64')) !== entry.sha256)) changed.push(entry.path);
  }
  return changed;
}

async function undo(entry: JournalEntry, ports: ProvisionPorts): Promise<void> {
  const { root } = ports;
  if (entry.kind === 'file') {
    const path = join(root, entry.path);
    await rm(`${path}${NEW}`, { force: true });
    const { before } = entry;
    if (before.kind === 'absent') await rm(path, { force: true });
    else await writeWhole(path, Buffer.from(before.content, 'base64'), before.mode & 0o7777, before);
    await removeFolders(entry.made);
    return;
  }
  if (entry.kind === 'folder') {
    await removeFolders(entry.made);
    return;
  }
  // Not so any more, or never: there is nothing to take back.
  if (entry.kind === 'command' && entry.check !== null && (await ports.run(entry.check))?.exitCode !== 0) return;
  for (const argv of entry.undo) {
    const output = await ports.run(argv);
    if (output?.exitCode !== 0) throw new ConfigError('E_PROVISION', `${argv.join(' ')} ${output === null ? 'cannot be run' : `ended with code ${output.exitCode}: ${output.stderr.trim().slice(-400)}`}`, { hint: 'correct it and run --undo again: it goes on here' });
  }
}

/** Innermost first; a folder that something else was put into stays. */
async function removeFolders(made: readonly string[]): Promise<void> {
  for (const folder of [...made].reverse()) {
    try {
      await rmdir(folder);
    } catch (error) {
      if (!['ENOENT', 'ENOTEMPTY', 'EEXIST'].includes(systemErrorCode(error) ?? '')) throw error;
    }
  }
}

/** Of `folder` and those above it, which are not there, outermost first. */
async function missingFolders(folder: string): Promise<string[]> {
  const kind = await kindAt(folder);
  if (kind === 'folder' || dirname(folder) === folder) return [];
  if (kind !== 'absent') throw new ConfigError('E_PROVISION', `${folder} is in the way: expected a folder or nothing`);
  return [...await missingFolders(dirname(folder)), folder];
}

async function kindAt(path: string): Promise<'absent' | 'file' | 'folder' | 'other'> {
  try {
    const info = await lstat(path);
    return info.isDirectory() ? 'folder' : info.isFile() ? 'file' : 'other';
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return 'absent';
    throw error;
  }
}

async function stateOf(path: string): Promise<BeforeFile> {
  const kind = await kindAt(path);
  if (kind === 'absent') return { kind: 'absent' };
  if (kind !== 'file') throw new ConfigError('E_PROVISION', `${path} is in the way: expected a regular file or nothing`);
  const { size, mode, uid, gid } = await lstat(path);
  if (size > MAX_KEPT_BYTES) throw new ConfigError('E_PROVISION', `${path} has ${size} bytes, too many to be kept for the undo`);
  return { kind: 'file', content: (await readFile(path)).toString('base64'), mode, uid, gid };
}

/** Old or new at any instant: beside it, synced, renamed. */
async function writeWhole(path: string, content: Uint8Array, mode: number, owner?: { readonly uid: number; readonly gid: number }): Promise<void> {
  const temporary = `${path}${NEW}`;
  await rm(temporary, { force: true });
  const handle = await open(temporary, 'wx', mode);
  try {
    await handle.writeFile(content);
    await handle.chmod(mode);
    await handle.sync();
  } finally {
    await handle.close();
  }
  if (owner !== undefined) await chown(temporary, owner.uid, owner.gid);
  await rename(temporary, path);
  await syncFolder(dirname(path));
}

const sha256 = (content: string | Uint8Array): string => createHash('sha256').update(content).digest('hex');
