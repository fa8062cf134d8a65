// A local chain over restarts and kills: nothing acknowledged is lost, nothing is half there, time and numbers never go back,
// one writer, bounded disk and memory.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Address, internal, SendMode } from '@ton/core';
import { TonClient } from '@ton/ton';
import { localChainAdmin, readAdminToken } from '../../../src/chain/local/admin-client.ts';
import { LocalChain } from '../../../src/chain/local/local-chain.ts';
import { RECENT_BLOCKS } from '../../../src/chain/local/state.ts';
import { silentLog } from '../../../src/core/log.ts';
import { ask, cleanUp, newFolder, START, start, TON, walletV5 } from './harness.ts';
import type { Started } from './harness.ts';
import { heldBytes } from '../../fakes/held-memory.ts';

const CHILD = fileURLToPath(new URL('chain-child.ts', import.meta.url));
const HOOKS = new URL('../../fakes/ts-hooks.mjs', import.meta.url).href;
const MODE = SendMode.PAY_GAS_SEPARATELY | SendMode.IGNORE_ERRORS;
const target = (n: number): Address => new Address(0, Buffer.alloc(32, n));

const ROUNDS = 3;
const AMOUNT = TON / 100n;

const children: ChildProcess[] = [];
afterEach(async () => {
  for (const child of children.splice(0)) await kill(child);
  await cleanUp();
});

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

/** Everything that a client can see of these accounts and of the chain's head. */
async function picture(chain: Started, accounts: Address[]): Promise<unknown> {
  return {
    master: await ask(chain.endpoint, 'getMasterchainInfo'),
    accounts: await Promise.all(accounts.map(async (address) => ({
      state: await ask(chain.endpoint, 'getAddressInformation', { address: address.toString() }),
      transactions: await ask(chain.endpoint, 'getTransactions', { address: address.toString(), limit: 100 }),
    }))),
    blocks: await Promise.all([1, 2, 3, 4].map((seqno) => ask(chain.endpoint, 'getBlockTransactions', { workchain: 0, shard: '-9223372036854775808', seqno }))),
  };
}

describe('restart', () => {
  it('keeps everything byte for byte, with messages that wait and time that was advanced', async () => {
    const first = await start();
    const wallet = walletV5(first, 1);
    await first.admin.faucet(wallet.contract.address, 5n * TON, { key: 'k' });
    await first.admin.advance(3600);
    await wallet.opened.sendTransfer({ seqno: 0, secretKey: wallet.secretKey, sendMode: MODE, timeout: START + 4000, messages: [internal({ to: target(9), value: TON, bounce: false })] });
    await first.admin.tick();
    for (let i = 0; i < 5; i += 1) await first.admin.tick();
    await wallet.opened.sendTransfer({ seqno: 1, secretKey: wallet.secretKey, sendMode: MODE, timeout: START + 4000, messages: [internal({ to: target(9), value: 2n * TON, bounce: false })] });
    const accounts = [wallet.contract.address, target(9), first.faucetAddress];
    const before = await picture(first, accounts);
    const { dir, globalId, adminToken } = first;
    const receipt = await first.admin.faucet(target(8), 1n, { key: 'again' });
    const statusBefore = await first.admin.status();
    expect(before).not.toEqual(await picture(first, accounts));
    const after = await picture(first, accounts);
    await first.close();

    const second = await start({ dir });
    expect(await picture(second, accounts)).toEqual(after);
    expect(await second.admin.status()).toEqual(statusBefore);
    expect([second.globalId, second.adminToken]).toEqual([globalId, adminToken]);
    expect(await second.admin.faucet(target(8), 1n, { key: 'again' })).toEqual(receipt);
    expect(await second.client.getBalance(target(9))).toBe(3n * TON);
    expect((await second.admin.tick()).seqno).toBe(statusBefore.seqno + 1);
    expect((await second.client.getContractState(target(9))).timestampt).toBe(START + 3600);
  });

  it('keeps a message that waits, and executes it after the restart', async () => {
    const first = await start();
    const wallet = walletV5(first, 1);
    await first.admin.faucet(wallet.contract.address, 5n * TON);
    await wallet.opened.sendTransfer({ seqno: 0, secretKey: wallet.secretKey, sendMode: MODE, timeout: START + 60, messages: [internal({ to: target(9), value: TON, bounce: false })] });
    await first.close();
    const second = await start({ dir: first.dir });
    expect((await second.admin.status()).waiting).toBe(1);
    await second.admin.tick();
    expect(await second.client.getBalance(target(9))).toBe(TON);
  });

  it('never lets time or block numbers go back, whatever the clock does', async () => {
    const chain = await start();
    await chain.admin.tick();
    chain.clock.ms += 500_000;
    const later = await chain.admin.tick();
    expect(later.time).toBe(START + 500);
    chain.clock.ms -= 10_000_000;
    expect(await chain.admin.tick()).toEqual({ seqno: later.seqno + 1, time: later.time });
    expect((await chain.admin.advance(7)).time).toBe(later.time + 7);
    await chain.close();
    const again = await start({ dir: chain.dir });
    expect((await again.admin.tick()).time).toBeGreaterThanOrEqual(later.time + 7);
    for (const seconds of [0, -5, 1.5, 2 ** 40]) await expect(again.admin.advance(seconds)).rejects.toMatchObject({ code: 'E_USAGE' });
  });

  it('refuses another era or global id than the chain has, and a damaged folder', async () => {
    const { dir, close, globalId } = await start({ era: 'gas66' });
    await close();
    await expect(start({ dir, era: 'gas400' })).rejects.toMatchObject({ code: 'E_STATE', message: expect.stringContaining('gas66') });
    await expect(start({ dir, globalId: globalId - 1 })).rejects.toMatchObject({ code: 'E_STATE' });
    for (const id of [-239, -3, 0, 5, -(2 ** 31) - 1, 1.5]) await expect(start({ globalId: id })).rejects.toMatchObject({ code: 'E_CONFIG' });
    chmodSync(join(dir, 'faucet-key'), 0o644);
    await expect(start({ dir })).rejects.toMatchObject({ code: 'E_STATE', message: expect.stringContaining('0644') });
    chmodSync(join(dir, 'faucet-key'), 0o600);
    writeFileSync(join(dir, 'head.json'), '{');
    await expect(start({ dir })).rejects.toMatchObject({ code: 'E_STATE' });
    rmSync(join(dir, 'head.json'));
    rmSync(join(dir, 'admin-token'));
    const key = readFileSync(join(dir, 'faucet-key'), 'utf8');
    rmSync(join(dir, 'faucet-key'));
    await expect(start({ dir })).rejects.toMatchObject({ code: 'E_NOT_FOUND' });
    expect(readdirSync(dir)).not.toContain('faucet-key');
    const other = key.replace(/^./, (c) => c === '0' ? '1' : '0');
    writeFileSync(join(dir, 'faucet-key'), other, { mode: 0o600 });
    await expect(start({ dir })).rejects.toMatchObject({ code: 'E_STATE', message: expect.stringContaining('faucet key') });
  });
});

describe('one writer', () => {
  it('refuses a second one, in this process and from another, until the first is gone', async () => {
    const first = await start();
    await expect(start({ dir: first.dir })).rejects.toMatchObject({ code: 'E_STATE', message: expect.stringContaining(`process ${process.pid}`) });
    await first.close();
    const child = await startChild(first.dir, 1000);
    await expect(start({ dir: first.dir })).rejects.toMatchObject({ code: 'E_STATE', message: expect.stringContaining(`process ${child.process.pid}`) });
    await kill(child.process);
    await (await start({ dir: first.dir })).close();
  });

  it('keeps its secrets to its user', async () => {
    const { dir } = await start();
    for (const name of ['faucet-key', 'admin-token', 'journal']) expect(statSync(join(dir, name)).mode & 0o777).toBe(0o600);
    expect(statSync(dir).mode & 0o777).toBe(0o700);
  });
});

async function startChild(dir: string, tickMs: number): Promise<{ process: ChildProcess; endpoint: string }> {
  const child = spawn(process.execPath, ['--import', HOOKS, CHILD, dir, String(tickMs)], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  const [line] = await once(child.stdout, 'data') as [Buffer];
  return { process: child, endpoint: line.toString().trim() };
}

describe('kill -9', () => {
  it('at any moment under load: what was acknowledged is there exactly once, nothing is half there', async () => {
    const dir = newFolder();
    let faucetCalls = 0;
    const paid = new Map<string, number>();
    let seqnoSeen = 0;
    for (let round = 0; round < ROUNDS; round += 1) {
      const { process: child, endpoint } = await startChild(dir, 5);
      const admin = localChainAdmin({ endpoint, token: await readAdminToken(dir) });
      seqnoSeen = Math.max(seqnoSeen, (await admin.status()).seqno);
      let timer: NodeJS.Timeout | undefined;
      try {
        for (;;) {
          const key = `call-${faucetCalls}`;
          faucetCalls += 1;
          await admin.faucet(target(1 + faucetCalls % 3), AMOUNT, { key });
          paid.set(key, faucetCalls % 3);
          timer ??= setTimeout(() => child.kill('SIGKILL'), Math.random() * 500);
          seqnoSeen = Math.max(seqnoSeen, (await admin.status()).seqno);
        }
      } catch (error) {
        expect(error).toMatchObject({ code: 'E_NOT_RUNNING' });
      }
      clearTimeout(timer);
      await kill(child);
    }
    expect(paid.size).toBeGreaterThanOrEqual(ROUNDS);
    const chain = await start({ dir });
    expect((await chain.admin.status()).seqno).toBeGreaterThanOrEqual(seqnoSeen);
    await chain.admin.tick();
    // Counted by transfers, not by balance: an account pays rent out of it.
    const arrived = async (): Promise<number[]> => Promise.all([1, 2, 3].map(async (n) => (await chain.client.getTransactions(target(n), { limit: 256 })).length));
    const acknowledged = [0, 1, 2].map((rest) => [...paid.values()].filter((value) => value === rest).length);
    let unknown = 0;
    for (const [i, count] of (await arrived()).entries()) {
      const extra = count - acknowledged[i]!;
      expect(extra).toBeGreaterThanOrEqual(0);
      unknown += extra;
    }
    // In each round at most the call that the kill cut off may have been executed without an answer.
    expect(unknown).toBeLessThanOrEqual(ROUNDS);
    // Repeating every call with its key pays only what was not paid before.
    for (let n = 1; n <= faucetCalls; n += 1) await chain.admin.faucet(target(1 + n % 3), AMOUNT, { key: `call-${n - 1}` });
    expect((await arrived()).reduce((sum, count) => sum + count, 0)).toBe(faucetCalls);
    // Every account's transactions hang together to its first.
    for (const address of [target(1), target(2), target(3), chain.faucetAddress]) {
      const transactions = await chain.client.getTransactions(address, { limit: 256 });
      for (const [i, { prevTransactionLt }] of transactions.entries()) if (i + 1 < transactions.length) expect(prevTransactionLt).toBe(transactions[i + 1]!.lt);
    }
  }, 60_000);
});

describe('kill -9 between acknowledgement and block', () => {
  it('every message that sendBoc took is executed after the restart', async () => {
    const first = await start();
    const { dir, globalId } = first;
    const fills = [11, 12, 13, 14];
    for (const fill of fills) await first.admin.faucet(walletV5(first, fill).contract.address, 5n * TON);
    await first.close();
    const { process: child, endpoint } = await startChild(dir, 3_600_000);
    const client = new TonClient({ endpoint });
    for (const fill of fills) {
      const { contract, secretKey } = walletV5({ client, globalId }, fill);
      await client.open(contract).sendTransfer({ seqno: 0, secretKey, sendMode: MODE, timeout: 4_000_000_000, messages: [internal({ to: target(fill), value: TON, bounce: false })] });
    }
    await kill(child);
    const second = await start({ dir });
    expect((await second.admin.status()).waiting).toBe(fills.length);
    await second.admin.tick();
    for (const fill of fills) expect(await second.client.getBalance(target(fill))).toBe(TON);
    expect((await second.admin.status()).waiting).toBe(0);
  }, 60_000);

  it('a journal cut off at any byte opens as the chain was after its last whole record', async () => {
    const first = await start();
    for (let n = 1; n <= 3; n += 1) await first.admin.faucet(target(n), TON, { key: String(n) });
    const { dir, clock } = first;
    await first.close();
    const path = join(dir, 'journal');
    const whole = readFileSync(path);
    const ends = [...whole.entries()].filter(([, byte]) => byte === 0x0a).map(([at]) => at + 1);
    // Genesis, then for each faucet call its message and its block.
    expect(ends).toHaveLength(7);
    rmSync(join(dir, 'head.json'));
    const cuts = ends.slice(0, -1).flatMap((end, i) => [end, end + 1, Math.floor((end + ends[i + 1]!) / 2), ends[i + 1]! - 1]);
    for (const cut of cuts) {
      writeFileSync(path, whole.subarray(0, cut));
      const chain = await LocalChain.open({ dir, clock, log: silentLog });
      const records = ends.filter((end) => end <= cut).length;
      const blocks = Math.floor((records - 1) / 2);
      expect({ seqno: chain.state.head.seqno, waiting: chain.state.waiting.size }).toEqual({ seqno: blocks, waiting: (records - 1) % 2 });
      await chain.tick();
      const paid = Math.ceil((records - 1) / 2);
      for (let n = 1; n <= 3; n += 1) expect(chain.state.head.account(target(n).toRawString()) !== undefined).toBe(n <= paid);
      await chain.close();
      rmSync(join(dir, 'head.json'));
    }
  }, 60_000);
});

describe('empty blocks', () => {
  it('2,000 of them need no disk and no memory to speak of, and a kill does not give a number twice', async () => {
    const dir = newFolder();
    const clock = { now: () => START * 1000 };
    const chain = await LocalChain.open({ dir, clock, log: silentLog });
    const files = readdirSync(dir).length;
    const { diskBytes } = chain;
    await chain.tick();
    const held = await heldBytes();
    for (let i = 0; i < 2000; i += 1) await chain.tick();
    expect((await heldBytes()) - held).toBeLessThan(32 << 20);
    expect(chain.diskBytes).toBe(diskBytes);
    expect(readdirSync(dir).length).toBeLessThanOrEqual(files + 1);
    expect(chain.state.head.seqno).toBe(2001);
    expect(chain.state.at(2001 - RECENT_BLOCKS + 1)).toBeDefined();
    expect(chain.state.at(2001 - RECENT_BLOCKS)).toBeUndefined();
    // What a kill would leave: the head file as it is now.
    const { seqno } = JSON.parse(readFileSync(join(dir, 'head.json'), 'utf8')) as { seqno: number };
    expect(seqno).toBeGreaterThanOrEqual(2001);
    expect(seqno).toBeLessThanOrEqual(2001 + 1024);
    await chain.close();
    const again = await LocalChain.open({ dir, clock, log: silentLog });
    expect(again.state.head.seqno).toBe(2001);
    await again.close();
  });
});
