// Errors of the local endpoint in OpenAI's shape, with the status that client libraries act upon: 4xx for what the caller must
// change, 503 with Retry-After for what may pass, 502 for a network that cannot be trusted or reached.
import { ApiError } from '../../openai/errors.ts';
import type { HttpProblem, HttpReply } from '../../http/routes.ts';

const STATUS: Readonly<Record<string, number>> = {
  E_USAGE: 400, E_REQUEST: 400, E_CONTEXT_LENGTH: 400, E_ADDRESS: 400,
  E_NOT_FOUND: 404, E_TOO_LARGE: 413,
  E_NO_NODE: 503, E_BUSY: 503, E_ENGINE_BUSY: 503,
  E_TIMEOUT: 504, E_FUNDS: 402, E_SPENDING_LIMIT: 402,
};
const RETRY_AFTER_S = '1';

const typeOf = (status: number): string => {
  if (status === 401) return 'authentication_error';
  if (status === 402) return 'insufficient_quota';
  if (status === 404) return 'not_found_error';
  if (status === 503) return 'service_unavailable_error';
  return status < 500 ? 'invalid_request_error' : 'server_error';
};

/** The answer to a request that failed before its own answer had begun. */
export function openAiProblem({ status: given, code, message, hint, error }: HttpProblem): HttpReply {
  if (error instanceof ApiError) return { status: error.status, headers: error.headers, json: error.toBody() };
  const status = given === 500 ? STATUS[code] ?? (code === 'E_INTERNAL' || code.startsWith('E_ENGINE') ? 500 : 502) : given;
  return {
    status,
    ...(status === 503 && { headers: { 'retry-after': RETRY_AFTER_S } }),
    json: { error: { message: hint === undefined ? message : `${message} (${hint})`, type: typeOf(status), param: null, code } },
  };
}
