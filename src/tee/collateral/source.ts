// Where collateral comes from: folders that the user gives, then the cache, then the network (unless offline), in this
// order. Several callers that want the same document at the same time share one request. Everything it returns is
// untrusted: only the verifiers say whether a document is genuine and fresh.
import { join } from 'node:path';
import type { Clock } from '../../core/clock.ts';
import { systemClock } from '../../core/clock.ts';
import { abortError } from '../../core/deadline.ts';
import { CocoonError } from '../../core/errors.ts';
import { silentLog } from '../../core/log.ts';
import type { Log } from '../../core/log.ts';
import { sleep as realSleep } from '../../core/retry.ts';
import type { Sleep } from '../../core/retry.ts';
import { createAskFor } from './asking.ts';
import { readCached, readGiven, writeDocument } from './cache.ts';
import type { Lookup } from './cache.ts';
import type { DocumentContent, DocumentSpec } from './document.ts';
import { MissingCollateralError } from './errors.ts';
import type { MissingDocument } from './errors.ts';
import { createHttpFetch } from './http.ts';
import { mirroring } from './service-url.ts';
import type { Mirrors } from './service-url.ts';
import type { HttpFetch } from './http.ts';

const DEFAULT_TIMEOUT_MS = 60_000;
const DEFAULT_FETCH_COMMAND = 'cocoon attest fetch EVIDENCE --out FOLDER';

export interface CollateralSourceOptions {
  /** Folder of the cache, made when needed; usually `cacheFolderOf(home)`. */
  readonly cacheFolder: string;
  /** Folders written by `attest fetch --out`; they come before the cache. */
  readonly givenFolders?: readonly string[];
  /** True: the network is not used. */
  readonly offline?: boolean;
  /** True: the cache is written but not read. */
  readonly refresh?: boolean;
  /** For one document. Default 60 s. */
  readonly timeoutMs?: number;
  /** Command that the error about missing documents names. */
  readonly fetchCommand?: string;
  /** Where to ask instead of AMD and NVIDIA. Throws ConfigError E_CONFIG for what is no such address. */
  readonly mirrors?: Mirrors;
  readonly http?: HttpFetch;
  readonly clock?: Clock;
  readonly sleep?: Sleep;
  readonly log?: Log;
}

export interface CollateralSource {
  /**
   * The contents of `specs`, in their order. UNTRUSTED. Throws E_COLLATERAL (exit 6) when one cannot be fetched,
   * E_COLLATERAL_MISSING (exit 12) with everything that is missing when offline, E_STATE for a damaged given file.
   */
  get(specs: readonly DocumentSpec[], signal?: AbortSignal): Promise<DocumentContent[]>;
  /** As `get`, and writes each document into `folder`, to be carried to a machine without network. */
  export(specs: readonly DocumentSpec[], folder: string, signal?: AbortSignal): Promise<void>;
}

export const cacheFolderOf = (home: string): string => join(home, 'cache', 'collateral');

interface Shared {
  readonly content: Promise<DocumentContent>;
  /** Ends the request; later callers begin a new one. */
  readonly abandon: () => void;
  waiting: number;
}

export function createCollateralSource(options: CollateralSourceOptions): CollateralSource {
  const { cacheFolder, givenFolders = [], offline = false, refresh = false, clock = systemClock, log = silentLog } = options;
  const askFor = createAskFor({
    http: options.http ?? createHttpFetch(), clock, sleep: options.sleep ?? realSleep, timeoutMs: options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
  });
  const mirrored = mirroring(options.mirrors ?? {});
  const inFlight = new Map<string, Shared>();

  const lookUp = async (spec: DocumentSpec): Promise<Lookup> => {
    const given = await readGiven(givenFolders, spec);
    return given.state === 'found' || refresh ? given : readCached(cacheFolder, spec, clock.now());
  };

  const fetchOne = async (spec: DocumentSpec, signal: AbortSignal): Promise<DocumentContent> => {
    const content = await askFor({ ...spec, request: { ...spec.request, url: mirrored(spec.request.url) } }, signal);
    const nowMs = clock.now();
    // Also checks the content; a document that is expired on arrival goes to the verifier, which says so, and is not kept.
    const expiresAtMs = spec.expiresAtMs(content, nowMs);
    if (expiresAtMs !== null && expiresAtMs > nowMs) {
      await writeDocument(cacheFolder, spec, content, nowMs).catch((error: unknown) => {
        if (!(error instanceof CocoonError)) throw error;
        log.warn('collateral is not cached', { document: spec.id, reason: error.message });
      });
    }
    return content;
  };

  const share = (spec: DocumentSpec): Shared => {
    const known = inFlight.get(spec.id);
    if (known !== undefined) return known;
    const stop = new AbortController();
    const forget = (): void => {
      if (inFlight.get(spec.id) === shared) inFlight.delete(spec.id);
    };
    const shared: Shared = {
      waiting: 0,
      content: fetchOne(spec, stop.signal).finally(forget),
      abandon: () => {
        forget();
        stop.abort(new CocoonError('E_INTERRUPTED', 'nobody waits for the document any more'));
      },
    };
    shared.content.catch(() => undefined); // every waiter may have left
    inFlight.set(spec.id, shared);
    return shared;
  };

  const get = async (specs: readonly DocumentSpec[], signal?: AbortSignal): Promise<DocumentContent[]> => {
    const lookups = await Promise.all(specs.map(async (spec) => ({ spec, lookup: await lookUp(spec) })));
    if (offline) {
      const missing = lookups.flatMap(({ spec: { id, what }, lookup: { state } }): MissingDocument[] => (state === 'found' ? [] : [{ id, what, reason: state }]));
      if (missing.length > 0) throw new MissingCollateralError(missing, options.fetchCommand ?? DEFAULT_FETCH_COMMAND);
    }
    // All are waited for, so that what did arrive is in the cache when one fails.
    const settled = await Promise.allSettled(lookups.map(({ spec, lookup }) => (lookup.state === 'found' ? lookup.content : waitFor(share(spec), signal))));
    return settled.map((result) => {
      if (result.status === 'rejected') throw result.reason;
      return result.value;
    });
  };

  return {
    get,
    async export(specs, folder, signal) {
      const contents = await get(specs, signal);
      for (const [index, spec] of specs.entries()) {
        const content = contents[index];
        if (content !== undefined) await writeDocument(folder, spec, content, clock.now());
      }
    },
  };
}

/** Waits for a shared request; the request itself ends when the last one who waits has left. */
async function waitFor(shared: Shared, signal: AbortSignal | undefined): Promise<DocumentContent> {
  if (signal?.aborted === true) throw abortError(signal);
  shared.waiting += 1;
  let onAbort = (): void => undefined;
  const left = new Promise<never>((_resolve, reject) => {
    onAbort = () => {
      if (signal !== undefined) reject(abortError(signal));
    };
    signal?.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([shared.content, left]);
  } finally {
    signal?.removeEventListener('abort', onAbort);
    shared.waiting -= 1;
    if (shared.waiting === 0) shared.abandon();
  }
}
