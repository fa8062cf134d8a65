// Who leaves frees what was reserved for them: one request, a client with all of its requests, a slow reader. And limits of time.
import { afterEach, describe, expect, it } from '@jest/globals';
import { InterruptedError } from '../../src/core/errors.ts';
import { sleep } from '../../src/core/retry.ts';
import { ask, startTestNetwork, until } from '../fakes/network.ts';
import { encodeBoxed } from '../../src/wire/tl/codec.ts';
import type { TestNetwork } from '../fakes/network.ts';
import { heldBytes } from '../fakes/held-memory.ts';

let network: TestNetwork;
afterEach(() => network.close());

const ENDLESS = { pieces: Array.from({ length: 10_000 }, () => 'x'), pieceDelayMs: 5 };
const MEGABYTE = 1024 * 1024;

/** The same piece `length` times; tells the number of the one that is asked for. */
const counted = (length: number, piece: string, asked: (n: number) => void): readonly string[] => new Proxy<string[]>([], {
  get(target, key, receiver) {
    if (key === 'length') return length;
    if (typeof key !== 'string' || !/^\d+$/.test(key)) return Reflect.get(target, key, receiver);
    asked(Number(key));
    return piece;
  },
});

describe('network: cancellation', () => {
  it('abort: one request stops at the engine at once, its slot is free, the others go on', async () => {
    network = await startTestNetwork({ nodes: [] });
    const { engine } = await network.startNode({ engine: { ...ENDLESS, sequences: 2, contextSize: 100_000 } });
    const client = await network.connect();
    const controller = new AbortController();
    let abortedMs = 0;
    const other = new AbortController();
    const goesOn = ask(client, {}, { signal: other.signal });
    const { error } = await ask(client, {}, {
      signal: controller.signal,
      onPiece: (_, count) => {
        if (count !== 5) return;
        abortedMs = performance.now();
        controller.abort(new InterruptedError('E_INTERRUPTED', 'interrupted'));
      },
    });
    expect(error).toMatchObject({ code: 'E_INTERRUPTED' });
    await until(() => engine.cancelled === 1);
    expect(performance.now() - abortedMs).toBeLessThan(10_000);
    await until(() => network.proxy.status().nodes[0]?.running === 1);
    expect(engine.running).toBe(1);
    const third = new AbortController();
    const next = await ask(client, {}, { signal: third.signal, onPiece: (_, count) => { if (count === 2) third.abort(); } });
    expect(next.pieces).toHaveLength(2);
    other.abort();
    expect((await goesOn).pieces.length).toBeGreaterThan(2);
  });

  it('leaving the loop cancels as an abort does', async () => {
    network = await startTestNetwork({ nodes: [] });
    const { engine } = await network.startNode({ engine: { ...ENDLESS, contextSize: 100_000 } });
    const { session } = await network.connect();
    const query = encodeBoxed({
      _: 'http.request', method: 'POST', url: '/v1/chat/completions', http_version: 'HTTP/1.1', headers: [],
      payload: Buffer.from('{"model":"instant","stream":true,"messages":[{"role":"user","content":"hi"}]}'),
    });
    for await (const event of session.ask({ model: 'instant', query, maxCoefficient: 4_000, maxTokens: 100, timeoutMs: 5_000 })) {
      if (event.kind === 'part') break;
    }
    await until(() => engine.cancelled === 1);
    await until(() => network.proxy.status().nodes[0]?.running === 0);
  });

  it.each([5, 4])('a client whose connection breaks takes all its requests with it (nodes of version %i)', async (max) => {
    network = await startTestNetwork({ nodes: [] });
    const { engine } = await network.startNode({ versions: { min: 0, max }, engine: { ...ENDLESS, contextSize: 100_000 } });
    const forwarder = await network.forward(network.clientPort);
    const client = await network.connect({ proxies: [forwarder] });
    let begun = 0;
    const asked = [1, 2, 3].map(() => ask(client, {}, { timeoutMs: 1_000, onPiece: (_, count) => { begun += count === 1 ? 1 : 0; } }));
    await until(() => begun === 3);
    forwarder.cut();
    for (const { error } of await Promise.all(asked)) expect(error).toMatchObject({ code: 'E_CLOSED' });
    // Before version 5 a node cannot be told: it works on until its deadline.
    await until(() => engine.cancelled === 3, 10_000);
    await until(() => network.proxy.status().nodes[0]?.running === 0, 7_000);
  });

  it('a client that does not read holds up its own answer only, and memory stays bounded', async () => {
    network = await startTestNetwork({ nodes: [] });
    const piece = 'y'.repeat(64 * 1024);
    let made = 0;
    const flood = await network.startNode({ model: 'flood', engine: { pieces: counted(4_000, piece, (n) => { made = n; }), contextSize: 100_000 } });
    await network.startNode();
    const forwarder = await network.forward(network.clientPort);
    const slow = await network.connect({ proxies: [forwarder] });
    const quick = await network.connect();
    await heldBytes();
    const before = await heldBytes();
    const asked = ask(slow, { model: 'flood' }, { timeoutMs: 6_000, onPiece: (_, count) => { if (count === 1) forwarder.hold(true); } });
    let madeBefore = -1;
    // Until the engine has stood still for a while: what is on its way between the processes fills up first.
    while (made === 0 || made !== madeBefore) {
      madeBefore = made;
      const { answer, error } = await ask(quick);
      expect(answer?.text ?? error).toBe('Hello there.');
      await sleep(400);
    }
    expect((await heldBytes() - before) / MEGABYTE).toBeLessThan(64);
    expect(made).toBeLessThan(1_500); // of 4000: the engine waits too
    expect(String((await asked).error)).toMatch(/not complete after 6000 ms/);
    await until(() => flood.engine.running === 0);
    expect(flood.engine.cancelled).toBe(1);
  });

  it('time-out: a request that takes too long fails as late, and the engine is stopped', async () => {
    network = await startTestNetwork({ nodes: [] });
    const { engine } = await network.startNode({ engine: { ...ENDLESS, firstDelayMs: 60_000 } });
    const startedMs = performance.now();
    const { error } = await ask(await network.connect(), {}, { timeoutMs: 300 });
    expect(error).toMatchObject({ code: 'E_TIMEOUT' });
    const took = performance.now() - startedMs;
    expect(took).toBeGreaterThan(200);
    expect(took).toBeLessThan(20_000); // not the 60 s of the engine
    await until(() => engine.cancelled === 1);
    await until(() => network.proxy.status().nodes[0]?.running === 0);
  });

  it('time-out: in mid-answer it is an error too, never an end', async () => {
    network = await startTestNetwork({ nodes: [{ engine: { ...ENDLESS, contextSize: 100_000 } }] });
    const { error, answer, pieces } = await ask(await network.connect(), {}, { timeoutMs: 1_500 });
    expect(pieces.length).toBeGreaterThan(5);
    expect(answer).toBeNull();
    expect(error).toMatchObject({ code: 'E_TIMEOUT' });
  });
});
