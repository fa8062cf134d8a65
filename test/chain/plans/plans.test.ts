// Plans against scripted accounts: what each refuses before anything is sent, and that no proxy contract can pass for another.
import { describe, expect, it } from '@jest/globals';
import { Address, beginCell } from '@ton/core';
import type { Cell } from '@ton/core';
import type { AccountState, TonAccess } from '../../../src/chain/access/types.ts';
import { clientDeployment, proxyDeployment, rootDeployment, workerDeployment } from '../../../src/chain/addresses.ts';
import type { Params } from '../../../src/chain/cells/params.ts';
import { EMPTY_SETS, changeDigest, describePending, PENDING_KEY } from '../../../src/chain/cells/root-storage.ts';
import type { RootStorage } from '../../../src/chain/cells/root-storage.ts';
import { changePrice } from '../../../src/chain/cells/root-messages.ts';
import { clientStorage, proxyStorage, STATE, workerStorage } from '../../../src/chain/cells/storage.ts';
import { contractCode } from '../../../src/chain/code.ts';
import { signerOfSeed } from '../../../src/chain/ed25519.ts';
import { addStakePlan, removeStakePlan } from '../../../src/chain/plans/bond.ts';
import { depositPlan, withdrawPlan } from '../../../src/chain/plans/client.ts';
import { deployNetworkPlan } from '../../../src/chain/plans/deploy.ts';
import { messagesOf } from '../../../src/chain/plans/plan.ts';
import { readRoot } from '../../../src/chain/plans/reading.ts';
import type { KnownRoot, PlanContext } from '../../../src/chain/plans/reading.ts';
import { hashPlan, paramsPlan, registerProxyPlan, unregisterProxyPlan } from '../../../src/chain/plans/registry.ts';
import { transferPlan } from '../../../src/chain/plans/transfer.ts';
import { claimPlan, paymentOfFile } from '../../../src/chain/plans/worker.ts';
import { encodePayment, signPayment } from '../../../src/chain/signed-payment.ts';

const TON = 1_000_000_000n;
const NOW = 1_800_000_000;
const owner = new Address(0, Buffer.alloc(32, 1));
const stranger = new Address(0, Buffer.alloc(32, 2));
const key = signerOfSeed(Buffer.alloc(32, 3));

const params: Params = {
  structVersion: 3, paramsVersion: 0, uniqueId: 9, isTest: true, pricePerTokenNano: 1000n, workerFeePerTokenNano: 700n,
  promptMultiplier: 10_000, cachedMultiplier: 10_000, completionMultiplier: 10_000, reasoningMultiplier: 10_000,
  proxyDelaySeconds: 172_800, clientDelaySeconds: 86_400, minProxyStakeNano: 5n * TON, minClientStakeNano: TON,
  proxyCode: contractCode('proxy'), workerCode: contractCode('worker'), clientCode: contractCode('client'),
};
const rootStorage: RootStorage = { owner, version: 4, sets: EMPTY_SETS, params, keyManager: null, verifiedKeys: null };
const root = rootDeployment(contractCode('root'), rootStorage);
const proxyOwner = new Address(0, Buffer.alloc(32, 4));
const proxy = proxyDeployment({ owner: proxyOwner, publicKey: key.publicKey, root: root.address, params });
const proxyData = proxyStorage.load(proxy.init.data);
const child = { owner, proxy: proxy.address, proxyPublicKey: key.publicKey, params };
const client = clientDeployment(child);
const worker = workerDeployment(child);

interface Account { readonly code: Cell; readonly data: Cell; readonly balanceNano?: bigint }

/** A context whose chain has these accounts and nothing else. */
function context(accounts: readonly (readonly [Address, Account])[], wallet = owner, time = NOW): PlanContext {
  const states = new Map(accounts.map(([address, account]) => [address.toRawString(), account]));
  const account = async (address: Address): Promise<AccountState> => {
    const found = states.get(address.toRawString());
    return { address, status: found === undefined ? 'uninitialized' : 'active', balanceNano: found?.balanceNano ?? 10n * TON, code: found?.code ?? null, data: found?.data ?? null, last: null, time };
  };
  return { access: { account } as unknown as TonAccess, signal: new AbortController().signal, wallet };
}

const rootAccount = (change: Partial<RootStorage> = {}): readonly [Address, Account] => [root.address, { code: root.init.code, data: rootDeployment(root.init.code, { ...rootStorage, ...change }).init.data }];
const proxyAccount = (change: Partial<typeof proxyData> = {}): readonly [Address, Account] =>
  [proxy.address, { code: proxy.init.code, data: proxyStorage.store({ ...proxyData, stakeNano: 5n * TON, poolNano: TON, ...change }), balanceNano: 20n * TON }];

async function rootOf(plan: PlanContext): Promise<KnownRoot> {
  return readRoot(plan, root.address);
}

describe('depositPlan: the proxy contract', () => {
  const deposit = async (plan: PlanContext, address = proxy.address) => depositPlan(plan, { root: await rootOf(plan), proxy: address }, 3n * TON);

  it('is taken when it is the network\'s and has stake: deploys the client, then tops up', async () => {
    const plan = await deposit(context([rootAccount(), proxyAccount()]));
    const messages = await messagesOf(plan, owner, 5n);
    expect(messages.map(({ to, deploys, bounce }) => [to.equals(client.address), deploys, bounce])).toEqual([[true, true, false], [true, false, true]]);
    expect(messages[1]?.amountNano).toBeGreaterThan(3n * TON);
    expect(plan.facts).toEqual({ clientContract: client.address.toRawString(), balanceNano: (3n * TON).toString() });
  });

  it('is refused when it names another root, runs other code, or sits at an address that is not its own', async () => {
    const refused = { code: 'E_WRONG_NETWORK' };
    await expect(deposit(context([rootAccount(), proxyAccount({ root: stranger })]))).rejects.toMatchObject(refused);
    const other = beginCell().storeUint(1, 8).endCell();
    const data = proxyAccount()[1].data;
    await expect(deposit(context([rootAccount(), [proxy.address, { code: other, data }]]))).rejects.toMatchObject(refused);
    await expect(deposit(context([rootAccount(), [stranger, { code: proxy.init.code, data }]]), stranger)).rejects.toMatchObject(refused);
    await expect(deposit(context([rootAccount(), proxyAccount({ publicKey: new Uint8Array(32) })]))).rejects.toMatchObject(refused);
    await expect(deposit(context([rootAccount()]))).rejects.toMatchObject({ code: 'E_NOT_FOUND' });
  });

  it('H5: is refused while its stake is below the minimum, less the rent that may be booked against it', async () => {
    await expect(deposit(context([rootAccount(), proxyAccount({ stakeNano: 9n * TON / 2n - 1n })]))).rejects.toMatchObject({ code: 'E_FUNDS' });
    await expect(deposit(context([rootAccount(), proxyAccount({ stakeNano: 9n * TON / 2n })]))).resolves.toBeDefined();
  });

  it.each([STATE.closing, STATE.closed])('is refused in state %i', async (state) => {
    await expect(deposit(context([rootAccount(), proxyAccount({ state })]))).rejects.toMatchObject({ code: 'E_CONTRACT_STATE' });
  });
});

describe('withdrawPlan', () => {
  const at = (change: Partial<ReturnType<typeof clientStorage.load>>) => context([rootAccount(), proxyAccount(), [client.address, { code: client.init.code, data: clientStorage.store({ ...clientStorage.load(client.init.data), ...change }) }]]);
  const withdraw = async (plan: PlanContext) => withdrawPlan(plan, { root: await rootOf(plan), proxy: proxy.address });

  it('asks for what is above the stake, and refuses where there is nothing', async () => {
    expect((await withdraw(at({ balanceNano: 4n * TON }))).facts).toMatchObject({ withdrawnNano: (3n * TON).toString() });
    await expect(withdraw(at({ balanceNano: TON }))).rejects.toMatchObject({ code: 'E_FUNDS' });
    await expect(withdraw(at({ balanceNano: 4n * TON, state: STATE.closing, unlockTime: NOW }))).rejects.toMatchObject({ code: 'E_CONTRACT_STATE', message: expect.stringContaining('2027-01-15') });
  });
});

describe('claimPlan', () => {
  const payment = (tokens: bigint, kind: 'workerPayout' | 'workerLastPayout' | 'clientCharge' = 'workerPayout', contract = worker.address) => signPayment({ kind, queryId: 77n, tokens, contract }, stranger, key);
  const deployed = (change: Partial<ReturnType<typeof workerStorage.load>> = {}): readonly [Address, Account] => [worker.address, { code: worker.init.code, data: workerStorage.store({ ...workerStorage.load(worker.init.data), ...change }) }];

  it('pays the difference to the owner, with the signed query id and the spare TON to the sender', async () => {
    const plan = await claimPlan(context([rootAccount(), proxyAccount(), deployed({ tokens: 100n })], stranger), payment(300n), null);
    expect(plan.facts).toMatchObject({ payoutNano: (200n * 700n).toString(), owner: owner.toRawString() });
    expect(plan.warnings).toEqual([expect.stringContaining('goes to the owner')]);
    expect(await messagesOf(plan, stranger, 1n)).toHaveLength(1);
  });

  it('refuses totals that pay nothing, other kinds, closed workers and forged signatures', async () => {
    const chain = context([rootAccount(), proxyAccount(), deployed({ tokens: 300n })]);
    await expect(claimPlan(chain, payment(300n), null)).rejects.toMatchObject({ code: 'E_CONTRACT_STATE' });
    await expect(claimPlan(chain, payment(300n, 'workerLastPayout'), null)).resolves.toBeDefined();
    await expect(claimPlan(chain, payment(299n, 'workerLastPayout'), null)).rejects.toMatchObject({ code: 'E_CONTRACT_STATE' });
    await expect(claimPlan(chain, payment(900n, 'clientCharge'), null)).rejects.toMatchObject({ code: 'E_SIGNED_PAYMENT' });
    await expect(claimPlan(chain, { ...payment(900n), signature: new Uint8Array(64) }, null)).rejects.toMatchObject({ code: 'E_SIGNED_PAYMENT' });
    await expect(claimPlan(context([rootAccount(), proxyAccount(), deployed({ state: STATE.closed })]), payment(900n), null)).rejects.toMatchObject({ code: 'E_CONTRACT_STATE' });
  });

  it('deploys the worker contract of the wallet only: another\'s payment is refused', async () => {
    const chain = context([rootAccount(), proxyAccount()]);
    await expect(claimPlan(chain, payment(300n), null)).rejects.toMatchObject({ code: 'E_NOT_FOUND', hint: expect.stringContaining('--proxy') });
    const choice = { root: await rootOf(chain), proxy: proxy.address };
    expect(await messagesOf(await claimPlan(chain, payment(300n), choice), owner, 1n)).toMatchObject([{ deploys: true }, { deploys: false }]);
    await expect(claimPlan(context([rootAccount(), proxyAccount()], stranger), payment(300n), choice)).rejects.toMatchObject({ code: 'E_SIGNED_PAYMENT' });
  });

  it('says when the pool cannot cover it', async () => {
    const chain = context([rootAccount(), [proxy.address, { ...proxyAccount()[1], balanceNano: 5n * TON }], deployed()]);
    expect((await claimPlan(chain, payment(300n), null)).warnings).toEqual([expect.stringContaining('may be refused')]);
  });

  it('paymentOfFile: bytes and base64 are the same; anything else is no payment', () => {
    const bytes = encodePayment(payment(300n));
    for (const file of [bytes, Buffer.from(`${Buffer.from(bytes).toString('base64')}\n`)]) expect(encodePayment(paymentOfFile(file))).toEqual(bytes);
    for (const bad of [Buffer.from(''), Buffer.from('hello'), Buffer.concat([bytes, Buffer.from([0])])]) expect(() => paymentOfFile(bad)).toThrow(expect.objectContaining({ code: 'E_SIGNED_PAYMENT' }));
  });
});

describe('changes of the root contract', () => {
  it('are the owner\'s, and need a change', async () => {
    const plan = context([rootAccount({ sets: { ...EMPTY_SETS, modelHashes: new Set(['ab'.repeat(32)]) } })]);
    const known = await rootOf(plan);
    const hash = new Uint8Array(Buffer.from('ab'.repeat(32), 'hex'));
    expect(hashPlan(plan, known, { kind: 'model', hash, allow: true })).toBeNull();
    expect(hashPlan(plan, known, { kind: 'worker', hash, allow: false })).toBeNull();
    expect(hashPlan(plan, known, { kind: 'worker', hash, allow: true })?.name).toContain('allow worker');
    for (const refused of [
      () => hashPlan({ ...plan, wallet: stranger }, known, { kind: 'model', hash, allow: true }),
      () => registerProxyPlan({ ...plan, wallet: stranger }, known, { workers: { host: '203.0.113.1', port: 1 }, clients: { host: '203.0.113.1', port: 2 } }),
      () => paramsPlan({ ...plan, wallet: stranger }, known, { pricePerTokenNano: 5000n }, { onlyPrices: true }),
    ]) expect(refused).toThrow(expect.objectContaining({ code: 'E_USAGE' }));
    expect(() => unregisterProxyPlan(plan, known, 1)).toThrow(expect.objectContaining({ code: 'E_NOT_FOUND' }));
  });

  it('paramsPlan: refuses what cheats somebody, and what changes nothing', async () => {
    const plan = context([rootAccount()]);
    const known = await rootOf(plan);
    const refused = (change: Parameters<typeof paramsPlan>[2]) => expect(() => paramsPlan(plan, known, change, { onlyPrices: false }));
    refused({ workerFeePerTokenNano: 1001n }).toThrow(expect.objectContaining({ code: 'E_CONFIG' }));
    refused({ clientDelaySeconds: 172_800 }).toThrow(expect.objectContaining({ code: 'E_CONFIG' }));
    refused({ proxyDelaySeconds: 86_400 + 299 }).toThrow(expect.objectContaining({ code: 'E_CONFIG' }));
    refused({ clientDelaySeconds: 15 * 86_400, proxyDelaySeconds: 40 * 86_400 }).toThrow(expect.objectContaining({ code: 'E_CONFIG' }));
    refused({ minProxyStakeNano: 0n }).toThrow(expect.objectContaining({ code: 'E_CONFIG' }));
    refused({ pricePerTokenNano: 1000n }).toThrow(expect.objectContaining({ code: 'E_USAGE' }));
  });

  it('H10: announces, waits, executes; another announcement is said to be replaced', async () => {
    const change = { pricePerTokenNano: 3000n, workerFeePerTokenNano: 2000n };
    const digest = changeDigest(changePrice.store({ queryId: 99n, ...change }));
    const pending = (bytes: Uint8Array) => rootAccount({ sets: { ...EMPTY_SETS, proxies: new Map([[PENDING_KEY, describePending({ executeAt: NOW, digest: bytes })]]) } });
    const at = async (account: readonly [Address, Account], time: number) => {
      const plan = context([account], owner, time);
      return paramsPlan(plan, await rootOf(plan), change, { onlyPrices: true });
    };
    expect((await at(rootAccount(), NOW)).facts).toMatchObject({ step: 'announce', executeFrom: '2027-01-16T08:00:00Z' });
    await expect(at(pending(digest), NOW - 1)).rejects.toMatchObject({ code: 'E_TOO_EARLY', message: expect.stringContaining('2027-01-15T08:00:00Z') });
    expect((await at(pending(digest), NOW)).facts).toMatchObject({ step: 'execute' });
    expect(await at(pending(new Uint8Array(32)), NOW)).toMatchObject({ facts: { step: 'announce' }, warnings: [expect.stringContaining('replaces it')] });
  });
});

describe('deployNetworkPlan', () => {
  it('H8: the root of the same owner and params has another address on another chain', async () => {
    const { structVersion: _s, paramsVersion: _p, uniqueId: _u, isTest: _t, proxyCode: _pc, workerCode: _wc, clientCode: _cc, ...wished } = params;
    const [here, there] = await Promise.all([-70_000, -70_001].map((globalId) => deployNetworkPlan(context([]), globalId, wished)));
    expect(here?.root.equals(there?.root ?? owner)).toBe(false);
    await expect(deployNetworkPlan(context([]), -70_000, { ...wished, workerFeePerTokenNano: 1001n })).rejects.toMatchObject({ code: 'E_CONFIG' });
  });
});

describe('stake plans', () => {
  it('refuse to do nothing, to drop a key that is not there, and to withdraw what is not bonded', async () => {
    const nothing = { amountNano: 0n, addKeys: [], removeKeys: [] };
    await expect(addStakePlan(context([]), root.address, nothing)).rejects.toMatchObject({ code: 'E_USAGE' });
    await expect(addStakePlan(context([]), root.address, { ...nothing, removeKeys: [key.publicKey] })).rejects.toMatchObject({ code: 'E_USAGE' });
    await expect(removeStakePlan(context([]), root.address)).rejects.toMatchObject({ code: 'E_NOT_FOUND' });
    const plan = await addStakePlan(context([]), root.address, { ...nothing, amountNano: TON, addKeys: [key.publicKey] });
    expect((await messagesOf(plan, owner, 1n)).map(({ deploys }) => deploys)).toEqual([true, false, false]);
  });
});

describe('transferPlan', () => {
  it('refuses a contract address where no contract is, and asks no bounce of what cannot', async () => {
    const wish = (bounceable: boolean | null) => ({ to: { address: stranger, bounceable }, valueNano: TON });
    await expect(transferPlan(context([]), wish(true))).rejects.toMatchObject({ code: 'E_NOT_FOUND' });
    for (const bounceable of [false, null]) expect(await messagesOf(await transferPlan(context([]), wish(bounceable)), owner, 1n)).toMatchObject([{ bounce: false, amountNano: TON }]);
    const active = context([[stranger, { code: root.init.code, data: root.init.data }]]);
    for (const bounceable of [true, null]) expect(await messagesOf(await transferPlan(active, wish(bounceable)), owner, 1n)).toMatchObject([{ bounce: true }]);
  });
});
