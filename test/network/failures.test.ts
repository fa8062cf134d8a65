// Parts that fail or vanish in the middle of a request: the others get a clear error at once, nothing incomplete looks
// complete, and the next request works when the part is back.
import { afterEach, describe, expect, it } from '@jest/globals';
import { EngineError } from '../../src/core/errors.ts';
import { ask, startTestNetwork, until } from '../fakes/network.ts';
import type { TestNetwork } from '../fakes/network.ts';

let network: TestNetwork;
afterEach(() => network.close());

const SLOW = { pieces: Array.from({ length: 1_000 }, () => 'x'), pieceDelayMs: 10, contextSize: 100_000 };

/** Runs `act` after the third piece; how the request ended and how long after that. */
async function interrupted(client: Awaited<ReturnType<TestNetwork['connect']>>, act: () => unknown) {
  let actedMs = 0;
  const asked = await ask(client, {}, {
    onPiece: async (_, count) => {
      if (count !== 3) return;
      actedMs = performance.now();
      await act();
    },
  });
  return { ...asked, afterMs: performance.now() - actedMs };
}

describe('network: failures', () => {
  it('a node that vanishes in mid-answer: the client knows at once; the next request works with another node', async () => {
    network = await startTestNetwork({ nodes: [] });
    const way = await network.forward(network.workerPort);
    await network.startNode({ proxies: [way], engine: SLOW });
    const client = await network.connect();
    const { error, answer, pieces, afterMs } = await interrupted(client, () => way.cut());
    expect(answer).toBeNull();
    expect(error).toMatchObject({ code: 'E_CLOSED' });
    expect(String(error)).toMatch(/lost the node/);
    expect(pieces.length).toBeLessThan(20);
    expect(afterMs).toBeLessThan(5_000);
    // The node has dialled again by itself; the client's connection is the same.
    await until(() => network.proxy.status().nodes.some(({ enabled }) => enabled));
    expect((await ask(client, { maxTokens: 3 })).answer?.text).toBe('xxx');
  });

  it('a node that vanishes before its answer begins is an error of the connection too', async () => {
    network = await startTestNetwork({ nodes: [] });
    const way = await network.forward(network.workerPort);
    const { engine } = await network.startNode({ proxies: [way], engine: { firstDelayMs: 60_000 } });
    const asked = ask(await network.connect());
    await until(() => engine.running === 1);
    way.cut();
    expect((await asked).error).toMatchObject({ code: 'E_CLOSED' });
    await until(() => engine.cancelled === 1);
  });

  it('a node that is stopped in mid-answer says so; without a node the next request is refused with exit code 14', async () => {
    network = await startTestNetwork({ nodes: [] });
    const node = await network.startNode({ engine: SLOW });
    const client = await network.connect();
    const { error, answer, afterMs } = await interrupted(client, () => void node.close());
    expect(answer).toBeNull();
    expect(error).toMatchObject({ code: 'E_CLOSED' });
    expect(afterMs).toBeLessThan(5_000);
    expect(node.engine.cancelled).toBe(1);
    await until(() => network.proxy.status().nodes.length === 0);
    expect((await ask(client)).error).toMatchObject({ code: 'E_NO_NODE', exitCode: 14 });
  });

  it('a proxy that vanishes in mid-answer: client and node notice at once, and both are served by the next one', async () => {
    network = await startTestNetwork({ nodes: [] });
    const toClients = await network.forward(network.clientPort);
    const toNodes = await network.forward(network.workerPort);
    const node = await network.startNode({ proxies: [toNodes], engine: SLOW });
    const told: boolean[] = [];
    node.watch((connected) => told.push(connected));
    const { error, answer, afterMs } = await interrupted(await network.connect({ proxies: [toClients] }), () => {
      toClients.cut();
      toNodes.cut();
      void network.stopProxy();
    });
    expect(answer).toBeNull();
    expect(error).toMatchObject({ code: 'E_CLOSED' });
    expect(afterMs).toBeLessThan(5_000);
    await until(() => node.engine.cancelled === 1);
    expect(told).toEqual([false]);
    await expect(network.connect({ timeoutMs: 500 })).rejects.toMatchObject({ exitCode: 6 });
    await network.stopProxy();
    await network.startProxy();
    await until(() => told.length === 2);
    expect(told).toEqual([false, true]);
    await until(() => network.proxy.status().nodes.some(({ enabled }) => enabled));
    expect((await ask(await network.connect({ proxies: [toClients] }), { maxTokens: 2 })).answer?.text).toBe('xx');
  });

  it('a proxy that is stopped in order ends running requests as incomplete', async () => {
    network = await startTestNetwork({ nodes: [{ engine: SLOW }] });
    const { error, answer, afterMs } = await interrupted(await network.connect(), () => void network.stopProxy());
    expect(answer).toBeNull();
    expect(error).toMatchObject({ code: 'E_CLOSED' });
    expect(afterMs).toBeLessThan(5_000);
  });

  it.each([
    ['before the head', 0, { code: 'E_ENGINE', exitCode: 10 }],
    ['after the head', 2, { code: 'E_ENGINE', exitCode: 10 }],
    ['after the last piece', 3, { code: 'E_ENGINE', exitCode: 10 }],
  ])('an engine that fails %s: the client is told, the node goes on', async (_, piece, expected) => {
    network = await startTestNetwork({ nodes: [] });
    await network.startNode({ model: 'sick', engine: { failAt: { piece, error: new EngineError('E_ENGINE', 'out of memory') } } });
    const client = await network.connect();
    const { error, answer, pieces } = await ask(client, { model: 'sick' });
    expect(answer).toBeNull();
    expect(pieces.join('')).toBe(['Hello', ' there', '.'].slice(0, piece).join(''));
    expect(error).toMatchObject(expected);
    expect(String(error)).toMatch(/out of memory/);
    await until(() => network.proxy.status().nodes[0]?.running === 0);
    expect((await ask(client, { model: 'sick' })).error).toMatchObject(expected); // answered again, not hung
  });

  it('an engine that throws what is no error of ours tells nothing of it', async () => {
    network = await startTestNetwork({ nodes: [{ engine: { failAt: { piece: 1, error: new TypeError('secret of the prompt') } } }] });
    const { error } = await ask(await network.connect());
    expect(error).toMatchObject({ code: 'E_ENGINE' });
    expect(String(error)).not.toMatch(/secret/);
  });

  it('refusals: unknown model 7, too long 10, too expensive 14, busy 14, disabled 14, nonsense 2', async () => {
    network = await startTestNetwork({ nodes: [] });
    const client = await network.connect();
    expect((await ask(client, { model: 'nobody' })).error).toMatchObject({ code: 'E_NOT_FOUND', exitCode: 7 });
    const node = await network.startNode({ price: 5_000, engine: { ...SLOW, sequences: 1, contextSize: 50 } });
    expect((await ask(client)).error).toMatchObject({ code: 'E_NO_NODE', exitCode: 14 });
    expect(String((await ask(client)).error)).toMatch(/coefficient=5000/);
    const max = { maxCoefficient: 6_000 };
    expect((await ask(client, { prompt: 'word '.repeat(60) }, max)).error).toMatchObject({ code: 'E_CONTEXT_LENGTH', exitCode: 10 });
    expect((await ask(client, { topP: 7 }, max)).error).toMatchObject({ code: 'E_REQUEST', exitCode: 2 });
    const running = ask(client, { maxTokens: 40 }, max);
    await until(() => node.engine.running === 1);
    expect((await ask(client, {}, max)).error).toMatchObject({ code: 'E_NO_NODE', exitCode: 14 });
    expect((await running).answer?.finishReason).toBe('length');
    const state = [...node.states().values()][0];
    if (state?.kind !== 'ready') throw new Error('not ready');
    await state.session.setDisabled(true);
    await until(() => network.proxy.status().nodes[0]?.enabled === false);
    expect((await ask(client, {}, max)).error).toMatchObject({ code: 'E_NO_NODE', exitCode: 14 });
    await state.session.setDisabled(false);
    await until(() => network.proxy.status().nodes[0]?.enabled === true);
    expect((await ask(client, { maxTokens: 1 }, max)).answer?.text).toBe('x');
  });

  it('connectToProxy: a silent proxy takes its share of the time only', async () => {
    network = await startTestNetwork();
    const silent = await network.forward(network.clientPort);
    silent.hold(true);
    const startedMs = performance.now();
    const client = await network.connect({ proxies: [silent, { host: '127.0.0.1', port: 1 }, network.clientPort], timeoutMs: 6_000 });
    expect(performance.now() - startedMs).toBeLessThan(5_500);
    expect((await ask(client)).answer?.text).toBe('Hello there.');
    await expect(network.connect({ proxies: [silent], timeoutMs: 200 })).rejects.toMatchObject({ code: 'E_TIMEOUT' });
    await expect(network.connect({ proxies: [] })).rejects.toMatchObject({ code: 'E_UNREACHABLE' });
    await expect(network.connect({ proxies: [silent], signal: AbortSignal.timeout(50) })).rejects.toMatchObject({ code: 'E_CLOSED' });
  });
});
