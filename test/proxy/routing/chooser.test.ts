// The choice of a node: who may be chosen, who is, what is learned, and what is said about it.
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { RemoteError } from '../../../src/core/errors.ts';
import { createChooser } from '../../../src/proxy/routing/create-chooser.ts';
import { ask, Network, node } from './fakes.ts';
import type { Manner, TestNode } from './fakes.ts';

const refusal = (choose: () => unknown): [number, string] => {
  try {
    choose();
  } catch (error) {
    if (error instanceof RemoteError) return [error.remoteCode, error.remoteMessage];
  }
  throw new Error('expected a RemoteError');
};

const FAST: Manner = { firstTokenMs: 100, tokenMs: 10 };
const SLOW: Manner = { firstTokenMs: 2_000, tokenMs: 60 };

/** How many of the last requests each node got. */
function tally(network: Network, nodes: readonly TestNode[], manner: (node: TestNode) => Manner, requests: number): Map<number, number> {
  const counts = new Map<number, number>();
  for (let i = 0; i < requests; i += 1) {
    const { node: id } = network.request(nodes, manner);
    counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  return counts;
}

describe('choose: who may be chosen', () => {
  it('says what WIRE.md section 11 step 3 says', () => {
    const network = new Network();
    const at = (nodes: TestNode[] | null, given = {}): [number, string] => refusal(() => network.chooser.choose(ask(given), nodes, 0));
    expect(at(null)).toEqual([621, 'unknown model m']);
    expect(at([])).toEqual([651, 'no workers for model m']);
    expect(at([node(1, { running: 4 }), node(2, { enabled: false }), node(3, { ready: false })])).toEqual([651, 'no ready workers for model m']);
    expect(at([node(1), node(2)], { exclude: new Set([1, 2]) })).toEqual([651, 'no ready workers for model m']);
    expect(at([node(1, { coefficient: 900 }), node(2, { coefficient: 700 }), node(3, { coefficient: 100, running: 4 })], { maxCoefficient: 600 }))
      .toEqual([651, 'can run this query with coefficient=700']);
    const bonded = new Network({ minBondNano: 10n });
    expect(refusal(() => bonded.choose([node(1, { bond: 9n })]))).toEqual([651, 'no ready workers for model m']);
    expect(bonded.choose([node(1, { bond: 9n }), node(2, { bond: 10n })]).node).toBe(2);
  });

  it('never a full, disabled, closing, excluded or too dear node, nor one below the floor of bonds; and one whenever one is able', () => {
    const anyNode = fc.record({
      capacity: fc.integer({ min: 1, max: 4 }), running: fc.integer({ min: 0, max: 4 }), coefficient: fc.integer({ min: 0, max: 2_000 }),
      enabled: fc.boolean(), ready: fc.boolean(), bond: fc.bigInt({ min: 0n, max: 20n }), excluded: fc.boolean(), fails: fc.boolean(),
    });
    fc.assert(fc.property(fc.array(anyNode, { minLength: 1, maxLength: 12 }), fc.integer({ min: 0, max: 2_000 }), fc.integer({ min: 1, max: 2 ** 31 - 2 }), (given, maxCoefficient, seed) => {
      let state = seed;
      const random = (): number => {
        state = (state * 48_271) % 2_147_483_647;
        return state / 2_147_483_647;
      };
      const chooser = createChooser({ random, minBondNano: 10n, explorationShare: 0.5 });
      const nodes = given.map((one, index) => node(index, one));
      const exclude = new Set(given.flatMap(({ excluded }, index) => (excluded ? [index] : [])));
      const able = nodes.filter((one) => one.running < one.capacity && one.enabled && one.ready && one.coefficient <= maxCoefficient && one.bond >= 10n && !exclude.has(one.id));
      for (let i = 0; i < 30; i += 1) {
        const choose = (): number => {
          const choice = chooser.choose(ask({ maxCoefficient, exclude }), nodes, i * 100);
          chooser.observed({ kind: 'sent', choice: choice.id, nowMs: i * 100 });
          const failure = given[choice.node]?.fails === true;
          chooser.observed(failure ? { kind: 'failed', choice: choice.id, nowMs: i * 100 + 1, failure: 'error' } : { kind: 'first-token', choice: choice.id, nowMs: i * 100 + 50 });
          return choice.node;
        };
        if (able.length === 0) expect(choose).toThrow(RemoteError);
        else expect(able.map(({ id }) => id)).toContain(choose());
      }
    }), { numRuns: 60 });
  });
});

describe('choose: who is chosen', () => {
  it('the node that is predicted to be done first, by what was measured', () => {
    const network = new Network();
    const nodes = [node(1), node(2), node(3)];
    tally(network, nodes, ({ id }) => (id === 2 ? FAST : SLOW), 40);
    expect(tally(network, nodes, ({ id }) => (id === 2 ? FAST : SLOW), 100).get(2)).toBeGreaterThanOrEqual(94);
  });

  it('prompts that are long go where reading is fast, short ones where the way is short', () => {
    const network = new Network({ explorationShare: 0 });
    const nodes = [node(1), node(2)];
    const manner = (kilobytes: number) => ({ id }: TestNode): Manner => ({ firstTokenMs: id === 1 ? 20 + kilobytes * 100 : 600 + kilobytes * 5, tokenMs: 10 });
    // Each learns with the other away.
    for (let i = 0; i < 12; i += 1) {
      const kilobytes = i % 2 === 0 ? 1 : 40;
      for (const one of nodes) network.request([one], manner(kilobytes), { promptBytes: kilobytes * 1_000 });
    }
    expect(network.choose(nodes, { promptBytes: 1_000 }).node).toBe(1);
    expect(network.choose(nodes, { promptBytes: 40_000 }).node).toBe(2);
  });

  it('of nearly equal ones the cheaper, then the larger bond, then whose turn it is', () => {
    const cheap = new Network({ explorationShare: 0 });
    expect(cheap.choose([node(1), node(2, { coefficient: 999 }), node(3)])).toMatchObject({ node: 2, reason: 'cheaper' });
    expect(cheap.choose([node(11), node(12), node(13, { bond: 1n })])).toMatchObject({ node: 13, reason: 'bond' });
    const equal = [node(21), node(22), node(23)];
    expect([1, 2, 3, 4].map(() => cheap.choose(equal).node)).toEqual([21, 22, 23, 21]);
  });

  it('a much slower node is not taken for being cheaper', () => {
    const network = new Network({ explorationShare: 0 });
    const nodes = [node(1), node(2, { coefficient: 1 })];
    for (let i = 0; i < 5; i += 1) for (const one of nodes) network.request([one], ({ id }) => (id === 1 ? FAST : SLOW));
    expect(network.choose(nodes)).toMatchObject({ node: 1, reason: 'fastest' });
  });

  it('more running never makes a node more attractive', () => {
    fc.assert(fc.property(fc.array(fc.integer({ min: 0, max: 15 }), { minLength: 2, maxLength: 8 }), fc.nat(7), fc.integer({ min: 1, max: 8 }), fc.nat(20), (running, which, more, past) => {
      const of = (extra: number): { node: number; totalMs: number | undefined } => {
        const network = new Network({ explorationShare: 0 });
        const nodes = running.map((count, index) => node(index, { capacity: 32, running: count }));
        for (let i = 0; i < past; i += 1) network.request(nodes, ({ id }) => ({ firstTokenMs: 50 + id * 40, tokenMs: 5 + id }));
        const target = nodes[which % nodes.length]!;
        target.running += extra;
        const choice = network.choose(nodes);
        const [explanation] = network.chooser.explain(1);
        const all = [explanation!.chosen!, ...explanation!.others];
        return { node: choice.node, totalMs: all.find((one) => one.node === target.id)?.totalMs };
      };
      const before = of(0);
      const after = of(more);
      const target = which % running.length;
      if (before.node !== target) expect(after.node).not.toBe(target);
      if (before.totalMs !== undefined && after.totalMs !== undefined) expect(after.totalMs).toBeGreaterThanOrEqual(before.totalMs);
    }), { numRuns: 80 });
  });

  it('a thousand nodes take little time', () => {
    const network = new Network();
    const nodes = Array.from({ length: 1_000 }, (_, index) => node(index, { coefficient: 1_000 + (index % 300) }));
    for (let i = 0; i < 300; i += 1) network.request(nodes, () => FAST);
    const times = Array.from({ length: 200 }, () => {
      const startedMs = performance.now();
      network.choose(nodes);
      return performance.now() - startedMs;
    }).sort((a, b) => a - b);
    expect(times[0]).toBeLessThan(20); // the fastest; a few tenths where the machine is idle
  });
});

describe('conversations', () => {
  const first = { affinity: 'client conversation', promptBytes: 40_000 };
  const reading = (cachedAt: number) => ({ id }: TestNode): Manner => ({ firstTokenMs: id === cachedAt ? 150 : 2_000, tokenMs: 10, cached: id === cachedAt ? 490 : 0 });

  it('go back to the node that has their beginning, though another is cheaper or has waited longer', () => {
    const network = new Network({ explorationShare: 0 });
    const nodes = [node(1), node(2, { coefficient: 900 }), node(3)];
    for (let i = 0; i < 4; i += 1) for (const one of nodes) network.request([one], () => ({ firstTokenMs: 2_000, tokenMs: 10 }), { promptBytes: 40_000 });
    network.request([nodes[2]!], reading(0), first);
    expect(network.request(nodes, reading(3), first)).toMatchObject({ node: 3, reason: 'conversation' });
    expect(network.chooser.explain(1)[0]!.conversation).toBe('kept');
    network.choose(nodes, { ...first, affinity: 'another' });
    expect(network.chooser.explain(1)[0]!.conversation).toBe('new');
  });

  it('move when their node is full, busy or slower than reading it all again elsewhere', () => {
    const network = new Network({ explorationShare: 0 });
    const nodes = [node(1), node(2)];
    for (let i = 0; i < 6; i += 1) for (const one of nodes) network.request([one], ({ id }) => (id === 1 ? { firstTokenMs: 5_000, tokenMs: 100 } : FAST), { promptBytes: 40_000 });
    network.request([nodes[0]!], () => ({ firstTokenMs: 5_000, tokenMs: 100 }), first);
    expect(network.choose(nodes, first).node).toBe(2);
    nodes[0]!.running = 4;
    expect(network.choose(nodes, first).node).toBe(2);
    expect(network.chooser.explain(1)[0]!.conversation).toBe('moved');
  });

  it('stay apart by key, and keys that are too long are no keys', () => {
    const network = new Network({ explorationShare: 0 });
    const nodes = [node(1), node(2)];
    const long = 'x'.repeat(201);
    network.request([nodes[1]!], () => FAST, { affinity: long });
    network.choose(nodes, { affinity: long });
    expect(network.chooser.explain(1)[0]!.conversation).toBe('new');
  });

  it('are forgotten after half an hour', () => {
    const network = new Network();
    network.request([node(1)], () => FAST, first);
    const known = node(1);
    network.request([known], () => FAST, first);
    for (let minutes = 0; minutes < 40; minutes += 8) {
      network.nowMs += 8 * 60_000;
      network.choose([known]);
    }
    network.choose([known], first);
    expect(network.chooser.explain(1)[0]!.conversation).toBe('new');
  });
});

describe('failures', () => {
  it('a node that fails fast is not preferred for it', () => {
    const network = new Network();
    const nodes = [node(1), node(2), node(3)];
    const manner = ({ id }: TestNode): Manner => (id === 1 ? { firstTokenMs: 5, tokenMs: 0, failure: 'error' } : SLOW);
    expect(tally(network, nodes, manner, 200).get(1) ?? 0).toBeLessThanOrEqual(10);
  });

  it('nor one that answers at once with nothing', () => {
    const network = new Network();
    const nodes = [node(1), node(2), node(3)];
    const shares = new Map<number, number>();
    for (let i = 0; i < 300; i += 1) {
      const choice = network.choose(nodes);
      shares.set(choice.node, (shares.get(choice.node) ?? 0) + 1);
      if (choice.node !== 1) {
        network.answer(choice, FAST);
        continue;
      }
      network.chooser.observed({ kind: 'sent', choice: choice.id, nowMs: network.nowMs });
      network.chooser.observed({ kind: 'first-token', choice: choice.id, nowMs: network.nowMs + 1 });
      network.chooser.observed({ kind: 'finished', choice: choice.id, nowMs: network.nowMs + 1, tokens: { prompt: 0, cached: 0, completion: 0 } });
      network.nowMs += 1;
    }
    expect(shares.get(1) ?? 0).toBeLessThan(40);
  });

  it('nor one that takes requests and says nothing', () => {
    const network = new Network({ explorationShare: 0 });
    const nodes = [node(1), node(2)];
    for (let i = 0; i < 5; i += 1) for (const one of nodes) network.request([one], ({ id }) => (id === 1 ? FAST : { firstTokenMs: 300, tokenMs: 12 }));
    const silent = network.choose(nodes);
    expect(silent.node).toBe(1);
    network.chooser.observed({ kind: 'sent', choice: silent.id, nowMs: network.nowMs });
    network.nowMs += 20_000;
    expect(network.choose(nodes).node).toBe(2);
  });

  it('reputation recovers: a node that works again gets its work back', () => {
    const network = new Network();
    const nodes = [node(1), node(2)];
    let broken = true;
    const manner = ({ id }: TestNode): Manner => (id === 1 ? (broken ? { firstTokenMs: 5, tokenMs: 0, failure: 'error' } : FAST) : SLOW);
    for (let i = 0; i < 60; i += 1) network.request([nodes[i % 2]!], manner);
    expect(network.chooser.reputation(nodes[0]!, network.nowMs).success).toBeLessThan(0.5);
    broken = false;
    network.nowMs += 5 * 60_000;
    tally(network, nodes, manner, 300);
    expect(tally(network, nodes, manner, 50).get(1)).toBeGreaterThanOrEqual(45);
    expect(network.chooser.reputation(nodes[0]!, network.nowMs).success).toBeGreaterThan(0.9);
  });

  it('when every node is at rest, one is chosen all the same', () => {
    const network = new Network();
    const nodes = [node(1), node(2)];
    for (let i = 0; i < 20; i += 1) network.request(nodes, () => ({ firstTokenMs: 5, tokenMs: 0, failure: 'lost' }));
    expect(network.choose(nodes).reason).toBe('last resort');
  });

  it('a connection that comes back is the node that it was', () => {
    const network = new Network({ explorationShare: 0 });
    const old = node(1);
    for (let i = 0; i < 8; i += 1) network.request([old], () => ({ firstTokenMs: 5, tokenMs: 0, failure: 'error' }));
    const again = node(7, { key: 'key 1', owner: 'owner 1' });
    expect(network.chooser.reputation(again, network.nowMs).success).toBeLessThan(0.7);
    expect(network.choose([again, node(2)]).node).toBe(2);
  });
});

describe('new nodes', () => {
  it('get work: each is tried, though a known one is faster', () => {
    const network = new Network();
    const nodes = [node(0)];
    tally(network, nodes, () => FAST, 20);
    for (let id = 1; id <= 10; id += 1) nodes.push(node(id));
    const counts = tally(network, nodes, ({ id }) => (id === 0 ? FAST : SLOW), 600);
    for (let id = 1; id <= 10; id += 1) expect(counts.get(id) ?? 0).toBeGreaterThan(0);
  });

  it('a better one takes over', () => {
    const network = new Network();
    const nodes = [node(0)];
    tally(network, nodes, () => SLOW, 20);
    nodes.push(node(1));
    tally(network, nodes, ({ id }) => (id === 1 ? FAST : SLOW), 100);
    expect(tally(network, nodes, ({ id }) => (id === 1 ? FAST : SLOW), 50).get(1)).toBe(50);
  });

  it('never take more than their share: at most 5 % of the choices are explorations', () => {
    const network = new Network();
    const nodes = Array.from({ length: 200 }, (_, id) => node(id));
    let explorations = 0;
    for (let i = 0; i < 1_000; i += 1) if (network.request(nodes, ({ id }) => (id < 3 ? FAST : SLOW)).reason === 'exploration') explorations += 1;
    expect(explorations).toBeGreaterThan(10);
    expect(explorations).toBeLessThanOrEqual(50);
  });

  it('a second attempt of a request explores nothing', () => {
    const network = new Network({ explorationShare: 1 });
    const nodes = [node(1), node(2), node(3)];
    for (let i = 0; i < 5; i += 1) network.request([nodes[0]!], () => FAST);
    for (let i = 0; i < 20; i += 1) expect(network.choose(nodes, { exclude: new Set([3]) }).reason).not.toBe('exploration');
  });
});

describe('lies', () => {
  /** Requests that overlap: `load` are under way at once, and a node with fewer sequences than requests makes them wait. */
  function shareUnderLoad(nodes: readonly TestNode[], sequences: (node: TestNode) => number, load: number, requests: number): Map<number, number> {
    const network = new Network();
    const open: { id: number; node: TestNode; firstMs: number; endMs: number; told: boolean }[] = [];
    const counts = new Map<number, number>();
    for (let sent = 0; sent < requests;) {
      for (const one of open.filter(({ firstMs, told }) => !told && firstMs <= network.nowMs)) {
        one.told = true;
        network.chooser.observed({ kind: 'first-token', choice: one.id, nowMs: network.nowMs });
      }
      for (const one of open.filter(({ endMs }) => endMs <= network.nowMs)) {
        open.splice(open.indexOf(one), 1);
        one.node.running -= 1;
        network.chooser.observed({ kind: 'finished', choice: one.id, nowMs: network.nowMs, tokens: { prompt: 500, cached: 0, completion: 100 } });
      }
      while (open.length < load && sent < requests) {
        const choice = network.choose(nodes);
        const chosen = nodes.find(({ id }) => id === choice.node)!;
        const ahead = Math.floor(chosen.running / sequences(chosen));
        const firstMs = network.nowMs + 200 + ahead * 3_000;
        open.push({ id: choice.id, node: chosen, firstMs, endMs: firstMs + 2_800, told: false });
        chosen.running += 1;
        network.chooser.observed({ kind: 'sent', choice: choice.id, nowMs: network.nowMs });
        sent += 1;
        if (sent > requests / 2) counts.set(choice.node, (counts.get(choice.node) ?? 0) + 1);
      }
      network.nowMs += 100;
    }
    return counts;
  }

  it('a node that announces more than it has loses share, and its promise is seen to be broken', () => {
    const honest = [node(1), node(2), node(3), node(4)];
    const liar = node(9, { capacity: 40 });
    const counts = shareUnderLoad([...honest, liar], ({ id }) => (id === 9 ? 4 : 4), 12, 800);
    const fair = 400 / 5;
    expect(counts.get(9) ?? 0).toBeLessThan(fair * 1.3);
    const believed = shareUnderLoad([...[1, 2, 3, 4].map((id) => node(id)), node(9, { capacity: 40 })], ({ id }) => (id === 9 ? 1 : 4), 12, 800);
    expect(believed.get(9) ?? 0).toBeLessThan(fair * 0.7);
  });

  it('a node that reports more than it may loses share, and gets it back by being honest', () => {
    const network = new Network({ explorationShare: 0 });
    const nodes = [node(1), node(2)];
    const manner = ({ id }: TestNode): Manner => (id === 1 ? FAST : { firstTokenMs: 150, tokenMs: 15 });
    for (let i = 0; i < 6; i += 1) for (const one of nodes) network.request([one], manner);
    expect(network.choose(nodes).node).toBe(1);
    for (let i = 0; i < 4; i += 1) network.chooser.observed({ kind: 'metering', node: nodes[0]!, nowMs: network.nowMs, honest: false });
    expect(network.chooser.reputation(nodes[0]!, network.nowMs).metering).toBeLessThan(0.5);
    expect(network.choose(nodes).node).toBe(2);
    for (let i = 0; i < 200; i += 1) network.chooser.observed({ kind: 'metering', node: nodes[0]!, nowMs: network.nowMs, honest: true });
    expect(network.choose(nodes).node).toBe(1);
  });

  it('reporting more tokens than others for the same work does not make a node look fast', () => {
    const network = new Network({ explorationShare: 0 });
    const nodes = [node(1), node(2), node(3), node(4), node(5)];
    // All take 2 s an answer; node 1 claims three times the tokens.
    const manner = ({ id }: TestNode): Manner => (id === 1 ? { firstTokenMs: 100, tokenMs: 2_000 / 299, tokens: 300 } : { firstTokenMs: 100, tokenMs: 2_000 / 99, tokens: 100 });
    for (let i = 0; i < 60; i += 1) for (const one of nodes) network.request([one], manner, { maxTokens: 512 });
    network.choose(nodes, { maxTokens: 512 });
    const [explanation] = network.chooser.explain(1);
    const all = [explanation!.chosen!, ...explanation!.others];
    const total = (id: number): number => all.find((one) => one.node === id)!.totalMs;
    expect(total(1)).toBeGreaterThan(total(2) * 0.5); // a third, if its count were believed
  });

  it('a wrong answer to a canary question costs the owner\'s other nodes too; two make it a last resort', () => {
    const network = new Network({ explorationShare: 0 });
    const [bad, sister, other] = [node(1, { owner: 'o' }), node(2, { owner: 'o' }), node(3)];
    const differs = { kind: 'canary', node: bad, finding: { answer: 'differs', usage: 'agrees', detail: '' } } as const;
    network.chooser.observed({ ...differs, nowMs: network.nowMs });
    network.chooser.observed({ ...differs, nowMs: network.nowMs });
    expect(network.chooser.reputation(sister, network.nowMs).verification).toBeLessThan(0.35);
    for (let i = 0; i < 10; i += 1) expect(network.request([bad, sister, other], () => SLOW).node).toBe(3);
    expect(network.request([bad, sister], () => FAST).reason).toBe('last resort');
  });

  it('speed that was announced and is not there costs trust', () => {
    const network = new Network();
    const boaster = node(1, { announcedTokensPerSecond: 400 } as Partial<TestNode>);
    for (let i = 0; i < 8; i += 1) network.request([boaster], () => ({ firstTokenMs: 100, tokenMs: 25 }));
    expect(network.chooser.reputation(boaster, network.nowMs).promise).toBeLessThan(0.5);
  });
});

describe('time', () => {
  it('clock jumps: a clock set back or ahead neither starves a node nor leaves a number that is none', () => {
    fc.assert(fc.property(fc.array(fc.integer({ min: -1e12, max: 1e12 }), { minLength: 1, maxLength: 20 }), (jumps) => {
      const network = new Network();
      const nodes = [node(1), node(2)];
      for (const jump of jumps) {
        for (let i = 0; i < 4; i += 1) network.request(nodes, ({ id }) => (id === 1 ? { firstTokenMs: 5, tokenMs: 0, failure: 'error' } : SLOW));
        const choice = network.choose(nodes);
        network.chooser.observed({ kind: 'sent', choice: choice.id, nowMs: network.nowMs });
        network.nowMs += jump;
        network.answer(choice, FAST);
      }
      for (const { chosen } of network.chooser.explain(256)) {
        for (const value of [chosen!.firstTokenMs, chosen!.totalMs, chosen!.weighedMs]) {
          expect(Number.isFinite(value)).toBe(true);
          expect(value).toBeGreaterThanOrEqual(0);
        }
      }
      // The node works again: it is back within the longest rest, and a little work.
      network.nowMs += 6 * 60_000;
      const counts = tally(network, nodes, ({ id }) => (id === 1 ? FAST : SLOW), 250);
      expect(counts.get(1) ?? 0).toBeGreaterThan(0);
    }), { numRuns: 30 });
  });

  it('a time that is no number counts as no time', () => {
    const network = new Network();
    network.chooser.choose(ask(), [node(1)], NaN);
    expect(network.chooser.choose(ask(), [node(1)], 5).node).toBe(1);
  });
});

describe('observed', () => {
  it('events of unknown, ended and unsent choices, and events twice, change nothing', () => {
    const network = new Network();
    const only = node(1);
    const choice = network.choose([only]);
    const before = network.chooser.viewFor(only, [only], network.nowMs);
    network.chooser.observed({ kind: 'unsent', choice: choice.id, nowMs: network.nowMs });
    network.chooser.observed({ kind: 'failed', choice: choice.id, nowMs: network.nowMs, failure: 'timeout' });
    network.chooser.observed({ kind: 'finished', choice: 999, nowMs: network.nowMs, tokens: null });
    expect(network.chooser.viewFor(only, [only], network.nowMs)).toEqual(before);
    const second = network.choose([only]);
    for (let i = 0; i < 3; i += 1) network.chooser.observed({ kind: 'failed', choice: second.id, nowMs: network.nowMs, failure: 'timeout' });
    expect(network.chooser.reputation(only, network.nowMs).success).toBeGreaterThan(0.9);
  });

  it('answers that come in one piece teach the whole time', () => {
    const network = new Network({ explorationShare: 0 });
    const nodes = [node(1), node(2)];
    for (let i = 0; i < 10; i += 1) {
      for (const one of nodes) {
        const choice = network.choose([one], { streamed: false });
        network.answer(choice, { firstTokenMs: one.id === 1 ? 8_000 : 1_000, tokenMs: 0 });
      }
    }
    expect(network.choose(nodes, { streamed: false }).node).toBe(2);
  });
});

describe('a new node among many that are half known', () => {
  it('is explored before them', () => {
    const network = new Network();
    const half = Array.from({ length: 40 }, (_, index) => node(index + 1));
    for (const one of half) network.request([one], () => FAST);
    const known = node(100);
    for (let i = 0; i < 6; i += 1) network.request([known], () => ({ firstTokenMs: 50, tokenMs: 1 }));
    const fresh = node(101);
    let asked = 0;
    for (let i = 0; i < 200; i += 1) {
      const { node: chosen } = network.request([...half, known, fresh], ({ id }) => (id === 100 ? { firstTokenMs: 50, tokenMs: 1 } : FAST));
      asked += 1;
      if (chosen === 101) break;
    }
    // With a twentieth of the choices for exploration, at the first of them.
    expect(asked).toBeLessThanOrEqual(25);
  });
});

describe('a node that may have claimed more than it has', () => {
  /** Requests that were sent and have no answer yet. */
  const occupy = (network: Network, one: TestNode): number => {
    const { id } = network.choose([one]);
    one.running += 1;
    network.chooser.observed({ kind: 'sent', choice: id, nowMs: network.nowMs });
    return id;
  };
  const leave = (network: Network, one: TestNode, choice: number): void => {
    one.running -= 1;
    network.chooser.observed({ kind: 'finished', choice, nowMs: network.nowMs, tokens: { prompt: 500, cached: 0, completion: 100 } });
  };
  /** One request beside another that is running; its first token comes after `ms`. */
  const beside = (network: Network, one: TestNode, ms: number): void => {
    const first = occupy(network, one);
    network.chooser.observed({ kind: 'first-token', choice: first, nowMs: network.nowMs + 100 });
    const second = occupy(network, one);
    network.nowMs += ms;
    network.chooser.observed({ kind: 'first-token', choice: second, nowMs: network.nowMs });
    network.nowMs += 2_000;
    leave(network, one, first);
    leave(network, one, second);
  };
  const known = (): { network: Network; fast: TestNode; slow: TestNode } => {
    const network = new Network({ explorationShare: 0 });
    const [fast, slow] = [node(1), node(2)];
    for (let i = 0; i < 5; i += 1) for (const one of [fast, slow]) network.request([one], ({ id }) => (id === 1 ? FAST : SLOW));
    return { network, fast, slow };
  };

  it('has no second request while another node is idle, and says why', () => {
    const { network, fast, slow } = known();
    occupy(network, fast);
    expect(network.choose([fast, slow]).node).toBe(2);
    expect(network.chooser.explain(1)[0]).toMatchObject({ chosen: { node: 2 }, others: [{ node: 1, passedOver: 'unproven' }] });
    expect(network.chooser.viewFor(fast, [], network.nowMs).passedOver).toMatchObject({ unproven: 1 });
    expect(network.chooser.rank(ask(), [fast, slow], network.nowMs)[0]).toBe(2);
  });

  it('has it once two requests have run beside another without waiting, and no more after one has waited', () => {
    const { network, fast, slow } = known();
    const secondGoesTo = (): number => {
      const running = occupy(network, fast);
      const { node: chosen } = network.choose([fast, slow]);
      leave(network, fast, running);
      return chosen;
    };
    beside(network, fast, FAST.firstTokenMs);
    expect(secondGoesTo()).toBe(2);
    beside(network, fast, FAST.firstTokenMs);
    expect(secondGoesTo()).toBe(1);
    beside(network, fast, 6_000);
    expect(secondGoesTo()).toBe(2);
  });

  it('is tried where no node is sure to be free, up to what it announces', () => {
    const { network, fast, slow } = known();
    occupy(network, fast);
    occupy(network, slow);
    const chosen = network.choose([fast, slow]).node;
    expect([1, 2]).toContain(chosen);
    fast.running = fast.capacity;
    expect(network.choose([fast, slow]).node).toBe(2);
    slow.running = slow.capacity;
    expect(() => network.choose([fast, slow])).toThrow(RemoteError);
  });

  it('that said it was full is not sure to be free with as many again', () => {
    const { network, fast, slow } = known();
    beside(network, fast, FAST.firstTokenMs);
    beside(network, fast, FAST.firstTokenMs);
    const first = occupy(network, fast);
    const refused = occupy(network, fast);
    fast.running -= 1;
    network.chooser.observed({ kind: 'failed', choice: refused, nowMs: network.nowMs, failure: 'busy' });
    expect(network.choose([fast, slow]).node).toBe(2);
    leave(network, fast, first);
  });
});

describe('explanations', () => {
  it('explain: says in words and numbers who was chosen, who was not and why, and what came of it', () => {
    const network = new Network({ explorationShare: 0 });
    const nodes = [node(1), node(2), node(3, { enabled: false }), node(4, { running: 4 }), node(5, { coefficient: 9_000 })];
    for (let i = 0; i < 5; i += 1) for (const one of nodes.slice(0, 2)) network.request([one], ({ id }) => (id === 1 ? FAST : SLOW));
    network.request(nodes, () => FAST);
    const [last, ...earlier] = network.chooser.explain(3);
    expect(earlier).toHaveLength(2);
    expect(last).toMatchObject({
      chosen: { node: 1, passedOver: null }, reason: 'fastest', refusal: null, conversation: 'none',
      others: [{ node: 2, passedOver: 'slower' }], passedOver: { disabled: 1, full: 1, 'too dear': 1 },
      outcome: { firstTokenMs: 100, failure: null },
    });
    expect(last!.text).toMatch(/^node 1: predicted to be done first; first token in \d+ ms, done in [\d.]+ m?s, price 1000, 0 of 4 running; node 2 [\d.]+ m?s later \(slower, .*\); 1 disabled, 1 full, 1 too dear$/);
  });

  it('explain: refusals are in it; 256 are kept', () => {
    const network = new Network();
    expect(() => network.choose([])).toThrow(RemoteError);
    expect(network.chooser.explain(5)).toMatchObject([{ chosen: null, refusal: 'no workers for model m', text: 'refused: no workers for model m' }]);
    for (let i = 0; i < 300; i += 1) network.choose([node(1)]);
    expect(network.chooser.explain(1_000)).toHaveLength(256);
  });

  it('viewFor: a node learns its own figures and medians, and nothing that tells another node', () => {
    const network = new Network();
    const nodes = [node(1, { coefficient: 2_000 }), node(2), node(3), node(4), node(5)];
    for (let i = 0; i < 5; i += 1) for (const one of nodes) network.request([one], ({ id }) => (id === 1 ? SLOW : FAST));
    for (let i = 0; i < 40; i += 1) network.request(nodes, ({ id }) => (id === 1 ? SLOW : FAST));
    const view = network.chooser.viewFor(nodes[0]!, nodes, network.nowMs);
    expect(view).toMatchObject({ considered: 45, restingMs: 0, bondNano: 0n, passedOver: { slower: expect.any(Number) } });
    expect(view.own!.firstTokenMs).toBeGreaterThan(view.median!.firstTokenMs * 5);
    expect(view.meanBehindMs).toBeGreaterThan(0);
    expect(view.advice.join('\n')).toMatch(/the first token takes \d+ ms; half of the nodes need at most \d+ ms/);
    expect(view.advice.join('\n')).toContain('price 2000; half of the nodes ask at most 1000');
    expect(JSON.stringify(view, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value))).not.toMatch(/owner|key/);
    // Of three others or more a median is told; of fewer it would be somebody's own figure.
    expect(network.chooser.viewFor(nodes[0]!, nodes.slice(0, 3), network.nowMs).median).toBeNull();
  });
});
