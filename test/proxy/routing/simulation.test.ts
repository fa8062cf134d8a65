// bench/routing on a small scale: 200 nodes. The whole of it is `npm run bench:routing`.
import { describe, expect, it } from '@jest/globals';
import { compare } from '../../../bench/routing/report.ts';
import { simulate } from '../../../bench/routing/simulate.ts';
import { leastLoaded, upstream } from '../../../bench/routing/rules.ts';
import { makeWorkload, WORKLOADS } from '../../../bench/routing/workloads.ts';

const NODES = 200;
/** With a few thousand requests, chance moves the share of answers that break off by this much. */
const CHANCE = 0.003;

describe('choice of a node, simulated', () => {
  it.each(WORKLOADS)('%s: p99 of the time to the first token is at most half of upstream\'s, no more requests fail, and none waits beside an idle node', (workload) => {
    const rows = compare(workload, NODES, [11, 12], ['upstream', 'ours']);
    const ours = rows.find(({ rule }) => rule === 'ours')!;
    const theirs = rows.find(({ rule }) => rule === 'upstream')!;
    expect(ours.requests).toBeGreaterThan(500);
    expect(ours.p99Ms).toBeLessThanOrEqual(theirs.p99Ms / 2);
    expect(ours.failedShare).toBeLessThanOrEqual(theirs.failedShare + CHANCE);
    expect(ours.waitedBesideIdle).toBe(0);
  });

  it('requests do wait beside idle nodes under another rule', () => {
    expect(compare('saturated', NODES, [11], ['random'])[0]!.waitedBesideIdle).toBeGreaterThan(0.01);
  });

  it('is the same in every run', () => {
    const run = (): number[] => [...simulate(makeWorkload('bursty', 5, NODES), leastLoaded(), 5).firstTokenMs];
    expect(run()).toEqual(run());
  });

  it('upstream: the oldest connection takes everything until it is full (WIRE.md section 17)', () => {
    const rule = upstream();
    const nodes = [1, 2].map((id) => ({ id, key: '', owner: '', capacity: 2, coefficient: 1, enabled: true, ready: true, running: 0, bondNano: () => 0n }));
    const ask = { model: 'm', maxCoefficient: 1, promptBytes: 1, maxTokens: 1, streamed: true, affinity: null, exclude: new Set<number>() };
    const chosen = [1, 2, 3, 4, 5].map(() => {
      const choice = rule.choose(ask, nodes, 0);
      if (choice !== null) nodes[choice.node - 1]!.running += 1;
      return choice?.node ?? null;
    });
    expect(chosen).toEqual([1, 1, 2, 2, null]);
    // Above 0.1 queries a second in 600 s the average counts.
    for (let i = 0; i < 61; i += 1) rule.ended(0, 1, 0, 100, null, { prompt: 0, cached: 0, completion: 0 });
    nodes[0]!.running = 1;
    nodes[1]!.running = 1;
    expect(rule.choose(ask, nodes, 100)?.node).toBe(2);
    expect(rule.choose(ask, nodes, 700_000)?.node).toBe(1);
  });
});
