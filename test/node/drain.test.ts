// What the operator changes while a node runs: it takes no more work and finishes what it has, and its price and capacity are told
// to the proxies without losing a request.
import { afterEach, describe, expect, it } from '@jest/globals';
import { ask, startTestNetwork, until } from '../fakes/network.ts';
import { createMeter } from '../../src/node/daemon/meter.ts';
import type { TestNetwork, TestNode } from '../fakes/network.ts';

let network: TestNetwork | null = null;
afterEach(async () => {
  await network?.close();
  network = null;
});

async function withNode(engine: Parameters<TestNetwork['startNode']>[0] = {}): Promise<{ network: TestNetwork; node: TestNode }> {
  network = await startTestNetwork({ nodes: [] });
  return { network, node: await network.startNode(engine) };
}

describe('RunningNode.setDraining', () => {
  it('what runs is finished, nothing new is sent, and after `false` it is', async () => {
    const { network: net, node } = await withNode({ engine: { pieces: Array.from({ length: 20 }, () => 'x'), pieceDelayMs: 20, sequences: 2 } });
    const client = await net.connect();
    const running = ask(client);
    await until(() => node.engine.running === 1);
    node.setDraining(true);
    await until(() => net.proxy.status().nodes.every(({ enabled }) => !enabled));
    expect((await ask(client)).error).toMatchObject({ code: 'E_NO_NODE' });
    expect(await running).toMatchObject({ error: null, pieces: { length: 20 } });
    expect([node.running, node.engine.requests.length]).toEqual([0, 1]);
    node.setDraining(false);
    await until(() => net.proxy.status().nodes.every(({ enabled }) => enabled));
    expect(await ask(client)).toMatchObject({ error: null });
  }, 20_000);

  it('a proxy that comes back is told that the node is drained', async () => {
    const { network: net, node } = await withNode();
    node.setDraining(true);
    await net.stopProxy();
    await net.startProxy();
    await until(() => net.proxy.status().nodes.length === 1 && node.connections()[0]?.state.kind === 'ready');
    expect(net.proxy.status().nodes[0]?.enabled).toBe(false);
    expect(node.connections()[0]).toMatchObject({ state: { kind: 'ready' }, peer: { evidence: 'simulated' } });
    expect(await node.connections()[0]?.ping()).toBeGreaterThan(0);
  }, 20_000);
});

describe('RunningNode.setPrice and setCapacity', () => {
  it('a price is told at once; a capacity when nothing runs, and never more than the engine has', async () => {
    const { network: net, node } = await withNode({ engine: { pieces: Array.from({ length: 10 }, () => 'x'), pieceDelayMs: 20, sequences: 4 } });
    const client = await net.connect();
    const running = ask(client);
    await until(() => node.engine.running === 1);
    node.setPrice(1_700);
    node.setCapacity(2);
    expect(await running).toMatchObject({ error: null });
    await until(() => net.proxy.status().nodes.some(({ capacity }) => capacity === 2));
    expect(net.proxy.status().nodes).toHaveLength(1);
    expect(() => node.setCapacity(5)).toThrow(RangeError);
    expect(() => node.setCapacity(0)).toThrow(RangeError);
  }, 20_000);
});

describe('RequestMeter of a node', () => {
  it('hears how each request ended and what was counted', async () => {
    const clock = { now: () => Date.now() };
    const meter = createMeter(clock);
    network = await startTestNetwork({ nodes: [] });
    const node = await network.startNode({ engine: { pieces: ['a', 'b', 'c'], pieceDelayMs: 5, sequences: 2 }, meter });
    const client = await network.connect();
    expect(await ask(client)).toMatchObject({ error: null });
    await until(() => meter.view().answered === 1);
    expect(meter.view()).toMatchObject({ running: 0, completion: 3, failed: 0, cancelled: 0 });
    await node.close();
  }, 20_000);
});
