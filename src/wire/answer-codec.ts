// Between the answer constructors and the words of answer.ts (WIRE.md section 11, WIRE-2026-04.md sections 1 and 10).
// Both generations are read: the old ones with cumulative tokens and `is_completed`, the Ex ones with final info.
// Refuses negative token counts, a final flag without final info and malformed `http.response`; each is an error of its request.
import { asCocoonError, NetworkError } from '../core/errors.ts';
import type { CocoonError } from '../core/errors.ts';
import type { FinalInfo, HttpHead, TokensUsed } from './answer.ts';
import type { TlPacket } from './connection.ts';
import { counter } from './peer-info-codec.ts';
import { decodeBoxedAs, encodeBoxed } from './tl/codec.ts';
import type { ClientQueryFinalInfo, ProxyQueryFinalInfo, TokensUsed as TlTokensUsed } from './tl/types.ts';

/** One answer message. `info` is not null in the last one of a request. */
export type AnswerPiece = { readonly requestId: Uint8Array } & (
  | { readonly kind: 'head'; readonly head: HttpHead; readonly info: FinalInfo | null }
  | { readonly kind: 'part'; readonly bytes: Uint8Array; readonly info: FinalInfo | null }
  | { readonly kind: 'error'; readonly code: number; readonly message: string; readonly info: FinalInfo | null }
  | { readonly kind: 'malformed'; readonly error: CocoonError }
);

const FINAL_FLAG = 1;
const DEBUG_FLAG = 1;
const TIMES_FLAG = 2;

/** The answer message in a packet from a proxy, null when it is none. Never throws. */
export function readClientAnswer(packet: TlPacket): AnswerPiece | null {
  switch (packet._) {
    case 'client.queryAnswerEx':
      return piece(packet, () => ({ kind: 'head', head: decodeHead(packet.answer), info: finalOf(packet, fromClientInfo) }));
    case 'client.queryAnswerPartEx':
      return piece(packet, () => ({ kind: 'part', bytes: packet.answer, info: finalOf(packet, fromClientInfo) }));
    case 'client.queryAnswerErrorEx':
      return piece(packet, () => ({ kind: 'error', ...errorOf(packet), info: finalOf(packet, fromClientInfo) }));
    case 'client.queryAnswer':
      return piece(packet, () => ({ kind: 'head', head: decodeHead(packet.answer), info: oldInfo(packet, packet.request_tokens_used) }));
    case 'client.queryAnswerPart':
      return piece(packet, () => ({ kind: 'part', bytes: packet.answer, info: oldInfo(packet, packet.request_tokens_used) }));
    case 'client.queryAnswerError': case 'client.queryAnswerPartError':
      return piece(packet, () => ({ kind: 'error', ...errorOf(packet), info: { tokens: fromTokens(packet.request_tokens_used) } }));
    default: return null;
  }
}

/** The answer message in a packet from a worker, null when it is none. Never throws. */
export function readWorkerAnswer(packet: TlPacket): AnswerPiece | null {
  switch (packet._) {
    case 'proxy.queryAnswerEx':
      return piece(packet, () => ({ kind: 'head', head: decodeHead(packet.answer), info: finalOf(packet, fromWorkerInfo) }));
    case 'proxy.queryAnswerPartEx':
      return piece(packet, () => ({ kind: 'part', bytes: packet.answer, info: finalOf(packet, fromWorkerInfo) }));
    case 'proxy.queryAnswerErrorEx':
      return piece(packet, () => ({ kind: 'error', ...errorOf(packet), info: finalOf(packet, fromWorkerInfo) }));
    case 'proxy.queryAnswer':
      return piece(packet, () => ({ kind: 'head', head: decodeHead(packet.answer), info: oldInfo(packet, packet.tokens_used) }));
    case 'proxy.queryAnswerPart':
      return piece(packet, () => ({ kind: 'part', bytes: packet.answer, info: oldInfo(packet, packet.tokens_used) }));
    case 'proxy.queryAnswerError': case 'proxy.queryAnswerPartError':
      return piece(packet, () => ({ kind: 'error', ...errorOf(packet), info: { tokens: fromTokens(packet.tokens_used) } }));
    default: return null;
  }
}

/** How one request's answer is written. `info` null means that more follows; `headSent` matters to the old constructors only. */
export interface AnswerEncoder {
  head(head: HttpHead): TlPacket;
  part(bytes: Uint8Array, info: FinalInfo | null): TlPacket;
  error(code: number, message: string, info: FinalInfo, headSent: boolean): TlPacket;
}

/** Which generation of constructors the request asked for, and whether its version has times in the final info. */
export interface AnswerForm {
  readonly ex: boolean;
  readonly times: boolean;
}

/** Answers from proxy to client. */
export function clientAnswers(requestId: Uint8Array, { ex, times }: AnswerForm): AnswerEncoder {
  const request_id = requestId;
  if (!ex) {
    return {
      head: (head) => ({ _: 'client.queryAnswer', answer: encodeHead(head), is_completed: false, request_id, request_tokens_used: toTokens(null) }),
      part: (answer, info) => ({ _: 'client.queryAnswerPart', answer, is_completed: info !== null, request_id, request_tokens_used: toTokens(info) }),
      error: (error_code, error, info, headSent) => ({
        _: headSent ? 'client.queryAnswerPartError' : 'client.queryAnswerError', error_code, error, request_id, request_tokens_used: toTokens(info),
      }),
    };
  }
  return {
    head: (head) => ({ _: 'client.queryAnswerEx', request_id, answer: encodeHead(head), flags: 0 }),
    part: (answer, info) => ({
      _: 'client.queryAnswerPartEx', request_id, answer, ...(info === null ? { flags: 0 } : { flags: FINAL_FLAG, final_info: toClientInfo(info, times) }),
    }),
    error: (error_code, error, info) =>
      ({ _: 'client.queryAnswerErrorEx', request_id, error_code, error, flags: FINAL_FLAG, final_info: toClientInfo(info, times) }),
  };
}

/** Answers from worker to proxy. */
export function workerAnswers(requestId: Uint8Array, { ex, times }: AnswerForm): AnswerEncoder {
  const request_id = requestId;
  if (!ex) {
    return {
      head: (head) => ({ _: 'proxy.queryAnswer', answer: encodeHead(head), is_completed: false, request_id, tokens_used: toTokens(null) }),
      part: (answer, info) => ({ _: 'proxy.queryAnswerPart', answer, is_completed: info !== null, request_id, tokens_used: toTokens(info) }),
      error: (error_code, error, info, headSent) =>
        ({ _: headSent ? 'proxy.queryAnswerPartError' : 'proxy.queryAnswerError', error_code, error, request_id, tokens_used: toTokens(info) }),
    };
  }
  return {
    head: (head) => ({ _: 'proxy.queryAnswerEx', request_id, answer: encodeHead(head), flags: 0 }),
    part: (answer, info) => ({
      _: 'proxy.queryAnswerPartEx', request_id, answer, ...(info === null ? { flags: 0 } : { flags: FINAL_FLAG, final_info: toWorkerInfo(info, times) }),
    }),
    error: (error_code, error, info) =>
      ({ _: 'proxy.queryAnswerErrorEx', request_id, error_code, error, flags: FINAL_FLAG, final_info: toWorkerInfo(info, times) }),
  };
}

type WithoutId<T> = T extends unknown ? Omit<T, 'requestId'> : never;

/** Adds the request's id; what cannot be read becomes an error of that request, not of the connection. */
function piece({ request_id }: { readonly request_id: Uint8Array }, read: () => WithoutId<AnswerPiece>): AnswerPiece {
  try {
    return { requestId: request_id, ...read() };
  } catch (error) {
    return { requestId: request_id, kind: 'malformed', error: asCocoonError(error) };
  }
}

const errorOf = ({ error_code, error }: { readonly error_code: number; readonly error: string }) => ({ code: error_code, message: error });

const oldInfo = ({ is_completed }: { readonly is_completed: boolean }, tokens: TlTokensUsed): FinalInfo | null =>
  is_completed ? { tokens: fromTokens(tokens) } : null;

function finalOf<T>(answer: { readonly flags: number; readonly final_info?: T }, read: (info: T) => FinalInfo): FinalInfo | null {
  if ((answer.flags & FINAL_FLAG) === 0) return null;
  if (answer.final_info === undefined) throw new NetworkError('E_PROTOCOL', 'final answer message has no final info');
  return read(answer.final_info);
}

const fromClientInfo = (info: ClientQueryFinalInfo): FinalInfo => ({
  ...fromWorkerInfo(info),
  ...(info.proxy_debug !== undefined && { proxyDebug: info.proxy_debug }),
  ...(info.proxy_start_time !== undefined && info.proxy_end_time !== undefined
    && { proxyTimes: { startedAt: time(info.proxy_start_time), endedAt: time(info.proxy_end_time) } }),
});

const fromWorkerInfo = (info: Omit<ProxyQueryFinalInfo, '_'>): FinalInfo => ({
  tokens: fromTokens(info.tokens_used),
  ...(info.worker_debug !== undefined && { workerDebug: info.worker_debug }),
  ...(info.worker_start_time !== undefined && info.worker_end_time !== undefined
    && { workerTimes: { startedAt: time(info.worker_start_time), endedAt: time(info.worker_end_time) } }),
});

/** A double from the peer; what is no number of seconds is unknown. */
const time = (seconds: number): number => (Number.isFinite(seconds) && seconds > 0 ? seconds : 0);

function toClientInfo(info: FinalInfo, times: boolean): ClientQueryFinalInfo {
  const debug = info.workerDebug !== undefined || info.proxyDebug !== undefined;
  return {
    _: 'client.queryFinalInfo',
    flags: (debug ? DEBUG_FLAG : 0) | (times ? TIMES_FLAG : 0),
    tokens_used: toTokens(info),
    ...(debug && { worker_debug: info.workerDebug ?? '', proxy_debug: info.proxyDebug ?? '' }),
    ...(times && {
      proxy_start_time: info.proxyTimes?.startedAt ?? 0,
      proxy_end_time: info.proxyTimes?.endedAt ?? 0,
      worker_start_time: info.workerTimes?.startedAt ?? 0,
      worker_end_time: info.workerTimes?.endedAt ?? 0,
    }),
  };
}

function toWorkerInfo(info: FinalInfo, times: boolean): ProxyQueryFinalInfo {
  return {
    _: 'proxy.queryFinalInfo',
    flags: (info.workerDebug === undefined ? 0 : DEBUG_FLAG) | (times ? TIMES_FLAG : 0),
    tokens_used: toTokens(info),
    ...(info.workerDebug !== undefined && { worker_debug: info.workerDebug }),
    ...(times && { worker_start_time: info.workerTimes?.startedAt ?? 0, worker_end_time: info.workerTimes?.endedAt ?? 0 }),
  };
}

const fromTokens = (tokens: TlTokensUsed): TokensUsed => ({
  prompt: counter('prompt_tokens_used', tokens.prompt_tokens_used),
  cached: counter('cached_tokens_used', tokens.cached_tokens_used),
  completion: counter('completion_tokens_used', tokens.completion_tokens_used),
  reasoning: counter('reasoning_tokens_used', tokens.reasoning_tokens_used),
  total: counter('total_tokens_used', tokens.total_tokens_used),
});

const toTokens = (info: FinalInfo | null): TlTokensUsed => ({
  _: 'tokensUsed',
  prompt_tokens_used: info?.tokens.prompt ?? 0n,
  cached_tokens_used: info?.tokens.cached ?? 0n,
  completion_tokens_used: info?.tokens.completion ?? 0n,
  reasoning_tokens_used: info?.tokens.reasoning ?? 0n,
  total_tokens_used: info?.tokens.total ?? 0n,
});

function decodeHead(bytes: Uint8Array): HttpHead {
  const { http_version, status_code, reason, headers, payload } = decodeBoxedAs('http.Response', bytes);
  return { httpVersion: http_version, status: status_code, reason, headers: headers.map(({ name, value }) => ({ name, value })), payload };
}

const encodeHead = ({ httpVersion, status, reason, headers, payload }: HttpHead): Uint8Array => encodeBoxed({
  _: 'http.response', http_version: httpVersion, status_code: status, reason,
  headers: headers.map(({ name, value }) => ({ _: 'http.header', name, value })), payload,
});
