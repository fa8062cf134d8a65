import { Address } from '@ton/core';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createTonAccess } from '../../../src/chain/access/access.ts';
import type { TonAccessOptions } from '../../../src/chain/access/access.ts';
import type { TonAccess } from '../../../src/chain/access/types.ts';
import { FakeChain } from '../../fakes/fake-chain.ts';
import type { EndpointScript, Fault } from '../../fakes/fake-chain.ts';

const TON = 10n ** 9n;
const account = new Address(0, Buffer.alloc(32, 0x33));
const TOO_MANY: Fault = { kind: 'status', status: 429 };
const PAGE: Fault = { kind: 'status', status: 200, body: '<html>welcome</html>' };

let chain: FakeChain;
const opened: TonAccess[] = [];
beforeEach(async () => {
  chain = await FakeChain.create();
  await chain.fund(account, 3n * TON);
});
afterEach(async () => {
  for (const access of opened.splice(0)) await access.close();
  await chain.close();
});

async function access(scripts: EndpointScript[], options: Partial<TonAccessOptions> = {}): Promise<TonAccess> {
  const endpoints = await Promise.all(scripts.map(async (script) => ({ url: (await chain.endpoint(script)).url })));
  const made = createTonAccess({ endpoints, timeoutMs: 1500, requestTimeoutMs: 300, random: () => 0, ...options });
  opened.push(made);
  return made;
}

const always = (fault: Fault): EndpointScript => ({ fault: () => fault });
const first = (count: number, fault: Fault): EndpointScript => ({ fault: (_method, n) => n < count ? fault : undefined });

describe('createTonAccess: configuration', () => {
  it.each([
    ['no endpoint', []],
    ['no URL', [{ url: 'toncenter.com' }]],
    ['another scheme', [{ url: 'ftp://toncenter.com' }]],
    ['plain HTTP to another machine', [{ url: 'http://toncenter.com/api/v2/jsonRPC' }]],
    ['a password in the URL', [{ url: 'https://me:secret@toncenter.com/' }]],
    ['the same twice', [{ url: 'https://toncenter.com/a' }, { url: 'https://toncenter.com/a' }]],
  ])('refuses %s', (_name, endpoints) => {
    const make = (): TonAccess => createTonAccess({ endpoints });
    expect(make).toThrow(expect.objectContaining({ code: 'E_CONFIG', message: expect.not.stringContaining('secret') }));
  });

  it('sends the key to its endpoint and shows it nowhere', async () => {
    const endpoint = await chain.endpoint({ fault: (_method, n) => n >= 1 ? { kind: 'status', status: 403 } : undefined });
    const made = createTonAccess({ endpoints: [{ url: endpoint.url, apiKey: 'k3y-0f-mine' }], timeoutMs: 3000 });
    opened.push(made);
    await made.account(account);
    expect(endpoint.headers[0]?.['x-api-key']).toBe('k3y-0f-mine');
    const error = await made.account(account).then(() => null, (thrown: Error) => thrown);
    const everything = `${JSON.stringify(made.health())} ${String(error)} ${error?.stack} ${JSON.stringify(error)} ${String((error?.cause as Error | undefined)?.stack)}`;
    expect(error).toMatchObject({ code: 'E_CHAIN_UNREACHABLE', hint: expect.stringContaining('API key') });
    expect(everything).not.toContain('k3y-0f-mine');
  });
});

describe('reads', () => {
  it('account: balance, status, newest transaction and time of the block', async () => {
    const state = await (await access([{}])).account(account);
    const [funding] = chain.transactionsOf(account);
    expect(state).toMatchObject({ status: 'uninitialized', balanceNano: 3n * TON, code: null, data: null, time: chain.time });
    expect([state.last?.lt, Buffer.from(state.last?.hash ?? []).toString('hex')]).toEqual([funding?.lt, funding?.hash.toString('hex')]);
  });

  it('account: an address that nobody used', async () => {
    expect(await (await access([{}])).account(new Address(0, Buffer.alloc(32, 1)))).toMatchObject({ status: 'uninitialized', balanceNano: 0n, last: null });
  });

  it('masterchain: newest block and its time', async () => {
    await chain.tick(7);
    expect(await (await access([{}])).masterchain()).toEqual({ seqno: 2, time: chain.time });
  });

  it('runGetMethod: stack, or the exit code of a method that is not there', async () => {
    const made = await access([{}]);
    const treasury = (await chain.sandbox.treasury('faucet')).address;
    expect((await made.runGetMethod(treasury, 'nothing')).exitCode).not.toBe(0);
  });

  it('estimateFee: sums the parts', async () => {
    expect(await (await access([{}])).estimateFee(account, (await import('@ton/core')).Cell.EMPTY)).toEqual({
      importNano: 1_000_000n, storageNano: 1000n, gasNano: 3_000_000n, forwardNano: 500_000n, totalNano: 4_501_000n,
    });
  });

  it('locateResult: the destination\'s transaction, or null', async () => {
    const made = await access([{}]);
    const treasury = (await chain.sandbox.treasury('faucet')).address;
    const info = chain.transactionsOf(account)[0]?.inMessage?.info;
    const createdLt = info?.type === 'internal' ? info.createdLt : 0n;
    expect((await made.locateResult(treasury, account, createdLt))?.inMessage?.info.type).toBe('internal');
    expect(await made.locateResult(treasury, account, 1n)).toBeNull();
  });
});

describe('transactions', () => {
  it('pages back to the wanted logical time, newest first, bound by hashes', async () => {
    for (let i = 0; i < 40; i += 1) await chain.fund(account, 1n);
    const made = await access([{}]);
    const stored = chain.transactionsOf(account);
    const all = await made.transactions(account, { afterLt: 0n });
    expect(all.complete).toBe(true);
    expect(all.transactions.map(({ lt }) => lt)).toEqual(stored.map(({ lt }) => lt).toReversed());
    const some = await made.transactions(account, { afterLt: stored[37]?.lt ?? 0n });
    expect([some.complete, some.transactions.length]).toEqual([true, 3]);
    const limited = await made.transactions(account, { afterLt: 0n, limit: 35 });
    expect([limited.complete, limited.transactions.length]).toEqual([false, 35]);
    const from = await made.transactions(account, { afterLt: 0n, from: { lt: stored[1]?.lt ?? 0n, hash: stored[1]?.hash ?? new Uint8Array() } });
    expect(from.transactions).toHaveLength(2);
  });

  it('refuses a list with a gap, another account\'s transaction, and an empty one', async () => {
    await chain.fund(account, 1n);
    await chain.fund(account, 1n);
    const treasury = (await chain.sandbox.treasury('faucet')).address;
    const lies: EndpointScript['lie'][] = [
      (method, result) => method === 'getTransactions' ? (result as unknown as unknown[]).filter((_each, at) => at !== 1) : undefined,
      (method, result) => method === 'getTransactions' ? (result as unknown as object[]).map((each) => ({ ...each, data: chain.transactionsOf(treasury)[0]?.boc.toString('base64') })) : undefined,
      (method) => method === 'getTransactions' ? [] : undefined,
    ];
    for (const lie of lies) {
      const made = await access([lie === undefined ? {} : { lie }], { timeoutMs: 1_200 });
      await expect(made.transactions(account, { afterLt: 0n })).rejects.toMatchObject({ code: 'E_CHAIN_DATA' });
    }
  });

  it('takes from an honest endpoint what the first one forges', async () => {
    await chain.fund(account, 1n);
    const made = await access([{ lie: (method) => method === 'getTransactions' ? [] : undefined }, {}]);
    expect((await made.transactions(account, { afterLt: 0n })).transactions).toHaveLength(2);
  });
});

describe('fail-over and back-off', () => {
  it.each<[string, Fault]>([
    ['429', TOO_MANY], ['HTTP 500', { kind: 'status', status: 500 }], ['a page instead of JSON', PAGE], ['a broken connection', { kind: 'reset' }],
    ['silence', { kind: 'hang' }], ['an endless answer', { kind: 'endless' }], ['a redirect', { kind: 'status', status: 302, headers: { location: 'http://127.0.0.1:1/' } }],
    ['JSON without a result', { kind: 'status', status: 200, body: '{"ok":true}' }], ['an empty body', { kind: 'status', status: 200 }],
    ['deep nesting', { kind: 'status', status: 200, body: `{"ok":true,"result":${'['.repeat(100_000)}${']'.repeat(100_000)}}` }],
    ['a rounded number', { kind: 'status', status: 200, body: '{"ok":true,"result":{"balance":12345678901234567890}}' }],
  ])('%s: the next endpoint answers, and the first is left alone for a while', async (_name, fault) => {
    const bad = await chain.endpoint(always(fault));
    const good = await chain.endpoint();
    const made = createTonAccess({ endpoints: [{ url: bad.url }, { url: good.url }], timeoutMs: 3000, requestTimeoutMs: 400, maxResponseBytes: 1 << 20 });
    opened.push(made);
    expect((await made.account(account)).balanceNano).toBe(3n * TON);
    expect((await made.account(account)).balanceNano).toBe(3n * TON);
    expect(bad.requests).toHaveLength(1);
    expect(made.health().map(({ status }) => status)).toEqual(['cooling', 'ok']);
  });

  it.each<[string, Fault, string]>([
    ['429', TOO_MANY, 'E_CHAIN_UNREACHABLE'], ['silence', { kind: 'hang' }, 'E_CHAIN_UNREACHABLE'], ['garbage', PAGE, 'E_CHAIN_DATA'],
    ['an endless answer', { kind: 'endless' }, 'E_CHAIN_DATA'],
  ])('only %s everywhere: a typed error within the deadline, naming each endpoint', async (_name, fault, code) => {
    const made = await access([always(fault), always(fault)], { maxResponseBytes: 1 << 16, timeoutMs: 900 });
    const started = performance.now();
    const error = await made.account(account).then(() => null, (thrown: Error) => thrown);
    expect(error).toMatchObject({ code, exitCode: 6 });
    expect(error?.message.match(/http:\/\/127\.0\.0\.1:\d+/g)).toHaveLength(2);
    expect(performance.now() - started).toBeLessThan(5_000);
  });

  it('waits as long as Retry-After says, in seconds or as a date, but no longer than a minute', async () => {
    const { retryAfterMs } = await import('../../../src/chain/access/http-adapter.ts');
    const now = Date.parse('2027-01-01T00:00:00Z');
    expect(retryAfterMs('3', now)).toBe(3000);
    expect(retryAfterMs('Fri, 01 Jan 2027 00:00:05 GMT', now)).toBe(5000);
    expect(retryAfterMs('Fri, 01 Jan 2026 00:00:05 GMT', now)).toBe(0);
    expect(retryAfterMs('86400', now)).toBe(60_000);
    expect([retryAfterMs('soon', now), retryAfterMs(undefined, now), retryAfterMs(['1', '2'], now)]).toEqual([undefined, undefined, undefined]);

    const waits: number[] = [];
    let offset = 0;
    const made = await access([first(1, { kind: 'status', status: 429, headers: { 'retry-after': '2' } })], {
      timeoutMs: 10_000, now: () => Date.now() + offset, sleep: async (ms) => { waits.push(ms); offset += ms; },
    });
    expect((await made.account(account)).balanceNano).toBe(3n * TON);
    expect(waits.reduce((sum, ms) => sum + ms, 0)).toBeGreaterThan(1900);
  });

  it('does not wait for Retry-After beyond the deadline', async () => {
    const made = await access([always({ kind: 'status', status: 429, headers: { 'retry-after': '50' } })], { timeoutMs: 5000 });
    const started = performance.now();
    await expect(made.account(account)).rejects.toMatchObject({ code: 'E_CHAIN_UNREACHABLE', message: expect.stringContaining('limits the rate') });
    expect(performance.now() - started).toBeLessThan(5_000);
  });

  it('backs off longer with every failure and recovers with the first success', async () => {
    const waits: number[] = [];
    let offset = 0;
    const made = await access([first(4, PAGE)], { timeoutMs: 20_000, now: () => Date.now() + offset, sleep: async (ms) => { waits.push(ms); offset += ms; } });
    await made.account(account);
    expect(waits.map((ms) => Math.round(ms / 250))).toEqual([1, 2, 4, 8]);
    expect(made.health()[0]).toMatchObject({ status: 'ok', consecutiveFailures: 0, lastError: expect.stringContaining('not JSON') });
  });

  it('requests that were under way together and fail together are one failure', async () => {
    const made = await access([first(20, TOO_MANY)], { timeoutMs: 60_000, sleep: async () => undefined, now: () => 0 });
    await Promise.all(Array.from({ length: 20 }, () => made.masterchain({ timeoutMs: 100 }).catch(() => undefined)));
    expect(made.health()[0]?.consecutiveFailures).toBe(1);
  });

  it('asks an endpoint that lags last', async () => {
    const late = await chain.endpoint({ lagBlocks: 3 });
    const good = await chain.endpoint();
    const made = createTonAccess({ endpoints: [{ url: late.url }, { url: good.url }] });
    opened.push(made);
    for (let i = 0; i < 4; i += 1) await chain.tick(20);
    await made.account(account, { agreed: true }).catch(() => undefined);
    expect(made.health().map(({ status, lagS }) => [status, lagS])).toEqual([['lagging', 60], ['ok', 0]]);
    const before = late.requests.length;
    await made.account(account);
    expect(late.requests.length).toBe(before);
  });

  it('passes a definite refusal on', async () => {
    const refuse: Fault = { kind: 'status', status: 422, headers: { 'content-type': 'application/json' }, body: '{"ok":false,"error":"invalid \\u001b[31maddress","code":422}' };
    const made = await access([always(refuse), always(refuse)]);
    const started = performance.now();
    await expect(made.account(account)).rejects.toMatchObject({ code: 'E_CHAIN_REFUSED', message: expect.stringContaining('invalid ?[31maddress') });
    expect(performance.now() - started).toBeLessThan(2_000);
  });

  it('stops when the caller aborts', async () => {
    const made = await access([always({ kind: 'hang' })], { timeoutMs: 20_000, requestTimeoutMs: 20_000 });
    await expect(made.account(account, { signal: AbortSignal.timeout(100) })).rejects.toMatchObject({ code: 'E_CLOSED' });
  });
});

describe('agreed reads', () => {
  const richer: EndpointScript = { lie: (method, result) => method === 'getAddressInformation' ? { ...result, balance: '999' } : undefined };

  it('two that agree answer', async () => {
    expect((await (await access([{}, {}])).account(account, { agreed: true })).balanceNano).toBe(3n * TON);
  });

  it('one of two lies: E_CHAIN_DISAGREES at once, with both answers', async () => {
    const made = await access([{}, richer], { timeoutMs: 10_000 });
    const started = performance.now();
    await expect(made.account(account, { agreed: true })).rejects.toMatchObject({
      code: 'E_CHAIN_DISAGREES', exitCode: 6, retryable: true, message: expect.stringMatching(/3000000000 nanoTON.*999 nanoTON/),
    });
    expect(performance.now() - started).toBeLessThan(5_000);
  });

  it.each([0, 1, 2])('one of three lies (endpoint %d): the two others decide', async (liar) => {
    const made = await access([0, 1, 2].map((index) => index === liar ? richer : {}));
    expect((await made.account(account, { agreed: true })).balanceNano).toBe(3n * TON);
  });

  it('one of two lags: waits until it shows the same', async () => {
    const script: EndpointScript = { lagBlocks: 1 };
    const made = await access([{}, script], { timeoutMs: 5000 });
    const reading = made.account(account, { agreed: true });
    await new Promise((resolve) => { setTimeout(resolve, 150); });
    script.lagBlocks = 0;
    expect((await reading).balanceNano).toBe(3n * TON);
  });

  it('one of two lags for good: E_CHAIN_DISAGREES at the deadline', async () => {
    const made = await access([{}, { lagBlocks: 1 }], { timeoutMs: 1_500 });
    await expect(made.account(account, { agreed: true })).rejects.toMatchObject({ code: 'E_CHAIN_DISAGREES' });
  });

  it('one of two is silent: E_CHAIN_UNREACHABLE, not the word of the other', async () => {
    const made = await access([{}, always({ kind: 'reset' })], { timeoutMs: 1_500 });
    await expect(made.account(account, { agreed: true })).rejects.toMatchObject({ code: 'E_CHAIN_UNREACHABLE', message: expect.stringContaining('two must agree') });
    expect((await made.account(account)).balanceNano).toBe(3n * TON);
  });

  it('of equal states takes the older time', async () => {
    const future: EndpointScript = { lie: (method, result) => method === 'getAddressInformation' ? { ...result, sync_utime: Number(result['sync_utime']) + 1000 } : undefined };
    for (const scripts of [[{}, future], [future, {}]]) expect((await (await access(scripts)).account(account, { agreed: true })).time).toBe(chain.time);
  });

  it('a single endpoint is enough when only one is configured', async () => {
    expect((await (await access([richer])).account(account, { agreed: true })).balanceNano).toBe(999n);
  });

  it('runGetMethod: compares exit code and stack', async () => {
    const treasury = (await chain.sandbox.treasury('faucet')).address;
    const made = await access([{}, {}]);
    await made.runGetMethod(treasury, 'nothing', [], { agreed: true });
    const lying = await access([{}, { lie: (method) => method === 'runGetMethod' ? { '@type': 'smc.runResult', gas_used: 1, exit_code: 0, stack: [['num', '0x5']] } : undefined }], { timeoutMs: 6000, requestTimeoutMs: 3000 });
    await expect(lying.runGetMethod(treasury, 'nothing', [], { agreed: true })).rejects.toMatchObject({ code: 'E_CHAIN_DISAGREES', message: expect.stringContaining('exit 0') });
  });
});

describe('sendBoc', () => {
  const boc = async (): Promise<Uint8Array> => {
    const { beginCell, external, storeMessage } = await import('@ton/core');
    return beginCell().store(storeMessage(external({ to: account, body: beginCell().storeUint(1, 8).endCell() }))).endCell().toBoc();
  };
  const refuse: Fault = { kind: 'status', status: 500, headers: { 'content-type': 'application/json' }, body: '{"ok":false,"error":"LITE_SERVER_UNKNOWN: cannot apply external message","code":500}' };

  it('hands it to every endpoint and says who took it', async () => {
    const made = await access([{}, always(TOO_MANY), always(refuse)]);
    const result = await made.sendBoc(await boc());
    expect(result.accepted).toHaveLength(1);
    expect(result.refused).toEqual([expect.stringContaining('cannot apply external message')]);
  });

  it('fails when all refuse, and when none answers', async () => {
    await expect((await access([always(refuse), always(refuse)])).sendBoc(await boc())).rejects.toMatchObject({ code: 'E_CHAIN_REFUSED' });
    await expect((await access([always(TOO_MANY)])).sendBoc(await boc())).rejects.toMatchObject({ code: 'E_CHAIN_UNREACHABLE' });
  });
});
