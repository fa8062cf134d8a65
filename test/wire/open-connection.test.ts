// WIRE.md section 7: the packet rules, from both roles, against a peer under full control.
import { Duplex } from 'node:stream';
import { afterEach, describe, expect, it } from '@jest/globals';
import { NetworkError, RemoteError } from '../../src/core/errors.ts';
import type { Connection, ConnectionHandlers, TlPacket } from '../../src/wire/connection.ts';
import { encodeFrame } from '../../src/wire/framing.ts';
import { openConnection } from '../../src/wire/open-connection.ts';
import type { OpenConnection, OpenConnectionOptions } from '../../src/wire/open-connection.ts';
import { encodeBoxed } from '../../src/wire/tl/codec.ts';
import type { TlFunction, TlObject } from '../../src/wire/tl/types.ts';
import { blob, Cleanup, coefficient, expectRejection, expectTyped, packetOf, PEER, ScriptedPeer, sleep, tcpPair, until } from './peers.ts';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const QUERY: TlFunction = { _: 'client.getWorkerTypes' };
const ANSWER: TlObject = { _: 'client.workerTypes', types: [] };
const IGNORE: ConnectionHandlers = { onQuery: async () => ANSWER, onPacket() {} };

type Options = Partial<Omit<OpenConnectionOptions, 'role'>>;

/** A connection in `role` and a scripted peer at its other end, before the handshake. */
async function fresh(role: 'dialer' | 'acceptor', options: Options = {}): Promise<{ connection: OpenConnection; peer: ScriptedPeer }> {
  const [near, far] = await tcpPair(cleanup);
  const connection = openConnection(near, { role, remoteAddress: '192.0.2.1:1', peer: PEER, ...options });
  cleanup.add(connection, async () => { connection.close(); far.destroy(); await connection.closed; });
  return { connection, peer: new ScriptedPeer(far) };
}

/** The same after the handshake; `peer.received` starts behind it. */
async function opened(role: 'dialer' | 'acceptor', options: Options = {}): Promise<{ connection: OpenConnection; peer: ScriptedPeer }> {
  const { connection, peer } = await fresh(role, options);
  if (role === 'acceptor') peer.send({ _: 'tcp.connect', id: 5n });
  const first = await peer.packet(0);
  if (role === 'dialer') peer.send({ _: 'tcp.connected', id: first._ === 'tcp.connect' ? first.id : 0n });
  await connection.ready;
  peer.received.length = 0;
  return { connection, peer };
}

const ask = (id: bigint): Parameters<ScriptedPeer['send']>[0] => ({ _: 'tcp.query', id, data: encodeBoxed(QUERY) });

/** Two of our own connections, back to back. */
async function pair(options: { dialer?: Options; acceptor?: Options } = {}): Promise<{ dialer: Connection; acceptor: Connection }> {
  const [near, far] = await tcpPair(cleanup);
  const dialer = openConnection(near, { role: 'dialer', remoteAddress: 'a:1', peer: PEER, ...options.dialer });
  const acceptor = openConnection(far, { role: 'acceptor', remoteAddress: 'b:2', peer: PEER, ...options.acceptor });
  for (const one of [dialer, acceptor]) cleanup.add(one, async () => { one.close(); await one.closed; });
  await Promise.all([dialer.ready, acceptor.ready]);
  return { dialer, acceptor };
}

/** An open connection on a stream that never takes a byte. */
async function stuck(options: Options = {}): Promise<{ connection: OpenConnection; stream: Duplex }> {
  const stream = new Duplex({ read() {}, write() {} });
  const connection = openConnection(stream, { role: 'acceptor', remoteAddress: '192.0.2.1:1', peer: PEER, ...options });
  cleanup.add(connection, () => { connection.close(); stream.destroy(); });
  stream.push(encodeFrame(0, encodeBoxed({ _: 'tcp.connect', id: 1n })));
  await connection.ready;
  return { connection, stream };
}

describe('handshake', () => {
  it('openConnection: a dialer sends tcp.connect at once with a random id and demands the same id', async () => {
    const { connection, peer } = await fresh('dialer', { random: () => new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]) });
    expect(await peer.packet(0)).toEqual({ _: 'tcp.connect', id: 0x0807060504030201n });
    peer.send({ _: 'tcp.connected', id: 0x0807060504030201n });
    await expect(connection.ready).resolves.toBeUndefined();
  });

  it('openConnection: a dialer refuses another id', async () => {
    const { connection, peer } = await fresh('dialer', { random: () => new Uint8Array(8) });
    peer.send({ _: 'tcp.connected', id: 1n });
    await expectRejection(connection.ready, 'E_PROTOCOL', /another id/);
    expectTyped(await connection.closed, 'E_PROTOCOL');
  });

  it('openConnection: an acceptor answers tcp.connect with its id', async () => {
    const { connection, peer } = await fresh('acceptor');
    peer.send({ _: 'tcp.connect', id: -9n });
    expect(await peer.packet(0)).toEqual({ _: 'tcp.connected', id: -9n });
    await expect(connection.ready).resolves.toBeUndefined();
  });

  it.each(['dialer', 'acceptor'] as const)('openConnection: a %s refuses any other first packet', async (role) => {
    const { connection, peer } = await fresh(role);
    peer.send({ _: 'tcp.ping', id: 1n });
    await expectRejection(connection.ready, 'E_PROTOCOL', /began with tcp.ping/);
    await until(() => peer.closed);
  });

  it.each(['dialer', 'acceptor'] as const)('openConnection: a %s closes a silent peer at the deadline', async (role) => {
    const { connection, peer } = await fresh(role, { timeouts: { handshakeMs: 30 } });
    await expectRejection(connection.ready, 'E_TIMEOUT', /did not send tcp\.connect/);
    expectTyped(await connection.closed, 'E_TIMEOUT');
    await until(() => peer.closed);
  });

  it('openConnection: what an acceptor sends before tcp.connect waits for it', async () => {
    const { connection, peer } = await fresh('acceptor');
    const sent = connection.send(coefficient(7));
    await sleep(10);
    expect(peer.received).toEqual([]);
    peer.send({ _: 'tcp.connect', id: 1n });
    await sent;
    expect([await peer.packet(0), await peer.packet(1)]).toEqual([{ _: 'tcp.connected', id: 1n }, packetOf(coefficient(7))]);
  });

  it('openConnection: a stray tcp.connect or tcp.connected later means nothing', async () => {
    const { connection, peer } = await opened('acceptor');
    peer.send({ _: 'tcp.connect', id: 1n });
    peer.send({ _: 'tcp.connected', id: 1n });
    peer.send({ _: 'tcp.ping', id: 2n });
    expect(await peer.packet(0)).toEqual({ _: 'tcp.pong', id: 2n });
    expect(peer.received).toHaveLength(1);
    connection.close();
    expect(await connection.closed).toBeNull();
  });
});

describe('queries of this side', () => {
  it('query: resolves with the answer to its own id, in whatever order answers come', async () => {
    const { connection, peer } = await opened('dialer');
    const first = connection.query(QUERY, { timeoutMs: 1000 });
    const second = connection.query({ _: 'worker.updatePaymentStatus' }, { timeoutMs: 1000 });
    const [a, b] = [await peer.packet(0), await peer.packet(1)];
    if (a._ !== 'tcp.query' || b._ !== 'tcp.query') throw new Error('expected queries');
    expect(a.id).not.toBe(b.id);
    expect(a.data).toEqual(encodeBoxed(QUERY));
    const status: TlObject = { _: 'worker.paymentStatus', signed_payment: { _: 'proxy.signedPaymentEmpty' }, db_tokens: 1n, max_tokens: 2n };
    peer.send({ _: 'tcp.queryAnswer', id: b.id, data: encodeBoxed(status) });
    peer.send({ _: 'tcp.queryAnswer', id: a.id, data: encodeBoxed(ANSWER) });
    expect(await second).toEqual(status);
    expect(await first).toEqual(ANSWER);
  });

  it('query: an error of the peer keeps its code and text', async () => {
    const { connection, peer } = await opened('dialer');
    const asked = connection.query(QUERY, { timeoutMs: 1000 });
    const packet = await peer.packet(0);
    peer.send({ _: 'tcp.queryError', id: packet._ === 'tcp.query' ? packet.id : 0n, code: 602, message: 'no' });
    const error = await expectRejection(asked, 'E_REMOTE', /602/);
    expect(error).toMatchObject({ remoteCode: 602, remoteMessage: 'no' });
  });

  it('query: a late answer, an unknown id and a second answer are ignored', async () => {
    const { connection, peer } = await opened('dialer');
    await expectRejection(connection.query(QUERY, { timeoutMs: 15 }), 'E_TIMEOUT', /client.getWorkerTypes within 15 ms/);
    const packet = await peer.packet(0);
    const id = packet._ === 'tcp.query' ? packet.id : 0n;
    for (const answered of [id, id, 77n]) peer.send({ _: 'tcp.queryAnswer', id: answered, data: encodeBoxed(ANSWER) });
    peer.send({ _: 'tcp.queryError', id, code: 1, message: '' });
    peer.send({ _: 'tcp.ping', id: 1n });
    expect(await peer.packet(1)).toEqual({ _: 'tcp.pong', id: 1n });
  });

  it.each([['malformed', new Uint8Array([1, 2, 3, 4])], ['of another type', encodeBoxed(coefficient(1))]])('query: an answer that is %s fails it and closes', async (_, data) => {
    const { connection, peer } = await opened('dialer');
    const asked = connection.query(QUERY, { timeoutMs: 1000 });
    const packet = await peer.packet(0);
    peer.send({ _: 'tcp.queryAnswer', id: packet._ === 'tcp.query' ? packet.id : 0n, data });
    await expectRejection(asked, 'E_PROTOCOL');
    expectTyped(await connection.closed, 'E_PROTOCOL');
  });

  it('query: fails at once when the connection goes, not at its own timeout', async () => {
    const { connection, peer } = await opened('dialer');
    const asked = connection.query(QUERY, { timeoutMs: 60_000 });
    await peer.packet(0);
    const start = performance.now();
    peer.stream.destroy();
    await expectRejection(asked, 'E_CLOSED');
    expect(performance.now() - start).toBeLessThan(2_000);
    await expectRejection(connection.query(QUERY, { timeoutMs: 1000 }), 'E_CLOSED');
  });

  it('query: fails at once when this side closes', async () => {
    const { connection, peer } = await opened('dialer');
    const asked = connection.query(QUERY, { timeoutMs: 60_000 });
    await peer.packet(0);
    connection.close();
    await expectRejection(asked, 'E_CLOSED');
  });

  it('query: its signal ends it with the reason', async () => {
    const { connection, peer } = await opened('dialer');
    const controller = new AbortController();
    const asked = connection.query(QUERY, { timeoutMs: 60_000, signal: controller.signal });
    await peer.packet(0);
    controller.abort(new NetworkError('E_TIMEOUT', 'caller is tired'));
    await expectRejection(asked, 'E_TIMEOUT', /caller is tired/);
    await expectRejection(connection.query(QUERY, { timeoutMs: 1000, signal: controller.signal }), 'E_TIMEOUT', /tired/);
    expect(peer.received).toHaveLength(1);
  });

  it('query: more than agreed reject with E_BUSY, and nothing is sent for them', async () => {
    const { connection, peer } = await opened('dialer', { limits: { maxOutboundQueries: 2 } });
    const asked = [1, 2].map(() => connection.query(QUERY, { timeoutMs: 60_000 }));
    await expectRejection(connection.query(QUERY, { timeoutMs: 1000 }), 'E_BUSY', /2 queries/);
    await peer.packet(1);
    connection.close();
    await Promise.allSettled(asked);
    expect(peer.received).toHaveLength(2);
  });

  it('query: an id that is in use is drawn again', async () => {
    const ids = [9, 1, 1, 1, 2];
    const { connection, peer } = await opened('dialer', { random: () => new Uint8Array([ids.shift() ?? 0, 0, 0, 0, 0, 0, 0, 0]) });
    const asked = [1, 2].map(() => connection.query(QUERY, { timeoutMs: 1000 }));
    expect([await peer.packet(0), await peer.packet(1)]).toMatchObject([{ id: 1n }, { id: 2n }]);
    connection.close();
    await Promise.allSettled(asked);
  });
});

describe('queries of the peer', () => {
  it('onQuery: the returned object is the answer; slow ones do not hold up others', async () => {
    const { connection, peer } = await opened('acceptor');
    let release: () => void = () => undefined;
    const slow = new Promise<void>((resolve) => { release = resolve; });
    connection.handle({ ...IGNORE, onQuery: async (query) => {
      if (query._ === 'client.getWorkerTypes') await slow;
      return query._ === 'client.getWorkerTypes' ? ANSWER : { _: 'client.workerTypesV2', types: [] };
    } });
    peer.send(ask(1n));
    peer.send({ _: 'tcp.query', id: 2n, data: encodeBoxed({ _: 'client.getWorkerTypesV2' }) });
    expect(await peer.packet(0)).toEqual({ _: 'tcp.queryAnswer', id: 2n, data: encodeBoxed({ _: 'client.workerTypesV2', types: [] }) });
    release();
    expect(await peer.packet(1)).toEqual({ _: 'tcp.queryAnswer', id: 1n, data: encodeBoxed(ANSWER) });
  });

  it('onQuery: a RemoteError becomes its code and text, a bug becomes 601 without its text', async () => {
    const { connection, peer } = await opened('acceptor');
    const errors = [new RemoteError(621, 'bad version'), new TypeError('internal detail')];
    connection.handle({ ...IGNORE, onQuery: () => { throw errors.shift(); } });
    peer.send(ask(1n));
    peer.send(ask(2n));
    expect(await peer.packet(0)).toEqual({ _: 'tcp.queryError', id: 1n, code: 621, message: 'bad version' });
    expect(await peer.packet(1)).toEqual({ _: 'tcp.queryError', id: 2n, code: 601, message: 'internal failure' });
  });

  it.each([
    ['an unknown constructor', new Uint8Array([0xde, 0xad, 0xbe, 0xef])],
    ['left-over bytes', new Uint8Array([...encodeBoxed(QUERY), 0, 0, 0, 0])],
    ['an object', encodeBoxed(coefficient(1))],
    ['nothing', new Uint8Array(0)],
  ])('onBadQuery: %s in a query is answered with an error and the connection stays', async (_, data) => {
    const { connection, peer } = await opened('acceptor');
    connection.handle(IGNORE);
    peer.send({ _: 'tcp.query', id: 3n, data });
    peer.send(ask(4n));
    const answers = [await peer.packet(0), await peer.packet(1)];
    expect(answers).toContainEqual({ _: 'tcp.queryError', id: 3n, code: 621, message: expect.any(String) });
    expect(answers).toContainEqual({ _: 'tcp.queryAnswer', id: 4n, data: encodeBoxed(ANSWER) });
  });

  it('onBadQuery: the session chooses the answer', async () => {
    const { connection, peer } = await opened('acceptor');
    connection.handle({ ...IGNORE, onBadQuery: (data) => new RemoteError(0, `Wrong constructor found at ${data.length}`) });
    peer.send({ _: 'tcp.query', id: 3n, data: new Uint8Array([1, 2, 3, 4]) });
    expect(await peer.packet(0)).toEqual({ _: 'tcp.queryError', id: 3n, code: 0, message: 'Wrong constructor found at 4' });
  });

  it('onQuery: an answer that no frame can carry becomes an error', async () => {
    const { connection, peer } = await opened('acceptor');
    connection.handle({ ...IGNORE, onQuery: async () => blob(2 ** 24) });
    peer.send(ask(1n));
    expect(await peer.packet(0)).toMatchObject({ _: 'tcp.queryError', id: 1n, code: 602 });
  });

  it('onQuery: a flood of queries is answered with errors, and only the agreed number runs', async () => {
    const { connection, peer } = await opened('acceptor', { limits: { maxInboundQueries: 3 } });
    let running = 0;
    connection.handle({ ...IGNORE, onQuery: () => { running += 1; return new Promise(() => undefined); } });
    for (let id = 0n; id < 500n; id++) peer.send(ask(id));
    await peer.packet(496);
    expect(running).toBe(3);
    expect(peer.received.every((packet) => packet._ === 'tcp.queryError' && packet.code === 651)).toBe(true);
  });

  it('onQuery: large queries at once are bounded by their bytes', async () => {
    const { connection, peer } = await opened('acceptor', { limits: { maxFrameBytes: 2 ** 20, maxInboundQueryBytes: 250_000 } });
    let release: () => void = () => undefined;
    const slow = new Promise<void>((resolve) => { release = resolve; });
    connection.handle({ ...IGNORE, onQuery: async () => { await slow; throw new RemoteError(1, 'done'); } });
    const large = (id: bigint): Parameters<ScriptedPeer['send']>[0] =>
      ({ _: 'tcp.query', id, data: encodeBoxed({ _: 'client.authorizeWithProxyShort', data: new Uint8Array(100_000) }) });
    for (const id of [1n, 2n, 3n]) peer.send(large(id));
    expect(await peer.packet(0)).toMatchObject({ id: 3n, code: 651 });
    release();
    await peer.packet(2);
    peer.send(large(4n));
    expect(await peer.packet(3)).toMatchObject({ id: 4n, code: 1 });
  });
});

describe('packets', () => {
  it('onPacket: nothing that came before handle() is lost, and order is kept', async () => {
    const { connection, peer } = await opened('acceptor');
    for (let i = 0; i < 50; i++) peer.send(packetOf(coefficient(i)));
    await sleep(20);
    const seen: TlPacket[] = [];
    connection.handle({ ...IGNORE, onPacket(packet) { seen.push(packet); } });
    await until(() => seen.length === 50);
    expect(seen).toEqual(Array.from({ length: 50 }, (_, i) => coefficient(i)));
  });

  it('onPacket: reading waits for the handler, so the sender feels it', async () => {
    const { dialer, acceptor } = await pair({ acceptor: { limits: { maxFrameBytes: 2 ** 24 } } });
    const seen: number[] = [];
    let release: () => void = () => undefined;
    acceptor.handle({ ...IGNORE, onPacket(packet) {
      seen.push(1);
      return packet._ === 'proxy.signedPayment' ? new Promise((resolve) => { release = resolve; }) : undefined;
    } });
    let sent = 0;
    const sending = (async () => {
      for (; sent < 100; sent++) await dialer.send(blob(1024 * 1024));
    })();
    await sleep(150);
    expect(seen).toHaveLength(1);
    expect(sent).toBeLessThan(30); // what fits into the operating system's buffers
    expect(dialer.bufferedBytes).toBeLessThan(3 * 1024 * 1024);
    const steady = sent;
    await sleep(50);
    expect(sent).toBe(steady);
    while (sent < 100) { release(); await sleep(1); }
    await sending;
    dialer.close();
    while (seen.length < 100) { release(); await sleep(1); }
  });

  it('onPacket: a rejection closes the connection with that error', async () => {
    const { connection, peer } = await opened('acceptor');
    connection.handle({ ...IGNORE, onPacket: async () => { throw new NetworkError('E_PROTOCOL', 'not now'); } });
    peer.send(packetOf(coefficient(1)));
    expectTyped(await connection.closed, 'E_PROTOCOL', /not now/);
    await until(() => peer.closed);
  });

  it('onBadPacket: by default an unknown constructor is skipped and a malformed known one closes', async () => {
    const { connection, peer } = await opened('acceptor');
    connection.handle(IGNORE);
    peer.send({ _: 'tcp.packet', data: new Uint8Array([0xde, 0xad, 0xbe, 0xef]) });
    peer.send({ _: 'tcp.ping', id: 1n });
    expect(await peer.packet(0)).toEqual({ _: 'tcp.pong', id: 1n });
    peer.send({ _: 'tcp.packet', data: encodeBoxed(coefficient(1)).subarray(0, 6) });
    expectTyped(await connection.closed, 'E_PROTOCOL');
  });

  it('onBadPacket: the session may skip or close', async () => {
    const { connection, peer } = await opened('acceptor');
    const bad: number[] = [];
    connection.handle({ ...IGNORE, onBadPacket(data) {
      bad.push(data.length);
      if (bad.length === 2) throw new NetworkError('E_PROTOCOL', 'twice is enough');
    } });
    peer.send({ _: 'tcp.packet', data: encodeBoxed(coefficient(1)).subarray(0, 6) });
    peer.send({ _: 'tcp.packet', data: new Uint8Array(8) });
    expectTyped(await connection.closed, 'E_PROTOCOL', /twice/);
    expect(bad).toEqual([6, 8]);
  });

  it('send: a packet above 2^24 bytes is an error and the next one leaves with the right number', async () => {
    const { connection, peer } = await opened('dialer');
    await expectRejection(connection.send(blob(2 ** 24)), 'E_TOO_LARGE', /16777216/);
    await expectRejection(connection.query({ _: 'client.authorizeWithProxyShort', data: new Uint8Array(2 ** 24) }, { timeoutMs: 100 }), 'E_TOO_LARGE');
    await connection.send(coefficient(3));
    expect(await peer.packet(0)).toEqual(packetOf(coefficient(3)));
  });

  it('send: a caller that ignores back-pressure meets E_BUSY, and memory stays bounded', async () => {
    const { connection, stream } = await stuck({ limits: { maxBufferedBytes: 4 * 1024 * 1024 } });
    const sent = Array.from({ length: 8 }, () => connection.send(blob(1024 * 1024)));
    for (const refused of sent.slice(3)) await expectRejection(refused, 'E_BUSY', /bytes are waiting for the peer already, expected at most 4194304/);
    expect(connection.bufferedBytes).toBeGreaterThan(3 * 1024 * 1024);
    expect(connection.bufferedBytes).toBeLessThanOrEqual(4 * 1024 * 1024);
    stream.destroy();
    for (const waiting of sent.slice(0, 3)) await expectRejection(waiting, 'E_CLOSED');
  });

  it('send: rejects with E_CLOSED after the end, and an ignored rejection harms nobody', async () => {
    const { connection, peer } = await opened('dialer');
    peer.stream.destroy();
    await connection.closed;
    void connection.send(coefficient(1));
    void connection.query(QUERY, { timeoutMs: 5 });
    await expectRejection(connection.send(coefficient(1)), 'E_CLOSED');
    expect(connection.bufferedBytes).toBe(0);
  });
});

describe('limits on what comes in', () => {
  it.each([
    ['a length of 3', new Uint8Array([3, 0, 0, 0, 1, 0, 0, 0, 1, 2, 3])],
    ['a length above the limit', new Uint8Array([1, 0, 0, 1, 1, 0, 0, 0])],
    ['a wrong sequence number', encodeFrame(77, encodeBoxed({ _: 'tcp.ping', id: 1n }))],
    ['an unknown constructor', encodeFrame(1, new Uint8Array([0xde, 0xad, 0xbe, 0xef, 0, 0, 0, 0]))],
    ['left-over bytes', encodeFrame(1, new Uint8Array([...encodeBoxed({ _: 'tcp.ping', id: 1n }), 0, 0, 0, 0]))],
    ['an object that is no packet', encodeFrame(1, encodeBoxed(coefficient(1)))],
  ])('openConnection: %s closes with E_PROTOCOL', async (_, bytes) => {
    const { connection, peer } = await opened('acceptor', { limits: { maxFrameBytes: 2 ** 24 } });
    const asked = connection.query(QUERY, { timeoutMs: 60_000 });
    peer.sendBytes(bytes);
    expectTyped(await connection.closed, 'E_PROTOCOL');
    await expectRejection(asked, 'E_CLOSED');
    await until(() => peer.closed);
  });

  it('setMaxFrameBytes: an acceptor takes 64 KiB at first and more when the session says so', async () => {
    const { connection, peer } = await opened('acceptor');
    const seen: TlPacket[] = [];
    connection.handle({ ...IGNORE, onPacket(packet) { seen.push(packet); } });
    connection.setMaxFrameBytes(2 ** 20);
    peer.send(packetOf(blob(500_000)));
    await until(() => seen.length === 1);
    connection.setMaxFrameBytes(64 * 1024);
    peer.send(packetOf(blob(64 * 1024)));
    expectTyped(await connection.closed, 'E_PROTOCOL', /65536/);
  });

  it('openConnection: a flood of pings from a peer that does not read stops the reading', async () => {
    const { connection, peer } = await opened('acceptor', { limits: { maxReplyBytes: 4096 }, timeouts: { stallMs: 200 } });
    peer.stream.pause();
    const pings = Buffer.concat(Array.from({ length: 5_000 }, (_, i) => Buffer.from(encodeFrame(i + 1, encodeBoxed({ _: 'tcp.ping', id: BigInt(i) })))));
    peer.sendBytes(pings);
    // 5,000 pongs are 100,000 bytes: the sockets may hold them all, yet few wait in this process at any time.
    let most = 0;
    for (let i = 0; i < 50; i++) { most = Math.max(most, connection.bufferedBytes); await sleep(2); }
    expect(most).toBeLessThanOrEqual(4096 + 20);
    peer.stream.resume();
    await peer.packet(4_999);
  });
});

describe('time', () => {
  it('openConnection: a dialer pings in silence and a pong keeps the connection', async () => {
    const { connection, peer } = await opened('dialer', { timeouts: { pingMs: 40, silenceMs: 100 } });
    for (let i = 0; i < 5; i++) {
      const ping = await peer.packet(i);
      if (ping._ !== 'tcp.ping') throw new Error(`expected a ping, got ${ping._}`);
      peer.send({ _: 'tcp.pong', id: ping.id });
    }
    connection.close();
    expect(await connection.closed).toBeNull();
  });

  it('openConnection: a dialer that only receives pings too, because its acceptor counts what it receives', async () => {
    const { peer } = await opened('dialer', { timeouts: { pingMs: 60, silenceMs: 10_000 } });
    const talk = setInterval(() => peer.send({ _: 'tcp.ping', id: 0n }), 400);
    cleanup.add(talk, clearInterval);
    const pong = setInterval(() => peer.send({ _: 'tcp.pong', id: 0n }), 5);
    cleanup.add(pong, clearInterval);
    await until(() => peer.received.some((packet) => packet._ === 'tcp.ping'));
  });

  it.each(['dialer', 'acceptor'] as const)('ping: a %s measures the round trip, by the id of its own ping only', async (role) => {
    const { connection, peer } = await opened(role);
    const measured = connection.ping();
    const ping = await peer.packet(0);
    if (ping._ !== 'tcp.ping') throw new Error(`expected a ping, got ${ping._}`);
    peer.send({ _: 'tcp.pong', id: ping.id + 1n });
    await sleep(20);
    peer.send({ _: 'tcp.pong', id: ping.id });
    peer.send({ _: 'tcp.pong', id: ping.id });
    expect(await measured).toBeGreaterThanOrEqual(15);
  });

  it('ping: rejects when the connection ends, and when too many wait', async () => {
    const { connection } = await opened('acceptor');
    const waiting = Array.from({ length: 4 }, () => connection.ping());
    await expectRejection(connection.ping(), 'E_BUSY', /4 wait/);
    connection.close();
    for (const ping of waiting) await expectRejection(ping, 'E_CLOSED');
    await expectRejection(connection.ping(), 'E_CLOSED');
  });

  it('openConnection: an acceptor does not ping', async () => {
    const { peer } = await opened('acceptor', { timeouts: { pingMs: 10 } });
    await sleep(60);
    expect(peer.received).toEqual([]);
  });

  it.each(['dialer', 'acceptor'] as const)('openConnection: a %s gives up on silence', async (role) => {
    const { connection, peer } = await opened(role, { timeouts: { pingMs: 20, silenceMs: 60 } });
    const asked = connection.query(QUERY, { timeoutMs: 60_000 });
    expectTyped(await connection.closed, 'E_TIMEOUT', /sent nothing for 60 ms/);
    await expectRejection(asked, 'E_CLOSED', /sent nothing/);
    await until(() => peer.closed);
  });

  it('openConnection: its own busy handler is not taken for silence of the peer', async () => {
    const { connection, peer } = await opened('acceptor', { timeouts: { silenceMs: 50 } });
    connection.handle({ ...IGNORE, onPacket: () => sleep(150) });
    peer.send(packetOf(coefficient(1)));
    peer.send({ _: 'tcp.ping', id: 1n });
    expect(await peer.packet(0)).toEqual({ _: 'tcp.pong', id: 1n });
  });

  it('openConnection: a frame that drips in does not keep the connection for ever', async () => {
    const { connection, peer } = await opened('acceptor', { timeouts: { silenceMs: 60, frameMs: 120 } });
    peer.sendBytes(encodeFrame(1, encodeBoxed(packetOf(blob(1000)))).subarray(0, 20));
    const drip = setInterval(() => peer.sendBytes(new Uint8Array(1)), 10);
    cleanup.add(drip, clearInterval);
    expectTyped(await connection.closed, 'E_TIMEOUT', /did not complete a frame within 120 ms/);
  });

  it('openConnection: a peer that takes nothing is given up', async () => {
    const { connection } = await stuck({ timeouts: { stallMs: 60 } });
    const sending = connection.send(coefficient(1));
    expectTyped(await connection.closed, 'E_TIMEOUT', /took none of \d+ waiting bytes for 60 ms/);
    await sending.catch(() => undefined);
    expect(connection.bufferedBytes).toBe(0);
  });
});

describe('close', () => {
  it('close: an error thrown by onQuery reaches the peer although the session closes at once', async () => {
    const { connection, peer } = await opened('acceptor');
    connection.handle({ ...IGNORE, onQuery: async () => {
      connection.close();
      throw new RemoteError(621, 'cannot choose common protocol version');
    } });
    peer.send(ask(1n));
    expect(await peer.packet(0)).toMatchObject({ _: 'tcp.queryError', code: 621 });
    await until(() => peer.closed);
    expect(await connection.closed).toBeNull();
  });

  it('close: what is buffered is delivered first', async () => {
    const { connection, peer } = await opened('acceptor');
    peer.stream.pause();
    for (let i = 0; i < 8; i++) void connection.send(blob(1024 * 1024));
    connection.close();
    await sleep(30);
    peer.stream.resume();
    await until(() => peer.closed);
    expect(peer.received).toHaveLength(8);
    expect(await connection.closed).toBeNull();
  });

  it('close: a peer that takes nothing is cut at the deadline', async () => {
    const { connection, stream } = await stuck({ timeouts: { closeMs: 50 } });
    void connection.send(blob(1024 * 1024));
    const reason = new NetworkError('E_TIMEOUT', 'session was idle');
    connection.close(reason);
    await sleep(20);
    expect(stream.destroyed).toBe(false);
    expect(await connection.closed).toBe(reason);
    expect(stream.destroyed).toBe(true);
  });

  it('close: a handler that never answers delays it no longer than the deadline', async () => {
    const { connection, peer } = await opened('acceptor', { timeouts: { closeMs: 50 } });
    connection.handle({ ...IGNORE, onQuery: () => new Promise(() => undefined) });
    peer.send(ask(1n));
    await sleep(10);
    connection.close();
    expect(await connection.closed).toBeNull();
  });

  it('close: is idempotent and keeps the first reason', async () => {
    const { connection } = await opened('acceptor');
    const reason = new NetworkError('E_PROTOCOL', 'first');
    connection.close(reason);
    connection.close(new NetworkError('E_TIMEOUT', 'second'));
    connection.close();
    expect(await connection.closed).toBe(reason);
  });

  it('close: before the handshake it rejects what waits', async () => {
    const { connection } = await fresh('acceptor');
    const sent = connection.send(coefficient(1));
    connection.close();
    await expectRejection(sent, 'E_CLOSED');
    await expectRejection(connection.ready, 'E_CLOSED');
    expect(await connection.closed).toBeNull();
  });

  it('closed: what the peer sent before it closed is still dealt with', async () => {
    const { connection, peer } = await opened('acceptor');
    const asked = connection.query(QUERY, { timeoutMs: 1000 });
    const packet = await peer.packet(0);
    const seen: TlPacket[] = [];
    connection.handle({ ...IGNORE, async onPacket(one) { await sleep(5); seen.push(one); } });
    for (let i = 0; i < 5; i++) peer.send(packetOf(coefficient(i)));
    peer.send({ _: 'tcp.queryAnswer', id: packet._ === 'tcp.query' ? packet.id : 0n, data: encodeBoxed(ANSWER) });
    peer.stream.end();
    expect(await asked).toEqual(ANSWER);
    expectTyped(await connection.closed, 'E_CLOSED', /closed the connection/);
    expect(seen).toHaveLength(5);
  });

  it('closed: a reset is E_CLOSED', async () => {
    const [near, far] = await tcpPair(cleanup);
    const connection = openConnection(near, { role: 'acceptor', remoteAddress: 'x:1', peer: PEER });
    far.resetAndDestroy();
    expectTyped(await connection.closed, 'E_CLOSED');
  });

  it('openConnection: two of our own talk in both directions at once without locking up', async () => {
    const { dialer, acceptor } = await pair({ acceptor: { limits: { maxFrameBytes: 2 ** 24 } } });
    const counts = { dialer: 0, acceptor: 0 };
    dialer.handle({ ...IGNORE, onPacket() { counts.dialer += 1; } });
    acceptor.handle({ ...IGNORE, onPacket() { counts.acceptor += 1; } });
    const stream = async (from: Connection): Promise<void> => {
      for (let i = 0; i < 40; i++) await from.send(blob(1024 * 1024));
    };
    const answers = Promise.all(Array.from({ length: 20 }, () => dialer.query(QUERY, { timeoutMs: 10_000 })));
    await Promise.all([stream(dialer), stream(acceptor), answers]);
    await until(() => counts.dialer === 40 && counts.acceptor === 40);
  });
});
