// What the node and the process of its engine tell each other, and errors on the way between them. Both ends are this very
// program, so a message that is none of these is a defect and ends the connection.
import { CocoonError, EngineError } from '../../core/errors.ts';
import { ApiError } from '../../openai/errors.ts';
import { ContextLengthError, EngineStoppedError } from '../engine.ts';
import type { ErrorCode } from '../../core/codes.ts';
import type { LogLevel } from '../../core/log.ts';
import type { EngineEmbeddings, EngineEvent, EngineInfo, EngineRequest, EngineUsage } from '../engine.ts';
import type { LlamaEngineOptions } from './llama-engine.ts';

/** What a model is loaded by: plain data. */
export type LoadOptions = Omit<LlamaEngineOptions, 'log' | 'onProgress' | 'signal' | 'ownProcess'>;

export type ToChild =
  /** First and once. */
  | { readonly kind: 'load'; readonly options: LoadOptions }
  | { readonly kind: 'ask'; readonly id: number; readonly request: EngineRequest }
  | { readonly kind: 'embed'; readonly id: number; readonly texts: readonly string[] }
  | { readonly kind: 'cancel'; readonly id: number }
  /** The reader has taken this many more events. */
  | { readonly kind: 'taken'; readonly id: number; readonly events: number }
  | { readonly kind: 'ping' }
  /** Fail what runs, free the model, end. */
  | { readonly kind: 'close' };

export type ToNode =
  | { readonly kind: 'progress'; readonly fraction: number }
  | { readonly kind: 'ready'; readonly info: EngineInfo }
  /** The model cannot be loaded; the process ends. */
  | { readonly kind: 'refused'; readonly error: ErrorData }
  | { readonly kind: 'event'; readonly id: number; readonly event: EngineEvent }
  | { readonly kind: 'embedded'; readonly id: number; readonly result: EngineEmbeddings }
  | { readonly kind: 'failed'; readonly id: number; readonly error: ErrorData }
  | { readonly kind: 'log'; readonly level: LogLevel; readonly message: string; readonly fields?: Readonly<Record<string, unknown>> }
  | { readonly kind: 'pong' };

/** Events of one answer that may be on the way without having been read. */
export const EVENT_WINDOW = 16;

export type ErrorData =
  | { readonly type: 'context'; readonly promptTokens: number; readonly contextSize: number }
  | { readonly type: 'stopped'; readonly message: string; readonly usage: EngineUsage }
  | { readonly type: 'engine'; readonly code: EngineError['code']; readonly message: string; readonly hint?: string; readonly cause?: string }
  | { readonly type: 'other'; readonly code: ErrorCode; readonly message: string; readonly hint?: string }
  | {
    readonly type: 'api'; readonly code: ApiError['code']; readonly status: number; readonly message: string;
    readonly param?: string; readonly reason?: string; readonly headers: Readonly<Record<string, string>>;
  };

const causeOf = ({ cause }: Error): { readonly cause?: string } => (cause === undefined ? {} : { cause: String(cause).slice(0, 500) });

/** Anything thrown as data. What is none of the engine's own errors becomes E_ENGINE. */
export function errorToData(thrown: unknown): ErrorData {
  if (thrown instanceof ContextLengthError) return { type: 'context', promptTokens: thrown.promptTokens, contextSize: thrown.contextSize };
  if (thrown instanceof EngineStoppedError) return { type: 'stopped', message: thrown.message, usage: thrown.usage };
  if (thrown instanceof ApiError) {
    const { code, status, message, param, reason, headers } = thrown;
    return { type: 'api', code, status, message, headers, ...(param !== undefined && { param }), ...(reason !== undefined && { reason }) };
  }
  if (thrown instanceof EngineError) {
    const { code, message, hint } = thrown;
    return { type: 'engine', code, message, ...(hint !== undefined && { hint }), ...causeOf(thrown) };
  }
  if (thrown instanceof CocoonError) {
    const { code, message, hint } = thrown;
    return { type: 'other', code, message, ...(hint !== undefined && { hint }) };
  }
  return { type: 'engine', code: 'E_ENGINE', message: 'engine failed', cause: String(thrown).slice(0, 500) };
}

export function errorFromData(data: ErrorData): Error {
  switch (data.type) {
    case 'context': return new ContextLengthError(data.promptTokens, data.contextSize);
    case 'stopped': return new EngineStoppedError(data.message, data.usage);
    case 'api': return new ApiError(data.code, data.status, data.message, {
      headers: data.headers, ...(data.param !== undefined && { param: data.param }), ...(data.reason !== undefined && { code: data.reason }),
    });
    case 'other': return new CocoonError(data.code, data.message, data.hint === undefined ? {} : { hint: data.hint });
    case 'engine': return new EngineError(data.code, data.message, {
      ...(data.hint !== undefined && { hint: data.hint }), ...(data.cause !== undefined && { cause: new Error(data.cause) }),
    });
  }
}
