// An account followed over a chain in process: every transaction once, in order, over restarts, lagging endpoints and long histories.
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Transaction } from '@ton/core';
import { createTonAccess } from '../../../src/chain/access/access.ts';
import type { TonAccess, TransactionId } from '../../../src/chain/access/types.ts';
import { followAccount, idOf } from '../../../src/chain/follow/account-follower.ts';
import type { AccountFollower, FollowAccountOptions } from '../../../src/chain/follow/account-follower.ts';
import { FakeChain } from '../../fakes/fake-chain.ts';
import type { FakeEndpoint } from '../../fakes/fake-chain.ts';
import { wallet } from '../sending/fixture.ts';

let chain: FakeChain;
let endpoint: FakeEndpoint;
let access: TonAccess;
const open: AccountFollower[] = [];

beforeEach(async () => {
  chain = await FakeChain.create();
  endpoint = await chain.endpoint();
  access = createTonAccess({ endpoints: [{ url: endpoint.url }], timeoutMs: 2000, requestTimeoutMs: 500 });
});
afterEach(async () => {
  for (const follower of open.splice(0)) await follower.close();
  await access.close();
  await chain.close();
});

const { address } = wallet;
const all = (): bigint[] => chain.transactionsOf(address).map(({ lt }) => lt);

async function fund(times: number): Promise<void> {
  for (let n = 0; n < times; n += 1) await chain.fund(address, 1_000_000n);
}

/** A follower that looks only when asked, and what it handed over. */
function follow(seen: bigint[], options: Partial<FollowAccountOptions> = {}): AccountFollower {
  const follower = followAccount({
    access, address, after: null, pollMs: 3_600_000,
    onTransactions: async (list: readonly Transaction[]) => { seen.push(...list.map(({ lt }) => lt)); },
    ...options,
  });
  open.push(follower);
  return follower;
}

describe('followAccount', () => {
  it('hands over everything from the first transaction, oldest first, and then only what is new', async () => {
    await fund(3);
    const seen: bigint[] = [];
    const follower = follow(seen);
    await follower.catchUp();
    expect(seen).toEqual(all());
    expect(seen).toHaveLength(3);
    await follower.catchUp();
    await fund(2);
    await follower.catchUp();
    expect(seen).toEqual(all());
    expect(follower.cursor?.lt).toBe(all().at(-1));
    expect(follower.seenUntil).toBe(chain.time);
  });

  it('an account that was never used: nothing, and it is known until when', async () => {
    const seen: bigint[] = [];
    const follower = follow(seen);
    await follower.catchUp();
    expect([seen, follower.cursor, follower.seenUntil]).toEqual([[], null, chain.time]);
  });

  it('goes on from a durable cursor after a restart, wherever it stopped: no gap, no repeat', async () => {
    await fund(7);
    const seen: bigint[] = [];
    let cursor: TransactionId | null = null;
    // Each life takes one list of two and dies with the next.
    for (let life = 0; life < 10 && seen.length < 7; life += 1) {
      let lists = 0;
      const follower = follow([], {
        after: cursor, segment: 2,
        onTransactions: async (list) => {
          if ((lists += 1) > 1) throw new Error('killed');
          seen.push(...list.map(({ lt }) => lt));
          cursor = list.at(-1) === undefined ? cursor : idOf(list.at(-1) as Transaction);
        },
      });
      await follower.catchUp().catch(() => undefined);
      await follower.close();
    }
    expect(seen).toEqual(all());
  });

  it('a list that is refused comes again, the same, before anything newer', async () => {
    await fund(3);
    const lists: string[] = [];
    let refuse = true;
    const follower = follow([], {
      segment: 2,
      onTransactions: async (list) => {
        lists.push(list.map(({ lt }) => lt).join(' '));
        if (refuse) throw new Error('full disk');
      },
    });
    await expect(follower.catchUp()).rejects.toThrow('full disk');
    expect(follower.problem?.message).toBe('full disk');
    expect(follower.cursor).toBeNull();
    refuse = false;
    await fund(1);
    await follower.catchUp();
    expect(follower.problem).toBeNull();
    const taken = lists.filter((_, n) => n >= lists.length - 2).join(' ');
    expect(taken).toBe(all().join(' '));
  });

  it('an endpoint that lags shows nothing new and takes nothing back', async () => {
    await fund(3);
    const seen: bigint[] = [];
    const follower = follow(seen);
    await follower.catchUp();
    const until = follower.seenUntil;
    endpoint.script.lagBlocks = 2;
    await follower.catchUp();
    expect([seen, follower.seenUntil]).toEqual([all(), until]);
    await fund(1);
    await follower.catchUp();
    delete endpoint.script.lagBlocks;
    await follower.catchUp();
    expect(seen).toEqual(all());
  });

  it('endpoints that fail now and then lose nothing', async () => {
    await fund(9);
    let n = 0;
    endpoint.script.fault = () => ((n += 1) % 3 === 0 ? { kind: 'reset' } : undefined);
    const seen: bigint[] = [];
    const follower = follow(seen, { segment: 2 });
    for (let round = 0; round < 20 && seen.length < 9; round += 1) await follower.catchUp().catch(() => undefined);
    expect(seen).toEqual(all());
  });

  it('a history that does not lead to the cursor is an error, never a jump', async () => {
    await fund(3);
    const seen: bigint[] = [];
    const second = chain.transactionsOf(address)[1];
    const wrongHash = { lt: second?.lt ?? 0n, hash: new Uint8Array(32).fill(7) };
    await expect(follow(seen, { after: wrongHash }).catchUp()).rejects.toMatchObject({ code: 'E_CHAIN_DATA' });
    const between = { lt: (second?.lt ?? 0n) + 1n, hash: new Uint8Array(32) };
    await expect(follow(seen, { after: between }).catchUp()).rejects.toMatchObject({ code: 'E_CHAIN_DATA' });
    const newest = chain.transactionsOf(address)[2];
    await expect(follow(seen, { after: { lt: newest?.lt ?? 0n, hash: new Uint8Array(32) } }).catchUp()).rejects.toMatchObject({ code: 'E_CHAIN_DATA' });
    expect(seen).toEqual([]);
  });

  it('polls by itself, and close ends it', async () => {
    const seen: bigint[] = [];
    const follower = follow(seen, { pollMs: 20 });
    await fund(2);
    for (let n = 0; n < 200 && seen.length < 2; n += 1) await new Promise((resolve) => { setTimeout(resolve, 10); });
    expect(seen).toEqual(all());
    await follower.close();
    await fund(1);
    await new Promise((resolve) => { setTimeout(resolve, 60); });
    expect(seen).toHaveLength(2);
    await expect(follower.catchUp()).rejects.toMatchObject({ code: 'E_CLOSED' });
  });
});
