// The HTTP server: limits on what callers control, typed errors as JSON, loopback only, streams, closing in time.
import { request as httpRequest } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { CapacityError, FundsError, NotFoundError, UsageError } from '../../src/core/errors.ts';
import { deferred } from '../../src/core/deferred.ts';
import type { Log } from '../../src/core/log.ts';
import { checkLoopbackBind } from '../../src/http/loopback.ts';
import { HttpStatusError } from '../../src/http/routes.ts';
import type { HttpReply, HttpRequest, HttpRoute } from '../../src/http/routes.ts';
import { createHttpServer } from '../../src/http/server.ts';
import type { HttpServer, HttpServerOptions } from '../../src/http/server.ts';

const servers: HttpServer[] = [];
const logged: string[] = [];
const log: Log = { debug() {}, info() {}, warn: (message) => logged.push(message), error: (message) => logged.push(message) };

async function serve(handler: HttpRoute['handler'], options: Partial<HttpServerOptions> = {}, method: HttpRoute['method'] = 'POST'): Promise<HttpServer> {
  const server = await createHttpServer({ host: '127.0.0.1', port: 0, log, routes: [{ method, path: '/x/:name', handler }], ...options });
  servers.push(server);
  return server;
}

afterEach(async () => {
  for (const server of servers.splice(0)) await server.close(100);
  logged.length = 0;
});

const post = (server: HttpServer, body: string, headers: Record<string, string> = { 'content-type': 'application/json' }): Promise<Response> => fetch(`${server.url}/x/a?q=1`, { method: 'POST', headers, body });

/** Opens a connection and resolves with everything it got when it ends. */
function talk(server: HttpServer, text: string): { socket: Socket; ended: Promise<string> } {
  const socket = connect(server.port, '127.0.0.1', () => socket.write(text));
  let got = '';
  socket.on('data', (chunk) => { got += chunk.toString(); });
  socket.on('error', () => undefined);
  return { socket, ended: new Promise((resolve) => { socket.on('close', () => resolve(got)); }) };
}

describe('createHttpServer', () => {
  it('hands a handler what was asked and writes what it gives', async () => {
    let seen: HttpRequest | undefined;
    const server = await serve((request) => {
      seen = request;
      return { status: 201, headers: { 'x-extra': 'yes' }, json: { got: request.body } };
    });
    const response = await post(server, '{"a":[1,null]}');
    expect([response.status, response.headers.get('x-extra'), response.headers.get('content-type')]).toEqual([201, 'yes', 'application/json; charset=utf-8']);
    expect(await response.json()).toEqual({ got: { a: [1, null] } });
    expect(seen).toMatchObject({ method: 'POST', path: '/x/a', params: { name: 'a' }, query: { q: '1' } });
    expect((await fetch(`${server.url}/x/a`)).status).toBe(404);
    expect(await (await fetch(`${server.url}/nothing`)).json()).toEqual({ error: { code: 'E_NOT_FOUND', message: 'there is nothing at this path' } });
  });

  it('refuses malformed, oversized, foreign and repeated input before the handler', async () => {
    let calls = 0;
    const server = await serve(() => {
      calls += 1;
      return { json: {} };
    }, { bodyLimitBytes: 100 });
    const status = async (response: Promise<Response>): Promise<unknown[]> => [(await response).status, (await (await response).json() as { error: { code: string } }).error.code];
    expect(await status(post(server, '{'))).toEqual([400, 'E_REQUEST']);
    expect(await status(post(server, ''))).toEqual([400, 'E_REQUEST']);
    expect(await status(post(server, '{"__proto__":1}'))).toEqual([400, 'E_REQUEST']);
    expect(await status(post(server, JSON.stringify('x'.repeat(100))))).toEqual([413, 'E_TOO_LARGE']);
    expect(await status(post(server, '{}', { 'content-type': 'text/plain' }))).toEqual([415, 'E_REQUEST']);
    expect(await status(post(server, '{}', { 'content-type': 'application/x-www-form-urlencoded' }))).toEqual([415, 'E_REQUEST']);
    expect(await status(fetch(`${server.url}/x/a?q=1&q=2`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' }))).toEqual([400, 'E_REQUEST']);
    expect(calls).toBe(0);
    expect((await post(server, '{}')).status).toBe(200);
  });

  it('maps typed errors to statuses and keeps the text of others inside', async () => {
    let error: Error = new Error('unset');
    const server = await serve(() => { throw error; });
    const cases: [Error, number, object][] = [
      [new UsageError('E_USAGE', 'wrong', { hint: 'do this' }), 400, { code: 'E_USAGE', message: 'wrong', hint: 'do this' }],
      [new NotFoundError('E_NOT_FOUND', 'gone'), 404, { code: 'E_NOT_FOUND', message: 'gone' }],
      [new CapacityError('E_NO_NODE', 'full'), 503, { code: 'E_NO_NODE', message: 'full' }],
      [new FundsError('E_FUNDS', 'poor'), 500, { code: 'E_FUNDS', message: 'poor' }],
      [new HttpStatusError(418, 'E_USAGE', 'teapot'), 418, { code: 'E_USAGE', message: 'teapot' }],
      [new TypeError('secret detail'), 500, { code: 'E_INTERNAL', message: 'internal error' }],
    ];
    for (const [thrown, status, body] of cases) {
      error = thrown;
      const response = await post(server, '{}');
      expect([response.status, await response.json()]).toEqual([status, { error: body }]);
    }
    expect(logged).toEqual(['request failed']);
    const own = await serve(() => { throw new UsageError('E_USAGE', 'wrong'); }, { onProblem: ({ status, code }, { path }) => ({ status, json: { code, path } }) });
    expect(await (await post(own, '{}')).json()).toEqual({ code: 'E_USAGE', path: '/x/a' });
    expect(await (await post(own, '{')).json()).toEqual({ code: 'E_REQUEST', path: '/x/a' });
  });

  it('ends connections whose headers or body do not come', async () => {
    const server = await serve(() => ({ json: {} }), { headersTimeoutMs: 100, requestTimeoutMs: 200, keepAliveTimeoutMs: 100 });
    const before = performance.now();
    const headers = await talk(server, 'POST /x/a HTTP/1.1\r\nHost: a\r\n').ended;
    const body = await talk(server, 'POST /x/a HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{"a":').ended;
    const idle = await talk(server, 'GET /none HTTP/1.1\r\nHost: a\r\n\r\n').ended;
    expect(headers).toContain('408');
    expect(body).toContain('408');
    expect(idle).toContain('404');
    expect(performance.now() - before).toBeLessThan(8000);
  });

  it('bounds headers and connections', async () => {
    const server = await serve(() => ({ json: {} }), { maxConnections: 2 });
    expect(await talk(server, `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`).ended).toContain('431');
    const held = [talk(server, 'GET'), talk(server, 'GET')];
    await new Promise((resolve) => { setTimeout(resolve, 50); });
    expect(await talk(server, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n').ended).toBe('');
    for (const { socket } of held) socket.destroy();
  });

  it('streams as the reader takes it, tells the handler when the reader leaves, and cuts off what fails', async () => {
    let produced = 0;
    const left = deferred<void>();
    async function* lines(signal: AbortSignal): AsyncGenerator<string> {
      signal.addEventListener('abort', () => left.resolve());
      for (;;) {
        produced += 1;
        yield 'x'.repeat(65_536);
        if (signal.aborted) return;
      }
    }
    const server = await serve(({ signal }): HttpReply => ({ headers: { 'content-type': 'text/plain' }, stream: lines(signal) }), {}, 'GET');
    const response = await new Promise<IncomingMessage>((resolve) => { httpRequest(`${server.url}/x/a`, resolve).end(); });
    await new Promise((resolve) => { setTimeout(resolve, 200); });
    const before = produced;
    expect(before).toBeLessThan(300);
    response.destroy();
    await left.promise;

    async function* broken(): AsyncGenerator<string> {
      yield 'half';
      throw new Error('lost');
    }
    const failing = await serve(() => ({ headers: { 'content-type': 'text/plain' }, stream: broken() }), {}, 'GET');
    await expect(fetch(`${failing.url}/x/a`).then((answer) => answer.text())).rejects.toThrow();
    const cutting = await serve(() => ({ cut: true }), {}, 'GET');
    await expect(fetch(`${cutting.url}/x/a`)).rejects.toThrow();
  });

  it('close: lets a running request finish, and cuts it off after the deadline', async () => {
    const [started, finish] = [deferred<void>(), deferred<void>()];
    const server = await serve(async () => {
      started.resolve();
      await finish.promise;
      return { json: 'done' };
    });
    const answer = post(server, '{}');
    await started.promise;
    const closed = server.close(5000);
    finish.resolve();
    expect(await (await answer).json()).toBe('done');
    await closed;
    await server.close();

    const aborted = deferred<void>();
    const stuck = await serve(async ({ signal }) => new Promise<HttpReply>(() => { signal.addEventListener('abort', () => aborted.resolve()); }));
    const lost = post(stuck, '{}').then(() => 'answered', () => 'cut off');
    await new Promise((resolve) => { setTimeout(resolve, 50); });
    const before = performance.now();
    await stuck.close(100);
    await aborted.promise;
    expect(await lost).toBe('cut off');
    expect(performance.now() - before).toBeLessThan(2000);
    await expect(post(stuck, '{}')).rejects.toThrow();
  });

  it('loopbackOnly: refuses other binds, foreign names and pages from elsewhere', async () => {
    for (const host of ['0.0.0.0', '::', '10.0.0.1', 'example.org', '127.0.0.1.example.org', '']) {
      expect(() => checkLoopbackBind(host)).toThrow(expect.objectContaining({ code: 'E_CONFIG' }));
      await expect(serve(() => ({ json: {} }), { host, loopbackOnly: true })).rejects.toMatchObject({ code: 'E_CONFIG' });
    }
    let calls = 0;
    const server = await serve(() => {
      calls += 1;
      return { json: {} };
    }, { loopbackOnly: true });
    const ask = async (lines: string): Promise<string> => (await talk(server, `POST /x/a HTTP/1.1\r\n${lines}Connection: close\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}`).ended).slice(9, 12);
    expect(await ask('Host: localhost:1\r\nOrigin: http://127.0.0.1:3000\r\n')).toBe('200');
    expect(await ask('Host: [::1]\r\n')).toBe('200');
    expect(calls).toBe(2);
    for (const lines of ['Host: evil.example\r\n', 'Host: localhost.evil.example\r\n', 'Host: a@localhost\r\n', 'Host: \r\n', 'Host: localhost\r\nOrigin: null\r\n', 'Host: localhost\r\nOrigin: https://localhost.evil.example\r\n']) {
      expect(await ask(lines)).toBe('403');
    }
    expect(await ask('')).toBe('400');
    expect(calls).toBe(2);
  });

  it('says why it cannot listen', async () => {
    const server = await serve(() => ({ json: {} }));
    await expect(serve(() => ({ json: {} }), { port: server.port })).rejects.toMatchObject({ code: 'E_CONFIG', message: expect.stringContaining('EADDRINUSE'), hint: expect.any(String) });
  });
});
