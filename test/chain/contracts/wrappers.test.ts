// The wrappers against our compiled contracts in the real TVM: every get method answers what the storage says, every
// message does what its name says.
import { beforeAll, describe, expect, it } from '@jest/globals';
import { beginCell, toNano } from '@ton/core';
import type { Address, Cell, Sender } from '@ton/core';
import { Blockchain } from '@ton/sandbox';
import type { SandboxContract } from '@ton/sandbox';
import { walletDeployment } from '../../../src/chain/addresses.ts';
import type { Params } from '../../../src/chain/cells/params.ts';
import { EMPTY_SETS } from '../../../src/chain/cells/root-storage.ts';
import { STATE } from '../../../src/chain/cells/storage.ts';
import { contractCode } from '../../../src/chain/code.ts';
import { BondContract } from '../../../src/chain/contracts/bond.ts';
import { ClientContract } from '../../../src/chain/contracts/client.ts';
import { ProxyContract } from '../../../src/chain/contracts/proxy.ts';
import { RootContract } from '../../../src/chain/contracts/root.ts';
import { signWalletRequest, transfersRequest, WalletContract } from '../../../src/chain/contracts/wallet.ts';
import { WorkerContract } from '../../../src/chain/contracts/worker.ts';
import { signerOfSeed } from '../../../src/chain/ed25519.ts';
import { signReceipt } from '../../../src/chain/receipt.ts';
import { repack, signPayment } from '../../../src/chain/signed-payment.ts';
import { plain } from '../vectors.ts';

const START = 1_800_000_000;
const GLOBAL_ID = -239;
const proxyKey = signerOfSeed(new Uint8Array(32).fill(1));
const nodeKey = signerOfSeed(new Uint8Array(32).fill(2));
const hash = (n: number): Uint8Array => new Uint8Array(32).fill(n);
let query = 0n;
const send = (ton: string) => ({ valueNano: toNano(ton), queryId: ++query });

interface Party { readonly address: Address; readonly via: Sender; balance(): Promise<bigint> }
let chain: Blockchain;
let owner: Party;
let other: Party;
let params: Params;
let root: SandboxContract<RootContract>;

async function party(name: string): Promise<Party> {
  const treasury = await chain.treasury(name);
  return { address: treasury.address, via: treasury.getSender(), balance: () => treasury.getBalance() };
}

beforeAll(async () => {
  chain = await Blockchain.create();
  chain.now = START;
  owner = await party('owner');
  other = await party('other');
  params = {
    structVersion: 3, paramsVersion: 0, uniqueId: 77, isTest: true, pricePerTokenNano: 20n, workerFeePerTokenNano: 15n,
    promptMultiplier: 10_000, cachedMultiplier: 2_500, completionMultiplier: 40_000, reasoningMultiplier: 35_000,
    proxyDelaySeconds: 86_400, clientDelaySeconds: 3_600, minProxyStakeNano: toNano('2'), minClientStakeNano: toNano('1'),
    proxyCode: contractCode('proxy'), workerCode: contractCode('worker'), clientCode: contractCode('client'),
  };
  root = chain.openContract(RootContract.fromStorage(contractCode('root'), {
    owner: owner.address, version: 0, sets: EMPTY_SETS, params, keyManager: null, verifiedKeys: null,
  }));
  await root.sendDeploy(owner.via, toNano('1'));
}, 60_000);

describe('RootContract', () => {
  it('RootContract: sets of hashes and proxies', async () => {
    const via = owner.via;
    await root.sendAddWorkerHash(via, send('0.05'), hash(1));
    await root.sendAddModelHash(via, send('0.05'), hash(2));
    await root.sendAddProxyHash(via, send('0.05'), hash(3));
    await root.sendAddProxyHash(via, send('0.05'), hash(4));
    await root.sendRegisterProxy(via, send('0.05'), '127.0.0.1:1');
    await root.sendRegisterProxy(via, send('0.05'), '127.0.0.1:2 127.0.0.1:3');
    const valid = await Promise.all([
      root.getWorkerHashIsValid(hash(1)), root.getModelHashIsValid(hash(2)), root.getProxyHashIsValid(hash(3)), root.getWorkerHashIsValid(hash(9)),
    ]);
    expect(valid).toEqual([true, true, true, false]);
    expect(await root.getLastProxySeqno()).toBe(2);
    await root.sendUpdateProxy(via, send('0.05'), 1, '127.0.0.1:9');
    await root.sendUnregisterProxy(via, send('0.05'), 2);
    await root.sendDeleteWorkerHash(via, send('0.05'), hash(1));
    await root.sendDeleteModelHash(via, send('0.05'), hash(2));
    await root.sendDeleteProxyHash(via, send('0.05'), hash(3));
    const config = await root.getConfig();
    expect(config.proxies).toEqual([{ seqno: 1, workers: { host: '127.0.0.1', port: 9 }, clients: { host: '127.0.0.1', port: 9 } }]);
    expect([config.workerHashes.size, config.modelHashes.size, [...config.proxyHashes]]).toEqual([0, 0, ['04'.repeat(32)]]);
    expect(config.version).toBe(11);
    await root.sendReset(via, send('0.05'));
    expect((await root.getConfig()).proxyHashes.size).toBe(0);
  });

  it('RootContract: get methods agree with the storage', async () => {
    const { params: stored, version, owner: its } = await root.getStorage();
    expect(plain(stored)).toEqual(plain(params));
    expect(plain(await root.getData())).toEqual(plain({
      version, lastProxySeqno: 2, paramsVersion: 0, uniqueId: 77, isTest: true, pricePerTokenNano: 20n, workerFeePerTokenNano: 15n,
      minProxyStakeNano: toNano('2'), minClientStakeNano: toNano('1'), owner: its,
    }));
    expect(plain(await root.getCurrentParams())).toEqual(plain({
      paramsVersion: 0, uniqueId: 77, isTest: true, pricePerTokenNano: 20n, workerFeePerTokenNano: 15n, cachedMultiplier: 2_500, reasoningMultiplier: 35_000,
      proxyDelaySeconds: 86_400, clientDelaySeconds: 3_600, minProxyStakeNano: toNano('2'), minClientStakeNano: toNano('1'),
      proxyCodeHash: new Uint8Array(params.proxyCode!.hash()), workerCodeHash: new Uint8Array(params.workerCode!.hash()), clientCodeHash: new Uint8Array(params.clientCode!.hash()),
    }));
  });

  const twice = async (change: () => Promise<unknown>) => {
    await change();
    const announced = (await root.getConfig()).pendingChange;
    chain.now = chain.now! + 86_401;
    await change();
    return announced;
  };

  it('RootContract: prices, params, codes and owner change', async () => {
    const via = owner.via;
    const started = chain.now!;
    expect((await twice(() => root.sendChangePrice(via, send('0.05'), { pricePerTokenNano: 30n, workerFeePerTokenNano: 10n })))?.executeAt).toBeGreaterThan(started);
    expect(await root.getData()).toMatchObject({ pricePerTokenNano: 30n, workerFeePerTokenNano: 10n, paramsVersion: 1 });
    const next = { pricePerTokenNano: 20n, workerFeePerTokenNano: 15n, proxyDelaySeconds: 86_400, clientDelaySeconds: 3_600, minProxyStakeNano: toNano('2'), minClientStakeNano: toNano('1') };
    await twice(() => root.sendChangeParams(via, send('0.05'), next));
    expect(await root.getCurrentParams()).toMatchObject({ ...next, paramsVersion: 2 });
    const { proxyCode, workerCode, clientCode } = params as Params & Record<'proxyCode' | 'workerCode' | 'clientCode', Cell>;
    await twice(() => root.sendReplaceChildCodes(via, send('0.05'), { proxyCode, workerCode, clientCode }));
    expect((await root.getData()).paramsVersion).toBe(3);
    await root.sendChangeOwner(via, send('0.05'), other.address);
    await root.sendChangeOwner(other.via, send('0.05'), other.address);
    expect((await root.getData()).owner.equals(other.address)).toBe(true);
    await root.sendChangeOwner(other.via, send('0.05'), owner.address);
    await root.sendChangeOwner(owner.via, send('0.05'), owner.address);
    expect((await root.getConfig()).owner.equals(owner.address)).toBe(true);
    await twice(() => root.sendReplaceCode(via, send('0.05'), contractCode('root')));
    const { init } = RootContract.fromStorage(contractCode('root'), { ...(await root.getStorage()), version: 500 });
    await twice(() => root.sendReplaceDataAndCode(via, send('0.05'), init!.data, init!.code));
    expect((await root.getData()).version).toBe(500);
    params = (await root.getConfig()).params;
  });
});

describe('ProxyContract, ClientContract, WorkerContract', () => {
  let proxy: SandboxContract<ProxyContract>;
  let client: SandboxContract<ClientContract>;
  let worker: SandboxContract<WorkerContract>;
  beforeAll(async () => {
    proxy = chain.openContract(ProxyContract.fromIdentity({ owner: owner.address, publicKey: proxyKey.publicKey, root: root.address, params }));
    const child = { owner: other.address, proxy: proxy.address, proxyPublicKey: proxyKey.publicKey, params };
    client = chain.openContract(ClientContract.fromIdentity(child));
    worker = chain.openContract(WorkerContract.fromIdentity(child));
    await proxy.sendDeploy(owner.via, toNano('3'));
    await client.sendDeploy(other.via, toNano('0.8'));
    await worker.sendDeploy(other.via, toNano('0.3'));
  });
  const pay = (kind: 'clientCharge' | 'clientGrantRefund' | 'workerPayout' | 'workerLastPayout', tokens: bigint) =>
    signPayment({ kind, tokens, queryId: ++query, contract: kind.startsWith('client') ? client.address : worker.address }, proxy.address, proxyKey);

  it('ProxyContract: stake, and get methods agree with the storage', async () => {
    await proxy.sendIncreaseStake(owner.via, send('5.2'), toNano('5'), owner.address);
    const storage = await proxy.getStorage();
    expect(storage.stakeNano).toBe(toNano('5'));
    expect(storage.poolNano).not.toBeNull();
    const data = await proxy.getData();
    expect(plain(data)).toEqual(plain({
      owner: owner.address, publicKey: proxyKey.publicKey, root: root.address, state: STATE.normal, balanceNano: 0n, stakeNano: toNano('5'), unlockTime: 0,
      pricePerTokenNano: 20n, workerFeePerTokenNano: 15n, minProxyStakeNano: toNano('2'), minClientStakeNano: toNano('1'), paramsVersion: params.paramsVersion,
    }));
    await proxy.sendSaveState(other.via, send('0.01'), { seqno: 1, sessionHash: hash(7) });
  });

  it('ClientContract: deposits, secret, stake, charge and withdrawal', async () => {
    await client.sendTopUp(other.via, send('10.7'), toNano('10'), other.address);
    await client.sendChangeSecretHash(other.via, send('0.5'), hash(0xab), other.address);
    await client.sendRegister(other.via, send('0.5'), 0xfeedn, other.address);
    await client.sendChangeSecretHashAndTopUp(other.via, send('2.7'), toNano('2'), hash(0xcd), other.address);
    await client.sendIncreaseStake(other.via, send('0.5'), toNano('3'), other.address);
    await client.sendSigned(owner.via, toNano('0.5'), repack(pay('clientCharge', 100_000_000n), owner.address));
    const data = await client.getData();
    expect(plain(data)).toEqual(plain({
      owner: other.address, proxy: proxy.address, proxyPublicKey: proxyKey.publicKey, state: STATE.normal, balanceNano: toNano('10'), stakeNano: toNano('3'),
      tokensUsed: 100_000_000n, unlockTime: 0, secretHash: hash(0xcd),
    }));
    const { params: its, fixed, ...counters } = await client.getStorage();
    expect(plain({ ...counters, ...fixed })).toEqual(plain(data));
    expect([its.proxyCode, its.workerCode, its.clientCode]).toEqual([null, null, null]);
    const before = await other.balance();
    await client.sendWithdraw(other.via, send('0.5'), other.address);
    expect(await other.balance() - before).toBeGreaterThan(toNano('6.9'));
    expect((await client.getData()).balanceNano).toBe(toNano('3'));
  });

  it('WorkerContract: register, payout and last payout', async () => {
    await worker.sendRegister(other.via, send('0.5'), other.address);
    const before = await other.balance();
    await worker.sendSigned(owner.via, toNano('0.5'), repack(pay('workerPayout', 50_000_000n), owner.address));
    expect(await other.balance() - before).toBeGreaterThan(toNano('0.7'));
    expect(plain(await worker.getData())).toEqual(plain({
      owner: other.address, proxy: proxy.address, proxyPublicKey: proxyKey.publicKey, state: STATE.normal, tokens: 50_000_000n,
    }));
    await worker.sendSigned(owner.via, toNano('0.5'), repack(pay('workerLastPayout', 60_000_000n), owner.address));
    const { params: _, ...storage } = await worker.getStorage();
    expect(plain(storage)).toEqual(plain(await worker.getData()));
    expect(storage).toMatchObject({ state: STATE.closed, tokens: 60_000_000n });
  });

  it('ClientContract: refund requested, and granted by the proxy', async () => {
    await client.sendRequestRefund(other.via, send('0.5'), other.address);
    expect(await client.getData()).toMatchObject({ state: STATE.closing, unlockTime: chain.now! + 3_600 });
    await client.sendSigned(owner.via, toNano('0.5'), repack(pay('clientGrantRefund', 100_000_000n), owner.address));
    expect(await client.getData()).toMatchObject({ state: STATE.closed, balanceNano: 0n });
  });

  it('ProxyContract: earnings are paid out by request and by text, and the close is completed by the key', async () => {
    const earned = (await proxy.getData()).balanceNano;
    expect(earned).toBe(5n * 60_000_000n);
    await proxy.sendPayoutRequest(other.via, send('0.2'), other.address);
    expect((await proxy.getData()).balanceNano).toBe(0n);
    const withdrawn = await proxy.sendTextWithdraw(owner.via, toNano('0.2'));
    expect(withdrawn.transactions[1]?.description).toMatchObject({ type: 'generic', aborted: false });
    await proxy.sendClose(owner.via, send('0.2'), owner.address);
    expect(await proxy.getData()).toMatchObject({ state: STATE.closing, unlockTime: chain.now! + 86_400 });
    const again = await proxy.sendTextClose(owner.via, toNano('0.2'));
    expect(again.transactions[1]?.description).toMatchObject({ computePhase: { exitCode: 1006 } });
    const refused = await proxy.sendSigned(other.via, toNano('0.2'), signPayment({ kind: 'proxyClose', queryId: 1n, contract: proxy.address }, other.address, proxyKey));
    expect(refused.transactions[1]?.description).toMatchObject({ computePhase: { exitCode: 1006 } });
    chain.now = chain.now! + 86_400;
    await proxy.sendSigned(other.via, toNano('0.2'), signPayment({ kind: 'proxyCompleteClose', queryId: 2n, contract: proxy.address }, other.address, proxyKey));
    expect(await proxy.getData()).toMatchObject({ state: STATE.closed, stakeNano: 0n, balanceNano: 0n });
  });
});

describe('WalletContract', () => {
  it('WalletContract: signed transfers with the key, control by the owner', async () => {
    const code = contractCode('wallet');
    const identity = { owner: owner.address, publicKey: nodeKey.publicKey, subwallet: 7 };
    const wallet = chain.openContract(WalletContract.fromIdentity(code, identity));
    expect(wallet.address.equals(walletDeployment(code, identity).address)).toBe(true);
    await wallet.sendDeploy(owner.via, toNano('10'));
    const head = { subwallet: 7, validUntil: chain.now! + 60, seqno: 0 };
    const transfer = { to: other.address, valueNano: toNano('1'), body: null, init: null };
    const before = await other.balance();
    await wallet.sendExternal(signWalletRequest(transfersRequest(head, [transfer, transfer]), nodeKey));
    expect(await other.balance() - before).toBeGreaterThan(toNano('1.99'));
    expect([await wallet.getSeqno(), Buffer.from(await wallet.getPublicKey()), (await wallet.getOwnerAddress()).toRawString()])
      .toEqual([1, Buffer.from(nodeKey.publicKey), owner.address.toRawString()]);
    await wallet.sendBlock(owner.via, toNano('0.05'));
    expect(await wallet.getStorage()).toMatchObject({ status: 1, seqno: 1, subwallet: 7 });
    await expect(wallet.sendExternal(signWalletRequest(transfersRequest({ ...head, seqno: 1 }, [transfer]), nodeKey))).rejects.toThrow();
    await wallet.sendUnblock(owner.via, toNano('0.05'));
    const inner = beginCell().storeUint(0b011000, 6).storeAddress(other.address).storeCoins(toNano('0.5')).storeUint(0, 107).endCell();
    const sent = await wallet.sendMessage(owner.via, send('0.1'), 1, inner);
    expect(sent.transactions.some((t) => t.inMessage?.info.type === 'internal' && t.inMessage.info.value.coins === toNano('0.5'))).toBe(true);
    await wallet.sendWithdraw(owner.via, toNano('0.05'));
    const { balance } = await chain.getContract(wallet.address);
    expect(balance).toBeLessThan(toNano('0.02'));
  });
});

describe('BondContract', () => {
  const receipt = (n: number, bond: Address) => ({
    globalId: GLOBAL_ID, bond, requestId: hash(1), requestHash: hash(2), responseHash: hash(n), tokens: 5n, time: START,
  });

  it('BondContract: deposit, keys, unbonding and withdrawal', async () => {
    const bond = chain.openContract(BondContract.fromOwner(contractCode('bond'), root.address, owner.address));
    await bond.sendDeploy(owner.via, toNano('0.5'));
    await bond.sendDeposit(other.via, send('5.2'), toNano('5'), other.address);
    await bond.sendAddKey(owner.via, send('0.2'), nodeKey.publicKey, owner.address);
    await bond.sendAddKey(owner.via, send('0.2'), hash(9), owner.address);
    await bond.sendRemoveKey(owner.via, send('0.2'), hash(9), owner.address);
    const ends = chain.now! + 14 * 86_400;
    expect([await bond.getKey(nodeKey.publicKey), await bond.getKey(hash(8)), await bond.getKey(hash(9))]).toEqual(['in use', 'not listed', { endsAt: ends }]);
    const { keys, ...storage } = await bond.getStorage();
    const { unbondDelaySeconds, ...data } = await bond.getData();
    expect(plain(data)).toEqual(plain(storage));
    expect([unbondDelaySeconds, storage.stakeNano]).toEqual([14 * 86_400, toNano('5')]);
    expect(keys).toEqual(new Map([[Buffer.from(nodeKey.publicKey).toString('hex'), 0], ['09'.repeat(32), ends]]));
    await bond.sendUnbond(owner.via, send('0.2'), owner.address);
    expect(await bond.getData()).toMatchObject({ state: 1, unlockTime: ends });
    chain.now = ends;
    await bond.sendWithdraw(owner.via, send('0.2'), owner.address);
    expect(await bond.getData()).toMatchObject({ state: 0, stakeNano: 0n, unlockTime: 0 });
    expect(await bond.getKey(nodeKey.publicKey)).toBe('not listed');
  });

  it('BondContract: two receipts of one request that differ take the stake, two equal ones do not', async () => {
    const bond = chain.openContract(BondContract.fromOwner(contractCode('bond'), root.address, other.address));
    await bond.sendDeploy(other.via, toNano('0.5'));
    await bond.sendDeposit(other.via, send('5.2'), toNano('5'), other.address);
    await bond.sendAddKey(other.via, send('0.2'), nodeKey.publicKey, other.address);
    const [first, second] = [signReceipt(receipt(1, bond.address), nodeKey), signReceipt(receipt(2, bond.address), nodeKey)];
    const refused = await bond.sendSlash(owner.via, send('0.3'), nodeKey.publicKey, [first, first], owner.address);
    expect(refused.transactions[1]?.description).toMatchObject({ computePhase: { exitCode: 1052 } });
    const before = await owner.balance();
    await bond.sendSlash(owner.via, send('0.3'), nodeKey.publicKey, [first, second], owner.address);
    expect((await bond.getData()).stakeNano).toBe(0n);
    // The owner of the root and the reporter are the same account here: all but fees.
    expect(await owner.balance() - before).toBeGreaterThan(toNano('4.9'));
  });
});

describe('errors', () => {
  it('getData, getStorage: an account without contract and one with another contract', async () => {
    const nobody = chain.openContract(new ProxyContract(other.address));
    await expect(nobody.getData()).rejects.toMatchObject({ code: 'E_CHAIN_DATA', message: expect.stringContaining('exit code 11') });
    await expect(nobody.getStorage()).rejects.toMatchObject({ code: 'E_CHAIN_DATA' });
    const empty = chain.openContract(new ClientContract(walletDeployment(contractCode('wallet'), { owner: other.address, publicKey: hash(1), subwallet: 1 }).address));
    await expect(empty.getStorage()).rejects.toMatchObject({ code: 'E_NOT_FOUND', exitCode: 7 });
    const wrongKind = chain.openContract(new WorkerContract(root.address));
    await expect(wrongKind.getStorage()).rejects.toMatchObject({ code: 'E_CHAIN_DATA' });
  });
});
