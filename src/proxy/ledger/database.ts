// The SQLite file of the ledger: WAL, every commit synced, one process. Statements run on a thread of the library's own, so
// a sync never stalls the event loop; texts are whole transactions. The only importer of libsql.
import { open } from 'node:fs/promises';
import { ConfigError, DaemonError } from '../../core/errors.ts';
import { pathExists } from '../../core/files.ts';

export type Row = Readonly<Record<string, bigint | string | null>>;

export interface Database {
  /** Runs a text of statements to its end; the first error ends it and leaves its transaction open. */
  exec(sql: string): Promise<void>;
  /** Integers come as bigint; ask for hex() of blobs. */
  all(sql: string): Promise<Row[]>;
  /** Leaves one file without a log behind, where that can be done, and lets go of it. Never rejects. */
  close(): Promise<void>;
}

/** What is used of libsql's promise interface; its own types leave everything open. */
interface Library {
  exec(sql: string): Promise<unknown>;
  prepare(sql: string): Promise<{ safeIntegers(on: boolean): unknown; all(): Promise<Row[]> }>;
  close(): void;
}

const BUSY = /^SQLITE_(BUSY|LOCKED)/;

/** Code of SQLite in an error of the library: `SQLITE_FULL`. */
export const sqliteCode = (error: unknown): string =>
  typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string' ? error.code : 'unknown';

export const reasonOf = (error: unknown): string => `${sqliteCode(error)}: ${error instanceof Error ? error.message : String(error)}`;

async function load(path: string): Promise<Library> {
  const { default: Libsql } = await import('libsql/promise');
  return new Libsql(path, {}) as Library;
}

export interface DatabaseOptions {
  /** True: fails where there is no file. Default: makes one of mode 0600. */
  readonly mustExist?: boolean;
  /** For tests of a full disk. */
  readonly maxPages?: number;
}

/**
 * Takes the file for this process alone, until `close` or the process's end. Throws ConfigError `E_STATE` when another one has
 * it, DaemonError `E_LEDGER` when it is no sound database.
 */
export async function openDatabase(path: string, options: DatabaseOptions = {}): Promise<Database> {
  const exists = await pathExists(path);
  if (!exists && options.mustExist === true) throw new ConfigError('E_STATE', `there is no ledger at ${path}`);
  if (!exists) {
    // What a log without its database says is lost with the next open; only a person can tell which file is missing.
    if (await pathExists(`${path}-wal`)) throw damaged(path, `${path}-wal is there, its database is not`);
    await (await open(path, 'wx', 0o600)).close();
  }
  let library: Library | undefined;
  try {
    library = await load(path);
    // The lock comes first: with it the log needs no shared memory, and its owner's death frees it.
    await library.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON;'
      + ' PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; BEGIN EXCLUSIVE; COMMIT');
    if (options.maxPages !== undefined) await library.exec(`PRAGMA max_page_count = ${options.maxPages}`);
    const database = wrap(library);
    await checkSettings(database, path);
    await checkIntegrity(database, path);
    return database;
  } catch (error) {
    if (library !== undefined) await release(library);
    if (BUSY.test(sqliteCode(error))) {
      throw new ConfigError('E_STATE', `the ledger ${path} is in use by another process`, { cause: error, hint: 'two proxies never share a ledger: stop the other one first' });
    }
    if (error instanceof DaemonError) throw error;
    throw damaged(path, reasonOf(error), error);
  }
}

function wrap(library: Library): Database {
  return {
    exec: async (sql) => void await library.exec(sql),
    all: async (sql) => {
      const statement = await library.prepare(sql);
      statement.safeIntegers(true);
      return statement.all();
    },
    close: () => release(library),
  };
}

/**
 * The library closes a connection only when its last statement was collected as garbage, which may be never; so the lock is given
 * back first. Leaving the log is what SQLite asks for before the locking mode can change.
 */
async function release(library: Library): Promise<void> {
  for (const sql of ['ROLLBACK', 'PRAGMA journal_mode = DELETE; PRAGMA locking_mode = NORMAL; SELECT count(*) FROM sqlite_schema']) {
    await library.exec(sql).catch(() => undefined);
  }
  library.close();
}

async function checkSettings(database: Database, path: string): Promise<void> {
  const [journal] = await database.all('PRAGMA journal_mode');
  const [synchronous] = await database.all('PRAGMA synchronous');
  if (journal?.['journal_mode'] !== 'wal' || synchronous?.['synchronous'] !== 2n) throw damaged(path, 'its file system does not allow a write-ahead log that is synced');
}

async function checkIntegrity(database: Database, path: string): Promise<void> {
  const problems = (await database.all('PRAGMA integrity_check(5)')).map((row) => String(row['integrity_check']));
  if (problems.length !== 1 || problems[0] !== 'ok') throw damaged(path, problems.join('; '));
}

export const damaged = (path: string, reason: string, cause?: unknown): DaemonError =>
  new DaemonError('E_LEDGER', `the ledger ${path} cannot be used: ${reason}`, { hint: 'restore the newest backup, or rebuild the ledger from the chain', ...(cause === undefined ? {} : { cause }) });
