// Opens the ledger: takes its file for this process, makes the tables of a new one, checks an old one whole. Refuses a
// ledger of another network, root, owner, key or version, and one whose invariants do not hold.
import { randomBytes } from 'node:crypto';
import { toHex } from '../../core/bytes.ts';
import { ConfigError, DaemonError } from '../../core/errors.ts';
import { damaged, openDatabase, reasonOf } from './database.ts';
import type { Database, DatabaseOptions } from './database.ts';
import type { Ledger, LedgerIdentity } from './ledger.ts';
import { loadRecords } from './records.ts';
import { APPLICATION_ID, INVARIANTS, SCHEMA, SCHEMA_VERSION } from './schema.ts';
import { blob, integer, text } from './sql.ts';
import { SqliteLedger } from './sqlite-ledger.ts';

export interface OpenLedgerOptions extends DatabaseOptions {
  /** Session of this opening, 32 bytes. Default: random. */
  readonly session?: Uint8Array;
}

/** Throws ConfigError `E_STATE` (in use, of another proxy), DaemonError `E_LEDGER` (damaged, cannot be written). */
export async function openLedger(path: string, identity: LedgerIdentity, options: OpenLedgerOptions = {}): Promise<Ledger> {
  const database = await openDatabase(path, options);
  try {
    const existed = await prepare(database, path, identity);
    for (const { what, sql } of INVARIANTS) {
      const [row] = await database.all(sql);
      if (row?.['n'] !== 0n) throw damaged(path, `it has ${what}`);
    }
    const { instances, accounts } = await loadRecords(database);
    const [meta] = await database.all('SELECT seqno FROM meta');
    const sessions = await database.all('SELECT seqno, hex(session) AS session FROM commitments');
    const counters = await database.all('SELECT name, value FROM counters');
    return new SqliteLedger(database, {
      identity, existed, path, instances, accounts,
      session: options.session ?? new Uint8Array(randomBytes(32)),
      seqno: Number(meta?.['seqno']),
      sessions: new Map(sessions.map((row) => [Number(row['seqno']), new Uint8Array(Buffer.from(String(row['session']), 'hex'))])),
      counters: new Map(counters.map((row) => [String(row['name']), Number(row['value'])])),
    });
  } catch (error) {
    await database.close();
    if (error instanceof ConfigError || error instanceof DaemonError) throw error;
    throw damaged(path, reasonOf(error), error);
  }
}

/** True when there was a ledger; false when one was made. */
async function prepare(database: Database, path: string, identity: LedgerIdentity): Promise<boolean> {
  const [application] = await database.all('PRAGMA application_id');
  const [version] = await database.all('PRAGMA user_version');
  const [tables] = await database.all('SELECT count(*) AS n FROM sqlite_schema');
  if (tables?.['n'] === 0n) {
    await make(database, identity);
    return false;
  }
  if (application?.['application_id'] !== BigInt(APPLICATION_ID)) throw damaged(path, 'it is no ledger of a proxy');
  if (version?.['user_version'] !== BigInt(SCHEMA_VERSION)) {
    throw new ConfigError('E_STATE', `the ledger ${path} has version ${String(version?.['user_version'])}, expected ${SCHEMA_VERSION}`, { hint: 'use the version of cocoon that wrote it' });
  }
  const [row] = await database.all('SELECT global_id, root, owner, lower(hex(public_key)) AS public_key FROM meta');
  if (row === undefined) throw damaged(path, 'it does not say whose it is');
  const found = [row['global_id'], row['root'], row['owner'], row['public_key']];
  const wanted = [BigInt(identity.globalId), identity.root.toRawString(), identity.owner.toRawString(), toHex(identity.publicKey)];
  const names = ['network', 'root contract', 'owner', 'payment key'];
  const other = found.findIndex((value, at) => value !== wanted[at]);
  if (other >= 0) {
    throw new ConfigError('E_STATE', `the ledger ${path} is for ${names[other]} ${String(found[other])}, expected ${String(wanted[other])}`, { hint: 'each proxy has a ledger of its own for each network and key' });
  }
  return true;
}

async function make(database: Database, { globalId, root, owner, publicKey }: LedgerIdentity): Promise<void> {
  // Global ids of networks may be negative; everything else in the ledger is not.
  const id = globalId < 0 ? `-${integer(-globalId)}` : integer(globalId);
  await database.exec(`BEGIN IMMEDIATE;${SCHEMA};INSERT INTO meta (id, global_id, root, owner, public_key, seqno)`
    + ` VALUES (1, ${id}, ${text(root.toRawString())}, ${text(owner.toRawString())}, ${blob(publicKey)}, 0);COMMIT`);
}
