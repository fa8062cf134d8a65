// Connected nodes: their share of capacity, and what is seen of them by the choice and by clients (WIRE.md sections 10 and 17).
import { describe, expect, it } from '@jest/globals';
import { RemoteError } from '../../src/core/errors.ts';
import { NodeRegistry, baseName } from '../../src/proxy/nodes.ts';
import type { Node } from '../../src/proxy/nodes.ts';
import type { WorkerAccount } from '../../src/proxy/accounts.ts';
import type { WorkerHello, WorkerLink } from '../../src/wire/worker-acceptor.ts';

const accountOf = (active: boolean) => ({ ownerAddress: 'o', bondNano: () => 7n, isActive: () => active }) as WorkerAccount;

interface Given { model?: string; capacity?: number; proxies?: number; price?: number; running?: number; enabled?: boolean; state?: WorkerLink['state']; remote?: string; active?: boolean }

function add(registry: NodeRegistry, { model = 'm@c:v', capacity = 4, proxies = 1, price = 1_000, running = 0, enabled = true, state = 'ready', remote = 'a:1', active = true }: Given = {}): Node {
  const hello: WorkerHello = { ownerAddress: 'o', model, coefficient: price, proxyCount: proxies, maxActiveRequests: capacity, version: 5, machineDescription: null };
  const node = registry.add(hello, { state, remoteAddress: remote } as WorkerLink, accountOf(active));
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
  it('of, get: connected nodes of a model; null for one never seen', () => {
    const registry = new NodeRegistry();
    for (const name of ['m', '__proto__', 'constructor', '']) expect(registry.of(name)).toBeNull();
    const node = add(registry);
    expect([...registry.of('m') ?? []]).toEqual([node]);
    expect(registry.get(node.id)).toBe(node);
    registry.remove(node);
    expect([registry.of('m')?.size, registry.get(node.id)]).toEqual([0, null]);
  });

  it('add: what the choice sees of a node: its connection, its account, a name that outlives both', () => {
    const registry = new NodeRegistry();
    const [node, again] = [add(registry, { remote: '192.0.2.1:5' }), add(registry, { remote: '192.0.2.1:6' })];
    expect([node.key, node.owner]).toEqual(['o 192.0.2.1 m@c:v', 'o']);
    expect([again.key === node.key, again.id === node.id]).toEqual([true, false]);
    expect(add(registry, { remote: '[2001:db8::1]:6' }).key).toBe('o [2001:db8::1] m@c:v');
    expect([node.ready, add(registry, { state: 'closed' }).ready, add(registry, { active: false }).ready]).toEqual([true, false, false]);
    expect(node.bondNano()).toBe(7n);
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
