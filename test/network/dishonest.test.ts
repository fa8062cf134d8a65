// Peers that cheat about money, over whole sessions. Each test's name says what the honest side loses at most.
import { afterEach, describe, expect, it } from '@jest/globals';
import { unpaidAddress } from '../../src/chain/unpaid-address.ts';
import { balanceAccounts } from '../fakes/balance-accounts.ts';
import { chatQuery, end, failure, hang, head, hostileClient, hostileNode, id, part, request, streamOf } from '../fakes/hostile.ts';
import { ask, startTestNetwork, until } from '../fakes/network.ts';
import { text } from '../fakes/session-ports.ts';
import type { BalanceAccounts, BalanceOptions } from '../fakes/balance-accounts.ts';
import type { HostileNodeOptions } from '../fakes/hostile.ts';
import type { TestNodeOptions, TestNetwork } from '../fakes/network.ts';
import type { Connection, TlPacket } from '../../src/wire/connection.ts';
import type { WorkerRequest } from '../../src/wire/worker-session.ts';

let network: TestNetwork;
let money: BalanceAccounts;
afterEach(() => network.close());

/** A network whose accounts are kept; `network` and `money` are it. */
async function paidNetwork(nodes: readonly TestNodeOptions[] = [], options: Omit<BalanceOptions, 'publicKey'> = {}): Promise<void> {
  network = await startTestNetwork({ nodes: [], proxy: { accounts: (publicKey) => money = balanceAccounts({ publicKey, ...options }) } });
  for (const node of nodes) await network.startNode(node);
}

/** A node that answers every request with these packets and then says nothing more. */
const node = (packets: (asked: WorkerRequest) => readonly TlPacket[], options: HostileNodeOptions = {}): Promise<Connection> => hostileNode(network, async (asked, connection) => {
  for (const packet of packets(asked)) await connection.send(packet);
  return hang();
}, options);

/** What the one request that was booked cost; nothing is put aside any more. */
async function booked(): Promise<bigint> {
  await until(() => money.bookings.length === 1 && money.reserved === 0n);
  return money.bookings[0]?.tokens.total ?? -1n;
}

const asked = { model: 'evil', prompt: 'hello there', maxTokens: 10 };
const PRICE = { maxCoefficient: 1_000 };
const ANSWER = streamOf(['a', 'b'], { prompt: 20, completion: 2 });

describe('network: dishonest nodes', () => {
  it('over-reports: the client pays at most what the answer itself shows, and the node is trusted less', async () => {
    await paidNetwork();
    await node(({ id: own }) => [head(own), part(own, text(ANSWER)), end(own, { prompt: 60n, completion: 10n })]);
    const client = await network.connect();
    const { answer } = await ask(client, asked, PRICE);
    expect(answer?.charged.total).toBe(22n);
    expect(await booked()).toBe(22n);
    const before = network.proxy.explain(1)[0]?.chosen?.reputation ?? 0;
    await ask(client, asked, PRICE);
    expect(network.proxy.explain(1)[0]?.chosen?.reputation).toBeLessThan(before);
    expect((await client.session.updatePaymentStatus()).maxTokens).toBe(44n);
  });

  it('over-reports beyond everything, total and parts apart: the client pays at most its reservation', async () => {
    await paidNetwork();
    const without = streamOf(['a', 'b']).replace('data: [DONE]\n\n', `data: {"choices":[],"usage":{"prompt_tokens":${2 ** 50},"completion_tokens":1}}\n\ndata: [DONE]\n\n`);
    await node(({ id: own }) => [head(own), part(own, text(without)), end(own, { prompt: 2n ** 62n, completion: 2n ** 61n, total: 2n ** 63n - 1n })]);
    await ask(await network.connect(), asked, PRICE);
    const total = await booked();
    expect(total).toBeLessThanOrEqual(money.bookings[0]?.reserved ?? 0n);
    expect(total).toBeGreaterThan(0n);
  });

  it('under-delivers, nothing at all: the client pays nothing', async () => {
    await paidNetwork();
    await node(({ id: own }) => [head(own), end(own, { prompt: 20n, completion: 10n })]);
    const { error } = await ask(await network.connect(), asked, PRICE);
    expect(error).toMatchObject({ code: 'E_CLOSED' });
    await until(() => money.reserved === 0n);
    expect(money.bookings).toEqual([]);
  });

  it('under-delivers, a status of failure with a bill: the client pays nothing', async () => {
    await paidNetwork();
    await node(({ id: own }) => [head(own, 500), part(own, text('{}')), end(own, { prompt: 20n, completion: 10n })]);
    expect((await ask(await network.connect(), asked, PRICE)).error).toMatchObject({ code: 'E_ENGINE' });
    await until(() => money.reserved === 0n);
    expect(money.bookings).toEqual([]);
  });

  it('under-delivers, half an answer and a failure with a bill for all: the client pays at most a token for each byte of it and 64', async () => {
    await paidNetwork();
    const half = 'data: {"choices":[{"delta":{"content":"a"}}]}\n\n';
    await node(({ id: own }) => [head(own), part(own, text(half)), failure(own, 601, { completion: 9_000n })]);
    expect((await ask(await network.connect(), { ...asked, maxTokens: 10_000 }, PRICE)).error).toMatchObject({ code: 'E_ENGINE' });
    expect(await booked()).toBe(BigInt(half.length + 64));
  });

  it('leaves in mid-answer: the client is told at once and pays a token for each text it got; nothing stays reserved', async () => {
    await paidNetwork();
    await hostileNode(network, async ({ id: own }, connection) => {
      await connection.send(head(own));
      await connection.send(part(own, text('data: {"choices":[{"delta":{"content":"a"}}]}\n\ndata: {"choices":[{"delta":{"content":"b"}}]}\n\n')));
      setTimeout(() => connection.close(), 50);
      return hang();
    });
    const startedMs = performance.now();
    const { error, pieces } = await ask(await network.connect(), asked, PRICE);
    expect(performance.now() - startedMs).toBeLessThan(3_000);
    expect([pieces.join(''), String(error)]).toEqual(['ab', expect.stringMatching(/lost the node/)]);
    expect(await booked()).toBe(2n);
  });

  it('answers twice: the second answer is ignored and paid nothing', async () => {
    await paidNetwork();
    await node(({ id: own }) => [head(own), part(own, text(ANSWER)), end(own, { prompt: 20n, completion: 2n }), head(own), part(own, text(ANSWER)), end(own, { prompt: 60n, completion: 10n })]);
    const { answer, error } = await ask(await network.connect(), asked, PRICE);
    expect([error, answer?.text]).toEqual([null, 'ab']);
    expect(await booked()).toBe(22n);
    expect(network.proxy.status().nodes).toHaveLength(1);
  });

  it('parts after the end: ignored and paid nothing', async () => {
    await paidNetwork();
    await node(({ id: own }) => [head(own), part(own, text(ANSWER)), end(own, { prompt: 20n, completion: 2n }), part(own, text('more')), end(own, { prompt: 60n, completion: 10n })]);
    expect((await ask(await network.connect(), asked, PRICE)).answer?.text).toBe('ab');
    expect(await booked()).toBe(22n);
  });

  it.each<[string, (asked: WorkerRequest) => readonly TlPacket[]]>([
    ['parts before the head', ({ id: own }) => [part(own, text(ANSWER)), head(own)]],
    ['two heads', ({ id: own }) => [head(own), head(own)]],
    ['a failure at once', ({ id: own }) => [failure(own, 601, { completion: 10n })]],
    ['"too many active queries"', ({ id: own }) => [failure(own, 602, {})]],
  ])('%s: an honest node answers instead, unseen by the client, who pays that node only', async (_, packets) => {
    await paidNetwork();
    await node(packets, { model: 'instant@evil:0', price: 1 });
    await network.startNode();
    const client = await network.connect();
    for (let n = 1; n <= 3; n += 1) {
      const { answer, error } = await ask(client, {}, PRICE);
      expect(answer?.text ?? error).toBe('Hello there.');
      await until(() => money.bookings.length === n);
    }
    expect(network.proxy.explain(20).some(({ outcome }) => outcome.failure !== null)).toBe(true);
    expect(new Set(money.bookings.map(({ worker }) => worker)).size).toBe(1);
    expect(money.bookings[0]?.tokens.total).toBe(5n);
  });

  it('claims larger balances: it is told what is known, earns nothing by it, and the proxy goes on', async () => {
    await paidNetwork([{}]);
    const seen: bigint[] = [];
    await hostileNode(network, hang, {
      claim: { chainTokens: 2n ** 60n, dbTokens: 2n ** 61n, maxTokens: 2n ** 62n },
      port: { compared: ({ maxTokens, dbTokens }, agreed) => { seen.push(maxTokens, dbTokens, agreed ? 1n : 0n); } },
    });
    expect(seen).toEqual([0n, 0n, 0n]);
    expect((await ask(await network.connect())).answer?.text).toBe('Hello there.');
  });
});

describe('network: dishonest clients', () => {
  const chat = (maxTokens = 10): Uint8Array => chatQuery({ model: 'instant', max_tokens: maxTokens, max_completion_tokens: maxTokens, stream: true, messages: [{ role: 'user', content: 'one two' }] });
  const ended = (answers: readonly TlPacket[]): number => answers.filter((packet) => packet._ === 'client.queryAnswerPartEx' && packet.final_info !== undefined).length;
  const refusals = (answers: readonly TlPacket[]): readonly number[] => answers.flatMap((packet) => (packet._ === 'client.queryAnswerErrorEx' ? [packet.error_code] : []));

  it('replays a request id: each answer is paid for again, and one that still runs costs what was delivered by then', async () => {
    await paidNetwork([{ engine: { pieceDelayMs: 20, pieces: Array.from({ length: 1_000 }, () => 'x') } }]);
    const { connection, answers } = await hostileClient(network);
    for (let n = 1; n <= 2; n += 1) {
      await connection.send(request({ query: chat(3) }));
      await until(() => ended(answers) === n);
    }
    await until(() => money.bookings.length === 2);
    expect(money.bookings.map(({ tokens }) => tokens.total)).toEqual([5n, 5n]);
    await connection.send(request({ query: chat(1_000), max_tokens: 1_000 }));
    await until(() => answers.length > 20);
    await connection.send(request({ query: chat(1_000), max_tokens: 1_000 }));
    await connection.closed;
    await until(() => money.bookings.length === 3 && money.reserved === 0n);
    expect(money.bookings[2]?.tokens.total).toBeGreaterThan(2n);
    expect(money.bookings[2]?.tokens.total).toBeLessThan(1_002n);
  });

  it('reuses another client\'s secret: refused, and nothing of either is spent', async () => {
    await paidNetwork([{}], { secretOf: (owner) => Buffer.from(`secret of ${owner}`) });
    const honest = await hostileClient(network, { owner: ownerOf('honest'), secret: Buffer.from(`secret of ${ownerOf('honest')}`) });
    await expect(hostileClient(network, { owner: ownerOf('victim'), secret: Buffer.from(`secret of ${ownerOf('honest')}`) })).rejects.toMatchObject({ remoteMessage: 'sha256 mismatch' });
    await expect(hostileClient(network, { owner: ownerOf('victim') })).rejects.toMatchObject({ remoteMessage: 'sha256 mismatch' });
    await honest.connection.send(request({ query: chat() }));
    await until(() => money.bookings.length === 1);
    expect([money.used(honest.owner), money.used(ownerOf('victim'))]).toEqual([5n, 0n]);
  });

  it.each([5, 4])('disconnects just before the end: it pays for what was delivered, and the node is paid for it (version %i)', async (max) => {
    await paidNetwork([{ engine: { pieceDelayMs: 10, pieces: Array.from({ length: 60 }, () => 'x') }, versions: { min: 0, max } }]);
    const { connection, answers, owner } = await hostileClient(network);
    await connection.send(request({ query: chat(60), max_tokens: 60, timeout: 3 }));
    // A piece carries up to two tokens at this speed: this is close to the end.
    await until(() => answers.length > 25);
    connection.close();
    await until(() => money.bookings.length === 1 && money.reserved === 0n, 12_000);
    expect(money.used(owner)).toBeGreaterThan(22n);
    expect(money.used(owner)).toBeLessThanOrEqual(62n);
    expect(money.bookings[0]?.tokens.completion).toBeGreaterThan(20n);
  }, 20_000);

  it('exceeds its balance with parallel requests: at most its balance is ever used and put aside; the others are refused', async () => {
    await paidNetwork([{ engine: { sequences: 50, firstDelayMs: 100 } }], { balance: 3_000n, bookingMs: 20 });
    const { connection, answers, owner } = await hostileClient(network);
    const second = await hostileClient(network, { owner });
    for (let n = 0; n < 20; n += 1) await (n % 2 === 0 ? connection : second.connection).send(request({ query: chat(), request_id: id(n), max_coefficient: 1_000 }));
    await until(() => ended([...answers, ...second.answers]) + refusals([...answers, ...second.answers]).length === 20, 10_000);
    const refused = refusals([...answers, ...second.answers]);
    expect(new Set(refused)).toEqual(new Set([651]));
    expect(refused.length).toBeGreaterThan(3);
    await until(() => money.bookings.length === 20 - refused.length && money.reserved === 0n);
    expect(money.highest).toBeLessThanOrEqual(3_000n);
    expect(money.used(owner)).toBe(5n * BigInt(money.bookings.length));
  });

  it('asks for more than it says it allows: the node is told the limit that was reserved', async () => {
    await paidNetwork([{ engine: { pieces: Array.from({ length: 1_000 }, () => 'x') } }]);
    const { connection, answers, owner } = await hostileClient(network);
    await connection.send(request({ query: chatQuery({ model: 'instant', max_completion_tokens: 3, max_tokens: 900, messages: [{ role: 'user', content: 'one two' }] }), request_id: id(1) }));
    await connection.send(request({ query: chatQuery({ model: 'instant', max_tokens: 900, messages: [{ role: 'user', content: 'one two' }] }), request_id: id(2) }));
    await connection.send(request({ query: chatQuery({ model: 'instant', messages: [{ role: 'user', content: 'one two' }] }), request_id: id(3) }));
    await until(() => ended(answers) === 3 && money.bookings.length === 3);
    expect(money.bookings.map(({ tokens }) => tokens.completion).toSorted()).toEqual([10n, 10n, 3n]);
    expect(money.used(owner)).toBe(23n + 6n);
  });
});

describe('network: the end of a proxy', () => {
  it('waits for bookings that are under way, and books what was delivered of what it cuts', async () => {
    await paidNetwork([{ engine: { pieceDelayMs: 10, pieces: Array.from({ length: 1_000 }, () => 'x') } }], { bookingMs: 150 });
    const client = await network.connect();
    const running = ask(client, { maxTokens: 1_000 });
    const done = await ask(client, { maxTokens: 3 });
    expect(done.error).toBeNull();
    await network.stopProxy();
    expect((await running).error).toMatchObject({ code: 'E_CLOSED' });
    expect([money.bookings.length, money.reserved]).toEqual([2, 0n]);
    const [first, second] = money.bookings.map(({ tokens }) => tokens.total).toSorted((a, b) => Number(a - b));
    expect(first).toBe(5n);
    expect(second).toBeGreaterThan(2n);
  });
});

function ownerOf(name: string): string {
  return unpaidAddress(name, new Uint8Array(32).fill(3));
}
