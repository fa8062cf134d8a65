// The chain through the command line only: a network of one's own from its root contract to a payout, a stake and its return,
// and every coin accounted for; then what goes wrong, each with its exit code. The local chain is a process of its own.
import { mkdtemp, readFile, readdir, rm, writeFile, cp, mkdir, chmod } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Address } from '@ton/core';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createTonAccess } from '../../src/chain/access/access.ts';
import type { TonAccess } from '../../src/chain/access/types.ts';
import { proxyStorage } from '../../src/chain/cells/storage.ts';
import { WorkerContract } from '../../src/chain/contracts/worker.ts';
import { signerOfSeed } from '../../src/chain/ed25519.ts';
import type { LocalChainAdmin } from '../../src/chain/local/admin-client.ts';
import { encodePayment, signPayment } from '../../src/chain/signed-payment.ts';
import { chainAdmin, localChainFacts } from '../../src/localnet/chain.ts';
import { localnetLayout } from '../../src/localnet/layout.ts';
import type { Prompts } from '../../src/core/context.ts';
import { main } from '../../src/main.ts';
import { fakeContext } from '../fakes/context.ts';
import { SOURCE_PROGRAM } from '../fakes/source-program.ts';

const TON = 1_000_000_000n;
const SUPPLY = 10n ** 18n;
const DAY = 86_400;
const PASSPHRASE = 'correct horse battery staple';

// eslint-disable-next-line typescript/no-explicit-any
type Json = any;
interface Ran { readonly exit: number; readonly data: Json; readonly error: { code: string; message: string; hint: string | null } | null; readonly warnings: string[]; readonly stderr: string }

let folder = '';
let home = '';
let passFile = '';
let admin: LocalChainAdmin;
let access: TonAccess;

async function run(argv: readonly string[], options: { home?: string; prompts?: Prompts } = {}): Promise<Ran> {
  const captured = fakeContext({ home: options.home ?? home, self: SOURCE_PROGRAM, ...(options.prompts && { prompts: options.prompts }) });
  const exit = await main(['--json', ...argv], captured.context);
  const [line = '', ...more] = captured.stdout().trimEnd().split('\n');
  expect(more).toEqual([]);
  const { ok, data, error, warnings } = JSON.parse(line) as Ran & { ok: boolean };
  expect(ok).toBe(exit === 0);
  return { exit, data, error, warnings, stderr: captured.stderr() };
}

/** A command that must succeed. */
async function done(...argv: string[]): Promise<Json> {
  const { exit, data, error } = await run(argv);
  expect({ argv, error, exit }).toEqual({ argv, error: null, exit: 0 });
  return data;
}

const pass = (): string[] => ['--passphrase-file', passFile];
const sends = (...argv: string[]): Promise<Json> => done(...argv, '--yes', ...pass());
const balance = async (account: string): Promise<bigint> => BigInt((await done('wallet', 'balance', account)).balanceNano);

/** Sum of the balances of these accounts, and of all fees that their transactions and messages have cost. */
async function bookkeeping(accounts: readonly Address[]): Promise<{ heldNano: bigint; feesNano: bigint }> {
  let [heldNano, feesNano] = [0n, 0n];
  for (const account of accounts) {
    heldNano += (await access.account(account)).balanceNano;
    const { transactions, complete } = await access.transactions(account, { afterLt: 0n, limit: 1_000 });
    expect(complete).toBe(true);
    for (const { totalFees, outMessages } of transactions) {
      feesNano += totalFees.coins;
      for (const { info } of outMessages.values()) if (info.type === 'internal') feesNano += info.forwardFee;
    }
  }
  return { heldNano, feesNano };
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cocoon-chain-'));
  home = join(folder, 'home');
  passFile = join(folder, 'passphrase');
  await writeFile(passFile, `${PASSPHRASE}\n`, { mode: 0o600 });
  await done('localnet', 'start', '--chain-only', '--detach', '--block-ms', '40');
  const layout = localnetLayout(home);
  admin = await chainAdmin(layout);
  const endpoint = (await localChainFacts(layout))?.endpoint ?? '';
  access = createTonAccess({ endpoints: [{ url: endpoint }] });
  for (const name of ['alice', 'bob', 'poor']) await done('wallet', 'new', name, ...pass());
  for (const name of ['alice', 'bob']) await done('localnet', 'faucet', name, '100');
}, 60_000);

afterAll(async () => {
  await access?.close();
  await run(['localnet', 'stop']);
  await rm(folder, { recursive: true, force: true });
});

describe('cocoon: a network on the local chain, through the command line', () => {
  const proxyKey = signerOfSeed(randomBytes(32));
  let root: Address;
  let proxy: Address;
  let client: Address;
  let worker: Address;
  let bond: Address;

  it('network deploy: --dry-run sends nothing, then the root contract is there and remembered', async () => {
    const args = ['network', 'deploy', '--wallet', 'alice', '--price', '1000', '--worker-fee', '700', '--min-proxy-stake', '5'];
    const before = await balance('alice');
    const dry = await done(...args, '--dry-run');
    expect(dry).toMatchObject({ status: 'planned', network: 'local', wallet: 'alice', messages: [{ deploys: true, mode: 1, message: expect.any(String) }] });
    expect(BigInt(dry.feesNano)).toBeGreaterThan(0n);
    expect(await balance('alice')).toBe(before);

    const sent = await sends(...args);
    expect(sent).toMatchObject({ status: 'confirmed', resumed: false });
    root = Address.parseRaw(sent.root);
    expect(sent.root).toBe(dry.root);
    expect(before - await balance('alice') - await balance(sent.root)).toBe(BigInt(sent.totalFeesNano));
    const shown = await done('network', 'show');
    expect(shown).toMatchObject({ root: sent.root, version: 0, params: { pricePerTokenNano: '1000', workerFeePerTokenNano: '700', minProxyStakeNano: (5n * TON).toString(), isTest: true }, pendingChange: null });
    expect((await run(['network', 'deploy', '--wallet', 'alice', '--yes', ...pass()])).exit).toBe(3);
  });

  it('network deploy: params that leave clients no time to claim are refused', async () => {
    await done('network', 'add', 'unsafe', '--endpoint', (await localChainFacts(localnetLayout(home)))?.endpoint ?? '', '--global-id', String((await admin.status()).globalId));
    const { exit, error } = await run(['network', 'deploy', '--network', 'unsafe', '--wallet', 'alice', '--proxy-delay', '1d', '--client-delay', '1d', '--yes', ...pass()]);
    expect({ exit, code: error?.code }).toEqual({ exit: 3, code: 'E_CONFIG' });
    expect(error?.message).toContain('proxy delay exceeds client delay by 0 s');
  });

  it('network allow, revoke, register-proxy, unregister-proxy: change the root contract once', async () => {
    const hash = 'ab'.repeat(32);
    await sends('network', 'allow', 'worker', hash, '--wallet', 'alice');
    expect(await sends('network', 'allow', 'worker', hash, '--wallet', 'alice')).toMatchObject({ status: 'unchanged' });
    await sends('network', 'allow', 'model', Buffer.from(hash, 'hex').toString('base64'), '--wallet', 'alice');
    await sends('network', 'register-proxy', '203.0.113.5:12000', '203.0.113.5:13000', '--wallet', 'alice');
    expect(await done('network', 'show')).toMatchObject({
      version: 3, hashes: { worker: [hash], model: [hash], proxy: [] }, proxies: [{ number: 1, workers: '203.0.113.5:12000', clients: '203.0.113.5:13000' }],
    });
    await sends('network', 'revoke', 'model', hash, '--wallet', 'alice');
    await sends('network', 'unregister-proxy', '1', '--wallet', 'alice');
    expect(await done('network', 'show')).toMatchObject({ version: 5, hashes: { model: [] }, proxies: [] });
    const { exit, error } = await run(['network', 'allow', 'proxy', hash, '--wallet', 'bob', '--yes', ...pass()]);
    expect({ exit, code: error?.code }).toEqual({ exit: 2, code: 'E_USAGE' });
  });

  it('wallet deposit and withdraw: refused before the proxy has stake, then exact', async () => {
    const stake = (amount: string): string[] => ['proxy', 'stake', amount, '--public-key', Buffer.from(proxyKey.publicKey).toString('hex'), '--wallet', 'alice'];
    const first = await sends(...stake('3'));
    proxy = Address.parseRaw(first.proxyContract);
    const deposit = ['wallet', 'deposit', '10', '--proxy', proxy.toString(), '--wallet', 'bob'];
    expect(await run([...deposit, '--yes', ...pass()])).toMatchObject({ exit: 8, error: { code: 'E_FUNDS' } });
    await sends(...stake('4'));

    const deposited = await sends(...deposit);
    client = Address.parseRaw(deposited.clientContract);
    expect(deposited.balanceNano).toBe((10n * TON).toString());
    const before = await balance('bob');
    const withdrawn = await sends('wallet', 'withdraw', '--proxy', proxy.toString(), '--wallet', 'bob');
    expect(withdrawn.withdrawnNano).toBe((9n * TON).toString());
    const got = await balance('bob') - before;
    expect(got).toBeLessThan(9n * TON);
    expect(got).toBeGreaterThanOrEqual(9n * TON - BigInt(withdrawn.totalFeesNano));
    expect(await run(['wallet', 'withdraw', '--proxy', proxy.toString(), '--wallet', 'bob', '--yes', ...pass()])).toMatchObject({ exit: 8 });
  });

  it('wallet claim: delivers a signed payout, deploying the worker contract; pays nothing twice', async () => {
    const { data } = await access.account(proxy);
    if (data === null) throw new Error('no proxy contract');
    const { params } = proxyStorage.load(data);
    const owner = Address.parseRaw((await done('wallet', 'address', 'alice')).raw);
    worker = WorkerContract.fromIdentity({ owner, proxy, proxyPublicKey: proxyKey.publicKey, params }).address;
    const file = join(folder, 'payment');
    const payment = signPayment({ kind: 'workerPayout', queryId: 7n, tokens: 500_000n, contract: worker }, owner, proxyKey);
    await writeFile(file, encodePayment(payment));
    const claim = ['wallet', 'claim', '--payment', file, '--wallet', 'alice'];
    expect(await run([...claim, '--yes', ...pass()])).toMatchObject({ exit: 7, error: { code: 'E_NOT_FOUND' } });
    const forged = join(folder, 'forged');
    await writeFile(forged, Buffer.from(encodePayment({ ...payment, signature: new Uint8Array(64) })).toString('base64'));
    expect(await run(['wallet', 'claim', '--payment', forged, '--proxy', proxy.toString(), '--wallet', 'alice', '--yes', ...pass()])).toMatchObject({ exit: 6, error: { code: 'E_SIGNED_PAYMENT' } });

    const paid = await sends(...claim, '--proxy', proxy.toString());
    // 500000 tokens at 700 nanoTON.
    expect(paid).toMatchObject({ payoutNano: '350000000', tokens: '500000', workerContract: worker.toRawString() });
    expect(paid.trace).toContainEqual(expect.objectContaining({ from: proxy.toRawString(), to: owner.toRawString(), valueNano: '350000000', status: 'delivered' }));
    expect(await run([...claim, '--yes', ...pass()])).toMatchObject({ exit: 3, error: { code: 'E_CONTRACT_STATE' } });
  });

  it('stake: added, listed, unbonded, too early, withdrawn after its delay', async () => {
    const key = '11'.repeat(32);
    const added = await sends('stake', 'add', '7.5', '--receipt-key', key, '--wallet', 'alice');
    bond = Address.parseRaw(added.bond);
    expect(await done('stake', 'status', 'alice')).toMatchObject({ state: 'bonded', stakeNano: '7500000000', receiptKeys: [{ key, inUse: true, endsAt: null }] });
    expect(await sends('stake', 'remove', '--wallet', 'alice')).toMatchObject({ step: 'unbond' });
    expect(await run(['stake', 'remove', '--wallet', 'alice', '--yes', ...pass()])).toMatchObject({ exit: 3, error: { code: 'E_TOO_EARLY' } });
    expect(await done('localnet', 'advance', '14d')).toMatchObject({ advancedSeconds: 14 * DAY });
    const before = await balance('alice');
    const removed = await sends('stake', 'remove', '--wallet', 'alice');
    expect(removed.trace).toContainEqual(expect.objectContaining({ from: bond.toRawString(), valueNano: '7500000000' }));
    expect(await balance('alice') - before).toBeGreaterThan(7n * TON);
    expect(await done('stake', 'status', 'alice')).toMatchObject({ state: 'bonded', stakeNano: '0', receiptKeys: [] });
  });

  it('network price: the first call announces, the same call after a day executes', async () => {
    const change = ['network', 'price', '3000', '2000', '--wallet', 'alice'];
    expect(await sends(...change)).toMatchObject({ step: 'announce' });
    expect(await done('network', 'show')).toMatchObject({ params: { pricePerTokenNano: '1000' }, pendingChange: { digest: expect.any(String) } });
    expect(await run([...change, '--yes', ...pass()])).toMatchObject({ exit: 3, error: { code: 'E_TOO_EARLY' } });
    await done('localnet', 'advance', '25h');
    expect(await sends(...change)).toMatchObject({ step: 'execute' });
    expect(await done('network', 'show')).toMatchObject({ params: { pricePerTokenNano: '3000', paramsVersion: 1 }, pendingChange: null });
    expect(await run(['network', 'params', '--worker-fee', '4000', '--wallet', 'alice', '--yes', ...pass()])).toMatchObject({ exit: 3, error: { code: 'E_CONFIG' } });
  });

  it('all balances and all fees: add up to what there was, to the last nanoTON', async () => {
    const { faucet } = await admin.status();
    const wallets = await Promise.all(['alice', 'bob'].map(async (name) => Address.parseRaw((await done('wallet', 'address', name)).raw)));
    const { heldNano, feesNano } = await bookkeeping([Address.parseRaw(faucet), ...wallets, root, proxy, client, worker, bond]);
    expect(feesNano).toBeGreaterThan(0n);
    expect(heldNano + feesNano).toBe(SUPPLY);
  });
});

describe('cocoon: what goes wrong on the chain, each with its exit code', () => {
  const transfer = (amount: string, ...more: string[]): string[] => ['wallet', 'send', 'bob', amount, '--wallet', 'alice', ...more];

  it('wallet send: what two wallets lose is exactly the fees that are reported', async () => {
    const before = await balance('alice') + await balance('bob');
    const { totalFeesNano } = await sends(...transfer('1.5', '--comment', 'thanks'));
    expect(before - await balance('alice') - await balance('bob')).toBe(BigInt(totalFeesNano));
    const { transactions } = await done('wallet', 'history', 'bob', '--limit', '1');
    expect(transactions).toMatchObject([{ incoming: { valueNano: '1500000000', what: 'thanks' }, problem: null }]);
  });

  it('wrong passphrase: exit 4; no terminal and no --yes: exit 2; a no at the terminal: exit 130; nothing is sent', async () => {
    const before = await balance('bob');
    const wrong = join(folder, 'wrong');
    await writeFile(wrong, 'not the passphrase\n', { mode: 0o600 });
    expect(await run([...transfer('1'), '--yes', '--passphrase-file', wrong])).toMatchObject({ exit: 4, error: { code: 'E_PASSPHRASE' } });
    expect(await run([...transfer('1'), ...pass()])).toMatchObject({ exit: 2, error: { code: 'E_NO_TERMINAL' } });
    expect(await run([...transfer('1'), '--yes'])).toMatchObject({ exit: 2, error: { code: 'E_NO_TERMINAL' } });
    const prompts: Prompts = { secret: async () => PASSPHRASE, confirm: async () => false };
    expect(await run(transfer('1'), { prompts })).toMatchObject({ exit: 130, error: { code: 'E_INTERRUPTED' } });
    expect(await balance('bob')).toBe(before);
    expect(await run(transfer('1'), { prompts: { ...prompts, confirm: async () => true } })).toMatchObject({ exit: 0 });
  });

  it('damaged keystore: exit 4, and a backup brings the key back', async () => {
    const other = join(folder, 'other-home');
    await cp(join(home, 'localnet', 'chain-state.json'), join(other, 'localnet', 'chain-state.json'));
    const backup = join(folder, 'alice.backup');
    await done('wallet', 'export', 'alice', '--backup', backup, ...pass());
    expect(await run(['wallet', 'import', '--backup', backup, ...pass()], { home: other })).toMatchObject({ exit: 0, data: { name: 'alice' } });
    const file = join(other, 'keys', 'alice.json');
    const text = await readFile(file, 'utf8');
    await writeFile(file, text.replace(/"createdAt": "2/, '"createdAt": "3'));
    expect(await run(['wallet', 'export', 'alice', '--show-secret', ...pass()], { home: other })).toMatchObject({ exit: 4, error: { code: 'E_KEYSTORE' } });
    expect(await run(['wallet', 'list'], { home: other })).toMatchObject({ exit: 0, data: { wallets: [], damaged: [{ path: file }] } });
    await rm(file);
    expect(await run(['wallet', 'import', '--backup', backup, ...pass()], { home: other })).toMatchObject({ exit: 0 });
    const [exported, original] = [await run(['wallet', 'export', 'alice', '--show-secret', ...pass()], { home: other }), await run(['wallet', 'export', 'alice', '--show-secret', ...pass()])];
    expect(exported.data.secret.text.split(' ')).toHaveLength(24);
    expect(exported.data.secret).toEqual(original.data.secret);
  });

  it('too little TON: exit 8; the message says how much is missing', async () => {
    expect(await run([...transfer('100000'), '--yes', ...pass()])).toMatchObject({ exit: 8, error: { code: 'E_FUNDS', message: expect.stringContaining('are missing') } });
    expect(await run(['wallet', 'send', 'bob', '1', '--wallet', 'poor', '--yes', ...pass()])).toMatchObject({ exit: 8 });
  });

  it('addresses: no address exit 2, a contract that is not there exit 7, mainnet address on testnet exit 2, unknown wallet exit 7', async () => {
    const nobody = new Address(0, Buffer.alloc(32, 9));
    expect(await run([...transfer('1').map((word) => word === 'bob' ? 'EQnonsense' : word), '--yes', ...pass()])).toMatchObject({ exit: 2, error: { code: 'E_ADDRESS' } });
    expect(await run(['wallet', 'send', nobody.toString(), '1', '--wallet', 'alice', '--yes', ...pass()])).toMatchObject({ exit: 7, error: { code: 'E_NOT_FOUND' } });
    expect(await run(['wallet', 'send', nobody.toString(), '1', '--network', 'testnet', '--yes', ...pass()])).toMatchObject({ exit: 2, error: { code: 'E_WRONG_NETWORK' } });
    expect(await run(['wallet', 'send', 'alice', '1', '--network', 'mainnet', '--yes', ...pass()])).toMatchObject({ exit: 2, error: { code: 'E_WRONG_NETWORK' } });
    expect(await run(['wallet', 'balance', 'nobody'])).toMatchObject({ exit: 7, error: { code: 'E_NOT_FOUND' } });
    expect(await run(['wallet', 'deposit', '1', '--proxy', nobody.toString(), '--wallet', 'alice', '--yes', ...pass()])).toMatchObject({ exit: 7 });
  });

  it('two processes with the same wallet file: both transfers are made, one after the other', async () => {
    const before = await balance('bob');
    const [first, second] = await Promise.all([run([...transfer('0.25'), '--yes', ...pass()]), run([...transfer('0.25'), '--yes', ...pass()])]);
    expect([first?.exit, second?.exit]).toEqual([0, 0]);
    expect(await balance('bob') - before).toBeGreaterThan(TON / 2n - TON / 1000n);
  });

  it('seqno race between two machines with the same key: one transfer is made, the other ends with exit 9', async () => {
    const other = join(folder, 'other-home');
    await mkdir(join(other, 'localnet'), { recursive: true });
    for (const name of ['chain.json', 'chain-state.json']) await cp(join(home, 'localnet', name), join(other, 'localnet', name));
    await cp(join(home, 'keys', 'bob.json'), join(other, 'keys', 'bob.json'));
    await admin.addFault({ kind: 'late', blocks: 100, count: 2 });
    const before = await balance('bob');
    const [here, there] = await Promise.all([run([...transfer('0.5'), '--yes', ...pass()]), run([...transfer('0.75'), '--yes', ...pass()], { home: other })]);
    await admin.clearFaults();
    expect([here?.exit, there?.exit].sort()).toEqual([0, 9]);
    expect([here, there].find((ran) => ran?.exit === 9)?.error).toMatchObject({ code: 'E_TX_FAILED', message: expect.stringContaining('another message of this wallet used sequence number') });
    const gainedNano = await balance('bob') - before;
    expect(gainedNano).toBeGreaterThan((here?.exit === 0 ? TON / 2n : TON * 3n / 4n) - TON / 1000n);
    expect(gainedNano).toBeLessThanOrEqual(TON * 3n / 4n);
  });

  it('not confirmed in time: exit 9; the same command again goes on with it and makes no second transfer', async () => {
    const before = await balance('bob');
    await admin.addFault({ kind: 'drop' });
    const first = await run([...transfer('0.125', '--timeout', '1500ms'), '--yes', ...pass()]);
    expect(first).toMatchObject({ exit: 9, error: { code: 'E_UNCONFIRMED' } });
    expect((await done('wallet', 'history', 'alice')).pending).toHaveLength(1);
    await admin.clearFaults();
    expect(await sends(...transfer('0.125'))).toMatchObject({ status: 'confirmed', resumed: true });
    expect((await done('wallet', 'history', 'alice')).pending).toEqual([]);
    const gainedNano = await balance('bob') - before;
    expect(gainedNano).toBeLessThanOrEqual(TON / 8n);
    expect(gainedNano).toBeGreaterThan(TON / 8n - TON / 1000n);
  });

  it('messages not seen to arrive: exit 9; the same command again follows them and makes no second transfer', async () => {
    const before = await balance('bob');
    await admin.addFault({ kind: 'down', methods: ['tryLocateResultTx'] });
    const first = await run([...transfer('0.375', '--timeout', '4s'), '--yes', ...pass()]);
    expect(first).toMatchObject({ exit: 9, error: { code: 'E_UNCONFIRMED' }, data: { status: 'confirmed', trace: [] } });
    await admin.clearFaults();
    const second = await sends(...transfer('0.375'));
    expect(second).toMatchObject({ status: 'confirmed', resumed: true, transaction: first.data.transaction, trace: [{ status: 'delivered' }] });
    expect(await balance('bob') - before).toBeLessThanOrEqual(TON * 3n / 8n);
    // That one has ended: now the same words mean another transfer.
    expect(await sends(...transfer('0.375'))).toMatchObject({ resumed: false });
  });

  it('a contract that refuses: exit 9 with its reason, and the value is back', async () => {
    const { root } = await done('network', 'show');
    const both = async (): Promise<bigint> => await balance('bob') + await balance(root);
    const before = await both();
    const refused = await run(['wallet', 'send', Address.parse(root).toString(), '1', '--comment', 'hello', '--wallet', 'bob', '--yes', ...pass()]);
    expect(refused).toMatchObject({ exit: 9, error: { code: 'E_TX_FAILED', message: expect.stringContaining('refused the message') } });
    expect(before - await both()).toBe(BigInt(refused.data.totalFeesNano));
  });

  it('network deploy: an interrupted one is found again, not made again', async () => {
    const state = join(home, 'localnet', 'chain-state.json');
    const text = await readFile(state, 'utf8');
    const { root } = JSON.parse(text) as { root: string };
    await writeFile(state, text.replace(`"${root}"`, 'null'));
    expect(await run(['network', 'show'])).toMatchObject({ exit: 3, error: { code: 'E_CONFIG' } });
    const args = ['network', 'deploy', '--wallet', 'alice', '--price', '1000', '--worker-fee', '700', '--min-proxy-stake', '5', '--yes', ...pass()];
    expect(await done(...args)).toMatchObject({ status: 'unchanged', root });
    expect(await done('network', 'show')).toMatchObject({ root });
  });

  it('--id: the same id again makes no second transfer, another transfer under it is refused', async () => {
    const before = await balance('bob');
    const once = await sends(...transfer('0.1', '--id', 'invoice-1'));
    const again = await sends(...transfer('0.1', '--id', 'invoice-1'));
    expect(again).toMatchObject({ resumed: true, transaction: once.transaction });
    expect(await balance('bob') - before).toBeLessThanOrEqual(TON / 10n);
    expect(await run([...transfer('0.2', '--id', 'invoice-1'), '--yes', ...pass()])).toMatchObject({ exit: 2, error: { code: 'E_USAGE' } });
  });

  it('watch-only: a transaction to sign elsewhere, as a link or a file; nothing is sent', async () => {
    const { raw } = await done('wallet', 'address', 'alice');
    await done('wallet', 'import', 'cold', '--watch', raw);
    const link = await done('wallet', 'send', 'bob', '1', '--wallet', 'cold');
    expect(link).toMatchObject({ status: 'unsigned', feesNano: null, link: expect.stringMatching(/^ton:\/\/transfer\/[\w-]{48}\?amount=1000000000&exp=\d+$/) });
    const file = join(folder, 'unsigned.json');
    await done('wallet', 'send', 'bob', '2', '--wallet', 'alice', '--unsigned', file);
    expect(JSON.parse(await readFile(file, 'utf8'))).toMatchObject({ schema: 'cocoon.unsigned/1', messages: [{ amountNano: '2000000000' }] });
  });

  it('cocoon wallet: needs more than 2 TON, and sends for its cold owner', async () => {
    const { raw } = await done('wallet', 'address', 'alice');
    await done('wallet', 'new', 'hot', '--kind', 'cocoon', '--owner', raw, ...pass());
    await done('localnet', 'faucet', 'hot', '1.5');
    const send = ['wallet', 'send', 'bob', '0.1', '--wallet', 'hot'];
    expect(await run([...send, '--yes', ...pass()])).toMatchObject({ exit: 8, error: { message: expect.stringContaining('2 TON') } });
    await done('localnet', 'faucet', 'hot', '3');
    expect(await sends(...send)).toMatchObject({ status: 'confirmed' });
  });

  it('secrets: in no output without --show-secret, and key files only readable by their owner', async () => {
    const plain = await run(['wallet', 'new', 'quiet', ...pass()]);
    expect(JSON.stringify(plain)).not.toMatch(/secret/);
    const shown = await run(['wallet', 'new', 'loud', '--show-secret', ...pass()]);
    expect(shown.data.secret.text.split(' ')).toHaveLength(24);
    const words = join(folder, 'words');
    await writeFile(words, shown.data.secret.text, { mode: 0o600 });
    expect(await done('wallet', 'import', 'copy', '--secret-file', words, ...pass())).toMatchObject({ raw: shown.data.raw });
    await chmod(words, 0o644);
    expect(await run(['wallet', 'import', 'leaky', '--secret-file', words, ...pass()])).toMatchObject({ exit: 3, error: { code: 'E_STATE' } });
    expect((await readdir(join(home, 'keys'))).filter((name) => name.endsWith('.json'))).toContain('copy.json');
  });

  it('endpoint down: exit 6; local chain stopped: exit 11, started again: everything is still there', async () => {
    await done('network', 'add', 'nowhere', '--endpoint', 'http://127.0.0.1:9/api/v2/jsonRPC', '--global-id', String((await admin.status()).globalId));
    expect(await run(['wallet', 'balance', 'alice', '--network', 'nowhere', '--timeout', '1s'])).toMatchObject({ exit: 6, error: { code: 'E_CHAIN_UNREACHABLE' } });
    const before = await balance('alice');
    await done('localnet', 'stop');
    expect(await run(['wallet', 'balance', 'alice'])).toMatchObject({ exit: 11, error: { code: 'E_NOT_RUNNING' } });
    expect(await run(['localnet', 'status'])).toMatchObject({ exit: 11 });
    await done('localnet', 'start', '--chain-only', '--detach', '--block-ms', '40');
    expect(await run(['localnet', 'status'])).toMatchObject({ exit: 0 });
    expect(await balance('alice')).toBe(before);
    expect((await done('network', 'show')).version).toBe(6);
  });
});
