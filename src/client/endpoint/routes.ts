// The routes of `cocoon serve`: OpenAI's paths for applications, and health, statistics and metrics for people and monitors.
// What this version does not serve is refused by name, never answered with something else. Every answer has a request id.
import { problemOf } from '../../http/routes.ts';
import { badRequest } from '../../openai/errors.ts';
import { CHAT_PATH, TEXT_PATH } from './completion-request.ts';
import { completionHandler, createAsker, embeddingHandler } from './inference.ts';
import { endpointMetrics } from './metrics.ts';
import { modelDocument } from './nodes.ts';
import { newRequestId, problemReply } from './problems.ts';
import { responsesHandler } from './responses.ts';
import { health, stats } from './status.ts';
import type { HttpReply, HttpRequest, HttpRoute } from '../../http/routes.ts';
import type { ServedModel } from './nodes.ts';
import type { InferenceOptions } from './inference.ts';
import type { StatusOptions } from './status.ts';

export interface EndpointOptions extends InferenceOptions, Omit<StatusOptions, 'breakers'> {}

/** Paths of OpenAI's that applications may try. */
const UNSUPPORTED = [
  '/v1/audio/speech', '/v1/audio/transcriptions', '/v1/audio/translations', '/v1/images/generations', '/v1/images/edits', '/v1/moderations', '/v1/files',
  '/v1/batches', '/v1/assistants', '/v1/threads', '/v1/conversations', '/v1/fine_tuning/jobs', '/v1/vector_stores',
] as const;
/** What needs an answer that was stored. */
const STORED = [['GET', '/v1/responses/:id'], ['DELETE', '/v1/responses/:id'], ['POST', '/v1/responses/:id/cancel'], ['GET', '/v1/responses/:id/input_items'], ['GET', '/v1/chat/completions'], ['GET', '/v1/chat/completions/:id']] as const;
/** A body of an application. */
const BODY_LIMIT = 8 << 20;

export async function endpointRoutes(options: EndpointOptions): Promise<HttpRoute[]> {
  const { pool, callers, nodes, forwarder, now, price } = options;
  const metrics = await endpointMetrics(() => pool.sessions().length);
  const startedMs = now();
  const createdS = Math.floor(startedMs / 1000);
  const inference: InferenceOptions = {
    ...options,
    onEnd(end) {
      metrics.ended(end);
      options.onEnd?.(end);
    },
  };
  const asker = createAsker(inference);
  const status: StatusOptions = { ...options, breakers: forwarder.breakers };
  const models = async (request: HttpRequest): Promise<ServedModel[]> => {
    callers.admit(request);
    return nodes.models(request.signal);
  };
  const post = (path: string, handler: HttpRoute['handler']): HttpRoute => ({ method: 'POST', path, bodyLimitBytes: BODY_LIMIT, handler: identified(handler) });
  const refuse = (message: string): HttpRoute['handler'] => identified(() => {
    throw badRequest(message, { status: 404, code: 'unknown_url' });
  });
  return [
    post(CHAT_PATH, completionHandler(inference, asker, CHAT_PATH)),
    post(TEXT_PATH, completionHandler(inference, asker, TEXT_PATH)),
    post('/v1/embeddings', embeddingHandler(inference, asker)),
    post('/v1/responses', responsesHandler(inference, asker)),
    { method: 'GET', path: '/v1/models', handler: identified(async (request) => ({ json: { object: 'list', data: (await models(request)).map((model) => modelDocument(model, price().perTokenNano, createdS)) } })) },
    {
      method: 'GET', path: '/v1/models/:model', handler: identified(async (request) => {
        const found = (await models(request)).find(({ listing }) => listing.model === request.params['model']);
        if (found === undefined) throw badRequest(`model '${request.params['model'] ?? ''}' is not served now`, { status: 404, code: 'model_not_found' });
        return { json: modelDocument(found, price().perTokenNano, createdS) };
      }),
    },
    ...UNSUPPORTED.map((path): HttpRoute => ({ method: 'POST', path, bodyLimitBytes: BODY_LIMIT, handler: refuse(`${path} is not served by this network's nodes`) })),
    ...STORED.map(([method, path]): HttpRoute => ({ method, path, handler: refuse('this endpoint keeps no answers: nothing is stored') })),
    { method: 'GET', path: '/health', handler: () => health(status) },
    { method: 'GET', path: '/stats', handler: () => stats(status, metrics.totals(), startedMs) },
    { method: 'GET', path: '/metrics', handler: async () => ({ headers: { 'content-type': metrics.contentType }, text: await metrics.text() }) },
  ];
}

/** The same handler; its replies, errors too, carry a request id. */
const identified = (handler: HttpRoute['handler']): HttpRoute['handler'] => async (request): Promise<HttpReply> => {
  const id = newRequestId();
  try {
    const reply = await handler(request);
    return 'cut' in reply ? reply : { ...reply, headers: { ...reply.headers, 'x-request-id': id } };
  } catch (error) {
    const problem = problemOf(error);
    // A bug is the server's to log.
    if (problem.code === 'E_INTERNAL') throw error;
    return problemReply(problem, id);
  }
};
