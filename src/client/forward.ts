// One HTTP request of an application through the network: to the nearest proxy, and to another one when it fails before the
// head of its answer has come. Once an answer has begun it is passed on as it comes, and ends only when it is complete:
// whatever ends before is thrown to the reader.
import { abortError } from '../core/deadline.ts';
import { asCocoonError, AttestationError, NetworkError } from '../core/errors.ts';
import { encodeBoxed } from '../wire/tl/codec.ts';
import { explainFailure } from './refusals.ts';
import type { CocoonError } from '../core/errors.ts';
import type { FinalInfo, HttpHead, HttpHeader } from '../wire/answer.ts';
import type { AnswerEvent } from '../wire/client-session.ts';
import type { ConnectedProxy } from './connect.ts';
import type { SessionPool } from './session-pool.ts';

export interface ForwardRequest {
  /** Path of the node's endpoint. */
  readonly path: string;
  /** Body, as the node gets it. */
  readonly payload: Uint8Array;
  readonly headers: readonly HttpHeader[];
  /** Base name. */
  readonly model: string;
  readonly maxTokens: number;
  /** Highest price accepted, in thousandths. */
  readonly maxCoefficient: number;
  /** For everything, further attempts included. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export interface ForwardedAnswer {
  readonly proxy: ConnectedProxy;
  readonly head: HttpHead;
  /** The body as it comes; ends only with a complete answer. Leaving the loop cancels the request. */
  readonly body: AsyncGenerator<Uint8Array, FinalInfo, undefined>;
}

/** Proxies that one request may be tried with. */
const MAX_PROXIES = 3;
const MIN_RETRY_MS = 100;

/** Resolves with the head of an answer. Throws what `explainFailure` gives, the pool's error, or the signal's reason. */
export async function forward(pool: Pick<SessionPool, 'acquire'>, request: ForwardRequest): Promise<ForwardedAnswer> {
  const endsAt = performance.now() + request.timeoutMs;
  const leftMs = (): number => Math.max(1, Math.round(endsAt - performance.now()));
  const query = queryOf(request);
  const tried = new Set<string>();
  let first: CocoonError | null = null;
  for (;;) {
    let proxy: ConnectedProxy;
    try {
      proxy = await pool.acquire({ timeoutMs: first === null ? leftMs() : Math.min(leftMs(), MIN_RETRY_MS), signal: request.signal, except: tried });
    } catch (error) {
      // That nobody else is there says less than why the one that was there failed.
      throw first ?? error;
    }
    try {
      return await begin(proxy, query, { ...request, timeoutMs: leftMs() });
    } catch (thrown) {
      if (request.signal.aborted) throw abortError(request.signal);
      const error = asCocoonError(explainFailure(thrown, false));
      first ??= error;
      tried.add(proxy.address);
      if (!mayTryAnother(error) || tried.size >= MAX_PROXIES || leftMs() < MIN_RETRY_MS) throw first;
    }
  }
}

/** What another proxy may do better: everything but what is wrong with the request, the money or the evidence. */
const mayTryAnother = (error: CocoonError): boolean =>
  !(error instanceof AttestationError) && (error instanceof NetworkError || error.code === 'E_NO_NODE' || error.code === 'E_ENGINE' || error.code === 'E_REMOTE') && error.code !== 'E_TIMEOUT';

async function begin(proxy: ConnectedProxy, query: Uint8Array, { model, maxTokens, maxCoefficient, timeoutMs, signal }: ForwardRequest): Promise<ForwardedAnswer> {
  const events = proxy.session.ask({ model, query, maxTokens, maxCoefficient, timeoutMs, signal });
  const next = await events.next();
  if (next.done === true || next.value.kind !== 'head') throw new NetworkError('E_PROTOCOL', 'the answer does not begin with its head');
  const { head } = next.value;
  return { proxy, head, body: bodyOf(head, events) };
}

async function* bodyOf(head: HttpHead, events: AsyncGenerator<AnswerEvent, void, undefined>): AsyncGenerator<Uint8Array, FinalInfo, undefined> {
  try {
    if (head.payload.byteLength > 0) yield head.payload;
    for await (const event of events) {
      if (event.kind === 'part' && event.bytes.byteLength > 0) yield event.bytes;
      if (event.kind === 'end') return event.info;
    }
  } catch (error) {
    throw explainFailure(error, true);
  } finally {
    await events.return();
  }
  throw new NetworkError('E_CLOSED', 'the answer ended before it was complete');
}

function queryOf({ path, payload, headers }: ForwardRequest): Uint8Array {
  const all = [{ name: 'Content-Type', value: 'application/json' }, { name: 'Content-Length', value: String(payload.byteLength) }, ...headers];
  return encodeBoxed({
    _: 'http.request', method: 'POST', url: path, http_version: 'HTTP/1.1',
    headers: all.map(({ name, value }) => ({ _: 'http.header', name, value })), payload,
  });
}
