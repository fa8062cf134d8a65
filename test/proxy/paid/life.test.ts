// Money on the local chain through a contract's whole life: registration, charges and payouts by rule, refunds, earnings, a
// proxy that is closed by its owner; at the end the sums are exact.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { beginCell } from '@ton/core';
import type { Address } from '@ton/core';
import { clientDeployment, workerDeployment } from '../../../src/chain/addresses.ts';
import { registerClient, requestRefund } from '../../../src/chain/cells/client-messages.ts';
import { closeProxy as closeMessage } from '../../../src/chain/cells/proxy-messages.ts';
import { clientStorage, proxyStorage, workerStorage } from '../../../src/chain/cells/storage.ts';
import { openHotWallet } from '../../../src/chain/hot-wallet.ts';
import type { Ledger } from '../../../src/proxy/ledger/ledger.ts';
import { closeProxy } from '../../../src/proxy/paid/close-proxy.ts';
import type { PaidAccounts } from '../../../src/proxy/paid/paid-accounts.ts';
import type { WindDownProgress } from '../../../src/proxy/paid/wind-down.ts';
import { eventually, PaidNetwork, person, TON } from './fixture.ts';
import type { Person } from './fixture.ts';
import { request, textOf } from './peers.ts';

jest.setTimeout(400_000);

let network: PaidNetwork;
let ledger: Ledger;
let accounts: PaidAccounts;
let proxy: Address;
const [alice, bob] = [person(11), person(12)];
const [nodeOwner, lazyOwner] = [person(21), person(22)];

const child = async (kind: 'client' | 'worker', owner: Person) => {
  const { config: { params } } = await network.root();
  return (kind === 'client' ? clientDeployment : workerDeployment)({ owner: owner.wallet.address, proxy, proxyPublicKey: network.paymentKey.publicKey, params });
};
const stored = async <T>(address: Address, load: (data: never) => T): Promise<T | null> => {
  const { data } = await network.access.account(address, { agreed: true });
  return data === null ? null : load(data as never);
};
const clientData = async (owner: Person) => stored((await child('client', owner)).address, clientStorage.load);
const workerData = async (owner: Person) => stored((await child('worker', owner)).address, workerStorage.load);
const proxyData = () => stored(proxy, proxyStorage.load);
const balance = async (address: Address): Promise<bigint> => (await network.access.account(address, { agreed: true })).balanceNano;

/** Sends one message from a person's own wallet. */
async function send(from: Person, key: string, to: Address, valueNano: bigint, body: ReturnType<typeof requestRefund.store>): Promise<void> {
  const wallet = openHotWallet({ access: network.access, wallet: from.wallet, signer: from.signer, folder: network.outbox(from), pollMs: 60, resendMs: 1_000 });
  try {
    await wallet.send(key, [{ to, valueNano, body }], { follow: true, timeoutMs: 60_000 });
  } finally {
    await wallet.close();
  }
}

beforeAll(async () => {
  network = await PaidNetwork.start();
  await network.stake();
  proxy = await network.proxyAddress();
  await network.deposit(alice, 3n * TON);
  await network.deposit(bob, 2n * TON);
  ledger = await network.ledger();
  accounts = await network.accounts(ledger, { chargeFromNano: TON / 10n, payoutFromNano: TON / 10n, withdrawFromNano: TON / 50n });
});
afterAll(() => network.close());

describe('long authentication', () => {
  it('a registration from the client\'s own contract admits its connection once; a replay and a stranger\'s are refused', async () => {
    const client = await accounts.client(textOf(alice));
    const nonce = 0xfedc_ba98_7654_3210n;
    const waiting = client.authorize({ kind: 'long', nonce }, AbortSignal.timeout(60_000));
    // The same words from a wallet that is not the client contract mean nothing.
    await send(bob, 'forged', proxy, TON / 10n, registerClient.store({ queryId: 1n, nonce, sendExcessesTo: bob.wallet.address })).catch(() => undefined);
    const { address } = await child('client', alice);
    await send(alice, 'register', address, TON / 2n, registerClient.store({ queryId: 1n, nonce, sendExcessesTo: alice.wallet.address }));
    await waiting;
    await expect(client.authorize({ kind: 'long', nonce }, AbortSignal.timeout(300))).rejects.toMatchObject({ code: 'E_CLOSED' });
    const other = await accounts.client(textOf(bob));
    await expect(other.authorize({ kind: 'long', nonce }, AbortSignal.timeout(300))).rejects.toMatchObject({ code: 'E_CLOSED' });
  });
});

describe('rules', () => {
  it('charges, payouts and earnings are delivered when they are worth it, each once', async () => {
    const { address, init } = await child('worker', nodeOwner);
    await network.fund(nodeOwner, 5n * TON);
    const wallet = openHotWallet({ access: network.access, wallet: nodeOwner.wallet, signer: nodeOwner.signer, folder: network.outbox(nodeOwner), pollMs: 60 });
    await wallet.send('deploy', [{ to: address, valueNano: TON / 2n, body: beginCell().endCell(), init, bounce: false }], { follow: true });
    await wallet.close();
    const before = await balance(nodeOwner.wallet.address);
    await request(accounts, alice, nodeOwner, 400_000n);
    await eventually('charged', async () => (await clientData(alice))?.tokensUsed === 400_000n);
    await eventually('paid', async () => (await workerData(nodeOwner))?.tokens === 400_000n);
    // Less the gas with which the owner's wallet takes it; who has no contract gets it to the nanoTON, below.
    await eventually('owner has it', async () => {
      const got = await balance(nodeOwner.wallet.address) - before;
      return got > 400_000n * 700n - TON / 100n && got <= 400_000n * 700n;
    });
    const earned = await balance(network.proxyOwner.wallet.address);
    await eventually('earnings withdrawn', async () => (await proxyData())?.balanceNano === 0n);
    expect(await balance(network.proxyOwner.wallet.address) - earned).toBeGreaterThanOrEqual(0n);
    expect((await clientData(alice))?.balanceNano).toBe(3n * TON - 400_000n * 1000n);
    // The balance went down and the total up together: what may be spent is still the stake.
    await eventually('seen', async () => accounts.available(await accounts.client(textOf(alice))) === 1_000_000n);
  });

  it('a client that closes is refused work and gets its refund with the last charge in it', async () => {
    await request(accounts, bob, nodeOwner, 50_000n);
    const { address } = await child('client', bob);
    await send(bob, 'close', address, TON / 2n, requestRefund.store({ queryId: 1n, sendExcessesTo: bob.wallet.address }));
    await eventually('refunded', async () => (await clientData(bob))?.state === 2);
    expect(await clientData(bob)).toMatchObject({ tokensUsed: 450_000n - 400_000n, balanceNano: 0n });
    await eventually('known', async () => accounts.client(textOf(bob)).then(() => false, (error: unknown) => (error as { remoteMessage?: string }).remoteMessage === 'client is closing'));
  });
});

describe('closeProxy', () => {
  it('after the owner\'s request: no new work, refunds, last payouts also to who has no contract yet, and exact sums', async () => {
    await request(accounts, alice, lazyOwner, 30_000n);
    await request(accounts, alice, nodeOwner, 20_000n);
    await send(network.proxyOwner, 'close', proxy, TON / 2n, closeMessage.store({ queryId: 1n, sendExcessesTo: network.proxyOwner.wallet.address }));
    await eventually('refused', () => accounts.status().refusal !== null);
    await expect(accounts.client(textOf(alice))).rejects.toMatchObject({ remoteCode: 651 });
    await accounts.close();

    const [aliceBefore, lazyBefore, ownerBefore] = await Promise.all([alice, lazyOwner, network.proxyOwner].map(({ wallet }) => balance(wallet.address)));
    const steps: WindDownProgress[] = [];
    const options = await network.options(ledger);
    // Interrupted once on the way, then called again.
    const interrupted = new AbortController();
    await expect(closeProxy({ ...options, signal: interrupted.signal }, ({ step }) => { if (step === 'payout') interrupted.abort(); })).rejects.toBeDefined();
    const done = closeProxy(options, (progress) => void steps.push(progress));
    await eventually('delay', () => steps.some(({ step }) => step === 'delay'));
    const until = steps.find(({ step }) => step === 'delay')?.until ?? 0;
    expect(until).toBeGreaterThan(network.chain.chain.now());
    await network.advance(until - network.chain.chain.now() + 1);
    await done;
    expect(steps.at(-1)).toMatchObject({ step: 'closed', problem: null });
    expect(ledger.instances().map(({ phase }) => phase)).toEqual(['closed']);

    const aliceData = await clientData(alice);
    expect([aliceData?.state, aliceData?.tokensUsed, aliceData?.balanceNano]).toEqual([2, 450_000n, 0n]);
    expect([(await workerData(nodeOwner))?.tokens, (await workerData(lazyOwner))?.tokens]).toEqual([470_000n, 30_000n]);
    expect(await balance(lazyOwner.wallet.address) - (lazyBefore ?? 0n)).toBe(30_000n * 700n);
    // 3 TON less 450,000 tokens, and the spare TON of its contract.
    expect(await balance(alice.wallet.address) - (aliceBefore ?? 0n)).toBeGreaterThanOrEqual(3n * TON - 450_000n * 1000n);
    const closed = await proxyData();
    expect([closed?.state, closed?.balanceNano, closed?.stakeNano]).toEqual([2, 0n, 0n]);
    // Stake less rent, and what was earned since the last withdrawal: 100,000 tokens at 300 nanoTON.
    const paid = await balance(network.proxyOwner.wallet.address) - (ownerBefore ?? 0n);
    expect(paid).toBeGreaterThan(10n * TON - TON / 100n);
    expect(paid).toBeLessThanOrEqual(10n * TON + 100_000n * 300n);
  });
});
