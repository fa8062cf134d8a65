// What a failed request means to the person who sent it: numbers of the protocol (WIRE.md section 11) and HTTP statuses of
// the node become errors with exit codes (usage, not found, engine, no node, network). Texts of peers are cut, not trusted.
import { z } from 'zod';
import { CapacityError, EngineError, NetworkError, NotFoundError, RemoteError, UsageError } from '../core/errors.ts';
import type { CocoonError } from '../core/errors.ts';

const FAILURE = 601;
const ERROR = 602;
const VIOLATION = 621;
const NO_NODE = 651;
const TIMED_OUT = 652;
const CANCELLED = 653;

/** Texts that the protocol's programs send with these numbers. */
const UNKNOWN_MODEL = /^unknown model /;
const TOO_MANY = /^too many active queries/;
const CONNECTION_LOST = /before the answer was complete$/;

const MODELS_HINT = 'run `cocoon models list` for the models that are served now';
const MAX_TEXT = 1_000;
const cut = (text: string): string => (text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text);

/** An error that ended a request, as the application should see it. `begun`: the head of the answer had come. Errors of this side pass unchanged. */
export function explainFailure(thrown: unknown, begun: boolean): unknown {
  if (!(thrown instanceof RemoteError)) return thrown;
  const { remoteCode } = thrown;
  const said = cut(thrown.remoteMessage);
  const options = { cause: thrown };
  switch (remoteCode) {
    case VIOLATION:
      if (UNKNOWN_MODEL.test(said)) return new NotFoundError('E_NOT_FOUND', said, { ...options, hint: MODELS_HINT });
      return new UsageError('E_REQUEST', `the request was refused: ${said}`, options);
    case NO_NODE:
      // The proxy has lost the node: another one may answer, but what came of this answer is incomplete.
      if (begun || CONNECTION_LOST.test(said)) return new NetworkError('E_CLOSED', `the proxy lost the node: ${said}`, options);
      return new CapacityError('E_NO_NODE', said, { ...options, hint: 'try again, or raise the price limit' });
    case ERROR: case FAILURE:
      if (TOO_MANY.test(said)) return new CapacityError('E_NO_NODE', said, options);
      // What can be refused was accepted: only the node itself can have failed since.
      return begun ? new EngineError('E_ENGINE', `the node failed while it answered: ${said}`, options) : thrown;
    case TIMED_OUT: return new NetworkError('E_TIMEOUT', `the request ran out of time: ${said}`, options);
    case CANCELLED: return new NetworkError('E_CLOSED', `the request was cancelled: ${said}`, options);
    default: return thrown;
  }
}

const Body = z.object({ error: z.object({ message: z.string(), code: z.union([z.string(), z.number()]).nullish() }) });

function readBody(body: Uint8Array): { message: string; code: string | number | null } | null {
  try {
    const { error } = Body.parse(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body)));
    return { message: cut(error.message), code: error.code ?? null };
  } catch {
    return null; // not an OpenAI error body: the status is all there is
  }
}

/** The error of an answer whose HTTP status is not 200. `body` is the whole body; its length is the caller's to bound. */
export function refusedByNode(status: number, body: Uint8Array): CocoonError {
  const error = readBody(body);
  const said = error?.message ?? `status ${status}`;
  if (error?.code === 'context_length_exceeded') return new EngineError('E_CONTEXT_LENGTH', said);
  if (error?.code === 'model_not_found') return new NotFoundError('E_NOT_FOUND', said, { hint: MODELS_HINT });
  if (status === 503 || status === 429) return new CapacityError('E_NO_NODE', `the node is busy: ${said}`);
  if (status === 408 || status === 504) return new NetworkError('E_TIMEOUT', `the node ran out of time: ${said}`);
  if (status >= 400 && status < 500) return new UsageError('E_REQUEST', `the node refused the request: ${said}`);
  return new EngineError('E_ENGINE', `the node failed: ${said}`);
}

/** The error of an event in a stream that some engines send instead of going on; null when `value` is no such event. */
export function failureInStream(value: unknown): EngineError | null {
  const parsed = Body.safeParse(value);
  return parsed.success ? new EngineError('E_ENGINE', `the node failed while it answered: ${cut(parsed.data.error.message)}`) : null;
}
