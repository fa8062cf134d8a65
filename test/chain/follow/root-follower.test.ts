// The root contract followed over scripted answers: what is too old is an error, and nothing ever goes back.
import { afterEach, describe, expect, it } from '@jest/globals';
import { Address } from '@ton/core';
import type { AccountState, ReadOptions } from '../../../src/chain/access/types.ts';
import { rootDeployment } from '../../../src/chain/addresses.ts';
import type { Params } from '../../../src/chain/cells/params.ts';
import { EMPTY_SETS } from '../../../src/chain/cells/root-storage.ts';
import { contractCode } from '../../../src/chain/code.ts';
import { followRoot } from '../../../src/chain/follow/root-follower.ts';
import type { RootFollower } from '../../../src/chain/follow/root-follower.ts';
import { NetworkError } from '../../../src/core/errors.ts';
import { silentLog } from '../../../src/core/log.ts';

const T0 = 1_800_000_000;
const owner = new Address(0, Buffer.alloc(32, 1));
const root = new Address(0, Buffer.alloc(32, 9));
const params: Params = {
  structVersion: 3, paramsVersion: 0, uniqueId: 9, isTest: true, pricePerTokenNano: 1000n, workerFeePerTokenNano: 700n,
  promptMultiplier: 10_000, cachedMultiplier: 10_000, completionMultiplier: 10_000, reasoningMultiplier: 10_000,
  proxyDelaySeconds: 172_800, clientDelaySeconds: 86_400, minProxyStakeNano: 5n, minClientStakeNano: 1n,
  proxyCode: contractCode('proxy'), workerCode: contractCode('worker'), clientCode: contractCode('client'),
};

const open: RootFollower[] = [];
afterEach(async () => {
  for (const follower of open.splice(0)) await follower.close();
});

/** A chain with one root contract, a clock, and a follower that looks only when asked. */
async function world(pollMs = 3_600_000) {
  const clock = { ms: T0 * 1000, now() { return this.ms; } };
  const chain = { version: 4, lt: 100n, time: T0, price: 1000n, status: 'active' as AccountState['status'], error: null as Error | null, asked: [] as (ReadOptions | undefined)[] };
  const account = async (address: Address, options?: ReadOptions): Promise<AccountState> => {
    chain.asked.push(options);
    if (chain.error !== null) throw chain.error;
    const { init } = rootDeployment(contractCode('root'), { owner, version: chain.version, sets: EMPTY_SETS, params: { ...params, pricePerTokenNano: chain.price }, keyManager: null, verifiedKeys: null });
    return { address, status: chain.status, balanceNano: 1n, code: init.code, data: chain.status === 'active' ? init.data : null, last: { lt: chain.lt, hash: new Uint8Array(32) }, time: chain.time };
  };
  const start = async (): Promise<RootFollower> => {
    const follower = await followRoot({ access: { account }, root, pollMs, maxAgeS: 60, clock, log: silentLog, signal: new AbortController().signal });
    open.push(follower);
    return follower;
  };
  return { clock, chain, start };
}

describe('followRoot', () => {
  it('is ready with its first view, which is an agreed read', async () => {
    const { chain, start } = await world();
    const follower = await start();
    expect(follower.current()).toMatchObject({ time: T0, config: { version: 4, params: { pricePerTokenNano: 1000n } } });
    expect(chain.asked.every((options) => options?.agreed === true)).toBe(true);
  });

  it('is not made without a root contract, or when nobody answers', async () => {
    const { chain, start } = await world();
    chain.status = 'uninitialized';
    await expect(start()).rejects.toMatchObject({ code: 'E_CHAIN_DATA' });
    chain.error = new NetworkError('E_CHAIN_DISAGREES', 'no');
    await expect(start()).rejects.toMatchObject({ code: 'E_CHAIN_DISAGREES' });
  });

  it('a view older than allowed is an error, until it is read again', async () => {
    const { clock, chain, start } = await world();
    const follower = await start();
    clock.ms += 60_000;
    expect(follower.current().config.version).toBe(4);
    clock.ms += 1_000;
    expect(() => follower.current()).toThrow(expect.objectContaining({ code: 'E_CHAIN_STALE' }));
    chain.error = new NetworkError('E_CHAIN_UNREACHABLE', 'no');
    await expect(follower.refresh()).rejects.toMatchObject({ code: 'E_CHAIN_UNREACHABLE' });
    expect(() => follower.current()).toThrow(expect.objectContaining({ code: 'E_CHAIN_STALE' }));
    chain.error = null;
    chain.time += 61;
    await follower.refresh();
    expect(follower.current().time).toBe(T0 + 61);
  });

  it('a chain whose time stands still grows old however often it is read; so does one far behind this machine', async () => {
    const { clock, chain, start } = await world();
    const follower = await start();
    for (let round = 0; round < 4; round += 1) {
      clock.ms += 20_000;
      await follower.refresh();
    }
    expect(() => follower.current()).toThrow(expect.objectContaining({ code: 'E_CHAIN_STALE' }));
    chain.time += 10; // moves, but is 70 s behind
    await follower.refresh();
    expect(() => follower.current()).toThrow(expect.objectContaining({ code: 'E_CHAIN_STALE' }));
  });

  it('a clock that is set back does not make it young for ever', async () => {
    const { clock, start } = await world();
    const follower = await start();
    clock.ms -= 3_600_000;
    expect(() => follower.current()).toThrow(expect.objectContaining({ code: 'E_CHAIN_STALE' }));
  });

  it('tells changes, old and new, once each; a listener that throws harms nobody', async () => {
    const { chain, start } = await world();
    const follower = await start();
    const told: [number, number][] = [];
    follower.onChange(() => { throw new Error('listener'); });
    const stop = follower.onChange((now, before) => told.push([now.config.version, before.config.version]));
    await follower.refresh();
    Object.assign(chain, { version: 5, price: 2000n, lt: 101n });
    await follower.refresh();
    await follower.refresh();
    expect(told).toEqual([[5, 4]]);
    expect(follower.current().config.params.pricePerTokenNano).toBe(2000n);
    stop();
    Object.assign(chain, { version: 6, lt: 102n });
    await follower.refresh();
    expect(told).toHaveLength(1);
  });

  it('an endpoint that lags changes nothing; a version that goes back is refused and the old view stays', async () => {
    const { chain, start } = await world();
    const follower = await start();
    Object.assign(chain, { version: 3, lt: 90n });
    expect((await follower.refresh()).config.version).toBe(4);
    Object.assign(chain, { version: 3, lt: 110n });
    await expect(follower.refresh()).rejects.toMatchObject({ code: 'E_CHAIN_DATA', message: expect.stringContaining('from 4 back to 3') });
    expect(follower.current().config.version).toBe(4);
  });

  it('polls by itself, also after failures, and stops when it is closed', async () => {
    const { chain, start } = await world(10);
    const follower = await start();
    const seen = new Promise<void>((resolve) => { follower.onChange(() => resolve()); });
    chain.error = new NetworkError('E_CHAIN_UNREACHABLE', 'no');
    await new Promise((resolve) => { setTimeout(resolve, 40); });
    Object.assign(chain, { error: null, version: 5, lt: 200n });
    await seen;
    await follower.close();
    const asked = chain.asked.length;
    await new Promise((resolve) => { setTimeout(resolve, 40); });
    expect(chain.asked.length).toBe(asked);
  });
});
