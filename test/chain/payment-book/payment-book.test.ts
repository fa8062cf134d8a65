// The payment book: nothing goes back, nothing foreign gets in, and a kill at any instant loses nothing that was promised.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { signerOfSeed } from '../../../src/chain/ed25519.ts';
import { openPaymentBook } from '../../../src/chain/payment-book.ts';
import type { BookEntry } from '../../../src/chain/payment-entry.ts';
import { encodePayment } from '../../../src/chain/signed-payment.ts';
import { address, ENTRY, pay } from './fixture.ts';

let folder: string;
beforeEach(() => { folder = join(mkdtempSync(join(tmpdir(), 'book-')), 'book'); });
afterEach(() => rmSync(join(folder, '..'), { recursive: true, force: true }));

const { contract } = ENTRY;
/** An entry as text: addresses have methods that are never equal. */
const shown = (entry: BookEntry | null | undefined): string => JSON.stringify(entry, (_key, value: unknown) => typeof value === 'bigint' ? `${value}` : value);
const fileOf = (): string => join(folder, readdirSync(folder).find((name) => name.endsWith('.json')) ?? '');

describe('openPaymentBook', () => {
  it('keeps the highest payment and what was counted, in a private file, over restarts', async () => {
    const book = await openPaymentBook(folder);
    await book.open({ ...ENTRY, model: 'm', startTokens: 7n });
    await Promise.all([book.counted(contract, { tokens: 100n, openTokens: 50n }), book.record(contract, pay(90n)), book.stated(contract, { dbTokens: 95n, claimedTokens: 20n })]);
    await book.counted(contract, { tokens: 3n, openTokens: -10n });
    expect(statSync(fileOf()).mode & 0o777).toBe(0o600);
    const [entry] = await (await openPaymentBook(folder)).entries();
    expect(entry).toMatchObject({ countedTokens: 110n, openTokens: 40n, signedTokens: 90n, dbTokens: 95n, claimedTokens: 20n, model: 'm', kind: 'worker' });
    expect(entry?.payment).toEqual(encodePayment(pay(90n)));
    expect(shown(entry)).toBe(shown(book.entry(contract)));
  });

  it('refuses to go back: lower totals of every kind change nothing, counts are only added to', async () => {
    const book = await openPaymentBook(folder);
    await book.open({ ...ENTRY, startTokens: 10n });
    await book.record(contract, pay(90n));
    await book.stated(contract, { dbTokens: 95n, claimedTokens: 20n });
    const before = shown(book.entry(contract));
    await book.record(contract, pay(89n));
    await book.record(contract, pay(90n));
    await book.stated(contract, { dbTokens: 1n, claimedTokens: 19n });
    await book.open(ENTRY);
    expect(shown(book.entry(contract))).toBe(before);
    await expect(book.counted(contract, { tokens: -1n })).rejects.toMatchObject({ code: 'E_STATE' });
    expect((await book.counted(contract, { openTokens: -5n })).openTokens).toBe(0n);
  });

  it('a last payout of the same total takes the place of a payout, never the other way round', async () => {
    const book = await openPaymentBook(folder);
    await book.open(ENTRY);
    await book.record(contract, pay(90n));
    const last = pay(90n, 'workerLastPayout');
    expect((await book.record(contract, last)).payment).toEqual(encodePayment(last));
    expect((await book.record(contract, pay(90n))).payment).toEqual(encodePayment(last));
  });

  it('takes nothing that is not the proxy\'s own promise to this contract', async () => {
    const book = await openPaymentBook(folder);
    await book.open(ENTRY);
    const refused = { code: 'E_SIGNED_PAYMENT' };
    await expect(book.record(contract, pay(9n, 'workerPayout', address(9)))).rejects.toMatchObject(refused);
    await expect(book.record(contract, pay(9n, 'workerPayout', contract, signerOfSeed(new Uint8Array(32).fill(12))))).rejects.toMatchObject(refused);
    await expect(book.record(contract, pay(9n, 'clientCharge'))).rejects.toMatchObject(refused);
    await expect(book.record(address(8), pay(9n))).rejects.toMatchObject({ code: 'E_STATE', message: expect.stringContaining('has not been opened') });
    expect(book.entry(contract)).toMatchObject({ signedTokens: 0n, payment: null });
  });

  it.each([{ proxy: address(5) }, { publicKey: new Uint8Array(32) }, { kind: 'client' as const }])('an entry does not change its owner: %j', async (change) => {
    const book = await openPaymentBook(folder);
    await book.open(ENTRY);
    await expect(book.open({ ...ENTRY, ...change })).rejects.toMatchObject({ code: 'E_STATE' });
  });

  it('two objects on one folder, as two processes have: both counts stay', async () => {
    const [one, two] = [await openPaymentBook(folder), await openPaymentBook(folder)];
    await one.open(ENTRY);
    await two.open(ENTRY);
    for (let round = 0; round < 3; round += 1) await Promise.all([one.counted(contract, { tokens: 1n }), two.counted(contract, { tokens: 10n })]);
    await two.record(contract, pay(30n));
    expect((await one.record(contract, pay(20n))).signedTokens).toBe(30n);
    expect((await one.entries())[0]?.countedTokens).toBe(33n);
  });

  it('changes that come together share one write', async () => {
    let writes = 0;
    const book = await openPaymentBook(folder, { onStep: (step) => { writes += step === 'durable' ? 1 : 0; } });
    await book.open(ENTRY);
    writes = 0;
    await Promise.all(Array.from({ length: 50 }, () => book.counted(contract, { tokens: 1n })));
    expect(writes).toBe(1);
    expect(book.entry(contract)?.countedTokens).toBe(50n);
  });
});

describe('a damaged book', () => {
  beforeEach(async () => {
    const book = await openPaymentBook(folder);
    await book.open(ENTRY);
    await book.counted(contract, { tokens: 500n });
    await book.record(contract, pay(400n));
  });

  const damages: Record<string, (text: string) => string> = {
    'empty': () => '',
    'cut': (text) => text.slice(0, -20),
    'a digit of the count': (text) => text.replace('"countedTokens":"500"', '"countedTokens":"501"'),
    'no payment any more': (text) => text.replace(/"payment":"[^"]+"/, '"payment":null'),
    'a field more': (text) => text.replace('{', '{"x":1,'),
    'bytes of something else': () => '\0\0\0\0',
  };

  it.each(Object.keys(damages))('%s: an error that names the file, never a new beginning', async (name) => {
    const path = fileOf();
    writeFileSync(path, damages[name]?.(readFileSync(path, 'utf8')) ?? '');
    const named = { code: 'E_STATE', message: expect.stringContaining(path) };
    await expect(openPaymentBook(folder)).rejects.toMatchObject(named);
  });

  it('damaged or gone while it is open: the next write is refused, and nothing is begun anew', async () => {
    const book = await openPaymentBook(folder);
    const path = fileOf();
    const text = readFileSync(path, 'utf8');
    unlinkSync(path);
    await expect(book.counted(contract, { tokens: 1n })).rejects.toMatchObject({ code: 'E_STATE', message: expect.stringContaining('is gone') });
    await expect(book.open(ENTRY)).rejects.toMatchObject({ code: 'E_STATE' });
    writeFileSync(path, `${text} `, { mode: 0o600 });
    await expect(book.record(contract, pay(450n))).rejects.toMatchObject({ code: 'E_STATE', message: expect.stringContaining('damaged') });
    writeFileSync(path, text);
    expect((await book.record(contract, pay(450n))).signedTokens).toBe(450n);
  });
});

describe('killed with SIGKILL', () => {
  const HOOKS = new URL('../../fakes/ts-hooks.mjs', import.meta.url).href;
  const CHILD = fileURLToPath(new URL('kill-child.ts', import.meta.url));

  // Writes: 1 opens, 2 counts, 3 records. The lock is taken once more when the book is opened.
  const cases = ['locked', 'temp-written', 'renamed', 'durable'].flatMap((step) => [1, 2, 3].map((nth) => [step, nth] as const));

  it.each(cases)('after step "%s" number %i: what was answered is there, and the book goes on', async (step, nth) => {
    const child = spawn(process.execPath, ['--import', HOOKS, CHILD, folder, step, String(nth)], { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => { output += chunk.toString(); });
    const [, signal] = await once(child, 'close') as [number | null, string | null];
    expect(signal).toBe('SIGKILL');
    const book = await openPaymentBook(folder);
    const [entry] = await book.entries();
    if (output.includes('opened')) expect(entry).toBeDefined();
    expect([0n, 500n]).toContain(entry?.countedTokens ?? 0n);
    if (output.includes('counted')) expect(entry?.countedTokens).toBe(500n);
    await book.open(ENTRY);
    expect((await book.record(contract, pay(450n))).signedTokens).toBe(450n);
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });
});
