// A ledger that was lost or is old, another proxy with the same key, and params that change: on the local chain.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { join } from 'node:path';
import { paramsPlan } from '../../../src/chain/plans/registry.ts';
import { restoreLedger } from '../../../src/proxy/ledger/backup.ts';
import type { PaidAccounts } from '../../../src/proxy/paid/paid-accounts.ts';
import { eventually, PARAMS, PaidNetwork, person, TON } from './fixture.ts';
import { request, signedTokens, textOf } from './peers.ts';

jest.setTimeout(400_000);

let network: PaidNetwork;
const [alice, nodeOwner] = [person(11), person(21)];
let proof: Uint8Array;

beforeAll(async () => {
  network = await PaidNetwork.start();
  await network.stake();
  await network.deposit(alice, 3n * TON);
});
afterAll(() => network.close());

const workerOf = (accounts: PaidAccounts) => accounts.worker(textOf(nodeOwner));

describe('a ledger that is not the newest', () => {
  it('an older backup is refused, and refused again; the newest ledger goes on', async () => {
    const ledger = await network.ledger();
    const accounts = await network.accounts(ledger, { chargeFromNano: TON / 20n });
    await request(accounts, alice, nodeOwner, 100_000n);
    await accounts.commit();
    await accounts.backup(join(network.home, 'backup.db'));
    await request(accounts, alice, nodeOwner, 50_000n);
    await accounts.commit();
    await eventually('charged', () => accounts.status().instances[0]?.accounts.some(({ kind, claimedTokens }) => kind === 'client' && claimedTokens === 150_000n) === true);
    proof = (await workerOf(accounts)).status().signedPayment ?? new Uint8Array();
    await accounts.close();
    await ledger.close();

    await restoreLedger(join(network.home, 'backup.db'), join(network.home, 'old.db'));
    for (let n = 0; n < 2; n += 1) {
      const old = await network.ledger('old.db');
      await expect(network.accounts(old)).rejects.toMatchObject({ code: 'E_LEDGER_BEHIND' });
      await old.close();
    }

    const same = await network.ledger();
    const again = await network.accounts(same);
    expect(again.status().refusal).toBeNull();
    expect(signedTokens(await workerOf(again))).toBe(150_000n);
    expect((await workerOf(again)).status().signedPayment).toEqual(proof);
    await again.close();
    await same.close();
  });

  it('a lost one is refused, then rebuilt from the chain and from what a worker proves', async () => {
    const lost = await network.ledger('new.db');
    await expect(network.accounts(lost)).rejects.toMatchObject({ code: 'E_LEDGER_BEHIND' });
    const accounts = await network.accounts(lost, {}, { rebuild: true });
    // The client's total is what the chain has charged; the worker was not paid yet, so the chain knows nothing of it.
    expect((await accounts.client(textOf(alice))).status()).toMatchObject({ dbTokens: 150_000n, maxTokens: 150_000n });
    const worker = await workerOf(accounts);
    expect(worker.compare({ chainTokens: 150_000n, dbTokens: 150_000n, maxTokens: 160_000n }).agreed).toBe(false);
    await worker.extendedCompare(150_000n, proof);
    expect([worker.status().maxTokens, signedTokens(worker)]).toEqual([150_000n, 150_000n]);
    await request(accounts, alice, nodeOwner, 10_000n);
    await eventually('signed', () => signedTokens(worker) === 160_000n);

    // The ledger that was thought lost turns up: it and its proxy are refused now.
    const found = await network.ledger();
    await expect(network.accounts(found)).rejects.toMatchObject({ code: 'E_LEDGER_BEHIND' });
    await found.close();
    await accounts.close();
    await lost.close();
  });
});

describe('params that change', () => {
  it('another contract serves once it has stake; the old one is wound down meanwhile, and the ledger keeps both', async () => {
    const ledger = await network.ledger('new.db');
    const accounts = await network.accounts(ledger);
    const before = await accounts.client(textOf(alice));
    let told = 0;
    accounts.onInactive(() => { told += 1; });
    const old = accounts.proxy.contractAddress;
    const change = { pricePerTokenNano: 2000n, workerFeePerTokenNano: 1500n };
    const plan = async () => paramsPlan(network.context(network.rootOwner), await network.root(), { ...PARAMS, ...change }, { onlyPrices: false });
    await network.carryOut(network.rootOwner, await plan());
    await network.advance(86_401);
    await network.carryOut(network.rootOwner, await plan());
    await eventually('another contract', () => accounts.proxy.contractAddress !== old);
    expect([told, before.isActive()]).toEqual([1, false]);
    expect(() => accounts.reserve(before, 1n)).toThrow(expect.objectContaining({ remoteCode: 651 }));
    await expect(accounts.client(textOf(alice))).rejects.toMatchObject({ remoteCode: 651 });

    await network.stake();
    await eventually('serving', () => accounts.status().refusal === null);
    await network.deposit(alice, 3n * TON);
    await request(accounts, alice, nodeOwner, 20_000n);
    await eventually('delay of the old one', () => accounts.status().instances.some(({ phase, closableFrom }) => phase === 'winding' && closableFrom !== null));
    await network.advance(PARAMS.proxyDelaySeconds + 60);
    await eventually('old one closed', () => ledger.instances().some(({ phase }) => phase === 'closed'));
    expect(ledger.instances().map(({ phase }) => phase)).toEqual(['closed', 'serving']);
    const [first, second] = ledger.instances().map((instance) => ledger.accounts(instance).find(({ kind }) => kind === 'worker'));
    expect([first?.child?.tokens, first?.child?.state, second?.dbTokens]).toEqual([160_000n, 2, 20_000n]);
  });
});
