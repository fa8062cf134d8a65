// The handler of POST /v1/responses: asks a node for a chat completion and gives its answer as a response, whole or as events.
import { asCocoonError, NetworkError } from '../../core/errors.ts';
import { sleep } from '../../core/retry.ts';
import { problemOf } from '../../http/routes.ts';
import { badRequest } from '../../openai/errors.ts';
import { openJsonObject } from '../../openai/json-edit.ts';
import { readUsage } from '../../openai/usage.ts';
import { isEnd } from '../answer-body.ts';
import { readChunks } from '../chunk-stream.ts';
import { refusedByNode } from '../refusals.ts';
import { CHAT_PATH, readCompletion, textOf } from './completion-request.ts';
import { BEFORE_CUT_MS, headersOf } from './inference.ts';
import { endingOf, newCall, newMessage, newReasoning, newText, responseWriter } from './responses-document.ts';
import { readResponsesRequest } from './responses-request.ts';
import { responseEvents } from './responses-stream.ts';
import type { HttpReply, HttpRequest } from '../../http/routes.ts';
import type { AnswerBody } from '../answer-body.ts';
import type { ChunkObject } from '../chunk-stream.ts';
import type { AskedAnswer, Asker, InferenceOptions } from './inference.ts';
import type { OutputItem, ResponseState } from './responses-document.ts';

/** Largest answer of a node that is turned into one document. */
const MAX_DOCUMENT = 64 << 20;

export function responsesHandler(options: InferenceOptions, asker: Asker): (request: HttpRequest) => Promise<HttpReply> {
  return async (http) => {
    const caller = options.callers.admit(http);
    const { asked, chat } = readResponsesRequest(openJsonObject(textOf(http.bytes)).members);
    const limit = asked.max_output_tokens;
    if (limit !== undefined && limit !== null && limit > options.maxTokens) {
      throw badRequest(`invalid value of 'max_output_tokens' in request: expected a whole number from 1 to ${options.maxTokens}`, { param: 'max_output_tokens', code: 'invalid_value' });
    }
    const answer = await asker.ask(http, caller, readCompletion(CHAT_PATH, new TextEncoder().encode(JSON.stringify(chat)), options));
    const write = responseWriter(asked, options.now);
    if (answer.head.status !== 200) {
      const body = await wholeOf(answer.body);
      throw refusalOf(answer.head.status, body);
    }
    if (asked.stream !== true) return { headers: headersOf(answer), json: documentOf(await wholeOf(answer.body), write, answer) };
    return { headers: { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache', ...headersOf(answer) }, stream: eventsOf(answer, write, http.signal) };
  };
}

/** What the node said of a request that it does not answer: its own words where they are OpenAI's, else ours. */
function refusalOf(status: number, body: Uint8Array): Error {
  try {
    const { error } = JSON.parse(new TextDecoder().decode(body)) as { error?: { message?: unknown; code?: unknown; param?: unknown } };
    if ((status === 400 || status === 404 || status === 413) && typeof error?.message === 'string') {
      return badRequest(error.message.slice(0, 1_000), {
        status, ...(typeof error.code === 'string' && { code: error.code.slice(0, 100) }), ...(typeof error.param === 'string' && { param: error.param.slice(0, 100) }),
      });
    }
  } catch {
    // no error in OpenAI's form
  }
  return refusedByNode(status, body);
}

async function wholeOf(body: AnswerBody): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  try {
    for (;;) {
      const piece = await body.next();
      if (isEnd(piece)) return Buffer.concat(parts);
      bytes += piece.byteLength;
      if (bytes > MAX_DOCUMENT) throw new NetworkError('E_TOO_LARGE', `the answer is larger than ${MAX_DOCUMENT} bytes`);
      parts.push(piece.slice());
    }
  } finally {
    await body.leave();
  }
}

const objectOf = (value: unknown): ChunkObject => (typeof value === 'object' && value !== null ? value as ChunkObject : {});

function documentOf(bytes: Uint8Array, write: (state: ResponseState) => object, { continued }: AskedAnswer): object {
  let document: unknown;
  try {
    document = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new NetworkError('E_PROTOCOL', 'the node\'s answer is not JSON', { cause });
  }
  const { choices } = objectOf(document);
  const { message, finish_reason: reason, logprobs } = objectOf(Array.isArray(choices) ? choices[0] : null);
  if (typeof reason !== 'string') throw new NetworkError('E_PROTOCOL', 'the node\'s answer has no finish reason');
  const { status, incompleteReason } = endingOf(reason);
  const output = itemsOf(objectOf(message), objectOf(logprobs));
  for (const item of output) item.status = status;
  return write({ status, output, usage: readUsage(document), incompleteReason, continued });
}

function itemsOf({ content, reasoning_content: reasoning, tool_calls: calls }: ChunkObject, { content: logprobs }: ChunkObject): OutputItem[] {
  const output: OutputItem[] = [];
  if (typeof reasoning === 'string' && reasoning !== '') {
    const item = newReasoning();
    for (const part of item.content) part.text = reasoning;
    output.push(item);
  }
  const called = Array.isArray(calls) ? calls as unknown[] : [];
  if (typeof content === 'string' && (content !== '' || called.length === 0)) {
    const item = newMessage();
    item.content.push({ ...newText(), text: content, logprobs: Array.isArray(logprobs) ? logprobs : [] });
    output.push(item);
  }
  for (const call of called) {
    const { id, function: given } = objectOf(call);
    const { name, arguments: text } = objectOf(given);
    output.push({ ...newCall(String(id ?? ''), String(name ?? '')), arguments: String(text ?? '') });
  }
  return output;
}

async function* eventsOf(answer: AskedAnswer, write: (state: ResponseState) => object, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const encoder = new TextEncoder();
  const chunks = readChunks();
  const events = responseEvents(write);
  try {
    yield encoder.encode(events.start());
    for (;;) {
      const piece = await answer.body.next();
      if (isEnd(piece)) break;
      const text = chunks.push(piece).map((each) => events.push(each)).join('');
      if (text !== '') yield encoder.encode(text);
    }
    chunks.end();
    yield encoder.encode(events.end(answer.continued));
  } catch (error) {
    if (!signal.aborted) {
      const { code, message } = problemOf(asCocoonError(error));
      yield encoder.encode(events.fail({ code, message }));
      await sleep(BEFORE_CUT_MS);
    }
    throw error;
  } finally {
    await answer.body.leave();
  }
}
