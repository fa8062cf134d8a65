// The money of nodes, clients and proxies through the command line, on a local chain with two proxies whose keys the test holds:
// claims from the payment book, alone and from two processes at once; a client's close with its loss; a proxy's earnings and close.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Address } from '@ton/core';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createTonAccess } from '../../src/chain/access/access.ts';
import type { TonAccess } from '../../src/chain/access/types.ts';
import { proxyStorage } from '../../src/chain/cells/storage.ts';
import { WorkerContract } from '../../src/chain/contracts/worker.ts';
import { signerOfSeed } from '../../src/chain/ed25519.ts';
import { LOCAL_KDF } from '../../src/chain/keystore/key-file.ts';
import { Keystore } from '../../src/chain/keystore/keystore.ts';
import { secretOfKey } from '../../src/chain/keystore/secret.ts';
import { openHotWallet } from '../../src/chain/hot-wallet.ts';
import { openPaymentBook } from '../../src/chain/payment-book.ts';
import { outboxName } from '../../src/chain/plans/carry-out.ts';
import { PAYOUT_COST_NANO } from '../../src/chain/plans/claims.ts';
import { signPayment } from '../../src/chain/signed-payment.ts';
import { walletV5R1 } from '../../src/chain/wallets/kinds.ts';
import { autoClaim } from '../../src/commands/auto-claim.ts';
import { silentLog } from '../../src/core/log.ts';
import { sleep } from '../../src/core/retry.ts';
import { localChainFacts } from '../../src/localnet/chain.ts';
import { localnetLayout } from '../../src/localnet/layout.ts';
import { main } from '../../src/main.ts';
import { fakeContext } from '../fakes/context.ts';
import { SOURCE_PROGRAM } from '../fakes/source-program.ts';

const TON = 1_000_000_000n;
const FEE = 700n;
const PASSPHRASE = 'correct horse battery staple';

// eslint-disable-next-line typescript/no-explicit-any
type Json = any;
interface Ran { readonly exit: number; readonly data: Json; readonly error: { code: string; message: string } | null; readonly warnings: string[] }

let folder = '';
let home = '';
let passFile = '';
let access: TonAccess;
let operator: Address;
let globalId = 0;
const keys = [signerOfSeed(randomBytes(32)), signerOfSeed(randomBytes(32))] as const;
const proxies: Address[] = [];
const workers: Address[] = [];

async function run(...argv: string[]): Promise<Ran> {
  const captured = fakeContext({ home, self: SOURCE_PROGRAM });
  const exit = await main(['--json', ...argv], captured.context);
  const { data, error, warnings } = JSON.parse(captured.stdout().trimEnd()) as Ran;
  return { exit, data, error, warnings };
}

async function done(...argv: string[]): Promise<Json> {
  const { exit, data, error } = await run(...argv);
  expect({ argv, error, exit }).toEqual({ argv, error: null, exit: 0 });
  return data;
}

const agree = (): string[] => ['--yes', '--passphrase-file', passFile];
const sends = (...argv: string[]): Promise<Json> => done(...argv, ...agree());
const balanceOf = async (account: Address): Promise<bigint> => (await access.account(account)).balanceNano;
const addressOf = async (name: string): Promise<Address> => Address.parseRaw((await done('wallet', 'address', name)).raw);

/** What a node would have written down: counted, and signed by the proxy. */
async function earn(index: 0 | 1, signedTokens: bigint, countedTokens = signedTokens): Promise<void> {
  const [proxy, contract, key] = [proxies[index], workers[index], keys[index]];
  if (proxy === undefined || contract === undefined) throw new Error('no proxy');
  const book = await openPaymentBook(join(home, 'payments', `local_${globalId}`));
  await book.open({ proxy, contract, kind: 'worker', publicKey: key.publicKey, model: 'parrot' });
  await book.counted(contract, { tokens: countedTokens - (book.entry(contract)?.countedTokens ?? 0n) });
  await book.record(contract, signPayment({ kind: 'workerPayout', queryId: signedTokens, tokens: signedTokens, contract }, proxy, key));
  await book.close();
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cocoon-money-'));
  home = join(folder, 'home');
  passFile = join(folder, 'passphrase');
  await writeFile(passFile, `${PASSPHRASE}\n`, { mode: 0o600 });
  await done('localnet', 'start', '--chain-only', '--detach', '--block-ms', '40');
  const facts = await localChainFacts(localnetLayout(home));
  access = createTonAccess({ endpoints: [{ url: facts?.endpoint ?? '' }] });
  globalId = facts?.globalId ?? 0;
  for (const name of ['boss', 'operator', 'carol']) await done('wallet', 'new', name, '--passphrase-file', passFile);
  // Opened by processes of their own too, which take no key of a test's cost.
  const network = { name: 'local', globalId, testOnly: false };
  await new Keystore({ folder: join(home, 'keys') }).import({ label: 'hot', network, passphrase: PASSPHRASE, kdf: LOCAL_KDF, walletOf: (publicKey) => walletV5R1(publicKey, network) }, secretOfKey(randomBytes(32)));
  for (const name of ['boss', 'hot', 'carol']) await done('localnet', 'faucet', name, '100');
  operator = await addressOf('operator');
  await done('config', 'set', 'node.wallet', 'hot');
  await done('config', 'set', 'node.owner', operator.toString({ bounceable: false }));
  await done('config', 'set', 'client.wallet', 'carol');
  await sends('network', 'deploy', '--wallet', 'boss', '--price', '1000', '--worker-fee', String(FEE), '--min-proxy-stake', '1', '--min-client-stake', '3');
  for (const key of keys) {
    const staked = await sends('proxy', 'stake', '1', '--public-key', Buffer.from(key.publicKey).toString('hex'), '--wallet', 'boss');
    const proxy = Address.parseRaw(staked.proxyContract);
    proxies.push(proxy);
    await sends('wallet', 'deposit', '5', '--proxy', proxy.toString());
    const { data } = await access.account(proxy);
    if (data === null) throw new Error('no proxy contract');
    workers.push(WorkerContract.fromIdentity({ owner: operator, proxy, proxyPublicKey: key.publicKey, params: proxyStorage.load(data).params }).address);
  }
}, 120_000);

afterAll(async () => {
  await access?.close();
  await run('localnet', 'stop');
  await rm(folder, { recursive: true, force: true });
});

/** The program as a process of its own. */
function spawned(...argv: string[]): Promise<{ exit: number | null; data: Json }> {
  return new Promise((resolve, reject) => {
    const child = spawn(SOURCE_PROGRAM.command, [...SOURCE_PROGRAM.args, '--json', '--home', home, ...argv], { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => { text += chunk.toString(); });
    child.once('error', reject);
    child.once('close', (exit) => resolve({ exit, data: JSON.parse(text).data }));
  });
}

describe('wallet claim: the payment book against the chain', () => {
  it('nothing is known: exit 0, and says so', async () => {
    expect(await run('wallet', 'claim', ...agree())).toMatchObject({ exit: 0, data: { status: 'nothing', claims: [], transfers: [] } });
    expect(await run('wallet', 'claim', '--proxy', (proxies[0] ?? operator).toString(), ...agree())).toMatchObject({ exit: 7 });
    expect(await run('wallet', 'claim', '--all', '--proxy', operator.toString(), ...agree())).toMatchObject({ exit: 2 });
  });

  it('--dry-run: accrued, signed and claimed apart, fees estimated, nothing sent', async () => {
    await earn(0, 1_000_000n, 1_200_000n);
    await earn(1, 600_000n);
    const before = await balanceOf(await addressOf('hot'));
    const { claims, transfers, paidNano } = await done('wallet', 'claim', '--max-fee-percent', '100', '--dry-run');
    expect(claims).toHaveLength(2);
    expect(claims).toContainEqual(expect.objectContaining({
      proxy: proxies[0]?.toRawString(), accruedNano: '840000000', signedNano: '700000000', claimedNano: '0', toClaimNano: '700000000', owner: operator.toRawString(), model: 'parrot', reason: null,
    }));
    for (const { feesNano, netNano, toClaimNano } of claims) {
      expect(BigInt(feesNano)).toBeGreaterThan(PAYOUT_COST_NANO);
      expect(BigInt(netNano)).toBe(BigInt(toClaimNano) - BigInt(feesNano));
    }
    expect(transfers).toHaveLength(1);
    expect(transfers[0].messages).toHaveLength(4);
    expect(paidNano).toBe('0');
    expect(await balanceOf(await addressOf('hot'))).toBe(before);
  });

  it('--max-fee-percent and --min-amount: what is not worth it is left, with the reason', async () => {
    const dear = await done('wallet', 'claim', '--max-fee-percent', '1', ...agree());
    expect(dear).toMatchObject({ status: 'nothing', transfers: [] });
    expect(dear.claims.map(({ reason }: Json) => reason)).toEqual([expect.stringContaining('more than 1 %'), expect.stringContaining('more than 1 %')]);
    const small = await done('wallet', 'claim', '--max-fee-percent', '100', '--min-amount', '0.5', '--dry-run');
    expect(small.claims.filter(({ toClaimNano }: Json) => toClaimNano !== '0')).toHaveLength(1);
    expect(small.claims.find(({ toClaimNano }: Json) => toClaimNano === '0').reason).toContain('least amount of 0.5');
  });

  it('two processes at once: both payouts are made, in one message, once; the owner gets exactly what was signed', async () => {
    const claim = ['wallet', 'claim', '--max-fee-percent', '100', ...agree()];
    const both = await Promise.all([spawned(...claim), spawned(...claim)]);
    expect(both.map(({ exit }) => exit)).toEqual([0, 0]);
    expect(both.map(({ data }) => data.paidNano).sort()).toEqual(['0', '1120000000']);
    const sent = both.find(({ data }) => data.paidNano !== '0')?.data;
    expect(sent.transfers).toHaveLength(1);
    // The account has no code: what arrives is what the pool paid, less nothing.
    expect(await balanceOf(operator)).toBe((1_000_000n + 600_000n) * FEE);
    const { transactions } = await access.transactions(await addressOf('hot'), { afterLt: 0n });
    expect(transactions.filter(({ inMessage }) => inMessage?.info.type === 'external-in')).toHaveLength(1);
    const again = await done(...claim);
    expect(again).toMatchObject({ status: 'nothing', transfers: [] });
    expect(again.claims.map(({ claimedNano }: Json) => claimedNano).sort()).toEqual(['420000000', '700000000']);
  }, 60_000);

  it('fees are estimated at least as high as they are', async () => {
    await earn(0, 1_500_000n);
    const before = await balanceOf(await addressOf('hot'));
    const { claims } = await done('wallet', 'claim', '--max-fee-percent', '100', '--dry-run');
    const estimatedNano = claims.reduce((sum: bigint, { feesNano }: Json) => sum + BigInt(feesNano), 0n);
    const { paidNano } = await sends('wallet', 'claim', '--max-fee-percent', '100', '--proxy', (proxies[0] ?? operator).toString());
    expect(paidNano).toBe('350000000');
    const spentNano = before - await balanceOf(await addressOf('hot'));
    expect(spentNano).toBeLessThanOrEqual(estimatedNano);
    expect(estimatedNano).toBeLessThan(spentNano * 3n);
  });

  it('node close: exit 12 while a proxy has not signed what was accrued, 0 when nothing is left', async () => {
    await earn(1, 900_000n, 950_000n);
    const left = await run('node', 'close', '--max-fee-percent', '100', ...agree());
    expect(left).toMatchObject({ exit: 12, error: { code: 'E_INCOMPLETE' }, data: { paidNano: '210000000' } });
    expect(left.warnings.join()).toContain('has not signed 0.035 TON');
    await earn(1, 950_000n);
    expect(await run('node', 'close', '--max-fee-percent', '100', ...agree())).toMatchObject({ exit: 0, data: { paidNano: '35000000' } });
  });
});

describe('node start --auto-claim: the rule of a running node', () => {
  it('claims what is above the amount, once, in the order of what is signed', async () => {
    const before = await balanceOf(operator);
    const ending = new AbortController();
    const book = await openPaymentBook(join(home, 'payments', `local_${globalId}`));
    const { signer, entry } = await new Keystore({ folder: join(home, 'keys') }).unlock('hot', PASSPHRASE);
    const wallet = walletV5R1(signer.publicKey, { name: 'local', globalId, testOnly: false });
    const outbox = join(home, 'outbox', outboxName(globalId, wallet.address));
    const hot = openHotWallet({ access, wallet, signer, folder: outbox, pollMs: 50 });
    const root = (await localChainFacts(localnetLayout(home)))?.root;
    if (root === null || root === undefined) throw new Error('no root contract');
    const running = autoClaim({
      hot, outbox, everyMs: 100, log: silentLog, signal: ending.signal,
      source: {
        context: { access, signal: ending.signal, wallet: entry.address }, root, wallet, book, pollMs: 50,
        rules: { proxy: null, minAmountNano: TON / 10n, maxFeePercent: 100, owner: operator },
      },
    });
    await earn(1, 1_000_000n); // 0.035 TON more: below the amount
    await earn(0, 1_700_000n); // 0.14 TON more
    for (const ends = performance.now() + 20_000; await balanceOf(operator) === before && performance.now() < ends;) await sleep(100);
    await earn(0, 1_800_000n); // again 0.07 TON: below
    await sleep(1_000);
    ending.abort();
    await running;
    await hot.close();
    await book.close();
    const gained = await balanceOf(operator) - before;
    // The owner's own account pays rent, a nanoTON in a while.
    expect(gained).toBeLessThanOrEqual(200_000n * FEE);
    expect(gained).toBeGreaterThan(200_000n * FEE - 100n);
  }, 40_000);
});

describe('roles on a network with contracts: what would fail later fails at once', () => {
  const endpoint = async (): Promise<string> => (await localChainFacts(localnetLayout(home)))?.endpoint ?? '';
  const add = async (name: string, root: Address | null): Promise<Json> => done('network', 'add', name, '--endpoint', await endpoint(), '--global-id', String(globalId), ...(root === null ? [] : ['--root', root.toString()]));

  it('no root contract: exit 3; an address without one: exit 6; a wallet without gas: exit 8; an owner that is the hot wallet: exit 3', async () => {
    await add('rootless', null);
    await add('nowhere', new Address(0, Buffer.alloc(32, 7)));
    const root = (await localChainFacts(localnetLayout(home)))?.root ?? null;
    await add('mine', root);
    expect(await run('infer', 'hello', '--network', 'rootless')).toMatchObject({ exit: 3, error: { code: 'E_CONFIG' } });
    expect(await run('infer', 'hello', '--network', 'nowhere')).toMatchObject({ exit: 6, error: { code: 'E_CHAIN_DATA' } });
    await done('wallet', 'new', 'empty', '--passphrase-file', passFile);
    for (const role of ['node', 'proxy']) {
      expect(await run(role, 'start', '--network', 'mine', '--wallet', 'empty', '--passphrase-file', passFile)).toMatchObject({ exit: 8, error: { code: 'E_FUNDS', message: expect.stringContaining('are missing') } });
    }
    const same = await run('proxy', 'start', '--network', 'mine', '--wallet', 'hot', '--owner', 'hot', '--passphrase-file', passFile);
    expect(same).toMatchObject({ exit: 3 });
    expect(['E_CONFIG', 'E_NO_TEE']).toContain(same.error?.code);
  }, 60_000);
});

describe('proxy withdraw', () => {
  it('pays the earnings to the owner, once; nothing to withdraw is no error', async () => {
    const proxy = (proxies[0] ?? operator).toString();
    const sent = await sends('proxy', 'withdraw', '--proxy', proxy, '--wallet', 'boss');
    const boss = (await addressOf('boss')).toRawString();
    const paid = sent.trace.filter(({ from, to }: Json) => from === proxies[0]?.toRawString() && to === boss).map(({ valueNano }: Json) => BigInt(valueNano));
    // A little rent has become due since the plan was made.
    expect(paid.some((nano: bigint) => nano <= BigInt(sent.withdrawnNano) && nano > BigInt(sent.withdrawnNano) - 1000n)).toBe(true);
    // The price is 1000 and the workers had 700; rent is booked against earnings.
    expect(BigInt(sent.withdrawnNano)).toBeLessThanOrEqual(1_700_000n * 300n);
    expect(BigInt(sent.withdrawnNano)).toBeGreaterThan(1_700_000n * 299n);
    expect(await sends('proxy', 'withdraw', '--proxy', proxy, '--wallet', 'boss')).toMatchObject({ status: 'unchanged' });
  });
});

describe('wallet close: a client leaves a proxy with too little stake', () => {
  const close = (...more: string[]): string[] => ['wallet', 'close', '--proxy', (proxies[1] ?? operator).toString(), ...more];

  it('--dry-run: every step with its date', async () => {
    const { status, steps, transfers, time } = await done(...close('--dry-run'));
    expect(status).toBe('withdraw');
    expect(steps).toEqual([{ name: 'withdraw', state: 'next', from: null }, { name: 'request', state: 'later', from: null }, { name: 'claim', state: 'later', from: time + 86_401 }]);
    expect(transfers).toMatchObject([{ step: 'withdraw', status: 'planned' }]);
  });

  it('withdraws first, then refuses to lose money, with the exact sum', async () => {
    const before = await balanceOf(await addressOf('carol'));
    const refused = await run(...close(...agree()));
    expect(refused).toMatchObject({ exit: 8, error: { code: 'E_FUNDS' }, data: { transfers: [{ step: 'withdraw', status: 'confirmed', withdrawnNano: (2n * TON).toString() }] } });
    expect(await balanceOf(await addressOf('carol')) - before).toBeGreaterThan(2n * TON - TON / 20n);
    const loss = /leave (\S+) TON behind/.exec(refused.error?.message ?? '')?.[1] ?? '';
    // 3 TON are claimed from a stake of about 1 TON.
    expect(Number(loss)).toBeGreaterThanOrEqual(2);
    expect(Number(loss)).toBeLessThan(2.01);
    expect(await run(...close('--accept-loss', '1', ...agree()))).toMatchObject({ exit: 2, error: { code: 'E_USAGE' } });
  });

  it('continues where it was: request, wait, claim; what was not paid stays owed', async () => {
    const lossOf = async (): Promise<string> => (/leave (\S+) TON behind/.exec((await run(...close(...agree()))).error?.message ?? '')?.[1] ?? '');
    expect(await sends(...close('--accept-loss', await lossOf()))).toMatchObject({ status: 'waiting', transfers: [{ step: 'request', status: 'confirmed' }] });
    expect(await sends(...close())).toMatchObject({ status: 'waiting', transfers: [] });
    await done('localnet', 'advance', '25h');
    const before = await balanceOf(await addressOf('carol'));
    const claimed = await sends(...close('--accept-loss', await lossOf()));
    expect(claimed).toMatchObject({ status: 'waiting', transfers: [{ step: 'claim', status: 'confirmed' }] });
    const gained = await balanceOf(await addressOf('carol')) - before;
    expect(gained).toBeGreaterThan(TON - TON / 10n);
    expect(gained).toBeLessThan(TON);
    // The owner adds stake, and the rest is paid.
    await sends('proxy', 'stake', '5', '--public-key', Buffer.from(keys[1].publicKey).toString('hex'), '--wallet', 'boss');
    expect(await sends(...close())).toMatchObject({ status: 'closed', lossNano: '0', transfers: [{ step: 'claim', status: 'confirmed' }] });
    expect(await balanceOf(await addressOf('carol')) - before).toBeGreaterThan(3n * TON - TON / 5n);
    expect(await sends(...close())).toMatchObject({ status: 'closed', transfers: [] });
  }, 60_000);
});

describe('proxy close', () => {
  const close = (): string[] => ['proxy', 'close', '--proxy', (proxies[0] ?? operator).toString()];

  it('only the owner may; the request is sent once, and the same command shows how far it is', async () => {
    expect(await run(...close(), '--wallet', 'carol', ...agree())).toMatchObject({ exit: 2, error: { code: 'E_USAGE' } });
    const asked = await sends(...close(), '--wallet', 'boss');
    expect(asked).toMatchObject({ status: 'closing', transfers: [{ step: 'request', status: 'confirmed' }] });
    expect(asked.completeFrom).toBeGreaterThan(asked.time + 172_000);
    expect(asked.steps.map(({ name, state }: Json) => [name, state])).toEqual([['request', 'done'], ['drain', 'next'], ['complete', 'later']]);
    expect(await sends(...close(), '--wallet', 'boss')).toMatchObject({ status: 'closing', transfers: [] });
    const deposit = await run('wallet', 'deposit', '1', '--proxy', (proxies[0] ?? operator).toString(), ...agree());
    expect(deposit).toMatchObject({ exit: 3, error: { code: 'E_CONTRACT_STATE' } });
  });
});
