// The models of this machine, under HOME/models: registry.json (names and where they come from), content/ID/ (the files of a model,
// once, however many names it has; ID is SHA-256 over the list of hashes and file names), uses/ID/ (processes that have it open).
// Refuses to remove what is in use, names that are taken, and a registry that is damaged. Says nothing about the bytes: verifyModel does.
import { createHash } from 'node:crypto';
import { rename, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { abortError } from '../../core/deadline.ts';
import { ConfigError, NotFoundError } from '../../core/errors.ts';
import { ensureFolder, pathExists, readBounded, syncFolder, writeFileAtomic } from '../../core/files.ts';
import { withLock } from '../../core/lock.ts';
import { hashOfFiles, LOCAL, nameOfFile, parseFullName, requireModelName, verifyFiles } from './identity.ts';
import { raiseUse, usersIn } from './uses.ts';
import type { VerifyOptions } from './identity.ts';

const MAX_REGISTRY_BYTES = 8 * 1024 * 1024;
const LOCK_MS = 10_000;
const MAX_FILES = 512;

const Hash = z.string().regex(/^[0-9a-f]{64}$/);
const FileName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._ +-]{0,239}$/);
const Entry = z.strictObject({
  name: z.string().min(1).max(128),
  fullName: z.string().max(240),
  files: z.array(z.strictObject({ name: FileName, size: z.int().min(0), sha256: Hash })).min(1).max(MAX_FILES),
  source: z.string().max(2_048),
  addedAtMs: z.int().min(0),
});
const RegistryFile = z.strictObject({ version: z.literal(1), models: z.array(Entry).max(10_000) });
type StoredEntry = z.infer<typeof Entry>;

export interface ModelFile {
  readonly name: string;
  readonly size: number;
  /** SHA-256 of the bytes, 64 hexadecimal digits. */
  readonly sha256: string;
}

export interface NewModel {
  /** Base name, as clients ask for it. */
  readonly name: string;
  /** `name@commit:hash`. */
  readonly fullName: string;
  /** In the order in which the engine reads them. */
  readonly files: readonly ModelFile[];
  /** Where it comes from, for people: `hf:org/repo@commit/file` or a URL. */
  readonly source: string;
}

export interface ModelEntry extends NewModel {
  /** Absolute paths of the files, in order; the engine is given the first. */
  readonly paths: readonly string[];
  readonly addedAtMs: number;
  /** Names of this machine that share these very files, this one included. */
  readonly references: number;
}

export interface ModelRegistry {
  /** By name. */
  list(): Promise<ModelEntry[]>;
  /** By base name or full name; null where there is none. */
  find(name: string): Promise<ModelEntry | null>;
  /**
   * Takes the files out of `folder` (on the same file system, holding exactly these files) and gives them the name. Files that are
   * there already under another name are shared. Throws `E_STATE` when the name belongs to another model, unless `replace`.
   */
  add(model: NewModel, folder: string, options?: { readonly replace?: boolean }): Promise<ModelEntry>;
  /** Another name for files that are here already; null where they are not. Throws as `add`. */
  share(model: NewModel, options?: { readonly replace?: boolean }): Promise<ModelEntry | null>;
  /** Removes a name, and the files with the last name that has them. Throws NotFoundError, ConfigError `E_MODEL_IN_USE`. */
  remove(name: string): Promise<{ readonly entry: ModelEntry; readonly freedBytes: number }>;
  /** Notes that this process has the files open; call what it resolves to when it has closed them. */
  use(entry: Pick<ModelEntry, 'files'>): Promise<() => Promise<void>>;
  /** Process numbers of those that have the files open now. */
  users(entry: Pick<ModelEntry, 'files'>): Promise<number[]>;
  /** Where unfinished downloads lie; on the same file system. */
  readonly partialFolder: string;
}

export const nameTaken = ({ name, fullName }: Pick<NewModel, 'name' | 'fullName'>): ConfigError =>
  new ConfigError('E_STATE', `there is another model named "${name}" already: ${fullName}`, { hint: 'choose another name with --name, or replace it with --replace' });

/** Of a model's files. */
const contentId = (files: readonly ModelFile[]): string =>
  createHash('sha256').update(files.map(({ sha256, name }) => `${sha256}  ${name}\n`).join('')).digest('hex');

/** The registry of a home directory; nothing is made before something is added. */
export function openRegistry(home: string): ModelRegistry {
  return new FolderRegistry(join(home, 'models'));
}

class FolderRegistry implements ModelRegistry {
  readonly partialFolder: string;
  readonly #folder: string;
  readonly #file: string;

  constructor(folder: string) {
    this.#folder = folder;
    this.#file = join(folder, 'registry.json');
    this.partialFolder = join(folder, 'partial');
  }

  async #read(): Promise<StoredEntry[]> {
    let text: string;
    try {
      text = Buffer.from(await readBounded(this.#file, MAX_REGISTRY_BYTES)).toString('utf8');
    } catch (error) {
      if (error instanceof NotFoundError) return [];
      throw error;
    }
    try {
      return RegistryFile.parse(JSON.parse(text)).models;
    } catch (cause) {
      throw new ConfigError('E_STATE', `cannot read "${this.#file}": it is no list of models`, { cause, hint: 'move the file away and pull the models again; what is there already is not downloaded twice' });
    }
  }

  #entryOf(stored: StoredEntry, all: readonly StoredEntry[]): ModelEntry {
    const id = contentId(stored.files);
    return {
      ...stored, paths: stored.files.map(({ name }) => join(this.#folder, 'content', id, name)),
      references: all.filter(({ files }) => contentId(files) === id).length,
    };
  }

  async list(): Promise<ModelEntry[]> {
    const all = await this.#read();
    return all.map((stored) => this.#entryOf(stored, all)).sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  async find(name: string): Promise<ModelEntry | null> {
    return (await this.list()).find((entry) => entry.name === name || entry.fullName === name) ?? null;
  }

  async #change<T>(change: (models: StoredEntry[]) => Promise<{ readonly models: readonly StoredEntry[]; readonly result: T }>): Promise<T> {
    await ensureFolder(this.#folder);
    return withLock(this.#file, async () => {
      const { models, result } = await change(await this.#read());
      await writeFileAtomic(this.#file, `${JSON.stringify(RegistryFile.parse({ version: 1, models }), null, 2)}\n`);
      return result;
    }, { timeoutMs: LOCK_MS });
  }

  async add(model: NewModel, folder: string, options: { readonly replace?: boolean } = {}): Promise<ModelEntry> {
    return this.#name(model, options, async (content) => {
      await ensureFolder(join(this.#folder, 'content'));
      if (await pathExists(content)) await rm(folder, { recursive: true });
      else await rename(folder, content);
      await syncFolder(join(this.#folder, 'content'));
    });
  }

  async share(model: NewModel, options: { readonly replace?: boolean } = {}): Promise<ModelEntry | null> {
    if (!await pathExists(join(this.#folder, 'content', contentId(model.files)))) return null;
    return this.#name(model, options, async () => undefined);
  }

  async #name(model: NewModel, { replace = false }: { readonly replace?: boolean }, place: (content: string) => Promise<void>): Promise<ModelEntry> {
    const { name, fullName, files, source } = model;
    requireModelName(name);
    if (parseFullName(fullName)?.name !== name) throw new ConfigError('E_STATE', `the full name ${fullName} does not belong to the model ${name}`);
    const stored = Entry.parse({ name, fullName, files: files.map((file) => ({ ...file })), source, addedAtMs: Date.now() });
    return this.#change(async (models) => {
      const taken = models.find((other) => other.name === name);
      if (taken !== undefined && taken.fullName !== fullName && !replace) {
        throw nameTaken(taken);
      }
      await place(join(this.#folder, 'content', contentId(files)));
      const all = [...models.filter((other) => other.name !== name), stored];
      if (taken !== undefined) await this.#sweep(taken, all);
      return { models: all, result: this.#entryOf(stored, all) };
    });
  }

  /** Removes the files of a name that is gone, unless another name has them or a process uses them. */
  async #sweep({ files }: StoredEntry, left: readonly StoredEntry[]): Promise<boolean> {
    const id = contentId(files);
    if (left.some((other) => contentId(other.files) === id) || (await this.users({ files })).length > 0) return false;
    await rm(join(this.#folder, 'content', id), { recursive: true, force: true });
    return true;
  }

  async remove(name: string): Promise<{ readonly entry: ModelEntry; readonly freedBytes: number }> {
    return this.#change(async (models) => {
      const stored = models.find((other) => other.name === name || other.fullName === name);
      if (stored === undefined) throw new NotFoundError('E_NOT_FOUND', `there is no model named "${name}" on this machine`, { hint: 'run `cocoon models list --local`' });
      const entry = this.#entryOf(stored, models);
      const users = await this.users(entry);
      if (users.length > 0 && entry.references === 1) {
        throw new ConfigError('E_MODEL_IN_USE', `the model ${stored.name} is in use by process ${users.join(', ')}`, { hint: 'stop the node first: cocoon node stop' });
      }
      const left = models.filter((other) => other !== stored);
      const freed = await this.#sweep(stored, left);
      return { models: left, result: { entry, freedBytes: freed ? entry.files.reduce((sum, { size }) => sum + size, 0) : 0 } };
    });
  }

  #usesOf({ files }: Pick<ModelEntry, 'files'>): string {
    return join(this.#folder, 'uses', contentId(files));
  }

  use(entry: Pick<ModelEntry, 'files'>): Promise<() => Promise<void>> {
    return raiseUse(this.#usesOf(entry));
  }

  users(entry: Pick<ModelEntry, 'files'>): Promise<number[]> {
    return usersIn(this.#usesOf(entry));
  }
}

export interface ResolvedModel {
  /** What the engine is given. */
  readonly path: string;
  /** All files, in order. */
  readonly paths: readonly string[];
  /** Base name, as clients ask for it. */
  readonly name: string;
  /** The full name that the registry has; null for a file that is not from it: its bytes say what it is. */
  readonly expected: string | null;
  /** Null for a file that is not from the registry. */
  readonly entry: ModelEntry | null;
}

/**
 * The model that a person names: a path, or the name of a model of this machine. A name that both could be is the model of the
 * registry; `./name` is always the file. Throws NotFoundError, UsageError.
 */
export async function resolveModel(text: string, { home, cwd }: { readonly home: string; readonly cwd: string }): Promise<ResolvedModel> {
  const entry = /^\.{0,2}\//.test(text) ? null : await openRegistry(home).find(text);
  const [path] = entry?.paths ?? [];
  if (entry !== null && path !== undefined) return { path, paths: entry.paths, name: entry.name, expected: entry.fullName, entry };
  const file = resolve(cwd, text);
  if (await pathExists(file)) return { path: file, paths: [file], name: nameOfFile(file), expected: null, entry: null };
  throw new NotFoundError('E_NOT_FOUND', `"${text}" is neither a file nor a model of this machine`, { hint: 'run `cocoon models list --local`, or get it with `cocoon models pull`' });
}

/**
 * Reads every byte of a model, over all cores, and returns its full name. `expected` null: a file of unknown origin, which is
 * `name@local:SHA-256`. Throws ConfigError `E_MODEL_DAMAGED` where the bytes are not those of `expected`, NotFoundError, the signal's reason.
 */
export async function verifyModel({ paths, name, expected }: Pick<ResolvedModel, 'paths' | 'name' | 'expected'>, options: VerifyOptions = {}): Promise<string> {
  if (expected !== null) return verifyFiles(paths, expected, options);
  requireModelName(name);
  try {
    return `${name}@${LOCAL}:${await hashOfFiles(paths, LOCAL, options)}`;
  } catch (cause) {
    if (options.signal?.aborted === true) throw abortError(options.signal);
    throw new NotFoundError('E_NOT_FOUND', `cannot read the model file "${paths[0] ?? ''}": ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}
