// The streamed answer of a backend as events of the Engine port. Refuses what is malformed, too long, ends without its reason, or
// counts what cannot be: more tokens than were allowed, or a prompt of more tokens than bytes.
import { EngineError } from '../../core/errors.ts';
import { DONE, readCountsComment } from '../../openai/sse.ts';
import { createSseParser } from '../../openai/sse-parser.ts';
import { assertUsage, readUsage } from '../../openai/usage.ts';
import type { SseEvent } from '../../openai/sse-parser.ts';
import type { UsageCounts } from '../../openai/usage.ts';
import type { EngineEvent, EngineFinishReason, EngineLogprob, EngineToolCall } from '../engine.ts';

export interface BackendAnswer {
  /** Events that these bytes complete. Throws EngineError and NetworkError for what is no answer. */
  push(bytes: Uint8Array): readonly EngineEvent[];
  /** To be called at the end of the stream: calls that were written in pieces, and why the answer ended. Throws EngineError where it does not say. */
  end(): { readonly calls: readonly EngineToolCall[]; readonly reason: EngineFinishReason };
  /** Pieces of text, reasoning and calls: each has at least one token. */
  readonly pieces: number;
  readonly reasoningPieces: number;
  /** Answer and calls; what was thought before them is apart. */
  readonly text: string;
  readonly reasoning: string;
  /** The last that the backend has said, within the answer too; null where it has not. */
  readonly usage: UsageCounts | null;
}

export interface AnswerBounds {
  /** Bytes of the whole answer. */
  readonly maxBytes: number;
  readonly maxTokens: number | undefined;
  readonly promptBytes: number;
}

/** Tokens that a template may add to a prompt. */
const TEMPLATE_TOKENS = 4_096;
const MAX_CALLS = 128;

interface Chunk {
  readonly error?: unknown;
  readonly choices?: unknown;
}

interface Choice {
  readonly text?: unknown;
  readonly delta?: Delta | null;
  readonly finish_reason?: unknown;
  readonly logprobs?: unknown;
}

/** `reasoning` is what newer versions of vLLM call `reasoning_content`. */
interface Delta {
  readonly content?: unknown;
  readonly reasoning_content?: unknown;
  readonly reasoning?: unknown;
  readonly tool_calls?: unknown;
}

interface CallPiece {
  readonly index?: unknown;
  readonly function?: { readonly name?: unknown; readonly arguments?: unknown } | null;
}

export function createBackendAnswer(bounds: AnswerBounds): BackendAnswer {
  const parser = createSseParser({ comments: true });
  const calls: { name: string; arguments: string }[] = [];
  const seen = { bytes: 0, pieces: 0, text: '', reasoningPieces: 0, reasoning: '', reason: null as EngineFinishReason | null, done: false, usage: null as UsageCounts | null };

  const thought = (piece: unknown): EngineEvent[] => {
    if (typeof piece !== 'string' || piece === '') return [];
    seen.reasoningPieces += 1;
    seen.reasoning += piece;
    return [{ type: 'reasoning', text: piece }];
  };

  const take = ({ data, event }: SseEvent): EngineEvent[] => {
    if (event === ':') {
      const counted = readCountsComment(data);
      if (counted !== null) seen.usage = checked(counted, bounds);
      return [];
    }
    if (seen.done) throw broken('goes on after its end');
    if (data === DONE) {
      seen.done = true;
      return [];
    }
    const chunk = parse(data);
    if (chunk.error !== undefined) throw broken('failed while answering');
    const usage = readUsage(chunk);
    if (usage !== null) seen.usage = checked(usage, bounds);
    const choice: Choice | null = objectOf(Array.isArray(chunk.choices) ? chunk.choices[0] : null);
    if (choice === null) return [];
    const delta: Delta | null = objectOf(choice.delta);
    for (const call of Array.isArray(delta?.tool_calls) ? delta.tool_calls : []) addCall(calls, objectOf(call) ?? {});
    if (typeof choice.finish_reason === 'string') seen.reason = reasonOf(choice.finish_reason);
    const text = delta === null ? choice.text : delta.content;
    const logprobs = logprobsOf(choice.logprobs);
    const events = thought(delta?.reasoning_content ?? delta?.reasoning);
    if ((typeof text !== 'string' || text === '') && logprobs.length === 0) return events;
    seen.pieces += 1;
    seen.text += typeof text === 'string' ? text : '';
    return [...events, { type: 'text', text: typeof text === 'string' ? text : '', ...(logprobs.length > 0 && { logprobs }) }];
  };

  return {
    get pieces() {
      return seen.pieces + seen.reasoningPieces + calls.length;
    },
    get reasoningPieces() {
      return seen.reasoningPieces;
    },
    get reasoning() {
      return seen.reasoning;
    },
    get text() {
      return seen.text + calls.map((call) => call.name + call.arguments).join('');
    },
    get usage() {
      return seen.usage;
    },
    push(bytes) {
      seen.bytes += bytes.byteLength;
      if (seen.bytes > bounds.maxBytes) throw broken(`is longer than ${bounds.maxBytes} bytes`);
      return parser.push(bytes).flatMap(take);
    },
    end() {
      parser.end();
      if (seen.reason === null || !seen.done) throw broken('ended before it was complete');
      return { calls, reason: calls.length > 0 && seen.reason === 'stop' ? 'tools' : seen.reason };
    },
  };
}

const broken = (how: string): EngineError => new EngineError('E_ENGINE', `the answer of the backend ${how}`);

function parse(data: string): Chunk {
  try {
    const value: unknown = JSON.parse(data);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch {
    // told below, without what it says
  }
  throw broken('is not JSON');
}

const objectOf = (value: unknown): object | null => (typeof value === 'object' && value !== null && !Array.isArray(value) ? value : null);

function addCall(calls: { name: string; arguments: string }[], { index, function: piece }: CallPiece): void {
  const at = typeof index === 'number' ? index : 0;
  if (!Number.isInteger(at) || at < 0 || at > Math.min(calls.length, MAX_CALLS)) throw broken('numbers its calls wrongly');
  const call = calls[at] ?? { name: '', arguments: '' };
  calls[at] = call;
  if (typeof piece?.name === 'string') call.name += piece.name;
  if (typeof piece?.arguments === 'string') call.arguments += piece.arguments;
}

function reasonOf(reason: string): EngineFinishReason {
  if (reason === 'length') return 'length';
  return reason === 'tool_calls' ? 'tools' : 'stop';
}

function checked(usage: UsageCounts, { maxTokens, promptBytes }: AnswerBounds): UsageCounts {
  assertUsage(usage);
  if (maxTokens !== undefined && usage.completionTokens > maxTokens) throw broken(`counts ${usage.completionTokens} tokens, expected at most ${maxTokens}`);
  if (usage.promptTokens > promptBytes + TEMPLATE_TOKENS) throw broken(`counts ${usage.promptTokens} tokens of a prompt of ${promptBytes} bytes`);
  return usage;
}

/** Both of OpenAI's forms; what is neither has none. */
function logprobsOf(value: unknown): EngineLogprob[] {
  if (typeof value !== 'object' || value === null) return [];
  const { content, tokens, token_logprobs: own, top_logprobs: tops } = value as Readonly<Record<string, unknown>>;
  const one = (item: unknown) => {
    const { token, logprob } = (item ?? {}) as Readonly<Record<string, unknown>>;
    return typeof token === 'string' && typeof logprob === 'number' ? [{ token, logprob }] : [];
  };
  if (Array.isArray(content)) {
    return (content as readonly unknown[]).flatMap((item) => one(item).map((each) => {
      const top: unknown = (item as { readonly top_logprobs?: unknown }).top_logprobs;
      return { ...each, top: Array.isArray(top) ? top.flatMap(one) : [] };
    }));
  }
  if (!Array.isArray(tokens) || !Array.isArray(own)) return [];
  return tokens.flatMap((token: unknown, index) => one({ token, logprob: own[index] as unknown }).map((each) => {
    const top: unknown = Array.isArray(tops) ? tops[index] : null;
    return { ...each, top: typeof top === 'object' && top !== null ? Object.entries(top).flatMap(([name, logprob]) => one({ token: name, logprob })) : [] };
  }));
}
