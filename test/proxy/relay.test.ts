// One request through the proxy with scripted nodes: admission, another node for what fails before its first byte, slots,
// bookings, bounds of what a node may charge.
import { describe, expect, it } from '@jest/globals';
import { InterruptedError, NetworkError, RemoteError } from '../../src/core/errors.ts';
import { silentLog } from '../../src/core/log.ts';
import { NodeRegistry } from '../../src/proxy/nodes.ts';
import { relay } from '../../src/proxy/relay.ts';
import { createChooser } from '../../src/proxy/routing/create-chooser.ts';
import { SealKeys } from '../../src/proxy/sealed-keys.ts';
import { Pending } from '../../src/proxy/settlements.ts';
import { unpaidAccounts } from '../../src/proxy/unpaid-accounts.ts';
import { unpaidAddress } from '../../src/chain/unpaid-address.ts';
import { encodeBoxed } from '../../src/wire/tl/codec.ts';
import type { Accounts } from '../../src/proxy/accounts.ts';
import type { Ask, Chooser, Observation } from '../../src/proxy/routing/chooser.ts';
import type { AnswerSink, FinalInfo, TokensUsed } from '../../src/wire/answer.ts';
import type { ClientLink, ClientRequest } from '../../src/wire/client-acceptor.ts';
import type { RunOutcome, WorkerHello, WorkerLink } from '../../src/wire/worker-acceptor.ts';
import { HEAD, text } from '../fakes/session-ports.ts';

const KEY = new Uint8Array(32).fill(9);
const OWNER = unpaidAddress('test', KEY);
const tokens = (total: bigint, parts: Partial<TokensUsed> = {}): TokensUsed => ({ prompt: 0n, cached: 0n, completion: total, reasoning: 0n, total, ...parts });
const queryOf = (body: string, headers: readonly (readonly [string, string])[] = []): Uint8Array => encodeBoxed({
  _: 'http.request', method: 'POST', url: '/v1/chat/completions', http_version: 'HTTP/1.1', headers: headers.map(([name, value]) => ({ _: 'http.header', name, value })), payload: Buffer.from(body),
});
const QUERY = queryOf('{"max_tokens":100}');
const REQUEST: ClientRequest = {
  id: new Uint8Array(32), model: 'm', query: QUERY, maxCoefficient: 1_000, maxTokens: 100, timeoutMs: 1_000, minConfigVersion: 0, enableDebug: false, publicKey: null,
};
const BODY = `{"content":"${'x'.repeat(200)}"}`;

type Run = WorkerLink['run'];

interface Changes {
  readonly accounts?: Partial<Accounts>;
  readonly request?: Partial<ClientRequest>;
  readonly paymentFails?: boolean;
  readonly signal?: AbortSignal;
  readonly sinkFails?: boolean;
}

async function scripted(runs: Run | readonly Run[], changes: Changes = {}) {
  const nodes = new NodeRegistry();
  const accounts: Accounts = { ...unpaidAccounts({ publicKey: KEY, isTest: true }), ...changes.accounts };
  const payments: bigint[] = [];
  const requestPayment = async ({ requestTokens }: { requestTokens: bigint }): Promise<void> => {
    if (changes.paymentFails === true) throw new Error('gone');
    payments.push(requestTokens);
  };
  const asked: number[] = [];
  const made = [];
  for (const [index, run] of (typeof runs === 'function' ? [runs] : runs).entries()) {
    const link = { state: 'ready', remoteAddress: `n${index}:1`, requestPayment, run: (...args: Parameters<Run>) => { asked.push(index); return run(...args); } };
    const hello: WorkerHello = { ownerAddress: OWNER, model: 'm@c:v', coefficient: 500, proxyCount: 1, maxActiveRequests: 1, version: 5, machineDescription: null };
    const node = nodes.add(hello, link as unknown as WorkerLink, await accounts.worker(OWNER));
    node.enabled = true;
    made.push({ node, link });
  }
  const real = createChooser({ random: () => 0.5, explorationShare: 0 });
  const observed: Observation[] = [];
  const asks: Ask[] = [];
  const chooser: Chooser = {
    // In the order of the script, so that a test says which node comes second.
    choose(ask, candidates, nowMs) {
      asks.push(ask);
      return real.choose(ask, candidates === null ? null : [...candidates].filter(({ id }) => !ask.exclude.has(id)).slice(0, 1), nowMs);
    },
    rank: (...args) => real.rank(...args),
    observed: (event) => { observed.push(event); real.observed(event); },
    explain: (limit) => real.explain(limit), viewFor: (...args) => real.viewFor(...args), reputation: (...args) => real.reputation(...args),
  };
  const seen: unknown[] = [];
  const infos: FinalInfo[] = [];
  const failing = async (): Promise<void> => { if (changes.sinkFails === true) throw new NetworkError('E_CLOSED', 'client left'); };
  const sink: AnswerSink = {
    head: async (head) => { seen.push(['head', head.status, head.headers.map(({ name }) => name)]); },
    part: async (bytes) => { seen.push(Buffer.from(bytes).toString()); await failing(); },
    end: async (info, bytes = new Uint8Array(0)) => { seen.push(`end${Buffer.from(bytes).toString()}`); infos.push(info); },
    fail: async (code, message, info) => { seen.push([code, message]); if (info !== undefined) infos.push(info); },
  };
  const client = await accounts.client(OWNER);
  const link = { remoteAddress: 'x:1', requestPayment } as unknown as ClientLink;
  const pending = new Pending();
  let now = 5_000;
  const deps = { accounts, nodes, chooser, sealKeys: new SealKeys(), pending, canaries: null, clock: { now: () => now }, log: silentLog };
  const error = await relay(deps, client, link, { ...REQUEST, ...changes.request }, sink, changes.signal ?? new AbortController().signal)
    .then(() => null, (thrown: unknown) => thrown);
  await pending.idle();
  const kinds = observed.map((event) => (event.kind === 'failed' ? `failed ${event.failure}` : event.kind === 'metering' ? `metering ${event.honest}` : event.kind));
  return { nodes: made.map(({ node }) => node), seen, infos, payments, error, client, asked, asks, kinds, observed, advance: (ms: number) => { now += ms; } };
}

const outcome = (kind: RunOutcome['kind'], info: FinalInfo | null): RunOutcome => ({ id: new Uint8Array(32), kind, info });
const answering = (used: TokensUsed, body = BODY): Run => async (_, sink) => {
  await sink.head(HEAD);
  await sink.part(text(body));
  const info: FinalInfo = { tokens: used, workerTimes: { startedAt: 1, endedAt: 2 } };
  await sink.end(info);
  return outcome('ended', info);
};
const failing = (code: number, message: string): Run => async (_, sink) => {
  await sink.fail(code, message);
  return outcome('failed', null);
};
const refusing = (status: number, body = 'no'): Run => async (_, sink) => {
  await sink.head({ ...HEAD, status });
  await sink.part(text(body));
  await sink.end({ tokens: tokens(50n) });
  return outcome('ended', { tokens: tokens(50n) });
};
const never: Run = async () => { throw new Error('must not be called'); };
const HEADERS = ['content-type', 'X-Cocoon-Proxy-Start', 'X-Cocoon-Proxy-End'];

describe('relay', () => {
  it('passes the answer on, adds its times, books and tells both sides', async () => {
    const { seen, infos, payments, nodes, error, client, kinds } = await scripted(answering(tokens(7n)));
    expect(error).toBeNull();
    expect(seen).toEqual([['head', 200, HEADERS], BODY, 'end']);
    expect(infos).toEqual([{ tokens: tokens(7n), workerTimes: { startedAt: 1, endedAt: 2 }, proxyTimes: { startedAt: 5, endedAt: 5 } }]);
    expect(payments).toEqual([7n, 7n]);
    expect(client.status().maxTokens).toBe(7n);
    expect(nodes[0]?.running).toBe(0);
    expect(kinds).toEqual(['sent', 'first-token', 'finished', 'metering true']);
  });

  it('the node is told its own price, the whole time of the client, and the client\'s own bytes', async () => {
    let got: Parameters<Run>[0] | undefined;
    await scripted(async (request, ...rest) => {
      got = request;
      return answering(tokens(0n))(request, ...rest);
    });
    expect(got).toMatchObject({ coefficient: 500, timeoutMs: 1_000 });
    expect(got?.query).toBe(QUERY);
  });

  it('the limit that is reserved is written into the request, and the largest multiplier counts', async () => {
    let got: Uint8Array | undefined;
    const reserved: bigint[] = [];
    const query = queryOf('{"n":3}');
    const free = unpaidAccounts({ publicKey: KEY, isTest: true });
    const accounts: Partial<Accounts> = {
      multipliers: () => ({ prompt: 10_000, cached: 1_000, completion: 40_000, reasoning: 20_000 }),
      reserve: (client, amount) => { reserved.push(amount); return free.reserve(client, amount); },
    };
    await scripted(async (request, ...rest) => {
      got = request.query;
      return answering(tokens(0n))(request, ...rest);
    }, { accounts, request: { query, maxCoefficient: 2_000 } });
    const written = '{"n":3,"max_tokens":100,"max_completion_tokens":100}';
    expect(Buffer.from(got ?? []).toString()).toContain(written);
    expect(reserved).toEqual([BigInt((300 + (got?.byteLength ?? 0)) * 2 * 4)]);
  });

  it('a node cannot charge more than was put aside, and loses its good name for it', async () => {
    const { infos, payments, client, kinds } = await scripted(answering(tokens(2n ** 62n, { prompt: 2n ** 62n })));
    const [booked] = payments;
    expect(booked).toBeLessThanOrEqual(BigInt(100 + QUERY.byteLength));
    expect(payments).toEqual([booked, booked]);
    expect(infos[0]?.tokens.total).toBe(booked);
    expect(client.status().maxTokens).toBe(booked);
    expect(kinds).toContain('metering false');
  });

  it('a conversation is the client\'s own, and its header is passed on as it came', async () => {
    let got: Uint8Array | undefined;
    const query = queryOf('{"max_tokens":100,"stream":true}', [['X-Cocoon-Conversation', 'abc']]);
    const { asks } = await scripted(async (request, ...rest) => {
      got = request.query;
      return answering(tokens(0n))(request, ...rest);
    }, { request: { query } });
    expect(asks).toMatchObject([{ affinity: `${OWNER} abc`, streamed: true, promptBytes: 32, maxTokens: 100 }]);
    expect(got).toBe(query);
    expect((await scripted(answering(tokens(0n)))).asks).toMatchObject([{ affinity: null, streamed: false }]);
  });

  it('refused at admission: nothing is reserved, sent or paid', async () => {
    const old = await scripted(never, { request: { minConfigVersion: 1 } });
    expect(old.error).toMatchObject({ remoteCode: 602, remoteMessage: 'active config version is too low' });
    const poor = await scripted(never, { accounts: { reserve: () => { throw new RemoteError(651, 'balance is too low'); } } });
    expect(poor.error).toMatchObject({ remoteCode: 651, remoteMessage: 'balance is too low' });
    expect([poor.nodes[0]?.running, poor.payments, poor.kinds]).toEqual([0, [], ['unsent']]);
    const unknown = await scripted([]);
    expect(unknown.error).toMatchObject({ remoteCode: 621, remoteMessage: 'unknown model m' });
  });

  it('a body without a limit that could be told is answered by the proxy, for nothing', async () => {
    const { seen, infos, error, payments } = await scripted(never, { request: { query: queryOf('{"max_tokens":-1}') } });
    expect([error, payments]).toEqual([null, []]);
    expect(seen).toEqual([['head', 400, ['content-type']], expect.stringMatching(/^end\{"error":\{"message":"invalid value of 'max_tokens'/)]);
    expect(infos[0]?.tokens.total).toBe(0n);
  });
});

describe('relay: failures before the first byte', () => {
  it.each<[string, Run, string]>([
    ['too many queries', failing(602, 'too many active queries'), 'failed busy'],
    ['an engine that fails', failing(601, 'broken'), 'failed error'],
    ['a head and then a failure', async (_, sink) => { await sink.head(HEAD); await sink.fail(602, 'broken'); return outcome('failed', null); }, 'failed error'],
    ['status 500', refusing(500), 'failed error'],
    ['status 503', refusing(503), 'failed busy'],
    ['a link that rejects', async () => { throw new Error('bug'); }, 'failed error'],
  ])('%s: another node answers, unseen by the client', async (_, first, kind) => {
    const { seen, error, asked, payments, kinds, nodes, client } = await scripted([first, answering(tokens(7n))]);
    expect(error).toBeNull();
    expect(seen).toEqual([['head', 200, HEADERS], BODY, 'end']);
    expect(asked).toEqual([0, 1]);
    expect(kinds).toEqual(['sent', kind, 'sent', 'first-token', 'finished', 'metering true']);
    expect(payments.filter((paid) => paid !== 0n)).toEqual([7n, 7n]);
    expect([client.status().maxTokens, ...nodes.map(({ running }) => running)]).toEqual([7n, 0, 0]);
  });

  it('at most three nodes are tried; then the client learns how the last one failed, and pays nothing', async () => {
    const { seen, asked, payments, client } = await scripted([...Array<Run>(3).fill(failing(601, 'broken')), never]);
    expect(asked).toEqual([0, 1, 2]);
    expect(seen).toEqual([[601, 'broken']]);
    expect(new Set(payments)).toEqual(new Set([0n]));
    expect(client.status().maxTokens).toBe(0n);
  });

  it('nobody else is there: an answer with a status of failure is passed on whole, and costs nothing', async () => {
    const { seen, infos, client } = await scripted([refusing(503, '{"error":1}')]);
    expect(seen).toEqual([['head', 503, HEADERS], '{"error":1}', 'end']);
    expect([infos[0]?.tokens.total, client.status().maxTokens]).toEqual([0n, 0n]);
  });

  it.each<[string, Run, unknown]>([
    ['a refusal of the request itself (621)', failing(621, 'unknown option'), [[621, 'unknown option']]],
    ['status 400', refusing(400, 'why'), [['head', 400, HEADERS], 'why', 'end']],
    ['a time-out', failing(652, 'late'), [[652, 'late']]],
  ])('%s is not taken elsewhere and costs nothing', async (_, run, expected) => {
    const { seen, asked, client } = await scripted([run, never]);
    expect([seen, asked, client.status().maxTokens]).toEqual([expected, [0], 0n]);
  });

  it('a client that has left, and a request without time, are not taken elsewhere', async () => {
    const controller = new AbortController();
    const left = await scripted([async (_, sink) => { controller.abort(new InterruptedError('E_INTERRUPTED', 'left')); await sink.fail(651, 'x'); return outcome('cancelled', null); }, never], { signal: controller.signal });
    expect([left.asked, left.kinds.at(-1)]).toEqual([[0], 'failed cancelled']);
    const late = await scripted([failing(601, 'broken'), never], { request: { timeoutMs: 100 } });
    expect(late.asked).toEqual([0]);
  });

  it('the reservation stays one, whatever is tried', async () => {
    let [reserved, settled, released] = [0, 0, 0];
    const status = { signedPayment: null, dbTokens: 0n, maxTokens: 0n };
    const reserve: Accounts['reserve'] = () => {
      reserved += 1;
      return { settle: async () => { settled += 1; return { client: status, worker: status }; }, release: () => { released += 1; } };
    };
    await scripted([failing(601, 'a'), failing(601, 'b'), answering(tokens(1n))], { accounts: { reserve } });
    expect([reserved, settled, released]).toEqual([1, 1, 0]);
    await scripted([failing(601, 'a'), failing(601, 'b')], { accounts: { reserve } });
    expect([reserved, settled, released]).toEqual([2, 1, 1]);
  });

  it('a node that says nothing for ever does not keep the next one waiting for its slot', async () => {
    const slow: Run = async (_, sink) => {
      await sink.fail(601, 'broken');
      await new Promise((resolve) => { setTimeout(resolve, 200); });
      return outcome('failed', null);
    };
    const { seen, nodes } = await scripted([slow, answering(tokens(1n))]);
    expect(seen).toHaveLength(3);
    expect(nodes.map(({ running }) => running)).toEqual([0, 0]);
  });
});

describe('relay: failures after the first byte', () => {
  const cut = (info: FinalInfo | null, body = BODY): Run => async (_, sink) => {
    await sink.head(HEAD);
    await sink.part(text(body));
    await sink.fail(602, 'broken', info ?? undefined);
    return outcome('failed', info);
  };

  it('the client is told at once, no other node is asked, and what was delivered is paid', async () => {
    const { seen, infos, asked, payments } = await scripted([cut({ tokens: tokens(9n) }), never]);
    expect(seen.at(-1)).toEqual([602, 'broken']);
    expect([asked, payments, infos[0]?.tokens.total]).toEqual([[0], [9n, 9n], 9n]);
  });

  it('a node that leaves without a report is paid one token for each text that was delivered', async () => {
    const { infos, payments, kinds } = await scripted(cut(null, '"content":"a" "content":"b" "content":"c"'));
    expect([payments, infos[0]?.tokens.total]).toEqual([[1n, 1n], 1n]); // three, at half the price, cut as the protocol cuts
    expect(kinds).toEqual(['sent', 'first-token', 'failed error']);
  });

  it('a client that leaves pays what the node had used by then, as it confirms', async () => {
    const controller = new AbortController();
    const { infos, payments } = await scripted(async (_, sink) => {
      await sink.head(HEAD);
      await sink.part(text(BODY));
      controller.abort(new InterruptedError('E_INTERRUPTED', 'left'));
      await sink.fail(651, 'left');
      return outcome('cancelled', { tokens: tokens(11n) });
    }, { signal: controller.signal });
    expect([payments, infos.map((info) => info.tokens.total)]).toEqual([[11n, 11n], [11n]]);
  });

  it('a client whose connection takes nothing more pays the same', async () => {
    const { payments } = await scripted(async (_, sink) => {
      await sink.head(HEAD);
      await sink.part(text(BODY)).catch(() => undefined);
      await sink.fail(651, 'left');
      return outcome('cancelled', { tokens: tokens(11n) });
    }, { sinkFails: true });
    expect(payments).toEqual([11n, 11n]);
  });

  it('a booking or a message that fails does not reject: the client has its answer', async () => {
    expect((await scripted(answering(tokens(1n)), { paymentFails: true })).error).toBeNull();
    const reserve: Accounts['reserve'] = () => ({ settle: async () => { throw new Error('disk full'); }, release: () => undefined });
    const { error, seen, payments } = await scripted(answering(tokens(1n)), { accounts: { reserve } });
    expect([error, seen.at(-1), payments]).toEqual([null, 'end', []]);
  });

  it('the answer\'s end does not wait for the booking; the messages about payments do', async () => {
    const events: string[] = [];
    const status = { signedPayment: null, dbTokens: 0n, maxTokens: 0n };
    const reserve: Accounts['reserve'] = () => ({
      settle: async () => { await new Promise((resolve) => { setTimeout(resolve, 50); }); events.push('booked'); return { client: status, worker: status }; }, release: () => undefined,
    });
    const run: Run = async (...args) => {
      const ended = await answering(tokens(1n))(...args);
      events.push('ended');
      return ended;
    };
    const { payments } = await scripted(run, { accounts: { reserve } });
    expect([events, payments]).toEqual([['ended', 'booked'], [1n, 1n]]);
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
