import { Address, loadMessageRelaxed } from '@ton/core';
import { WalletContractV4 } from '@ton/ton';
import { afterEach, describe, expect, it } from '@jest/globals';
import { walletSubwallet } from '../../../src/chain/addresses.ts';
import { contractCode } from '../../../src/chain/code.ts';
import { lastAttempt, statusOf } from '../../../src/chain/sending/record.ts';
import { createSender, requireConfirmed } from '../../../src/chain/sending/sender.ts';
import { cocoonWallet, walletV4R2 } from '../../../src/chain/wallets/kinds.ts';
import type { WalletKind } from '../../../src/chain/wallets/kinds.ts';
import { intent, payment, signer, target, TON, WAITS } from './fixture.ts';
import { createHarness } from './harness.ts';
import type { Harness } from './harness.ts';

let harness: Harness;
afterEach(async () => { await harness.close(); });

async function senderOf(wallet: WalletKind, fundNano: bigint): Promise<ReturnType<typeof createSender>> {
  harness = await createHarness([{}], 0n);
  await harness.chain.fund(wallet.address, fundNano);
  return createSender({ access: harness.access, wallet, signer, folder: harness.folder, ...WAITS });
}

describe('the Cocoon wallet, in its compiled code', () => {
  const owner = new Address(0, Buffer.alloc(32, 0x99));
  const wallet = cocoonWallet({ code: contractCode('wallet'), owner, publicKey: signer.publicKey, subwallet: walletSubwallet(4711, owner) });

  it('deploys with the first message, then sends up to four transfers at once', async () => {
    const sender = await senderOf(wallet, 5n * TON);
    harness.chain.run(30);
    requireConfirmed(await sender.send(intent('a')));
    const record = requireConfirmed(await sender.send({ key: 'b', messages: [payment(), payment(), payment(), payment()] }));
    expect(lastAttempt(record)).toMatchObject({ seqno: 1, deliveries: [{}, {}, {}, {}] });
    expect(harness.paid()).toBe(5);
  });

  it('says what is missing when it holds less than it needs to send at all', async () => {
    const sender = await senderOf(wallet, 2n * TON);
    await expect(sender.send(intent('a'))).rejects.toMatchObject({ code: 'E_FUNDS', message: expect.stringContaining('more than 2 TON') });
  });
});

describe('a wallet that reverts its sequence number when a transfer fails', () => {
  const inner = WalletContractV4.create({ workchain: 0, publicKey: Buffer.from(signer.publicKey) });
  /** V4R2 without the flag that ignores errors of actions, as other programs use it. */
  const wallet: WalletKind = {
    ...walletV4R2(signer.publicKey),
    buildExternal: async (seqno, validUntil, messages, by) => inner.createTransfer({
      seqno, timeout: validUntil, sendMode: 1, signer: async (cell) => Buffer.from(by.sign(cell.hash())),
      messages: messages.map(({ message }) => loadMessageRelaxed(message.beginParse())),
    }),
  };

  /** Sends 4 TON, lets the wallet become poor before the block that executes it, and waits until that is seen. */
  async function failOnce(): Promise<{ sender: ReturnType<typeof createSender>; sending: Promise<unknown> }> {
    const sender = await senderOf(wallet, 5n * TON);
    const sending = sender.send({ key: 'a', messages: [payment(4n * TON)] }, { timeoutMs: 15_000 });
    sending.catch(() => undefined);
    for (let i = 0; i < 400 && harness.chain.received.length === 0; i += 1) await new Promise((resolve) => { setTimeout(resolve, 5); });
    await harness.chain.sandbox.getContract(wallet.address).then((contract) => { contract.balance = TON; });
    await harness.chain.tick();
    expect(harness.chain.transactionsOf(wallet.address)).toHaveLength(2);
    await new Promise((resolve) => { setTimeout(resolve, 150); });
    return { sender, sending };
  }

  it('is not failed before the message has expired, and is not sent again meanwhile', async () => {
    const { sender, sending } = await failOnce();
    const sent = harness.chain.received.length;
    harness.chain.dropWaiting();
    await new Promise((resolve) => { setTimeout(resolve, 200); });
    expect(harness.chain.received.length).toBe(sent);
    expect((await sender.records()).map(statusOf)).toEqual(['pending']);
    await harness.chain.tick(100);
    const record = await sending as Awaited<ReturnType<typeof sender.send>>;
    expect(statusOf(record)).toBe('failed');
    expect(lastAttempt(record)).toMatchObject({ reason: expect.stringContaining('action result 37'), transaction: { actionCode: 37 } });
  });

  it('is confirmed, once, when the same bytes go through later', async () => {
    const { sender, sending } = await failOnce();
    harness.chain.dropWaiting();
    await harness.chain.fund(wallet.address, 5n * TON);
    const [record] = await sender.records();
    await harness.access.sendBoc(Buffer.from(record === undefined ? '' : lastAttempt(record).boc, 'base64'));
    await harness.chain.tick();
    expect(statusOf(await sending as Awaited<ReturnType<typeof sender.send>>)).toBe('confirmed');
    expect(await harness.chain.balance(target)).toBe(4n * TON);
  });
});
