// The folder of a local chain: its lock, and reading or making what is in it. Layout: `journal` (every record), `head.json`
// (how far empty blocks have counted), `faucet-key` and `admin-token` (secrets, 0600), `writer.lock` (flags of the one writer).
import { join } from 'node:path';
import type { Clock } from '../../core/clock.ts';
import { deferred } from '../../core/deferred.ts';
import { ConfigError } from '../../core/errors.ts';
import { pathExists, readBounded } from '../../core/files.ts';
import { withLock } from '../../core/lock.ts';
import type { Log } from '../../core/log.ts';
import type { FeeEra } from './config.ts';
import { checkGlobalId, faucetOf, makeSecret, makeGenesis, randomGlobalId } from './genesis.ts';
import { createJournal, Journal } from './journal.ts';
import { parseHead, parseJournalRecord } from './records.ts';
import type { GenesisRecord } from './records.ts';
import { ChainState } from './state.ts';

export interface LocalChainOptions {
  /** Folder of this chain; made when absent. */
  readonly dir: string;
  /** Fee parameters of a new chain. Default `gas400`. An existing chain keeps its own; another value is refused. */
  readonly era?: FeeEra;
  /** Global id of a new chain: a negative int32. Default: random. An existing chain keeps its own; another value is refused. */
  readonly globalId?: number;
  readonly clock: Clock;
  readonly log: Log;
}

export const FILES = { journal: 'journal', head: 'head.json', faucetKey: 'faucet-key', lock: 'writer' } as const;
/** Bearer token of the admin interface: 64 hexadecimal digits. */
export const ADMIN_TOKEN_FILE = 'admin-token';
const HEAD_BYTES = 4096;

/** Takes the lock on a folder for as long as the chain is open. Throws `E_STATE` naming the holder. */
export async function holdLock(path: string): Promise<() => Promise<void>> {
  const [held, released] = [deferred<void>(), deferred<void>()];
  const busy = (holder: string): ConfigError => new ConfigError('E_STATE', `cannot open the local chain in ${path}: ${holder} is running it`, { hint: 'stop it first; a chain has one writer' });
  const done = withLock(path, async () => {
    held.resolve();
    await released.promise;
  }, { timeoutMs: 0, busy });
  await Promise.race([held.promise, done]);
  return async () => {
    released.resolve();
    await done;
  };
}

/** Reads the chain of a folder, making a new one when there is none. Under the lock. Throws `E_STATE` or `E_CONFIG`. */
export async function loadState(dir: string, options: LocalChainOptions): Promise<{ state: ChainState; journal: Journal }> {
  const path = join(dir, FILES.journal);
  if (!(await pathExists(path))) {
    const globalId = options.globalId ?? randomGlobalId();
    checkGlobalId(globalId);
    const faucet = faucetOf(await makeSecret(dir, FILES.faucetKey), globalId);
    await createJournal(path, makeGenesis({ era: options.era ?? 'gas400', globalId, time: Math.floor(options.clock.now() / 1000), faucet }));
  }
  let state: ChainState | undefined;
  const journal = await Journal.open(path, (value, place) => {
    const record = parseJournalRecord(value);
    if (state !== undefined) state.apply(record, place);
    else if (record.type === 'genesis') state = new ChainState(record);
    else throw new ConfigError('E_STATE', `the journal ${path} does not begin with its first record`);
  }, options.log);
  try {
    if (state === undefined) throw new ConfigError('E_STATE', `the journal ${path} is empty`);
    checkWanted(state.genesis, options);
    const head = join(dir, FILES.head);
    if (await pathExists(head)) state.resume(parseHead(jsonOf(await readBounded(head, HEAD_BYTES), head)));
    return { state, journal };
  } catch (error) {
    await journal.close();
    throw error;
  }
}

function checkWanted({ era, globalId }: GenesisRecord, wanted: LocalChainOptions): void {
  const differs = (wanted.era !== undefined && wanted.era !== era) || (wanted.globalId !== undefined && wanted.globalId !== globalId);
  if (differs) {
    throw new ConfigError('E_STATE', `the chain in ${wanted.dir} has fee era ${era} and global id ${globalId}, expected ${wanted.era ?? era} and ${wanted.globalId ?? globalId}`, { hint: 'use another folder for another chain' });
  }
}

function jsonOf(bytes: Uint8Array, path: string): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch (error) {
    throw new ConfigError('E_STATE', `${path} is not JSON`, { cause: error });
  }
}
