import { copyFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Address, beginCell, external, loadMessage, storeMessage } from '@ton/core';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { toHex } from '../../../src/core/bytes.ts';
import { externalHash, incomingExternalHash } from '../../../src/chain/sending/external-hash.ts';
import { Outbox } from '../../../src/chain/sending/outbox.ts';
import { statusOf } from '../../../src/chain/sending/record.ts';
import type { Attempt, SendRecord } from '../../../src/chain/sending/record.ts';

const WALLET = `0:${'1'.repeat(64)}`;
const attempt = (seqno: number, status: Attempt['status']): Attempt => ({
  seqno, validUntil: 1_800_000_000, afterLt: '0', messageHash: 'a'.repeat(64), boc: 'AAAA', status, reason: null, transaction: null, deliveries: [],
});
const record = (key: string, ...attempts: Attempt[]): SendRecord => ({
  schema: 'cocoon.send/1', key, wallet: WALLET, intentHash: 'b'.repeat(64), transfers: [{ to: WALLET, valueNano: '1', all: false }], attempts,
});

let folder: string;
let outbox: Outbox;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'outbox-'));
  outbox = new Outbox(folder, WALLET);
  await outbox.open();
});
afterEach(() => { rmSync(folder, { recursive: true, force: true }); });

describe('Outbox', () => {
  it('keeps pending and final records apart, and finds both by key', async () => {
    await outbox.save(record('b', attempt(2, 'pending')));
    await outbox.save(record('a', attempt(1, 'confirmed')));
    expect((await outbox.pending()).map(({ key }) => key)).toEqual(['b']);
    expect((await outbox.list()).map(({ key }) => key)).toEqual(['a', 'b']);
    expect([await outbox.find('a'), await outbox.find('b'), await outbox.find('c')].map((found) => found?.key)).toEqual(['a', 'b', undefined]);
    await outbox.save(record('b', attempt(2, 'expired')));
    expect(await outbox.pending()).toEqual([]);
    expect(readdirSync(folder)).toHaveLength(2);
  });

  it('open: a crash between writing the result and filing it leaves the result', async () => {
    await outbox.save(record('a', attempt(1, 'pending')));
    const [pending = ''] = readdirSync(folder);
    copyFileSync(join(folder, pending), join(folder, 'kept'));
    await outbox.save(record('a', attempt(1, 'confirmed')));
    copyFileSync(join(folder, 'kept'), join(folder, pending));
    await outbox.open();
    expect(await outbox.pending()).toEqual([]);
    expect((await outbox.list()).map(statusOf)).toEqual(['confirmed']);
  });

  it('open: a crash between signing anew and removing the expired result leaves the new attempt', async () => {
    await outbox.save(record('a', attempt(1, 'expired')));
    const [done = ''] = readdirSync(folder);
    copyFileSync(join(folder, done), join(folder, 'kept'));
    await outbox.save(record('a', attempt(1, 'expired'), attempt(1, 'pending')));
    copyFileSync(join(folder, 'kept'), join(folder, done));
    await outbox.open();
    expect((await outbox.pending()).map(({ attempts }) => attempts.length)).toEqual([2]);
    expect((await outbox.list()).map(statusOf)).toEqual(['pending']);
  });

  it.each<[string, (text: SendRecord) => unknown]>([
    ['another wallet', (good) => ({ ...good, wallet: `0:${'2'.repeat(64)}` })],
    ['another key than its name', (good) => ({ ...good, key: 'b' })],
    ['no attempt', (good) => ({ ...good, attempts: [] })],
    ['an unknown field', (good) => ({ ...good, more: 1 })],
    ['another schema', (good) => ({ ...good, schema: 'cocoon.send/2' })],
    ['text', () => 'text'],
  ])('refuses a record with %s', async (_name, change) => {
    await outbox.save(record('a', attempt(1, 'pending')));
    const [name = ''] = readdirSync(folder);
    writeFileSync(join(folder, name), JSON.stringify(change(record('a', attempt(1, 'pending')))));
    await expect(outbox.find('a')).rejects.toMatchObject({ code: 'E_STATE', message: expect.stringContaining(name) });
    await expect(outbox.pending()).rejects.toMatchObject({ code: 'E_STATE' });
  });
});

describe('incomingExternalHash', () => {
  const to = Address.parseRaw(WALLET);
  const body = beginCell().storeUint(0xabcdef, 24).endCell();
  const code = beginCell().storeUint(1, 8).endCell();
  const hashOf = (message: Parameters<typeof storeMessage>[0]): string => {
    const hash = incomingExternalHash(loadMessage(beginCell().store(storeMessage(message)).endCell().beginParse()));
    return hash === null ? '' : toHex(hash);
  };

  it('is the same with and without StateInit, fee and a body in a reference', () => {
    const expected = toHex(externalHash(to, body));
    expect(hashOf(external({ to, body }))).toBe(expected);
    expect(hashOf(external({ to, body, init: { code, data: code } }))).toBe(expected);
    expect(hashOf({ info: { type: 'external-in', dest: to, importFee: 5n }, body })).toBe(expected);
    const byReference = beginCell().storeUint(0b10, 2).storeUint(0, 2).storeAddress(to).storeCoins(0).storeBit(0).storeBit(1).storeRef(body).endCell();
    expect(toHex(incomingExternalHash(loadMessage(byReference.beginParse())) ?? new Uint8Array())).toBe(expected);
  });

  it('differs with body and destination, and is null for other messages', () => {
    expect(toHex(externalHash(to, code))).not.toBe(toHex(externalHash(to, body)));
    expect(toHex(externalHash(new Address(0, Buffer.alloc(32, 2)), body))).not.toBe(toHex(externalHash(to, body)));
    expect(hashOf({ info: { type: 'internal', ihrDisabled: true, bounce: false, bounced: false, src: to, dest: to, value: { coins: 1n }, ihrFee: 0n, forwardFee: 0n, createdLt: 0n, createdAt: 0 }, body })).toBe('');
  });
});
