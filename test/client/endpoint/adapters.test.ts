// LangChain's and the Vercel AI SDK's adapters for OpenAI, unchanged but for base URL and key: chat, streaming, tools, objects, errors.
import { afterEach, describe, expect, it } from '@jest/globals';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { HumanMessage } from '@langchain/core/messages';
import { ChatOpenAI, OpenAIEmbeddings } from '@langchain/openai';
import { embedMany, generateText, jsonSchema, Output, streamText, tool } from 'ai';
import { NetworkError } from '../../../src/core/errors.ts';
import { scriptedNode } from '../../fakes/scripted-node.ts';
import { scriptedProxies } from '../../fakes/scripted-proxies.ts';
import { startEndpoint } from './world.ts';
import type { ScriptedNodeOptions } from '../../fakes/scripted-node.ts';
import type { TestEndpoint } from './world.ts';

const opened: TestEndpoint[] = [];

afterEach(async () => {
  for (const each of opened.splice(0)) await each.close();
});

async function open(node: ScriptedNodeOptions = {}): Promise<string> {
  const endpoint = await startEndpoint(scriptedProxies({ script: scriptedNode(node) }));
  opened.push(endpoint);
  return `${endpoint.url}/v1`;
}

const CITY = { type: 'object' as const, properties: { city: { type: 'string' as const } }, required: ['city'], additionalProperties: false as const };
const breakAt = (_request: unknown, piece: number): Error | null => (piece === 2 ? new NetworkError('E_TIMEOUT', 'no time left') : null);

describe('LangChain', () => {
  const chat = (baseURL: string): ChatOpenAI => new ChatOpenAI({ model: 'scripted', apiKey: 'any', configuration: { baseURL }, maxRetries: 0 });

  it('invoke: an answer with its usage', async () => {
    const answer = await chat(await open()).invoke([new HumanMessage('say hello')]);
    const { usage_metadata: usage } = answer as unknown as { usage_metadata?: Record<string, unknown> };
    expect([answer.content, usage?.['output_tokens']]).toEqual(['Hello there.', 3]);
  });

  it('stream: the answer in pieces', async () => {
    const pieces: string[] = [];
    for await (const chunk of await chat(await open()).stream('say hello')) if (typeof chunk.content === 'string' && chunk.content !== '') pieces.push(chunk.content);
    expect(pieces).toEqual(['Hello', ' there', '.']);
  });

  it('bindTools: a call', async () => {
    const model = chat(await open()).bindTools([{ type: 'function', function: { name: 'weather', description: 'weather', parameters: CITY } }]);
    expect((await model.invoke('weather?')).tool_calls).toMatchObject([{ name: 'weather', args: { city: 'Paris' } }]);
  });

  it('stream: what breaks off is an error', async () => {
    const model = chat(await open({ breakAt }));
    await expect((async () => {
      for await (const _chunk of await model.stream('say hello'));
    })()).rejects.toThrow(/no time left/);
  });

  it('useResponsesApi: an answer through /v1/responses', async () => {
    const model = new ChatOpenAI({ model: 'scripted', apiKey: 'any', configuration: { baseURL: await open() }, maxRetries: 0, useResponsesApi: true });
    expect((await model.invoke('say hello')).text).toBe('Hello there.');
  });

  it('embedDocuments: vectors', async () => {
    const model = new OpenAIEmbeddings({ model: 'scripted', apiKey: 'any', configuration: { baseURL: await open() }, maxRetries: 0 });
    expect((await model.embedDocuments(['a', 'b'])).length).toBe(2);
  });
});

describe('Vercel AI SDK', () => {
  const provider = (baseURL: string): ReturnType<typeof createOpenAICompatible> => createOpenAICompatible({ name: 'cocoon', baseURL, apiKey: 'any', includeUsage: true, supportsStructuredOutputs: true });

  it('generateText: an answer with its usage', async () => {
    const { text, usage } = await generateText({ model: provider(await open())('scripted'), prompt: 'say hello', maxRetries: 0 });
    expect([text, usage.outputTokens]).toEqual(['Hello there.', 3]);
  });

  it('streamText: the answer in pieces, its usage and its reason', async () => {
    const result = streamText({ model: provider(await open())('scripted'), prompt: 'say hello', maxRetries: 0 });
    const pieces: string[] = [];
    for await (const piece of result.textStream) pieces.push(piece);
    expect([pieces, (await result.usage).outputTokens, await result.finishReason]).toEqual([['Hello', ' there', '.'], 3, 'stop']);
  });

  it('generateText: a tool is called and its result answered', async () => {
    const { text, steps } = await generateText({
      model: provider(await open())('scripted'), prompt: 'weather?', maxRetries: 0, stopWhen: ({ steps: done }) => done.length === 2,
      tools: { weather: tool({ inputSchema: jsonSchema<{ city: string }>(CITY), execute: async ({ city }) => `12 degrees in ${city}` }) },
    });
    expect([text, steps[0]?.toolResults[0]?.output]).toEqual(['Hello there.', '12 degrees in Paris']);
  });

  it('generateText with an object: JSON by schema', async () => {
    const { output } = await generateText({
      model: provider(await open())('scripted'), prompt: 'x', maxRetries: 0, output: Output.object({ schema: jsonSchema<{ answer: number }>({ type: 'object', properties: { answer: { type: 'integer' } }, required: ['answer'], additionalProperties: false }) }),
    });
    expect(output).toEqual({ answer: 42 });
  });

  it('streamText: what breaks off is an error', async () => {
    const errors: unknown[] = [];
    const result = streamText({ model: provider(await open({ breakAt }))('scripted'), prompt: 'say hello', maxRetries: 0, onError: ({ error }) => { errors.push(error); } });
    const kinds: string[] = [];
    await (async () => {
      for await (const part of result.fullStream) kinds.push(part.type);
    })().catch((error: unknown) => { errors.push(error); });
    expect(errors.length).toBeGreaterThan(0);
    expect(kinds).not.toContain('finish');
  });

  it('embedMany: vectors', async () => {
    const { embeddings } = await embedMany({ model: provider(await open()).textEmbeddingModel('scripted'), values: ['a', 'b'], maxRetries: 0 });
    expect(embeddings).toEqual([[0.25, -0.5, 0.75], [0.25, -0.5, 0.75]]);
  });
});
