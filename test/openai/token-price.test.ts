// WIRE.md section 12, with the vectors made by the network's own programs.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { UNIT_MULTIPLIERS, adjustTokens, tokensUsed } from '../../src/openai/token-price.ts';
import { NO_USAGE, maxUsage, readUsage } from '../../src/openai/usage.ts';

interface Vectors {
  adjust_tokens: { tokens: number; coefficient: number; mult: number; result: number }[];
  usage_cases: { in: string; coef_prompt_cached_completion_reasoning_mult: [number, number, number, number, number]; usage: number[] }[];
  stream_cases: { steps: { in: string }[]; total: number }[];
}

const vectors = JSON.parse(readFileSync('test/vectors/wire/tokens/tokens.json', 'utf8')) as Vectors;

describe('adjustTokens', () => {
  it.each(vectors.adjust_tokens)('$tokens × $coefficient × $mult = $result', ({ tokens, coefficient, mult, result }) => {
    expect(adjustTokens(tokens, coefficient, mult)).toBe(BigInt(result));
  });

  it.each([[-1, 1000, 10_000], [1.5, 1000, 10_000], [1, Number.NaN, 10_000], [1, 1000, 2 ** 60]])('refuses %d × %d × %d', (...args) => {
    expect(() => adjustTokens(...args)).toThrow(expect.objectContaining({ code: 'E_CONFIG' }));
  });
});

describe('tokensUsed', () => {
  it.each(vectors.usage_cases)('reproduces $usage', ({ in: body, coef_prompt_cached_completion_reasoning_mult: numbers, usage }) => {
    const [coefficient, prompt, cached, completion, reasoning] = numbers;
    const counts = readUsage(JSON.parse(body)) ?? NO_USAGE;
    const used = tokensUsed(counts, coefficient, { prompt, cached, completion, reasoning });
    expect([used.prompt, used.cached, used.completion, used.reasoning, used.total].map(Number)).toEqual(usage);
  });

  it('takes the last seen maximum of each count', () => {
    const stream = vectors.stream_cases.find(({ total }) => total > 0);
    const counts = (stream?.steps ?? []).map(({ in: line }) => readUsage(JSON.parse(line)) ?? NO_USAGE).reduce(maxUsage, NO_USAGE);
    expect(tokensUsed(counts, 1000, UNIT_MULTIPLIERS).total).toBe(BigInt(stream?.total ?? -1));
  });

  it.each([
    [{ promptTokens: 1, cachedTokens: 2, completionTokens: 0, reasoningTokens: 0 }],
    [{ promptTokens: 1, cachedTokens: 0, completionTokens: 1, reasoningTokens: 2 }],
    [{ promptTokens: -1, cachedTokens: 0, completionTokens: 0, reasoningTokens: 0 }],
  ])('refuses counts that contradict each other: %j', (counts) => {
    expect(() => tokensUsed(counts, 1000, UNIT_MULTIPLIERS)).toThrow(expect.objectContaining({ code: 'E_PROTOCOL' }));
  });
});

describe('readUsage', () => {
  it('returns null without usage', () => {
    for (const value of [{}, { usage: null }, 123, null, 'text', []]) expect(readUsage(value)).toBeNull();
  });

  it('takes reasoning tokens from either place', () => {
    expect(readUsage({ usage: { completion_tokens: 9, reasoning_tokens: 4 } })?.reasoningTokens).toBe(4);
    expect(readUsage({ usage: { completion_tokens: 9, completion_tokens_details: { reasoning_tokens: 5 } } })?.reasoningTokens).toBe(5);
  });

  it.each([[{ usage: 7 }], [{ usage: { prompt_tokens: '7' } }], [{ usage: { prompt_tokens: -7 } }], [{ usage: { completion_tokens: 1.5 } }]])('refuses %j', (value) => {
    expect(() => readUsage(value)).toThrow(expect.objectContaining({ code: 'E_PROTOCOL' }));
  });
});
