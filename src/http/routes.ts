// What a role hands to the HTTP server: routes with plain requests and replies, and how errors become status and body.
// Knows nothing of the library underneath.
import { CocoonError } from '../core/errors.ts';
import type { ErrorCode } from '../core/codes.ts';

export interface HttpRequest {
  readonly method: string;
  /** Path without the query. */
  readonly path: string;
  /** Named parts of the route's path (`/models/:name`). */
  readonly params: Readonly<Record<string, string>>;
  /** A name that was given twice is refused before the handler runs. */
  readonly query: Readonly<Record<string, string>>;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Parsed JSON of a request with a body, else undefined. Any shape: check it. */
  readonly body: unknown;
  /** The body as it came, of a server that hands bodies over raw. */
  readonly bytes?: Uint8Array;
  /** Aborts when the caller goes away before the reply is complete, and when the server's closing deadline has passed. */
  readonly signal: AbortSignal;
}

interface ReplyHead {
  /** Default 200. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

export type HttpReply =
  | ReplyHead & { readonly json: unknown }
  /** Needs a content-type header. */
  | ReplyHead & { readonly text: string | Uint8Array }
  /** Written as the reader takes it; an error in the middle cuts the connection, so that half an answer is never taken for all. */
  | ReplyHead & { readonly stream: AsyncIterable<string | Uint8Array> }
  /** Closes the connection without an answer. */
  | { readonly cut: true };

export interface HttpRoute {
  readonly method: 'GET' | 'POST' | 'DELETE' | 'PUT';
  /** `/v1/models` or with named parts, `/v1/models/:name`. */
  readonly path: string;
  /** Bytes of a request body at most, where it differs from the server's. */
  readonly bodyLimitBytes?: number;
  handler(request: HttpRequest): Promise<HttpReply> | HttpReply;
}

/** A request that the server refused, or a handler's error, on its way to the caller. */
export interface HttpProblem {
  readonly status: number;
  /** An entry of core/codes.ts. */
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint: string | undefined;
  /** What was thrown, for a role that says more of its own errors; null for a bug. */
  readonly error: CocoonError | null;
}

/** Thrown by a handler to answer with a status of its own choice. */
export class HttpStatusError extends CocoonError {
  readonly status: number;

  constructor(status: number, code: ErrorCode, message: string) {
    super(code, message);
    this.status = status;
  }
}

const STATUS: Partial<Record<ErrorCode, number>> = {
  E_USAGE: 400, E_REQUEST: 400, E_ADDRESS: 400, E_CONTEXT_LENGTH: 400, E_NOT_FOUND: 404, E_TOO_LARGE: 413,
  E_BUSY: 503, E_CLOSED: 503, E_ENGINE_BUSY: 503, E_NO_NODE: 503, E_TIMEOUT: 504, E_UNREACHABLE: 502, E_CHAIN_UNREACHABLE: 502,
};

/** Status, code and text of anything thrown. What is not a CocoonError is a bug: its text stays inside. */
export function problemOf(thrown: unknown): HttpProblem {
  if (!(thrown instanceof CocoonError) || thrown.code === 'E_INTERNAL') {
    return { status: 500, code: 'E_INTERNAL', message: 'internal error', hint: undefined, error: null };
  }
  const { code, message, hint }: CocoonError = thrown;
  return { status: thrown instanceof HttpStatusError ? thrown.status : STATUS[code] ?? 500, code, message, hint, error: thrown };
}

/** The body where a role has no form of its own: `{"error":{"code","message","hint"}}`. */
export function problemReply({ status, code, message, hint }: Omit<HttpProblem, 'error'>): HttpReply {
  return { status, json: { error: { code, message, ...(hint === undefined ? {} : { hint }) } } };
}
