// HTTP for models: GET with a range, redirects followed by hand. A token goes to the origin it is meant for and to no other, whatever
// redirects say. Refuses plain HTTP but on loopback (or where a SHA-256 is known), and answers that are not the range asked for.
import { Agent, request } from 'undici';
import { ConfigError, NetworkError, NotFoundError } from '../../core/errors.ts';
import { systemErrorCode } from '../../core/files.ts';
import { retryAfterMs } from '../../tee/collateral/asking.ts';
import type { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';

const MAX_REDIRECTS = 5;
const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]']);
const MAX_JSON_BYTES = 8 << 20;
const MAX_ETAG = 256;

export interface FetcherOptions {
  /** For answers to begin, and between two pieces of one. Default 30 s. */
  readonly stallMs?: number;
  readonly token?: string | undefined;
  /** The only origin that is given the token. */
  readonly tokenOrigin?: string;
  readonly now?: () => number;
}

export interface RangeRequest {
  readonly url: string;
  readonly start: number;
  /** Inclusive. */
  readonly end: number;
  /** Strong validator of what is being downloaded, from an earlier answer of the same source. */
  readonly etag: string | null;
  /** True: the bytes are checked by a hash, so that the way they take need not be encrypted. */
  readonly hashKnown: boolean;
}

export interface RangeAnswer {
  /** True: `body` begins at `start`. False: the server gives the whole file and knows no ranges. */
  readonly partial: boolean;
  /** Of the whole file; null where the server does not say. */
  readonly totalBytes: number | null;
  /** Strong validator; null without one. */
  readonly etag: string | null;
  readonly body: Readable;
}

/** A failure after which the same request may succeed; `waitMs` is the server's wish. */
export class PassingError extends NetworkError {
  readonly waitMs: number | undefined;

  constructor(code: 'E_UNREACHABLE' | 'E_TIMEOUT' | 'E_CLOSED', message: string, options: { readonly waitMs?: number | undefined; readonly cause?: unknown } = {}) {
    super(code, message, { cause: options.cause });
    this.waitMs = options.waitMs;
  }
}

/** The file is another one than before, or the source serves other bytes than it says. */
export class ChangedError extends NetworkError {
  constructor(message: string) {
    super('E_MODEL_SOURCE', message, { hint: 'run the command again: it begins anew' });
  }
}

export class ModelFetcher {
  readonly #agent: Agent;
  readonly #options: FetcherOptions;

  constructor(options: FetcherOptions = {}) {
    this.#options = options;
    const { stallMs = 30_000 } = options;
    this.#agent = new Agent({ headersTimeout: stallMs, bodyTimeout: stallMs, connect: { timeout: stallMs }, connections: 64, pipelining: 1 });
  }

  /** A document of a source's API. Throws NetworkError, NotFoundError, ConfigError `E_MODEL_ACCESS`. */
  async json(url: string, signal: AbortSignal): Promise<unknown> {
    const { body } = await this.#get(url, { accept: 'application/json' }, false, signal);
    const chunks: Buffer[] = [];
    let length = 0;
    try {
      for await (const chunk of body) {
        const bytes = Buffer.from(chunk as Uint8Array);
        length += bytes.byteLength;
        if (length > MAX_JSON_BYTES) throw new NetworkError('E_MODEL_SOURCE', `${hostOf(url)} answered more than ${MAX_JSON_BYTES} bytes`);
        chunks.push(bytes);
      }
      return JSON.parse(Buffer.concat(chunks).toString('utf8'));
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (error instanceof NetworkError) throw error;
      if (error instanceof SyntaxError) throw new NetworkError('E_MODEL_SOURCE', `${hostOf(url)} answered something that is no JSON`, { cause: error });
      throw passing(url, error);
    }
  }

  /** The answer to a range. Throws PassingError, ChangedError, NotFoundError, ConfigError `E_MODEL_ACCESS`, the signal's reason. */
  async range({ url, start, end, etag, hashKnown }: RangeRequest, signal: AbortSignal): Promise<RangeAnswer> {
    const headers = { 'accept-encoding': 'identity', range: `bytes=${start}-${end}`, ...(etag !== null && { 'if-range': etag }) };
    const { statusCode, headers: answered, body } = await this.#get(url, headers, hashKnown, signal);
    try {
      const tag = one(answered['etag']);
      const strong = tag !== undefined && tag.length <= MAX_ETAG && /^"[^"]*"$/.test(tag) ? tag : null;
      if (one(answered['content-encoding']) !== undefined && one(answered['content-encoding']) !== 'identity') throw new NetworkError('E_MODEL_SOURCE', `${hostOf(url)} compresses the file, expected its bytes`);
      if (statusCode === 416) throw new ChangedError(`${hostOf(url)} has no byte ${start} of the file any more`);
      if (statusCode === 200) {
        if (etag !== null) throw new ChangedError(`${hostOf(url)} serves another file than before`);
        return { partial: false, totalBytes: lengthOf(one(answered['content-length'])), etag: strong, body };
      }
      const [, from, to, total] = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/.exec(one(answered['content-range']) ?? '') ?? [];
      if (statusCode !== 206 || Number(from) !== start || Number(to) > end || from === undefined) throw new ChangedError(`${hostOf(url)} answered HTTP status ${statusCode} and the range ${JSON.stringify((one(answered['content-range']) ?? 'none').slice(0, 60))}, expected bytes ${start}-${end}`);
      if (etag !== null && strong !== null && strong !== etag) throw new ChangedError(`${hostOf(url)} serves another file than before`);
      return { partial: true, totalBytes: lengthOf(total), etag: strong, body };
    } catch (error) {
      body.on('error', () => undefined).destroy();
      throw error;
    }
  }

  async #get(first: string, headers: Readonly<Record<string, string>>, hashKnown: boolean, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    const { token, tokenOrigin, now = Date.now } = this.#options;
    let url = requireUrl(first, hashKnown);
    for (let hop = 0; hop <= MAX_REDIRECTS; hop += 1) {
      const isTokens = token !== undefined && url.origin === tokenOrigin;
      let answer: Dispatcher.ResponseData;
      try {
        answer = await request(url, { dispatcher: this.#agent, signal, headers: { ...headers, ...(isTokens && { authorization: `Bearer ${token}` }) } });
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        throw passing(url.href, error);
      }
      const { statusCode, headers: answered, body } = answer;
      if (statusCode === 200 || statusCode === 206 || statusCode === 416) return answer;
      body.on('error', () => undefined).destroy();
      if (![301, 302, 303, 307, 308].includes(statusCode)) throw refused(url, statusCode, retryAfterMs(one(answered['retry-after']), now()), token !== undefined);
      const location = one(answered['location']) ?? '';
      if (!URL.canParse(location, url.href)) throw new NetworkError('E_MODEL_SOURCE', `${url.host} redirects to nowhere`);
      url = requireUrl(new URL(location, url).href, hashKnown);
    }
    throw new NetworkError('E_MODEL_SOURCE', `${hostOf(first)} redirects more than ${MAX_REDIRECTS} times`);
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }
}

const hostOf = (url: string): string => new URL(url).host;
const one = (value: string | string[] | undefined): string | undefined => (Array.isArray(value) ? value.join(', ') : value);
const lengthOf = (text: string | undefined): number | null => (text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : null);

function requireUrl(text: string, hashKnown: boolean): URL {
  const url = new URL(text);
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw new ConfigError('E_CONFIG', `cannot download from ${url.protocol}//${url.host}: expected https`);
  if (url.username !== '' || url.password !== '') throw new ConfigError('E_CONFIG', `cannot download from ${url.host}: a name or password in the address is not supported`);
  if (url.protocol === 'http:' && !LOOPBACK.has(url.hostname) && !hashKnown) {
    throw new ConfigError('E_CONFIG', `cannot download from ${url.origin}: it is not encrypted, and nothing says what the bytes must be`, { hint: 'use https, or state the hash with --sha256' });
  }
  return url;
}

/** Before there was a connection. */
const NOT_REACHED = new Set(['ENOTFOUND', 'EAI_AGAIN', 'ECONNREFUSED', 'ENETUNREACH', 'EHOSTUNREACH']);

function passing(url: string, error: unknown): PassingError {
  const reason = systemErrorCode(error) ?? (error instanceof Error ? error.message.slice(0, 100) : 'connection failed');
  const host = hostOf(url);
  if (NOT_REACHED.has(reason)) return new PassingError('E_UNREACHABLE', `cannot reach ${host} (${reason})`, { cause: error });
  return /TIMEOUT/.test(reason)
    ? new PassingError('E_TIMEOUT', `${host} has stalled (${reason})`, { cause: error }) : new PassingError('E_CLOSED', `${host} broke the connection (${reason})`, { cause: error });
}

function refused(url: URL, status: number, waitMs: number | undefined, withToken: boolean): Error {
  if (status === 429 || status >= 500) return new PassingError('E_UNREACHABLE', `${url.host} answered HTTP status ${status}`, { waitMs });
  if (status === 401 || status === 403) {
    return new ConfigError('E_MODEL_ACCESS', `${url.host} does not give ${url.pathname.slice(0, 120)} (HTTP status ${status})`, {
      hint: withToken ? 'the token of HF_TOKEN may not read it: accept the terms on the repository\'s page, and check the name' : 'check the name; a private or gated repository needs a token in the variable HF_TOKEN',
    });
  }
  if (status === 404 || status === 410) return new NotFoundError('E_NOT_FOUND', `${url.host} does not have ${url.pathname.slice(0, 120)}`, { hint: 'check the name, the file and the revision' });
  return new NetworkError('E_MODEL_SOURCE', `${url.host} answered HTTP status ${status}`);
}
