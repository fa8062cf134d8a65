// When nodes are asked questions whose answers can be compared, and what the answers show. A policy only: asking is the
// caller's (CanaryRunner), paid from Accounts.canary(). One node is never judged by one other node's word: where two differ, a
// third of another owner is asked the same, and only the one that stands alone is doubted.
import { BoundedMap } from './bounded-map.ts';
import { compareAnswers, TOLERANCE, commonLength } from './compare-answers.ts';
import { ForwardTime } from './estimate.ts';
import type { Candidate, NodeId, Observation } from './chooser.ts';
import type { CanaryFinding, SeededAnswer } from './compare-answers.ts';

/** Asked at temperature 0 with log probabilities. */
export interface CanaryQuestion {
  /** Base name. */
  readonly model: string;
  readonly prompt: string;
  readonly maxTokens: number;
  readonly seed: number;
  readonly topLogprobs: number;
}

/** Asks one node. Rejects with a CocoonError when it gave no answer. */
export interface CanaryRunner {
  ask(node: NodeId, question: CanaryQuestion, signal: AbortSignal): Promise<SeededAnswer>;
}

export interface CanaryTask {
  /** To be asked now, all the same question; of different owners. */
  readonly nodes: readonly Candidate[];
  readonly question: CanaryQuestion;
  /** Answers from before: a dispute that these nodes settle. */
  readonly heard: readonly Testimony[];
}

/** `answer` null: there was none. */
export interface Testimony {
  readonly node: Candidate;
  readonly answer: SeededAnswer | null;
}

export interface CanaryOptions {
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Questions, each of two nodes, for one real request at most. Default 0.005. */
  readonly share?: number;
  /** Part of the seeded requests that clients allow to be repeated which are. Default 0.01. */
  readonly repeatShare?: number;
  /** Text of a question; the owner of a proxy may have better ones. Default: makeQuestion. */
  readonly prompt?: (random: () => number) => string;
}

const MINUTE = 60_000;
const DEFAULT_SHARE = 0.005;
const DEFAULT_REPEAT_SHARE = 0.01;
const MOST_SAVED = 4;
/** A node is asked again after this; one that was in a dispute or gave no answer, sooner. */
const INTERVAL_MS = 60 * MINUTE;
const DOUBTED_INTERVAL_MS = 5 * MINUTE;
const MAX_NODES = 50_000;
const MAX_DISPUTES = 100;
/** Without log probabilities: texts that part before this many characters, while two others agree, count once; twice in a row is proof. */
const EARLY_CHARACTERS = 12;

interface Standing {
  dueMs: number;
  /** Early partings in a row. */
  partings: number;
}

export class CanaryPolicy {
  readonly #random: () => number;
  readonly #share: number;
  readonly #repeatShare: number;
  readonly #prompt: (random: () => number) => string;
  readonly #time = new ForwardTime();
  readonly #standing = new BoundedMap<Standing>(MAX_NODES);
  readonly #disputes: { readonly question: CanaryQuestion; readonly heard: readonly Testimony[] }[] = [];
  #saved = 1;

  constructor(options: CanaryOptions) {
    this.#random = options.random;
    this.#share = options.share ?? DEFAULT_SHARE;
    this.#repeatShare = options.repeatShare ?? DEFAULT_REPEAT_SHARE;
    this.#prompt = options.prompt ?? makeQuestion;
  }

  /** A real request was placed: what canaries may cost grows with what the network does. */
  routed(): void {
    this.#saved = Math.min(MOST_SAVED, this.#saved + this.#share);
  }

  /** What to ask now of the nodes of `model`, or null: nothing is due, affordable, or there is no second owner. */
  next(model: string, candidates: Iterable<Candidate>, nowMs: number): CanaryTask | null {
    const now = this.#time.at(nowMs);
    const able = [...candidates].filter(({ ready, enabled, running, capacity }) => ready && enabled && running < capacity);
    const settling = this.#settle(model, able);
    if (settling !== null) return settling;
    if (this.#saved < 1) return null;
    const subject = this.#mostDue(able, now);
    const witness = subject === null ? null : this.#witness(able, [subject]);
    if (subject === null || witness === null) return null;
    this.#saved -= 1;
    for (const { key } of [subject, witness]) this.#of(key).dueMs = now + INTERVAL_MS;
    const question = {
      model, prompt: this.#prompt(this.#random), maxTokens: 24 + Math.floor(this.#random() * 41), seed: Math.floor(this.#random() * 2 ** 31), topLogprobs: 5,
    };
    return { nodes: [subject, witness], question, heard: [] };
  }

  /** The node that a seeded request, just answered by `served` and allowed to be repeated, is repeated on; mostly null. */
  repeatOn(served: Candidate, candidates: Iterable<Candidate>): Candidate | null {
    if (this.#random() >= this.#repeatShare) return null;
    return this.#witness([...candidates].filter(({ ready, enabled, running, capacity }) => ready && enabled && running < capacity), [served]);
  }

  /** What `answers` to `task` show. Where they differ and a third could tell, nothing yet: `next` gives the task that asks it. */
  conclude(task: CanaryTask, answers: readonly Testimony[], nowMs: number): Observation[] {
    const now = this.#time.at(nowMs);
    const all = [...task.heard, ...answers];
    const given = all.filter((one): one is Heard => one.answer !== null);
    const observations: Observation[] = answers.filter(({ answer }) => answer === null).map(({ node }) => {
      this.#of(node.key).dueMs = now + DOUBTED_INTERVAL_MS;
      return { kind: 'canary', node, nowMs, finding: { answer: 'failed', usage: 'inconclusive', detail: 'no answer' } };
    });
    const [first, second] = given;
    if (first === undefined || second === undefined) return observations;
    if (given.length === 2 && needsThird(first.answer, second.answer)) {
      for (const { node } of given) this.#of(node.key).dueMs = now + DOUBTED_INTERVAL_MS;
      this.#disputes.push({ question: task.question, heard: given });
      if (this.#disputes.length > MAX_DISPUTES) this.#disputes.shift();
      return observations;
    }
    return [...observations, ...this.#judge(given, nowMs)];
  }

  /** Findings about a request that was repeated (`repeatOn`). Two alone prove nothing but agreement: a difference makes both due. */
  repeated(pair: readonly [Testimony, Testimony], nowMs: number): Observation[] {
    const now = this.#time.at(nowMs);
    const given = pair.filter((one): one is Heard => one.answer !== null);
    const [first, second] = given;
    if (first === undefined || second === undefined) return [];
    if (!needsThird(first.answer, second.answer)) return this.#judge(given, nowMs);
    for (const { node } of given) this.#of(node.key).dueMs = now;
    return [];
  }

  #of(key: string): Standing {
    let standing = this.#standing.get(key);
    if (standing === undefined) {
      standing = { dueMs: 0, partings: 0 };
      this.#standing.set(key, standing);
    }
    return standing;
  }

  /** The oldest dispute that a node of a third owner can settle. */
  #settle(model: string, able: readonly Candidate[]): CanaryTask | null {
    for (const [index, { question, heard }] of this.#disputes.entries()) {
      const third = question.model === model ? this.#witness(able, heard.map(({ node }) => node)) : null;
      if (third === null) continue;
      this.#disputes.splice(index, 1);
      return { nodes: [third], question, heard };
    }
    return null;
  }

  #mostDue(able: readonly Candidate[], now: number): Candidate | null {
    let most: Candidate | null = null;
    let mostMs = Infinity;
    for (const candidate of able) {
      const { dueMs } = this.#of(candidate.key);
      if (dueMs > now || dueMs > mostMs || (dueMs === mostMs && this.#random() < 0.5)) continue;
      most = candidate;
      mostMs = dueMs;
    }
    return most;
  }

  /** Any node of another owner than all of `others`. */
  #witness(able: readonly Candidate[], others: readonly Candidate[]): Candidate | null {
    const owners = new Set(others.map(({ owner }) => owner));
    const free = able.filter(({ owner }) => !owners.has(owner));
    return free[Math.floor(this.#random() * free.length)] ?? null;
  }

  #judge(given: readonly Heard[], nowMs: number): Observation[] {
    return given.map(({ node, answer }, index) => {
      const others = given.filter((_, at) => at !== index).map((other) => other.answer);
      return { kind: 'canary', node, nowMs, finding: this.#verdict(node, answer, others) };
    });
  }

  /** `answer` beside one other, or beside two. */
  #verdict(node: Candidate, answer: SeededAnswer, others: readonly SeededAnswer[]): CanaryFinding {
    const findings = others.map((other) => compareAnswers(answer, other));
    const standing = this.#of(node.key);
    const agreeing = findings.find((finding) => finding.answer === 'agrees');
    if (agreeing !== undefined) standing.partings = 0;
    const [a, b] = others;
    const othersAgree = a !== undefined && b !== undefined && compareAnswers(a, b).answer === 'agrees';
    const detail = (agreeing ?? findings[0])?.detail ?? 'nothing to compare with';
    const best = { answer: agreeing === undefined ? 'inconclusive' as const : 'agrees' as const, usage: usageVerdict(findings), detail };
    // Two that agree can show a third wrong; whoever disagrees with one alone may be right.
    if (agreeing !== undefined || !othersAgree) return best;
    if (findings.every((finding) => finding.answer === 'differs')) return { ...best, answer: 'differs' };
    const early = others.every((other) => commonLength(answer.text, other.text) < EARLY_CHARACTERS);
    standing.partings = early ? standing.partings + 1 : 0;
    if (standing.partings < 2) return best;
    return { ...best, answer: 'differs', detail: `${detail}; parted from two others at the beginning, ${standing.partings} times in a row` };
  }
}

/** More tokens than one other may be that other's mistake; more than both others is its own. */
function usageVerdict(findings: readonly CanaryFinding[]): CanaryFinding['usage'] {
  if (findings.some(({ usage }) => usage === 'agrees')) return 'agrees';
  return findings.filter(({ usage }) => usage === 'differs').length >= 2 ? 'differs' : 'inconclusive';
}

interface Heard extends Testimony {
  readonly answer: SeededAnswer;
}

/** True when two answers differ, in text or in what they would be billed, or part so early that they may. */
function needsThird(a: SeededAnswer, b: SeededAnswer): boolean {
  const findings = [compareAnswers(a, b), compareAnswers(b, a)];
  if (findings.some(({ answer, usage }) => answer === 'differs' || usage === 'differs')) return true;
  return a.text !== b.text && commonLength(a.text, b.text) < Math.min(EARLY_CHARACTERS, TOLERANCE.fewestCharacters) && findings.some(({ answer }) => answer === 'inconclusive');
}

/** Asks all nodes of `task` at once. Never rejects: a node that gives no answer is a testimony without one. */
export const runCanary = (task: CanaryTask, runner: CanaryRunner, signal: AbortSignal): Promise<Testimony[]> =>
  Promise.all(task.nodes.map(async (node) => {
    const answer = await runner.ask(node.id, task.question, signal).catch(() => null);
    return { node, answer };
  }));

const SUBJECTS = ['a harbour at night', 'learning to cook rice', 'the history of paper', 'a bicycle with one gear', 'moving to another town', 'a small garden', 'old maps', 'a train that is late', 'keeping bees', 'the sound of rain', 'a letter to a friend', 'winter clothes'];
const FORMS = ['Write two sentences about', 'Give me three ideas for a talk on', 'Explain to a child', 'What should one know about', 'Summarise what people say about', 'Tell a very short story about'];
const ENDS = ['', ' Keep it plain.', ' Mention a colour.', ' No lists, please.', ' Use short words.', ' Start with a question.'];

/** A question like those that people ask. */
export function makeQuestion(random: () => number): string {
  const one = (list: readonly string[]): string => list[Math.floor(random() * list.length)] ?? '';
  return `${one(FORMS)} ${one(SUBJECTS)} and ${one(SUBJECTS)}.${one(ENDS)}`;
}
