// The durable sender of src/chain/sending over a local chain with faults: what goes wrong on the way does not change the sum.
import { afterAll, describe, expect, it } from '@jest/globals';
import { Address } from '@ton/core';
import { join } from 'node:path';
import { createTonAccess } from '../../../src/chain/access/access.ts';
import { signerOfSeed } from '../../../src/chain/ed25519.ts';
import { statusOf } from '../../../src/chain/sending/record.ts';
import { createSender } from '../../../src/chain/sending/sender.ts';
import { walletV5R1 } from '../../../src/chain/wallets/kinds.ts';
import { transferOf } from '../../../src/chain/wallets/transfer.ts';
import { cleanUp, start, TON } from './harness.ts';

afterAll(cleanUp);

describe('createSender on a local chain', () => {
  it('pays exactly once through dropped, late and limited requests, and sees the delivery', async () => {
    const chain = await start({ tickMs: 30, clock: { now: () => Date.now() } });
    const signer = signerOfSeed(new Uint8Array(32).fill(41));
    const wallet = walletV5R1(signer.publicKey, { name: 'local', globalId: chain.globalId, testOnly: false });
    await chain.admin.faucet(wallet.address, 10n * TON);
    const access = createTonAccess({ endpoints: [{ url: chain.endpoint }] });
    const sender = createSender({ access, wallet, signer, folder: join(chain.dir, '..', 'outbox'), pollMs: 40, resendMs: 120 });
    const target = new Address(0, Buffer.alloc(32, 0x42));
    await chain.admin.addFault({ kind: 'drop', count: 2 });
    await chain.admin.addFault({ kind: 'rate-limit', methods: ['getAddressInformation'], count: 1 });
    await chain.admin.addFault({ kind: 'down', methods: ['getTransactions'], count: 1 });
    await chain.admin.addFault({ kind: 'late', blocks: 4, count: 1 });
    const messages = [transferOf({ to: target, valueNano: TON, bounce: false, body: 'once' })];
    const record = await sender.send({ key: 'pay', messages }, { awaitDelivery: true, timeoutMs: 25_000 });
    expect(statusOf(record)).toBe('confirmed');
    expect(statusOf(await sender.send({ key: 'pay', messages }))).toBe('confirmed');
    expect(await chain.admin.faults()).toEqual([]);
    expect(await access.transactions(target, { afterLt: 0n })).toMatchObject({ complete: true, transactions: [expect.anything()] });
    await access.close();
  });
});
