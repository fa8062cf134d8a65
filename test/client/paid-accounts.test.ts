// The client's money against the real contracts on a chain in process: whom it trusts with a deposit, how it shows who it is,
// and what becomes of a proxy that bills too much. The proxy is scripted; in the honest cases its accounts are the real ones.
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Address } from '@ton/core';
import { clientDeployment, proxyDeployment } from '../../src/chain/addresses.ts';
import { clientStorage, proxyStorage } from '../../src/chain/cells/storage.ts';
import type { ClientStorage } from '../../src/chain/cells/storage.ts';
import { signerOfSeed } from '../../src/chain/ed25519.ts';
import type { Signer } from '../../src/chain/ed25519.ts';
import { followRoot } from '../../src/chain/follow/root-follower.ts';
import type { RootFollower } from '../../src/chain/follow/root-follower.ts';
import { openHotWallet } from '../../src/chain/hot-wallet.ts';
import type { HotWallet } from '../../src/chain/hot-wallet.ts';
import { openPaymentBook } from '../../src/chain/payment-book.ts';
import type { PaymentBook } from '../../src/chain/payment-book.ts';
import { proxySecret, secretHashOf } from '../../src/chain/proxy-secret.ts';
import { encodePayment, signPayment } from '../../src/chain/signed-payment.ts';
import { paidAccounts } from '../../src/client/paid-accounts.ts';
import type { PaidClientOptions } from '../../src/client/paid-accounts.ts';
import { silentLog } from '../../src/core/log.ts';
import { NO_TOKENS } from '../../src/wire/answer.ts';
import type { ConnectionAccount } from '../../src/client/accounts.ts';
import type { ProxyOffer } from '../../src/wire/client-session.ts';
import { eventually, PaidNetwork, person, TON } from '../proxy/paid/fixture.ts';
import type { Person } from '../proxy/paid/fixture.ts';

const KEY = new Uint8Array(32).fill(99);
const never = new AbortController().signal;
const BOUNDS = { queryBytes: 500, maxTokens: 100, maxCoefficient: 1_000 };

let network: PaidNetwork;
let proxy: Address;
let root: RootFollower;
let nextPerson = 100;
const undo: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  network = await PaidNetwork.start();
  await network.stake();
  proxy = await network.proxyAddress();
  root = await followRoot({ access: network.access, root: network.rootAddress, pollMs: 1_000, maxAgeS: 1_000_000, clock: { now: () => network.chain.chain.now() * 1000 }, log: silentLog, signal: never });
}, 60_000);
afterAll(async () => {
  for (const step of undo.splice(0).reverse()) await step();
  await root.close();
  await network.close();
});

interface Client {
  readonly who: Person;
  readonly hot: HotWallet;
  readonly book: PaymentBook;
  readonly contract: Address;
  readonly options: PaidClientOptions;
  open(change?: Partial<PaidClientOptions>): ConnectionAccount;
  offer(change?: Partial<ProxyOffer>): ProxyOffer;
  storage(): Promise<ClientStorage | null>;
  sign(tokens: bigint, by?: Signer, contract?: Address): Uint8Array;
}

/** A client with a wallet of its own. */
async function newClient({ funds = 30n * TON } = {}): Promise<Client> {
  const who = person((nextPerson += 1));
  await network.fund(who, funds);
  const hot = openHotWallet({ access: network.access, wallet: who.wallet, signer: who.signer, folder: network.outbox(who), pollMs: 150, resendMs: 1_000, expiryMarginS: 10 });
  undo.push(() => hot.close());
  const book = await openPaymentBook(join(network.home, `book-${nextPerson}`));
  const { params } = root.current().config;
  const contract = clientDeployment({ owner: who.wallet.address, proxy, proxyPublicKey: network.paymentKey.publicKey, params }).address;
  const options: PaidClientOptions = {
    access: network.access, root, wallet: hot, secretKey: KEY, book, rules: { depositNano: 4n * TON, maxPerProxyNano: 8n * TON, maxTotalNano: 10n * TON },
    clock: { now: () => Date.now() }, log: silentLog,
  };
  const accounts = paidAccounts(options);
  return {
    who, hot, book, contract, options,
    open: (change) => (change === undefined ? accounts : paidAccounts({ ...options, ...change })).open(),
    offer: (change = {}) => ({
      proxy: { publicKey: network.paymentKey.publicKey, ownerAddress: network.proxyOwner.wallet.address.toString(), contractAddress: proxy.toString(), isTest: true },
      clientContractAddress: contract.toString({ bounceable: false }), auth: { kind: 'long', nonce: 4711n }, signedPayment: null, version: 5, ...change,
    }),
    storage: async () => {
      const { data } = await network.access.account(contract);
      return data === null ? null : clientStorage.load(data);
    },
    sign: (tokens, by = network.paymentKey, of = contract) => encodePayment(signPayment({ kind: 'clientCharge', queryId: tokens, tokens, contract: of }, who.wallet.address, by)),
  };
}

let depositor: Promise<Client> | null = null;
let books = 0;

/** A client with a deposit, connected by its secret: always the same one, each time with an empty book and without a memory of proxies. */
async function connected(): Promise<Client & { readonly account: ConnectionAccount }> {
  depositor ??= newClient().then(async (client) => {
    await client.open().checkProxy(client.offer(), never);
    return client;
  });
  const client = await depositor;
  const book = await openPaymentBook(join(network.home, `again-${(books += 1)}`));
  const accounts = paidAccounts({ ...client.options, book });
  const secretHash = secretHashOf(proxySecret(KEY, proxy, client.contract));
  const offer: Client['offer'] = (change) => client.offer({ auth: { kind: 'short', secretHash, nonce: 1n }, ...change });
  const account = accounts.open();
  await account.checkProxy(offer(), never);
  return { ...client, book, offer, open: () => accounts.open(), account };
}

const status = (tokens: bigint, signedPayment: Uint8Array | null = null, maxTokens = tokens) => ({ signedPayment, dbTokens: tokens, maxTokens });
const used = (total: bigint) => ({ ...NO_TOKENS, prompt: total, total });

describe('checkProxy', () => {
  it('first contact: deploys, deposits, sets the secret hash and registers, in one message; then the secret is enough', async () => {
    const client = await newClient();
    const proxyAccounts = await network.accounts(await network.ledger('first.db'));
    const ownerAddress = client.who.wallet.address.toString({ bounceable: false });
    const before = await proxyAccounts.client(ownerAddress);
    expect(before.secretHash === null || before.secretHash.every((byte) => byte === 0)).toBe(true);
    const authorized = before.authorize({ kind: 'long', nonce: 81n }, never);
    const account = client.open();
    await expect(account.checkProxy(client.offer({ auth: { kind: 'long', nonce: 81n }, clientContractAddress: before.contractAddress }), never)).resolves.toEqual({ kind: 'long' });
    await authorized;
    const secret = proxySecret(KEY, proxy, client.contract);
    expect(await client.storage()).toMatchObject({ balanceNano: 4n * TON, secretHash: Buffer.from(secretHashOf(secret)), tokensUsed: 0n });
    const externals = await network.access.transactions(client.who.wallet.address, { afterLt: 0n });
    expect(externals.transactions.filter(({ inMessage }) => inMessage?.info.type === 'external-in')).toHaveLength(1);
    await eventually('the proxy knows the hash', async () => (await proxyAccounts.client(ownerAddress)).secretHash?.[0] === secretHashOf(secret)[0]);
    const again = await proxyAccounts.client(ownerAddress);
    const answer = await client.open().checkProxy(client.offer({ auth: { kind: 'short', secretHash: again.secretHash ?? new Uint8Array(32), nonce: 82n } }), never);
    expect(answer).toEqual({ kind: 'short', secret });
    await again.authorize({ kind: 'short', secret }, never);
    // Nothing more was sent: the deposit is untouched.
    expect((await client.storage())?.balanceNano).toBe(4n * TON);
    await account.close();
  });

  it('the secret of one proxy is another\'s business: never empty, never shared, never shown for a hash that is not its own', async () => {
    const client = await connected();
    const secrets = [1, 2, 3].map((byte) => proxySecret(KEY, person(byte).wallet.address, client.contract));
    expect(new Set(secrets.map((each) => Buffer.from(each).toString('hex'))).size).toBe(3);
    for (const secret of secrets) expect(secret.byteLength).toBe(32);
    expect(() => proxySecret(new Uint8Array(0), proxy, client.contract)).toThrow(expect.objectContaining({ code: 'E_INTERNAL' }));
    const foreign = secretHashOf(secrets[0] ?? new Uint8Array(0));
    const empty = secretHashOf(new Uint8Array(0));
    const { open, offer } = await connected();
    for (const [nonce, secretHash] of [[91n, foreign], [92n, empty]] as const) {
      await expect(open().checkProxy(offer({ auth: { kind: 'short', secretHash, nonce } }), never)).resolves.toEqual({ kind: 'long' });
    }
  });

  it('refuses addresses that do not follow: the proxy\'s, its owner\'s, its key, and the client\'s own contract', async () => {
    const client = await newClient();
    const { proxy: said } = client.offer();
    const stranger = person(7).wallet.address.toString();
    const refused = { code: 'E_PROTOCOL' };
    for (const change of [
      { proxy: { ...said, contractAddress: stranger } }, { proxy: { ...said, ownerAddress: stranger } }, { proxy: { ...said, publicKey: new Uint8Array(32) } },
      { proxy: { ...said, contractAddress: 'nonsense' } }, { clientContractAddress: stranger }, { clientContractAddress: '' },
    ]) await expect(client.open().checkProxy(client.offer(change), never)).rejects.toMatchObject(refused);
    expect(await client.storage()).toBeNull();
  });

  it('refuses a proxy without a contract, and one whose stake is below the minimum: nothing is deposited', async () => {
    const client = await newClient();
    const { params } = root.current().config;
    const poor = signerOfSeed(new Uint8Array(32).fill(78));
    const owner = network.proxyOwner.wallet.address;
    const { address } = proxyDeployment({ owner, publicKey: poor.publicKey, root: network.rootAddress, params });
    const contract = clientDeployment({ owner: client.who.wallet.address, proxy: address, proxyPublicKey: poor.publicKey, params }).address;
    const offer = client.offer({ proxy: { publicKey: poor.publicKey, ownerAddress: owner.toString(), contractAddress: address.toString(), isTest: true }, clientContractAddress: contract.toString() });
    await expect(client.open().checkProxy(offer, never)).rejects.toMatchObject({ code: 'E_CONTRACT_STATE', message: expect.stringContaining('not deployed') });
    const { proxyStakePlan } = await import('../../src/chain/plans/deploy.ts');
    await network.carryOut(network.proxyOwner, await proxyStakePlan(network.context(network.proxyOwner), await network.root(), { publicKey: poor.publicKey, amountNano: 2n * TON }));
    await expect(client.open().checkProxy(offer, never)).rejects.toMatchObject({ code: 'E_FUNDS', message: expect.stringContaining('stake of 2 TON') });
    expect((await network.access.account(contract)).status).toBe('uninitialized');
    expect(proxyStorage.load((await network.access.account(address)).data ?? (() => { throw new Error('gone'); })()).stakeNano).toBe(2n * TON);
  });

  it('never deposits beyond the ceilings, at one proxy and at all together', async () => {
    const client = await newClient();
    const limited = { code: 'E_SPENDING_LIMIT' };
    const rules = { depositNano: 4n * TON, maxPerProxyNano: 8n * TON, maxTotalNano: 10n * TON };
    await expect(client.open({ rules: { ...rules, maxPerProxyNano: 4n * TON - 1n } }).checkProxy(client.offer(), never))
      .rejects.toMatchObject({ ...limited, message: expect.stringContaining('lie with one proxy'), hint: expect.stringContaining('client.max_deposit_per_proxy') });
    await expect(client.open({ rules: { ...rules, maxTotalNano: 4n * TON - 1n } }).checkProxy(client.offer(), never))
      .rejects.toMatchObject({ ...limited, message: expect.stringContaining('all proxies together'), hint: expect.stringContaining('(client.max_deposit)') });
    expect(await client.storage()).toBeNull();
    await client.open().checkProxy(client.offer(), never);
    // What lies with this proxy counts for the next: 4 + 7 are more than 10 together.
    const poor = signerOfSeed(new Uint8Array(32).fill(79));
    const owner = network.proxyOwner.wallet.address;
    const { proxyStakePlan } = await import('../../src/chain/plans/deploy.ts');
    await network.carryOut(network.proxyOwner, await proxyStakePlan(network.context(network.proxyOwner), await network.root(), { publicKey: poor.publicKey, amountNano: 5n * TON }));
    const { params } = root.current().config;
    const other = proxyDeployment({ owner, publicKey: poor.publicKey, root: network.rootAddress, params }).address;
    const contract = clientDeployment({ owner: client.who.wallet.address, proxy: other, proxyPublicKey: poor.publicKey, params }).address;
    const offer = client.offer({ proxy: { publicKey: poor.publicKey, ownerAddress: owner.toString(), contractAddress: other.toString(), isTest: true }, clientContractAddress: contract.toString() });
    await expect(client.open({ rules: { ...rules, depositNano: 7n * TON } }).checkProxy(offer, never)).rejects.toMatchObject({ ...limited, message: expect.stringContaining('all proxies together') });
    expect((await network.access.account(contract)).status).toBe('uninitialized');
  });

  it('tops up when less than half of the deposit is left by its own count, and not before', async () => {
    const { open, offer, book, contract, storage } = await connected();
    // 1000 nanoTON a token: 1.9 million tokens leave 2.1 TON.
    await book.counted(contract, { tokens: 1_900_000n });
    await open().checkProxy(offer(), never);
    expect((await storage())?.balanceNano).toBe(4n * TON);
    await book.counted(contract, { tokens: 200_000n });
    await open().checkProxy(offer(), never);
    expect((await storage())?.balanceNano).toBe(4n * TON + 2_100_000_000n);
  });
});

describe('payments', () => {
  it('are recorded when they are the proxy\'s own; foreign keys, foreign contracts and other kinds close the connection', async () => {
    const { account, sign, book, contract } = await connected();
    const meter = await account.begin(BOUNDS);
    meter.delivered(200);
    meter.ended(used(90n));
    account.paymentStatus(status(90n, sign(80n)));
    await account.close();
    expect(book.entry(contract)).toMatchObject({ signedTokens: 80n, countedTokens: 90n, openTokens: 0n, dbTokens: 90n });
    const refused = expect.objectContaining({ code: 'E_SIGNED_PAYMENT' });
    expect(() => account.paymentStatus(status(90n, sign(85n, signerOfSeed(new Uint8Array(32).fill(5)))))).toThrow(refused);
    expect(() => account.paymentStatus(status(90n, sign(85n, network.paymentKey, proxy)))).toThrow(refused);
    expect(() => account.requestPayment({ ...status(90n, new Uint8Array(5)), requestId: new Uint8Array(32), requestTokens: 1n })).toThrow(refused);
    // A lower total does no harm to the client: the higher one stays.
    account.paymentStatus(status(90n, sign(20n)));
    await account.close();
    expect(book.entry(contract)?.signedTokens).toBe(80n);
  });

  it.each(['claims', 'signs'])('a proxy that %s more than was counted is left, by name, and not used again', async (what) => {
    const { account, open, offer, sign } = await connected();
    const meter = await account.begin(BOUNDS);
    meter.ended(used(50n));
    account.paymentStatus(what === 'signs' ? status(50n, sign(51n)) : status(50n, null, 51n));
    const error = await account.failed;
    expect(error).toMatchObject({ code: 'E_OVERBILLED', message: expect.stringContaining('claims 51 tokens, 50 were counted') });
    await expect(account.begin(BOUNDS)).rejects.toBe(error);
    await expect(open().checkProxy(offer(), never)).rejects.toBe(error);
  });

  it.each([
    ['prompt', { ...NO_TOKENS, prompt: 500n + 1_024n + 1n, total: 1_525n }], ['completion', { ...NO_TOKENS, completion: 2n * (10n + 64n) + 2n, total: 150n }],
    ['a total above its parts', { ...NO_TOKENS, prompt: 10n, total: 11n }], ['the reservation', { ...NO_TOKENS, prompt: 1_500n, reasoning: 200n, total: 1_713n }],
  ])('a bill that cannot be true ends the trust: %s', async (_what, tokens) => {
    const { account } = await connected();
    const meter = await account.begin(BOUNDS);
    meter.delivered(10);
    expect(() => meter.ended(tokens)).toThrow(expect.objectContaining({ code: 'E_OVERBILLED' }));
    await account.close();
  });

  it('bound: the reservation of a request whose end was not seen is the most that may be billed for it', async () => {
    const { account, book, contract } = await connected();
    const meter = await account.begin(BOUNDS);
    const reserved = book.entry(contract)?.openTokens ?? 0n;
    expect(reserved).toBe(2n * (500n + 256n + 100n)); // the dearest kind weighs 2
    meter.delivered(100);
    meter.lost();
    meter.lost();
    account.paymentStatus(status(300n));
    await account.close();
    expect(book.entry(contract)).toMatchObject({ countedTokens: 300n, openTokens: reserved - 300n });
    account.paymentStatus(status(reserved + 1n));
    expect(await account.failed).toMatchObject({ code: 'E_OVERBILLED' });
  });

  it('a client that was killed in the middle of a request expects its bill after the restart', async () => {
    const { account, open, offer, book, contract } = await connected();
    await account.begin(BOUNDS); // and nothing after it
    const second = open();
    await second.checkProxy(offer(), never);
    second.paymentStatus(status(700n));
    await second.close();
    expect(book.entry(contract)?.countedTokens).toBe(700n);
  });

  it('what a killed client had reserved is free a minute after nobody can see its end any more, less what was billed of it', async () => {
    const { account, offer, book: killed, contract, options } = await connected();
    await account.begin(BOUNDS); // and nothing after it
    const reserved = killed.entry(contract)?.openTokens ?? 0n;
    expect(reserved).toBeGreaterThan(700n);
    const folder = join(network.home, `again-${books}`);
    let nowMs = 1_000_000;
    const next = async (book: PaymentBook): Promise<ConnectionAccount> => {
      const opened = paidAccounts({ ...options, book, clock: { now: () => nowMs } }).open();
      await opened.checkProxy(offer(), never);
      return opened;
    };
    const openTokens = async (): Promise<bigint | undefined> => (await (await openPaymentBook(folder)).entries())[0]?.openTokens;
    // Beside the one that lives: its reservations are its own business.
    const beside = await openPaymentBook(folder);
    const second = await next(beside);
    nowMs += 70_000;
    second.paymentStatus(status(0n));
    await second.close();
    await beside.close();
    expect(await openTokens()).toBe(reserved);
    // It is gone, as a process that was killed is: its presence with it.
    await killed.close();
    const book = await openPaymentBook(folder);
    const third = await next(book);
    const meter = await third.begin(BOUNDS); // something always runs
    third.paymentStatus(status(700n));
    nowMs += 70_000;
    third.paymentStatus(status(700n));
    await third.close();
    expect(book.entry(contract)).toMatchObject({ countedTokens: 700n, openTokens: reserved });
    meter.lost();
    await book.close();
  });

  it('a charge that is delivered on chain beyond the own count is found at the next contact', async () => {
    const { open, offer, contract, hot, sign, who } = await connected();
    const { paymentBody, parsePayment, repack } = await import('../../src/chain/signed-payment.ts');
    await hot.send('charge', [{ to: contract, valueNano: TON / 2n, body: paymentBody(repack(parsePayment(sign(1_000n)), who.wallet.address)) }], { follow: true });
    await expect(open().checkProxy(offer(), never)).rejects.toMatchObject({ code: 'E_OVERBILLED', message: expect.stringContaining('1000') });
  });
});

describe('a change of the params', () => {
  it('is followed while it runs: connections of the old prices end when they are idle, and nobody deposits with the old contract', async () => {
    const { account, open, offer } = await connected();
    const meter = await account.begin(BOUNDS);
    const { paramsPlan } = await import('../../src/chain/plans/registry.ts');
    const change = async (): Promise<void> => network.carryOut(network.rootOwner, paramsPlan(network.context(network.rootOwner), await network.root(), { pricePerTokenNano: 2_000n }, { onlyPrices: false }));
    await change();
    await network.advance(86_500);
    await change();
    await eventually('the change is seen', () => root.current().config.params.pricePerTokenNano === 2_000n);
    let ended = false;
    void account.failed.then(() => { ended = true; });
    await expect(account.begin(BOUNDS)).rejects.toMatchObject({ code: 'E_CLOSED' });
    expect(ended).toBe(false);
    meter.ended(used(5n));
    expect(await account.failed).toMatchObject({ code: 'E_CLOSED', message: expect.stringContaining('params changed') });
    await expect(open().checkProxy(offer(), never)).rejects.toMatchObject({ code: 'E_PROTOCOL' });
  });
});
