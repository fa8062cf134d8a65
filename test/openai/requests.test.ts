// The white list of WIRE.md section 18.3: what is taken, and that everything else is refused by name.
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ApiError } from '../../src/openai/errors.ts';
import { parseChatRequest, parseEmbeddingRequest, parseTextRequest } from '../../src/openai/requests.ts';

const bytes = (value: unknown): Uint8Array => new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value));
const chat = (extra: object = {}) => parseChatRequest(bytes({ model: 'm', messages: [{ role: 'user', content: 'hi' }], ...extra }));
const text = (extra: object = {}) => parseTextRequest(bytes({ model: 'm', prompt: 'hi', ...extra }));

function refusal(run: () => unknown): { status: number; param: string | null; code: string | null; message: string; protocolCode: number } {
  try {
    run();
  } catch (error) {
    if (error instanceof ApiError) {
      const { param, code, message } = error.toBody().error;
      return { status: error.status, param, code, message, protocolCode: error.protocolCode };
    }
    throw error;
  }
  throw new Error('was not refused');
}

const tool = { type: 'function', function: { name: 'look', description: 'looks' } };

describe('parseChatRequest', () => {
  it('fills in defaults', () => {
    expect(chat()).toEqual({
      model: 'm', messages: [{ role: 'user', content: 'hi' }], template: {}, stream: false, includeUsage: false, maxTokens: undefined,
      temperature: undefined, topP: undefined, seed: undefined, stop: [], frequencyPenalty: 0, presencePenalty: 0,
      choices: 1, logprobs: undefined, tools: null, form: undefined,
    });
  });

  it('takes every member of the white list that the engine honours', () => {
    expect(chat({
      frequency_penalty: -2, presence_penalty: 2, max_tokens: 7, n: 1, seed: 5, stop: ['a', 'b'], stream: true, temperature: 0, top_p: 0.5,
      stream_options: { include_usage: true, include_obfuscation: false }, user: 'u', logprobs: false, top_logprobs: 0, parallel_tool_calls: true,
      prediction: { type: 'content', content: 'x' }, reasoning_effort: 'low', response_format: { type: 'text' }, verbosity: 'medium',
      chat_template_kwargs: { enable_thinking: false }, store: false, service_tier: 'auto', modalities: ['text'], skip_special_tokens: true,
      safety_identifier: 's', prompt_cache_key: 'k',
    })).toMatchObject({
      frequencyPenalty: -2, presencePenalty: 2, maxTokens: 7, seed: 5, stop: ['a', 'b'], stream: true, includeUsage: true, temperature: 0, topP: 0.5,
      template: { enableThinking: false, reasoningEffort: 'low' },
    });
  });

  it('lets max_completion_tokens win over max_tokens', () => {
    expect(chat({ max_tokens: 9, max_completion_tokens: 3 }).maxTokens).toBe(3);
  });

  it('takes null for what is optional, as client libraries send it', () => {
    expect(chat({ temperature: null, stop: null, n: null, seed: null, stream: null, stream_options: null, max_tokens: null, logprobs: null }).stop).toEqual([]);
  });

  it('joins text parts and calls a developer system', () => {
    const request = parseChatRequest(bytes({
      model: 'm',
      messages: [
        { role: 'developer', content: 'be brief' },
        { role: 'user', content: [{ type: 'text', text: 'a' }, { type: 'text', text: 'b' }], name: 'n' },
        { role: 'assistant', content: 'c', refusal: null },
      ],
    }));
    expect(request.messages).toEqual([{ role: 'system', content: 'be brief' }, { role: 'user', content: 'ab' }, { role: 'assistant', content: 'c' }]);
  });

  it('takes a seed of 64 bits modulo 2^32', () => {
    expect(chat({ seed: 2 ** 40 + 3 }).seed).toBe(3);
    expect(chat({ seed: -1 }).seed).toBe(2 ** 32 - 1);
  });

  it.each([
    ['tools.0.function.code', { tools: [{ type: 'function', function: { name: 'f', code: 1 } }] }],
    ['response_format.json_schema.what', { response_format: { type: 'json_schema', json_schema: { name: 'n', schema: {}, what: 1 } } }],
    ['logit_bias', { logit_bias: {} }],
    ['top_k', { top_k: 1 }],
    ['metadata', { metadata: {} }],
    ['stream_options.what', { stream_options: { what: 1 } }],
    ['chat_template_kwargs.what', { chat_template_kwargs: { what: 1 } }],
    ['messages.0.tool_calls', { messages: [{ role: 'user', content: 'x', tool_calls: [] }] }],
    ['messages.0.content.1.cache', { messages: [{ role: 'user', content: [{ type: 'text', text: 'a' }, { type: 'text', text: 'a', cache: 1 }] }] }],
    ['prediction.content.0.x', { prediction: { type: 'content', content: [{ type: 'text', text: 'a', x: 1 }] } }],
  ])('refuses the unknown member %s by name', (param, extra) => {
    expect(refusal(() => chat(extra))).toEqual({ status: 400, param, code: 'unknown_parameter', protocolCode: 621, message: `unknown option '${param}' in request` });
  });

  it('refuses a member called __proto__', () => {
    expect(refusal(() => parseChatRequest(bytes('{"model":"m","messages":[{"role":"user","content":"x"}],"__proto__":{"stream":true}}'))).param).toBe('__proto__');
  });

  it.each([
    ['store', { store: true }, 'only false is supported by this engine'],
    ['stream_options.include_obfuscation', { stream_options: { include_obfuscation: true } }, 'only false is supported by this engine'],
    ['modalities.1', { modalities: ['text', 'audio'] }, 'only "text" is supported by this engine'],
  ])('refuses a value of %s that it cannot honour', (param, extra, message) => {
    expect(refusal(() => chat(extra))).toEqual({ status: 400, param, code: 'unsupported_value', protocolCode: 621, message: `option '${param}' in request: ${message}` });
  });

  it.each([
    ['temperature', { temperature: 2.1 }],
    ['temperature', { temperature: '1' }],
    ['top_p', { top_p: -0.1 }],
    ['max_tokens', { max_tokens: 0 }],
    ['max_completion_tokens', { max_completion_tokens: 1.5 }],
    ['frequency_penalty', { frequency_penalty: 3 }],
    ['seed', { seed: 0.5 }],
    ['stop', { stop: '' }],
    ['stop', { stop: 7 }],
    ['stop.1', { stop: ['a', 7] }],
    ['stop', { stop: Array.from({ length: 17 }, () => 'x') }],
    ['stop.0', { stop: ['\u{D800}'] }],
    ['stream', { stream: 'yes' }],
    ['messages', { messages: [] }],
    ['messages.0.role', { messages: [{ role: 'robot', content: 'x' }] }],
    ['messages.0.tool_call_id', { messages: [{ role: 'tool', content: 'x' }] }],
    ['n', { n: 17 }],
    ['top_logprobs', { logprobs: true, top_logprobs: 21 }],
    ['top_logprobs', { top_logprobs: 2 }],
    ['tools.0.function.name', { tools: [{ type: 'function', function: { name: 'a b' } }] }],
    ['tools', { tools: [tool, tool] }],
    ['tool_choice', { tool_choice: 'required' }],
    ['tool_choice', { tools: [tool], tool_choice: { type: 'function', function: { name: 'other' } } }],
    ['response_format.type', { response_format: { type: 'yaml' } }],
    ['messages.0.content', { messages: [{ role: 'assistant', content: null }] }],
    ['messages.0.content.0.type', { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'data:' } }] }] }],
    ['model', { model: '' }],
    ['reasoning_effort', { reasoning_effort: 'huge' }],
  ])('refuses a wrong value of %s', (param, extra) => {
    expect(refusal(() => chat(extra))).toMatchObject({ status: 400, param, code: 'invalid_value', protocolCode: 621 });
  });

  it('takes tools, calls and their answers', () => {
    const messages = [
      { role: 'user', content: 'weather?' },
      { role: 'assistant', content: null, tool_calls: [{ id: 'c1', type: 'function', function: { name: 'look', arguments: '{"a":1}' } }] },
      { role: 'tool', tool_call_id: 'c1', content: 'sunny' },
    ];
    expect(chat({ messages, tools: [tool], tool_choice: { type: 'function', function: { name: 'look' } }, parallel_tool_calls: false })).toMatchObject({
      messages: [{ role: 'user', content: 'weather?' }, { role: 'assistant', content: '', toolCalls: [{ name: 'look', arguments: '{"a":1}' }] }, { role: 'tool', content: 'sunny' }],
      tools: { tools: [{ name: 'look', description: 'looks', parameters: { type: 'object', properties: {} }, strict: false }], choice: { name: 'look' }, parallel: false },
    });
    expect(chat({ tools: [tool], tool_choice: 'none' }).tools).toBeNull();
    expect(chat({ tools: [] }).tools).toBeNull();
  });

  it('refuses tools with promises that it cannot keep', () => {
    const strict = { type: 'function', function: { name: 'look', strict: true } };
    expect(refusal(() => chat({ tools: [strict] }))).toMatchObject({ param: 'tools.0.function.strict', code: 'unsupported_value' });
    expect(chat({ tools: [strict], tool_choice: 'required' }).tools?.tools[0]?.strict).toBe(true);
    expect(refusal(() => chat({ tools: [tool], response_format: { type: 'json_object' } }))).toMatchObject({ param: 'response_format', code: 'unsupported_value' });
  });

  it('takes forms of the answer, several answers and log probabilities', () => {
    expect(chat({ response_format: { type: 'json_object' } }).form).toEqual({ kind: 'json' });
    expect(chat({ response_format: { type: 'json_schema', json_schema: { name: 'n', strict: true, schema: { type: 'object' } } } }).form).toEqual({ kind: 'schema', schema: { type: 'object' } });
    expect(chat({ n: 3, logprobs: true, top_logprobs: 5 })).toMatchObject({ choices: 3, logprobs: 5 });
    expect(chat({ logprobs: true }).logprobs).toBe(0);
  });

  it('says nothing of the prompt when the body is not JSON', () => {
    const { message, code } = refusal(() => parseChatRequest(bytes('{"messages": secret words')));
    expect({ message, code }).toEqual({ message: 'request body is not valid JSON in UTF-8', code: 'invalid_json' });
    expect(refusal(() => parseChatRequest(Uint8Array.of(0x22, 0xff, 0x22))).code).toBe('invalid_json');
    expect(refusal(() => parseChatRequest(bytes('7'))).code).toBe('invalid_value');
  });

  it('throws nothing but ApiError, with a short message, on any JSON', () => {
    fc.assert(fc.property(fc.json({ maxDepth: 4 }), fc.constantFrom(parseChatRequest, parseTextRequest, parseEmbeddingRequest), (json, parse) => {
      expect(refusal(() => parse(bytes(json))).message.length).toBeLessThan(600);
    }));
  });
});

describe('parseTextRequest', () => {
  it('takes a prompt, alone or in a list', () => {
    expect(text({ echo: true, best_of: 1, suffix: null, logprobs: null, max_tokens: 2 })).toMatchObject({ prompt: 'hi', echo: true, maxTokens: 2 });
    expect(text({ prompt: ['one'] }).prompt).toBe('one');
  });

  it.each([
    ['prompt', { prompt: ['a', 'b'] }],
    ['prompt.0', { prompt: [1] }],
    ['best_of', { best_of: 2 }],
    ['suffix', { suffix: 'x' }],
    ['messages', { messages: [] }],
  ])('refuses %s', (param, extra) => {
    expect(refusal(() => text(extra))).toMatchObject({ status: 400, param });
  });
});
