import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Address, beginCell, Cell, SendMode } from '@ton/core';
import { afterEach, describe, expect, it } from '@jest/globals';
import { externalMessage } from '../../../src/chain/cells/wallet-messages.ts';
import { lastAttempt, statusOf } from '../../../src/chain/sending/record.ts';
import type { SendRecord } from '../../../src/chain/sending/record.ts';
import { requireConfirmed } from '../../../src/chain/sending/sender.ts';
import { transferOf } from '../../../src/chain/wallets/transfer.ts';
import type { EndpointScript, FakeChain } from '../../fakes/fake-chain.ts';
import { intent, payment, signer, target, TON, VALUE, wallet } from './fixture.ts';
import { createHarness } from './harness.ts';
import type { Harness } from './harness.ts';

let harness: Harness;
let used = false;
afterEach(async () => {
  if (used) await harness.close();
  used = false;
});

async function start(...scripts: EndpointScript[]): Promise<Harness> {
  harness = await createHarness(scripts.length === 0 ? [{}] : scripts);
  used = true;
  return harness;
}

const reason = (record: SendRecord): string | null => lastAttempt(record).reason;

async function handedOver(chain: FakeChain): Promise<void> {
  for (let i = 0; i < 400 && chain.received.length === 0; i += 1) await new Promise((resolve) => { setTimeout(resolve, 5); });
  expect(chain.received).not.toEqual([]);
}

/** An external message of the same wallet that was not made by the sender. */
async function foreignMessage(seqno: number, valueNano: bigint): Promise<Uint8Array> {
  const message = transferOf({ to: new Address(0, Buffer.alloc(32, 0xbb)), valueNano, bounce: false });
  const body = await wallet.buildExternal(seqno, harness.chain.time + 600, [message], signer);
  return externalMessage.store({ to: wallet.address, body, init: seqno === 0 ? wallet.init : null }).toBoc();
}

describe('createSender: send', () => {
  it('confirms with the facts of the transaction', async () => {
    const { chain, sender, paid } = await start();
    chain.run(30);
    const record = requireConfirmed(await sender().send(intent('a')));
    expect(paid()).toBe(1);
    const [own] = chain.transactionsOf(wallet.address).slice(-1);
    expect(lastAttempt(record).transaction).toMatchObject({ lt: own?.lt.toString(), hash: own?.hash.toString('hex'), exitCode: 0, actionCode: 0 });
    expect(lastAttempt(record).deliveries).toMatchObject([{ to: target.toRawString(), valueNano: VALUE.toString() }]);
  });

  it('has the message on disk, private, before an endpoint gets it', async () => {
    const seen: string[] = [];
    const { chain, sender, folder } = await start({ fault: (method) => {
      if (method === 'sendBoc') seen.push(...readdirSync(folder));
      return undefined;
    } });
    chain.run(30);
    const record = await sender().send(intent('a'));
    const [file = ''] = readdirSync(folder);
    expect(seen[0]).toBe(file.replace('.done', ''));
    expect(readdirSync(folder)).toEqual([file, 'newest.json']);
    expect(statSync(join(folder, file)).mode & 0o777).toBe(0o600);
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    expect(JSON.parse(readFileSync(join(folder, file), 'utf8'))).toEqual(record);
  });

  it('shows an endpoint nothing that is signed before it is on disk', async () => {
    const { chain, sender } = await start();
    chain.run(30);
    const record = requireConfirmed(await sender().send(intent('a')));
    const [estimated] = chain.estimated;
    const sent = Cell.fromBase64(lastAttempt(record).boc).refs.at(-1);
    const signatureAt = (sent?.bits.length ?? 0) - 512;
    const signatureOf = (cell: Cell | undefined): string => cell?.beginParse().skip(signatureAt).loadBuffer(64).toString('hex') ?? '';
    expect(chain.estimated).toHaveLength(1);
    expect(signatureOf(estimated)).toBe('0'.repeat(128));
    expect(signatureOf(sent)).not.toBe('0'.repeat(128));
  });

  it('returns the same record for the same key, and refuses the key for something else', async () => {
    const { chain, sender, paid } = await start();
    chain.run(30);
    const first = await sender().send(intent('a'));
    expect(await sender().send(intent('a'))).toEqual(first);
    expect(paid()).toBe(1);
    await expect(sender().send(intent('a', 1n))).rejects.toMatchObject({ code: 'E_USAGE', exitCode: 2 });
    await sender().send(intent('b'));
    expect(paid()).toBe(2);
  });

  it('sends the same bytes again until they are seen', async () => {
    const { chain, sender, paid } = await start({ fault: (method, n) => method === 'sendBoc' && n < 16 ? { kind: 'drop' } : undefined });
    chain.run(40, 1);
    requireConfirmed(await sender().send(intent('a')));
    expect(chain.received.length).toBeGreaterThan(1);
    expect(new Set(chain.received).size).toBe(1);
    expect(paid()).toBe(1);
  });

  it('expires by chain time when the message never arrives, and says so', async () => {
    const { chain, sender, paid } = await start({ fault: (method) => method === 'sendBoc' ? { kind: 'drop' } : undefined });
    chain.run(20, 20);
    const record = await sender().send(intent('a'));
    expect(statusOf(record)).toBe('expired');
    expect(chain.time).toBeGreaterThan(lastAttempt(record).validUntil + 10);
    expect(() => requireConfirmed(record)).toThrow(expect.objectContaining({ code: 'E_TX_EXPIRED', exitCode: 9 }));
    expect(paid()).toBe(0);
    expect(await sender().send(intent('a'))).toEqual(record);
  });

  it('signs anew only after expiry, with the same sequence number, when asked to', async () => {
    // Longer than a message is valid, from the first one on: it expires however slow the machine is.
    let until = Infinity;
    const { chain, sender, paid } = await start({ fault: (method) => {
      if (method !== 'sendBoc') return undefined;
      if (until === Infinity) until = harness.chain.time + 75;
      return harness.chain.time < until ? { kind: 'drop' } : undefined;
    } });
    chain.run(20, 5);
    const { attempts } = requireConfirmed(await sender().send(intent('a'), { attempts: 20 }));
    // On a slow machine more than one message may expire; each but the last has.
    expect(attempts.length).toBeGreaterThan(1);
    expect(attempts.map(({ status, seqno }) => [status, seqno])).toEqual(attempts.map((_each, at) => [at === attempts.length - 1 ? 'confirmed' : 'expired', 0]));
    expect(new Set(attempts.map(({ messageHash }) => messageHash)).size).toBe(attempts.length);
    expect(paid()).toBe(1);
  });

  it('does not expire before chain time passed the validity and the margin', async () => {
    const { chain, sender } = await start();
    const pending = sender().send(intent('a'), { timeoutMs: 500 });
    pending.catch(() => undefined);
    await new Promise((resolve) => { setTimeout(resolve, 150); });
    await chain.tick(70, false);
    await expect(pending).rejects.toMatchObject({ code: 'E_UNCONFIRMED' });
  });

  it('ends with E_UNCONFIRMED while nothing is decided; resume decides', async () => {
    const { chain, sender, paid } = await start();
    await expect(sender().send(intent('a'), { timeoutMs: 200 })).rejects.toMatchObject({ code: 'E_UNCONFIRMED', exitCode: 9, retryable: true });
    expect((await sender().records()).map(statusOf)).toEqual(['pending']);
    await chain.tick();
    expect((await sender().resume()).map(statusOf)).toEqual(['confirmed']);
    expect(await sender().resume()).toEqual([]);
    expect(paid()).toBe(1);
  });

  it('finishes an older pending intent before it signs a new one', async () => {
    const { chain, sender, paid } = await start();
    await expect(sender().send(intent('a'), { timeoutMs: 100 })).rejects.toMatchObject({ code: 'E_UNCONFIRMED' });
    chain.dropWaiting();
    chain.run(30, 2);
    requireConfirmed(await sender().send(intent('b')));
    expect((await sender().records()).map((record) => [record.key, statusOf(record), lastAttempt(record).seqno])).toEqual([['a', 'confirmed', 0], ['b', 'confirmed', 1]]);
    expect(paid()).toBe(2);
  });

  it('fails for good when another message took the sequence number', async () => {
    const { chain, sender, paid, access } = await start();
    const sending = sender().send(intent('a'));
    await handedOver(chain);
    chain.dropWaiting();
    await access.sendBoc(await foreignMessage(0, TON));
    await chain.tick();
    chain.run(30, 1);
    const record = await sending;
    expect(statusOf(record)).toBe('failed');
    expect(reason(record)).toContain('another message of this wallet used sequence number 0');
    expect(() => requireConfirmed(record)).toThrow(expect.objectContaining({ code: 'E_TX_FAILED', exitCode: 9 }));
    expect(paid()).toBe(0);
  });

  it('reports a message that was executed without its transfer leaving', async () => {
    const { chain, sender, access, paid } = await start();
    // Passes the check of funds, then another spender empties the wallet in the same block.
    const sending = sender().send({ key: 'a', messages: [payment(4n * TON)] });
    await handedOver(chain);
    await harness.chain.sandbox.getContract(wallet.address).then((contract) => { contract.balance = TON; });
    chain.run(30, 1);
    const record = await sending;
    expect([statusOf(record), reason(record)]).toEqual(['failed', expect.stringContaining('sent 0 of 1 transfers')]);
    expect(paid()).toBe(0);
    expect((await access.account(wallet.address)).data).not.toBeNull();
  });

  it('names the missing amount before anything is signed', async () => {
    const { sender, folder, chain } = await start();
    await expect(sender().send(intent('a', 6n * TON))).rejects.toMatchObject({ code: 'E_FUNDS', exitCode: 8, message: expect.stringMatching(/1\.00\d+ TON are missing/) });
    expect(readdirSync(folder)).toEqual([]);
    expect(chain.received).toEqual([]);
  });

  it('refuses to send from a wallet that holds nothing', async () => {
    harness = await createHarness([{}], 0n);
    used = true;
    await expect(harness.sender().send(intent('a'))).rejects.toMatchObject({ code: 'E_FUNDS' });
  });

  it('stops at a damaged record instead of guessing', async () => {
    const { sender, folder } = await start();
    await sender().send(intent('a'), { timeoutMs: 1_000 }).catch(() => undefined);
    const [file = ''] = readdirSync(folder);
    writeFileSync(join(folder, file), readFileSync(join(folder, file), 'utf8').replace('"pending"', '"pendinG"'));
    await expect(sender().send(intent('b'))).rejects.toMatchObject({ code: 'E_STATE', message: expect.stringContaining(file) });
    await expect(sender().resume()).rejects.toMatchObject({ code: 'E_STATE' });
  });

  it('stops waiting when the caller aborts, and keeps the record', async () => {
    const { sender } = await start();
    await expect(sender().send(intent('a'), { signal: AbortSignal.timeout(200) })).rejects.toMatchObject({ code: 'E_CLOSED' });
    expect((await sender().records()).map(statusOf)).toEqual(['pending']);
  });

  it('gives two senders at once one sequence number each', async () => {
    const { chain, sender, paid } = await start();
    chain.run(30);
    const records = await Promise.all([sender().send(intent('a')), sender().send(intent('b')), sender().send(intent('a'))]);
    expect(records.map(statusOf)).toEqual(['confirmed', 'confirmed', 'confirmed']);
    expect(paid()).toBe(2);
    expect(new Set((await sender().records()).map((record) => lastAttempt(record).seqno))).toEqual(new Set([0, 1]));
  });

  it('says who holds the wallet when the wait for it ends', async () => {
    const { sender } = await start();
    const first = sender().send(intent('a'), { timeoutMs: 3_000 });
    first.catch(() => undefined);
    await new Promise((resolve) => { setTimeout(resolve, 500); });
    await expect(sender({ lockTimeoutMs: 50 }).send(intent('b'))).rejects.toMatchObject({ code: 'E_WALLET_BUSY', exitCode: 4, message: expect.stringContaining(`process ${process.pid}`) });
    await expect(first).rejects.toMatchObject({ code: 'E_UNCONFIRMED' });
  });
});

describe('createSender: awaitDelivery', () => {
  it('reports that a transfer arrived', async () => {
    const { chain, sender } = await start();
    chain.run(30);
    const record = await sender().send(intent('a'), { awaitDelivery: true });
    expect(lastAttempt(record).deliveries).toMatchObject([{ status: 'delivered' }]);
    expect(statusOf(record)).toBe('confirmed');
  });

  it('reports a transfer that bounced as failed', async () => {
    const { chain, sender } = await start();
    chain.run(30);
    // A bounceable message to an account without code comes back.
    const record = await sender().send({ key: 'a', messages: [transferOf({ to: target, valueNano: VALUE, bounce: true })] }, { awaitDelivery: true });
    expect(lastAttempt(record).deliveries).toMatchObject([{ status: 'bounced' }]);
    expect([statusOf(record), reason(record)]).toEqual(['failed', expect.stringContaining('came back')]);
    expect((await sender().records()).map(statusOf)).toEqual(['failed']);
  });

  it('reports a transfer that the destination refused without bouncing', async () => {
    const { chain, sender } = await start();
    await chain.sandbox.getContract(target).then((contract) => {
      // Code that throws 1012 on everything: `F2C3F4` would be THROW 1012 in the long form.
      contract.account = { ...contract.account, account: { addr: target, storageStats: { used: { cells: 0n, bits: 0n }, lastPaid: chain.time, duePayment: null, storageExtra: null },
        storage: { lastTransLt: 0n, balance: { coins: TON }, state: { type: 'active', state: { code: beginCell().storeUint(0xf2c3f4, 24).endCell(), data: Cell.EMPTY } } } } };
    });
    chain.run(30);
    const record = await sender().send(intent('a'), { awaitDelivery: true });
    expect(lastAttempt(record).deliveries).toMatchObject([{ status: 'failed', exitCode: 1012 }]);
    expect(reason(record)).toContain('exit code 1012');
  });
});

describe('createSender: endpoints that lie, lag and limit', () => {
  const garbage = { kind: 'status', status: 200, body: '<html>' } as const;

  it('one of two lags: waits for it and sends once', async () => {
    const { chain, sender, paid } = await start({}, { lagBlocks: 2 });
    chain.run(30);
    requireConfirmed(await sender().send(intent('a')));
    expect(paid()).toBe(1);
  });

  it('an endpoint that falls back behind what another process of this wallet has sent: waits until it shows that, and uses no number twice', async () => {
    const script: EndpointScript = {};
    const { chain, sender, paid } = await start(script);
    chain.run(30);
    requireConfirmed(await sender().send(intent('a')));
    script.lagBlocks = 8; // the block before the transaction
    const record = requireConfirmed(await sender().send(intent('b'), { timeoutMs: 20_000 }));
    expect(lastAttempt(record)).toMatchObject({ seqno: 1, status: 'confirmed' });
    expect(paid()).toBe(2);
  });

  it('an endpoint that stays behind: nothing is signed, and the error may pass', async () => {
    const script: EndpointScript = {};
    const { chain, sender, paid } = await start(script);
    chain.run(30);
    requireConfirmed(await sender().send(intent('a')));
    const { lastBlock } = chain;
    Object.defineProperty(script, 'lagBlocks', { get: () => chain.lastBlock - lastBlock + 8 });
    await expect(sender().send(intent('b'), { timeoutMs: 500 })).rejects.toMatchObject({ code: 'E_CHAIN_STALE', retryable: true });
    expect(paid()).toBe(1);
    expect((await sender().records()).map(({ key }) => key)).toEqual(['a']);
  });

  it('one of two shows another balance: nothing is signed', async () => {
    const { sender, chain, folder } = await start({}, { lie: (method, result) => method === 'getAddressInformation' ? { ...result, balance: '999000000000' } : undefined });
    await expect(sender().send(intent('a'))).rejects.toMatchObject({ code: 'E_CHAIN_DISAGREES', exitCode: 6 });
    expect(chain.received).toEqual([]);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('one of two pretends that time has passed: the message does not expire', async () => {
    const future: EndpointScript = { lie: (method, result) => method === 'getAddressInformation' ? { ...result, sync_utime: Number(result['sync_utime']) + 10_000 } : undefined };
    const { sender } = await start({}, future);
    await expect(sender().send(intent('a'), { timeoutMs: 600 })).rejects.toMatchObject({ code: 'E_UNCONFIRMED' });
    expect((await sender().records()).map(statusOf)).toEqual(['pending']);
  });

  it('a single endpoint that hides the transaction and pretends that time has passed cannot make it happen twice', async () => {
    let hide = true;
    const known: { last?: unknown } = {};
    const hiding: EndpointScript = {
      lie: (method, result) => method === 'getAddressInformation' && hide
        ? { ...result, state: 'uninitialized', code: '', data: '', sync_utime: Number(result['sync_utime']) + 10_000, last_transaction_id: known.last ?? result['last_transaction_id'] } : undefined,
    };
    const { chain, sender, paid } = await start(hiding);
    const [funding] = chain.transactionsOf(wallet.address);
    known.last = { '@type': 'internal.transactionId', lt: String(funding?.lt), hash: funding?.hash.toString('base64') };
    await sender().send(intent('a'), { attempts: 2, timeoutMs: 1000 }).catch(() => undefined);
    await chain.tick();
    hide = false;
    chain.run(30);
    await sender().resume();
    // Both messages carry the same sequence number, so the network executes at most one.
    expect(new Set(chain.received).size).toBeGreaterThanOrEqual(1);
    expect(paid()).toBeLessThanOrEqual(1);
  });

  it('a forged transaction is refused: it does not hash to what the account names', async () => {
    const forge: EndpointScript = {
      lie: (method, result) => method === 'getTransactions'
        ? (result as unknown as Record<string, unknown>[]).map((each) => ({ ...each, data: harness.chain.transactionsOf(wallet.address)[0]?.boc.toString('base64') })) : undefined,
    };
    const { chain, sender } = await start(forge);
    chain.run(30, 1);
    await expect(sender().send(intent('a'), { timeoutMs: 800 })).rejects.toMatchObject({ code: 'E_UNCONFIRMED' });
    delete (forge as { lie?: unknown }).lie;
    expect((await sender().resume()).map(statusOf)).toEqual(['confirmed']);
  });

  it.each<[string, EndpointScript['fault']]>([
    ['429 in between', (_method, n) => n % 3 === 1 ? { kind: 'status', status: 429, headers: { 'retry-after': '0' } } : undefined],
    ['garbage in between', (_method, n) => n % 3 === 1 ? garbage : undefined],
    ['connections that break', (_method, n) => n % 4 === 2 ? { kind: 'reset' } : undefined],
    ['sendBoc that breaks after it was taken', (method) => method === 'sendBoc' ? { kind: 'lost-answer' } : undefined],
  ])('%s: confirmed, once', async (_name, fault) => {
    const { chain, sender, paid } = await start(fault === undefined ? {} : { fault });
    chain.run(30, 1);
    requireConfirmed(await sender().send(intent('a'), { timeoutMs: 15_000 }));
    expect(paid()).toBe(1);
  });
});

it('payment: pays fees separately, so that the whole value arrives', () => {
  expect(payment().mode).toBe(SendMode.PAY_GAS_SEPARATELY);
});
