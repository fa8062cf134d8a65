import { Address, beginCell, SendMode } from '@ton/core';
import { WalletContractV4, WalletContractV5R1 } from '@ton/ton';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { externalMessage } from '../../../src/chain/cells/wallet-messages.ts';
import { signerOfSeed } from '../../../src/chain/ed25519.ts';
import { createTonAccess } from '../../../src/chain/access/access.ts';
import type { TonAccess } from '../../../src/chain/access/types.ts';
import { cocoonWallet, walletV4R2, walletV5R1 } from '../../../src/chain/wallets/kinds.ts';
import type { WalletKind } from '../../../src/chain/wallets/kinds.ts';
import { MAINNET, TESTNET } from '../../../src/chain/wallets/network.ts';
import { transferOf } from '../../../src/chain/wallets/transfer.ts';
import { FakeChain } from '../../fakes/fake-chain.ts';

const TON = 10n ** 9n;
const signer = signerOfSeed(new Uint8Array(32).fill(7));
const to = (n: number): Address => new Address(0, Buffer.alloc(32, n));
const pay = (n: number, nano: bigint): ReturnType<typeof transferOf> => transferOf({ to: to(n), valueNano: nano, bounce: false });

describe('walletV5R1', () => {
  it('has the address that @ton/ton derives, another one on every network', () => {
    const publicKey = Buffer.from(signer.publicKey);
    const addresses = [MAINNET, TESTNET, { name: 'mine', globalId: 4711, testOnly: false }].map((network) => walletV5R1(publicKey, network).address);
    expect(addresses[0]?.equals(WalletContractV5R1.create({ publicKey }).address)).toBe(true);
    expect(addresses[1]?.equals(WalletContractV5R1.create({ publicKey, walletId: { networkGlobalId: -3 } }).address)).toBe(true);
    expect(new Set(addresses.map(String)).size).toBe(3);
  });
});

describe('walletV4R2', () => {
  it('has the address that @ton/ton derives', () => {
    const publicKey = Buffer.from(signer.publicKey);
    expect(walletV4R2(publicKey).address.equals(WalletContractV4.create({ publicKey, workchain: 0 }).address)).toBe(true);
  });

  it('refuses to mix modes in one message', async () => {
    const wallet = walletV4R2(signer.publicKey);
    await expect(wallet.buildExternal(0, 1, [{ ...pay(1, 1n), mode: 1 }, { ...pay(2, 1n), mode: 3 }], signer)).rejects.toMatchObject({ code: 'E_USAGE' });
  });
});

describe.each<[string, WalletKind]>([
  ['v5r1', walletV5R1(signer.publicKey, { name: 'local', globalId: 4711, testOnly: false })],
  ['v4r2', walletV4R2(signer.publicKey)],
])('%s on a chain', (_name, wallet) => {
  let chain: FakeChain;
  let access: TonAccess;
  beforeEach(async () => {
    chain = await FakeChain.create();
    access = createTonAccess({ endpoints: [{ url: (await chain.endpoint()).url }] });
    await chain.fund(wallet.address, 5n * TON);
  });
  afterEach(async () => {
    await access.close();
    await chain.close();
  });

  const send = async (seqno: number, messages: ReturnType<typeof pay>[], init = seqno === 0): Promise<void> => {
    const body = await wallet.buildExternal(seqno, chain.time + 60, messages, signer);
    await access.sendBoc(externalMessage.store({ to: wallet.address, body, init: init ? wallet.init : null }).toBoc());
    await chain.tick();
  };

  it('deploys itself with the first message and counts its messages', async () => {
    await send(0, [pay(1, TON), pay(2, 2n * TON)]);
    const account = await access.account(wallet.address);
    expect(account.status).toBe('active');
    expect(account.data === null ? null : wallet.readSeqno(account.data)).toBe(1);
    expect(await chain.balance(to(1))).toBe(TON);
    expect(await chain.balance(to(2))).toBe(2n * TON);
  });

  it('carries as many transfers as it says', async () => {
    const messages = Array.from({ length: Math.min(wallet.maxMessages, 20) }, (_, i) => pay(i + 1, 1_000_000n));
    await send(0, messages);
    expect(await chain.balance(to(messages.length))).toBe(1_000_000n);
  });

  it('refuses no transfers and one too many', async () => {
    await expect(wallet.buildExternal(0, 1, [], signer)).rejects.toMatchObject({ code: 'E_USAGE' });
    await expect(wallet.buildExternal(0, 1, Array.from({ length: wallet.maxMessages + 1 }, () => pay(1, 1n)), signer)).rejects.toMatchObject({ code: 'E_USAGE' });
  });

  it('sends everything with the whole-balance mode', async () => {
    await send(0, [transferOf({ to: to(1), valueNano: 'all', bounce: false })]);
    expect(await chain.balance(wallet.address)).toBe(0n);
    expect(await chain.balance(to(1))).toBeGreaterThan(49n * TON / 10n);
  });

  it('advances its sequence number also when a transfer cannot be paid', async () => {
    await send(0, [pay(1, 100n * TON)]);
    const account = await access.account(wallet.address);
    expect(account.data === null ? null : wallet.readSeqno(account.data)).toBe(1);
    expect(await chain.balance(to(1))).toBe(0n);
  });

  it('readSeqno: refuses a cell that is too short', () => {
    expect(() => wallet.readSeqno(beginCell().storeUint(1, 8).endCell())).toThrow(expect.objectContaining({ code: 'E_CHAIN_DATA' }));
  });
});

describe('cocoonWallet', () => {
  const code = beginCell().storeUint(0xc0de, 16).endCell();
  const options = { code, owner: to(9), publicKey: signer.publicKey, subwallet: 77 };
  const wallet = cocoonWallet(options);

  it('signs the request of ONCHAIN.md 11.2', async () => {
    const message = pay(1, TON);
    const body = await wallet.buildExternal(5, 1_800_000_600, [{ ...message, mode: 1 }], signer);
    const slice = body.beginParse();
    const signature = slice.loadBuffer(64);
    const signed = slice.asCell();
    expect(signature.equals(Buffer.from(signer.sign(signed.hash())))).toBe(true);
    expect([slice.loadUint(32), slice.loadUint(32), slice.loadUint(32), slice.loadUint(8)]).toEqual([77, 1_800_000_600, 5, 1]);
    expect(slice.loadRef().equals(message.message)).toBe(true);
    expect([slice.remainingBits, slice.remainingRefs]).toEqual([0, 0]);
  });

  it('reads its own storage and refuses that of another subwallet', () => {
    expect(wallet.readSeqno(wallet.init.data)).toBe(0);
    const other = cocoonWallet({ ...options, subwallet: 78 });
    expect(other.address.equals(wallet.address)).toBe(false);
    expect(() => wallet.readSeqno(other.init.data)).toThrow(expect.objectContaining({ code: 'E_CHAIN_DATA' }));
  });

  it('carries at most four transfers', async () => {
    await expect(wallet.buildExternal(0, 1, Array.from({ length: 5 }, () => pay(1, 1n)), signer)).rejects.toMatchObject({ code: 'E_USAGE' });
  });
});

it('transferOf: pays fees on top', () => {
  expect(pay(1, 1n).mode).toBe(SendMode.PAY_GAS_SEPARATELY);
});
