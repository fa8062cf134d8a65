// Errors of the local endpoint in OpenAI's shape, with the status that client libraries act upon: 4xx for what the caller must
// change, 503 with Retry-After for what may pass, 502 for a network that cannot be trusted or reached. Each says whose trouble it
// is: this machine, the TON network, a proxy or a node.
import { randomBytes } from 'node:crypto';
import { HttpStatusError } from '../../http/routes.ts';
import { ApiError } from '../../openai/errors.ts';
import { faultOf } from '../faults.ts';
import type { HttpProblem, HttpReply } from '../../http/routes.ts';

const STATUS: Readonly<Record<string, number>> = {
  E_USAGE: 400, E_REQUEST: 400, E_CONTEXT_LENGTH: 400, E_ADDRESS: 400,
  E_NOT_FOUND: 404, E_TOO_LARGE: 413,
  E_NO_NODE: 503, E_BUSY: 503, E_ENGINE_BUSY: 503,
  E_TIMEOUT: 504, E_FUNDS: 402, E_SPENDING_LIMIT: 402,
};
const RETRY_AFTER_S = '1';
/** Codes that client libraries know under OpenAI's name. */
const CODES: Readonly<Record<string, string>> = { E_CONTEXT_LENGTH: 'context_length_exceeded', E_NOT_FOUND: 'model_not_found' };

const typeOf = (status: number): string => {
  if (status === 401) return 'authentication_error';
  if (status === 402) return 'insufficient_quota';
  if (status === 404) return 'not_found_error';
  if (status === 503) return 'service_unavailable_error';
  return status < 500 ? 'invalid_request_error' : 'server_error';
};

const statusOf = ({ status, code }: HttpProblem): number =>
  (status === 500 ? STATUS[code] ?? (code === 'E_INTERNAL' || code.startsWith('E_ENGINE') ? 500 : 502) : status);

const openAiCode = ({ code, error }: HttpProblem): string => {
  if (error instanceof HttpStatusError) return code === 'E_NOT_FOUND' ? 'unknown_url' : code;
  return CODES[code] ?? code;
};

/** The body of a failed request. */
export function problemBody(problem: HttpProblem): { readonly error: object } {
  const { message, hint, error } = problem;
  if (error instanceof ApiError) return error.toBody();
  const status = statusOf(problem);
  const fault = error === null || error instanceof HttpStatusError ? 'local' : faultOf(error);
  return {
    error: {
      message: hint === undefined ? message : `${message} (${hint})`, type: typeOf(status), param: null, code: openAiCode(problem), fault,
    },
  };
}

/** As OpenAI's servers name requests, so that client libraries show it. */
export const newRequestId = (): string => `req_${randomBytes(16).toString('hex')}`;

/** The answer to a request that failed before its own answer had begun. */
export function openAiProblem(problem: HttpProblem): HttpReply {
  return problemReply(problem, newRequestId());
}

/** As `openAiProblem`, under the request's own id. */
export function problemReply(problem: HttpProblem, requestId: string): HttpReply {
  const { error } = problem;
  const status = error instanceof ApiError ? error.status : statusOf(problem);
  return {
    status,
    headers: { ...(status === 503 && { 'retry-after': RETRY_AFTER_S }), ...(error instanceof ApiError && error.headers), 'x-request-id': requestId },
    json: problemBody(problem),
  };
}
