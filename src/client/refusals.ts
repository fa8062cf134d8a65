// What a failed request means to the person who sent it: numbers of the protocol and HTTP statuses of the node become
// errors with exit codes (usage, not found, engine, no node, network).
import { z } from 'zod';
import { CapacityError, CocoonError, EngineError, NetworkError, NotFoundError, RemoteError, UsageError } from '../core/errors.ts';

const UNKNOWN_MODEL = /^unknown model /;
const NO_NODE = 651;
const TIMED_OUT = 652;
const CANCELLED = 653;
const VIOLATION = 621;

/** An error that ended a request, as the application should see it. Errors of this side pass unchanged. */
export function explainFailure(thrown: unknown): unknown {
  if (!(thrown instanceof RemoteError)) return thrown;
  const { remoteCode, remoteMessage } = thrown;
  const options = { cause: thrown };
  if (remoteCode === VIOLATION && UNKNOWN_MODEL.test(remoteMessage)) {
    return new NotFoundError('E_NOT_FOUND', remoteMessage, { ...options, hint: 'run `cocoon models list` for the models that are served now' });
  }
  if (remoteCode === VIOLATION) return new UsageError('E_REQUEST', `the node refused the request: ${remoteMessage}`, options);
  if (remoteCode === NO_NODE) return new CapacityError('E_NO_NODE', remoteMessage, { ...options, hint: 'try again, or raise the price limit' });
  if (remoteCode === TIMED_OUT) return new NetworkError('E_TIMEOUT', `the request ran out of time: ${remoteMessage}`, options);
  if (remoteCode === CANCELLED) return new NetworkError('E_CLOSED', `the request was cancelled: ${remoteMessage}`, options);
  return thrown;
}

const Body = z.object({ error: z.object({ message: z.string(), code: z.string().nullish(), param: z.string().nullish() }) });

/** The error of an answer whose HTTP status is not 200. `body` is the whole body; its length is the caller's to bound. */
export function refusedByNode(status: number, body: Uint8Array): CocoonError {
  let said = `status ${status}`;
  let code: string | null | undefined;
  try {
    const { error } = Body.parse(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body)));
    said = error.message;
    code = error.code;
  } catch {
    // Not an OpenAI error body: the status is all there is.
  }
  if (code === 'context_length_exceeded') return new EngineError('E_CONTEXT_LENGTH', said);
  if (status === 503 || status === 429) return new CapacityError('E_NO_NODE', `the node is busy: ${said}`);
  if (status >= 400 && status < 500) return new UsageError('E_REQUEST', `the node refused the request: ${said}`);
  return new EngineError('E_ENGINE', `the node failed: ${said}`);
}
