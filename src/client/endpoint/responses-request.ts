// POST /v1/responses, its request: OpenAI's Responses API without memory, as the chat completion that a node is asked for. Each call
// brings its whole conversation; what needs an earlier answer, a stored one, or a tool that runs at OpenAI is refused by name.
import { z } from 'zod';
import { badRequest } from '../../openai/errors.ts';
import { checkShape } from '../../openai/shape.ts';
import { count, functionName, hint, jsonObject, modelName, only, sampling } from './request-shape.ts';

const MAX_ITEMS = 4_096;
const MAX_PARTS = 1_024;
const MAX_TOOLS = 128;

const text = z.string();
const inputPart = z.looseObject({ type: z.enum(['input_text', 'output_text', 'text'], { error: 'only parts of text are supported by this network' }), text });
const content = z.union([text, z.array(inputPart).max(MAX_PARTS)]);
const callId = text.min(1).max(512);

const message = z.looseObject({ type: z.literal('message').optional(), role: z.enum(['system', 'developer', 'user', 'assistant']), content });
const item = z.discriminatedUnion('type', [
  z.looseObject({ type: z.literal('message'), role: z.enum(['system', 'developer', 'user', 'assistant']), content }),
  z.looseObject({ type: z.literal('function_call'), call_id: callId, name: text.max(512), arguments: text }),
  z.looseObject({ type: z.literal('function_call_output'), call_id: callId, output: content }),
  // A model's own notes of an earlier turn, as our answers carry them: later turns do without.
  z.looseObject({ type: z.literal('reasoning'), encrypted_content: only() }),
], { error: 'expected a message, function_call, function_call_output or reasoning; nothing else is kept or run here' });

const tool = z.strictObject({
  type: z.literal('function', { error: 'only tools of type "function" are supported: nothing runs tools here' }), name: functionName, description: text.nullish(), parameters: jsonObject.nullish(), strict: z.boolean().nullish(),
});

const format = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('text') }),
  z.strictObject({ type: z.literal('json_object') }),
  z.strictObject({ type: z.literal('json_schema'), name: functionName, description: text.nullish(), schema: jsonObject, strict: z.boolean().nullish() }),
]);

const shape = z.strictObject({
  model: modelName,
  input: z.union([text, z.array(z.unknown()).min(1).max(MAX_ITEMS)]),
  instructions: text.nullish(),
  ...sampling,
  max_output_tokens: count.min(1).nullish(),
  max_tool_calls: only(),
  stream: z.boolean().nullish(),
  stream_options: z.strictObject({ include_obfuscation: only(false) }).nullish(),
  tools: z.array(tool).max(MAX_TOOLS).nullish(),
  tool_choice: z.union([z.enum(['none', 'auto', 'required']), z.strictObject({ type: z.literal('function'), name: functionName })]).nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  text: z.strictObject({ format: format.nullish(), verbosity: only('medium') }).nullish(),
  reasoning: z.strictObject({ effort: z.enum(['none', 'minimal', 'low', 'medium', 'high', 'xhigh']).nullish(), summary: only(), generate_summary: only() }).nullish(),
  include: z.array(z.unknown().refine((name) => name === 'message.output_text.logprobs', { error: 'only "message.output_text.logprobs" is supported by this network', params: { unsupported: true } })).nullish(),
  top_logprobs: count.min(0).max(20).nullish(),
  metadata: z.record(text.max(64), text.max(512)).nullish(),
  prompt_cache_key: hint,
  safety_identifier: hint,
  store: only(false),
  previous_response_id: only(),
  conversation: only(),
  background: only(false),
  truncation: only('disabled'),
  service_tier: only('auto', 'default'),
  prompt: only(),
  prompt_cache_retention: only(),
});

export type ResponsesShape = z.infer<typeof shape>;

interface ChatMessage {
  readonly role: string;
  content: string | null;
  tool_calls?: object[];
  readonly tool_call_id?: string;
}

export interface ResponsesRequest {
  readonly asked: ResponsesShape;
  /** Body of the chat completion, without limits of tokens where none was asked for. */
  readonly chat: Record<string, unknown>;
}

/** `members`: of the body. Throws ApiError (400). */
export function readResponsesRequest(members: unknown): ResponsesRequest {
  const asked = checkShape(shape, members);
  const { model, input, instructions, stream, tools, tool_choice: choice, text: form, reasoning, max_output_tokens: limit, top_logprobs: top } = asked;
  const withLogprobs = (asked.include ?? []).length > 0;
  if ((top ?? 0) > 0 && !withLogprobs) throw badRequest('invalid value of \'top_logprobs\' in request: needs \'message.output_text.logprobs\' in include', { param: 'top_logprobs', code: 'invalid_value' });
  if (choice !== undefined && choice !== null && choice !== 'none' && (tools ?? []).length === 0) {
    throw badRequest('invalid value of \'tool_choice\' in request: needs tools', { param: 'tool_choice', code: 'invalid_value' });
  }
  const given = <K extends string, V>(name: K, value: V | null | undefined): Partial<Record<K, V>> => (value === null || value === undefined ? {} : { [name]: value } as Record<K, V>);
  return {
    asked,
    chat: {
      model,
      messages: [...(instructions === undefined || instructions === null ? [] : [{ role: 'system', content: instructions }]), ...messagesOf(input)],
      stream: stream === true, ...(stream === true && { stream_options: { include_usage: true } }),
      ...given('temperature', asked.temperature), ...given('top_p', asked.top_p), ...given('user', asked.user),
      ...given('prompt_cache_key', asked.prompt_cache_key), ...given('safety_identifier', asked.safety_identifier),
      ...given('max_completion_tokens', limit), ...given('reasoning_effort', reasoning?.effort),
      ...((tools ?? []).length > 0 && {
        tools: (tools ?? []).map(({ type: _type, ...definition }) => ({ type: 'function', function: Object.fromEntries(Object.entries(definition).filter(([, value]) => value !== null)) })),
        ...given('tool_choice', typeof choice === 'object' && choice !== null ? { type: 'function', function: { name: choice.name } } : choice),
        ...given('parallel_tool_calls', asked.parallel_tool_calls),
      }),
      ...given('response_format', formatOf(form?.format)),
      ...(withLogprobs && { logprobs: true, top_logprobs: top ?? 0 }),
    },
  };
}

function formatOf(given: z.infer<typeof format> | null | undefined): object | null {
  if (given === null || given === undefined || given.type === 'text') return null;
  if (given.type === 'json_object') return { type: 'json_object' };
  const { type: _type, ...definition } = given;
  return { type: 'json_schema', json_schema: Object.fromEntries(Object.entries(definition).filter(([, value]) => value !== null)) };
}

const textIn = (value: z.infer<typeof content>): string => (typeof value === 'string' ? value : value.map((part) => part.text).join(''));

/** Items in the order of the conversation; calls of tools belong to one message of the assistant. */
function messagesOf(input: ResponsesShape['input']): ChatMessage[] {
  if (typeof input === 'string') return [{ role: 'user', content: input }];
  const messages: ChatMessage[] = [];
  for (const [index, given] of input.entries()) {
    const isBare = typeof given === 'object' && given !== null && !('type' in given);
    const checked = checkItem(isBare ? message : item, given, index);
    if (checked.type === 'reasoning') continue;
    if (checked.type === 'function_call_output') {
      messages.push({ role: 'tool', tool_call_id: checked.call_id, content: textIn(checked.output) });
    } else if (checked.type === 'function_call') {
      const call = { id: checked.call_id, type: 'function', function: { name: checked.name, arguments: checked.arguments } };
      const last = messages.at(-1);
      if (last?.role === 'assistant') last.tool_calls = [...(last.tool_calls ?? []), call];
      else messages.push({ role: 'assistant', content: null, tool_calls: [call] });
    } else {
      messages.push({ role: checked.role, content: textIn(checked.content) });
    }
  }
  if (messages.length === 0) throw badRequest('member \'input\' holds no message', { param: 'input', code: 'invalid_value' });
  return messages;
}

/** The item; refusals name its place, as `input.3.content`. */
const checkItem = <T extends z.ZodType>(schema: T, value: unknown, index: number): z.infer<T> =>
  checkShape(z.object({ input: z.object({ [index]: schema }) }).transform(({ input }) => (input as Record<string, unknown>)[index] as z.infer<T>), { input: { [index]: value } });
