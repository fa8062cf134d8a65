// Servers that only this machine may use: which addresses they may bind, and the headers by which a web page of a foreign
// origin (cross-site request, DNS rebinding) is told apart from a program.
import { ConfigError } from '../core/errors.ts';
import { HttpStatusError } from './routes.ts';
import type { HttpRequest } from './routes.ts';

// The whole header must match: what parsers of addresses make of anything else does not matter then.
const LOOPBACK_HOST = /^(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?$/i;
const LOOPBACK_ORIGIN = /^https?:\/\/(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?$/i;
const LOOPBACK_BINDS = new Set(['127.0.0.1', '::1', 'localhost']);

/** Throws `E_CONFIG` unless `host` is a name or address of this machine only. */
export function checkLoopbackBind(host: string): void {
  if (!LOOPBACK_BINDS.has(host)) {
    throw new ConfigError('E_CONFIG', `cannot listen on ${JSON.stringify(host)}: this server is for this machine only, expected 127.0.0.1, ::1 or localhost`);
  }
}

/** Refuses (403) a request whose Host is not this machine, or whose Origin is a page from elsewhere. */
export function checkLoopbackRequest({ headers }: Pick<HttpRequest, 'headers'>): void {
  const { host, origin } = headers;
  // A page that resolved its own name to 127.0.0.1 still sends that name.
  if (typeof host !== 'string' || !LOOPBACK_HOST.test(host)) {
    throw new HttpStatusError(403, 'E_USAGE', 'the Host header does not name this machine');
  }
  if (origin !== undefined && (typeof origin !== 'string' || !LOOPBACK_ORIGIN.test(origin))) {
    throw new HttpStatusError(403, 'E_USAGE', 'requests of web pages from elsewhere are refused');
  }
}
