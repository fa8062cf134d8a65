// Fuzzes one target: keeps every input that reaches something new, changes kept ones, and judges each execution. A finding is
// anything thrown that is not one of our typed errors, too much time, or memory out of proportion to the input.
import { getHeapStatistics } from 'node:v8';
import { CocoonError } from '../../src/core/errors.ts';
import { clear, comparedIn, Reached } from './coverage.ts';
import { mutate, towards } from './mutate.ts';
import type { Materials } from './mutate.ts';
import { randomOf } from './random.ts';

export interface Target {
  readonly name: string;
  /** Parses; throws or rejects only with CocoonError. */
  readonly run: (input: Uint8Array) => unknown;
  readonly seeds: readonly Uint8Array[];
  readonly words?: readonly string[];
  /** Largest input that is tried. */
  readonly maxBytes?: number;
  /** Beginnings of names in src/ whose branches are the target's own. */
  readonly files: readonly string[];
  /** Where the code may rightly need more time than others. */
  readonly maxMs?: number;
}

export interface Finding {
  readonly target: string;
  readonly kind: 'untyped error' | 'internal error' | 'time' | 'memory';
  readonly detail: string;
  readonly input: Uint8Array;
}

export interface Outcome {
  readonly target: string;
  readonly executions: number;
  readonly seconds: number;
  readonly kept: number;
  readonly branches: number;
  readonly share: { readonly reached: number; readonly all: number };
  readonly findings: readonly Finding[];
}

export interface Budget {
  /** Ends at the first of these. */
  readonly seconds: number;
  readonly executions: number;
  /** True: the first finding ends it, too. */
  readonly untilFound: boolean;
}

const MAX_MS = 400;
/** Heap and buffers that one execution may take: what is always there, and for each byte of input. */
const BASE_BYTES = 8 * 1024 * 1024;
const BYTES_PER_BYTE = 200;
const MAX_KEPT = 4096;
const MAX_KEPT_FINDINGS = 20;
const DEFAULT_MAX_BYTES = 16_384;
const TRIES = 3;
/** Besides new inputs, one in so many is explored by what the code compares it with. */
const EXPLORE_ONE_IN = 64;

/** Called before each execution with the input, so that a watchdog can tell which one does not end. */
export type Announce = (input: Uint8Array) => void;

interface Execution {
  readonly problem: Omit<Finding, 'target' | 'input'> | null;
}

const heldBytes = (): number => {
  const { used_heap_size: heap, external_memory: external } = getHeapStatistics();
  return heap + external;
};

/** Processor time and memory of one run; what else happens on the machine can only add to them. What waits for ever is the watchdog's. */
async function measured(target: Target, input: Uint8Array): Promise<{ ms: number; bytes: number; thrown: unknown }> {
  const held = heldBytes();
  const started = process.cpuUsage();
  let thrown: unknown;
  try {
    const result = target.run(input);
    if (result instanceof Promise) await result;
  } catch (error) {
    thrown = error;
  }
  const { user, system } = process.cpuUsage(started);
  return { ms: (user + system) / 1000, bytes: heldBytes() - held, thrown };
}

/** Runs an input and judges what happened; what is out of bounds is measured again, after a collection, and the least counts. */
export async function execute(target: Target, input: Uint8Array): Promise<Execution> {
  let { ms, bytes, thrown } = await measured(target, input);
  const maxMs = target.maxMs ?? MAX_MS;
  const maxBytes = BASE_BYTES + BYTES_PER_BYTE * input.length;
  for (let tries = 0; tries < TRIES && (ms > maxMs || bytes > maxBytes); tries += 1) {
    globalThis.gc?.();
    const again = await measured(target, input);
    ({ thrown } = again);
    [ms, bytes] = [Math.min(ms, again.ms), Math.min(bytes, again.bytes)];
  }
  if (ms > maxMs) return { problem: { kind: 'time', detail: `${Math.round(ms)} ms for ${input.length} bytes` } };
  if (bytes > maxBytes) return { problem: { kind: 'memory', detail: `${bytes} bytes for ${input.length} bytes of input` } };
  if (thrown === undefined) return { problem: null };
  if (!(thrown instanceof CocoonError)) return { problem: { kind: 'untyped error', detail: shown(thrown) } };
  return { problem: thrown.code === 'E_INTERNAL' ? { kind: 'internal error', detail: shown(thrown) } : null };
}

const shown = (thrown: unknown): string => (thrown instanceof Error ? `${thrown.name}: ${thrown.message}\n${(thrown.stack ?? '').split('\n').slice(1, 4).join('\n')}` : String(thrown));

/** Fuzzes for the budget. The same seed gives the same inputs in the same order, up to where the time ends. */
export async function fuzz(target: Target, seed: string, budget: Budget, corpus: readonly Uint8Array[] = [], announce: Announce = () => undefined): Promise<Outcome & { readonly corpus: readonly Uint8Array[] }> {
  const random = randomOf(`${seed} ${target.name}`);
  const reached = new Reached();
  const kept: Uint8Array[] = [];
  const findings = new Map<string, Finding>();
  const startedMs = performance.now();
  const maxBytes = target.maxBytes ?? DEFAULT_MAX_BYTES;
  let executions = 0;
  const over = (): boolean => (budget.untilFound && findings.size > 0) || executions >= budget.executions || performance.now() - startedMs >= budget.seconds * 1000;

  /** True when the input reached something new. */
  const attempt = async (input: Uint8Array, keep: boolean): Promise<boolean> => {
    announce(input);
    clear();
    const { problem } = await execute(target, input);
    executions += 1;
    const isNew = reached.add();
    if (problem !== null) {
      const key = `${problem.kind} ${problem.detail.replace(/\d+/g, '#').slice(0, 200)}`;
      if (!findings.has(key) && findings.size < MAX_KEPT_FINDINGS) findings.set(key, { target: target.name, ...problem, input: Uint8Array.from(input) });
    }
    if ((isNew || keep) && kept.length < MAX_KEPT) kept.push(Uint8Array.from(input));
    return isNew;
  };

  const materials: Materials = {
    random, maxBytes, words: (target.words ?? []).map((word) => Buffer.from(word, 'latin1')),
    other: () => random.pick(kept) ?? new Uint8Array(0),
  };
  /** What the code compared a new input with is tried at once. */
  const explore = async (input: Uint8Array): Promise<void> => {
    const pairs = await comparedIn(async () => { await execute(target, input); });
    for (const changed of towards(input, pairs, materials)) {
      if (over()) return;
      await attempt(changed, false);
    }
  };

  for (const input of [...target.seeds, ...corpus]) {
    if (over()) break;
    await attempt(input, target.seeds.includes(input));
  }
  for (const input of kept) {
    if (over()) break;
    await explore(input);
  }
  while (!over()) {
    // Inputs that were found last lead further more often than old ones.
    const index = random.below(3) === 0 ? kept.length - 1 - random.below(Math.min(kept.length, 32)) : random.below(kept.length);
    const base = kept[index] ?? new Uint8Array(0);
    const changed = mutate(base, materials);
    if (await attempt(changed, false) || random.below(EXPLORE_ONE_IN) === 0) await explore(changed);
  }
  return {
    target: target.name, executions, seconds: (performance.now() - startedMs) / 1000, kept: kept.length, branches: reached.branches, share: reached.share(target.files),
    findings: [...findings.values()], corpus: kept,
  };
}
