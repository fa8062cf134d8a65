// Nodes for tests of the chooser, and a network of them that answers as fast as it is told to.
import { createChooser } from '../../../src/proxy/routing/create-chooser.ts';
import type { Ask, Candidate, Choice, Chooser, ChooserOptions, FailureKind } from '../../../src/proxy/routing/chooser.ts';

export interface TestNode extends Candidate {
  coefficient: number;
  enabled: boolean;
  ready: boolean;
  running: number;
  bond: bigint;
}

export const node = (id: number, given: Partial<TestNode> = {}): TestNode => {
  const made: TestNode = {
    id, key: `key ${id}`, owner: `owner ${id}`, capacity: 4, coefficient: 1_000, enabled: true, ready: true, running: 0, bond: 0n,
    bondNano: () => made.bond, ...given,
  };
  return made;
};

export const ask = (given: Partial<Ask> = {}): Ask => ({
  model: 'm', maxCoefficient: 4_000, promptBytes: 2_000, maxTokens: 256, streamed: true, affinity: null, exclude: new Set(), ...given,
});

/** How a node of the network answers one request. */
export interface Manner {
  readonly firstTokenMs: number;
  readonly tokenMs: number;
  readonly tokens?: number;
  readonly cached?: number;
  readonly failure?: FailureKind;
}

/** One request at a time, with a clock that goes on by what each takes. */
export class Network {
  readonly chooser: Chooser;
  nowMs: number;
  #seed = 1;

  constructor(options: Partial<ChooserOptions> = {}, nowMs = 1_000_000) {
    this.chooser = createChooser({ random: () => this.random(), ...options });
    this.nowMs = nowMs;
  }

  random(): number {
    this.#seed = (this.#seed * 48_271) % 2_147_483_647;
    return this.#seed / 2_147_483_647;
  }

  choose(nodes: readonly TestNode[], given: Partial<Ask> = {}): Choice {
    return this.chooser.choose(ask(given), nodes, this.nowMs);
  }

  /** Chooses, and has the chosen node answer in its manner. */
  request(nodes: readonly TestNode[], manner: (node: TestNode) => Manner, given: Partial<Ask> = {}): Choice {
    const choice = this.choose(nodes, given);
    const chosen = nodes.find(({ id }) => id === choice.node);
    if (chosen === undefined) throw new Error('chose a node that was not asked about');
    this.answer(choice, manner(chosen));
    return choice;
  }

  answer(choice: Choice, { firstTokenMs, tokenMs, tokens = 100, cached = 0, failure }: Manner): void {
    const { chooser } = this;
    chooser.observed({ kind: 'sent', choice: choice.id, nowMs: this.nowMs });
    this.nowMs += firstTokenMs;
    if (failure !== undefined) return chooser.observed({ kind: 'failed', choice: choice.id, nowMs: this.nowMs, failure });
    chooser.observed({ kind: 'first-token', choice: choice.id, nowMs: this.nowMs });
    this.nowMs += tokenMs * (tokens - 1);
    chooser.observed({ kind: 'finished', choice: choice.id, nowMs: this.nowMs, tokens: { prompt: 500, cached, completion: tokens } });
  }
}
