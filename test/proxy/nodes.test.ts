// Choice of a node, its share of capacity, and the texts that peers are told (WIRE.md sections 10, 11 and 17).
import { describe, expect, it } from '@jest/globals';
import { RemoteError } from '../../src/core/errors.ts';
import { NodeRegistry, baseName } from '../../src/proxy/nodes.ts';
import type { Node } from '../../src/proxy/nodes.ts';
import type { WorkerAccount } from '../../src/proxy/accounts.ts';
import type { WorkerHello, WorkerLink } from '../../src/wire/worker-acceptor.ts';

const account = {} as WorkerAccount;

interface Given { model?: string; capacity?: number; proxies?: number; price?: number; running?: number; enabled?: boolean; state?: WorkerLink['state'] }

function add(registry: NodeRegistry, { model = 'm@c:v', capacity = 4, proxies = 1, price = 1_000, running = 0, enabled = true, state = 'ready' }: Given = {}): Node {
  const hello: WorkerHello = { ownerAddress: 'o', model, coefficient: price, proxyCount: proxies, maxActiveRequests: capacity, version: 5, machineDescription: null };
  const node = registry.add(hello, { state } as WorkerLink, account);
  return Object.assign(node, { running, enabled });
}

const refusal = (choose: () => unknown): { remoteCode: number; remoteMessage: string } => {
  try {
    choose();
  } catch (error) {
    if (error instanceof RemoteError) return { remoteCode: error.remoteCode, remoteMessage: error.remoteMessage };
  }
  throw new Error('expected a RemoteError');
};

describe('NodeRegistry', () => {
  it('choose: the smallest share of the capacity in use wins, not the smallest number', () => {
    const registry = new NodeRegistry();
    add(registry, { capacity: 2, running: 1 });
    const large = add(registry, { capacity: 10, running: 3 });
    expect(registry.choose('m', 1_000)).toBe(large);
  });

  it('choose: equals take turns, whoever waited longest first', () => {
    const registry = new NodeRegistry();
    const nodes = [add(registry), add(registry), add(registry)];
    const chosen = Array.from({ length: 6 }, () => registry.choose('m', 1_000));
    expect(chosen.map((node) => nodes.indexOf(node))).toEqual([0, 1, 2, 0, 1, 2]);
  });

  it('choose: the price is a limit and no more', () => {
    const registry = new NodeRegistry();
    const cheap = add(registry, { price: 100, running: 1 });
    const dear = add(registry, { price: 2_000 });
    expect(registry.choose('m', 2_000)).toBe(dear);
    expect(registry.choose('m', 1_999)).toBe(cheap);
    expect(refusal(() => registry.choose('m', 99))).toEqual({ remoteCode: 651, remoteMessage: 'can run this query with coefficient=100' });
  });

  it('choose: full, disabled and closing nodes are passed over', () => {
    const registry = new NodeRegistry();
    add(registry, { running: 4 });
    add(registry, { enabled: false });
    add(registry, { state: 'closed' });
    add(registry, { state: 'finishing' });
    expect(refusal(() => registry.choose('m', 1_000))).toEqual({ remoteCode: 651, remoteMessage: 'no ready workers for model m' });
    const free = add(registry, { running: 3 });
    expect(registry.choose('m', 1_000)).toBe(free);
  });

  it('choose: a model never seen, and one whose nodes have gone', () => {
    const registry = new NodeRegistry();
    expect(refusal(() => registry.choose('m', 1_000))).toEqual({ remoteCode: 621, remoteMessage: 'unknown model m' });
    registry.remove(add(registry));
    expect(refusal(() => registry.choose('m', 1_000))).toEqual({ remoteCode: 651, remoteMessage: 'no workers for model m' });
    for (const name of ['__proto__', 'constructor', '']) expect(refusal(() => registry.choose(name, 1)).remoteCode).toBe(621);
  });

  it('add: several proxies share the capacity, rounded up', () => {
    const registry = new NodeRegistry();
    expect([[10, 1], [10, 3], [1, 4], [2_147_483_647, 1]].map(([capacity, proxies]) => add(registry, { capacity: capacity ?? 0, proxies: proxies ?? 1 }).capacity))
      .toEqual([10, 4, 1, 2_147_483_647]);
  });

  it('add: the number of model names is bounded', () => {
    const registry = new NodeRegistry();
    for (let i = 0; i < 10_000; i += 1) add(registry, { model: `m${i}` });
    expect(refusal(() => add(registry, { model: 'one more' }))).toEqual({ remoteCode: 651, remoteMessage: 'too many models' });
    expect(add(registry, { model: 'm7' }).model).toBe('m7');
  });

  it('types: enabled nodes by base name; a model stays listed without nodes', () => {
    const registry = new NodeRegistry();
    add(registry, { model: 'a@1:x', price: 7, running: 2 });
    add(registry, { model: 'a@2:y', enabled: false });
    registry.remove(add(registry, { model: 'b' }));
    expect(registry.types()).toEqual([{ model: 'a', workers: [{ coefficient: 7, activeRequests: 2, maxActiveRequests: 4 }] }, { model: 'b', workers: [] }]);
    expect([...registry.all()]).toHaveLength(2);
    expect(['a@b@c', '@x', ''].map(baseName)).toEqual(['a', '', '']);
  });
});
