// One sealed request (SPEC.md section 5): opened, its limit written into it, and answered like any other, but sealed.
// Refuses what the keys do not open, and paths for which nothing is known to bound the answer.
import { createHash } from 'node:crypto';
import { ApiError, badRequest, reasonPhrase } from '../openai/errors.ts';
import { CHAT, limitBody, TEXT } from '../openai/limit-body.ts';
import { RemoteError } from '../core/errors.ts';
import { NO_INFO } from '../wire/answer.ts';
import { PROTOCOL_VIOLATION } from '../wire/remote-codes.ts';
import { decodeBoxed, encodeBoxed } from '../wire/tl/codec.ts';
import { sealedSink } from './sealed-answer.ts';
import type { AnswerSink } from '../wire/answer.ts';
import type { SealedRun } from '../wire/sealed.ts';
import type { HttpRequest } from '../wire/tl/types.ts';
import type { WorkerRequest } from '../wire/worker-session.ts';
import type { ReceiptTerms } from './sealed-answer.ts';
import type { NodeSealing, SealedHop } from './sealed-keys.ts';

export interface SealedDeps {
  readonly sealing: NodeSealing;
  /** Asked before the work. Throws where the network's parameters are not known now. */
  terms(): ReceiptTerms;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
}

export type SealedRequest = WorkerRequest & { readonly sealed: SealedRun };

/** Generates nothing, so that nothing has to be bounded. */
const EMBEDDINGS = '/v1/embeddings';

/** Opens `request` and has `answer` write its answer. Throws RemoteError to refuse it, and what `answer` throws. */
export async function answerSealed(
  { sealing, terms, now }: SealedDeps, request: SealedRequest, hop: Omit<SealedHop, 'coefficient'>, sink: AnswerSink,
  answer: (request: WorkerRequest, sink: AnswerSink) => Promise<void>,
): Promise<void> {
  const network = terms();
  const opened = sealing.open(request.sealed, { ...hop, coefficient: request.coefficient });
  const http = decodeBoxed(opened.query);
  if (http._ !== 'http.request') throw new RemoteError(PROTOCOL_VIOLATION, `worker: sealed request carries ${http._}, expected http.request`);
  const sealed = sealedSink(sink, {
    opened, requestHash: new Uint8Array(createHash('sha256').update(http.payload).digest()), coefficient: Number(request.coefficient),
    terms: network, signer: sealing.receiptSigner, now,
  });
  let query: Uint8Array;
  try {
    query = limited(http, opened.query, opened.maxTokens);
  } catch (error) {
    if (error instanceof ApiError) return refuse(error, sealed);
    throw error;
  }
  const { sealed: _, ...rest } = request;
  await answer({ ...rest, query }, sealed);
}

/** The same request with the limit that was authenticated, beyond which no engine goes then. Throws ApiError. */
function limited(http: HttpRequest, query: Uint8Array, maxTokens: number): Uint8Array {
  const path = http.url.split('?', 1)[0] ?? '';
  if (path === EMBEDDINGS) return query;
  if (path !== CHAT && path !== TEXT) throw badRequest('path is not one of this server', { status: 404, code: 'unknown_url' });
  const { text } = limitBody(http.payload, path, (answers) => Math.floor(maxTokens / answers));
  return text === null ? query : encodeBoxed({ ...http, payload: new TextEncoder().encode(text) });
}

/** The answer to a request that no engine is asked for. */
async function refuse(error: ApiError, sink: AnswerSink): Promise<void> {
  const headers = Object.entries({ 'content-type': 'application/json', ...error.headers }).map(([name, value]) => ({ name, value }));
  await sink.head({ httpVersion: 'HTTP/1.1', status: error.status, reason: reasonPhrase(error.status), headers, payload: new Uint8Array(0) });
  await sink.end(NO_INFO, new TextEncoder().encode(JSON.stringify(error.toBody())));
}
