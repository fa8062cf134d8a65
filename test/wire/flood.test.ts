// Ten thousand half-open connections (defect 12 of WIRE.md section 20): what they cost is bounded, and an established and
// a new peer are served meanwhile. Flooding sources are 127.0.0.2 … where the machine has them, else the honest peer's own.
import { createConnection } from 'node:net';
import type { Socket } from 'node:net';
import { networkInterfaces, platform } from 'node:os';
import { afterEach, describe, expect, it } from '@jest/globals';
import { silentLog } from '../../src/core/log.ts';
import type { Connection } from '../../src/wire/connection.ts';
import { dial } from '../../src/wire/dial.ts';
import { listen } from '../../src/wire/listen.ts';
import { decodeChallenge, encodeProof, solveProof } from '../../src/wire/pow.ts';
import { heldBytes } from '../fakes/held-memory.ts';
import { Cleanup, makeIdentity, until, verifyAny } from './peers.ts';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const FLOOD = 10_000;
const BATCH = 250;
const LIMITS = { maxUnproven: 300, maxUnprovenPerSource: 100, maxProven: 20, maxProvenPerSource: 10 };
const MEGABYTE = 1024 * 1024;

/** On Linux the whole of 127.0.0.0/8 is local. */
const hasManyLoopbacks = platform() === 'linux' && networkInterfaces()['lo'] !== undefined;

/** A connection that holds its place: silent, or with half a proof. Resolves when it is made or refused. */
function hold(port: number, index: number, open: Set<Socket>): Promise<Socket> {
  const localAddress = hasManyLoopbacks ? `127.0.0.${2 + (index % 50)}` : '127.0.0.1';
  const socket = createConnection({ port, host: '127.0.0.1', localAddress });
  open.add(socket);
  socket.on('error', () => undefined);
  socket.on('close', () => open.delete(socket));
  return new Promise((resolve) => {
    socket.once('close', () => resolve(socket));
    socket.once('connect', () => {
      if (index % 2 === 0) socket.write(encodeProof(0n).subarray(0, 6));
      resolve(socket);
    });
  });
}

describe('flood', () => {
  it('listen: ten thousand half-open connections leave memory bounded and others served', async () => {
    const [alice, bob] = await Promise.all([makeIdentity(), makeIdentity()]);
    const listener = await listen({
      host: '127.0.0.1', port: 0, identity: () => bob, verifyPeer: verifyAny, powDifficultyBits: 8, limits: LIMITS, log: silentLog,
      onConnection: (connection) => connection.handle({ onPacket() {}, onQuery: async () => ({ _: 'client.workerTypes', types: [] }) }),
    });
    cleanup.add(listener, () => listener.close());
    const open = new Set<Socket>();
    cleanup.add(open, () => { for (const socket of open) socket.destroy(); });
    const connect = async (): Promise<Connection> => {
      const connection = await dial({ host: '127.0.0.1', port: listener.address.port, identity: alice, verifyPeer: verifyAny });
      return cleanup.add(connection, async () => { connection.close(); await connection.closed; });
    };
    const ask = (connection: Connection): Promise<unknown> => connection.query({ _: 'client.getWorkerTypes' }, { timeoutMs: 5000 });

    const established = await connect();
    let before = 0;
    let mostHalfOpen = 0;
    for (let made = 0; made < FLOOD; made += BATCH) {
      const batch = Array.from({ length: BATCH }, async (_, i) => (await hold(listener.address.port, made + i, open)).resume());
      // In the middle of each batch the established peer is answered; in every tenth a new one gets in.
      await ask(established);
      if (made % (10 * BATCH) === 0) await ask(await connect());
      await Promise.all(batch);
      mostHalfOpen = Math.max(mostHalfOpen, listener.counters.halfOpen);
      if (made === 2 * BATCH) before = await heldBytes(); // every place is taken by now
    }
    await until(() => listener.counters.accepted >= FLOOD, 60_000);
    await until(() => open.size <= LIMITS.maxUnproven, 60_000);
    const growth = (await heldBytes()) - before;

    expect(mostHalfOpen).toBeLessThanOrEqual(LIMITS.maxUnproven + LIMITS.maxProven);
    expect(listener.counters.evicted).toBeGreaterThan(FLOOD - LIMITS.maxUnproven - BATCH);
    expect(growth / MEGABYTE).toBeLessThan(100);
    expect(await ask(await connect())).toEqual({ _: 'client.workerTypes', types: [] });
  }, 120_000);

  it('listen: peers that prove their work and then stay silent are bounded too', async () => {
    const [alice, bob] = await Promise.all([makeIdentity(), makeIdentity()]);
    const listener = await listen({
      host: '127.0.0.1', port: 0, identity: () => bob, verifyPeer: verifyAny, powDifficultyBits: 2, limits: LIMITS, log: silentLog, onConnection() {},
    });
    cleanup.add(listener, () => listener.close());
    const open = new Set<Socket>();
    cleanup.add(open, () => { for (const socket of open) socket.destroy(); });
    let most = 0;
    for (let i = 0; i < 100; i++) {
      const socket = await hold(listener.address.port, 2 * i + 1, open);
      const challenge = decodeChallenge(await new Promise<Buffer>((resolve) => { socket.once('data', resolve); }));
      socket.write(encodeProof(await solveProof(challenge)));
      most = Math.max(most, listener.counters.halfOpen);
    }
    await until(() => listener.counters.evicted >= 100 - LIMITS.maxProven - 1);
    expect(most).toBeLessThanOrEqual(LIMITS.maxProven + 2);
    const connection = await dial({ host: '127.0.0.1', port: listener.address.port, identity: alice, verifyPeer: verifyAny });
    connection.close();
    await connection.closed;
  });
});
