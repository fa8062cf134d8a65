// Whatever well-formed objects a peer sends, in whatever order: no session end crashes, hangs, or leaves a request or a timer
// behind when the connection is gone.
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { Connection, TlPacket } from '../../src/wire/connection.ts';
import { acceptClient } from '../../src/wire/client-acceptor.ts';
import { openClientSession } from '../../src/wire/client-session.ts';
import { decodeBoxed, encodeBoxed } from '../../src/wire/tl/codec.ts';
import type { TlFunction } from '../../src/wire/tl/types.ts';
import { acceptWorker } from '../../src/wire/worker-acceptor.ts';
import { openWorkerSession } from '../../src/wire/worker-session.ts';
import type { FakeConnection } from '../fakes/connection-pair.ts';
import { connectionPair } from '../fakes/connection-pair.ts';
import { manualTimers, settle } from '../fakes/manual-timers.ts';
import type { ManualTimers } from '../fakes/manual-timers.ts';
import {
  clientAcceptorOptions, clientGate, clientOptions, clientPort, countingRandom, HEAD, QUERY, workerAcceptorOptions, workerGate, workerOptions, workerPort,
} from '../fakes/session-ports.ts';
import { anyFunction, anyPacket } from '../fakes/tl-arbitrary.ts';

interface Message { readonly asQuery: boolean; readonly object: TlPacket }

const messages = fc.array(fc.oneof(
  anyPacket.map((object): Message => ({ asQuery: false, object })), anyFunction.map((object): Message => ({ asQuery: true, object })),
), { maxLength: 12 });

/** An honest handshake is sent first for so many steps; afterwards the peer says anything. */
const steps = fc.integer({ min: 0, max: 4 });

const CONNECT_CLIENT: TlFunction = {
  _: 'client.connectToProxy', min_config_version: 3, params: { _: 'client.params', flags: 3, client_owner_address: 'o', is_test: true, min_proto_version: 1, max_proto_version: 5 },
};
const CONNECT_WORKER: TlFunction = { _: 'worker.connectToProxy', params: {
  _: 'worker.params', flags: 3, worker_owner_address: 'o', model: 'm', coefficient: 1, is_test: true, proxy_cnt: 1, max_active_requests: 2, min_proto_version: 1, max_proto_version: 5,
} };
const CLIENT_STEPS: TlFunction[] = [CONNECT_CLIENT, { _: 'client.authorizeWithProxyLong' }];
const WORKER_STEPS: TlFunction[] = [
  CONNECT_WORKER, { _: 'worker.compareBalanceWithProxy', tokens_committed_to_blockchain: 0n, tokens_committed_to_db: 0n, max_tokens: 0n },
  { _: 'worker.proxyHandshakeComplete', is_disabled: false },
];

/** Requests run until they are told to stop. */
const untilAborted = async (_request: unknown, sink: { head(head: typeof HEAD): Promise<void> }, signal: AbortSignal): Promise<void> => {
  await sink.head(HEAD);
  if (!signal.aborted) await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
};

/** Says everything, breaks the connection, and expects that nothing is left of it. */
async function say(peer: FakeConnection, all: readonly Message[], timers: ManualTimers, end: Connection): Promise<void> {
  for (const { asQuery, object } of all) {
    if (asQuery) peer.query(object as TlFunction, { timeoutMs: 1000 }).catch(() => undefined);
    else peer.send(object).catch(() => undefined);
    await settle();
  }
  peer.cut();
  await end.closed;
  await timers.advance(0);
  await settle();
  await timers.advance(2_000); // what a peer's own query still waits for
  expect(timers.pending).toBe(0);
}

const RUNS = { numRuns: 150 };

describe('anyPacket', () => {
  it('is made of objects that survive the codec', () => {
    fc.assert(fc.property(fc.oneof(anyPacket, anyFunction), (object) => {
      expect(decodeBoxed(encodeBoxed(object))).toEqual(object);
    }), { numRuns: 300 });
  });
});

describe('any messages', () => {
  it('acceptClient', async () => {
    await fc.assert(fc.asyncProperty(steps, messages, async (honest, all) => {
      const timers = manualTimers();
      const pair = connectionPair({ timers });
      pair.dialer.handle({ onQuery: () => new Promise(() => undefined), onPacket: () => undefined });
      const link = acceptClient(pair.acceptor, clientGate({ run: untilAborted }), { ...clientAcceptorOptions, timers });
      for (const step of CLIENT_STEPS.slice(0, honest)) await pair.dialer.query(step, { timeoutMs: 1000 });
      await say(pair.dialer, all, timers, pair.acceptor);
      expect([link.state, link.runningRequests]).toEqual(['closed', 0]);
    }), RUNS);
  });

  it('acceptWorker', async () => {
    await fc.assert(fc.asyncProperty(steps, messages, async (honest, all) => {
      const timers = manualTimers();
      const pair = connectionPair({ timers });
      pair.dialer.handle({ onQuery: () => new Promise(() => undefined), onPacket: () => undefined });
      const link = acceptWorker(pair.acceptor, workerGate(), { ...workerAcceptorOptions, timers, random: countingRandom() });
      for (const step of WORKER_STEPS.slice(0, honest)) await pair.dialer.query(step, { timeoutMs: 1000 });
      await settle();
      const finals: number[] = [];
      const sink = () => {
        const at = finals.push(0) - 1;
        const final = async () => {
          finals[at] = (finals[at] ?? 0) + 1;
        };
        return { head: async () => undefined, part: async () => undefined, end: final, fail: final };
      };
      const request = { query: QUERY, signedPayment: null, coefficient: 1, timeoutMs: 60_000, enableDebug: false };
      const running = link.state === 'ready' ? [1, 2, 3].map(() => link.run(request, sink(), new AbortController().signal)) : [];
      await say(pair.dialer, all, timers, pair.acceptor);
      await Promise.all(running);
      expect(finals).toEqual(running.map(() => 1));
      expect([link.state, link.runningRequests]).toEqual(['closed', 0]);
    }), RUNS);
  });

  it('openClientSession', async () => {
    await fc.assert(fc.asyncProperty(messages, async (all) => {
      const timers = manualTimers();
      const pair = connectionPair({ timers });
      acceptClient(pair.acceptor, clientGate({ run: () => new Promise(() => undefined) }), { ...clientAcceptorOptions, timers });
      const session = await openClientSession(pair.dialer, clientPort(), { ...clientOptions, timers, random: countingRandom() });
      const results = Promise.allSettled([1, 2, 3].map(async () => {
        const kinds: string[] = [];
        for await (const { kind } of session.ask({ model: 'm', query: QUERY, maxCoefficient: 1, maxTokens: 1, timeoutMs: 60_000 })) kinds.push(kind);
        return kinds;
      }));
      await settle();
      await say(pair.acceptor, all, timers, pair.dialer);
      for (const result of await results) {
        if (result.status === 'fulfilled') expect(result.value.at(-1)).toBe('end');
        else expect(result.reason).toMatchObject({ code: expect.stringMatching(/^E_(REMOTE|CLOSED|PROTOCOL|TIMEOUT)$/) });
      }
      expect(session.runningRequests).toBe(0);
    }), RUNS);
  });

  it('openWorkerSession', async () => {
    await fc.assert(fc.asyncProperty(messages, async (all) => {
      const timers = manualTimers();
      const pair = connectionPair({ timers });
      acceptWorker(pair.acceptor, workerGate(), { ...workerAcceptorOptions, timers });
      const session = await openWorkerSession(pair.dialer, workerPort({ run: untilAborted }), { ...workerOptions, timers });
      await settle();
      await say(pair.acceptor, all, timers, pair.dialer);
      expect(session.runningRequests).toBe(0);
    }), RUNS);
  });

  it('as answers to the handshake of a client and of a worker', async () => {
    await fc.assert(fc.asyncProperty(fc.array(anyPacket, { maxLength: 4 }), fc.boolean(), async (answers, worker) => {
      const timers = manualTimers();
      const pair = connectionPair({ timers });
      const left = [...answers];
      pair.acceptor.handle({
        onQuery: async () => left.shift() as never ?? new Promise<never>(() => undefined),
        onPacket: () => undefined,
      });
      const opening = worker ? openWorkerSession(pair.dialer, workerPort(), { ...workerOptions, timers }) : openClientSession(pair.dialer, clientPort(), { ...clientOptions, timers });
      const outcome = opening.then(() => 'open', (error: unknown) => (error as { code: string }).code);
      await settle();
      await timers.advance(300_000);
      expect(await outcome).toMatch(/^(open|E_PROTOCOL|E_TIMEOUT|E_REMOTE|E_CLOSED)$/);
      pair.dialer.close();
      await pair.dialer.closed;
      await settle();
      expect(timers.pending).toBe(0);
    }), RUNS);
  });
});
