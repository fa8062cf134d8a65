// The server of the operator's page: the page's own three files, the node's state and its day of samples, and, where a token was
// made, orders. Loopback only. Refuses foreign Host and Origin headers (a page that resolves its own name to this machine), and
// orders without the token in a header, which no page from elsewhere can send.
import { createHash, timingSafeEqual } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { HttpStatusError } from '../../http/routes.ts';
import { createHttpServer } from '../../http/server.ts';
import type { HttpReply, HttpRequest, HttpRoute } from '../../http/routes.ts';
import type { HttpServer } from '../../http/server.ts';
import type { Log } from '../../core/log.ts';

export type Order = 'drain' | 'resume' | 'stop';

export interface DashboardOptions {
  readonly host: string;
  readonly port: number;
  /** The documents of daemon/state.ts and daemon/history.ts, as JSON values. Reject with CocoonError. */
  state(): Promise<unknown>;
  history(): Promise<unknown>;
  /** Null: the page is for reading only. */
  readonly orders: { readonly token: string; give(order: Order): Promise<unknown> } | null;
  readonly log: Log;
}

/** Nothing from elsewhere, nothing inline, no frame around it. */
const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const HEADERS = {
  'content-security-policy': POLICY, 'x-content-type-options': 'nosniff', 'x-frame-options': 'DENY', 'referrer-policy': 'no-referrer', 'cache-control': 'no-store',
  'cross-origin-opener-policy': 'same-origin', 'cross-origin-resource-policy': 'same-origin',
};
const FILES = [
  ['/', 'index.html', 'text/html; charset=utf-8'],
  ['/style.css', 'style.css', 'text/css; charset=utf-8'],
  ['/app.js', 'app.js', 'text/javascript; charset=utf-8'],
] as const;
const ORDERS: readonly Order[] = ['drain', 'resume', 'stop'];
const MAX_ORDER_BYTES = 1_024;

/** Listens when it resolves. Throws ConfigError for an address that is not this machine's or is in use. */
export async function serveDashboard({ host, port, state, history, orders, log }: DashboardOptions): Promise<HttpServer> {
  const files = await Promise.all(FILES.map(async ([path, name, type]): Promise<HttpRoute> => {
    const text = await readFile(new URL(`./page/${name}`, import.meta.url));
    return { method: 'GET', path, handler: () => ({ text, headers: { ...HEADERS, 'content-type': type } }) };
  }));
  const answer = async (value: Promise<unknown>): Promise<HttpReply> => ({ json: await value, headers: HEADERS });
  return createHttpServer({
    host, port, loopbackOnly: true, log, maxConnections: 64, bodyLimitBytes: MAX_ORDER_BYTES,
    routes: [
      ...files,
      { method: 'GET', path: '/api/state', handler: () => answer(state()) },
      { method: 'GET', path: '/api/history', handler: () => answer(history()) },
      ...ORDERS.map((order): HttpRoute => ({
        method: 'POST', path: `/api/${order}`,
        handler: (request) => {
          if (orders === null) throw new HttpStatusError(403, 'E_USAGE', 'this page is for reading only: start it with --control');
          requireToken(request, orders.token);
          return answer(orders.give(order));
        },
      })),
    ],
  });
}

function requireToken({ headers: { authorization } }: HttpRequest, token: string): void {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  const given = typeof authorization === 'string' && authorization.startsWith('Bearer ') ? authorization.slice('Bearer '.length) : '';
  if (!timingSafeEqual(digest(given), digest(token))) throw new HttpStatusError(401, 'E_USAGE', 'the token is missing or wrong');
}
