// The network port of the collateral fetchers, and its real implementation over undici (loaded on first use).
// Redirects are not followed, bodies are read up to a limit, connections are not kept. Which addresses may be asked is
// decided in service-url.ts, what an answer is worth in document.ts.
import type { Dispatcher } from 'undici';
import { CocoonError } from '../../core/errors.ts';
import type { NetworkError } from '../../core/errors.ts';
import { systemErrorCode } from '../../core/files.ts';
import { UnreachableError, unusable } from './errors.ts';

/** Failures of certificate checks: they stay as they are, however often one asks. */
const TLS_FAILURE = /CERT|SELF_SIGNED|ERR_TLS|ERR_SSL|UNABLE_TO_/;

export interface HttpRequest {
  readonly url: string;
  readonly method: 'GET' | 'POST';
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** A longer body is refused while it is read. */
  readonly maxBytes: number;
}

export interface HttpAnswer {
  readonly status: number;
  /** Names in lower case; a header that came twice is joined with a comma. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Uint8Array;
}

/** One request, one answer, no redirects. Rejects with E_COLLATERAL (UnreachableError where no answer came), or with the signal's reason. */
export type HttpFetch = (request: HttpRequest, signal: AbortSignal) => Promise<HttpAnswer>;

export interface HttpFetchOptions {
  /** PEM certificates of additional authorities, for a PCCS with a certificate of its own. */
  readonly ca?: string;
}

/** The real network. */
export function createHttpFetch(options: HttpFetchOptions = {}): HttpFetch {
  return async (request, signal) => {
    const { Agent, request: send } = await import('undici');
    // pipelining 0: no idle connection keeps the process alive after the last answer.
    const dispatcher = new Agent({ pipelining: 0, ...(options.ca === undefined ? {} : { connect: { ca: options.ca } }) });
    try {
      const { url, method, headers, body = null, maxBytes } = request;
      const answer = await send(url, { method, headers, body, dispatcher, signal });
      return { status: answer.statusCode, headers: headersOf(answer.headers), body: await readBody(answer.body, maxBytes, new URL(url).host) };
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (error instanceof CocoonError) throw error;
      throw noAnswer(new URL(request.url).host, error);
    } finally {
      dispatcher.destroy().catch(() => undefined);
    }
  };
}

function noAnswer(host: string, error: unknown): NetworkError {
  const reason = systemErrorCode(error) ?? 'connection failed';
  if (TLS_FAILURE.test(reason)) {
    return unusable(`an answer from ${host}: its certificate is not trusted (${reason})`, {
      cause: error, hint: 'for a PCCS with a certificate of its own, name that certificate',
    });
  }
  return new UnreachableError(host, reason, { cause: error });
}

function headersOf(headers: Dispatcher.ResponseData['headers']): Map<string, string> {
  const map = new Map<string, string>();
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) map.set(name.toLowerCase(), Array.isArray(value) ? value.join(', ') : value);
  }
  return map;
}

async function readBody(body: Dispatcher.ResponseData['body'], maxBytes: number, host: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    length += chunk.byteLength;
    if (length > maxBytes) throw unusable(`an answer from ${host}: it has more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, length);
}
