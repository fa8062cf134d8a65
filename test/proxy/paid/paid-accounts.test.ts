// The proxy's accounts on the local chain: balances, reservations, bookings, commitments, payments, rules.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Address } from '@ton/core';
import { parsePayment, checkPayment } from '../../../src/chain/signed-payment.ts';
import type { Ledger } from '../../../src/proxy/ledger/ledger.ts';
import type { PaidAccounts } from '../../../src/proxy/paid/paid-accounts.ts';
import { eventually, PaidNetwork, person, TON } from './fixture.ts';
import { signedTokens, textOf, used } from './peers.ts';

let network: PaidNetwork;
let ledger: Ledger;
let accounts: PaidAccounts;
const alice = person(11);
const nodeOwner = person(21);

beforeAll(async () => {
  network = await PaidNetwork.start();
  await network.stake();
  await network.deposit(alice, 3n * TON);
  ledger = await network.ledger();
  accounts = await network.accounts(ledger);
});
afterAll(() => network.close());

describe('createPaidAccounts', () => {
  it('serves once the stake is there, and says which contract', async () => {
    expect(accounts.status().refusal).toBeNull();
    expect(accounts.proxy).toMatchObject({ contractAddress: (await network.proxyAddress()).toString({ bounceable: false }), isTest: true });
    expect(accounts.multipliers()).toEqual({ prompt: 10_000, cached: 5_000, completion: 20_000, reasoning: 20_000 });
    expect(() => accounts.checkAddress('nobody')).toThrow(expect.objectContaining({ remoteCode: 0 }));
  });

  it('a client may spend its stake and no more: tokens_available of the chain, parallel reservations included', async () => {
    const client = await accounts.client(textOf(alice));
    // min(3 TON / 1000, 1 TON stake / 1000) tokens
    expect([accounts.available(client), client.secretHash]).toEqual([1_000_000n, null]);
    const first = accounts.reserve(client, 600_000n);
    expect(() => accounts.reserve(client, 400_001n)).toThrow(expect.objectContaining({ remoteCode: 651, remoteMessage: 'balance is too low' }));
    const second = accounts.reserve(client, 400_000n);
    expect(() => accounts.reserve(client, 1n)).toThrow(expect.objectContaining({ remoteCode: 651 }));
    first.release();
    second.release();
    expect(() => second.release()).toThrow(expect.objectContaining({ code: 'E_INTERNAL' }));
    expect(accounts.available(client)).toBe(1_000_000n);
    const stranger = await accounts.client(textOf(person(99)));
    expect(accounts.available(stranger)).toBe(0n);
    expect(() => accounts.reserve(stranger, 1n)).toThrow(expect.objectContaining({ remoteCode: 651 }));
  });

  it('settle books both sides durably; what is committed on chain is signed, and the same total is the same bytes', async () => {
    const client = await accounts.client(textOf(alice));
    const worker = await accounts.worker(textOf(nodeOwner));
    expect(parsePayment(worker.status().signedPayment ?? new Uint8Array()).claim).toMatchObject({ kind: 'workerPayout', tokens: 0n });
    const totals = await accounts.reserve(client, 50_000n).settle(worker, used(40_000n));
    expect([totals.client.dbTokens, totals.client.maxTokens, totals.worker.dbTokens]).toEqual([40_000n, 40_000n, 40_000n]);
    expect(accounts.available(client)).toBe(960_000n);
    await eventually('signed', () => signedTokens(worker) === 40_000n);
    const boc = worker.status().signedPayment ?? new Uint8Array();
    checkPayment(parsePayment(boc), { kinds: ['workerPayout'], contract: Address.parse(worker.contractAddress), publicKey: network.paymentKey.publicKey });
    expect(signedTokens(client)).toBe(40_000n);
    await accounts.commit();
    expect(worker.status().signedPayment).toEqual(boc);
    expect(accounts.status()).toMatchObject({ commitment: { lagTokens: 0n, problem: null }, instances: [{ phase: 'serving', closableFrom: null }] });
  });

  it('a node that reports more than was reserved is booked what was reserved', async () => {
    const client = await accounts.client(textOf(alice));
    const worker = await accounts.worker(textOf(nodeOwner));
    const before = worker.status().maxTokens;
    await accounts.reserve(client, 1_000n).settle(worker, used(4n * 10n ** 8n));
    expect(worker.status().maxTokens - before).toBe(1_000n);
  });

  it('compare agrees up to the total; a larger claim without proof raises nothing and may go on, forged proof is refused', async () => {
    const worker = await accounts.worker(textOf(nodeOwner));
    const { maxTokens } = worker.status();
    expect(worker.compare({ chainTokens: 0n, dbTokens: maxTokens, maxTokens }).agreed).toBe(true);
    expect(worker.compare({ chainTokens: 10n ** 12n, dbTokens: 10n ** 12n, maxTokens: 10n ** 12n }).agreed).toBe(false);
    await worker.extendedCompare(10n ** 12n, new Uint8Array());
    expect(worker.status().maxTokens).toBe(maxTokens);
    await expect(worker.extendedCompare(10n ** 12n, new Uint8Array(100))).rejects.toMatchObject({ remoteCode: 602 });
    const client = await accounts.client(textOf(alice));
    await expect(worker.extendedCompare(10n ** 12n, client.status().signedPayment ?? new Uint8Array())).rejects.toMatchObject({ remoteCode: 602 });
  });

  it('two proxies never share a ledger', async () => {
    await expect(network.ledger()).rejects.toMatchObject({ code: 'E_STATE' });
  });
});
