// The hot wallet on a chain in process: intents share messages, every key pays exactly once, whatever dies in between.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createTonAccess } from '../../../src/chain/access/access.ts';
import type { TonAccess } from '../../../src/chain/access/types.ts';
import { openHotWallet } from '../../../src/chain/hot-wallet.ts';
import type { HotWallet, HotWalletOptions } from '../../../src/chain/hot-wallet.ts';
import { lastAttempt, statusOf } from '../../../src/chain/sending/record.ts';
import { FakeChain } from '../../fakes/fake-chain.ts';
import type { FakeEndpoint } from '../../fakes/fake-chain.ts';
import { pay, signer, target, TON, WAITS, wallet } from './fixture.ts';

let chain: FakeChain;
let endpoint: FakeEndpoint;
let access: TonAccess;
let home: string;
let folder: string;
const opened: HotWallet[] = [];

beforeEach(async () => {
  chain = await FakeChain.create();
  await chain.fund(wallet.address, 5n * TON);
  endpoint = await chain.endpoint();
  access = createTonAccess({ endpoints: [{ url: endpoint.url }], timeoutMs: 3000, requestTimeoutMs: 1000 });
  home = mkdtempSync(join(tmpdir(), 'hot-'));
  folder = join(home, 'outbox');
});
afterEach(async () => {
  for (const hot of opened.splice(0)) await hot.close();
  await access.close();
  await chain.close();
  rmSync(home, { recursive: true, force: true });
});

function open(options: Partial<HotWalletOptions> = {}): HotWallet {
  const hot = openHotWallet({ access, wallet, signer, folder, ...WAITS, ...options });
  opened.push(hot);
  return hot;
}

/** How often the target was paid. */
const paid = (byte: number): number => chain.transactionsOf(target(byte)).length;
/** External messages that the wallet executed. */
const externals = (): number => chain.transactionsOf(wallet.address).filter(({ inMessage }) => inMessage?.info.type === 'external-in').length;

describe('HotWallet.send', () => {
  it('intents that come together leave in one external message, up to four messages, in order', async () => {
    chain.run(30);
    const hot = open();
    const keys = ['a', 'b', 'c', 'd', 'e', 'f'];
    const records = await Promise.all(keys.map((key, n) => hot.send(key, [pay(n + 1)])));
    expect(externals()).toBe(2);
    expect(keys.map((_, n) => paid(n + 1))).toEqual([1, 1, 1, 1, 1, 1]);
    expect(records.map(({ key, transfers }) => [key, transfers.map(({ to }) => to)])).toEqual(keys.map((key, n) => [key, [target(n + 1).toRawString()]]));
    expect(records.map(statusOf)).toEqual(keys.map(() => 'confirmed'));
    expect(await hot.balanceNano()).toBeLessThan(5n * TON - 6n * TON / 10n);
  });

  it('messages of one intent stay together: one that does not fit any more waits for the next', async () => {
    chain.run(30);
    const hot = open();
    await Promise.all([hot.send('a', [pay(1), pay(2), pay(3)]), hot.send('b', [pay(4), pay(5)])]);
    expect(externals()).toBe(2);
    await expect(hot.send('c', Array.from({ length: 5 }, (_, n) => pay(n + 1)))).rejects.toMatchObject({ code: 'E_USAGE' });
    await expect(hot.send('', [pay(1)])).rejects.toMatchObject({ code: 'E_USAGE' });
  });

  it('forget: what was decided leaves no file behind, what others share stays', async () => {
    chain.run(30);
    const hot = open();
    const files = (): number => readdirSync(folder).filter((name) => name.endsWith('.json') && name !== 'newest.json').length + readdirSync(join(`${folder}.hot`, 'keys')).filter((name) => name.endsWith('.json')).length;
    await hot.send('a', [pay(1)]);
    expect(files()).toBe(2);
    hot.forget('a');
    hot.forget('never seen');
    await hot.send('b', [pay(2)]);
    expect(files()).toBe(2);
    await Promise.all([hot.send('c', [pay(3)]), hot.send('d', [pay(4)])]);
    hot.forget('c');
    await hot.send('e', [pay(5)]);
    expect(await hot.send('d', [pay(4)])).toMatchObject({ key: 'd' });
    expect([1, 2, 3, 4, 5].map(paid)).toEqual([1, 1, 1, 1, 1]);
  });

  it('the same key pays once: together, later, and after a restart; with other messages it is refused', async () => {
    chain.run(30);
    const hot = open();
    const [one, two] = await Promise.all([hot.send('a', [pay(1)]), hot.send('a', [pay(1)])]);
    expect(one).toEqual(two);
    await hot.send('a', [pay(1)]);
    await hot.close();
    const again = await open().send('a', [pay(1)]);
    expect(lastAttempt(again).messageHash).toBe(lastAttempt(one).messageHash);
    expect(paid(1)).toBe(1);
    await expect(open().send('a', [pay(2)])).rejects.toMatchObject({ code: 'E_USAGE' });
    expect(paid(2)).toBe(0);
  });

  it('what is too dear together goes one by one; what is too dear alone is refused and its key stays free', async () => {
    chain.run(30);
    const hot = open();
    const results = await Promise.allSettled([hot.send('a', [pay(1, 3n * TON)]), hot.send('b', [pay(2, 4n * TON)]), hot.send('c', [pay(3)])]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(results[1]).toMatchObject({ reason: { code: 'E_FUNDS' } });
    expect([paid(1), paid(2), paid(3)]).toEqual([1, 0, 1]);
    await chain.fund(wallet.address, 5n * TON);
    expect(statusOf(await hot.send('b', [pay(2, 4n * TON)]))).toBe('confirmed');
  });

  it('a message that never arrives expires, is signed anew, and pays once', async () => {
    let drops = 2;
    endpoint.script.fault = (method) => method === 'sendBoc' && (drops -= 1) >= 0 ? { kind: 'drop' } : undefined;
    chain.run(30, 30);
    expect(statusOf(await open({ resendMs: 10_000 }).send('a', [pay(1)], { timeoutMs: 20_000 }))).toBe('confirmed');
    expect(paid(1)).toBe(1);
  });

  it('a caller that gives up before anything is signed leaves nothing behind', async () => {
    endpoint.script.fault = () => ({ kind: 'status', status: 500 });
    const hot = open();
    await expect(hot.send('a', [pay(1)], { timeoutMs: 300 })).rejects.toMatchObject({ code: 'E_TIMEOUT' });
    await hot.close();
    expect(readdirSync(join(`${folder}.hot`, 'keys')).filter((name) => name.endsWith('.json'))).toEqual([]);
    expect(endpoint.requests).not.toContain('sendBoc');
  });

  it('a caller that gives up after that is told so, and the transfer goes on under its key', async () => {
    const hot = open();
    await expect(hot.send('b', [pay(2)], { timeoutMs: 2000 })).rejects.toMatchObject({ code: 'E_UNCONFIRMED' });
    chain.run(30);
    expect(statusOf(await hot.send('b', [pay(2)]))).toBe('confirmed');
    expect(paid(2)).toBe(1);
  });

  it('follow: a transfer that bounces at its destination is not done', async () => {
    chain.run(30);
    const hot = open();
    // No contract is there, so a bouncing message comes back.
    await expect(hot.send('a', [{ ...pay(1), bounce: true }], { follow: true, timeoutMs: 10_000 })).rejects.toMatchObject({ code: 'E_TX_FAILED' });
    expect(statusOf(await hot.send('b', [pay(2)], { follow: true, timeoutMs: 10_000 }))).toBe('confirmed');
  });

  it('a damaged file stops sending and is named', async () => {
    chain.run(30);
    const hot = open();
    await hot.send('a', [pay(1)]);
    const keys = join(`${folder}.hot`, 'keys');
    const name = readdirSync(keys).find((each) => each.endsWith('.json')) ?? '';
    writeFileSync(join(keys, name), '{}');
    await expect(hot.send('a', [pay(1)])).rejects.toMatchObject({ code: 'E_STATE', message: expect.stringContaining(name) });
    expect(paid(1)).toBe(1);
  });
});

describe('hot wallet killed with SIGKILL', () => {
  const HOOKS = new URL('../../fakes/ts-hooks.mjs', import.meta.url).href;
  const CHILD = fileURLToPath(new URL('kill-child.ts', import.meta.url));

  async function child(killAt: string): Promise<string> {
    const process_ = spawn(process.execPath, ['--import', HOOKS, CHILD, folder, endpoint.url, killAt], { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    process_.stdout.on('data', (chunk: Buffer) => { output += chunk.toString(); });
    await once(process_, 'close');
    return output;
  }

  const STEPS = [
    'batch-temp-written', 'batch-durable', 'key-durable', 'placed', 'intent-temp-written', 'intent-durable', 'sent', 'result-temp-written', 'result-durable',
  ];

  it('the steps of an intent are those that are killed at below', async () => {
    chain.run(30);
    const output = await child('');
    expect(output).toContain('done');
    for (const step of STEPS) expect(output).toContain(`step ${step}\n`);
  });

  it.each(STEPS)('after "%s": the next process finishes it, and each key pays once', async (step) => {
    chain.run(30);
    expect(await child(step)).not.toContain('done');
    const hot = open();
    const records = await Promise.all([hot.send('b', [pay(2), pay(3)]), hot.send('a', [pay(1)])]);
    expect(records.map(statusOf)).toEqual(['confirmed', 'confirmed']);
    expect([paid(1), paid(2), paid(3)]).toEqual([1, 1, 1]);
    expect(readdirSync(join(`${folder}.hot`, 'open'))).toEqual([]);
  });
});
