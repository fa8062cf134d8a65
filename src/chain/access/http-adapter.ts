// The HTTP side of one toncenter-v2 endpoint, as the adapter that TonClient accepts. Refuses redirects, answers over the size
// limit, slow answers, bodies that are not JSON and integers that JSON would round; adds the API key, which nobody else sees.
import type { TonClientParameters } from '@ton/ton';
import { request } from 'undici';
import type { Dispatcher } from 'undici';
import { NetworkError } from '../../core/errors.ts';
import type { ErrorOptions } from '../../core/errors.ts';
import type { CodeWithExit } from '../../core/codes.ts';

export type HttpAdapter = NonNullable<TonClientParameters['httpAdapter']>;

const RETRY_AFTER_MAX_MS = 60_000;
const SHOWN_CHARS = 200;

export interface EndpointErrorOptions extends ErrorOptions {
  /** How long the endpoint asked to be left alone. */
  readonly retryAfterMs?: number;
  /** True: the request itself was refused and will be again. */
  readonly definite?: boolean;
}

/** A failed request to one endpoint. */
export class EndpointError extends NetworkError {
  readonly retryAfterMs: number | undefined;
  readonly definite: boolean;

  constructor(code: CodeWithExit<6>, message: string, options: EndpointErrorOptions = {}) {
    super(code, message, options);
    this.retryAfterMs = options.retryAfterMs;
    this.definite = options.definite ?? false;
  }
}

/** Text of a foreign origin, safe to show: printable ASCII, bounded. */
export function shown(text: string): string {
  const clean = text.slice(0, SHOWN_CHARS).replace(/[^\x20-\x7e]/g, '?');
  return text.length > SHOWN_CHARS ? `${clean}...` : clean;
}

export interface AdapterOptions {
  readonly name: string;
  readonly url: string;
  readonly apiKey: string | undefined;
  readonly dispatcher: Dispatcher;
  readonly maxResponseBytes: number;
  readonly signal: AbortSignal;
  /** Unix milliseconds, for Retry-After dates. */
  readonly now: () => number;
}

/** Milliseconds of a Retry-After header (seconds or HTTP date), at most a minute; undefined when absent or unusable. */
export function retryAfterMs(header: string | string[] | undefined, now: number): number | undefined {
  if (typeof header !== 'string') return undefined;
  const ms = /^\d{1,9}$/.test(header) ? Number(header) * 1000 : Date.parse(header) - now;
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), RETRY_AFTER_MAX_MS) : undefined;
}

async function readBody(body: Dispatcher.ResponseData['body'], options: AdapterOptions): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    length += chunk.byteLength;
    if (length > options.maxResponseBytes) {
      throw new EndpointError('E_CHAIN_DATA', `${options.name} sent more than ${options.maxResponseBytes} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, length);
}

function parseJson(bytes: Uint8Array, name: string): unknown {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return JSON.parse(text, (_key, value: unknown) => {
      if (typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value)) throw new RangeError('integer out of range');
      return value;
    });
  } catch (error) {
    throw new EndpointError('E_CHAIN_DATA', `${name} sent an answer that is not JSON as expected`, { cause: error });
  }
}

function transportError(error: unknown, options: AdapterOptions): EndpointError {
  if (error instanceof EndpointError) return error;
  if (options.signal.aborted) return new EndpointError('E_CHAIN_UNREACHABLE', `${options.name} did not answer in time`, { cause: error });
  const reason = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'connection failed';
  return new EndpointError('E_CHAIN_UNREACHABLE', `${options.name} cannot be reached: ${shown(reason)}`, { cause: error });
}

/** The `result` envelope of a JSON-RPC answer, or the error that its status and text stand for. */
function checkAnswer(status: number, answer: unknown, header: string | string[] | undefined, options: AdapterOptions): object {
  const { name } = options;
  const envelope = typeof answer === 'object' && answer !== null && !Array.isArray(answer) ? answer : undefined;
  const code = envelope !== undefined && 'code' in envelope ? envelope.code : undefined;
  if (status === 429 || code === 429) {
    const wait = retryAfterMs(header, options.now());
    throw new EndpointError('E_CHAIN_UNREACHABLE', `${name} limits the rate of requests`, wait === undefined ? {} : { retryAfterMs: wait });
  }
  if (status === 401 || status === 403) {
    throw new EndpointError('E_CHAIN_UNREACHABLE', `${name} denies access: HTTP status ${status}`, { hint: 'check the API key of this endpoint' });
  }
  const text = envelope !== undefined && 'error' in envelope && typeof envelope.error === 'string' ? `: ${shown(envelope.error)}` : '';
  if (envelope !== undefined && 'ok' in envelope && envelope.ok === false) {
    // Server errors (5xx) pass; a request that is wrong stays wrong.
    throw new EndpointError('E_CHAIN_REFUSED', `${name} refused the request${text}`, { definite: status < 500 });
  }
  if (status >= 500) throw new EndpointError('E_CHAIN_UNREACHABLE', `${name} answered HTTP status ${status}${text}`);
  if (status !== 200 || envelope === undefined || !('ok' in envelope) || envelope.ok !== true || !('result' in envelope)) {
    throw new EndpointError('E_CHAIN_DATA', `${name} answered HTTP status ${status} without a JSON-RPC result`);
  }
  return envelope;
}

/** An adapter for requests of one call to one endpoint; all its errors are EndpointError. */
export function createHttpAdapter(options: AdapterOptions): HttpAdapter {
  return async (config) => {
    const headers: Record<string, string> = { 'content-type': 'application/json', accept: 'application/json' };
    if (options.apiKey !== undefined) headers['x-api-key'] = options.apiKey;
    try {
      const response = await request(options.url, {
        method: 'POST', headers, body: String(config.data), dispatcher: options.dispatcher, signal: options.signal,
      });
      const bytes = await readBody(response.body, options);
      const retryAfter = response.headers['retry-after'];
      // What comes with these is a gateway's page, not an answer of the API.
      const isPage = response.statusCode >= 500 || response.statusCode === 429 || response.statusCode === 401 || response.statusCode === 403;
      const answer = isPage && !String(response.headers['content-type']).includes('json') ? undefined : parseJson(bytes, options.name);
      const data = checkAnswer(response.statusCode, answer, retryAfter, options);
      return { data, status: 200, statusText: 'OK', headers: {}, config };
    } catch (error) {
      throw transportError(error, options);
    }
  };
}
