// An HTTP server with limits on everything a caller controls: size and time of headers and body, idle connections, their
// number; typed errors as JSON; closing within a deadline. The only importer of fastify.
// Refuses bodies that are not JSON, repeated query names, and, when loopback-only, other binds and foreign Host or Origin.
import { Readable } from 'node:stream';
import type { AddressInfo } from 'node:net';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { withDeadline } from '../core/deadline.ts';
import { ConfigError, NetworkError } from '../core/errors.ts';
import { systemErrorCode } from '../core/files.ts';
import type { Log } from '../core/log.ts';
import { checkLoopbackBind, checkLoopbackRequest } from './loopback.ts';
import { HttpStatusError, problemOf, problemReply } from './routes.ts';
import type { HttpProblem, HttpReply, HttpRequest, HttpRoute } from './routes.ts';

export interface HttpServerOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly routes: readonly HttpRoute[];
  readonly log: Log;
  /** Refuse binds and requests that are not of this machine (loopback.ts). */
  readonly loopbackOnly?: boolean;
  /** True: bodies of JSON are handed over as they came (`bytes`), unparsed, for a server that passes them on. */
  readonly rawBodies?: boolean;
  /** Bytes of a request body. Default 1 MiB. */
  readonly bodyLimitBytes?: number;
  /** From the connection, or the last answer, to the end of the headers. Default 10 s. */
  readonly headersTimeoutMs?: number;
  /** From the first byte of a request to the last of its body. Default 30 s. */
  readonly requestTimeoutMs?: number;
  /** How long an idle connection is kept. Default 10 s. */
  readonly keepAliveTimeoutMs?: number;
  /** Connections at once; more are closed at once. Default 256. */
  readonly maxConnections?: number;
  /** How an error is written. Default `problemReply`. */
  readonly onProblem?: (problem: HttpProblem, request: Pick<HttpRequest, 'method' | 'path'>) => HttpReply;
}

export interface HttpServer {
  /** `http://127.0.0.1:8080`, with the real port. */
  readonly url: string;
  readonly port: number;
  /** Stops accepting, lets running requests finish, and cuts them off after `deadlineMs` (default 5 s). Idempotent. */
  close(deadlineMs?: number): Promise<void>;
}

const KIB = 1024;
const DEFAULTS = {
  bodyLimitBytes: KIB * KIB, headersTimeoutMs: 10_000, requestTimeoutMs: 30_000, keepAliveTimeoutMs: 10_000, maxConnections: 256, closeMs: 5000,
};
/** How often slow connections are looked for; the limits above are kept to this accuracy. */
const SLOW_CHECK_MS = 500;
const MAX_HEADER_BYTES = 16 * KIB;

/** Listens when it resolves. Throws `E_CONFIG` for a bind that is refused or not possible. */
export async function createHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  if (options.loopbackOnly === true) checkLoopbackBind(options.host);
  const { fastify } = await import('fastify');
  const app = fastify({
    bodyLimit: options.bodyLimitBytes ?? DEFAULTS.bodyLimitBytes,
    requestTimeout: options.requestTimeoutMs ?? DEFAULTS.requestTimeoutMs,
    keepAliveTimeout: options.keepAliveTimeoutMs ?? DEFAULTS.keepAliveTimeoutMs,
    forceCloseConnections: 'idle',
    exposeHeadRoutes: false,
    http: {
      headersTimeout: options.headersTimeoutMs ?? DEFAULTS.headersTimeoutMs,
      connectionsCheckingInterval: SLOW_CHECK_MS,
      maxHeaderSize: MAX_HEADER_BYTES,
    },
  });
  app.server.maxConnections = options.maxConnections ?? DEFAULTS.maxConnections;
  app.removeContentTypeParser('text/plain');
  if (options.rawBodies === true) {
    app.removeContentTypeParser('application/json');
    app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  }
  const closing = new AbortController();
  installErrors(app, options);
  for (const route of options.routes) installRoute(app, route, options, closing.signal);
  try {
    await app.listen({ host: options.host, port: options.port });
  } catch (error) {
    await app.close();
    const reason = systemErrorCode(error) ?? 'failed';
    throw new ConfigError('E_CONFIG', `cannot listen on ${options.host}:${options.port}: ${reason}`, { cause: error, ...(reason === 'EADDRINUSE' ? { hint: 'another program uses this port; choose another one' } : {}) });
  }
  const { port } = app.server.address() as AddressInfo;
  let closed: Promise<void> | undefined;
  return {
    url: `http://${options.host.includes(':') ? `[${options.host}]` : options.host}:${port}`,
    port,
    close: (deadlineMs = DEFAULTS.closeMs) => (closed ??= closeWithin(app, closing, deadlineMs)),
  };
}

async function closeWithin(app: FastifyInstance, closing: AbortController, deadlineMs: number): Promise<void> {
  const done = app.close();
  const late = (): NetworkError => new NetworkError('E_CLOSED', 'the server is closing');
  await withDeadline(() => done, { timeoutMs: deadlineMs, late }).catch((error: unknown) => {
    closing.abort(error);
    app.server.closeAllConnections();
  });
  await done;
}

function installErrors(app: FastifyInstance, options: HttpServerOptions): void {
  const answer = (thrown: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    const problem = problemOf(thrown);
    const path = pathOf(request);
    if (problem.code === 'E_INTERNAL') options.log.error('request failed', { method: request.method, path, error: thrown instanceof Error ? thrown.message : String(thrown) });
    return write(reply, (options.onProblem ?? problemReply)(problem, { method: request.method, path }), options.log);
  };
  app.setErrorHandler((error, request, reply) => answer(refusalOf(error), request, reply));
  app.setNotFoundHandler((request, reply) => answer(new HttpStatusError(404, 'E_NOT_FOUND', 'there is nothing at this path'), request, reply));
}

/** What the library refused, as a typed error: its own errors carry a client status and a code `FST_…`. */
function refusalOf(error: unknown): unknown {
  const code = systemErrorCode(error);
  const status = typeof error === 'object' && error !== null && 'statusCode' in error && typeof error.statusCode === 'number' ? error.statusCode : 500;
  if (error instanceof SyntaxError) return new HttpStatusError(400, 'E_REQUEST', 'the request body is not JSON');
  if (code === undefined || !code.startsWith('FST_') || status >= 500) return error;
  switch (status) {
    case 413: return new HttpStatusError(413, 'E_TOO_LARGE', 'the request body is too large');
    case 415: return new HttpStatusError(415, 'E_REQUEST', 'the request body is not application/json');
    default: return new HttpStatusError(status, 'E_REQUEST', 'the request is malformed');
  }
}

const bodyOf = (body: unknown): Pick<HttpRequest, 'body' | 'bytes'> =>
  (Buffer.isBuffer(body) ? { body: undefined, bytes: new Uint8Array(body.buffer, body.byteOffset, body.byteLength) } : { body: body ?? undefined });

const pathOf = (request: FastifyRequest): string => request.url.split('?', 1)[0] ?? '';

function requestOf(request: FastifyRequest, reply: FastifyReply, closing: AbortSignal): HttpRequest {
  const gone = new AbortController();
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) gone.abort(new NetworkError('E_CLOSED', 'the caller closed the connection'));
  });
  const query: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.query as Record<string, unknown>)) {
    if (typeof value !== 'string') throw new HttpStatusError(400, 'E_REQUEST', 'a query parameter is given twice');
    query[name] = value;
  }
  return {
    method: request.method, path: pathOf(request), params: request.params as Record<string, string>, query,
    headers: request.headers, ...bodyOf(request.body), signal: AbortSignal.any([gone.signal, closing]),
  };
}

function installRoute(app: FastifyInstance, route: HttpRoute, options: HttpServerOptions, closing: AbortSignal): void {
  app.route({
    method: route.method,
    url: route.path,
    ...(route.bodyLimitBytes === undefined ? {} : { bodyLimit: route.bodyLimitBytes }),
    // Before the body is read: what is refused costs nothing.
    onRequest: async (request) => {
      if (options.loopbackOnly === true) checkLoopbackRequest(request);
    },
    handler: async (request, reply) => write(reply, await route.handler(requestOf(request, reply, closing)), options.log),
  });
}

function write(reply: FastifyReply, answer: HttpReply, log: Log): FastifyReply {
  if ('cut' in answer) {
    reply.hijack();
    reply.raw.destroy();
    return reply;
  }
  reply.code(answer.status ?? 200);
  for (const [name, value] of Object.entries(answer.headers ?? {})) reply.header(name, value);
  if ('json' in answer) {
    if (!reply.hasHeader('content-type')) reply.header('content-type', 'application/json; charset=utf-8');
    return reply.send(JSON.stringify(answer.json));
  }
  if ('text' in answer) return reply.send(answer.text);
  const stream = Readable.from(answer.stream, { objectMode: false });
  stream.on('error', (error) => {
    log.warn('an answer was cut off', { error: error.message });
    reply.raw.destroy();
  });
  return reply.send(stream);
}
