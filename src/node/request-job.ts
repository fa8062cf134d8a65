// What a request to the node's endpoints asks of the engine: path, method, size, body and model are checked in this order, and
// what the loaded model cannot do is refused by name.
import { badRequest } from '../openai/errors.ts';
import { parseChatRequest, parseEmbeddingRequest, parseTextRequest } from '../openai/requests.ts';
import { chatWriter, textWriter } from '../openai/responses.ts';
import type { EmbeddingRequest, SamplingRequest } from '../openai/requests.ts';
import type { EngineFeatures, EngineInfo, EngineRequest } from './engine.ts';

export interface CompletionJob {
  readonly kind: 'completion';
  readonly sampling: SamplingRequest;
  /** One for each answer that is asked for. */
  readonly requests: readonly EngineRequest[];
  readonly writerFor: typeof chatWriter;
  /** Text that precedes each answer: the prompt of `echo`. */
  readonly prelude: string;
}

export interface EmbeddingJob {
  readonly kind: 'embedding';
  readonly request: EmbeddingRequest;
}

export type Job = CompletionJob | EmbeddingJob;

export interface JobRequest {
  readonly method: string;
  readonly url: string;
  readonly payload: Uint8Array;
}

/** Each piece costs every hop a message, so a fast engine would be slowed down by its own transport; nobody reads faster than this. */
const PIECE_INTERVAL_MS = 20;

const ROUTES: Readonly<Record<string, (payload: Uint8Array, features: EngineFeatures) => Job>> = {
  '/v1/chat/completions': chatJob,
  '/v1/completions': textJob,
  '/v1/embeddings': embeddingJob,
};

/** Throws ApiError. */
export function readJob({ method, url, payload }: JobRequest, info: EngineInfo, maxRequestBytes: number): Job {
  const path = url.split('?', 1)[0] ?? '';
  const route = Object.hasOwn(ROUTES, path) ? ROUTES[path] : undefined;
  if (route === undefined) throw badRequest('path is not one of this server', { status: 404, code: 'unknown_url' });
  if (method !== 'POST') {
    throw badRequest(`method is not allowed for ${path}, expected POST`, { status: 405, code: 'method_not_allowed', headers: { allow: 'POST' } });
  }
  if (payload.byteLength > maxRequestBytes) {
    throw badRequest(`request body has ${payload.byteLength} bytes, expected at most ${maxRequestBytes}`, { status: 413, code: 'request_too_large' });
  }
  const job = route(payload, info.features);
  const asked = job.kind === 'embedding' ? job.request.model : job.sampling.model;
  if (asked !== info.model) {
    throw badRequest(`the model '${asked.slice(0, 100)}' is not served here, expected '${info.model}'`, { status: 404, param: 'model', code: 'model_not_found' });
  }
  return job;
}

function chatJob(payload: Uint8Array, features: EngineFeatures): Job {
  const chat = parseChatRequest(payload);
  refuseUnless(features.noText === null, 'messages', features.noText ?? '');
  const { messages, template, tools, form } = chat;
  if (tools !== null) refuseUnless(features.noTools === null, 'tools', features.noTools ?? '');
  refuseUnless(form === undefined || features.forms, 'response_format', 'the engine cannot hold an answer to a form');
  refuseUnless(chat.logprobs === undefined || features.logprobs, 'logprobs', 'the engine has no probabilities of tokens');
  const prompt = { kind: 'chat', messages, template, ...(tools !== null && { tools }) } as const;
  return { kind: 'completion', sampling: chat, requests: requestsOf(chat, { prompt, form }), writerFor: chatWriter, prelude: '' };
}

function textJob(payload: Uint8Array, features: EngineFeatures): Job {
  const text = parseTextRequest(payload);
  refuseUnless(features.noText === null, 'prompt', features.noText ?? '');
  refuseUnless(text.logprobs === undefined || features.logprobs, 'logprobs', 'the engine has no probabilities of tokens');
  refuseUnless(text.logprobs === undefined || !text.echo, 'logprobs', 'not together with echo');
  return {
    kind: 'completion', sampling: text, requests: requestsOf(text, { prompt: { kind: 'text', text: text.prompt } }), writerFor: textWriter, prelude: text.echo ? text.prompt : '',
  };
}

function embeddingJob(payload: Uint8Array, features: EngineFeatures): Job {
  const request = parseEmbeddingRequest(payload);
  refuseUnless(features.embeddings, 'input', 'the model served here makes no embeddings');
  return { kind: 'embedding', request };
}

/** The engine's requests: seeds of the answers follow one another, so that they differ and can be made again. */
function requestsOf(sampling: SamplingRequest, asked: Pick<EngineRequest, 'prompt' | 'form'>): EngineRequest[] {
  const { choices, maxTokens, temperature, topP, seed, stop, frequencyPenalty, presencePenalty, logprobs } = sampling;
  return Array.from({ length: choices }, (_, index) => ({
    ...asked, maxTokens, temperature, topP, stop, frequencyPenalty, presencePenalty, logprobs, pieceIntervalMs: PIECE_INTERVAL_MS,
    seed: seed === undefined ? undefined : (seed + index) % 2 ** 32,
  }));
}

function refuseUnless(can: boolean, param: string, why: string): void {
  if (!can) throw badRequest(`option '${param}' in request: ${why}`, { param, code: 'unsupported_value' });
}
