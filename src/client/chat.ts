// One chat question through a session: sends it as a streaming OpenAI request, gives the text as it comes, and at the
// end what it cost and how long each hop took. An answer without its finish reason, its [DONE] and its final message is
// an error: nothing incomplete ends like something complete.
import { z } from 'zod';
import { NetworkError } from '../core/errors.ts';
import { createSseParser } from '../openai/sse-parser.ts';
import { readUsage } from '../openai/usage.ts';
import { encodeBoxed } from '../wire/tl/codec.ts';
import { explainFailure, failureInStream, refusedByNode } from './refusals.ts';
import type { UsageCounts } from '../openai/usage.ts';
import type { FinalInfo, HopTimes, HttpHead, TokensUsed } from '../wire/answer.ts';
import type { ClientSession } from '../wire/client-session.ts';

export interface Question {
  /** Base name of the model. */
  readonly model: string;
  readonly prompt: string;
  readonly system?: string | undefined;
  readonly maxTokens: number;
  readonly temperature?: number | undefined;
  readonly topP?: number | undefined;
  readonly seed?: number | undefined;
  readonly stop?: readonly string[] | undefined;
}

export interface AskOptions {
  readonly timeoutMs: number;
  /** Highest price accepted, in thousandths. */
  readonly maxCoefficient: number;
  readonly signal: AbortSignal;
}

export interface Answer {
  readonly text: string;
  readonly finishReason: string;
  /** The engine's own counts. */
  readonly usage: UsageCounts;
  /** What is charged: adjusted tokens as the node reported and the proxy passed on. */
  readonly charged: TokensUsed;
  readonly timing: {
    /** From sending the request. */
    readonly firstTextMs: number | null;
    readonly totalMs: number;
    /** Unix seconds; null where the peer's version does not tell. */
    readonly proxy: HopTimes | null;
    readonly node: HopTimes | null;
  };
}

/** Largest body of an error answer that is kept, and largest answer text. */
const MAX_ERROR_BYTES = 64 * 1024;
const MAX_TEXT_LENGTH = 16 * 1024 * 1024;

const Chunk = z.object({
  choices: z.array(z.object({
    delta: z.object({ content: z.string().nullish() }),
    finish_reason: z.string().max(64).nullish(),
  })).max(1),
  error: z.unknown().optional(),
});

function requestBytes(question: Question): Uint8Array {
  const { prompt, system } = question;
  const body = {
    model: question.model,
    messages: [...(system === undefined ? [] : [{ role: 'system', content: system }]), { role: 'user', content: prompt }],
    stream: true,
    stream_options: { include_usage: true },
    max_tokens: question.maxTokens,
    max_completion_tokens: question.maxTokens, // whichever an engine heeds, the limit is the one that is reserved
    ...(question.temperature === undefined ? {} : { temperature: question.temperature }),
    ...(question.topP === undefined ? {} : { top_p: question.topP }),
    ...(question.seed === undefined ? {} : { seed: question.seed }),
    ...(question.stop === undefined || question.stop.length === 0 ? {} : { stop: question.stop }),
  };
  const payload = new TextEncoder().encode(JSON.stringify(body));
  return encodeBoxed({
    _: 'http.request', method: 'POST', url: '/v1/chat/completions', http_version: 'HTTP/1.1',
    headers: [
      { _: 'http.header', name: 'Content-Type', value: 'application/json' },
      { _: 'http.header', name: 'Content-Length', value: String(payload.length) },
    ],
    payload,
  });
}

/** Reads the events of one streamed chat answer; keeps the text, the finish reason and the usage. */
class ChatReader {
  readonly #sse = createSseParser();
  text = '';
  finishReason: string | null = null;
  usage: UsageCounts | null = null;
  #done = false;

  /** The text that these bytes add. */
  push(bytes: Uint8Array): string {
    let added = '';
    for (const { data } of this.#sse.push(bytes)) {
      if (this.#done) throw new NetworkError('E_PROTOCOL', 'the answer goes on after its end');
      if (data === '[DONE]') this.#done = true;
      else added += this.#chunk(data);
    }
    this.text += added;
    if (this.text.length > MAX_TEXT_LENGTH) throw new NetworkError('E_PROTOCOL', `the answer is longer than ${MAX_TEXT_LENGTH} characters`);
    return added;
  }

  #chunk(data: string): string {
    let value: unknown;
    try {
      value = JSON.parse(data);
    } catch (cause) {
      throw new NetworkError('E_PROTOCOL', 'the answer contains an event that is not JSON', { cause });
    }
    const parsed = Chunk.safeParse(value);
    const failure = parsed.success && parsed.data.error === undefined ? null : failureInStream(value);
    if (failure !== null) throw failure;
    if (!parsed.success) throw new NetworkError('E_PROTOCOL', 'the answer contains an event that is not a chat chunk', { cause: parsed.error });
    this.usage = readUsage(value) ?? this.usage;
    const [choice] = parsed.data.choices;
    this.finishReason = choice?.finish_reason ?? this.finishReason;
    return choice?.delta.content ?? '';
  }

  /** To be called when the peer says that the answer is complete. Throws NetworkError E_CLOSED when it is not. */
  finish(): { finishReason: string; usage: UsageCounts } {
    this.#sse.end();
    if (!this.#done || this.finishReason === null || this.usage === null) {
      throw new NetworkError('E_CLOSED', 'the answer is incomplete: it ended without its finish reason, its usage or its last event');
    }
    return { finishReason: this.finishReason, usage: this.usage };
  }
}

/** Collects the body of an error answer, as much of it as is worth reading. */
class ErrorBody {
  readonly #parts: Uint8Array[] = [];
  #length = 0;

  push(bytes: Uint8Array): void {
    if (this.#length >= MAX_ERROR_BYTES) return;
    // The bytes are a view into the connection's buffer; what is kept is copied.
    const part = bytes.slice(0, MAX_ERROR_BYTES - this.#length);
    this.#parts.push(part);
    this.#length += part.length;
  }

  bytes(): Uint8Array {
    return Buffer.concat(this.#parts);
  }
}

/**
 * Asks and yields the text as it comes; returns the whole answer. Throws UsageError (the node refused the request),
 * NotFoundError (unknown model), CapacityError, EngineError, or NetworkError; after any of them what was yielded is incomplete.
 */
export async function* askChat(session: ClientSession, question: Question, options: AskOptions): AsyncGenerator<string, Answer, undefined> {
  const startedMs = performance.now();
  let firstTextMs: number | null = null;
  let head: HttpHead | null = null;
  let info: FinalInfo | null = null;
  const reader = new ChatReader();
  const refusal = new ErrorBody();

  const take = function* (bytes: Uint8Array): Generator<string> {
    if (head?.status !== 200) {
      refusal.push(bytes);
      return;
    }
    const added = reader.push(bytes);
    if (added === '') return;
    firstTextMs ??= performance.now() - startedMs;
    yield added;
  };

  try {
    const events = session.ask({
      model: question.model, query: requestBytes(question), maxCoefficient: options.maxCoefficient, maxTokens: question.maxTokens,
      timeoutMs: options.timeoutMs, signal: options.signal,
    });
    for await (const event of events) {
      if (event.kind === 'head') {
        head = event.head;
        yield* take(event.head.payload);
      } else if (event.kind === 'part') {
        yield* take(event.bytes);
      } else {
        info = event.info;
      }
    }
  } catch (error) {
    throw explainFailure(error, head !== null);
  }
  if (head === null || info === null) throw new NetworkError('E_CLOSED', 'the answer ended before it began');
  if (head.status !== 200) throw refusedByNode(head.status, refusal.bytes());
  const { finishReason, usage } = reader.finish();
  return {
    text: reader.text, finishReason, usage, charged: info.tokens,
    timing: { firstTextMs, totalMs: performance.now() - startedMs, proxy: info.proxyTimes ?? null, node: info.workerTimes ?? null },
  };
}
