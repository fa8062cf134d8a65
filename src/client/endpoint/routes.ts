// The routes of `cocoon serve`: OpenAI's paths for applications, and health, statistics and metrics for people and monitors.
// What this version does not serve is refused by name, never answered with something else.
import { badRequest } from '../../openai/errors.ts';
import { faultOf } from '../session-pool.ts';
import { inferenceHandler } from './inference.ts';
import { endpointMetrics } from './metrics.ts';
import type { HttpReply, HttpRequest, HttpRoute } from '../../http/routes.ts';
import type { ModelListing } from '../../wire/client-session.ts';
import type { SessionPool } from '../session-pool.ts';
import type { InferenceOptions } from './inference.ts';

export interface EndpointOptions extends Omit<InferenceOptions, 'pool' | 'onEnd'> {
  readonly pool: SessionPool;
  /** Unix milliseconds. */
  readonly now: () => number;
}

const MODELS_TIMEOUT_MS = 10_000;
/** Paths of OpenAI's that applications may try. */
const UNSUPPORTED = ['/v1/embeddings', '/v1/responses', '/v1/audio/transcriptions', '/v1/images/generations', '/v1/moderations'] as const;
/** A body of an application. */
const BODY_LIMIT = 8 << 20;

export async function endpointRoutes(options: EndpointOptions): Promise<HttpRoute[]> {
  const { pool, callers, now } = options;
  const metrics = await endpointMetrics(() => pool.sessions().length);
  const startedMs = now();
  const infer = inferenceHandler({ ...options, onEnd: metrics.ended });
  const models = async (request: HttpRequest): Promise<ModelListing[]> => {
    callers.admit(request);
    const { session } = await pool.acquire({ timeoutMs: MODELS_TIMEOUT_MS, signal: request.signal });
    return session.models(request.signal);
  };
  return [
    { method: 'POST', path: '/v1/chat/completions', bodyLimitBytes: BODY_LIMIT, handler: infer },
    { method: 'POST', path: '/v1/completions', bodyLimitBytes: BODY_LIMIT, handler: infer },
    { method: 'GET', path: '/v1/models', handler: async (request) => ({ json: { object: 'list', data: (await models(request)).map((model) => modelOf(model, options, startedMs)) } }) },
    {
      method: 'GET', path: '/v1/models/:model', handler: async (request) => {
        const found = (await models(request)).find(({ model }) => model === request.params['model']);
        if (found === undefined) throw badRequest(`model '${request.params['model'] ?? ''}' is not served now`, { status: 404, code: 'model_not_found' });
        return { json: modelOf(found, options, startedMs) };
      },
    },
    ...UNSUPPORTED.map((path): HttpRoute => ({
      method: 'POST', path, bodyLimitBytes: BODY_LIMIT, handler: () => {
        throw badRequest(`${path} is not served by this network's nodes`, { status: 404, code: 'unknown_url' });
      },
    })),
    { method: 'GET', path: '/health', handler: () => health(pool) },
    { method: 'GET', path: '/stats', handler: () => stats(options, metrics.totals(), startedMs) },
    { method: 'GET', path: '/metrics', handler: async () => ({ headers: { 'content-type': metrics.contentType }, text: await metrics.text() }) },
  ];
}

function modelOf({ model, activeWorkers, minCoefficient, workers }: ModelListing, { price }: EndpointOptions, startedMs: number): object {
  const { perTokenNano } = price();
  return {
    id: model, object: 'model', created: Math.floor(startedMs / 1000), owned_by: 'cocoon',
    cocoon: {
      nodes: activeWorkers, minPriceThousandths: minCoefficient, pricePerTokenNano: perTokenNano.toString(),
      workers: (workers ?? []).map(({ coefficient, activeRequests, maxActiveRequests }) => ({ priceThousandths: coefficient, running: activeRequests, capacity: maxActiveRequests })),
    },
  };
}

function health(pool: SessionPool): HttpReply {
  const { state } = pool;
  if (state.kind === 'ready') return { json: { status: 'ok' } };
  const error = state.error;
  return { status: 503, json: { status: state.kind, fault: error === null ? null : faultOf(error), code: error?.code ?? null, message: error?.message ?? 'connecting' } };
}

function stats({ pool, callers, now }: EndpointOptions, totals: object, startedMs: number): HttpReply {
  const { spentNano, reservedNano } = callers.spending;
  return {
    json: {
      uptimeS: Math.floor((now() - startedMs) / 1000), state: pool.state.kind,
      proxies: pool.sessions().map(({ address, peer, roundTripMs, session }) => ({ address, evidence: peer.evidence, simulated: peer.evidence === 'simulated', roundTripMs, protocolVersion: session.version, running: session.runningRequests })),
      requests: totals, spentNano: spentNano.toString(), reservedNano: reservedNano.toString(),
    },
  };
}

