// POST /v1/responses, its documents: the response object around the items of one answer, as it stands while it is made and at its
// end. Every member of OpenAI's object that its client libraries read is there; nothing is stored, and the object says so.
import { randomBytes } from 'node:crypto';
import type { UsageCounts } from '../../openai/usage.ts';
import type { Continuation } from '../continued.ts';
import type { ResponsesShape } from './responses-request.ts';

export interface OutputText {
  readonly type: 'output_text';
  text: string;
  readonly annotations: readonly [];
  logprobs: unknown[];
}

export interface MessageItem {
  readonly type: 'message';
  readonly id: string;
  readonly role: 'assistant';
  status: 'in_progress' | 'completed' | 'incomplete';
  content: OutputText[];
}

export interface CallItem {
  readonly type: 'function_call';
  readonly id: string;
  readonly call_id: string;
  name: string;
  arguments: string;
  status: 'in_progress' | 'completed' | 'incomplete';
}

export interface ReasoningItem {
  readonly type: 'reasoning';
  readonly id: string;
  readonly summary: readonly [];
  readonly content: { readonly type: 'reasoning_text'; text: string }[];
  status: 'in_progress' | 'completed' | 'incomplete';
}

export type OutputItem = MessageItem | CallItem | ReasoningItem;

const newId = (prefix: string): string => `${prefix}_${randomBytes(24).toString('hex')}`;

export const newMessage = (): MessageItem => ({ type: 'message', id: newId('msg'), role: 'assistant', status: 'in_progress', content: [] });
export const newText = (): OutputText => ({ type: 'output_text', text: '', annotations: [], logprobs: [] });
export const newCall = (callId: string, name: string): CallItem => ({ type: 'function_call', id: newId('fc'), call_id: callId, name, arguments: '', status: 'in_progress' });
export const newReasoning = (): ReasoningItem => ({ type: 'reasoning', id: newId('rs'), summary: [], content: [{ type: 'reasoning_text', text: '' }], status: 'in_progress' });

export interface ResponseState {
  readonly status: 'in_progress' | 'completed' | 'incomplete' | 'failed';
  readonly output: readonly OutputItem[];
  readonly usage: UsageCounts | null;
  readonly incompleteReason?: 'max_output_tokens' | 'content_filter' | undefined;
  readonly error?: { readonly code: string; readonly message: string } | undefined;
  readonly continued?: readonly Continuation[];
}

/** Makes the documents of one response. `now`: Unix milliseconds. */
export function responseWriter(asked: ResponsesShape, now: () => number): (state: ResponseState) => object {
  const id = newId('resp');
  const seconds = (): number => Math.floor(now() / 1000);
  const createdS = seconds();
  return ({ status, output, usage, incompleteReason, error, continued = [] }) => ({
    id, object: 'response', created_at: createdS, status, background: false,
    completed_at: status === 'completed' ? seconds() : null,
    error: error ?? null, incomplete_details: incompleteReason === undefined ? null : { reason: incompleteReason },
    instructions: asked.instructions ?? null, max_output_tokens: asked.max_output_tokens ?? null, max_tool_calls: null, metadata: asked.metadata ?? {}, model: asked.model,
    output: structuredClone(output),
    parallel_tool_calls: asked.parallel_tool_calls ?? true, previous_response_id: null, prompt_cache_key: asked.prompt_cache_key ?? null,
    reasoning: { effort: asked.reasoning?.effort ?? null, summary: null }, safety_identifier: asked.safety_identifier ?? null, service_tier: 'default', store: false,
    temperature: asked.temperature ?? 1, text: { format: asked.text?.format ?? { type: 'text' }, verbosity: 'medium' },
    tool_choice: asked.tool_choice ?? 'auto', tools: (asked.tools ?? []).map(({ strict, ...tool }) => ({ ...tool, strict: strict ?? false })),
    top_logprobs: asked.top_logprobs ?? 0, top_p: asked.top_p ?? 1, truncation: 'disabled', user: asked.user ?? null,
    usage: usage === null ? null : {
      input_tokens: usage.promptTokens, input_tokens_details: { cached_tokens: usage.cachedTokens },
      output_tokens: usage.completionTokens, output_tokens_details: { reasoning_tokens: usage.reasoningTokens }, total_tokens: usage.promptTokens + usage.completionTokens,
    },
    ...(continued.length > 0 && { cocoon: { continued } }),
  });
}

/** How a chat completion's finish reason reads in a response. */
export function endingOf(finishReason: string): Pick<ResponseState, 'incompleteReason'> & { readonly status: 'completed' | 'incomplete' } {
  if (finishReason === 'length') return { status: 'incomplete', incompleteReason: 'max_output_tokens' };
  if (finishReason === 'content_filter') return { status: 'incomplete', incompleteReason: 'content_filter' };
  return { status: 'completed' };
}
