// The nodes behind the proxies as the endpoint knows them: models with price and capacity, and, where requests are sealed, the
// nodes that this side has verified itself. Looked at when asked, and from time to time, so that health needs no request.
import { abortError, withDeadline } from '../../core/deadline.ts';
import { asCocoonError, AttestationError, CapacityError, CocoonError, NetworkError } from '../../core/errors.ts';
import { sleep as realSleep } from '../../core/retry.ts';
import { toHex } from '../../core/bytes.ts';
import type { Log } from '../../core/log.ts';
import type { Sleep } from '../../core/retry.ts';
import type { ModelListing } from '../../wire/client-session.ts';
import type { SealTarget } from '../../wire/sealed.ts';
import type { ConnectedProxy } from '../connect.ts';
import type { SessionPool } from '../session-pool.ts';

/** A model with the nodes that may be asked. */
export interface ServedModel {
  readonly listing: ModelListing;
  readonly proxy: ConnectedProxy;
  /** Verified by this side; null where requests are not sealed, so that only the proxy has verified them. */
  readonly targets: readonly SealTarget[] | null;
}

export interface NodeState {
  /** Nodes that may be asked: verified by this side where requests are sealed, else as the proxy counts them. Of the last look. */
  readonly verified: number;
  /** Why there is none. */
  readonly problem: CocoonError | null;
}

export interface NodeWatch {
  /** Looks now. */
  models(signal: AbortSignal): Promise<ServedModel[]>;
  state(): NodeState;
  /** Resolves after the first look that found a node; rejects with AttestationError when there are nodes and none can be verified. */
  firstLook(signal: AbortSignal): Promise<NodeState>;
  close(): Promise<void>;
}

export interface NodeWatchOptions {
  readonly pool: SessionPool;
  /** Whether requests are sealed to nodes that this side has verified. */
  readonly sealed: boolean;
  readonly log: Log;
  /** Between two looks while there is no node, and while there is one. */
  readonly soonMs?: number;
  readonly everyMs?: number;
  readonly sleep?: Sleep;
}

const LOOK_TIMEOUT_MS = 10_000;
const SOON_MS = 1_000;
const EVERY_MS = 60_000;
const MAX_MODELS = 200;
/** Models whose nodes are verified for one listing; a proxy that lists more is a large one. */
const MAX_SEALED_MODELS = 20;

export function watchNodes({ pool, sealed, log, soonMs = SOON_MS, everyMs = EVERY_MS, sleep = realSleep }: NodeWatchOptions): NodeWatch {
  const ending = new AbortController();
  let state: NodeState = { verified: 0, problem: null };

  /** Nodes, or why there are none: their evidence was refused, or none has a key that requests can be sealed to. */
  const targetsOf = async ({ session }: ConnectedProxy, model: string, signal: AbortSignal): Promise<readonly SealTarget[] | CocoonError> => {
    try {
      return await session.sealTargets(model, signal);
    } catch (thrown) {
      if (signal.aborted) throw abortError(signal);
      return asCocoonError(thrown);
    }
  };

  const look = (signal: AbortSignal): Promise<ServedModel[]> => withDeadline(async (inner) => {
    const proxy = await pool.acquire({ timeoutMs: LOOK_TIMEOUT_MS, signal: inner });
    const listings = (await proxy.session.models(inner)).slice(0, MAX_MODELS);
    let refusal: CocoonError | null = null;
    const models = await Promise.all(listings.map(async (listing, index): Promise<ServedModel> => {
      if (!sealed || index >= MAX_SEALED_MODELS) return { listing, proxy, targets: null };
      const targets = await targetsOf(proxy, listing.model, inner);
      if (!(targets instanceof CocoonError)) return { listing, proxy, targets };
      if (refusal === null || targets instanceof AttestationError) refusal = targets;
      return { listing, proxy, targets: [] };
    }));
    const verified = models.reduce((sum, { listing, targets }) => sum + (targets?.length ?? listing.activeWorkers), 0);
    const there = listings.some(({ activeWorkers }) => activeWorkers > 0);
    const none = there
      ? new CapacityError('E_NO_NODE', 'nodes are there, and none of them can be verified yet', { hint: 'run `cocoon models list --verbose` to see why' })
      : new CapacityError('E_NO_NODE', 'no node is there yet');
    state = { verified, problem: verified > 0 ? null : refusal ?? none };
    return models;
  }, { timeoutMs: LOOK_TIMEOUT_MS, signal, late: () => new NetworkError('E_TIMEOUT', `the proxy did not list its models within ${LOOK_TIMEOUT_MS} ms`) });

  const running = (async () => {
    while (!ending.signal.aborted) {
      try {
        await look(ending.signal);
      } catch (error) {
        if (ending.signal.aborted) return;
        log.debug('nodes were not listed', { reason: asCocoonError(error).message });
      }
      await sleep(state.verified > 0 ? everyMs : soonMs, ending.signal).catch(() => undefined);
    }
  })();

  return {
    models: look,
    state: () => state,
    async firstLook(signal) {
      await look(signal);
      if (state.problem instanceof AttestationError) throw state.problem;
      return state;
    },
    async close() {
      ending.abort(new NetworkError('E_CLOSED', 'the client is stopping'));
      await running;
    },
  };
}

/** A model of `GET /v1/models`: price, capacity and who is verified by whom. `createdS`: Unix seconds. */
export function modelDocument({ listing, proxy, targets }: ServedModel, perTokenNano: bigint, createdS: number): object {
  const { model, activeWorkers, minCoefficient, workers } = listing;
  return {
    id: model, object: 'model', created: createdS, owned_by: 'cocoon',
    cocoon: {
      nodes: activeWorkers, minPriceThousandths: minCoefficient, pricePerTokenNano: perTokenNano.toString(),
      workers: (workers ?? []).map(({ coefficient, activeRequests, maxActiveRequests }) => ({ priceThousandths: coefficient, running: activeRequests, capacity: maxActiveRequests })),
      attestation: {
        proxy: { address: proxy.address, evidence: proxy.peer.evidence, simulated: proxy.peer.evidence === 'simulated', imageHash: toHex(proxy.peer.imageHash) },
        // Null: only the proxy has verified them.
        nodes: targets === null ? null : targets.map(({ node, model: name, suite, coefficient, running, capacity, notAfter }) => ({
          model: name, evidence: node.evidence, simulated: node.evidence === 'simulated', imageHash: toHex(node.imageHash), tlsPublicKey: toHex(node.tlsPublicKey), suite,
          priceThousandths: coefficient, running, capacity, keyUntil: new Date(notAfter * 1000).toISOString(),
        })),
      },
    },
  };
}
