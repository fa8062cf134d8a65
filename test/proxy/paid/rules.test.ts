// What the proxy does by itself, beyond the amounts of its rules: deployments that had no effect, charges that cannot wait,
// news of signatures, bonds of nodes, the account of canary questions.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { addStakePlan } from '../../../src/chain/plans/bond.ts';
import { clientDeployment } from '../../../src/chain/addresses.ts';
import { clientStorage } from '../../../src/chain/cells/storage.ts';
import type { HotWallet } from '../../../src/chain/hot-wallet.ts';
import type { SendRecord } from '../../../src/chain/sending/record.ts';
import type { Ledger } from '../../../src/proxy/ledger/ledger.ts';
import { waitMs } from '../../../src/proxy/paid/delivery.ts';
import type { PaidAccounts } from '../../../src/proxy/paid/paid-accounts.ts';
import { eventually, PaidNetwork, person, TON } from './fixture.ts';
import type { Person } from './fixture.ts';
import { request, signedTokens, textOf, used } from './peers.ts';

jest.setTimeout(400_000);

let network: PaidNetwork;
let ledger: Ledger;
let accounts: PaidAccounts;
const [alice, bob, owner, nodeOwner] = [person(11), person(12), person(13), person(21)];

/** Charged on chain. */
async function chargedTokens(client: Person): Promise<bigint> {
  const { config: { params } } = await network.root();
  const { address } = clientDeployment({ owner: client.wallet.address, proxy: await network.proxyAddress(), proxyPublicKey: network.paymentKey.publicKey, params });
  const { data } = await network.access.account(address, { agreed: true });
  return data === null ? 0n : clientStorage.load(data).tokensUsed;
}

beforeAll(async () => { network = await PaidNetwork.start(); });
afterAll(() => network.close());

describe('deployments', () => {
  it('one that is confirmed and has no effect is made again, each later than the one before, and at most three times', async () => {
    const ledger = await network.ledger('deployments.db');
    const { wallet: real } = await network.options(ledger);
    const sent: { key: string; atMs: number }[] = [];
    const wallet: HotWallet = {
      address: real.address, balanceNano: () => real.balanceNano(), forget: (key) => real.forget(key), close: async () => undefined,
      send: async (key, messages, options) => {
        if (!key.startsWith('deploy:')) return real.send(key, messages, options);
        sent.push({ key, atMs: performance.now() });
        return {} as SendRecord; // confirmed, and nothing is there
      },
    };
    const trying = await network.accounts(ledger, { redeliverMs: 100, pollMs: 20 }, { wallet });
    await eventually('given up', () => trying.status().refusal?.includes('4 deployments had no effect') === true);
    const name = `deploy:${(await network.proxyAddress()).toRawString()}`;
    expect(sent.map(({ key }) => key)).toEqual([name, `${name}:1`, `${name}:2`, `${name}:3`]);
    const [first = 0, second = 0, third = 0] = sent.slice(1).map(({ atMs }, at) => atMs - (sent[at]?.atMs ?? 0));
    expect([first >= 100, second >= 200, third >= 400]).toEqual([true, true, true]);
    await new Promise((resolve) => { setTimeout(resolve, 200); });
    expect(sent).toHaveLength(4);
    await trying.close();
    await ledger.close();
  });

  it('waitMs: deliveries are tried for as long as they are due, at last at a steady pace', () => {
    expect([0, 1, 5, 6, 7, 1_000].map((number) => waitMs(300_000, number) / 300_000)).toEqual([1, 2, 32, 64, 64, 64]);
  });
});

describe('an account of its own', () => {
  beforeAll(async () => {
    await network.stake();
    await network.deposit(alice, 2_400_000_000n);
    await network.deposit(bob, 3n * TON);
    await network.deposit(owner, 2n * TON);
    // Nothing is charged for its worth: what is charged here cannot wait.
    ledger = await network.ledger();
    accounts = await network.accounts(ledger, {}, { canaryOwner: owner.wallet.address });
  });

  it('a client is charged when half of what may go uncharged is used or reserved, so that its deposit can be used up without a refusal', async () => {
    const client = await accounts.client(textOf(alice));
    const worker = await accounts.worker(textOf(nodeOwner));
    await request(accounts, bob, nodeOwner, 400_000n); // of 1,000,000
    for (let round = 0; round < 3; round += 1) {
      await eventually('there is credit', () => accounts.available(client) >= 600_000n, 120_000);
      await accounts.reserve(client, 600_000n).settle(worker, used(600_000n));
    }
    expect(await chargedTokens(alice)).toBeGreaterThanOrEqual(1_200_000n);
    expect(await chargedTokens(bob)).toBe(0n);
    // At the end of the deposit nothing is lent.
    await eventually('all charged', () => accounts.available(client) === 600_000n, 120_000);
    expect(() => accounts.reserve(client, 600_001n)).toThrow(expect.objectContaining({ remoteMessage: 'balance is too low' }));
    accounts.reserve(client, 600_000n).release();
  });

  it('onSigned: told when more is signed, once it can be handed out; not after it was stopped', async () => {
    const worker = await accounts.worker(textOf(person(22)));
    const heard: bigint[] = [];
    const stop = worker.onSigned(() => heard.push(signedTokens(worker)));
    await request(accounts, bob, person(22), 1_000n);
    await eventually('signed', () => heard.length > 0);
    expect(heard).toEqual([1_000n]);
    stop();
    await request(accounts, bob, person(22), 500n);
    await eventually('signed', () => signedTokens(worker) === 1_500n);
    expect(heard).toEqual([1_000n]);
  });

  it('bondNano: the stake of the worker\'s owner at this network\'s root, and what is added to it; none for who has none', async () => {
    const bonded = person(23);
    await network.fund(bonded, 20n * TON);
    const stake = async (amountNano: bigint): Promise<void> => {
      await network.carryOut(bonded, await addStakePlan(network.context(bonded), network.rootAddress, { amountNano, addKeys: [], removeKeys: [] }));
    };
    await stake(3n * TON);
    const worker = await accounts.worker(textOf(bonded));
    expect(worker.bondNano()).toBe(3n * TON);
    expect((await accounts.worker(textOf(person(24)))).bondNano()).toBe(0n);
    await stake(2n * TON);
    await eventually('read again', () => worker.bondNano() === 5n * TON);
  });

  it('canary: questions are booked to the deposit of the wallet that was named; none are asked where none was named', async () => {
    const canary = accounts.canary();
    if (canary === null) throw new Error('no account');
    await eventually('read', () => accounts.available(canary) > 0n);
    expect(canary.ownerAddress).toBe(textOf(owner));
    const worker = await accounts.worker(textOf(nodeOwner));
    const before = worker.status().maxTokens;
    const totals = await accounts.reserve(canary, 100n).settle(worker, used(60n));
    expect([totals.client.dbTokens, totals.worker.dbTokens - before]).toEqual([60n, 60n]);
    expect((await accounts.client(textOf(owner))).status().dbTokens).toBe(60n);
    await accounts.close();
    expect(accounts.canary()).toBeNull();
    const without = await network.accounts(ledger);
    expect([without.status().refusal, without.canary()]).toEqual([null, null]);
  });
});
