// Forms of answers with the real model: JSON by schema, calls of tools, log probabilities, embeddings, shifted contexts. The model
// has no tools of its own, so that its file is copied with another chat template.
import { readFileSync, writeFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Ajv } from 'ajv';
import { getLlama, LlamaGrammar } from 'node-llama-cpp';
import { silentLog } from '../../../src/core/log.ts';
import { grammarOf } from '../../../src/node/engine/answer-grammar.ts';
import { loadLlamaEngine } from '../../../src/node/engine/llama-engine.ts';
import { withChatTemplate } from '../../fakes/gguf-template.ts';
import type { Engine, EngineEvent, EngineRequest, EngineTools } from '../../../src/node/engine.ts';
import type { ToolFormat } from '../../../src/node/engine/tool-format.ts';

const never = new AbortController().signal;
const HERMES = `{% if tools %}<|im_start|>system
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}Answer with <tool_call>{"name": ..., "arguments": ...}</tool_call><|im_end|>
{% endif %}{% for message in messages %}<|im_start|>{{ message.role }}
{{ message.content }}{% for call in message.tool_calls or [] %}<tool_call>
{{ call.function | tojson }}
</tool_call>{% endfor %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}`;

let folder: string;
let engine: Engine;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'cocoon-forms-'));
  const modelPath = join(folder, 'tools.gguf');
  writeFileSync(modelPath, withChatTemplate(readFileSync('models/cocoon-tiny-q8_0.gguf'), HERMES));
  engine = await loadLlamaEngine({
    modelPath, gpu: 'off', contextSize: 512, parallel: 2, threads: 1, log: silentLog, embeddings: true, contextShift: true, kvType: 'q8_0', flashAttention: 'on',
  });
});

afterAll(async () => {
  await engine.close();
  rmSync(folder, { recursive: true });
});

async function ask(request: EngineRequest) {
  const events: EngineEvent[] = [];
  for await (const event of engine.complete(request, never)) events.push(event);
  return {
    text: events.map((event) => (event.type === 'text' ? event.text : '')).join(''),
    calls: events.flatMap((event) => (event.type === 'call' ? [event.call] : [])),
    logprobs: events.flatMap((event) => (event.type === 'text' ? event.logprobs ?? [] : [])),
    reason: events.flatMap((event) => (event.type === 'finish' ? [event.reason] : []))[0],
    usage: events.flatMap((event) => (event.type === 'finish' ? [event.usage] : []))[0],
  };
}

const chat = (content: string, extra: Partial<EngineRequest> = {}, tools?: EngineTools): EngineRequest =>
  ({ prompt: { kind: 'chat', messages: [{ role: 'user', content }], ...(tools !== undefined && { tools }) }, maxTokens: 300, ...extra });

describe('forms', () => {
  const schemas: readonly Readonly<Record<string, unknown>>[] = [
    { type: 'object', properties: { name: { type: 'string', maxLength: 12 }, age: { type: 'integer', minimum: 0 } }, required: ['name', 'age'], additionalProperties: false },
    { type: 'object', properties: { a: { type: 'boolean' }, b: { enum: ['x', 'y "z"', 3, null] }, c: { type: ['null', 'string'], maxLength: 5 } }, required: ['b'] },
    { type: 'array', items: { anyOf: [{ const: 1 }, { type: 'string', format: 'date' }] }, minItems: 2, maxItems: 3 },
    {
      $defs: { node: { type: 'object', properties: { v: { type: 'integer' }, next: { anyOf: [{ type: 'null' }, { $ref: '#/$defs/node' }] } }, required: ['v', 'next'], additionalProperties: false } },
      $ref: '#/$defs/node',
    },
  ];

  it.each(schemas.map((schema, index) => [index, schema] as const))('holds answers to schema %i', async (_, schema) => {
    const valid = new Ajv({ strict: false, formats: { date: /^\d{4}-\d{2}-\d{2}$/ } }).compile(schema);
    let whole = 0;
    for (const seed of [1, 2, 3, 4]) {
      const { text, reason } = await ask(chat('Give me JSON', { form: { kind: 'schema', schema }, temperature: 1, seed }));
      if (reason !== 'stop') continue; // this one came to the limit of tokens
      whole += 1;
      expect([text, valid(JSON.parse(text))]).toEqual([text, true]);
    }
    expect(whole).toBeGreaterThan(0);
  });

  it('holds an answer to a length of more than a hundred', async () => {
    const { text } = await ask(chat('Tell me a story', { form: { kind: 'schema', schema: { type: 'string', minLength: 101, maxLength: 103 } }, temperature: 0 }));
    expect(JSON.parse(text)).toMatch(/^.{101,103}$/su);
  });

  it('holds answers to any JSON object', async () => {
    const { text, reason } = await ask(chat('Tell me a story', { form: { kind: 'json' }, temperature: 1, seed: 5, maxTokens: 480 }));
    if (reason === 'stop') expect(JSON.parse(text)).toBeInstanceOf(Object);
    expect(text).toMatch(/^\{/);
  });

  it('refuses a schema that no grammar can say, by its place', async () => {
    await expect(ask(chat('x', { form: { kind: 'schema', schema: { type: 'object', properties: { a: { type: 'string', pattern: '^a' } } } } }))).rejects.toMatchObject({
      code: 'E_REQUEST', status: 400, param: 'response_format.json_schema.schema.properties.a', reason: 'invalid_schema',
    });
  });
});

describe('tools', () => {
  const look = { name: 'look_up', description: 'Looks <|something up', parameters: { type: 'object', properties: { city: { enum: ['Paris', 'Rome'] } }, required: ['city'] } } as const;
  const other = { name: 'other', parameters: { type: 'object', properties: {} } } as const;

  it('forces a call of a tool, whatever the model would say', async () => {
    const { text, calls, reason } = await ask(chat('hello', { temperature: 1, seed: 3 }, { tools: [look, other], choice: { name: 'look_up' }, parallel: true }));
    expect({ text, reason, names: calls.map(({ name }) => name) }).toEqual({ text: '', reason: 'tools', names: ['look_up'] });
    expect(['Paris', 'Rome']).toContain((JSON.parse(calls[0]?.arguments ?? '') as { city: string }).city);
  });

  it('forces one of the tools, and one call where only one is allowed', async () => {
    const { calls, reason } = await ask(chat('hello', { temperature: 1, seed: 4 }, { tools: [look, other], choice: 'required', parallel: false }));
    expect(reason).toBe('tools');
    expect(calls).toHaveLength(1);
  });

  it('leaves the model its choice, and renders calls and answers of tools', async () => {
    const tools: EngineTools = { tools: [look], choice: 'auto', parallel: true };
    const { text, reason } = await ask({
      prompt: {
        kind: 'chat', tools,
        messages: [
          { role: 'user', content: 'What is the capital of France?' },
          { role: 'assistant', content: '', toolCalls: [{ name: 'look_up', arguments: '{"city":"Paris"}' }] },
          { role: 'tool', content: 'Paris' },
          { role: 'user', content: 'What is the capital of France?' },
        ],
      },
      temperature: 0, maxTokens: 40,
    });
    expect(text.length).toBeGreaterThan(0);
    expect(['stop', 'length']).toContain(reason);
  });

  it('refuses tools that spell a special token of the model', async () => {
    const spoof = { ...other, description: '<|im_end|>' };
    await expect(ask(chat('x', {}, { tools: [spoof], choice: 'auto', parallel: true }))).rejects.toMatchObject({ code: 'E_REQUEST', param: 'tools' });
  });
});

describe('grammars', () => {
  const tools = [{ name: 'f', parameters: { type: 'object', required: ['a'], properties: { a: { type: 'string' }, b: { type: 'array', items: { type: 'integer' }, minItems: 150, maxItems: 9_999 }, c: { enum: ['x', 'y'] } } } }];

  it('are read by llama.cpp, for every way of calling tools and for long counts', async () => {
    const llama = await getLlama({ build: 'never', gpu: false, maxThreads: 1, progressLogs: false });
    const readable = (request: EngineRequest, format: ToolFormat | null): void => {
      expect(() => new LlamaGrammar(llama, { grammar: grammarOf(request, format) ?? '' })).not.toThrow();
    };
    for (const format of ['hermes', 'elements', 'mistral', 'mistral-args', 'llama3'] as const) {
      readable({ prompt: { kind: 'chat', messages: [], tools: { tools, choice: 'required', parallel: true } } }, format);
    }
    for (const [minLength, maxLength] of [[0, 2_000], [0, 10_000], [1_999, 2_001], [10_000, 10_000]]) readable({ prompt: { kind: 'text', text: '' }, form: { kind: 'schema', schema: { type: 'string', minLength, maxLength } } }, null);
    await llama.dispose();
  });
});

describe('log probabilities', () => {
  it('names the likeliest tokens, whatever the temperature', async () => {
    const { logprobs, usage, text } = await ask(chat('What is the capital of France?', { temperature: 0, logprobs: 3 }));
    expect(logprobs).toHaveLength(usage?.completionTokens ?? 0);
    expect(logprobs.map(({ token }) => token).join('')).toBe(text);
    for (const { token, logprob, top } of logprobs) {
      expect(top).toHaveLength(3);
      expect(top[0]).toEqual({ token, logprob });
      expect(top.reduce((sum, each) => sum + Math.exp(each.logprob), 0)).toBeLessThanOrEqual(1.0001);
    }
    const hot = await ask(chat('What is the capital of France?', { temperature: 2, seed: 1, logprobs: 1, maxTokens: 1 }));
    expect(hot.logprobs[0]?.top[0]?.logprob).toBeCloseTo(logprobs[0]?.logprob ?? 0, 3);
  });
});

describe('embeddings', () => {
  it('gives vectors of unit length, alike for texts that are alike', async () => {
    const { vectors, promptTokens } = await engine.embed(['the cat sits', 'the cat sits', 'payments are in TON'], never);
    const [a = [], b = [], c = []] = vectors;
    const dot = (x: readonly number[], y: readonly number[]): number => x.reduce((sum, value, index) => sum + value * (y[index] ?? 0), 0);
    expect(dot(a, a)).toBeCloseTo(1, 5);
    expect(dot(a, b)).toBeCloseTo(1, 5);
    expect(dot(a, c)).toBeLessThan(0.999);
    expect(promptTokens).toBeGreaterThan(5);
    await expect(engine.embed(['word '.repeat(2_000)], never)).rejects.toMatchObject({ code: 'E_CONTEXT_LENGTH' });
  });
});

describe('a full context', () => {
  it('forgets its older half and goes on, where that was asked for', async () => {
    const { reason, usage } = await ask({ prompt: { kind: 'text', text: '1 2 3 4 5' }, temperature: 0, frequencyPenalty: -2, presencePenalty: -2, maxTokens: 900 });
    expect({ reason, tokens: usage?.completionTokens }).toEqual({ reason: 'length', tokens: 900 });
    expect(engine.info()).toMatchObject({ kvType: 'q8_0', flashAttention: 'on', features: { noTools: null, embeddings: true } });
  });
});
