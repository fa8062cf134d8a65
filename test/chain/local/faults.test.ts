// Faults on demand, and the chain under them: each one as a client sees it, its limits, and that it ends.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Address, beginCell, external, internal, SendMode, storeMessage } from '@ton/core';
import { createTonAccess } from '../../../src/chain/access/access.ts';
import { ask, cleanUp, rpc, START, start, TON, walletV5 } from './harness.ts';
import type { Started } from './harness.ts';

const TARGET = new Address(0, Buffer.alloc(32, 0x31));
const MODE = SendMode.PAY_GAS_SEPARATELY | SendMode.IGNORE_ERRORS;
const INFO = { jsonrpc: '2.0', id: '1', method: 'getAddressInformation', params: { address: TARGET.toString() } };

let chain: Started;
let seqno = 0;
beforeAll(async () => {
  chain = await start();
  await chain.admin.faucet(walletV5(chain, 1).contract.address, 100n * TON);
});
afterAll(cleanUp);
beforeEach(() => chain.admin.clearFaults());

async function transfer(): Promise<Buffer> {
  const wallet = walletV5(chain, 1);
  const { contract: { address, init } } = wallet;
  const body = await wallet.contract.createTransfer({ seqno, secretKey: wallet.secretKey, sendMode: MODE, timeout: START + 1000, messages: [internal({ to: TARGET, value: TON, bounce: false })] });
  return beginCell().store(storeMessage(external({ to: address, body, ...(seqno === 0 ? { init } : {}) }))).endCell().toBoc();
}

describe('rate-limit', () => {
  it('answers 429, with and without Retry-After, so many times', async () => {
    await chain.admin.addFault({ kind: 'rate-limit', retryAfterS: 2, count: 1 });
    await chain.admin.addFault({ kind: 'rate-limit', count: 1 });
    const first = await fetch(chain.endpoint, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(INFO) });
    expect([first.status, first.headers.get('retry-after')]).toEqual([429, '2']);
    const second = await fetch(chain.endpoint, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(INFO) });
    expect([second.status, second.headers.get('retry-after')]).toEqual([429, null]);
    expect((await rpc(chain.endpoint, INFO)).status).toBe(200);
    expect(await chain.admin.faults()).toEqual([]);
  });
});

describe('down', () => {
  it('closes the connection, for the methods named, until the time is over', async () => {
    await chain.admin.addFault({ kind: 'down', methods: ['getMasterchainInfo'], seconds: 30 });
    await expect(ask(chain.endpoint, 'getMasterchainInfo')).rejects.toThrow('fetch failed');
    expect(await chain.client.getBalance(TARGET)).toBeGreaterThanOrEqual(0n);
    chain.clock.ms += 31_000;
    expect(await ask(chain.endpoint, 'getMasterchainInfo')).toBeDefined();
    chain.clock.ms -= 31_000;
  });

  it('never touches the admin interface', async () => {
    await chain.admin.addFault({ kind: 'down' });
    expect(await chain.admin.faults()).toEqual([{ kind: 'down' }]);
    await chain.admin.clearFaults();
    expect((await rpc(chain.endpoint, INFO)).status).toBe(200);
  });
});

describe('slow', () => {
  it('answers late', async () => {
    await chain.admin.addFault({ kind: 'slow', delayMs: 150, count: 1 });
    const before = performance.now();
    expect((await rpc(chain.endpoint, INFO)).status).toBe(200);
    expect(performance.now() - before).toBeGreaterThan(140);
  });
});

describe('garbage', () => {
  it.each(['page', 'cut', 'shape', 'bytes', 'huge'] as const)('%s: is an error for TonClient, and for access a typed one', async (form) => {
    await chain.admin.addFault({ kind: 'garbage', form });
    await expect(chain.client.getBalance(TARGET)).rejects.toThrow();
    const access = createTonAccess({ endpoints: [{ url: chain.endpoint }], timeoutMs: 400, requestTimeoutMs: 300 });
    const error = await access.account(TARGET).then(() => undefined, (reason: { code: string }) => reason);
    expect(['E_CHAIN_DATA', 'E_CHAIN_UNREACHABLE']).toContain(error?.code);
    await access.close();
  });
});

describe('drop', () => {
  it('acknowledges a message and forgets it', async () => {
    await chain.admin.addFault({ kind: 'drop', count: 1 });
    const boc = await transfer();
    await chain.client.sendFile(boc);
    await chain.admin.tick();
    expect(await chain.client.getBalance(TARGET)).toBe(0n);
    expect((await chain.admin.status()).waiting).toBe(0);
    // The same bytes again do arrive.
    await chain.client.sendFile(boc);
    await chain.admin.tick();
    seqno += 1;
    expect(await chain.client.getBalance(TARGET)).toBe(TON);
  });
});

describe('late', () => {
  it('keeps a message out of so many blocks', async () => {
    await chain.admin.addFault({ kind: 'late', blocks: 3, count: 1 });
    await chain.client.sendFile(await transfer());
    for (let i = 0; i < 3; i += 1) {
      await chain.admin.tick();
      expect(await chain.client.getBalance(TARGET)).toBe(TON);
    }
    await chain.admin.tick();
    expect(await chain.client.getBalance(TARGET)).toBe(2n * TON);
    seqno += 1;
  });

  it('a message that expires meanwhile is never executed', async () => {
    await chain.admin.addFault({ kind: 'late', blocks: 1, count: 1 });
    const wallet = walletV5(chain, 1);
    await wallet.opened.sendTransfer({ seqno, secretKey: wallet.secretKey, sendMode: MODE, timeout: START + 10, messages: [internal({ to: TARGET, value: TON, bounce: false })] });
    await chain.admin.advance(11);
    await chain.admin.tick();
    const status = await chain.admin.status();
    expect(status.waiting).toBe(0);
    expect(await wallet.opened.getSeqno()).toBe(seqno);
    expect(await chain.client.getBalance(TARGET)).toBe(2n * TON);
  });
});

describe('lag', () => {
  it('answers reads from blocks ago, consistently, and takes messages all the same', async () => {
    await chain.admin.tick();
    const before = await chain.client.getContractState(TARGET);
    const listed = await chain.client.getTransactions(TARGET, { limit: 50 });
    const master = await chain.client.getMasterchainInfo();
    const boc = await transfer();
    await chain.admin.addFault({ kind: 'lag', blocks: 2 });
    await chain.client.sendFile(boc);
    await chain.admin.tick();
    await chain.admin.tick();
    seqno += 1;
    expect(await chain.client.getContractState(TARGET)).toEqual(before);
    expect((await chain.client.getTransactions(TARGET, { limit: 50 })).map(({ lt }) => lt)).toEqual(listed.map(({ lt }) => lt));
    expect((await chain.client.getMasterchainInfo()).latestSeqno).toBe(master.latestSeqno);
    await expect(ask(chain.endpoint, 'shards', { seqno: master.latestSeqno + 1 })).rejects.toThrow('404');
    await chain.admin.clearFaults();
    expect(await chain.client.getTransactions(TARGET, { limit: 50 })).toHaveLength(listed.length + 1);
    expect(await chain.client.getBalance(TARGET)).toBeGreaterThan(before.balance);
    expect((await chain.client.getMasterchainInfo()).latestSeqno).toBe(master.latestSeqno + 2);
  });
});

describe('limits of faults', () => {
  it('refuses unknown kinds, bad values and too many', async () => {
    const post = (body: unknown): Promise<Response> => fetch(new URL('/admin/faults', chain.endpoint), {
      method: 'POST', headers: { authorization: `Bearer ${chain.adminToken}`, 'content-type': 'application/json' }, body: JSON.stringify(body),
    });
    for (const fault of [{ kind: 'explode' }, { kind: 'late', blocks: 0 }, { kind: 'down', count: -1 }, { kind: 'down', extra: 1 }, [], 'down', { kind: 'slow', delayMs: 1e9 }]) {
      expect((await post(fault)).status).toBe(422);
    }
    for (let i = 0; i < 64; i += 1) expect((await post({ kind: 'slow', delayMs: 1, methods: ['none'] })).status).toBe(200);
    expect((await post({ kind: 'down' })).status).toBe(422);
  });
});

describe('fee eras', () => {
  it('the same transfer costs a sixth in the later one', async () => {
    const fees: bigint[] = [];
    for (const era of ['gas400', 'gas66'] as const) {
      const other = await start({ era, globalId: -1_000_000 });
      const wallet = walletV5(other, 1);
      await other.admin.faucet(wallet.contract.address, 5n * TON);
      await wallet.opened.sendTransfer({ seqno: 0, secretKey: wallet.secretKey, sendMode: MODE, timeout: START + 60, messages: [internal({ to: TARGET, value: TON, bounce: false })] });
      await other.admin.tick();
      fees.push(4n * TON - await other.client.getBalance(wallet.contract.address));
      const [transaction] = await other.client.getTransactions(wallet.contract.address, { limit: 1 });
      const { description } = transaction!;
      if (description.type !== 'generic' || description.computePhase.type !== 'vm') throw new Error('expected a transaction with code');
      const { gasFees, gasUsed } = description.computePhase;
      expect(Number(gasFees) / Number(gasUsed)).toBeCloseTo(era === 'gas400' ? 400 : 66.67, 1);
      expect(other.era).toBe(era);
    }
    expect(Number(fees[0]) / Number(fees[1])).toBeCloseTo(6, 1);
  });
});

describe('blocks by themselves', () => {
  it('come every tick, and carry what was sent', async () => {
    const own = await start({ tickMs: 20, clock: { now: () => Date.now() } });
    const wallet = walletV5(own, 1);
    await own.admin.faucet(wallet.contract.address, 5n * TON);
    await wallet.opened.sendTransfer({ seqno: 0, secretKey: wallet.secretKey, sendMode: MODE, messages: [internal({ to: TARGET, value: TON, bounce: false })] });
    const access = createTonAccess({ endpoints: [{ url: own.endpoint }] });
    for (let i = 0; i < 100 && (await access.account(TARGET)).balanceNano === 0n; i += 1) await new Promise((resolve) => { setTimeout(resolve, 20); });
    expect((await access.account(TARGET)).balanceNano).toBe(TON);
    const { transactions, complete } = await access.transactions(wallet.contract.address, { afterLt: 0n });
    expect([transactions.length, complete]).toEqual([2, true]);
    const [sent] = transactions;
    const info = sent?.outMessages.get(0)?.info;
    if (info?.type !== 'internal') throw new Error('expected an internal message');
    expect(await access.locateResult(wallet.contract.address, TARGET, info.createdLt)).not.toBeNull();
    expect(await access.locateResult(wallet.contract.address, TARGET, 1n)).toBeNull();
    const { seqno: now } = await access.masterchain();
    await new Promise((resolve) => { setTimeout(resolve, 150); });
    expect((await access.masterchain()).seqno).toBeGreaterThan(now);
    await access.close();
  });

  it('refuses impossible ticks', async () => {
    for (const tickMs of [0, 1, Number.NaN, 1e9]) await expect(start({ tickMs })).rejects.toMatchObject({ code: 'E_CONFIG' });
  });
});
