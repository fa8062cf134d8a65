// Requests of POST /v1/chat/completions, /v1/completions and /v1/embeddings: the members that the network's white list allows
// (WIRE.md section 18.3, WIRE-2026-04.md section 9.3), as far as the engine honours them. Every other member, at any
// depth, and every value that would be ignored is refused by name: an answer never silently differs from its request.
import { z } from 'zod';
import { badRequest } from './errors.ts';
import { parseBody } from './shape.ts';

export type ChatMessage =
  | { readonly role: 'system' | 'user'; readonly content: string }
  | { readonly role: 'assistant'; readonly content: string; readonly reasoning?: string; readonly toolCalls?: readonly { readonly name: string; readonly arguments: string }[] }
  | { readonly role: 'tool'; readonly content: string; readonly name?: string };

export interface ChatTools {
  readonly tools: readonly {
    readonly name: string;
    readonly description?: string;
    /** JSON schema of the arguments. */
    readonly parameters: Readonly<Record<string, unknown>>;
    /** True: arguments fit the schema, not only probably. */
    readonly strict: boolean;
  }[];
  readonly choice: 'auto' | 'required' | { readonly name: string };
  readonly parallel: boolean;
}

/** What both kinds of request ask for, after defaults. Undefined: the engine's default. */
export interface SamplingRequest {
  readonly model: string;
  readonly stream: boolean;
  /** True when a stream shall carry a last chunk with usage. */
  readonly includeUsage: boolean;
  /** max_completion_tokens, else max_tokens; undefined: as many as the context holds. */
  readonly maxTokens: number | undefined;
  readonly temperature: number | undefined;
  readonly topP: number | undefined;
  /** 32 bits; a larger seed is taken modulo 2^32. */
  readonly seed: number | undefined;
  readonly stop: readonly string[];
  readonly frequencyPenalty: number;
  readonly presencePenalty: number;
  /** How many answers. */
  readonly choices: number;
  /** How many of the likeliest tokens to name with each one; undefined: no log probabilities at all. */
  readonly logprobs: number | undefined;
}

export interface ChatRequest extends SamplingRequest {
  readonly messages: readonly ChatMessage[];
  /** Variables for the model's chat template. */
  readonly template: { readonly enableThinking?: boolean; readonly reasoningEffort?: string };
  /** Null without tools, and with those that shall not be called. */
  readonly tools: ChatTools | null;
  readonly form: { readonly kind: 'json' } | { readonly kind: 'schema'; readonly schema: Readonly<Record<string, unknown>> } | undefined;
}

export interface TextRequest extends SamplingRequest {
  readonly prompt: string;
  /** True when the answer shall begin with the prompt. */
  readonly echo: boolean;
}

export interface EmbeddingRequest {
  readonly model: string;
  readonly inputs: readonly string[];
  readonly base64: boolean;
}

const MAX_MESSAGES = 4096;
const MAX_PARTS = 1024;
const MAX_STOPS = 16;
const MAX_STOP_LENGTH = 256;
const MAX_NAME_LENGTH = 512;
const MAX_CHOICES = 16;
const MAX_TOOLS = 128;
const MAX_CALLS = 128;
const MAX_TOP_LOGPROBS = 20;
const MAX_INPUTS = 2048;

/** Accepts only `values` (and null or absence): a member of the white list whose other values this engine cannot honour. */
const only = (...values: readonly unknown[]) =>
  z.unknown().refine((value) => value === undefined || value === null || values.includes(value), {
    error: values.length === 0 ? 'is not supported by this engine' : `only ${values.map((v) => JSON.stringify(v)).join(' or ')} is supported by this engine`,
    params: { unsupported: true },
  }).optional();

const hint = z.string().max(MAX_NAME_LENGTH).nullish();
const penalty = z.number().min(-2).max(2).nullish();
const limit = z.number().int().min(1).nullish();
const stopText = z.string().min(1).max(MAX_STOP_LENGTH).refine((text) => !/\p{Surrogate}/u.test(text), { error: 'is not well-formed Unicode' });
const content = z.union([z.string(), z.array(z.strictObject({ type: z.literal('text'), text: z.string() })).min(1).max(MAX_PARTS)]);

const shared = {
  model: z.string().min(1).max(MAX_NAME_LENGTH),
  frequency_penalty: penalty,
  presence_penalty: penalty,
  max_tokens: limit,
  max_completion_tokens: limit,
  n: z.number().int().min(1).max(MAX_CHOICES).nullish(),
  seed: z.number().refine((value) => Number.isInteger(value), { error: 'expected a whole number' }).nullish(),
  stop: z.union([stopText, z.array(stopText).max(MAX_STOPS)]).nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.strictObject({ include_usage: z.boolean().nullish(), include_obfuscation: only(false) }).nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  user: hint,
  skip_special_tokens: only(true),
};

const schemaObject = z.record(z.string(), z.unknown());
const toolName = z.string().regex(/^[A-Za-z0-9_.-]{1,64}$/, { error: 'expected 1 to 64 letters, digits, "_", "-" and "."' });
const toolCall = z.strictObject({ id: z.string().max(MAX_NAME_LENGTH), type: z.literal('function'), function: z.strictObject({ name: toolName, arguments: z.string() }) });
const tool = z.strictObject({
  type: z.literal('function'),
  function: z.strictObject({ name: toolName, description: z.string().nullish(), parameters: schemaObject.nullish(), strict: z.boolean().nullish() }),
});

const chatSchema = z.strictObject({
  ...shared,
  messages: z.array(z.discriminatedUnion('role', [
    z.strictObject({ role: z.enum(['system', 'developer', 'user']), content, name: hint }),
    // an answer of ours can be sent back as it came, with its "refusal": null and its reasoning
    z.strictObject({ role: z.literal('assistant'), content: content.nullish(), name: hint, refusal: z.null().optional(), reasoning_content: z.string().nullish(), tool_calls: z.array(toolCall).max(MAX_CALLS).nullish() }),
    z.strictObject({ role: z.literal('tool'), content, tool_call_id: z.string().max(MAX_NAME_LENGTH), name: hint }),
  ])).min(1).max(MAX_MESSAGES),
  chat_template_kwargs: z.strictObject({ enable_thinking: z.boolean().optional() }).nullish(),
  reasoning_effort: z.enum(['none', 'minimal', 'low', 'medium', 'high', 'xhigh']).nullish(),
  logprobs: z.boolean().nullish(),
  top_logprobs: z.number().int().min(0).max(MAX_TOP_LOGPROBS).nullish(),
  modalities: z.array(only('text')).nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  prediction: z.strictObject({ type: z.literal('content'), content }).nullish(),
  prompt_cache_key: hint,
  response_format: z.discriminatedUnion('type', [
    z.strictObject({ type: z.literal('text') }),
    z.strictObject({ type: z.literal('json_object') }),
    z.strictObject({
      type: z.literal('json_schema'),
      json_schema: z.strictObject({ name: z.string().max(MAX_NAME_LENGTH), description: z.string().nullish(), schema: schemaObject, strict: z.boolean().nullish() }),
    }),
  ]).nullish(),
  safety_identifier: hint,
  service_tier: only('auto', 'default'),
  store: only(false),
  tools: z.array(tool).max(MAX_TOOLS).nullish(),
  tool_choice: z.union([z.enum(['none', 'auto', 'required']), z.strictObject({ type: z.literal('function'), function: z.strictObject({ name: toolName }) })]).nullish(),
  verbosity: only('medium'),
});

const textSchema = z.strictObject({
  ...shared,
  prompt: z.union([z.string(), z.array(z.string()).length(1)]),
  best_of: only(1),
  echo: z.boolean().nullish(),
  logprobs: z.number().int().min(0).max(MAX_TOP_LOGPROBS).nullish(),
  suffix: only(false, ''),
});

/** A chat completion request from the bytes of a body. Throws ApiError (400). */
export function parseChatRequest(body: Uint8Array): ChatRequest {
  const request = parseBody(chatSchema, body);
  const enableThinking = request.chat_template_kwargs?.enable_thinking;
  return {
    ...sampling(request),
    messages: request.messages.map(messageOf),
    logprobs: logprobsOf(request),
    tools: toolsOf(request),
    form: formOf(request),
    template: {
      ...(enableThinking === undefined ? {} : { enableThinking }),
      ...(request.reasoning_effort ? { reasoningEffort: request.reasoning_effort } : {}),
    },
  };
}

/** A text completion request from the bytes of a body. Throws ApiError (400). */
export function parseTextRequest(body: Uint8Array): TextRequest {
  const request = parseBody(textSchema, body);
  return {
    ...sampling(request),
    prompt: typeof request.prompt === 'string' ? request.prompt : request.prompt.join(''),
    echo: request.echo ?? false,
    logprobs: request.logprobs ?? undefined,
  };
}

const embeddingSchema = z.strictObject({
  model: z.string().min(1).max(MAX_NAME_LENGTH),
  input: z.union([z.string().min(1), z.array(z.string().min(1)).min(1).max(MAX_INPUTS)]),
  encoding_format: z.enum(['float', 'base64']).nullish(),
  dimensions: only(),
  user: hint,
});

/** An embeddings request from the bytes of a body. Throws ApiError (400). */
export function parseEmbeddingRequest(body: Uint8Array): EmbeddingRequest {
  const { model, input, encoding_format: format } = parseBody(embeddingSchema, body);
  return { model, inputs: typeof input === 'string' ? [input] : input, base64: format === 'base64' };
}

type ChatBody = z.infer<typeof chatSchema>;

const textOf = (given: z.infer<typeof content> | null | undefined): string =>
  (typeof given === 'string' ? given : (given ?? []).map((part) => part.text).join(''));

function messageOf(message: ChatBody['messages'][number], index: number): ChatMessage {
  const text = textOf(message.content);
  if (message.role === 'tool') return { role: 'tool', content: text, ...(message.name ? { name: message.name } : {}) };
  if (message.role !== 'assistant') return { role: message.role === 'developer' ? 'system' : message.role, content: text };
  const calls = message.tool_calls ?? [];
  if ((message.content === null || message.content === undefined) && calls.length === 0) {
    const param = `messages.${index}.content`;
    throw badRequest(`invalid value of '${param}' in request: an assistant's message needs content or tool_calls`, { param, code: 'invalid_value' });
  }
  return { role: 'assistant', content: text, ...(message.reasoning_content ? { reasoning: message.reasoning_content } : {}), ...(calls.length > 0 && { toolCalls: calls.map((call) => call.function) }) };
}

function logprobsOf({ logprobs, top_logprobs: top }: ChatBody): number | undefined {
  if (logprobs === true) return top ?? 0;
  if (top === undefined || top === null || top === 0) return undefined;
  throw badRequest('option \'top_logprobs\' in request: needs logprobs', { param: 'top_logprobs', code: 'invalid_value' });
}

function toolsOf({ tools, tool_choice: choice, parallel_tool_calls: parallel, response_format: format }: ChatBody): ChatTools | null {
  const refuse = (param: string, message: string, code = 'invalid_value'): never => {
    throw badRequest(`option '${param}' in request: ${message}`, { param, code });
  };
  const given = tools ?? [];
  if (given.length === 0) return choice === undefined || choice === null || choice === 'none' || choice === 'auto' ? null : refuse('tool_choice', 'needs tools');
  if (choice === 'none') return null;
  const names = given.map((one) => one.function.name);
  if (new Set(names).size < names.length) refuse('tools', 'has two tools of the same name');
  if (format !== undefined && format !== null && format.type !== 'text') refuse('response_format', 'is not supported together with tools by this engine', 'unsupported_value');
  const chosen = typeof choice === 'object' && choice !== null ? { name: choice.function.name } : choice ?? 'auto';
  if (typeof chosen === 'object' && !names.includes(chosen.name)) refuse('tool_choice', 'names a tool that is not among the tools');
  const strict = given.findIndex((one) => one.function.strict === true);
  if (chosen === 'auto' && strict >= 0) refuse(`tools.${strict}.function.strict`, 'only false is supported by this engine while the model may choose', 'unsupported_value');
  return {
    tools: given.map(({ function: { name, description, parameters, strict: exact } }) => ({
      name, ...(description ? { description } : {}), parameters: parameters ?? { type: 'object', properties: {} }, strict: exact ?? false,
    })),
    choice: chosen, parallel: parallel ?? true,
  };
}

function formOf({ response_format: format }: ChatBody): ChatRequest['form'] {
  if (format?.type === 'json_object') return { kind: 'json' };
  return format?.type === 'json_schema' ? { kind: 'schema', schema: format.json_schema.schema } : undefined;
}

function sampling(request: z.infer<z.ZodObject<typeof shared>>): Omit<SamplingRequest, 'logprobs'> {
  const stop = request.stop ?? [];
  return {
    model: request.model,
    stream: request.stream ?? false,
    includeUsage: request.stream_options?.include_usage ?? false,
    maxTokens: request.max_completion_tokens ?? request.max_tokens ?? undefined,
    temperature: request.temperature ?? undefined,
    topP: request.top_p ?? undefined,
    seed: request.seed === undefined || request.seed === null ? undefined : Number(BigInt.asUintN(32, BigInt(request.seed))),
    stop: typeof stop === 'string' ? [stop] : stop,
    frequencyPenalty: request.frequency_penalty ?? 0,
    presencePenalty: request.presence_penalty ?? 0,
    choices: request.n ?? 1,
  };
}
