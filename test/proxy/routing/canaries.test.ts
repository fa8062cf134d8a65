// When canaries are asked, of whom, and who is doubted when answers differ.
import { describe, expect, it } from '@jest/globals';
import { NetworkError } from '../../../src/core/errors.ts';
import { CanaryPolicy, makeQuestion, runCanary } from '../../../src/proxy/routing/canaries.ts';
import { createChooser } from '../../../src/proxy/routing/create-chooser.ts';
import { node } from './fakes.ts';
import type { CanaryRunner, CanaryTask } from '../../../src/proxy/routing/canaries.ts';
import type { NodeId, Observation } from '../../../src/proxy/routing/chooser.ts';
import type { SeededAnswer } from '../../../src/proxy/routing/compare-answers.ts';
import type { TestNode } from './fakes.ts';

const seeded = (): (() => number) => {
  let state = 7;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
};

const WORDS = 'one two three four five six seven eight nine ten eleven twelve'.split(' ');
const right = (promptTokens = 12): SeededAnswer => ({
  text: WORDS.join(' '), cutOff: true, usage: { promptTokens, completionTokens: WORDS.length },
  tokens: WORDS.map((word) => ({ token: word, logprob: -0.2, top: [{ token: word, logprob: -0.2 }, { token: 'x', logprob: -4 }] })),
});
const wrong = (): SeededAnswer => ({
  text: 'x y z', cutOff: true, usage: { promptTokens: 12, completionTokens: 3 },
  tokens: ['x', 'y', 'z'].map((word) => ({ token: word, logprob: -0.1, top: [{ token: word, logprob: -0.1 }, { token: 'q', logprob: -3 }] })),
});
const plain = (text: string): SeededAnswer => ({ text, tokens: null, usage: { promptTokens: 12, completionTokens: 12 }, cutOff: true });

const runnerOf = (answers: (id: NodeId) => SeededAnswer | null): CanaryRunner => ({
  async ask(id) {
    const answer = answers(id);
    if (answer === null) throw new NetworkError('E_TIMEOUT', 'no answer within 1 s');
    return answer;
  },
});

const signal = new AbortController().signal;
const three = (): TestNode[] => [node(1), node(2), node(3)];

/** Runs what is due until nothing is, an hour at a time; findings by node. */
async function investigate(policy: CanaryPolicy, nodes: readonly TestNode[], answers: (id: NodeId) => SeededAnswer | null, rounds: number): Promise<Map<NodeId, Extract<Observation, { kind: 'canary' }>[]>> {
  const found = new Map<NodeId, Extract<Observation, { kind: 'canary' }>[]>();
  for (let round = 0, nowMs = 0; round < rounds; round += 1, nowMs += 9 * 60_000) {
    for (let i = 0; i < 400; i += 1) policy.routed();
    for (let task = policy.next('m', nodes, nowMs); task !== null; task = policy.next('m', nodes, nowMs)) {
      for (const event of policy.conclude(task, await runCanary(task, runnerOf(answers), signal), nowMs)) {
        if (event.kind === 'canary') found.set(event.node.id, [...(found.get(event.node.id) ?? []), event]);
      }
    }
  }
  return found;
}

const verdicts = (found: Map<NodeId, Extract<Observation, { kind: 'canary' }>[]>, id: NodeId): string[] => (found.get(id) ?? []).map(({ finding }) => finding.answer);

describe('CanaryPolicy.next', () => {
  const spend = (policy: CanaryPolicy, nodes: TestNode[]): CanaryTask | null => policy.next('m', nodes, 0);

  it('asks the node that was not asked for longest and one of another owner', () => {
    const policy = new CanaryPolicy({ random: seeded() });
    const nodes = [node(1, { owner: 'a' }), node(2, { owner: 'a' }), node(3, { owner: 'b' })];
    const task = spend(policy, nodes);
    expect(task?.nodes).toHaveLength(2);
    expect(new Set(task?.nodes.map(({ owner }) => owner)).size).toBe(2);
    expect(task?.question).toMatchObject({ model: 'm', topLogprobs: 5 });
  });

  it('costs at most its share of the real requests', () => {
    const policy = new CanaryPolicy({ random: seeded(), share: 0.01 });
    const nodes = Array.from({ length: 50 }, (_, id) => node(id));
    let asked = 0;
    for (let i = 0; i < 1_000; i += 1) {
      policy.routed();
      if (spend(policy, nodes) !== null) asked += 1;
    }
    expect(asked).toBeGreaterThanOrEqual(9);
    expect(asked).toBeLessThanOrEqual(11); // one is saved up at the start
  });

  it('asks nobody twice within the hour, nobody who is full, disabled or gone, and nobody alone', () => {
    const policy = new CanaryPolicy({ random: seeded(), share: 1 });
    policy.routed();
    expect(spend(policy, [node(1)])).toBeNull();
    expect(spend(policy, [node(1, { owner: 'a' }), node(2, { owner: 'a' })])).toBeNull();
    expect(spend(policy, [node(1, { enabled: false }), node(2, { ready: false }), node(3, { running: 4 }), node(4)])).toBeNull();
    expect(spend(policy, [node(1), node(2)])).not.toBeNull();
    policy.routed();
    expect(spend(policy, [node(1), node(2)])).toBeNull();
  });
});

describe('CanaryPolicy.conclude', () => {
  it('all honest: all agree', async () => {
    const found = await investigate(new CanaryPolicy({ random: seeded() }), three(), () => right(), 8);
    for (const id of [1, 2, 3]) expect(new Set(verdicts(found, id))).toEqual(new Set(['agrees']));
  });

  it('the one that stands alone is doubted, after a third was heard, and only that one', async () => {
    const found = await investigate(new CanaryPolicy({ random: seeded() }), [...three(), node(4)], (id) => (id === 2 ? wrong() : right()), 20);
    expect(verdicts(found, 2)).toContain('differs');
    expect(verdicts(found, 2)).not.toContain('agrees');
    for (const id of [1, 3, 4]) expect(new Set(verdicts(found, id))).toEqual(new Set(['agrees']));
  });

  it('with two owners only, nobody is doubted on the word of one', async () => {
    const found = await investigate(new CanaryPolicy({ random: seeded() }), [node(1), node(2)], (id) => (id === 2 ? wrong() : right()), 20);
    expect([...verdicts(found, 1), ...verdicts(found, 2)]).not.toContain('differs');
  });

  it('who counts more tokens than two others over-reports; who counts fewer does not', async () => {
    const found = await investigate(new CanaryPolicy({ random: seeded() }), three(), (id) => right(id === 2 ? 40 : 12), 12);
    expect(found.get(2)?.map(({ finding }) => finding.usage)).toContain('differs');
    for (const id of [1, 3]) expect(found.get(id)?.map(({ finding }) => finding.usage)).not.toContain('differs');
    const fewer = await investigate(new CanaryPolicy({ random: seeded() }), three(), (id) => right(id === 2 ? 3 : 12), 12);
    for (const id of [1, 2, 3]) expect(fewer.get(id)?.map(({ finding }) => finding.usage)).not.toContain('differs');
  });

  it('without log probabilities it takes two early partings in a row from two that agree', async () => {
    const text = 'a sentence that is long enough to be compared with another one like it';
    const found = await investigate(new CanaryPolicy({ random: seeded() }), [...three(), node(4)], (id) => plain(id === 2 ? 'Well, quite another thing' : text), 30);
    const bad = verdicts(found, 2);
    expect(bad.indexOf('differs')).toBeGreaterThan(0);
    expect(bad[0]).toBe('inconclusive');
    for (const id of [1, 3, 4]) expect(verdicts(found, id)).not.toContain('differs');
  });

  it('a node without an answer failed, and nobody is judged by that', async () => {
    const found = await investigate(new CanaryPolicy({ random: seeded() }), three(), (id) => (id === 2 ? null : right()), 4);
    expect(new Set(verdicts(found, 2))).toEqual(new Set(['failed']));
  });

  it('feeds reputation: a node with another model is a last resort before long', async () => {
    const nodes = [...three(), node(4)];
    const chooser = createChooser({ random: seeded() });
    const found = await investigate(new CanaryPolicy({ random: seeded() }), nodes, (id) => (id === 2 ? wrong() : right()), 40);
    for (const list of found.values()) for (const event of list) chooser.observed(event);
    expect(chooser.reputation(nodes[1]!, 0).verification).toBeLessThan(0.35);
    expect(chooser.reputation(nodes[0]!, 0).verification).toBe(1);
  });
});

describe('repeated requests', () => {
  it('repeatOn: rarely, and on a node of another owner', () => {
    const policy = new CanaryPolicy({ random: seeded(), repeatShare: 0.02 });
    const nodes = [node(1, { owner: 'a' }), node(2, { owner: 'a' }), node(3, { owner: 'b' })];
    const on = Array.from({ length: 5_000 }, () => policy.repeatOn(nodes[0]!, nodes)).filter((one) => one !== null);
    expect(new Set(on.map((one) => one?.id))).toEqual(new Set([3]));
    expect(on.length / 5_000).toBeCloseTo(0.02, 2);
  });

  it('repeated: agreement counts at once; a difference only makes both due for a question', () => {
    const policy = new CanaryPolicy({ random: seeded(), share: 1 });
    const [a, b] = [node(1), node(2)];
    policy.routed();
    expect(policy.next('m', [a, b], 0)).not.toBeNull();
    expect(policy.repeated([{ node: a, answer: right() }, { node: b, answer: right() }], 1)).toMatchObject([{ finding: { answer: 'agrees' } }, { finding: { answer: 'agrees' } }]);
    policy.routed();
    expect(policy.next('m', [a, b], 2)).toBeNull();
    expect(policy.repeated([{ node: a, answer: right() }, { node: b, answer: wrong() }], 3)).toEqual([]);
    expect(policy.next('m', [a, b], 4)).not.toBeNull();
  });
});

describe('makeQuestion', () => {
  it('questions are many', () => {
    const random = seeded();
    expect(new Set(Array.from({ length: 500 }, () => makeQuestion(random))).size).toBeGreaterThan(450);
  });
});
