// The ledger over real SQLite files: totals, commitments, signatures, and every refusal.
import { afterEach, describe, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { copyFileSync, existsSync, openSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { openDatabase } from '../../../src/proxy/ledger/database.ts';
import { restoreLedger } from '../../../src/proxy/ledger/backup.ts';
import { openLedger } from '../../../src/proxy/ledger/open-ledger.ts';
import { address, cleanUp, commit, IDENTITY, newPath, open, pairOf, PARAMS, payment, PROXY } from './fixture.ts';

afterEach(cleanUp);

const totals = ({ maxTokens, dbTokens, chainTokens }: { maxTokens: bigint; dbTokens: bigint; chainTokens: bigint }) => [maxTokens, dbTokens, chainTokens];

describe('book', () => {
  it('raises max at once and db when it is durable, for both sides; a restart finds it', async () => {
    const path = newPath();
    const ledger = await open(path);
    const { client, worker } = await pairOf(ledger);
    const booked = ledger.book({ client, worker, tokens: 7n });
    expect([totals(client), totals(worker)]).toEqual([[7n, 0n, 0n], [7n, 0n, 0n]]);
    await booked;
    expect([totals(client), totals(worker)]).toEqual([[7n, 7n, 0n], [7n, 7n, 0n]]);
    await ledger.close();
    const again = await pairOf(await open(path));
    expect([totals(again.client), totals(again.worker)]).toEqual([[7n, 7n, 0n], [7n, 7n, 0n]]);
  });

  it('many bookings share few transactions, and each is in the sum once', async () => {
    const ledger = await open(newPath());
    const pairs = await Promise.all([0, 1, 2, 3].map((n) => pairOf(ledger, n)));
    const before = ledger.counters.transactions;
    await Promise.all(Array.from({ length: 10_000 }, (_, n) => {
      const { client } = pairs[n % 4] ?? pairs[0] as never;
      const { worker } = pairs[n % 3] ?? pairs[0] as never;
      return ledger.book({ client, worker, tokens: BigInt(n) });
    }));
    expect(ledger.counters.transactions - before).toBeLessThan(10);
    expect(ledger.counters.bookings).toBe(10_000);
    const sum = (kind: 'client' | 'worker') => pairs.reduce((total, pair) => total + pair[kind].dbTokens, 0n);
    expect([sum('client'), sum('worker')]).toEqual([49_995_000n, 49_995_000n]);
  });

  it('refuses negative tokens, sums above 2^63 - 1, accounts of another ledger, and sides of two proxy contracts', async () => {
    const ledger = await open(newPath());
    const { client, worker } = await pairOf(ledger);
    const other = await pairOf(await open(newPath()));
    await expect(ledger.book({ client, worker, tokens: -1n })).rejects.toMatchObject({ code: 'E_INTERNAL' });
    await ledger.book({ client, worker, tokens: 2n ** 63n - 1n });
    await expect(ledger.book({ client, worker, tokens: 1n })).rejects.toMatchObject({ code: 'E_INTERNAL' });
    await expect(ledger.book({ client: other.client, worker, tokens: 1n })).rejects.toMatchObject({ code: 'E_INTERNAL' });
    await expect(ledger.book({ client: worker, worker: client, tokens: 1n })).rejects.toMatchObject({ code: 'E_INTERNAL' });
    const second = await ledger.addInstance(address(8), PARAMS);
    await expect(ledger.book({ client, worker: ledger.account(second, 'worker', address(3000), address(5)), tokens: 1n })).rejects.toMatchObject({ code: 'E_INTERNAL' });
    expect(ledger.failure).toBeNull();
    expect(worker.dbTokens).toBe(2n ** 63n - 1n);
  });
});

describe('commitments', () => {
  it('chain rises to what was on disk when the commitment began, and only when it is confirmed', async () => {
    const path = newPath();
    const ledger = await open(path);
    const { client, worker } = await pairOf(ledger);
    await ledger.book({ client, worker, tokens: 5n });
    const later = ledger.book({ client, worker, tokens: 1n });
    const first = await ledger.beginCommitment();
    await later;
    await ledger.book({ client, worker, tokens: 10n });
    expect([first.seqno, client.chainTokens]).toEqual([1, 0n]);
    await ledger.endCommitment(first, 'confirmed');
    expect([totals(client), totals(worker), ledger.uncommitted]).toEqual([[16n, 16n, 6n], [16n, 16n, 6n], true]);
    await ledger.endCommitment(await ledger.beginCommitment(), 'abandoned');
    expect([worker.chainTokens, ledger.seqno]).toEqual([6n, 2]);
    await commit(ledger);
    expect([worker.chainTokens, ledger.uncommitted]).toEqual([16n, false]);
    await ledger.close();
    const again = await open(path);
    expect([again.seqno, again.existed, again.sessionOf(3)]).toEqual([3, true, ledger.session]);
    expect(again.session).not.toEqual(ledger.session);
  });

  it('only one is open at a time', async () => {
    const ledger = await open(newPath());
    const begun = ledger.beginCommitment();
    await expect(ledger.beginCommitment()).rejects.toMatchObject({ code: 'E_INTERNAL' });
    const commitment = await begun;
    await ledger.endCommitment(commitment, 'confirmed');
    await expect(ledger.endCommitment(commitment, 'confirmed')).rejects.toMatchObject({ code: 'E_INTERNAL' });
  });
});

describe('sign', () => {
  it('keeps the highest payment with its bytes; a restart has the same', async () => {
    const path = newPath();
    const ledger = await open(path);
    const { client, worker } = await pairOf(ledger);
    await ledger.book({ client, worker, tokens: 5n });
    await commit(ledger);
    const signed = payment(worker, 5n);
    await ledger.sign([{ account: worker, payment: signed }, { account: client, payment: payment(client, 4n) }]);
    await ledger.sign([{ account: worker, payment: signed }]);
    await ledger.close();
    const again = await pairOf(await open(path));
    expect([again.worker.payment, again.client.payment?.tokens]).toEqual([signed, 4n]);
  });

  it('refuses totals that are not committed, lower, in other bytes, or after the last one', async () => {
    const ledger = await open(newPath());
    const { client, worker } = await pairOf(ledger);
    await ledger.book({ client, worker, tokens: 9n });
    const refused = { code: 'E_INTERNAL' };
    await expect(ledger.sign([{ account: worker, payment: payment(worker, 1n) }])).rejects.toMatchObject(refused);
    await commit(ledger);
    await ledger.sign([{ account: worker, payment: payment(worker, 8n) }]);
    await expect(ledger.sign([{ account: worker, payment: payment(worker, 7n) }])).rejects.toMatchObject(refused);
    await expect(ledger.sign([{ account: worker, payment: payment(worker, 8n, 'workerPayout', 6n) }])).rejects.toMatchObject(refused);
    await ledger.sign([{ account: worker, payment: payment(worker, 8n, 'workerLastPayout') }]);
    await expect(ledger.sign([{ account: worker, payment: payment(worker, 9n) }])).rejects.toMatchObject(refused);
    expect([worker.payment?.tokens, worker.finalPayment?.tokens]).toEqual([8n, 8n]);
  });
});

describe('the database itself', () => {
  it.each([
    ['a total that goes back', 'UPDATE accounts SET db = db - 1, chain = 0'],
    ['chain above db', 'UPDATE accounts SET chain = db + 1'],
    ['a committed total that goes back', 'UPDATE accounts SET chain = chain - 1'],
    ['a signature above what was committed', 'UPDATE payments SET tokens = 100'],
    ['a lower signature', 'UPDATE payments SET tokens = 1'],
    ['other bytes for a signed total', 'UPDATE payments SET boc = x\'00\''],
    ['a phase that goes back', 'UPDATE instances SET phase = 0'],
    ['a count of commitments that goes back', 'UPDATE meta SET seqno = 0'],
  ])('refuses %s', async (_what, sql) => {
    const path = newPath();
    const ledger = await open(path);
    const { client, worker, instance } = await pairOf(ledger);
    await ledger.book({ client, worker, tokens: 9n });
    await commit(ledger);
    await ledger.sign([{ account: worker, payment: payment(worker, 8n) }]);
    await ledger.setPhase(instance, 'winding');
    await ledger.close();
    const database = await openDatabase(path);
    await expect(database.exec(sql)).rejects.toThrow(/would|CHECK|signed/);
    await database.close();
    expect((await pairOf(await open(path))).worker.dbTokens).toBe(9n);
  });
});

describe('openLedger: refusals', () => {
  it.each([
    ['network', { ...IDENTITY, globalId: -3 }], ['root contract', { ...IDENTITY, root: address(77) }],
    ['owner', { ...IDENTITY, owner: address(77) }], ['payment key', { ...IDENTITY, publicKey: new Uint8Array(32) }],
  ])('a ledger of another %s', async (what, identity) => {
    const path = newPath();
    await (await open(path)).close();
    await expect(openLedger(path, identity)).rejects.toMatchObject({ code: 'E_STATE', message: expect.stringContaining(what) });
  });

  it('a ledger that another opening has, in this process and in another one; its death frees it', async () => {
    const path = newPath();
    const ledger = await open(path);
    await expect(open(path)).rejects.toMatchObject({ code: 'E_STATE', message: expect.stringContaining('in use') });
    await ledger.close();
    const child = spawn(process.execPath, ['--import', here('../../fakes/ts-hooks.mjs'), here('holder-child.ts'), path], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(child.stdout, 'data');
    await expect(open(path)).rejects.toMatchObject({ code: 'E_STATE' });
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect((await pairOf(await open(path))).client.dbTokens).toBe(3n);
  });

  it('damaged files: no database, a flipped page, a cut end, a log without its database', async () => {
    const noDatabase = newPath();
    writeFileSync(noDatabase, 'x'.repeat(5000));
    await expect(open(noDatabase)).rejects.toMatchObject({ code: 'E_LEDGER' });

    const whole = newPath();
    const ledger = await open(whole);
    for (let n = 0; n < 50; n += 1) {
      const { client, worker } = await pairOf(ledger, n);
      await ledger.book({ client, worker, tokens: 1n });
    }
    await ledger.close();
    const size = statSync(whole).size;
    const pages = size / 4096;
    let refused = 0;
    for (let page = 1; page < pages; page += 1) {
      const flipped = newPath();
      copyFileSync(whole, flipped);
      const file = openSync(flipped, 'r+');
      writeSync(file, Buffer.alloc(64, 0xa5), 0, 64, page * 4096);
      await open(flipped).then(() => undefined, (error: unknown) => {
        expect(error).toMatchObject({ code: 'E_LEDGER' });
        refused += 1;
      });
    }
    expect([refused, pages > 5]).toEqual([pages - 1, true]);

    const cut = newPath();
    copyFileSync(whole, cut);
    truncateSync(cut, size - 4096);
    await expect(open(cut)).rejects.toMatchObject({ code: 'E_LEDGER' });

    const lost = newPath();
    writeFileSync(`${lost}-wal`, 'log');
    await expect(open(lost)).rejects.toMatchObject({ code: 'E_LEDGER' });
  });

  it('another database, and a newer version', async () => {
    const path = newPath();
    const database = await openDatabase(path);
    await database.exec('CREATE TABLE x (y)');
    await database.close();
    await expect(open(path)).rejects.toMatchObject({ code: 'E_LEDGER', message: expect.stringContaining('no ledger') });
    const newer = newPath();
    await (await open(newer)).close();
    const changed = await openDatabase(newer);
    await changed.exec('PRAGMA user_version = 2');
    await changed.close();
    await expect(open(newer)).rejects.toMatchObject({ code: 'E_STATE', message: expect.stringContaining('version 2') });
  });

  it('the file can be read by its owner only', async () => {
    const path = newPath();
    const ledger = await open(path);
    await pairOf(ledger);
    for (const suffix of ['', '-wal']) expect(statSync(`${path}${suffix}`).mode & 0o777).toBe(0o600);
  });
});

describe('a disk that is full', () => {
  it('ends the ledger: what was acknowledged is there after a restart, what was not is refused, and nothing works any more', async () => {
    const path = newPath();
    const ledger = await open(path, { maxPages: 40 });
    let acknowledged = 0;
    let failure: unknown;
    for (let n = 0; failure === undefined && n < 5_000; n += 1) {
      const { client, worker } = await pairOf(ledger, n);
      await ledger.book({ client, worker, tokens: 1n }).then(() => { acknowledged += 1; }, (error: unknown) => { failure = error; });
    }
    expect(failure).toMatchObject({ code: 'E_LEDGER', message: expect.stringContaining('SQLITE_FULL') });
    expect(acknowledged).toBeGreaterThan(50);
    expect(await ledger.failed).toBe(ledger.failure);
    const known = ledger.accounts((ledger.instances())[0] as never)[0] as never;
    await expect(ledger.prove(known, 100n)).rejects.toMatchObject({ code: 'E_LEDGER' });
    await expect(ledger.beginCommitment()).rejects.toMatchObject({ code: 'E_LEDGER' });
    await expect(ledger.backup(`${path}.backup`)).rejects.toMatchObject({ code: 'E_LEDGER' });
    await ledger.close();
    const again = await open(path);
    const [instance] = again.instances();
    const sum = again.accounts(instance as never).filter(({ kind }) => kind === 'client').reduce((total, { dbTokens }) => total + dbTokens, 0n);
    expect(Number(sum)).toBe(acknowledged);
  });
});

describe('prove and follow', () => {
  it('a proven total raises all three, a lower one nothing', async () => {
    const path = newPath();
    const ledger = await open(path);
    const { client, worker } = await pairOf(ledger);
    const booked = ledger.book({ client, worker, tokens: 5n });
    await ledger.prove(worker, 3n);
    await booked;
    expect(totals(worker)).toEqual([5n, 5n, 3n]);
    await ledger.prove(worker, 50n);
    await ledger.prove(worker, 40n);
    expect([totals(worker), totals(client)]).toEqual([[50n, 50n, 50n], [5n, 5n, 0n]]);
    await ledger.close();
    expect(totals((await pairOf(await open(path))).worker)).toEqual([50n, 50n, 50n]);
  });

  it('keeps the newest state of a child and the cursor, and takes neither back', async () => {
    const path = newPath();
    const ledger = await open(path);
    const { instance, client } = await pairOf(ledger);
    const child = { lt: 10n, state: 0, tokens: 3n, balanceNano: 2n ** 70n, stakeNano: 5n, secretHash: new Uint8Array(32).fill(4) };
    const cursor = { lt: 20n, hash: new Uint8Array(32).fill(1) };
    await ledger.follow(instance, cursor, [{ account: client, child }]);
    await ledger.follow(instance, null, [{ account: client, child: { ...child, lt: 9n, tokens: 0n } }]);
    await expect(ledger.follow(instance, { ...cursor, lt: 19n }, [])).rejects.toMatchObject({ code: 'E_INTERNAL' });
    await ledger.close();
    const again = await pairOf(await open(path));
    expect([again.client.child, again.instance.cursor]).toEqual([child, cursor]);
  });

  it('who connected and did nothing leaves no row', async () => {
    const path = newPath();
    const ledger = await open(path);
    const { instance, client } = await pairOf(ledger);
    expect(ledger.account(instance, 'client', client.owner, client.contract)).toBe(client);
    expect(ledger.accounts(instance)).toHaveLength(0);
  });

  it('phases, params, counters and adopted counts are there after a restart', async () => {
    const path = newPath();
    const ledger = await open(path);
    const { instance } = await pairOf(ledger);
    await ledger.setPhase(instance, 'winding');
    await expect(ledger.setPhase(instance, 'serving')).rejects.toMatchObject({ code: 'E_INTERNAL' });
    await ledger.setCounter('withdrawals', 4);
    await ledger.adoptSeqno(900);
    await ledger.adoptSeqno(20);
    await ledger.close();
    const again = await open(path);
    expect([again.instances()[0]?.phase, again.instances()[0]?.params, again.counter('withdrawals'), again.counter('none'), again.seqno]).toEqual(['winding', PARAMS, 4, 0, 900]);
    expect((await again.addInstance(PROXY, PARAMS)).id).toBe(1);
  });
});

describe('backup and restoreLedger', () => {
  it('copies a running ledger between two bookings, and brings it back where there is none', async () => {
    const path = newPath();
    const ledger = await open(path);
    const { client, worker } = await pairOf(ledger);
    const before = Array.from({ length: 100 }, () => ledger.book({ client, worker, tokens: 1n }));
    const done = ledger.backup(`${path}.backup`);
    const after = Array.from({ length: 100 }, () => ledger.book({ client, worker, tokens: 1n }));
    await Promise.all([...before, done, ...after]);
    expect([client.dbTokens, statSync(`${path}.backup`).mode & 0o777]).toEqual([200n, 0o600]);
    await expect(ledger.backup(`${path}.backup`)).rejects.toMatchObject({ code: 'E_STATE' });
    await expect(ledger.backup(`${path}'; --`)).rejects.toMatchObject({ code: 'E_STATE' });
    await expect(ledger.backup('/nonexistent-folder/backup')).rejects.toMatchObject({ code: 'E_STATE' });
    await ledger.book({ client, worker, tokens: 1n });
    await ledger.close();
    await expect(restoreLedger(`${path}.backup`, path)).rejects.toMatchObject({ code: 'E_STATE', message: expect.stringContaining('exists') });
    for (const suffix of ['', '-wal', '-shm']) rmSync(`${path}${suffix}`, { force: true });
    await restoreLedger(`${path}.backup`, path);
    expect((await pairOf(await open(path))).client.dbTokens).toBe(100n);
    expect(existsSync(`${path}.tmp`)).toBe(false);
  });

  it('a damaged backup is not brought back', async () => {
    const path = newPath();
    const ledger = await open(path);
    await pairOf(ledger);
    await ledger.backup(`${path}.backup`);
    await ledger.close();
    const bytes = readFileSync(`${path}.backup`);
    writeFileSync(`${path}.backup`, bytes.fill(0x5a, 4096, 4200));
    await expect(restoreLedger(`${path}.backup`, newPath())).rejects.toMatchObject({ code: 'E_LEDGER' });
  });
});

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
