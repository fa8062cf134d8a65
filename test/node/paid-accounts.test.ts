// The node's money against the real contracts on a chain in process: whom it works for, which totals it believes, when it stops,
// and what is on disk when it dies. The proxy is scripted.
import { mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Address } from '@ton/core';
import { workerDeployment } from '../../src/chain/addresses.ts';
import type { TokensKind } from '../../src/chain/cells/signed.ts';
import { signerOfSeed } from '../../src/chain/ed25519.ts';
import { followRoot } from '../../src/chain/follow/root-follower.ts';
import type { RootFollower } from '../../src/chain/follow/root-follower.ts';
import { openHotWallet } from '../../src/chain/hot-wallet.ts';
import { openPaymentBook } from '../../src/chain/payment-book.ts';
import type { PaymentBook } from '../../src/chain/payment-book.ts';
import { encodePayment, signPayment } from '../../src/chain/signed-payment.ts';
import { silentLog } from '../../src/core/log.ts';
import { sleep } from '../../src/core/retry.ts';
import { paidAccounts } from '../../src/node/paid-accounts.ts';
import { NO_TOKENS } from '../../src/wire/answer.ts';
import type { NodeAccounts, NodeConnection } from '../../src/node/accounts.ts';
import type { PaidNodeOptions } from '../../src/node/paid-accounts.ts';
import type { WorkerOffer } from '../../src/wire/worker-session.ts';
import { eventually, PaidNetwork, person, TON } from '../proxy/paid/fixture.ts';

const never = new AbortController().signal;
/** 700 nanoTON a token: 0.7 TON may be owed. */
const LIMIT_TOKENS = 1_000_000n;

let network: PaidNetwork;
let proxy: Address;
let root: RootFollower;
let contract: Address;
const owner = person(200).wallet.address;
const stranger = person(201).wallet.address;

beforeAll(async () => {
  network = await PaidNetwork.start();
  await network.stake();
  proxy = await network.proxyAddress();
  root = await followRoot({ access: network.access, root: network.rootAddress, pollMs: 1_000, maxAgeS: 1_000_000, clock: { now: () => network.chain.chain.now() * 1000 }, log: silentLog, signal: never });
  contract = workerDeployment({ owner, proxy, proxyPublicKey: network.paymentKey.publicKey, params: root.current().config.params }).address;
}, 60_000);
afterAll(async () => {
  await root.close();
  await network.close();
});

const sign = (tokens: bigint, kind: TokensKind = 'workerPayout', of = contract, by = network.paymentKey): Uint8Array =>
  encodePayment(signPayment({ kind, queryId: tokens, tokens, contract: of }, owner, by));
const status = (tokens: bigint, signedPayment: Uint8Array | null = null, dbTokens = tokens) => ({ signedPayment, dbTokens, maxTokens: tokens });
const work = (total: bigint) => ({ ...NO_TOKENS, completion: total, total });
const offer = (change: Partial<WorkerOffer> = {}): WorkerOffer => ({
  proxy: { publicKey: network.paymentKey.publicKey, ownerAddress: network.proxyOwner.wallet.address.toString(), contractAddress: proxy.toString(), isTest: true },
  workerContractAddress: contract.toString(), version: 5, ...change,
});

interface Node {
  readonly folder: string;
  readonly book: PaymentBook;
  readonly accounts: NodeAccounts;
  /** Connected, and compared with a proxy that knows what this node knows. */
  readonly account: NodeConnection;
}

async function start(folder = mkdtempSync(join(network.home, 'node-')), change: Partial<PaidNodeOptions> = {}): Promise<Node> {
  const book = await openPaymentBook(join(folder, 'book'));
  const accounts = paidAccounts({
    access: network.access, root, owner, book, model: 'm', maxOwedNano: LIMIT_TOKENS * 700n, deploy: null, log: silentLog, flushMs: 40, ...change,
  });
  const account = accounts.open();
  const balance = await account.checkProxy(offer(), never);
  const { payment = null, dbTokens, maxTokens } = balance;
  await account.compared({ signedPayment: payment, dbTokens, maxTokens }, true);
  return { folder, book, accounts, account };
}

describe('checkProxy', () => {
  it('refuses addresses that do not follow', async () => {
    const { accounts } = await start();
    const { proxy: said } = offer();
    for (const change of [
      { proxy: { ...said, contractAddress: stranger.toString() } }, { proxy: { ...said, ownerAddress: stranger.toString() } }, { proxy: { ...said, publicKey: new Uint8Array(32) } },
      { workerContractAddress: stranger.toString() }, { workerContractAddress: 'nonsense' },
    ]) await expect(accounts.open().checkProxy(offer(change), never)).rejects.toMatchObject({ code: 'E_PROTOCOL' });
  });

  it('tells the proxy what it has signed, and shows the signature to one that knows less', async () => {
    const { account, accounts, folder } = await start();
    account.delivered(work(500n));
    account.paymentStatus(status(500n, sign(400n)));
    await account.close();
    const again = paidAccounts({ access: network.access, root, owner, book: await openPaymentBook(join(folder, 'book')), model: 'm', maxOwedNano: TON, deploy: null, log: silentLog }).open();
    expect(await again.checkProxy(offer(), never)).toEqual({ chainTokens: 400n, dbTokens: 500n, maxTokens: 500n, payment: sign(400n) });
    // It lost its ledger: that is no reason to leave, but it must go on from what it has signed.
    await again.compared(status(0n), false);
    expect(() => again.paymentStatus(status(0n))).toThrow(expect.objectContaining({ code: 'E_SIGNED_PAYMENT' }));
    again.paymentStatus(status(500n, sign(450n)));
    await again.close();
    expect(accounts.money()).toMatchObject([{ accruedTokens: 500n, signedTokens: 400n, claimedTokens: 0n, owedNano: 70_000n }]);
  });
});

describe('totals', () => {
  it('accrued, signed and claimed are three numbers; what is signed counts when it is on disk', async () => {
    const { account, accounts, book } = await start();
    account.begin();
    account.delivered(work(300n));
    account.requestPayment({ ...status(300n, sign(200n)), requestId: new Uint8Array(32), requestTokens: 300n, clientOwner: '' });
    expect(accounts.money()).toMatchObject([{ proxy: proxy.toString(), contract: contract.toString(), accruedTokens: 300n, signedTokens: 0n }]);
    await account.close();
    expect(accounts.money()).toMatchObject([{ accruedTokens: 300n, signedTokens: 200n, claimedTokens: 0n, owedNano: 70_000n, blocked: false }]);
    expect(book.entry(contract)).toMatchObject({ countedTokens: 300n, signedTokens: 200n, dbTokens: 300n, model: 'm', kind: 'worker' });
  });

  it('a proxy that signs lower, or nothing any more, or books less than before, is left; equal is well', async () => {
    const { account } = await start();
    account.delivered(work(500n));
    account.paymentStatus(status(500n, sign(400n)));
    account.paymentStatus(status(500n, sign(400n)));
    const refused = expect.objectContaining({ code: 'E_SIGNED_PAYMENT' });
    expect(() => account.paymentStatus(status(500n, sign(399n)))).toThrow(refused);
    expect(() => account.paymentStatus(status(500n))).toThrow(refused);
    expect(() => account.paymentStatus(status(499n, sign(400n)))).toThrow(refused);
    expect(() => account.compared(status(0n), true)).toThrow(refused);
    await account.close();
  });

  it('the answer to a poll that messages about requests have overtaken is no step back; the next one must know of them', async () => {
    const { account } = await start();
    account.compared(status(0n), true);
    account.delivered(work(500n));
    const payment = { requestId: new Uint8Array(32), requestTokens: 100n, clientOwner: '' };
    account.requestPayment({ ...status(500n, sign(400n)), ...payment });
    account.paymentStatus(status(400n, sign(300n)));
    const refused = expect.objectContaining({ code: 'E_SIGNED_PAYMENT' });
    expect(() => account.paymentStatus(status(499n, sign(400n)))).toThrow(refused);
    expect(() => account.requestPayment({ ...status(500n, sign(399n)), ...payment })).toThrow(refused);
    await account.close();
  });

  it('foreign keys, foreign contracts, other kinds and damaged bytes are refused, and nothing of them is kept', async () => {
    const { account, book } = await start();
    const refused = expect.objectContaining({ code: 'E_SIGNED_PAYMENT' });
    const key = signerOfSeed(new Uint8Array(32).fill(5));
    for (const payment of [sign(9n, 'workerPayout', contract, key), sign(9n, 'workerPayout', stranger), sign(9n, 'clientCharge'), sign(9n).subarray(1), new Uint8Array(0)]) {
      expect(() => account.paymentStatus(status(9n, payment))).toThrow(refused);
      expect(() => account.compared(status(9n, payment), false)).toThrow(refused);
    }
    await account.close();
    expect(book.entry(contract)).toMatchObject({ signedTokens: 0n, payment: null });
  });

  it('bound: a proxy that never signs gets work for the limit and one hundredth of it, and is then refused until it signs', async () => {
    const { account, accounts } = await start();
    const heard: boolean[] = [];
    account.onBlocked((blocked) => heard.push(blocked));
    let given = 0n;
    for (; given < 2n * LIMIT_TOKENS; given += 10_000n) {
      try {
        account.begin();
      } catch (error) {
        expect(error).toMatchObject({ remoteCode: 651, remoteMessage: expect.stringContaining('owes') });
        break;
      }
      account.delivered(work(10_000n));
    }
    expect(given).toBeGreaterThan(LIMIT_TOKENS);
    expect(given).toBeLessThanOrEqual(LIMIT_TOKENS + LIMIT_TOKENS / 99n + 10_000n);
    expect([account.blocked, heard]).toEqual([true, [true]]);
    // It stays so in a new connection.
    const again = accounts.open();
    await again.checkProxy(offer(), never);
    expect(again.blocked).toBe(true);
    account.paymentStatus(status(given, sign(given)));
    await account.close();
    await eventually('it is trusted again', () => !again.blocked);
    again.begin();
  });

  it('a node that is blocked goes on as soon as it hears of a signature, also without a request or a poll', async () => {
    const { account } = await start();
    const heard: boolean[] = [];
    account.onBlocked((blocked) => heard.push(blocked));
    account.delivered(work(2n * LIMIT_TOKENS));
    expect(account.blocked).toBe(true);
    // What a proxy tells when it has signed: for no request, and nothing was used.
    account.requestPayment({ requestId: new Uint8Array(32), requestTokens: 0n, clientOwner: '', ...status(2n * LIMIT_TOKENS, sign(2n * LIMIT_TOKENS)) });
    await eventually('it is trusted again', () => !account.blocked);
    expect(heard).toEqual([true, false]);
    account.begin();
    await account.close();
  });

  it('more than was counted is the proxy\'s promise: it is kept, and what it owes starts from there', async () => {
    const { account, accounts, book } = await start();
    account.paymentStatus(status(5_000_000n, sign(5_000_000n)));
    account.delivered(work(LIMIT_TOKENS + LIMIT_TOKENS));
    await account.close();
    expect(book.entry(contract)).toMatchObject({ countedTokens: 5_000_000n + 2n * LIMIT_TOKENS, signedTokens: 5_000_000n });
    expect(accounts.money()).toMatchObject([{ owedNano: 2n * LIMIT_TOKENS * 700n, blocked: true }]);
  });

  it('a last payout closes the contract: it is kept, and no more work is done there', async () => {
    const { account, book } = await start();
    account.delivered(work(100n));
    account.paymentStatus(status(100n, sign(100n, 'workerLastPayout')));
    await account.close();
    expect(() => account.begin()).toThrow(expect.objectContaining({ remoteCode: 651 }));
    expect(book.entry(contract)?.payment).toEqual(sign(100n, 'workerLastPayout'));
  });
});

describe('what is on disk', () => {
  it('counts are there soon after, without a close, and a new process goes on from them', async () => {
    const { account, folder } = await start();
    account.delivered(work(123n));
    account.paymentStatus(status(123n, sign(100n)));
    await eventually('the count is on disk', async () => (await (await openPaymentBook(join(folder, 'book'))).entries())[0]?.countedTokens === 123n, 3_000);
    // The first process is simply gone; the second one's proxy knows of 7 tokens of its last moment.
    const next = await start(folder);
    await next.account.compared(status(130n, sign(110n)), true);
    await next.account.close();
    expect(next.book.entry(contract)).toMatchObject({ countedTokens: 130n, signedTokens: 110n });
    await account.close();
  });

  it('a book that cannot be written ends the work for that proxy, and says so', async () => {
    const { account, accounts, folder } = await start();
    const name = readdirSync(join(folder, 'book')).find((each) => each.endsWith('.json')) ?? '';
    writeFileSync(join(folder, 'book', name), 'damaged');
    account.delivered(work(10n));
    account.paymentStatus(status(10n, sign(10n)));
    expect(await account.failed).toMatchObject({ code: 'E_STATE', message: expect.stringContaining(name) });
    expect(() => account.begin()).toThrow(expect.objectContaining({ remoteCode: 651 }));
    await expect(accounts.open().checkProxy(offer(), never)).rejects.toMatchObject({ code: 'E_STATE' });
    expect(accounts.money()).toMatchObject([{ signedTokens: 0n }]);
    await sleep(1);
  });
});

describe('the worker contract', () => {
  it('is deployed by rule: when enough is signed, once, and never for more than the ceiling', async () => {
    const payer = person(203);
    await network.fund(payer, 5n * TON);
    const wallet = openHotWallet({ access: network.access, wallet: payer.wallet, signer: payer.signer, folder: network.outbox(payer), pollMs: 100, expiryMarginS: 10 });
    try {
      const poor = await start(undefined, { deploy: { wallet, fromNano: 70_000n, maxNano: 1n } });
      poor.account.paymentStatus(status(100n, sign(100n)));
      await poor.account.close();
      const { account } = await start(undefined, { deploy: { wallet, fromNano: 70_000n, maxNano: TON } });
      account.paymentStatus(status(99n, sign(99n)));
      await account.close();
      expect((await network.access.account(contract)).status).toBe('uninitialized');
      account.paymentStatus(status(100n, sign(100n)));
      account.paymentStatus(status(101n, sign(101n)));
      await account.close();
      await eventually('the contract is there', async () => (await network.access.account(contract)).status === 'active', 60_000);
      const { transactions } = await network.access.transactions(contract, { afterLt: 0n });
      expect(transactions).toHaveLength(1);
    } finally {
      await wallet.close();
    }
  });
});
