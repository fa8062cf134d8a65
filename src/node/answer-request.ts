// One request of a proxy: unpack the HTTP request, let the handlers answer it, pack the answer, count and time it
// (WIRE.md sections 11 and 12). Request headers are not passed on to the engine; nothing of the body is logged.
import { RemoteError } from '../core/errors.ts';
import { tokensUsed } from '../openai/token-price.ts';
import { failureOf } from '../wire/remote-codes.ts';
import { decodeBoxed } from '../wire/tl/codec.ts';
import { handleHttpRequest } from './handlers.ts';
import { openV1 } from './v1-request.ts';
import type { Engine } from './engine.ts';
import type { HttpRequest } from './handlers.ts';
import type { TokenMultipliers } from '../openai/token-price.ts';
import type { UsageCounts } from '../openai/usage.ts';
import type { Clock } from '../core/clock.ts';
import type { AnswerSink, FinalInfo } from '../wire/answer.ts';
import type { WorkerRequest } from '../wire/worker-session.ts';

const BAD_REQUEST = 621;
/** Prices are below this, in thousandths (WIRE.md section 10). */
const COEFFICIENT_LIMIT = 1_000_000_000n;
const NO_BYTES = new Uint8Array(0);
/** What every engine of ours does (engine.ts): a client whose stream broke off at another node may send what it has as the answer's beginning. */
const CONTINUES = { name: 'X-Cocoon-Continues', value: '1' };

export interface AnswerDeps {
  readonly engine: Engine;
  readonly clock: Clock;
  /** Prices of the kinds of tokens, from the network's parameters; asked before the work. Throws where they are not known now. */
  multipliers(): TokenMultipliers;
  /** Hears the engine's count of this answer, once, before it is sent. */
  counted?(usage: UsageCounts): void;
}

function unpack(query: Uint8Array): HttpRequest {
  const object = decodeBoxed(query);
  if (object._ !== 'http.request') throw new RemoteError(BAD_REQUEST, `worker: invalid http request: got ${object._}`);
  const { method, url, headers, payload } = object;
  return { method, url, headers: headers.map(({ name, value }) => ({ name, value })), payload };
}

/**
 * Answers `request` through `sink`. An answer that was cut short after some of its body was taken ends with `sink.fail`, which
 * carries what the engine had counted by then; whatever else could not be completed rejects, and the caller tells the proxy.
 */
export async function answerRequest(deps: AnswerDeps, request: WorkerRequest, sink: AnswerSink, signal: AbortSignal): Promise<void> {
  const startedAt = deps.clock.now() / 1000;
  if (request.coefficient < 0n || request.coefficient >= COEFFICIENT_LIMIT) {
    // Before any work: it could not be priced at the end.
    throw new RemoteError(BAD_REQUEST, `coefficient is ${request.coefficient}, expected 0 to ${COEFFICIENT_LIMIT - 1n}`);
  }
  // What the proxy reserved by; a chain that falls silent meanwhile does not take an answer's price away.
  const multipliers = deps.multipliers();
  const asked = unpack(request.query);
  const sealed = openV1(asked.payload, request.privateKey);
  const http = sealed === null ? asked : { ...asked, payload: sealed.payload };
  const answer = sealed === null ? sink : sealed.sink(sink);
  const timesNow = (): { startedAt: number; endedAt: number } => ({ startedAt, endedAt: deps.clock.now() / 1000 });

  const priced = (usage: UsageCounts): FinalInfo => {
    deps.counted?.(usage);
    return { tokens: tokensUsed(usage, Number(request.coefficient), multipliers), workerTimes: timesNow() };
  };
  let counted: FinalInfo | null = null;
  const answered = handleHttpRequest(http, deps.engine, signal, {
    head: (status, reason, headers) => answer.head({
      httpVersion: 'HTTP/1.1', status, reason,
      headers: [
        ...headers,
        ...(deps.engine.info().backend === 'remote' ? [] : [CONTINUES]), // other servers begin a new message there
        { name: 'X-Cocoon-Worker-Start', value: startedAt.toFixed(6) },
        { name: 'X-Cocoon-Worker-End', value: timesNow().endedAt.toFixed(6) },
      ],
      payload: NO_BYTES,
    }),
    part: (bytes) => answer.part(bytes),
    end: (usage, bytes) => answer.end(priced(usage), bytes),
    cut: (usage) => {
      counted = priced(usage);
    },
  }, { clock: deps.clock });
  await answered.catch(async (error: unknown) => {
    if (counted === null) throw error;
    const { code, message } = failureOf(error);
    await answer.fail(code, message, counted);
  });
}
