// Collateral at hand for the peers of this process: fetched once for all who need the same, kept in memory until the first
// document expires or an hour has passed, and then asked for anew (usually from the cache on disk). A service that gave
// nothing is not asked again for a while. Nothing here is believed.
import { createHash } from 'node:crypto';
import type { Clock } from '../../core/clock.ts';
import { asCocoonError, NetworkError } from '../../core/errors.ts';
import type { CocoonError } from '../../core/errors.ts';
import type { DocumentSpec } from '../collateral/document.ts';
import type { CollateralSource } from '../collateral/source.ts';
import { SharedWork } from './shared-work.ts';

const HOLD_MS = 3_600_000;
/** After a failure; a crowd of peers then costs the service one request in this time. */
const PAUSE_MS = 15_000;
const MAX_HELD = 64;
const MAX_FETCHING = 16;

/** UNTRUSTED. */
export interface Held<T> {
  readonly value: T;
  /** SHA-256 of the documents, for keys of verdicts. */
  readonly digest: string;
}

/** Gets what one question needs through the source that it is given. */
export type Assemble<T> = (source: CollateralSource) => Promise<T>;

interface Entry extends Held<unknown> {
  readonly madeMs: number;
  readonly untilMs: number;
}

interface Failure {
  readonly error: CocoonError;
  readonly atMs: number;
}

export class HeldCollateral {
  readonly #source: CollateralSource;
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();
  readonly #failures = new Map<string, Failure>();
  readonly #fetching = new SharedWork<Entry>(MAX_FETCHING, 'collateral');

  constructor(source: CollateralSource, clock: Clock) {
    this.#source = source;
    this.#clock = clock;
  }

  /** Digest of what is held for a question now; null when it would have to be fetched. */
  digest(question: string): string | null {
    return this.#fresh(question)?.digest ?? null;
  }

  /**
   * The collateral for a question, whose text must name it wholly: the same text always comes with the same `assemble`.
   * Rejects with NetworkError E_COLLATERAL when it cannot be had, E_BUSY, or the signal's reason; the fetching goes on then.
   */
  async get<T>(question: string, assemble: Assemble<T>, signal?: AbortSignal): Promise<Held<T>> {
    const entry = this.#fresh(question) ?? await this.#fetching.join(question, () => this.#fetch(question, assemble), signal);
    return entry as Held<T>;
  }

  clear(): void {
    this.#entries.clear();
    this.#failures.clear();
  }

  #fresh(question: string): Entry | null {
    const entry = this.#entries.get(question);
    if (entry === undefined) return null;
    const nowMs = this.#clock.now();
    this.#entries.delete(question);
    if (!(nowMs >= entry.madeMs && nowMs < entry.untilMs)) return null;
    this.#entries.set(question, entry);
    return entry;
  }

  async #fetch<T>(question: string, assemble: Assemble<T>): Promise<Entry> {
    const failed = this.#failures.get(question);
    if (failed !== undefined && Math.abs(this.#clock.now() - failed.atMs) < PAUSE_MS) throw failed.error;
    try {
      const { source, seen } = recording(this.#source, this.#clock);
      const value = await assemble(source);
      const nowMs = this.#clock.now();
      const entry: Entry = { value, digest: seen.hash.digest('base64'), madeMs: nowMs, untilMs: Math.min(seen.untilMs, nowMs + HOLD_MS) };
      this.#failures.delete(question);
      keep(this.#entries, question, entry);
      return entry;
    } catch (thrown) {
      const error = unjudged(thrown);
      keep(this.#failures, question, { error, atMs: this.#clock.now() });
      throw error;
    }
  }
}

function keep<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
  for (const oldest of map.keys()) {
    if (map.size <= MAX_HELD) break;
    map.delete(oldest);
  }
}

/** The source, and what passes through it: a digest of all documents and the earliest end of one. */
function recording(source: CollateralSource, clock: Clock) {
  const seen = { hash: createHash('sha256'), untilMs: Infinity };
  const note = (spec: DocumentSpec, content: Readonly<Record<string, string>>): void => {
    seen.hash.update(JSON.stringify([spec.id, Object.entries(content)]));
    const untilMs = spec.expiresAtMs(content, clock.now());
    // Content that names no end is good for this once.
    seen.untilMs = Math.min(seen.untilMs, untilMs ?? clock.now());
  };
  const recorded: CollateralSource = {
    ...source,
    async get(specs, signal) {
      const contents = await source.get(specs, signal);
      for (const [index, spec] of specs.entries()) note(spec, contents[index] ?? {});
      return contents;
    },
  };
  return { source: recorded, seen };
}

/** Collateral that cannot be had is no verdict about the peer, and no pass: said so, under the code of its cause. */
function unjudged(thrown: unknown): CocoonError {
  const error = asCocoonError(thrown);
  if (error.code !== 'E_COLLATERAL' && error.code !== 'E_COLLATERAL_MISSING') return error;
  return new NetworkError('E_COLLATERAL', `peer refused because its evidence could not be judged: ${error.message}`, {
    cause: error, hint: error.hint ?? 'try again when the service can be reached; without collateral nobody can be verified',
  });
}
