// Tables of the ledger. The database itself refuses what must never happen: totals, states and phases that go back,
// chain > db, a signature above what was committed, other bytes for a total that is signed.

/** Raised with every change of the tables; a ledger of another version is refused. */
export const SCHEMA_VERSION = 1;

/** Marks the file as ours ("Coco"). */
export const APPLICATION_ID = 0x436f_636f;

const NEVER_BACK = (table: string, column: string): string => `
  CREATE TRIGGER ${table}_${column}_never_back BEFORE UPDATE OF ${column} ON ${table} WHEN NEW.${column} < OLD.${column}
  BEGIN SELECT RAISE(ABORT, '${table}.${column} would go back'); END;`;

export const SCHEMA = `
  CREATE TABLE meta (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    global_id INTEGER NOT NULL,
    root TEXT NOT NULL,
    owner TEXT NOT NULL,
    public_key BLOB NOT NULL CHECK (length(public_key) = 32),
    seqno INTEGER NOT NULL CHECK (seqno BETWEEN 0 AND 2147483647)
  ) STRICT;
  ${NEVER_BACK('meta', 'seqno')}

  CREATE TABLE commitments (
    seqno INTEGER PRIMARY KEY,
    session BLOB NOT NULL CHECK (length(session) = 32)
  ) STRICT;

  CREATE TABLE instances (
    id INTEGER PRIMARY KEY,
    contract TEXT NOT NULL UNIQUE,
    params BLOB NOT NULL,
    phase INTEGER NOT NULL CHECK (phase BETWEEN 0 AND 2),
    cursor_lt INTEGER,
    cursor_hash BLOB CHECK (length(cursor_hash) = 32),
    CHECK ((cursor_lt IS NULL) = (cursor_hash IS NULL))
  ) STRICT;
  ${NEVER_BACK('instances', 'phase')}
  ${NEVER_BACK('instances', 'cursor_lt')}

  -- kind: 0 client, 1 worker. db: tokens booked. chain: tokens committed on chain. child_*: the contract as last seen on chain.
  CREATE TABLE accounts (
    id INTEGER PRIMARY KEY,
    instance INTEGER NOT NULL REFERENCES instances (id),
    kind INTEGER NOT NULL CHECK (kind IN (0, 1)),
    owner TEXT NOT NULL,
    contract TEXT NOT NULL UNIQUE,
    db INTEGER NOT NULL DEFAULT 0 CHECK (db >= 0),
    chain INTEGER NOT NULL DEFAULT 0 CHECK (chain BETWEEN 0 AND db),
    child_lt INTEGER,
    child_state INTEGER CHECK (child_state BETWEEN 0 AND 3),
    child_tokens INTEGER,
    child_balance TEXT,
    child_stake TEXT,
    child_secret BLOB CHECK (length(child_secret) = 32),
    UNIQUE (instance, kind, owner)
  ) STRICT;
  ${NEVER_BACK('accounts', 'db')}
  ${NEVER_BACK('accounts', 'chain')}
  ${NEVER_BACK('accounts', 'child_lt')}

  CREATE TABLE payments (
    account INTEGER NOT NULL REFERENCES accounts (id),
    final INTEGER NOT NULL CHECK (final IN (0, 1)),
    tokens INTEGER NOT NULL,
    boc BLOB NOT NULL,
    PRIMARY KEY (account, final)
  ) STRICT;
  ${NEVER_BACK('payments', 'tokens')}
  CREATE TRIGGER payments_same_bytes BEFORE UPDATE ON payments WHEN NEW.tokens = OLD.tokens AND NEW.boc <> OLD.boc
  BEGIN SELECT RAISE(ABORT, 'a total would be signed twice in different bytes'); END;
  CREATE TRIGGER payments_final_stays BEFORE UPDATE ON payments WHEN OLD.final = 1 AND NEW.tokens <> OLD.tokens
  BEGIN SELECT RAISE(ABORT, 'a final payment would change'); END;
  ${(['INSERT', 'UPDATE'] as const).map((event) => `
  CREATE TRIGGER payments_committed_${event} BEFORE ${event} ON payments
  WHEN NEW.tokens > (SELECT chain FROM accounts WHERE id = NEW.account)
  BEGIN SELECT RAISE(ABORT, 'a total would be signed that is not committed'); END;
  CREATE TRIGGER payments_after_final_${event} BEFORE ${event} ON payments
  WHEN NEW.final = 0 AND EXISTS (SELECT 1 FROM payments WHERE account = NEW.account AND final = 1 AND tokens < NEW.tokens)
  BEGIN SELECT RAISE(ABORT, 'a payment would be signed after the last one'); END;`).join('')}

  CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL CHECK (value >= 0)) STRICT;

  PRAGMA application_id = ${APPLICATION_ID};
  PRAGMA user_version = ${SCHEMA_VERSION};
`;

/** Each finds rows that must not exist; the database's own checks cannot see across tables. */
export const INVARIANTS: readonly { readonly what: string; readonly sql: string }[] = [
  { what: 'totals with chain > db', sql: 'SELECT count(*) AS n FROM accounts WHERE chain > db OR chain < 0' },
  { what: 'signatures above what was committed', sql: 'SELECT count(*) AS n FROM payments p JOIN accounts a ON a.id = p.account WHERE p.tokens > a.chain' },
  { what: 'payments of no account', sql: 'SELECT count(*) AS n FROM payments WHERE account NOT IN (SELECT id FROM accounts)' },
  { what: 'accounts of no proxy contract', sql: 'SELECT count(*) AS n FROM accounts WHERE instance NOT IN (SELECT id FROM instances)' },
  { what: 'commitments above the count', sql: 'SELECT count(*) AS n FROM commitments WHERE seqno > (SELECT seqno FROM meta)' },
];
