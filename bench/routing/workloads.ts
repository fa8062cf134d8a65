// What is simulated: unequal nodes, and requests as they come. Seven kinds of work, each made from a seed alone, so that every
// rule gets exactly the same nodes, failures and requests.
import { seeded } from './random.ts';
import type { Random } from './random.ts';
import type { NodeTruth, SimRequest } from './sim-node.ts';

export interface Arrival extends SimRequest {
  readonly atMs: number;
  readonly maxTokens: number;
  readonly maxCoefficient: number;
}

export interface Workload {
  readonly name: string;
  readonly nodes: readonly NodeTruth[];
  readonly arrivals: readonly Arrival[];
  readonly lengthMs: number;
}

export const WORKLOADS = ['light', 'bursty', 'saturated', 'lengths', 'flapping', 'conversations', 'joining'] as const;
export type WorkloadName = (typeof WORKLOADS)[number];

/** Part of the nodes that join in the middle, all of them good: do they get work? */
const NEWCOMERS = 0.02;

/** One in twelve reads and writes like a CPU; one in twenty announces more than it has; one in thirty fails often and fast. */
function makeNode(random: Random, index: number, lengthMs: number, newcomer: boolean, flapping: boolean): NodeTruth {
  const cpu = !newcomer && random.next() < 0.08;
  const liar = !newcomer && random.next() < 0.05;
  const failsFast = !newcomer && random.next() < 0.03;
  const sequences = cpu ? random.integer(1, 2) : random.integer(1, 6);
  const upMs = random.between(30_000, 240_000);
  return {
    owner: `owner ${index >> 1}`,
    coefficient: Math.round(random.between(600, 1_500)),
    capacity: liar ? sequences * random.integer(3, 10) : sequences,
    sequences,
    roundTripMs: random.logNormal(newcomer ? 20 : 45, 0.8),
    readTokensPerMs: cpu ? random.logBetween(0.05, 0.2) : random.logBetween(newcomer ? 4 : 0.8, 8),
    tokensPerMs: cpu ? random.logBetween(0.004, 0.015) : random.logBetween(newcomer ? 0.06 : 0.02, 0.12),
    slowdown: random.between(0.05, 0.4),
    overheadMs: random.between(5, 60),
    failing: failsFast ? { share: random.between(0.3, 1), afterMs: random.between(2, 40) } : { share: random.between(0, 0.004), afterMs: random.between(10, 1_000) },
    flapping: flapping && random.next() < 0.3 ? { upMs, downMs: random.between(2_000, 20_000) } : null,
    cachedConversations: sequences * random.integer(1, 16),
    joinsMs: newcomer ? lengthMs * 0.5 : 0,
  };
}

interface Shape {
  /** Requests per second, as a function of the part of the time that is over. */
  readonly rate: (part: number) => number;
  readonly lengthMs: number;
  readonly prompt: (random: Random) => number;
  readonly answer: (random: Random) => number;
  readonly flapping?: boolean;
  /** Part of the nodes that are there; the others' requests come all the same. */
  readonly present?: number;
  /** Part of the requests that go on with a conversation. */
  readonly goingOn?: number;
}

const ORDINARY = {
  prompt: (random: Random) => Math.min(30_000, random.logNormal(400, 0.9)),
  answer: (random: Random) => Math.min(2_000, random.logNormal(150, 0.7)),
};

/** Rates are for 1,000 nodes; a smaller network gets its part of them. */
const SHAPES: Readonly<Record<WorkloadName, Shape>> = {
  light: { ...ORDINARY, lengthMs: 300_000, rate: () => 12 },
  bursty: { ...ORDINARY, lengthMs: 120_000, rate: (part) => ((part * 6) % 1 < 0.15 ? 200 : 15) },
  saturated: { ...ORDINARY, lengthMs: 15_000, rate: () => 350, answer: (random) => Math.min(2_000, random.logNormal(250, 0.6)) },
  lengths: {
    lengthMs: 80_000, rate: () => 60,
    prompt: (random) => (random.next() < 0.85 ? random.logNormal(250, 0.8) : Math.min(60_000, random.logNormal(9_000, 0.6))),
    answer: (random) => (random.next() < 0.7 ? random.logNormal(60, 0.5) : Math.min(3_000, random.logNormal(600, 0.5))),
  },
  flapping: { ...ORDINARY, lengthMs: 100_000, rate: () => 45, flapping: true },
  conversations: { ...ORDINARY, lengthMs: 100_000, rate: () => 45, goingOn: 0.85 },
  // Few nodes and many requests: long enough that all old nodes are known when new ones come.
  joining: { ...ORDINARY, lengthMs: 300_000, rate: () => 14, present: 0.15 },
};

interface Conversation {
  readonly key: string;
  tokens: number;
  /** Next turn not before: the last answer, and somebody who reads it. */
  nextMs: number;
}

function makeArrivals(random: Random, shape: Shape, scale: number): Arrival[] {
  const arrivals: Arrival[] = [];
  const conversations: Conversation[] = [];
  for (let atMs = 0; ;) {
    atMs += random.exponential(1_000 / Math.max(0.001, shape.rate(atMs / shape.lengthMs) * scale));
    if (atMs >= shape.lengthMs) return arrivals;
    const answerTokens = Math.max(2, Math.round(shape.answer(random)));
    const own = Math.max(8, Math.round(shape.prompt(random)));
    const maxCoefficient = random.next() < 0.1 ? 1_000 : 4_000;
    const base = { atMs, answerTokens, maxTokens: 2 ** Math.ceil(Math.log2(answerTokens * random.between(1, 4))), maxCoefficient };
    if (shape.goingOn === undefined) {
      arrivals.push({ ...base, promptTokens: own, conversation: null });
      continue;
    }
    const at = random.integer(0, Math.max(0, conversations.length - 1));
    const last = conversations[at];
    const goesOn = random.next() < shape.goingOn && last !== undefined && last.nextMs <= atMs && last.tokens < 30_000;
    const conversation = goesOn ? last : { key: `conversation ${arrivals.length}`, tokens: 4_000, nextMs: 0 };
    const promptTokens = conversation.tokens + own;
    conversation.tokens = promptTokens + answerTokens;
    conversation.nextMs = atMs + 15_000;
    if (!goesOn && conversations.length < 1_200) conversations.push(conversation);
    else if (!goesOn) conversations[at] = conversation;
    arrivals.push({ ...base, promptTokens, conversation: conversation.key });
  }
}

/** `nodes` of them; requests in proportion. */
export function makeWorkload(name: WorkloadName, seed: number, nodes: number): Workload {
  const shape = SHAPES[name];
  const random = seeded(seed);
  const present = Math.max(4, Math.round(nodes * (shape.present ?? 1)));
  const newcomers = Math.max(1, Math.round(present * NEWCOMERS));
  return {
    name,
    lengthMs: shape.lengthMs,
    nodes: Array.from({ length: present }, (_, i) => makeNode(random, i, shape.lengthMs, i >= present - newcomers, shape.flapping === true)),
    arrivals: makeArrivals(random, shape, nodes / 1_000),
  };
}
