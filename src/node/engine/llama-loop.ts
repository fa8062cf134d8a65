// Continuous batching: one loop that evaluates what all sequences have waiting, batch after batch, and draws their next tokens.
// A drawn token goes into the next batch at once, and to its reader while that batch is computed; a reader that has not taken
// the token before holds up its own sequence only. States change between batches, never within one.
import { setImmediate as turn } from 'node:timers/promises';
import { deferred } from '../../core/deferred.ts';
import { EngineError } from '../../core/errors.ts';
import { shareBatch } from './llama-batch.ts';
import type { BatchItem, BatchShare } from './llama-batch.ts';
import type { BatchContext, TokenSampler } from './llama-native.ts';
import type { GeneratedToken, LlamaSampling, LlamaSequence } from './llama-runtime.ts';

export interface LlamaLoopOptions {
  readonly batches: BatchContext;
  sampler(sampling: LlamaSampling): TokenSampler;
  /** True for a token that ends an answer. */
  isEnd(token: number): boolean;
  readonly sequences: number;
  /** Tokens that one sequence can hold. */
  readonly contextSize: number;
  /** Tokens of a batch. */
  readonly batchSize: number;
  /** False: states of this model cannot be cut back, only gone on from or emptied. */
  readonly canCut: boolean;
  readonly reusePrefix: boolean;
  /** True: the native work of this process is done piece by piece in the order in which it is given (UV_THREADPOOL_SIZE is 1). */
  readonly inOrder: boolean;
}

export interface LlamaLoop {
  /** In ascending order of id. */
  readonly sequences: readonly LlamaSequence[];
  /** Fails what runs; resolves when nothing is being evaluated any more. */
  close(): Promise<void>;
}

/** Running answers are held up by prompts for about this long at a time. */
const PROMPT_SHARE_MS = 100;
const LEAST_PROMPT_SHARE = 64;
/** Batches with fewer tokens of prompts say little about how fast they are evaluated. */
const TELLING_TOKENS = 32;
const NOTHING = new Uint32Array(0);

interface Run {
  readonly sampling: LlamaSampling;
  readonly signal: AbortSignal;
  readonly sampler: TokenSampler;
  /** What is not evaluated yet: the rest of the prompt, or the last drawn token. */
  pending: Uint32Array;
  /** Holds the last drawn token: a new array for each costs more than all the rest of a turn. */
  readonly last: Uint32Array;
  answering: boolean;
  waited: number;
  drawn: number;
  /** Drawn and not taken by the reader. */
  readonly out: GeneratedToken[];
  /** Nothing more will be drawn. */
  over: boolean;
  error: unknown;
  /** The reader has left. */
  left: boolean;
  wake: () => void;
}

interface Slot {
  readonly id: number;
  /** Tokens that are evaluated, in order. */
  state: number[];
  /** An evaluation failed: what llama.cpp holds is not known. */
  dirty: boolean;
  run: Run | null;
}

interface Planned extends BatchItem {
  readonly slot: Slot;
  readonly run: Run;
}

export function createLlamaLoop(options: LlamaLoopOptions): LlamaLoop {
  return new Loop(options);
}

class Loop implements LlamaLoop {
  readonly sequences: readonly LlamaSequence[];
  readonly #options: LlamaLoopOptions;
  readonly #slots: readonly Slot[];
  /** Changes of states, to be made between batches. */
  #changes: (() => void)[] = [];
  /** Drawn tokens and ends that their readers do not know of yet. */
  #news: (() => void)[] = [];
  #running = false;
  #closed = false;
  #idle = deferred<void>();
  #promptShare: number;

  constructor(options: LlamaLoopOptions) {
    this.#options = options;
    this.#promptShare = Math.min(options.batchSize, 2 * LEAST_PROMPT_SHARE);
    this.#slots = Array.from({ length: options.sequences }, (_, id) => ({ id, state: [], dirty: false, run: null }));
    this.sequences = this.#slots.map((slot) => this.#sequence(slot));
    this.#idle.resolve();
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const { run } of this.#slots) {
      if (run !== null) this.#fail(run, new EngineError('E_ENGINE', 'engine is closed'));
    }
    await this.#idle.promise;
    this.#deliver();
  }

  #sequence(slot: Slot): LlamaSequence {
    const { reusePrefix, canCut } = this.#options;
    return {
      id: slot.id,
      get length() {
        return slot.state.length;
      },
      reusableTokens(tokens) {
        if (!reusePrefix || slot.dirty) return 0;
        const same = commonLength(slot.state, tokens);
        // A state that cannot be cut is of use only where the prompt goes on from its very end.
        return canCut || (same === slot.state.length && same < tokens.length) ? same : 0;
      },
      truncate: (length) => this.#truncate(slot, length),
      generate: (tokens, sampling, signal) => this.#generate(slot, tokens, sampling, signal),
    };
  }

  #truncate(slot: Slot, length: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#changes.push(() => {
        try {
          this.#cut(slot, length);
          resolve(slot.state.length);
        } catch (error) {
          reject(error);
        }
      });
      this.#start();
    });
  }

  #cut(slot: Slot, length: number): void {
    if (!slot.dirty && slot.state.length <= length) return;
    const { batches } = this.#options;
    const kept = slot.dirty || !batches.remove(slot.id, length) ? 0 : length;
    if (kept === 0 && !batches.remove(slot.id, 0)) throw new EngineError('E_ENGINE', 'engine cannot empty a sequence');
    slot.state.length = kept;
    slot.dirty = false;
  }

  async* #generate(slot: Slot, tokens: readonly number[], sampling: LlamaSampling, signal: AbortSignal): AsyncGenerator<GeneratedToken, void, void> {
    if (this.#closed) throw new EngineError('E_ENGINE', 'engine is closed');
    const run: Run = {
      sampling, signal, sampler: this.#options.sampler(sampling), pending: Uint32Array.from(tokens), last: new Uint32Array(1),
      answering: false, waited: 0, drawn: 0, out: [], over: false, error: undefined, left: false, wake: () => undefined,
    };
    slot.run = run;
    const stop = (): void => {
      this.#start(); // the loop finds that it is aborted
    };
    signal.addEventListener('abort', stop, { once: true });
    this.#start();
    try {
      for (;;) {
        const next = run.out.shift();
        if (next !== undefined) {
          this.#start();
          yield next;
        } else if (run.error !== undefined) {
          throw run.error;
        } else if (run.over) {
          return;
        } else {
          await new Promise<void>((resolve) => { run.wake = resolve; });
        }
      }
    } finally {
      signal.removeEventListener('abort', stop);
      run.left = true;
      this.#start();
    }
  }

  /** Begins in a later turn, so that requests that come together are evaluated together. */
  #start(): void {
    if (this.#running) return;
    this.#running = true;
    this.#idle = deferred();
    setImmediate(() => {
      void this.#loop().then(() => this.#idle.resolve());
    });
  }

  /** Never rejects. */
  async #loop(): Promise<void> {
    for (;;) {
      // Who waited for a change goes on with it in the next batch, not in the one after that.
      while (this.#settle()) await turn();
      const batch = this.#plan();
      if (batch.length > 0) {
        await this.#evaluate(batch);
      } else if (this.#news.length > 0) {
        this.#deliver();
      } else {
        this.#running = false;
        return;
      }
    }
  }

  /** Between batches: readers that have left are forgotten, aborted answers end, states change as was asked. True when any did. */
  #settle(): boolean {
    for (const slot of this.#slots) {
      const { run } = slot;
      if (run === null) continue;
      if (run.signal.aborted && !run.over) this.#end(run);
      if (!run.left && !run.over) continue;
      run.sampler.dispose();
      slot.run = null;
    }
    const changes = this.#changes;
    this.#changes = [];
    for (const change of changes) change();
    return changes.length > 0;
  }

  #plan(): BatchShare<Planned>[] {
    const items: Planned[] = [];
    for (const slot of this.#slots) {
      const { run } = slot;
      // One drawn token may wait for its reader: it is delivered while this batch is computed.
      if (run === null || run.out.length > 0) continue;
      if (slot.state.length + run.pending.length > this.#options.contextSize && !this.#shift(slot, run)) continue;
      items.push({ slot, run, id: slot.id, left: run.pending.length, answering: run.answering, waited: run.waited });
    }
    return shareBatch(items, this.#options.batchSize, this.#promptShare);
  }

  /** Makes room in a full sequence by forgetting half of what follows the first tokens; without leave to, its answer ends. */
  #shift(slot: Slot, run: Run): boolean {
    const { keep } = run.sampling;
    if (keep === null) {
      this.#end(run);
      return false;
    }
    const dropped = Math.floor((slot.state.length - keep) / 2);
    const { batches } = this.#options;
    if (dropped < 1 || !batches.remove(slot.id, keep, keep + dropped)) {
      this.#fail(run, new EngineError('E_ENGINE', 'engine cannot shift the context of this model'));
      return false;
    }
    batches.shift(slot.id, keep + dropped, slot.state.length, -dropped);
    slot.state.splice(keep, dropped);
    return true;
  }

  async #evaluate(batch: readonly BatchShare<Planned>[]): Promise<void> {
    const { batches, inOrder } = this.#options;
    const results: { readonly run: Run; readonly index: number }[] = [];
    let ahead: readonly Promise<number>[] = [];
    let size = 0;
    let prompts = 0;
    for (const { item, amount } of batch) {
      size += amount;
      if (!item.answering) prompts += amount;
    }
    const startedMs = prompts < TELLING_TOKENS ? null : performance.now();
    try {
      batches.begin(size);
      for (const { item: { slot, run }, amount } of batch) {
        const isWhole = amount === run.pending.length;
        const index = batches.add(slot.id, slot.state.length, isWhole ? run.pending : run.pending.subarray(0, amount), isWhole);
        if (isWhole) results.push({ run, index });
      }
      const decoding = batches.decode();
      // Given at once, the draws follow the batch without a way through this thread, which may have to be woken for it.
      if (inOrder) ahead = results.map(({ run, index }) => run.sampler.sample(index));
      this.#deliver();
      await decoding;
    } catch (error) {
      await Promise.allSettled(ahead); // drawn from nothing, and nobody wants them
      for (const { item: { slot, run } } of batch) {
        slot.dirty = true;
        this.#fail(run, error);
      }
      return;
    }
    if (startedMs !== null) this.#learn(prompts, performance.now() - startedMs);
    for (const { run } of this.#slots) {
      if (run !== null) run.waited += 1;
    }
    for (const { item: { slot, run }, amount } of batch) {
      for (let at = 0; at < amount; at += 1) slot.state.push(run.pending[at] ?? 0);
      run.pending = amount === run.pending.length ? NOTHING : run.pending.subarray(amount);
      run.waited = 0;
    }
    if (inOrder) {
      await Promise.all(results.map(({ run, index }, at) => this.#draw(run, index, ahead[at])));
      return;
    }
    // llama.cpp puts the results of a mixed batch in order when the first of them is looked at, which no other may do meanwhile.
    const [first, ...others] = results.filter(({ run }) => !run.over && !run.left);
    if (first !== undefined) await this.#draw(first.run, first.index);
    await Promise.all(others.map(({ run, index }) => this.#draw(run, index)));
  }

  /** How many tokens of prompts take about as long as running answers may be held up. */
  #learn(tokens: number, elapsedMs: number): void {
    if (elapsedMs <= 0) return;
    const fitting = Math.round(tokens / elapsedMs * PROMPT_SHARE_MS);
    this.#promptShare = Math.min(this.#options.batchSize, Math.max(LEAST_PROMPT_SHARE, Math.round((this.#promptShare + fitting) / 2)));
  }

  /** The next token of an answer, drawn now where it is not `drawing` already; its failure is the answer's alone. Never rejects. */
  async #draw(run: Run, index: number, drawing = run.sampler.sample(index)): Promise<void> {
    try {
      const token = await drawing;
      if (run.over || run.left) return;
      if (!run.sampling.ignoreEnd && this.#options.isEnd(token)) return this.#end(run);
      const count = run.sampling.logprobs;
      const likely = count === null ? null : await run.sampler.logprobs(index, token, count);
      run.drawn += 1;
      run.answering = true;
      run.last[0] = token;
      run.pending = run.last;
      this.#news.push(() => {
        run.out.push({ token, likely });
        run.wake();
      });
      if (run.drawn >= run.sampling.maxTokens) this.#end(run);
    } catch (error) {
      this.#fail(run, error);
    }
  }

  #end(run: Run): void {
    run.over = true;
    this.#news.push(() => run.wake());
  }

  #fail(run: Run, error: unknown): void {
    run.over = true;
    this.#news.push(() => {
      run.error ??= error;
      run.wake();
    });
  }

  #deliver(): void {
    const news = this.#news;
    this.#news = [];
    for (const tell of news) tell();
  }
}

function commonLength(state: readonly number[], tokens: readonly number[]): number {
  const most = Math.min(state.length, tokens.length);
  for (let at = 0; at < most; at += 1) {
    if (state[at] !== tokens[at]) return at;
  }
  return most;
}
