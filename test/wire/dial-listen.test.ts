// The whole way up, TCP to tcp.connect, over loopback: both ends ours, and each end against peers that lie, stall or leave
// at each stage (WIRE.md sections 2, 3 and 7; defect 12 of section 20).
import type { Socket } from 'node:net';
import { afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { AttestationError, NetworkError } from '../../src/core/errors.ts';
import { silentLog } from '../../src/core/log.ts';
import type { Connection } from '../../src/wire/connection.ts';
import { dial, dialPlain } from '../../src/wire/dial.ts';
import type { DialOptions } from '../../src/wire/dial.ts';
import { encodeFrame } from '../../src/wire/framing.ts';
import { listen } from '../../src/wire/listen.ts';
import type { Listener, ListenOptions } from '../../src/wire/listen.ts';
import { openConnection } from '../../src/wire/open-connection.ts';
import { decodeChallenge, encodeChallenge, encodeProof, solveProof } from '../../src/wire/pow.ts';
import { encodeBoxed } from '../../src/wire/tl/codec.ts';
import { secureAsAcceptor, secureAsDialer } from '../../src/wire/tls.ts';
import type { TlsIdentity } from '../../src/wire/tls.ts';
import { Cleanup, coefficient, dialTcp, expectRejection, expectTyped, listenTcp, makeIdentity, PEER, ScriptedPeer, sleep, until, verifyAny } from './peers.ts';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

let alice: TlsIdentity & { readonly publicKey: Uint8Array };
let bob: TlsIdentity & { readonly publicKey: Uint8Array };
beforeAll(async () => { [alice, bob] = await Promise.all([makeIdentity(), makeIdentity()]); });

interface Served { readonly listener: Listener; readonly port: number; readonly connections: Connection[] }

async function serve(change: Partial<ListenOptions> = {}): Promise<Served> {
  const connections: Connection[] = [];
  const listener = await listen({
    host: '127.0.0.1', port: 0, identity: () => bob, verifyPeer: verifyAny, powDifficultyBits: 4, log: silentLog,
    onConnection: (connection) => connections.push(connection), ...change,
  });
  cleanup.add(listener, () => listener.close());
  return { listener, port: listener.address.port, connections };
}

async function call(port: number, change: Partial<DialOptions> = {}): Promise<Connection> {
  const connection = await dial({ host: '127.0.0.1', port, identity: alice, verifyPeer: verifyAny, ...change });
  return cleanup.add(connection, async () => { connection.close(); await connection.closed; });
}

/** Reads the challenge and shows a proof for it; `tail` follows in the same packet. */
async function prove(socket: Socket, tail: Uint8Array = new Uint8Array(0)): Promise<void> {
  const challenge = decodeChallenge(await new Promise<Buffer>((resolve) => { socket.once('data', resolve); }));
  socket.write(Buffer.concat([encodeProof(await solveProof(challenge)), tail]));
}

/** Waits for the other side to close the socket. */
const gone = (socket: Socket): Promise<void> => new Promise((resolve) => {
  socket.resume();
  if (socket.destroyed) resolve();
  socket.once('close', () => resolve());
});

describe('dial and listen', () => {
  it('dial, listen: connect, ask, answer, close', async () => {
    const { listener, port, connections } = await serve({ powDifficultyBits: 10 });
    const client = await call(port);
    await until(() => connections.length === 1);
    const server = connections[0]!;
    server.handle({ onPacket() {}, onQuery: async () => ({ _: 'client.workerTypes', types: [] }) });
    expect(await client.query({ _: 'client.getWorkerTypes' }, { timeoutMs: 1000 })).toEqual({ _: 'client.workerTypes', types: [] });
    expect([client.peer.publicKey, server.peer.publicKey]).toEqual([bob.publicKey, alice.publicKey]);
    expect(client.remoteAddress).toBe(`127.0.0.1:${port}`);
    expect(server.remoteAddress).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(listener.counters).toMatchObject({ accepted: 1, established: 1, open: 1, halfOpen: 0 });
    client.close();
    expect(await client.closed).toBeNull();
    expectTyped(await server.closed, 'E_CLOSED');
    await until(() => listener.counters.open === 0);
  });

  it('listen: TLS may follow the proof in the same packet, and in single bytes', async () => {
    const { port, connections } = await serve();
    const socket = await dialTcp(cleanup, port);
    // The ClientHello is taken from our own dialer's first write to a socket that leads nowhere.
    let hear: (hello: Buffer) => void = () => undefined;
    const hello = new Promise<Buffer>((resolve) => { hear = resolve; });
    const trap = await listenTcp(cleanup, (one) => one.once('data', hear));
    secureAsDialer(await dialTcp(cleanup, trap.port), { identity: alice, verifyPeer: verifyAny, timeoutMs: 1000, remoteAddress: 'x' }).catch(() => undefined);
    await prove(socket, await hello);
    const serverHello = await new Promise<Buffer>((resolve) => { socket.once('data', resolve); });
    expect([serverHello[0], serverHello[5]]).toEqual([22, 2]); // a handshake record with a ServerHello
    const slow = await dialTcp(cleanup, port);
    const challenge = decodeChallenge(await new Promise<Buffer>((resolve) => { slow.once('data', resolve); }));
    for (const byte of encodeProof(await solveProof(challenge))) { slow.write(Uint8Array.of(byte)); await sleep(1); }
    const secure = await secureAsDialer(slow, { identity: alice, verifyPeer: verifyAny, timeoutMs: 1000, remoteAddress: 'x' });
    const connection = openConnection(secure.socket, { role: 'dialer', remoteAddress: 'x', peer: PEER });
    await connection.ready;
    connection.close();
    await until(() => connections.length === 1);
  });

  it('dial: reads the challenge byte by byte and nothing beyond it', async () => {
    const { port } = await listenTcp(cleanup, (socket) => {
      void (async () => {
        for (const byte of encodeChallenge({ difficultyBits: 3, salt: new Uint8Array(16) })) { socket.write(Uint8Array.of(byte)); await sleep(1); }
        await new Promise<void>((resolve) => { socket.once('readable', resolve); });
        socket.read(12);
        const { socket: secure, peer } = await secureAsAcceptor(socket, { identity: bob, verifyPeer: verifyAny, timeoutMs: 1000, remoteAddress: 'x' });
        openConnection(secure, { role: 'acceptor', remoteAddress: 'x', peer });
      })();
    });
    const connection = await call(port);
    expect(connection.peer.publicKey).toEqual(bob.publicKey);
  });

  it('listen: a renewed certificate serves new connections without a restart', async () => {
    let current: TlsIdentity & { readonly publicKey: Uint8Array } = bob;
    const { port } = await serve({ identity: () => current });
    expect((await call(port)).peer.publicKey).toEqual(bob.publicKey);
    current = await makeIdentity();
    expect((await call(port)).peer.publicKey).toEqual(current.publicKey);
  });

  it('dialPlain: no proof of work and no TLS', async () => {
    const { port } = await listenTcp(cleanup, (socket) => { openConnection(socket, { role: 'acceptor', remoteAddress: 'x', peer: PEER }); });
    const connection = await dialPlain({ host: '127.0.0.1', port, peer: PEER });
    expect(connection.peer).toBe(PEER);
    connection.close();
    await connection.closed;
  });

  it('close: the listener closes its connections in order and then takes no more', async () => {
    const { listener, port } = await serve();
    const client = await call(port);
    const halfOpen = await dialTcp(cleanup, port);
    await until(() => listener.counters.halfOpen === 1);
    await Promise.all([listener.close(), listener.close()]);
    expectTyped(await client.closed, 'E_CLOSED', /closed the connection/);
    await gone(halfOpen);
    await expectRejection(call(port), 'E_UNREACHABLE', /ECONNREFUSED/);
  });

  it('listen: an address that is in use is E_UNREACHABLE', async () => {
    const { port } = await serve();
    await expectRejection(serve({ port }), 'E_UNREACHABLE', /cannot listen on 127\.0\.0\.1:\d+: EADDRINUSE/);
  });

  it('listen: a handler that throws costs that connection only', async () => {
    const { port } = await serve({ onConnection() { throw new TypeError('bug'); } });
    const client = await call(port);
    expectTyped(await client.closed, 'E_CLOSED');
    expectTyped(await (await call(port)).closed, 'E_CLOSED');
  });
});

describe('dial against a wrong acceptor', () => {
  const answering = (onSocket: (socket: Socket) => void): Promise<{ port: number }> => listenTcp(cleanup, onSocket);
  const challengeOf = (difficultyBits: number): Buffer => {
    const bytes = Buffer.alloc(24);
    bytes.writeUInt32LE(0x418e1291, 0);
    bytes.writeInt32LE(difficultyBits, 4);
    return bytes;
  };

  it('dial: nobody listens', async () => {
    const { port, server } = await listenTcp(cleanup, () => undefined);
    await new Promise((resolve) => { server.close(resolve); });
    await expectRejection(call(port), 'E_UNREACHABLE', new RegExp(`cannot connect to 127\\.0\\.0\\.1:${port}: ECONNREFUSED`));
  });

  it.each([
    ['a wrong magic', Buffer.alloc(24, 0x47), /expected magic 0x418e1291/],
    ['a negative difficulty', challengeOf(-1), /got -1/],
    ['a difficulty above the limit', challengeOf(13), /0 to 12 bits, got 13/],
    ['a difficulty above 64', challengeOf(65), /got 65/],
  ])('dial: %s is E_PROTOCOL at the proof of work', async (_, bytes, message) => {
    const { port } = await answering((socket) => socket.write(bytes));
    const error = await expectRejection(call(port, { maxPowDifficulty: 12 }), 'E_PROTOCOL', message);
    expect(error.message).toContain(`proof of work with 127.0.0.1:${port} failed`);
  });

  it('dial: silence instead of a challenge', async () => {
    const { port } = await answering(() => undefined);
    await expectRejection(call(port, { timeouts: { challengeMs: 30 } }), 'E_TIMEOUT', /proof of work with .* no challenge came within 30 ms/);
  });

  it('dial: a challenge that is cut short', async () => {
    const { port } = await answering((socket) => socket.end(challengeOf(1).subarray(0, 23)));
    await expectRejection(call(port), 'E_CLOSED', /closed the connection before its proof-of-work challenge/);
  });

  it('dial: a challenge that takes too long, and a caller that gives up meanwhile', async () => {
    const { port } = await answering((socket) => socket.write(challengeOf(60)));
    const slow = { maxPowDifficulty: 64, timeouts: { solveMs: 40 } };
    await expectRejection(call(port, slow), 'E_TIMEOUT', /did not solve a challenge of 60 bits within 40 ms/);
    const controller = new AbortController();
    const dialing = call(port, { maxPowDifficulty: 64, signal: controller.signal });
    setTimeout(() => controller.abort(new NetworkError('E_CLOSED', 'user left')), 40);
    await expectRejection(dialing, 'E_CLOSED', /user left/);
  });

  it.each(['end', 'resetAndDestroy'] as const)('dial: an acceptor that leaves while the challenge is solved ends the work (%s)', async (leave) => {
    const { port } = await answering((socket) => {
      socket.write(challengeOf(60));
      setTimeout(() => socket[leave](), 5);
    });
    await expectRejection(call(port, { maxPowDifficulty: 64 }), 'E_CLOSED', /before its challenge was solved/);
  });

  it('dial: an acceptor that leaves after the proof', async () => {
    const { port } = await answering((socket) => {
      socket.write(challengeOf(0));
      socket.once('data', () => socket.resetAndDestroy());
    });
    await expectRejection(call(port), 'E_CLOSED', /closed the connection in the TLS handshake/);
  });

  it('dial: silence instead of TLS', async () => {
    const { port } = await answering((socket) => { socket.resume(); socket.write(challengeOf(0)); });
    await expectRejection(call(port, { timeouts: { tlsMs: 40 } }), 'E_TIMEOUT', /TLS handshake with 127\.0\.0\.1:\d+ did not finish within 40 ms/);
  });

  it('dial: no TLS at all', async () => {
    const { port } = await answering((socket) => socket.write(Buffer.concat([challengeOf(0), Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')])));
    await expectRejection(call(port), 'E_PROTOCOL', /TLS handshake with 127\.0\.0\.1:\d+ failed/);
  });

  it('dial: silence instead of tcp.connected', async () => {
    const { port } = await answering((socket) => {
      socket.write(challengeOf(0));
      socket.once('readable', () => {
        socket.read(12);
        void secureAsAcceptor(socket, { identity: bob, verifyPeer: verifyAny, timeoutMs: 1000, remoteAddress: 'x' });
      });
    });
    await expectRejection(call(port, { timeouts: { handshakeMs: 60 } }), 'E_TIMEOUT', /tcp\.connect with .* did not send tcp\.connected within 60 ms/);
  });

  it('dial: the verifier\'s refusal comes through unchanged', async () => {
    const { port } = await serve();
    const refusal = new AttestationError('E_NO_EVIDENCE', 'proxy shows no evidence');
    await expect(call(port, { verifyPeer: () => { throw refusal; } })).rejects.toBe(refusal);
  });

  it('dial: an acceptor that refuses this side\'s certificate is an error with a hint', async () => {
    const { port, listener } = await serve({ verifyPeer: () => { throw new AttestationError('E_NO_EVIDENCE', 'no'); } });
    const error = await call(port).then(() => null, (thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'E_CLOSED', hint: expect.stringContaining('refused the certificate') });
    await until(() => listener.counters.failed.tls === 1);
  });

  it('dial: a signal that is aborted already makes no connection', async () => {
    const { listener, port } = await serve();
    await expectRejection(call(port, { signal: AbortSignal.abort() }), 'E_CLOSED', /cancelled/);
    await sleep(20);
    expect(listener.counters.accepted).toBe(0);
  });
});

describe('listen against a wrong dialer', () => {
  it.each([
    ['a wrong magic', Buffer.concat([Buffer.from('GET / HTTP/1'), Buffer.alloc(20)])],
    ['a wrong nonce', Buffer.from(encodeProof(-1n))],
  ])('listen: %s closes without a reply and without TLS work', async (_, bytes) => {
    let asked = 0;
    const { listener, port } = await serve({ powDifficultyBits: 40, identity: () => { asked += 1; return bob; } });
    const socket = await dialTcp(cleanup, port);
    const received: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => received.push(chunk));
    socket.write(bytes);
    await gone(socket);
    expect(Buffer.concat(received)).toHaveLength(24); // the challenge
    expect(listener.counters).toMatchObject({ failed: { proof: 1, tls: 0, connect: 0 }, halfOpen: 0 });
    expect(asked).toBe(0);
  });

  it('listen: silence at each stage ends at its deadline', async () => {
    const { listener, port } = await serve({ timeouts: { proofMs: 700, tlsMs: 700, handshakeMs: 700 } });
    await gone(await dialTcp(cleanup, port));
    expect(listener.counters.failed).toEqual({ proof: 1, tls: 0, connect: 0 });
    const proven = await dialTcp(cleanup, port);
    await prove(proven);
    await gone(proven);
    expect(listener.counters.failed).toEqual({ proof: 1, tls: 1, connect: 0 });
    const secure = await dialTcp(cleanup, port);
    await prove(secure);
    const channel = await secureAsDialer(secure, { identity: alice, verifyPeer: verifyAny, timeoutMs: 1000, remoteAddress: 'x' });
    await gone(channel.socket);
    expect(listener.counters).toMatchObject({ failed: { proof: 1, tls: 1, connect: 1 }, halfOpen: 0, open: 0, established: 0 });
  });

  it.each([
    ['garbage', Buffer.alloc(500, 1)],
    ['protocol frames without TLS', Buffer.from(encodeFrame(0, encodeBoxed({ _: 'tcp.connect', id: 1n })))],
    ['TLS records of application data', Buffer.concat([Buffer.from([23, 3, 3, 0, 100]), Buffer.alloc(100, 7)])],
  ])('listen: %s instead of a ClientHello', async (_, bytes) => {
    const { listener, port } = await serve();
    const socket = await dialTcp(cleanup, port);
    await prove(socket, bytes);
    await gone(socket);
    await until(() => listener.counters.failed.tls === 1);
    await expect(call(port)).resolves.toBeDefined();
  });

  it.each([
    ['an oversized frame', Buffer.from([0, 0, 1, 1, 0, 0, 0, 0])],
    ['another first packet', Buffer.from(encodeFrame(0, encodeBoxed(coefficient(1))))],
    ['a wrong sequence number', Buffer.from(encodeFrame(3, encodeBoxed({ _: 'tcp.connect', id: 1n })))],
  ])('listen: %s inside TLS', async (_, bytes) => {
    const { listener, port, connections } = await serve();
    const socket = await dialTcp(cleanup, port);
    await prove(socket);
    const channel = await secureAsDialer(socket, { identity: alice, verifyPeer: verifyAny, timeoutMs: 1000, remoteAddress: 'x' });
    channel.socket.write(bytes);
    await gone(channel.socket);
    await until(() => listener.counters.failed.connect === 1);
    expect(connections).toEqual([]);
  });

  it('listen: a peer that leaves at any stage is forgotten', async () => {
    const { listener, port } = await serve();
    const early = await dialTcp(cleanup, port);
    early.destroy();
    const later = await dialTcp(cleanup, port);
    await prove(later);
    later.resetAndDestroy();
    await until(() => listener.counters.failed.proof + listener.counters.failed.tls === 2);
    expect(listener.counters.halfOpen).toBe(0);
  });

  it('listen: more established connections than agreed are refused, and there is room again when one ends', async () => {
    const { listener, port } = await serve({ limits: { maxConnections: 2 } });
    const first = await call(port);
    await call(port);
    await until(() => listener.counters.open === 2);
    await expectRejection(call(port), 'E_CLOSED');
    expect(listener.counters.refused).toBe(1);
    first.close();
    await until(() => listener.counters.open === 1);
    await call(port);
  });

  it('listen: one source gets its share of connections only', async () => {
    const { listener, port } = await serve({ limits: { maxConnectionsPerSource: 1 } });
    await call(port);
    await until(() => listener.counters.open === 1);
    await expectRejection(call(port), 'E_CLOSED');
    const elsewhere = await dialTcp(cleanup, port, '127.0.0.9');
    await prove(elsewhere);
    const channel = await secureAsDialer(elsewhere, { identity: alice, verifyPeer: verifyAny, timeoutMs: 1000, remoteAddress: 'x' });
    const peer = new ScriptedPeer(channel.socket);
    peer.send({ _: 'tcp.connect', id: 8n });
    expect(await peer.packet(0)).toEqual({ _: 'tcp.connected', id: 8n });
  });
});
