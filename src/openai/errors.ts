// Errors of the OpenAI-compatible endpoints: HTTP status and the body {"error":{message,type,param,code}} that the
// official client libraries read. `protocolCode` is the TON error number for peers without HTTP (WIRE.md section 11).
import { CocoonError } from '../core/errors.ts';

/** `error.type` of the body, as OpenAI's own servers name them. */
export type ApiErrorType = 'invalid_request_error' | 'not_found_error' | 'server_error' | 'service_unavailable_error';

/** The JSON body of a failed request. */
export interface ApiErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: ApiErrorType;
    /** Path of the offending member ("messages.0.content"), or null. */
    readonly param: string | null;
    /** Stable machine-readable reason ("context_length_exceeded", "unknown_parameter", …), or null. */
    readonly code: string | null;
  };
}

export interface ApiErrorOptions {
  readonly param?: string;
  readonly code?: string;
  readonly cause?: unknown;
  readonly hint?: string;
  /** For 405: methods that the path does accept. For 503: seconds after which a retry makes sense. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** TON error numbers that the protocol uses for failed requests. */
const PROTOVIOLATION = 621;
const NOT_READY = 651;
const FAILURE = 601;

const REASONS: Readonly<Record<number, string>> = {
  200: 'OK',
  400: 'Bad Request',
  404: 'Not Found',
  405: 'Method Not Allowed',
  413: 'Payload Too Large',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
};

/** Reason phrase of an HTTP status that these endpoints use; empty for any other. */
export function reasonPhrase(status: number): string {
  return REASONS[status] ?? '';
}

/** A request that is answered with an error status instead of a completion. */
export class ApiError extends CocoonError<'E_REQUEST' | 'E_ENGINE' | 'E_ENGINE_BUSY' | 'E_CONTEXT_LENGTH'> {
  readonly status: number;
  readonly param: string | undefined;
  readonly reason: string | undefined;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    code: 'E_REQUEST' | 'E_ENGINE' | 'E_ENGINE_BUSY' | 'E_CONTEXT_LENGTH',
    status: number,
    message: string,
    options: ApiErrorOptions = {},
  ) {
    super(code, message, {
      ...(options.cause === undefined ? {} : { cause: options.cause }),
      ...(options.hint === undefined ? {} : { hint: options.hint }),
    });
    this.status = status;
    this.param = options.param;
    this.reason = options.code;
    this.headers = options.headers ?? {};
  }

  /** 621 (protoviolation) for what the sender must change, 651 (not ready) for what may pass, 601 (failure) otherwise. */
  get protocolCode(): number {
    if (this.status === 503) return NOT_READY;
    return this.status < 500 ? PROTOVIOLATION : FAILURE;
  }

  /** The body in OpenAI's shape. */
  toBody(): ApiErrorBody {
    return {
      error: { message: this.message, type: this.#type(), param: this.param ?? null, code: this.reason ?? null },
    };
  }

  #type(): ApiErrorType {
    if (this.status === 404) return 'not_found_error';
    if (this.status === 503) return 'service_unavailable_error';
    return this.status < 500 ? 'invalid_request_error' : 'server_error';
  }
}

/** A request that names a field, value, path or size which is not accepted. */
export function badRequest(message: string, options: ApiErrorOptions & { readonly status?: 400 | 404 | 405 | 413 } = {}): ApiError {
  return new ApiError('E_REQUEST', options.status ?? 400, message, options);
}
