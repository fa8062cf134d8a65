// A proxy's ledger as its files say, read from a copy: while its process is dead, whatever moment that was.
import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { openDatabase } from '../../src/proxy/ledger/database.ts';
import { INVARIANTS } from '../../src/proxy/ledger/schema.ts';
import { ledgerFile } from './world.ts';
import type { World } from './world.ts';

export interface LedgerRow {
  readonly kind: 'client' | 'worker';
  readonly owner: string;
  readonly contract: string;
  readonly db: bigint;
  readonly chain: bigint;
  /** Total of the highest signed payment, and its BoC in hexadecimal; 0n and '' before the first. */
  readonly signed: bigint;
  readonly payment: string;
}

/** Null where there is no ledger yet. Throws where the file is damaged or breaks its own rules. */
export async function readLedger(world: World, proxy: number): Promise<readonly LedgerRow[] | null> {
  const file = ledgerFile(world, proxy);
  if (!existsSync(file)) return null;
  const folder = mkdtempSync(join(world.home, 'snapshot-'));
  try {
    const copy = join(folder, 'ledger.db');
    for (const part of ['', '-wal', '-journal']) if (existsSync(`${file}${part}`)) copyFileSync(`${file}${part}`, `${copy}${part}`);
    const database = await openDatabase(copy, { mustExist: true });
    try {
      const tables = await database.all("SELECT name FROM sqlite_schema WHERE name = 'accounts'");
      if (tables.length === 0) return null;
      for (const { what, sql } of INVARIANTS) {
        const [row] = await database.all(sql);
        if (row?.['n'] !== 0n) throw new Error(`the ledger of proxy ${proxy} has ${what}`);
      }
      const rows = await database.all('SELECT a.kind, a.owner, a.contract, a.db, a.chain, p.tokens, hex(p.boc) AS boc FROM accounts a LEFT JOIN payments p ON p.account = a.id AND p.final = 0 ORDER BY a.id');
      return rows.map((row) => ({
        kind: row['kind'] === 0n ? 'client' : 'worker', owner: String(row['owner']), contract: String(row['contract']), db: BigInt(row['db'] ?? 0), chain: BigInt(row['chain'] ?? 0),
        signed: BigInt(row['tokens'] ?? 0), payment: row['boc'] === null ? '' : String(row['boc']).toLowerCase(),
      }));
    } finally {
      await database.close();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
