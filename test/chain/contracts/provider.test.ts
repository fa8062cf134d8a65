// Wrappers over our own access: reads are typed, sends are collected.
import { describe, expect, it } from '@jest/globals';
import { loadMessageRelaxed, TupleReader } from '@ton/core';
import type { ContractProvider, TupleItem } from '@ton/core';
import { topUp } from '../../../src/chain/cells/client-messages.ts';
import { clientStorage, STATE } from '../../../src/chain/cells/storage.ts';
import { paramsCell } from '../../../src/chain/cells/params.ts';
import { clientDeployment } from '../../../src/chain/addresses.ts';
import { ClientContract } from '../../../src/chain/contracts/client.ts';
import { callGet } from '../../../src/chain/contracts/common.ts';
import { collectingSender, openAt } from '../../../src/chain/contracts/provider.ts';
import type { ContractReads } from '../../../src/chain/contracts/provider.ts';
import { WalletContract } from '../../../src/chain/contracts/wallet.ts';
import { NetworkError } from '../../../src/core/errors.ts';
import { addr, boc, plain, vector } from '../vectors.ts';

const params = paramsCell.load(boc(vector<{ cells: { boc: string }[] }>('onchain/params.json').cells[11]!.boc));
const owner = addr(`0:${'01'.repeat(32)}`);
const identity = { owner, proxy: addr(`0:${'02'.repeat(32)}`), proxyPublicKey: new Uint8Array(32).fill(3), params };
const { init, address } = clientDeployment(identity);

const accessOf = (over: { status?: 'active' | 'uninitialized' | 'frozen'; exitCode?: number; stack?: TupleItem[] } = {}) => {
  const asked: unknown[] = [];
  const access: ContractReads = {
    account: async (_, options) => {
      asked.push(options);
      const status = over.status ?? 'active';
      return { status, balanceNano: 1n, code: status === 'active' ? init.code : null, data: status === 'active' ? init.data : null, last: null };
    },
    runGetMethod: async (_, method, __, options) => {
      asked.push([method, options]);
      return { exitCode: over.exitCode ?? 0, stack: new TupleReader(over.stack ?? []) };
    },
    transactions: async () => ({ transactions: [] }),
  };
  return { access, asked };
};

describe('openAt', () => {
  it('openAt: storage comes from the account, with the caller\'s rules', async () => {
    const { access, asked } = accessOf();
    const storage = await openAt(access, ClientContract.fromIdentity(identity), { agreed: true }).getStorage();
    expect(plain(storage)).toEqual(plain(clientStorage.load(init.data)));
    expect([storage.state, asked]).toEqual([STATE.normal, [{ agreed: true }]]);
  });

  it.each(['uninitialized', 'frozen'] as const)('openAt: no storage where the account is %s', async (status) => {
    await expect(openAt(accessOf({ status }).access, new ClientContract(address)).getStorage()).rejects.toMatchObject({ code: 'E_NOT_FOUND' });
  });

  it('openAt: get methods that fail, answer too much, or with numbers out of range are E_CHAIN_DATA', async () => {
    const seqno = (stack: TupleItem[], exitCode = 0) => openAt(accessOf({ stack, exitCode }).access, new WalletContract(address)).getSeqno();
    expect(await seqno([{ type: 'int', value: 5n }])).toBe(5);
    const bad: [TupleItem[], number?][] = [
      [[{ type: 'int', value: 5n }], 11], [[{ type: 'int', value: 5n }, { type: 'int', value: 5n }]], [[{ type: 'int', value: 1n << 32n }]], [[{ type: 'int', value: -1n }]],
      [[]], [[{ type: 'cell', cell: init.data }]], [[{ type: 'null' }]],
    ];
    for (const [stack, exitCode] of bad) await expect(seqno(stack, exitCode)).rejects.toMatchObject({ code: 'E_CHAIN_DATA' });
  });

  it('openAt: sending collects messages, with the StateInit only while the account is not active', async () => {
    for (const status of ['active', 'uninitialized'] as const) {
      const via = collectingSender(owner);
      const client = openAt(accessOf({ status }).access, ClientContract.fromIdentity(identity));
      await client.sendDeploy(via, 800_000_000n);
      await client.sendTopUp(via, { valueNano: 10_700_000_000n, queryId: 9n }, 10_000_000_000n, owner);
      const [deploy, deposit] = via.messages.map(({ message }) => loadMessageRelaxed(message.beginParse()));
      expect(via.messages.map((m) => m.mode)).toEqual([1, 1]);
      expect(deploy!.info).toMatchObject({ bounce: false, value: { coins: 800_000_000n } });
      expect(!deploy!.init).toBe(status === 'active');
      expect(deploy!.body.bits.length).toBe(0);
      expect(deposit!.info).toMatchObject({ bounce: true, value: { coins: 10_700_000_000n } });
      expect(plain(topUp.load(deposit!.body))).toEqual(plain({ queryId: 9n, amountNano: 10_000_000_000n, sendExcessesTo: owner }));
    }
  });

  it('openAt: external messages are not sent from here', async () => {
    await expect(openAt(accessOf().access, new WalletContract(address)).sendExternal(init.data)).rejects.toMatchObject({ code: 'E_INTERNAL' });
  });
});

describe('callGet', () => {
  const failing = (thrown: Error) => ({ get: () => Promise.reject(thrown) }) as unknown as ContractProvider;
  it('callGet: the exit code in @ton/ton\'s error text is explained', async () => {
    const run = callGet(failing(new Error('Unable to execute get method. Got exit_code: 1008')), 'get_cocoon_data', [], () => 0);
    await expect(run).rejects.toMatchObject({ code: 'E_CHAIN_DATA', message: expect.stringContaining('parameters have a layout') });
  });

  it('callGet: typed errors of the access pass unchanged', async () => {
    const down = new NetworkError('E_CHAIN_UNREACHABLE', 'no endpoint');
    await expect(callGet(failing(down), 'seqno', [], () => 0)).rejects.toBe(down);
  });
});
