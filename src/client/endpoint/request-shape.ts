// What applications may ask the local endpoint for: members of OpenAI's requests and their values, checked before anything is paid
// for. Members that no node of this network can honour (storing, web search, sound, background work …) are refused by name;
// members that are not known here go on as they are, and the node refuses by name what its engine cannot honour.
import { z } from 'zod';

const MAX_MESSAGES = 4_096;
const MAX_PARTS = 1_024;
const MAX_NAME = 512;
const MAX_TOOLS = 128;
const MAX_INPUTS = 2_048;
const MAX_CHOICES = 128;

/** Accepts only `values`, null and absence. */
export const only = (...values: readonly unknown[]) =>
  z.unknown().refine((value) => value === undefined || value === null || values.includes(value), {
    error: values.length === 0 ? 'is not supported by this network' : `only ${values.map((value) => JSON.stringify(value)).join(' or ')} is supported by this network`,
    params: { unsupported: true },
  }).optional();

const text = z.string();
export const modelName = text.min(1).max(MAX_NAME);
export const hint = text.max(MAX_NAME).nullish();
export const functionName = text.regex(/^[a-zA-Z0-9_-]{1,64}$/, { error: 'expected 1 to 64 letters, digits, underscores and dashes' });
export const jsonObject = z.record(text, z.unknown());
export const count = z.number().int();
const textPart = z.looseObject({ type: z.literal('text'), text });
const content = z.union([text, z.array(textPart).min(1).max(MAX_PARTS)]);

export const toolFunction = z.strictObject({ name: functionName, description: text.nullish(), parameters: jsonObject.nullish(), strict: z.boolean().nullish() });
const toolCall = z.looseObject({ id: text.max(MAX_NAME), type: z.literal('function'), function: z.looseObject({ name: text.max(MAX_NAME), arguments: text }) });

const message = z.discriminatedUnion('role', [
  z.looseObject({ role: z.enum(['system', 'developer', 'user']), content, name: hint }),
  z.looseObject({ role: z.literal('assistant'), content: content.nullish(), name: hint, tool_calls: z.array(toolCall).max(MAX_TOOLS).nullish(), audio: only(), function_call: only() }),
  z.looseObject({ role: z.literal('tool'), content, tool_call_id: text.max(MAX_NAME) }),
]);

export const sampling = {
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  user: hint,
};

const shared = {
  model: modelName,
  ...sampling,
  frequency_penalty: z.number().min(-2).max(2).nullish(),
  presence_penalty: z.number().min(-2).max(2).nullish(),
  n: count.min(1).max(MAX_CHOICES).nullish(),
  seed: z.number().refine((value) => Number.isInteger(value), { error: 'expected a whole number' }).nullish(),
  stop: z.union([text, z.array(text).max(16)]).nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.looseObject({ include_usage: z.boolean().nullish(), include_obfuscation: only(false) }).nullish(),
};

/** A function that must be called, a word, or nothing. */
const toolChoice = z.union([z.enum(['none', 'auto', 'required']), z.strictObject({ type: z.literal('function'), function: z.strictObject({ name: functionName }) })]);

export const responseFormat = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('text') }),
  z.strictObject({ type: z.literal('json_object') }),
  z.strictObject({
    type: z.literal('json_schema'),
    json_schema: z.strictObject({ name: functionName, description: text.nullish(), schema: jsonObject.optional(), strict: z.boolean().nullish() }),
  }),
]);

/** POST /v1/chat/completions. */
export const chatShape = z.looseObject({
  ...shared,
  messages: z.array(message).min(1).max(MAX_MESSAGES),
  tools: z.array(z.strictObject({ type: z.literal('function'), function: toolFunction })).max(MAX_TOOLS).nullish(),
  tool_choice: toolChoice.nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  response_format: responseFormat.nullish(),
  logprobs: z.boolean().nullish(),
  top_logprobs: count.min(0).max(20).nullish(),
  modalities: z.array(z.unknown().refine((value) => value === 'text', { error: 'only "text" is supported by this network', params: { unsupported: true } })).nullish(),
  audio: only(),
  functions: only(),
  function_call: only(),
  metadata: only(),
  store: only(false),
  service_tier: only('auto', 'default'),
  web_search_options: only(),
  prompt_cache_retention: only(),
}).refine(({ top_logprobs: top, logprobs }) => (top ?? 0) === 0 || logprobs === true, { error: 'needs logprobs to be true', path: ['top_logprobs'] })
  .refine(({ tool_choice: choice, tools }) => choice === undefined || choice === null || choice === 'none' || (tools?.length ?? 0) > 0, { error: 'needs tools', path: ['tool_choice'] });

/** POST /v1/completions. */
export const textShape = z.looseObject({
  ...shared,
  prompt: z.union([text, z.array(z.union([text, count.min(0), z.array(count.min(0))])).min(1).max(MAX_INPUTS)]),
  best_of: count.min(1).max(MAX_CHOICES).nullish(),
  logprobs: count.min(0).max(20).nullish(),
  echo: z.boolean().nullish(),
  suffix: text.nullish(),
});

/** POST /v1/embeddings. */
export const embeddingShape = z.strictObject({
  model: modelName,
  input: z.union([
    text.min(1), z.array(text.min(1)).min(1).max(MAX_INPUTS), z.array(count.min(0)).min(1).max(MAX_INPUTS * 4), z.array(z.array(count.min(0)).min(1)).min(1).max(MAX_INPUTS),
  ]),
  encoding_format: z.enum(['float', 'base64']).nullish(),
  dimensions: count.min(1).max(1 << 16).nullish(),
  user: hint,
});

export type ChatShape = z.infer<typeof chatShape>;
export type TextShape = z.infer<typeof textShape>;
