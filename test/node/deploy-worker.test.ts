// A node's worker contract is paid for until it is there, a bounded number of times, and never twice for the same try.
import { describe, expect, it } from '@jest/globals';
import { Address, Cell } from '@ton/core';
import { FundsError, NetworkError, UnconfirmedError } from '../../src/core/errors.ts';
import { silentLog } from '../../src/core/log.ts';
import { deployWorker, MAX_DEPLOYMENTS } from '../../src/node/deploy-worker.ts';
import type { TonAccess } from '../../src/chain/access/types.ts';
import type { HotWallet } from '../../src/chain/hot-wallet.ts';

const address = new Address(0, Buffer.alloc(32, 4));
const name = `worker:${address.toRawString()}`;
const init = { code: Cell.EMPTY, data: Cell.EMPTY };

/** A chain that shows the contract after `effective` deployments were executed; `fails` and `looks` go wrong first. */
function world({ effective = 1, fails = [], looks = 0 }: { effective?: number; fails?: readonly (Error | null)[]; looks?: number } = {}) {
  const sent: string[] = [];
  const executed = new Set<string>();
  const waits: number[] = [];
  let failing = looks;
  const wallet = {
    send: async (key: string, [message]: readonly { to: Address; valueNano: bigint }[]) => {
      const failure = fails[sent.length] ?? null;
      sent.push(key);
      expect(message).toMatchObject({ to: address, valueNano: 7n });
      if (failure !== null) throw failure;
      executed.add(key);
    },
  } as unknown as HotWallet;
  const access = {
    account: async () => {
      if (failing > 0) {
        failing -= 1;
        throw new NetworkError('E_CHAIN_UNREACHABLE', 'silent');
      }
      return { status: executed.size >= effective ? 'active' : 'uninitialized' };
    },
  } as unknown as TonAccess;
  const deploy = (): Promise<boolean> => deployWorker({ access, wallet, address, init, valueNano: 7n, log: silentLog, wait: async (ms) => { waits.push(ms); } });
  return { sent, executed, waits, deploy };
}

describe('deployWorker', () => {
  it('once, where it shows', async () => {
    const { sent, waits, deploy } = world();
    expect([await deploy(), sent, waits]).toEqual([true, [name], [300_000]]);
  });

  it('again under another key where it had no effect, later each time', async () => {
    const { sent, waits, deploy } = world({ effective: 3 });
    expect([await deploy(), sent, waits]).toEqual([true, [name, `${name}:1`, `${name}:2`], [300_000, 600_000, 1_200_000]]);
  });

  it('bound: never more than four keys, also when it is asked again', async () => {
    const { sent, executed, deploy } = world({ effective: 100 });
    expect([await deploy(), await deploy()]).toEqual([false, false]);
    expect([sent.length, executed.size]).toEqual([2 * MAX_DEPLOYMENTS, MAX_DEPLOYMENTS]); // the same keys again: the wallet pays none twice
    expect([...executed]).toEqual([name, `${name}:1`, `${name}:2`, `${name}:3`]);
  });

  it('what was refused on chain needs another key; what was not sent keeps its key for the next time', async () => {
    const refused = world({ fails: [new UnconfirmedError('E_TX_FAILED', 'no effect')] });
    expect([await refused.deploy(), refused.sent]).toEqual([true, [name, `${name}:1`]]);
    const poor = world({ fails: [new FundsError('E_FUNDS', 'too little')] });
    await expect(poor.deploy()).rejects.toMatchObject({ code: 'E_FUNDS' });
    expect([await poor.deploy(), poor.sent]).toEqual([true, [name, name]]);
  });

  it('a chain that cannot be asked is no reason to pay again', async () => {
    const late = world({ looks: 4 });
    expect([await late.deploy(), late.sent, late.waits.length]).toEqual([true, [name], 5]);
    const silent = world({ looks: 5 });
    await expect(silent.deploy()).rejects.toMatchObject({ code: 'E_CHAIN_UNREACHABLE' });
    expect(silent.sent).toEqual([name]);
  });
});
