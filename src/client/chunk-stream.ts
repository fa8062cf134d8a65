// The chunks of one streamed completion as they come from a node: which text each adds to the answer, whether it ends it, what it
// counts, and whether the answer could still be taken up by another node behind it. What cannot be read goes on as it is.
import { createSseParser } from '../openai/sse-parser.ts';
import { DONE, readCountsComment } from '../openai/sse.ts';
import { readUsage } from '../openai/usage.ts';
import { failureInStream } from './refusals.ts';
import type { EngineError } from '../core/errors.ts';
import type { SseEvent } from '../openai/sse-parser.ts';
import type { UsageCounts } from '../openai/usage.ts';

export type ChunkObject = Record<string, unknown>;

export type StreamPiece =
  /** What the engine has counted so far; for this side only. */
  | { readonly kind: 'counts'; readonly usage: UsageCounts }
  | { readonly kind: 'done' }
  /** The engine says that it failed; nothing of value follows. */
  | { readonly kind: 'failure'; readonly error: EngineError }
  | {
    readonly kind: 'chunk';
    /** The event's own bytes, as text. */
    readonly data: string;
    /** Null for what is no JSON object. */
    readonly value: ChunkObject | null;
    /** Text that the answer has got more. */
    readonly text: string;
    readonly finishReason: string | null;
    readonly usage: UsageCounts | null;
    /** True: nothing is in it but text (and a role, an end, counts), so that text is all another node has to know. */
    readonly plain: boolean;
  };

export interface ChunkStream {
  /** Pieces that these bytes complete. Throws NetworkError E_PROTOCOL. */
  push(bytes: Uint8Array): StreamPiece[];
  /** To be called at the end. Throws NetworkError E_CLOSED when it is within an event. */
  end(): void;
}

export function readChunks(): ChunkStream {
  const parser = createSseParser({ comments: true });
  return { push: (bytes) => parser.push(bytes).flatMap((event) => (event.event === ':' ? commentOf(event) : [pieceOf(event)])), end: () => parser.end() };
}

function commentOf({ data }: SseEvent): StreamPiece[] {
  const usage = readCountsComment(data);
  return usage === null ? [] : [{ kind: 'counts', usage }];
}

function pieceOf({ data }: SseEvent): StreamPiece {
  if (data === DONE) return { kind: 'done' };
  const opaque = { kind: 'chunk', data, value: null, text: '', finishReason: null, usage: null, plain: false } as const;
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch {
    return opaque;
  }
  if (!isObject(value)) return opaque;
  const error = 'error' in value ? failureInStream(value) : null;
  if (error !== null) return { kind: 'failure', error };
  const choices: readonly unknown[] = Array.isArray(value.choices) ? value.choices : [];
  const [choice] = choices;
  const usage = readUsage(value);
  if (!isObject(choice)) return { ...opaque, value, usage, plain: choices.length === 0 };
  const delta = isObject(choice.delta) ? choice.delta : choice;
  const text = typeof delta.content === 'string' ? delta.content : typeof delta.text === 'string' ? delta.text : '';
  const plain = choices.length === 1 && (choice.index ?? 0) === 0 && isNothing(choice.logprobs) && Object.entries(delta).every(([name, member]) => PLAIN.has(name) || isNothing(member));
  return { kind: 'chunk', data, value, text, finishReason: typeof choice.finish_reason === 'string' ? choice.finish_reason : null, usage, plain };
}

/** Members of a delta, or of a choice of a text completion, that another node does not have to know or gets as text. */
const PLAIN = new Set(['role', 'content', 'text', 'index', 'finish_reason', 'logprobs', 'delta']);

const isNothing = (value: unknown): boolean => value === undefined || value === null || value === '' || (Array.isArray(value) && value.length === 0);

const isObject = (value: unknown): value is ChunkObject => typeof value === 'object' && value !== null && !Array.isArray(value);
