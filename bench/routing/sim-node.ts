// A node as it really is, which no rule for choosing sees: sequences that wait in line, prompts that are read one after
// another, tokens that get slower with each stream beside them, a cache of conversations, and its ways to fail.
import type { EventQueue } from './event-queue.ts';

export interface NodeTruth {
  readonly owner: string;
  readonly coefficient: number;
  /** What it says it can take; sequences that it has. More said than had: the rest waits at the node. */
  readonly capacity: number;
  readonly sequences: number;
  readonly roundTripMs: number;
  readonly readTokensPerMs: number;
  /** One stream alone; each other one beside it costs `slowdown` of that. */
  readonly tokensPerMs: number;
  readonly slowdown: number;
  readonly overheadMs: number;
  /** Part of the requests that fail, and how long that takes. */
  readonly failing: { readonly share: number; readonly afterMs: number };
  /** Mean times up and down; null: always up. */
  readonly flapping: { readonly upMs: number; readonly downMs: number } | null;
  /** Conversations whose beginning it keeps; the one not used for longest goes. */
  readonly cachedConversations: number;
  readonly joinsMs: number;
}

export interface SimRequest {
  readonly promptTokens: number;
  readonly answerTokens: number;
  readonly conversation: string | null;
}

export interface Job {
  readonly request: SimRequest;
  readonly cachedTokens: number;
  finishAt: number;
  state: 'line' | 'reading' | 'writing' | 'gone';
  onFirst(cachedTokens: number): void;
  onEnd(outcome: 'finished' | 'lost' | 'error', cachedTokens: number): void;
}

export class SimNode {
  readonly id: number;
  readonly truth: NodeTruth;
  readonly #events: EventQueue;
  readonly #random: () => number;
  readonly #line: Job[] = [];
  readonly #reading = new Set<Job>();
  readonly #writing: Job[] = [];
  readonly #cache = new Map<string, number>();
  #inside = 0;
  #readerFreeMs = 0;
  /** Tokens that a stream which was always there would have made; streams finish at values of it. */
  #progress = 0;
  #progressMs = 0;
  #version = 0;
  up = true;

  constructor(id: number, truth: NodeTruth, events: EventQueue, random: () => number) {
    this.id = id;
    this.truth = truth;
    this.#events = events;
    this.#random = random;
  }

  /** Requests here, waiting or at work. */
  get present(): number {
    return this.#inside + this.#line.length;
  }

  /** Ms until the first token if it were idle: what only the simulation knows. */
  idleFirstTokenMs(request: SimRequest): number {
    const { roundTripMs, overheadMs, readTokensPerMs } = this.truth;
    return roundTripMs + overheadMs + (request.promptTokens - this.#cachedTokens(request)) / readTokensPerMs;
  }

  take(request: SimRequest, on: Pick<Job, 'onFirst' | 'onEnd'>): Job {
    const job: Job = { request, cachedTokens: this.#cachedTokens(request), finishAt: 0, state: 'line', ...on };
    const { share, afterMs } = this.truth.failing;
    if (this.#random() < share) this.#events.after(this.truth.roundTripMs + afterMs, () => this.#leave(job, 'error'));
    this.#line.push(job);
    this.#admit();
    return job;
  }

  goDown(): void {
    this.up = false;
    const jobs = [...this.#line, ...this.#reading, ...this.#writing];
    this.#cache.clear();
    this.#version += 1;
    this.#line.length = 0;
    this.#reading.clear();
    this.#writing.length = 0;
    this.#inside = 0;
    this.#readerFreeMs = 0;
    for (const job of jobs) {
      job.state = 'gone';
      job.onEnd('lost', 0);
    }
  }

  /** The client has given up. */
  cancel(job: Job): void {
    if (job.state === 'gone') return;
    this.#leave(job, null);
  }

  #cachedTokens({ conversation, promptTokens }: SimRequest): number {
    return conversation === null ? 0 : Math.min(this.#cache.get(conversation) ?? 0, Math.max(0, promptTokens - 1));
  }

  #admit(): void {
    while (this.#inside < this.truth.sequences) {
      const job = this.#line.shift();
      if (job === undefined) return;
      this.#inside += 1;
      job.state = 'reading';
      this.#reading.add(job);
      const now = this.#events.nowMs;
      const readMs = this.truth.overheadMs + (job.request.promptTokens - job.cachedTokens) / this.truth.readTokensPerMs;
      this.#readerFreeMs = Math.max(this.#readerFreeMs, now) + readMs;
      this.#events.at(this.#readerFreeMs + this.truth.roundTripMs, () => {
        if (job.state === 'reading') this.#write(job);
      });
    }
  }

  #write(job: Job): void {
    this.#reading.delete(job);
    this.#advance();
    job.state = 'writing';
    job.finishAt = this.#progress + job.request.answerTokens;
    this.#writing.push(job);
    this.#planNext();
    job.onFirst(job.cachedTokens);
  }

  /** Ms that one token of one stream takes now. */
  #tokenMs(): number {
    return (1 + this.truth.slowdown * (this.#writing.length - 1)) / this.truth.tokensPerMs;
  }

  #advance(): void {
    const now = this.#events.nowMs;
    if (this.#writing.length > 0) this.#progress += (now - this.#progressMs) / this.#tokenMs();
    this.#progressMs = now;
  }

  #planNext(): void {
    this.#version += 1;
    const version = this.#version;
    let next: Job | undefined;
    for (const job of this.#writing) if (next === undefined || job.finishAt < next.finishAt) next = job;
    if (next === undefined) return;
    const job = next;
    this.#events.after(Math.max(0, job.finishAt - this.#progress) * this.#tokenMs(), () => {
      if (version === this.#version && job.state === 'writing') this.#leave(job, 'finished');
    });
  }

  #leave(job: Job, outcome: 'finished' | 'error' | null): void {
    if (job.state === 'gone') return;
    if (job.state === 'line') {
      const index = this.#line.indexOf(job);
      if (index >= 0) this.#line.splice(index, 1);
    } else {
      this.#advance();
      this.#inside -= 1;
      this.#reading.delete(job);
      const index = this.#writing.indexOf(job);
      if (index >= 0) this.#writing.splice(index, 1);
      this.#planNext();
    }
    job.state = 'gone';
    if (outcome === 'finished') this.#remember(job.request);
    this.#admit();
    if (outcome !== null) job.onEnd(outcome, job.cachedTokens);
  }

  #remember({ conversation, promptTokens, answerTokens }: SimRequest): void {
    if (conversation === null) return;
    this.#cache.delete(conversation);
    this.#cache.set(conversation, promptTokens + answerTokens);
    const oldest = this.#cache.keys().next();
    if (this.#cache.size > this.truth.cachedConversations && oldest.done !== true) this.#cache.delete(oldest.value);
  }
}
