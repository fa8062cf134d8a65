// Asks services for documents: a deadline over everything, repetition where it may help, Retry-After honoured for the whole
// service, one request at a time where a service wants that. Refuses redirects and media types that a document cannot have.
import type { Clock } from '../../core/clock.ts';
import { withDeadline } from '../../core/deadline.ts';
import type { CocoonError } from '../../core/errors.ts';
import { backoffMs } from '../../core/retry.ts';
import type { Sleep } from '../../core/retry.ts';
import type { DocumentContent, DocumentSpec } from './document.ts';
import { shown, UnreachableError, unusable } from './errors.ts';
import type { HttpAnswer, HttpFetch } from './http.ts';

/** Of requests that the service turns away for now, and of those that fail. */
const MAX_REFUSALS = 5;
const MAX_FAILURES = 3;
/** However long a service wishes not to be asked: one answer must not end the collateral of a process for years. */
const MAX_WAIT_MS = 3_600_000;
const BACKOFF = { baseMs: 1000, maxMs: 20_000 };
const TOO_MANY_REQUESTS = 429;
const UNAVAILABLE = 503;

export interface AskingPorts {
  readonly http: HttpFetch;
  readonly clock: Clock;
  readonly sleep: Sleep;
  /** For one document, waits and repetitions included. */
  readonly timeoutMs: number;
}

/** What is known about one service: when it may be asked again, and who is asking it now. */
interface Gate {
  notBeforeMs: number;
  tail: Promise<unknown>;
}

/** An attempt that failed, where another one may succeed. `waitMs` is the service's wish, if it has one. */
class Again extends Error {
  readonly failure: CocoonError;
  readonly maxAttempts: number;
  readonly waitMs: number | undefined;

  constructor(failure: CocoonError, maxAttempts: number, waitMs?: number) {
    super(failure.message);
    this.failure = failure;
    this.maxAttempts = maxAttempts;
    this.waitMs = waitMs;
  }
}

/** Milliseconds of a Retry-After header (RFC 9110 section 10.2.3: seconds or a date); undefined when absent or unusable. */
export function retryAfterMs(header: string | undefined, nowMs: number): number | undefined {
  if (header === undefined) return undefined;
  if (/^\d{1,9}$/.test(header)) return Number(header) * 1000;
  const ms = header.endsWith(' GMT') ? Date.parse(header) - nowMs : Number.NaN;
  return Number.isFinite(ms) ? Math.max(ms, 0) : undefined;
}

export type AskFor = (spec: DocumentSpec, signal: AbortSignal) => Promise<DocumentContent>;

/** Makes the asker. One per process: services are told apart by their origin. Rejects with E_COLLATERAL. */
export function createAskFor(ports: AskingPorts): AskFor {
  const gates = new Map<string, Gate>();
  return (spec, signal) => {
    const { origin, host } = new URL(spec.request.url);
    const gate = gates.get(origin) ?? { notBeforeMs: 0, tail: Promise.resolve() };
    gates.set(origin, gate);
    const untilMs = ports.clock.now() + ports.timeoutMs;
    const late = (): CocoonError => unusable(`${spec.what}: ${host} gave no usable answer within ${ports.timeoutMs} ms`);
    return withDeadline(async (inner) => {
      if (spec.serial !== true) return attempts(spec, ports, gate, untilMs, inner);
      const turn = gate.tail.then(() => (inner.aborted ? undefined : attempts(spec, ports, gate, untilMs, inner)));
      gate.tail = turn.catch(() => undefined);
      const content = await turn;
      if (content === undefined) throw late();
      return content;
    }, { timeoutMs: ports.timeoutMs, signal, late });
  };
}

async function attempts(spec: DocumentSpec, ports: AskingPorts, gate: Gate, untilMs: number, signal: AbortSignal): Promise<DocumentContent> {
  const { clock, sleep } = ports;
  let last: CocoonError | undefined;
  for (let attempt = 1; ; attempt += 1) {
    const waitMs = gate.notBeforeMs - clock.now();
    if (waitMs > 0) {
      if (clock.now() + waitMs >= untilMs) throw tooLong(spec, waitMs, last);
      await sleep(waitMs, signal);
    }
    try {
      return await once(spec, ports, signal);
    } catch (error) {
      if (!(error instanceof Again)) throw error;
      last = error.failure;
      gate.notBeforeMs = Math.max(gate.notBeforeMs, clock.now() + Math.min(error.waitMs ?? backoffMs(attempt - 1, BACKOFF), MAX_WAIT_MS));
      if (attempt >= error.maxAttempts) throw last;
    }
  }
}

function tooLong({ what, request }: DocumentSpec, waitMs: number, last: CocoonError | undefined): CocoonError {
  const seconds = Math.ceil(waitMs / 1000);
  return unusable(`${what}: ${new URL(request.url).host} wants to be asked again in ${seconds} s, which is after the time limit`, {
    hint: `try again in ${seconds} seconds`, ...(last === undefined ? {} : { cause: last }),
  });
}

async function once(spec: DocumentSpec, ports: AskingPorts, signal: AbortSignal): Promise<DocumentContent> {
  let answer: HttpAnswer;
  try {
    answer = await ports.http(spec.request, signal);
  } catch (error) {
    if (!(error instanceof UnreachableError)) throw error;
    throw new Again(unusable(`${spec.what}: ${new URL(spec.request.url).host} gives no answer (${error.reason})`, { cause: error.cause }), MAX_FAILURES);
  }
  checkStatus(spec, answer, ports.clock.now());
  const type = answer.headers.get('content-type') ?? '';
  if (!spec.mediaTypes.test(type)) throw unusable(`${spec.what}: the answer has the content type ${shown(type)}`);
  return spec.decode(answer);
}

function checkStatus({ what, request }: DocumentSpec, { status, headers }: HttpAnswer, nowMs: number): void {
  if (status === 200) return;
  const { host } = new URL(request.url);
  if (status === TOO_MANY_REQUESTS || status === UNAVAILABLE) {
    const problem = status === TOO_MANY_REQUESTS ? 'limits the rate of requests' : 'is not available now';
    throw new Again(unusable(`${what}: ${host} ${problem}`), MAX_REFUSALS, retryAfterMs(headers.get('retry-after'), nowMs));
  }
  if (status >= 500) throw new Again(unusable(`${what}: ${host} answered HTTP status ${status}`), MAX_FAILURES);
  if (status >= 300 && status < 400) throw unusable(`${what}: ${host} redirects elsewhere (HTTP status ${status}), which is not followed`);
  if (status === 404) throw unusable(`${what}: ${host} does not have it (HTTP status 404)`);
  throw unusable(`${what}: ${host} answered HTTP status ${status}`);
}
