// Requests of POST /v1/chat/completions and /v1/completions: the members that the network's white list allows
// (WIRE.md section 18.3, WIRE-2026-04.md section 9.3), as far as the engine honours them. Every other member, at any
// depth, and every value that would be ignored is refused by name: an answer never silently differs from its request.
import { z } from 'zod';
import { parseBody } from './shape.ts';

export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
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
}

export interface ChatRequest extends SamplingRequest {
  readonly messages: readonly ChatMessage[];
  /** Variables for the model's chat template. */
  readonly template: { readonly enableThinking?: boolean; readonly reasoningEffort?: string };
}

export interface TextRequest extends SamplingRequest {
  readonly prompt: string;
  /** True when the answer shall begin with the prompt. */
  readonly echo: boolean;
}

const MAX_MESSAGES = 4096;
const MAX_PARTS = 1024;
const MAX_STOPS = 16;
const MAX_STOP_LENGTH = 256;
const MAX_NAME_LENGTH = 512;

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
  n: only(1),
  seed: z.number().refine((value) => Number.isInteger(value), { error: 'expected a whole number' }).nullish(),
  stop: z.union([stopText, z.array(stopText).max(MAX_STOPS)]).nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.strictObject({ include_usage: z.boolean().nullish(), include_obfuscation: only(false) }).nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  user: hint,
  skip_special_tokens: only(true),
};

const chatSchema = z.strictObject({
  ...shared,
  messages: z.array(z.discriminatedUnion('role', [
    z.strictObject({ role: z.enum(['system', 'developer', 'user']), content, name: hint }),
    // an answer of ours can be sent back as it came, with its "refusal": null
    z.strictObject({ role: z.literal('assistant'), content, name: hint, refusal: z.null().optional() }),
  ])).min(1).max(MAX_MESSAGES),
  chat_template_kwargs: z.strictObject({ enable_thinking: z.boolean().optional() }).nullish(),
  reasoning_effort: z.enum(['none', 'minimal', 'low', 'medium', 'high', 'xhigh']).nullish(),
  logprobs: only(false),
  top_logprobs: only(0),
  modalities: z.array(only('text')).nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  prediction: z.strictObject({ type: z.literal('content'), content }).nullish(),
  prompt_cache_key: hint,
  response_format: z.strictObject({ type: only('text') }).nullish(),
  safety_identifier: hint,
  service_tier: only('auto', 'default'),
  store: only(false),
  verbosity: only('medium'),
});

const textSchema = z.strictObject({
  ...shared,
  prompt: z.union([z.string(), z.array(z.string()).length(1)]),
  best_of: only(1),
  echo: z.boolean().nullish(),
  logprobs: only(),
  suffix: only(false, ''),
});

/** A chat completion request from the bytes of a body. Throws ApiError (400). */
export function parseChatRequest(body: Uint8Array): ChatRequest {
  const request = parseBody(chatSchema, body);
  const enableThinking = request.chat_template_kwargs?.enable_thinking;
  return {
    ...sampling(request),
    messages: request.messages.map((message) => ({
      role: message.role === 'developer' ? 'system' : message.role,
      content: typeof message.content === 'string' ? message.content : message.content.map((part) => part.text).join(''),
    })),
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
  };
}

function sampling(request: z.infer<z.ZodObject<typeof shared>>): SamplingRequest {
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
  };
}
