// A day of samples of the node's state in bounded memory: fine ones of the last half hour, coarse ones of 24 hours. A coarse
// sample keeps the greatest queue and the means of what goes up and down, so that nothing short is lost from sight.
import type { NodeState } from './state.ts';

/** Columns, so that a day of them is small as JSON. Missing values are null. */
export const SAMPLE_FIELDS = ['atMs', 'tokensPerSecond', 'running', 'queued', 'proxies', 'gpuPercent', 'gpuMemoryPercent', 'accruedNano', 'signedNano', 'claimedNano'] as const;
export type SampleField = (typeof SAMPLE_FIELDS)[number];
export type Sample = readonly (number | null)[];

export interface History {
  readonly fields: typeof SAMPLE_FIELDS;
  /** Oldest first; one each `everyMs`. */
  readonly fine: { readonly everyMs: number; readonly samples: readonly Sample[] };
  readonly coarse: { readonly everyMs: number; readonly samples: readonly Sample[] };
}

export const FINE_MS = 5_000;
const FINE_COUNT = 360;
/** Fine samples in a coarse one. */
const PER_COARSE = 12;
const COARSE_COUNT = 1_440;

export interface HistoryRecorder {
  /** To be called every FINE_MS. */
  add(state: NodeState): void;
  read(): History;
}

/** `earlier`: what a process before this one had recorded; other shapes are ignored. */
export function createHistory(earlier?: unknown): HistoryRecorder {
  const fine: Sample[] = [];
  const coarse: Sample[] = restored(earlier);
  let pending: Sample[] = [];
  return {
    add(state) {
      const sample = sampleOf(state);
      push(fine, sample, FINE_COUNT);
      pending.push(sample);
      if (pending.length < PER_COARSE) return;
      push(coarse, joined(pending), COARSE_COUNT);
      pending = [];
    },
    read: () => ({ fields: SAMPLE_FIELDS, fine: { everyMs: FINE_MS, samples: [...fine] }, coarse: { everyMs: FINE_MS * PER_COARSE, samples: [...coarse] } }),
  };
}

function push(samples: Sample[], sample: Sample, most: number): void {
  samples.push(sample);
  if (samples.length > most) samples.splice(0, samples.length - most);
}

/** nanoTON lose digits beyond 2^53 here: the lines of a drawing need none of them. */
function sampleOf({ nowMs, tokens, requests, proxies, gpus, money }: NodeState): Sample {
  const used = gpus.flatMap(({ utilizationPercent }) => utilizationPercent ?? []);
  const memory = gpus.flatMap(({ memoryUsedMib, memoryTotalMib }) => (memoryUsedMib === null || memoryTotalMib === null || memoryTotalMib === 0 ? [] : [memoryUsedMib / memoryTotalMib * 100]));
  return [
    nowMs, tokens.perSecond.s10, requests.running, requests.queued, proxies.filter(({ link }) => link === 'ready').length, meanOf(used), meanOf(memory),
    money === null ? null : Number(money.accruedNano), money === null ? null : Number(money.signedNano), money === null ? null : Number(money.claimedNano),
  ].map((value) => (value === null ? null : rounded(value)));
}

const rounded = (value: number): number => (Math.abs(value) < 1_000 ? Math.round(value * 100) / 100 : Math.round(value));
const meanOf = (values: readonly number[]): number | null => (values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length);

/** The last value of what only grows, the greatest of the queue, the mean of the rest. */
const HOW: Readonly<Record<SampleField, 'last' | 'greatest' | 'mean'>> = {
  atMs: 'last', tokensPerSecond: 'mean', running: 'mean', queued: 'greatest', proxies: 'last', gpuPercent: 'mean', gpuMemoryPercent: 'mean',
  accruedNano: 'last', signedNano: 'last', claimedNano: 'last',
};

function joined(samples: readonly Sample[]): Sample {
  return SAMPLE_FIELDS.map((field, column) => {
    const values = samples.flatMap((sample) => sample[column] ?? []);
    if (values.length === 0) return null;
    const how = HOW[field];
    return how === 'last' ? values.at(-1) ?? null : rounded(how === 'greatest' ? Math.max(...values) : meanOf(values) ?? 0);
  });
}

function restored(earlier: unknown): Sample[] {
  if (!Array.isArray(earlier)) return [];
  const isSample = (sample: unknown): sample is Sample => Array.isArray(sample) && sample.length === SAMPLE_FIELDS.length
    && typeof sample[0] === 'number' && sample.every((value) => value === null || (typeof value === 'number' && Number.isFinite(value)));
  return earlier.filter(isSample).slice(-COARSE_COUNT);
}
