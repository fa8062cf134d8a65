// One request through the proxy with scripted ends: admission, slots, bookkeeping, bounds of what a node may charge.
import { describe, expect, it } from '@jest/globals';
import { RemoteError } from '../../src/core/errors.ts';
import { silentLog } from '../../src/core/log.ts';
import { boundedTokens } from '../../src/proxy/charge.ts';
import { NodeRegistry } from '../../src/proxy/nodes.ts';
import { relay } from '../../src/proxy/relay.ts';
import { unpaidAccounts } from '../../src/proxy/unpaid-accounts.ts';
import { unpaidAddress } from '../../src/chain/unpaid-address.ts';
import type { Accounts } from '../../src/proxy/accounts.ts';
import type { AnswerSink, FinalInfo, TokensUsed } from '../../src/wire/answer.ts';
import type { ClientLink, ClientRequest } from '../../src/wire/client-acceptor.ts';
import type { RunOutcome, WorkerHello, WorkerLink } from '../../src/wire/worker-acceptor.ts';
import { HEAD, QUERY, text } from '../fakes/session-ports.ts';

const KEY = new Uint8Array(32).fill(9);
const OWNER = unpaidAddress('test', KEY);
const tokens = (total: bigint, parts: Partial<TokensUsed> = {}): TokensUsed => ({ prompt: 0n, cached: 0n, completion: total, reasoning: 0n, total, ...parts });
const REQUEST: ClientRequest = {
  id: new Uint8Array(32), model: 'm', query: QUERY, maxCoefficient: 1_000, maxTokens: 100, timeoutMs: 1_000, minConfigVersion: 0, enableDebug: false, publicKey: null,
};

async function scripted(run: WorkerLink['run'], changes: { accounts?: Partial<Accounts>; request?: Partial<ClientRequest>; paymentFails?: boolean } = {}) {
  const nodes = new NodeRegistry();
  const accounts: Accounts = { ...unpaidAccounts({ publicKey: KEY, isTest: true }), ...changes.accounts };
  const payments: bigint[] = [];
  const requestPayment = async ({ requestTokens }: { requestTokens: bigint }): Promise<void> => {
    if (changes.paymentFails === true) throw new Error('gone');
    payments.push(requestTokens);
  };
  const workerLink = { state: 'ready', run, requestPayment } as unknown as WorkerLink;
  const hello: WorkerHello = { ownerAddress: OWNER, model: 'm@c:v', coefficient: 500, proxyCount: 1, maxActiveRequests: 1, version: 5, machineDescription: null };
  const node = nodes.add(hello, workerLink, await accounts.worker(OWNER));
  node.enabled = true;
  const seen: unknown[] = [];
  const infos: FinalInfo[] = [];
  const sink: AnswerSink = {
    head: async (head) => { seen.push(['head', head.headers.map(({ name }) => name)]); },
    part: async (bytes) => { seen.push(Buffer.from(bytes).toString()); },
    end: async (info) => { seen.push('end'); infos.push(info); },
    fail: async (code, message, info) => { seen.push([code, message]); if (info !== undefined) infos.push(info); },
  };
  const client = await accounts.client(OWNER);
  const link = { remoteAddress: 'x:1', requestPayment } as unknown as ClientLink;
  const error = await relay({ accounts, nodes, clock: { now: () => 5_000 }, log: silentLog }, client, link, { ...REQUEST, ...changes.request }, sink, new AbortController().signal)
    .then(() => null, (thrown: unknown) => thrown);
  return { node, seen, infos, payments, error, client };
}

const answering = (used: TokensUsed): WorkerLink['run'] => async (_, sink): Promise<RunOutcome> => {
  await sink.head(HEAD);
  await sink.part(text('hi'));
  const info: FinalInfo = { tokens: used, workerTimes: { startedAt: 1, endedAt: 2 } };
  await sink.end(info);
  return { id: new Uint8Array(32), kind: 'ended', info };
};

describe('relay', () => {
  it('passes the answer on, adds its times, books and tells both sides', async () => {
    const { seen, infos, payments, node, error, client } = await scripted(answering(tokens(7n)));
    expect(error).toBeNull();
    expect(seen).toEqual([['head', ['content-type', 'X-Cocoon-Proxy-Start', 'X-Cocoon-Proxy-End']], 'hi', 'end']);
    expect(infos).toEqual([{ tokens: tokens(7n), workerTimes: { startedAt: 1, endedAt: 2 }, proxyTimes: { startedAt: 5, endedAt: 5 } }]);
    expect(payments).toEqual([7n, 7n]);
    expect(client.status().maxTokens).toBe(7n);
    expect(node.running).toBe(0);
  });

  it('the node is told its own price and the whole time of the client', async () => {
    let got: Parameters<WorkerLink['run']>[0] | undefined;
    await scripted(async (request, sink) => {
      got = request;
      return answering(tokens(0n))(request, sink, new AbortController().signal);
    });
    expect(got).toMatchObject({ coefficient: 500, timeoutMs: 1_000, query: QUERY });
  });

  it('a node cannot charge more than was put aside', async () => {
    const reserved = BigInt(100 + QUERY.byteLength);
    const { infos, payments, client } = await scripted(answering(tokens(2n ** 62n, { prompt: 2n ** 62n })));
    expect(payments).toEqual([reserved, reserved]);
    expect(infos[0]?.tokens).toEqual({ prompt: reserved, cached: 0n, completion: 0n, reasoning: 0n, total: reserved });
    expect(client.status().maxTokens).toBe(reserved);
  });

  it('boundedTokens: the total is the sum of its parts, and neither is more than reserved', () => {
    const parts = { prompt: 5n, cached: 1n, completion: 8n, reasoning: 2n };
    expect(boundedTokens({ ...parts, total: 16n }, 100n)).toEqual({ ...parts, total: 16n });
    expect(boundedTokens({ ...parts, total: 16n }, 10n)).toEqual({ prompt: 5n, cached: 1n, completion: 4n, reasoning: 0n, total: 10n });
    expect(boundedTokens({ ...parts, total: 3n }, 100n).total).toBe(3n);
    expect(boundedTokens({ prompt: 0n, cached: 0n, completion: 0n, reasoning: 0n, total: 50n }, 100n).total).toBe(0n);
    expect(boundedTokens({ ...parts, total: 2n ** 63n - 1n }, 100n).total).toBe(16n);
  });

  it('refused at admission: nothing is reserved, chosen or paid', async () => {
    const never: WorkerLink['run'] = async () => { throw new Error('must not be called'); };
    const old = await scripted(never, { request: { minConfigVersion: 1 } });
    expect(old.error).toMatchObject({ remoteCode: 602, remoteMessage: 'active config version is too low' });
    const poor = await scripted(never, { accounts: { reserve: () => { throw new RemoteError(651, 'balance is too low'); } } });
    expect(poor.error).toMatchObject({ remoteCode: 651, remoteMessage: 'balance is too low' });
    expect([poor.node.running, poor.payments]).toEqual([0, []]);
  });

  it('a run that rejects frees the slot and the reservation', async () => {
    let released = 0;
    const { node, error } = await scripted(async () => { throw new Error('lost'); }, {
      accounts: { reserve: () => ({ settle: async () => { throw new Error('no'); }, release: () => { released += 1; } }) },
    });
    expect(String(error)).toMatch(/lost/);
    expect([node.running, released]).toEqual([0, 1]);
  });

  it('a failure and a booking that fails do not reject: the client has its answer', async () => {
    const failed = await scripted(async (_, sink) => {
      await sink.fail(601, 'broken');
      return { id: new Uint8Array(32), kind: 'failed', info: null };
    });
    expect([failed.error, failed.seen, failed.payments]).toEqual([null, [[601, 'broken']], [0n, 0n]]);
    expect((await scripted(answering(tokens(1n)), { paymentFails: true })).error).toBeNull();
    const reserve: Accounts['reserve'] = () => ({ settle: async () => { throw new Error('disk full'); }, release: () => undefined });
    expect((await scripted(answering(tokens(1n)), { accounts: { reserve } })).error).toBeNull();
  });
});

describe('unpaidAccounts', () => {
  const accounts = unpaidAccounts({ publicKey: KEY, isTest: true });

  it('checkAddress: texts that are no address are refused with code 0', () => {
    accounts.checkAddress(OWNER);
    for (const wrong of ['', 'x', `${OWNER}A`, '0:00', '\0'.repeat(48)]) expect(() => accounts.checkAddress(wrong)).toThrow(expect.objectContaining({ remoteCode: 0 }));
  });

  it('counts per owner, and the counters stop where the wire ends', async () => {
    const [client, other] = [await accounts.client(OWNER), await accounts.client(unpaidAddress('other', KEY))];
    const worker = await accounts.worker(OWNER);
    await accounts.reserve(client, 1n).settle(worker, tokens(2n ** 63n - 2n));
    await accounts.reserve(client, 1n).settle(worker, tokens(5n));
    expect([client.status().maxTokens, worker.status().maxTokens, other.status().maxTokens]).toEqual([2n ** 63n - 1n, 2n ** 63n - 1n, 0n]);
    expect(worker.compare({ chainTokens: 0n, dbTokens: 0n, maxTokens: 9n }).agreed).toBe(true);
    expect((await accounts.worker(unpaidAddress('third', KEY))).compare({ chainTokens: 0n, dbTokens: 0n, maxTokens: 9n }).agreed).toBe(false);
    expect(client.contractAddress).not.toBe(other.contractAddress);
  });

  it('forgets the oldest of many owners', async () => {
    const many = unpaidAccounts({ publicKey: KEY, isTest: true });
    const worker = await many.worker(OWNER);
    const first = await many.client(unpaidAddress('c0', KEY));
    for (let i = 0; i <= 10_000; i += 1) await many.reserve(i === 0 ? first : { ...first, ownerAddress: `c${i}` }, 1n).settle(worker, tokens(1n));
    expect(first.status().maxTokens).toBe(0n);
  });

  it('a client cannot register where there is no chain', async () => {
    const client = await accounts.client(OWNER);
    await expect(client.authorize({ kind: 'long', nonce: 1n }, new AbortController().signal)).rejects.toMatchObject({ remoteCode: 602 });
    await client.authorize({ kind: 'short', secret: new Uint8Array(0) }, new AbortController().signal);
  });
});
