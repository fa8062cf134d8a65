// POST /v1/responses, streamed: the chunks of a node's chat completion as the events of OpenAI's Responses API, each with its
// sequence number. Items open and close in order; a response that breaks off ends with `response.failed`, never with
// `response.completed`.
import { NetworkError } from '../../core/errors.ts';
import { readUsage } from '../../openai/usage.ts';
import { endingOf, newCall, newMessage, newReasoning, newText } from './responses-document.ts';
import type { UsageCounts } from '../../openai/usage.ts';
import type { ChunkObject, StreamPiece } from '../chunk-stream.ts';
import type { Continuation } from '../continued.ts';
import type { CallItem, MessageItem, OutputItem, OutputText, ReasoningItem, ResponseState } from './responses-document.ts';

export interface ResponseEvents {
  /** Events before the first piece. */
  start(): string;
  push(piece: StreamPiece): string;
  /** The answer is complete. Throws NetworkError when it has no finish reason. */
  end(continued: readonly Continuation[]): string;
  fail(error: { readonly code: string; readonly message: string }): string;
}

type Open = { readonly item: MessageItem; readonly part: OutputText } | { readonly item: ReasoningItem; readonly part: null } | { readonly item: CallItem; readonly part: null };

const objectOf = (value: unknown): ChunkObject => (typeof value === 'object' && value !== null ? value as ChunkObject : {});
const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');

export function responseEvents(write: (state: ResponseState) => object): ResponseEvents {
  return new Events(write);
}

class Events implements ResponseEvents {
  readonly #write: (state: ResponseState) => object;
  readonly #output: OutputItem[] = [];
  readonly #calls = new Map<number, CallItem>();
  #open: Open | null = null;
  #sequence = 0;
  #out = '';
  #usage: UsageCounts | null = null;
  #finishReason: string | null = null;

  constructor(write: (state: ResponseState) => object) {
    this.#write = write;
  }

  start(): string {
    const response = this.#write({ status: 'in_progress', output: [], usage: null });
    this.#event('response.created', { response });
    this.#event('response.in_progress', { response });
    return this.#taken();
  }

  push(piece: StreamPiece): string {
    if (piece.kind === 'failure') throw piece.error;
    if (piece.kind === 'done' || piece.kind === 'counts' || piece.value === null) return '';
    this.#usage = readUsage(piece.value) ?? this.#usage;
    const [choice] = Array.isArray(piece.value.choices) ? piece.value.choices as unknown[] : [];
    if (choice === undefined) return '';
    const { delta: given, logprobs, finish_reason: reason } = objectOf(choice);
    const delta = objectOf(given);
    this.#reasoning(textOf(delta.reasoning_content));
    const tokens = objectOf(logprobs).content;
    this.#text(textOf(delta.content), Array.isArray(tokens) ? tokens : []);
    for (const call of Array.isArray(delta.tool_calls) ? delta.tool_calls as unknown[] : []) this.#call(objectOf(call));
    if (typeof reason === 'string') this.#finishReason = reason;
    return this.#taken();
  }

  end(continued: readonly Continuation[]): string {
    if (this.#finishReason === null) throw new NetworkError('E_CLOSED', 'the answer ended without its finish reason');
    const { status, incompleteReason } = endingOf(this.#finishReason);
    this.#close(status);
    const response = this.#write({ status, output: this.#output, usage: this.#usage, incompleteReason, continued });
    this.#event(`response.${status}`, { response });
    return this.#taken();
  }

  fail(error: { readonly code: string; readonly message: string }): string {
    this.#event('response.failed', { response: this.#write({ status: 'failed', output: this.#output, usage: this.#usage, error }) });
    return this.#taken();
  }

  #event(type: string, members: object): void {
    this.#out += `event: ${type}\ndata: ${JSON.stringify({ type, sequence_number: this.#sequence, ...members })}\n\n`;
    this.#sequence += 1;
  }

  #taken(): string {
    const out = this.#out;
    this.#out = '';
    return out;
  }

  #begin(open: Open): void {
    this.#close('completed');
    this.#open = open;
    this.#output.push(open.item);
    this.#event('response.output_item.added', { output_index: this.#index(open.item), item: open.item.type === 'message' ? { ...open.item, content: [] } : open.item });
    if (open.item.type === 'message' && open.part !== null) {
      open.item.content.push(open.part);
      this.#event('response.content_part.added', { item_id: open.item.id, output_index: this.#index(open.item), content_index: 0, part: open.part });
    }
  }

  #index(item: OutputItem): number {
    return this.#output.indexOf(item);
  }

  #reasoning(text: string): void {
    if (text === '') return;
    if (this.#open?.item.type !== 'reasoning') this.#begin({ item: newReasoning(), part: null });
    const item = this.#open?.item;
    const [part] = item?.type === 'reasoning' ? item.content : [];
    if (item === undefined || part === undefined) return;
    part.text += text;
    this.#event('response.reasoning_text.delta', { item_id: item.id, output_index: this.#index(item), content_index: 0, delta: text });
  }

  #text(text: string, logprobs: unknown[]): void {
    if (text === '' && logprobs.length === 0) return;
    if (this.#open?.item.type !== 'message') this.#begin({ item: newMessage(), part: newText() });
    const open = this.#open;
    if (open === null || open.part === null) return;
    open.part.text += text;
    open.part.logprobs.push(...logprobs);
    this.#event('response.output_text.delta', { item_id: open.item.id, output_index: this.#index(open.item), content_index: 0, delta: text, logprobs });
  }

  #call({ index, id, function: called }: ChunkObject): void {
    const at = typeof index === 'number' ? index : this.#calls.size;
    const { name, arguments: text } = objectOf(called);
    let item = this.#calls.get(at);
    if (item === undefined) {
      item = newCall(textOf(id), textOf(name));
      this.#calls.set(at, item);
      this.#begin({ item, part: null });
    }
    const added = textOf(text);
    if (added === '') return;
    item.arguments += added;
    this.#event('response.function_call_arguments.delta', { item_id: item.id, output_index: this.#index(item), delta: added });
  }

  /** Ends the item that is open. */
  #close(status: 'completed' | 'incomplete'): void {
    const open = this.#open;
    if (open === null) return;
    this.#open = null;
    const { item } = open;
    item.status = status;
    const place = { item_id: item.id, output_index: this.#index(item) };
    if (item.type === 'message' && open.part !== null) {
      const { part } = open;
      this.#event('response.output_text.done', { ...place, content_index: 0, text: part.text, logprobs: part.logprobs });
      this.#event('response.content_part.done', { ...place, content_index: 0, part });
    } else if (item.type === 'reasoning') {
      this.#event('response.reasoning_text.done', { ...place, content_index: 0, text: item.content[0]?.text ?? '' });
    } else if (item.type === 'function_call') {
      this.#event('response.function_call_arguments.done', { ...place, name: item.name, arguments: item.arguments });
    }
    this.#event('response.output_item.done', { output_index: place.output_index, item });
  }
}
