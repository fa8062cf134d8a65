// TonClient of @ton/ton, unchanged, against a local chain (DESIGN.md section 6): every public method that makes sense.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Address, beginCell, Cell, comment, external, internal, SendMode, storeMessage, toNano } from '@ton/core';
import type { Transaction } from '@ton/core';
import { ask, cleanUp, START, start, TON, walletV4, walletV5 } from './harness.ts';
import type { Started } from './harness.ts';

const MODE = SendMode.PAY_GAS_SEPARATELY | SendMode.IGNORE_ERRORS;
const FRESH = new Address(0, Buffer.alloc(32, 0x11));

let chain: Started;
beforeAll(async () => {
  chain = await start();
});
afterAll(cleanUp);

const hashOf = (transaction: Transaction): string => transaction.hash().toString('base64');

describe('TonClient.getContractState', () => {
  it('shows an account that never existed', async () => {
    const state = await chain.client.getContractState(new Address(0, Buffer.alloc(32, 0x77)));
    expect(state).toMatchObject({ balance: 0n, state: 'uninitialized', code: null, data: null, lastTransaction: null, timestampt: START });
    expect(state.blockId).toMatchObject({ workchain: -1, shard: '-9223372036854775808' });
  });

  it('shows the faucet as an active wallet that holds all TON', async () => {
    const state = await chain.client.getContractState(chain.faucetAddress);
    expect(state.state).toBe('active');
    expect(state.balance).toBeGreaterThan(900_000_000n * TON);
    expect(Cell.fromBoc(state.code!)).toHaveLength(1);
  });
});

describe('faucet', () => {
  it('sends exactly what is asked, once for each key', async () => {
    const first = await chain.admin.faucet(FRESH, 3n * TON, { key: 'one' });
    expect(await chain.client.getBalance(FRESH)).toBe(3n * TON);
    expect(await chain.client.isContractDeployed(FRESH)).toBe(false);
    expect(await chain.admin.faucet(FRESH, 3n * TON, { key: 'one' })).toEqual(first);
    expect(await chain.client.getBalance(FRESH)).toBe(3n * TON);
    await chain.admin.faucet(FRESH, 1n);
    await chain.admin.faucet(FRESH, 1n);
    expect(await chain.client.getBalance(FRESH)).toBe(3n * TON + 2n);
    expect(await chain.client.getTransaction(chain.faucetAddress, first.lt, Buffer.from(first.hash, 'hex').toString('base64'))).not.toBeNull();
  });

  it('refuses a known key for another amount, more than there is, nothing, and what is no address', async () => {
    await expect(chain.admin.faucet(FRESH, 4n * TON, { key: 'one' })).rejects.toMatchObject({ code: 'E_USAGE', message: expect.stringContaining('"one"') });
    await expect(chain.admin.faucet(FRESH, 2n * 10n ** 18n)).rejects.toMatchObject({ code: 'E_FUNDS' });
    await expect(chain.admin.faucet(FRESH, 0n)).rejects.toMatchObject({ code: 'E_FUNDS' });
    const response = await fetch(new URL('/admin/faucet', chain.endpoint), {
      method: 'POST', headers: { authorization: `Bearer ${chain.adminToken}`, 'content-type': 'application/json' }, body: JSON.stringify({ to: 'nowhere', amountNano: '1' }),
    });
    expect(response.status).toBe(422);
  });
});

describe('wallets of @ton/ton', () => {
  it('WalletContractV5R1: deploys with its first message and transfers', async () => {
    const wallet = walletV5(chain, 1);
    await chain.admin.faucet(wallet.contract.address, 5n * TON);
    const target = new Address(0, Buffer.alloc(32, 0x21));
    expect(await wallet.opened.getSeqno()).toBe(0);
    await wallet.opened.sendTransfer({ seqno: 0, secretKey: wallet.secretKey, sendMode: MODE, timeout: START + 60, messages: [internal({ to: target, value: toNano('1.5'), bounce: false, body: comment('hello') })] });
    expect(await chain.client.isContractDeployed(wallet.contract.address)).toBe(false);
    await chain.admin.tick();
    expect(await chain.client.isContractDeployed(wallet.contract.address)).toBe(true);
    expect(await wallet.opened.getSeqno()).toBe(1);
    expect(await chain.client.getBalance(target)).toBe(toNano('1.5'));
    const [received] = await chain.client.getTransactions(target, { limit: 1 });
    expect(received?.inMessage?.body.equals(comment('hello'))).toBe(true);
    // The wallet id carries this chain's global id, so the address is no other network's.
    expect(wallet.contract.walletId.networkGlobalId).toBe(chain.globalId);
    expect(chain.globalId).toBeLessThan(0);
    expect([-239, -3]).not.toContain(chain.globalId);
  });

  it('WalletContractV4: deploys, transfers to two, and bounces come back', async () => {
    const wallet = walletV4(chain, 2);
    await chain.admin.faucet(wallet.contract.address, 5n * TON);
    const silent = new Address(0, Buffer.alloc(32, 0x22));
    const send = (seqno: number, bounce: boolean): Promise<void> => wallet.opened.sendTransfer({
      seqno, secretKey: wallet.secretKey, sendMode: SendMode.PAY_GAS_SEPARATELY, timeout: START + 60,
      messages: [internal({ to: silent, value: TON, bounce }), internal({ to: FRESH, value: TON, bounce: false })],
    });
    await send(0, true);
    await chain.admin.tick();
    expect(await chain.client.getBalance(silent)).toBe(0n);
    const [bounced] = await chain.client.getTransactions(wallet.contract.address, { limit: 1 });
    expect(bounced?.inMessage?.info).toMatchObject({ type: 'internal', bounced: true });
    await send(1, false);
    await chain.admin.tick();
    expect(await chain.client.getBalance(silent)).toBe(TON);
    expect(await wallet.opened.getSeqno()).toBe(2);
  });

  it('sendBoc: says why a contract does not accept, with its exit code, and changes nothing', async () => {
    const wallet = walletV5(chain, 1);
    const before = await chain.client.getContractState(wallet.contract.address);
    const transfer = (seqno: number, timeout: number, secretKey = wallet.secretKey): Promise<void> => wallet.opened.sendTransfer({
      seqno, secretKey, timeout, sendMode: MODE, messages: [internal({ to: FRESH, value: 1n })],
    });
    const refusal = async (sent: Promise<void>): Promise<string> => {
      const error = await sent.then(() => undefined, (reason: { response?: { status: number; data: { error: string } } }) => reason);
      expect(error?.response?.status).toBe(500);
      return error?.response?.data.error ?? '';
    };
    expect(await refusal(transfer(9, START + 60))).toMatch(/cannot apply external message to current state : External message was not accepted[^]*exitcode=133/);
    expect(await refusal(transfer(1, START - 1))).toMatch(/exitcode=136/);
    expect(await refusal(transfer(1, START + 60, walletV5(chain, 3).secretKey))).toMatch(/exitcode=135/);
    expect(await refusal(walletV5(chain, 4).opened.sendTransfer({ seqno: 0, secretKey: wallet.secretKey, sendMode: MODE, messages: [internal({ to: FRESH, value: 1n })] }))).toMatch(/rejected by account [0-9A-F]{64} before smart-contract execution/);
    await chain.admin.tick();
    expect((await chain.client.getContractState(wallet.contract.address)).lastTransaction).toEqual(before.lastTransaction);
  });
});

describe('TonClient.runMethod', () => {
  // Tolk or FunC would need a compiler here; the wallet's own methods cover ints, slices and dictionaries.
  it('gives ints, cells and null', async () => {
    const { address } = walletV5(chain, 1).contract;
    expect((await chain.client.runMethod(address, 'seqno')).stack.readNumber()).toBe(1);
    expect((await chain.client.runMethod(address, 'is_signature_allowed')).stack.readBoolean()).toBe(true);
    expect((await chain.client.runMethod(address, 'get_extensions')).stack.readCellOpt()).toBeNull();
    expect((await chain.client.runMethod(address, 'get_public_key')).stack.readBigNumber()).toBeGreaterThan(0n);
  });

  it('passes arguments', async () => {
    const { address } = walletV4(chain, 2).contract;
    const stack = [{ type: 'int', value: 0n }, { type: 'int', value: BigInt(`0x${FRESH.hash.toString('hex')}`) }] as const;
    expect((await chain.client.runMethod(address, 'is_plugin_installed', [...stack])).stack.readBoolean()).toBe(false);
  });

  it('reports the exit code of a failure, and of an account without code', async () => {
    const { address } = walletV5(chain, 1).contract;
    expect((await chain.client.runMethodWithError(address, 'no_such_method')).exit_code).toBe(11);
    expect((await chain.client.runMethodWithError(FRESH, 'seqno')).exit_code).toBe(-13);
    await expect(chain.client.runMethod(address, 'no_such_method')).rejects.toThrow('exit_code: 11');
  });
});

describe('TonClient.getTransactions', () => {
  const all = async (): Promise<Transaction[]> => chain.client.getTransactions(FRESH, { limit: 100 });

  it('pages back without gaps or repeats', async () => {
    const whole = await all();
    expect(whole.length).toBeGreaterThanOrEqual(5);
    expect(whole.map(({ lt }) => lt)).toEqual(whole.map(({ lt }) => lt).toSorted((a, b) => Number(b - a)));
    const paged: Transaction[] = [];
    for (let page = await chain.client.getTransactions(FRESH, { limit: 2 }); page.length > 0;) {
      paged.push(...page);
      const last = page.at(-1)!;
      page = await chain.client.getTransactions(FRESH, { limit: 2, lt: last.lt.toString(), hash: hashOf(last) });
    }
    expect(paged.map(hashOf)).toEqual(whole.map(hashOf));
    for (const [i, transaction] of whole.entries()) expect(transaction.prevTransactionLt).toBe(whole[i + 1]?.lt ?? 0n);
  });

  it('starts at the named transaction when inclusive, and ends after to_lt', async () => {
    const whole = await all();
    const [, second, third, fourth] = whole;
    const from = { lt: second!.lt.toString(), hash: hashOf(second!), archival: true };
    expect((await chain.client.getTransactions(FRESH, { ...from, limit: 2, inclusive: true })).map(hashOf)).toEqual([second, third].map((tx) => hashOf(tx!)));
    expect((await chain.client.getTransactions(FRESH, { ...from, limit: 50, inclusive: true, to_lt: fourth!.lt.toString() })).map(hashOf)).toEqual([second, third].map((tx) => hashOf(tx!)));
    expect((await chain.client.provider(FRESH).getTransactions(FRESH, second!.lt, second!.hash(), 1)).map(hashOf)).toEqual([hashOf(second!)]);
  });

  it('refuses a start that is not there, a hash alone and huge limits', async () => {
    await expect(chain.client.getTransactions(FRESH, { limit: 1, lt: '12345', hash: Buffer.alloc(32).toString('base64') })).rejects.toThrow('404');
    await expect(ask(chain.endpoint, 'getTransactions', { address: FRESH.toString(), hash: '00'.repeat(32) })).rejects.toThrow('422');
    await expect(chain.client.getTransactions(FRESH, { limit: 1e9 })).rejects.toThrow('422');
    expect(await chain.client.getTransaction(FRESH, (await all())[0]!.lt.toString(), hashOf((await all())[0]!))).not.toBeNull();
  });
});

describe('TonClient.tryLocateResultTx and tryLocateSourceTx', () => {
  it('find both ends of every message, and nothing else', async () => {
    const from = walletV4(chain, 2).contract.address;
    let messages = 0;
    for (const transaction of await chain.client.getTransactions(from, { limit: 100 })) {
      for (const { info } of transaction.outMessages.values()) {
        if (info.type !== 'internal') throw new Error('expected an internal message');
        messages += 1;
        const result = await chain.client.tryLocateResultTx(from, info.dest, info.createdLt.toString());
        expect(result.inMessage?.info).toMatchObject({ type: 'internal', createdLt: info.createdLt });
        expect(result.address).toBe(BigInt(`0x${info.dest.hash.toString('hex')}`));
        expect(hashOf(await chain.client.tryLocateSourceTx(from, info.dest, info.createdLt.toString()))).toBe(hashOf(transaction));
        await expect(chain.client.tryLocateResultTx(chain.faucetAddress, info.dest, info.createdLt.toString())).rejects.toThrow('404');
        await expect(chain.client.tryLocateSourceTx(from, chain.faucetAddress, info.createdLt.toString())).rejects.toThrow('404');
      }
    }
    expect(messages).toBe(4);
    await expect(chain.client.tryLocateResultTx(from, FRESH, '1')).rejects.toThrow('404');
  });
});

describe('TonClient blocks', () => {
  it('every transaction is in the block that its shard lists', async () => {
    const { latestSeqno, initSeqno, workchain } = await chain.client.getMasterchainInfo();
    expect({ initSeqno, workchain }).toEqual({ initSeqno: 0, workchain: -1 });
    const listed: string[] = [];
    for (let seqno = 1; seqno <= latestSeqno; seqno += 1) {
      const shards = await chain.client.getWorkchainShards(seqno);
      expect(shards).toHaveLength(1);
      for (const shard of shards) {
        listed.push(...(await chain.client.getShardTransactions(shard.workchain, shard.seqno, shard.shard)).map(({ account, lt, hash }) => `${account} ${lt} ${hash}`));
      }
    }
    expect(listed).toHaveLength((await chain.admin.status()).transactions);
    for (const transaction of await chain.client.getTransactions(FRESH, { limit: 100 })) expect(listed).toContain(`${FRESH} ${transaction.lt} ${hashOf(transaction)}`);
    const extended = await ask(chain.endpoint, 'getBlockTransactionsExt', { workchain: 0, shard: '-9223372036854775808', seqno: 1, count: 1 });
    expect(extended).toMatchObject({ incomplete: true, transactions: [{ '@type': 'raw.transaction' }] });
    await expect(chain.client.getWorkchainShards(latestSeqno + 1)).rejects.toThrow('404');
  });
});

describe('TonClient.estimateExternalMessageFee', () => {
  it('is what the transaction then costs, to the nanoTON', async () => {
    const wallet = walletV5(chain, 1);
    const { address, init } = wallet.contract;
    const args = { seqno: 1, sendMode: MODE, timeout: START + 60, messages: [internal({ to: FRESH, value: TON, bounce: false })] };
    const unsigned = await wallet.contract.createTransfer({ ...args, secretKey: Buffer.alloc(64) });
    const { source_fees: fees } = await chain.client.estimateExternalMessageFee(address, { body: unsigned, initCode: null, initData: null, ignoreSignature: true });
    await wallet.opened.sendTransfer({ ...args, secretKey: wallet.secretKey });
    const before = await chain.client.getBalance(address);
    await chain.admin.tick();
    const paid = before - TON - await chain.client.getBalance(address);
    expect(BigInt(fees.in_fwd_fee + fees.storage_fee + fees.gas_fee + fees.fwd_fee)).toBe(paid);
    expect(fees.gas_fee).toBeGreaterThan(1_000_000);
    // A wallet that is neither deployed nor funded: its fees are asked for before the money is there.
    const poor = walletV5(chain, 5);
    const body = await poor.contract.createTransfer({ ...args, seqno: 0, secretKey: poor.secretKey });
    const estimate = await chain.client.estimateExternalMessageFee(poor.contract.address, { body, initCode: poor.contract.init.code, initData: poor.contract.init.data, ignoreSignature: false });
    expect(estimate.source_fees.gas_fee).toBeGreaterThan(1_000_000);
    await expect(chain.client.estimateExternalMessageFee(FRESH, { body, initCode: null, initData: null, ignoreSignature: true })).rejects.toThrow('422');
    await expect(chain.client.estimateExternalMessageFee(address, { body: unsigned, initCode: init.code, initData: init.data, ignoreSignature: true })).rejects.toThrow('500');
  });
});

describe('requests without TonClient', () => {
  it('GET answers the reads, POST all', async () => {
    const base = chain.endpoint.replace('jsonRPC', '');
    const get = async (path: string): Promise<unknown> => (await fetch(`${base}${path}`)).json();
    const info = await get(`getAddressInformation?address=${FRESH.toString()}`);
    expect(info).toMatchObject({ ok: true, result: { state: 'uninitialized' } });
    expect(await get(`getAddressBalance?address=${FRESH.toRawString()}`)).toEqual({ ok: true, result: (await chain.client.getBalance(FRESH)).toString() });
    expect(await get(`getAddressState?address=${chain.faucetAddress.toString()}`)).toEqual({ ok: true, result: 'active' });
    expect(await get(`getTransactions?address=${FRESH.toString()}&limit=2&to_lt=0&archival=true`)).toMatchObject({ ok: true, result: [{}, {}] });
    expect(await get('getConsensusBlock')).toMatchObject({ ok: true, result: { timestamp: START } });
    expect(await get('getConfigParam?config_id=19')).toMatchObject({ ok: true });
    expect(await get(`shards?seqno=1`)).toMatchObject({ ok: true });
    expect(await get('sendBoc?boc=AAAA')).toMatchObject({ ok: false, code: 405 });
    expect(await get('nothing')).toMatchObject({ ok: false, code: 404 });
    const posted = await fetch(`${base}runGetMethod`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ address: chain.faucetAddress.toString(), method: 'seqno', stack: [] }) });
    expect(await posted.json()).toMatchObject({ ok: true, result: { exit_code: 0 } });
  });

  it('the configuration names the chain\'s own global id', async () => {
    const { config } = await ask(chain.endpoint, 'getConfigParam', { config_id: 19 }) as { config: { bytes: string } };
    expect(Cell.fromBase64(config.bytes).beginParse().loadInt(32)).toBe(chain.globalId);
  });

  it('sendBocReturnHash: gives the hash by which the transaction is found', async () => {
    const wallet = walletV5(chain, 1);
    const body = await wallet.contract.createTransfer({ seqno: 2, secretKey: wallet.secretKey, timeout: START + 60, sendMode: MODE, messages: [internal({ to: FRESH, value: 1n, bounce: false })] });
    const message = beginCell().store(storeMessage(external({ to: wallet.contract.address, body }))).endCell();
    const answer = await ask(chain.endpoint, 'sendBocReturnHash', { boc: message.toBoc().toString('base64') });
    expect(answer).toMatchObject({ hash: message.hash().toString('base64') });
    // Offered again while it waits: accepted, and executed once.
    await chain.client.sendFile(message.toBoc());
    await chain.admin.tick();
    expect(chain.chain.state.index.byMessage(message.hash().toString('hex'))).toBeDefined();
    expect(await wallet.opened.getSeqno()).toBe(3);
    await expect(chain.client.sendFile(message.toBoc())).rejects.toThrow('500');
  });
});
