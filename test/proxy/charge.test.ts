// What is booked of a node's report: never more than was put aside, than its parts, than the answer allows.
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { UNIT_MULTIPLIERS, tokensUsed } from '../../src/openai/token-price.ts';
import { NO_TOKENS } from '../../src/wire/answer.ts';
import { billFor, boundedTokens } from '../../src/proxy/charge.ts';
import { Relayed } from '../../src/proxy/relayed.ts';
import type { Delivered, Terms } from '../../src/proxy/charge.ts';
import type { TokensUsed } from '../../src/wire/answer.ts';

const TERMS: Terms = { reserved: 10_000n, coefficient: 1_000, multipliers: UNIT_MULTIPLIERS, maxTokens: 100, bodyBytes: 50 };
const DELIVERED: Delivered = { bytes: 1_000, texts: 5, usage: null, complete: true };
const report = (parts: Partial<TokensUsed>, total?: bigint): TokensUsed => {
  const kinds = { prompt: 0n, cached: 0n, completion: 0n, reasoning: 0n, ...parts };
  return { ...kinds, total: total ?? kinds.prompt + kinds.cached + kinds.completion + kinds.reasoning };
};
const usage = (promptTokens: number, completionTokens: number) => ({ promptTokens, cachedTokens: 0, completionTokens, reasoningTokens: 0 });

describe('billFor', () => {
  it('an honest report is booked as it is', () => {
    const honest = report({ prompt: 20n, cached: 4n, completion: 30n, reasoning: 2n });
    expect(billFor(honest, DELIVERED, TERMS)).toEqual({ tokens: honest, impossible: null });
    expect(billFor(report({ prompt: 20n, completion: 30n }), { ...DELIVERED, usage: usage(20, 30) }, TERMS).impossible).toBeNull();
  });

  it('nothing delivered costs nothing, whatever is reported', () => {
    expect(billFor(report({ completion: 90n }), { ...DELIVERED, bytes: 0 }, TERMS)).toEqual({ tokens: NO_TOKENS, impossible: null });
  });

  it.each<[string, TokensUsed, Partial<Delivered>, Partial<Terms>, bigint, RegExp]>([
    ['more than the reservation', report({ prompt: 60n, completion: 50n }), {}, { reserved: 70n }, 70n, /reserved were 70/],
    ['a total above its parts', report({ completion: 10n }, 500n), {}, {}, 10n, /its parts are 10/],
    ['a total below its parts', report({ completion: 10n }, 3n), {}, {}, 3n, /its parts are 10/],
    ['more prompt than the request has bytes', report({ prompt: 2_000n }), {}, {}, 1_074n, /prompt tokens are 2000, at most 1074/],
    ['more cached prompt than the request has bytes', report({ cached: 2_000n }), {}, {}, 1_074n, /cached tokens/],
    ['more completion than the limit', report({ completion: 101n }), {}, {}, 100n, /completion tokens are 101, at most 100/],
    ['more completion than bytes were relayed', report({ completion: 90n }), { bytes: 10 }, {}, 74n, /at most 74/],
    ['more reasoning than the limit', report({ reasoning: 101n }), {}, {}, 100n, /reasoning tokens/],
    ['more than the answer itself shows', report({ prompt: 40n, completion: 40n }), { usage: usage(20, 30) }, {}, 50n, /itself shows 50/],
    ['a price that makes every token free', report({ completion: 1n }), {}, { coefficient: 0 }, 0n, /at most 0/],
  ])('%s is cut, and flagged', (_, reported, delivered, terms, total, why) => {
    const bill = billFor(reported, { ...DELIVERED, ...delivered }, { ...TERMS, ...terms });
    expect(bill.tokens.total).toBe(total);
    expect(bill.impossible).toMatch(why);
  });

  it('less than the answer shows is the node\'s to give', () => {
    expect(billFor(report({ completion: 3n }), { ...DELIVERED, usage: usage(20, 30) }, TERMS)).toEqual({ tokens: report({ completion: 3n }), impossible: null });
  });

  it('an answer that was cut short: what was generated and not passed on is no lie, but is not booked either', () => {
    expect(billFor(report({ completion: 90n }), { ...DELIVERED, bytes: 10, complete: false }, TERMS)).toEqual({ tokens: report({ completion: 74n }), impossible: null });
  });

  it('a node that left without a report is paid what is certain: the usage shown, else a token for each text', () => {
    expect(billFor(null, { ...DELIVERED, complete: false }, TERMS).tokens).toEqual(report({ completion: 5n }));
    expect(billFor(null, { ...DELIVERED, complete: false, usage: usage(20, 30) }, TERMS).tokens).toEqual(report({ prompt: 20n, completion: 30n }));
    expect(billFor(null, { ...DELIVERED, complete: false }, { ...TERMS, reserved: 2n }).tokens.total).toBe(2n);
  });

  it('prices and multipliers are those of the protocol, so that honest reports pass to the token', () => {
    const count = fc.integer({ min: 0, max: 1_000 });
    const multiplier = fc.integer({ min: 1, max: 50_000 });
    fc.assert(fc.property(count, count, count, count, fc.integer({ min: 1, max: 10_000 }), multiplier, multiplier, multiplier, multiplier, (a, b, c, d, coefficient, prompt, cached, completion, reasoning) => {
      const counts = { promptTokens: Math.max(a, b), cachedTokens: Math.min(a, b), completionTokens: c + d, reasoningTokens: d };
      const multipliers = { prompt, cached, completion, reasoning };
      const honest = tokensUsed(counts, coefficient, multipliers);
      const terms = { reserved: honest.total, coefficient, multipliers, maxTokens: 2_000, bodyBytes: 1_000 };
      expect(billFor(honest, { bytes: 4_000, texts: 1, usage: counts, complete: true }, terms)).toEqual({ tokens: honest, impossible: null });
    }));
  });

  it('never more than reserved, and the total is always the sum', () => {
    const tokens = fc.bigInt({ min: 0n, max: 2n ** 63n - 1n });
    fc.assert(fc.property(tokens, tokens, tokens, tokens, tokens, fc.bigInt({ min: 0n, max: 5_000n }), fc.nat(3_000), (prompt, cached, completion, reasoning, total, reserved, bytes) => {
      const { tokens: booked } = billFor({ prompt, cached, completion, reasoning, total }, { ...DELIVERED, bytes }, { ...TERMS, reserved });
      expect(booked.total).toBe(booked.prompt + booked.cached + booked.completion + booked.reasoning);
      expect(booked.total <= reserved && booked.total <= total).toBe(true);
    }));
  });

  it('boundedTokens: each kind takes of what the kinds before it left', () => {
    const parts = { prompt: 5n, cached: 1n, completion: 8n, reasoning: 2n };
    expect(boundedTokens({ ...parts, total: 16n }, 100n)).toEqual({ ...parts, total: 16n });
    expect(boundedTokens({ ...parts, total: 16n }, 10n)).toEqual({ prompt: 5n, cached: 1n, completion: 4n, reasoning: 0n, total: 10n });
    expect(boundedTokens({ ...parts, total: 3n }, 100n).total).toBe(3n);
  });
});

describe('Relayed', () => {
  const relayed = (...parts: readonly string[]): Relayed => {
    const seen = new Relayed();
    for (const part of parts) seen.add(Buffer.from(part));
    return seen;
  };
  const USAGE = '"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10,"prompt_tokens_details":{"cached_tokens":2}}';
  const COUNTS = { promptTokens: 7, cachedTokens: 2, completionTokens: 3, reasoningTokens: 0 };

  it('counts bytes and texts that are not empty', () => {
    const parts = ['data: {"delta":{"role":"assistant","content":""}}\n\n', 'data: {"delta":{"content":"a"}}\n\ndata: {"delta":{"content":"b"}}\n\n', '', 'data: {"text":"c"}\n\n'];
    const seen = relayed(...parts);
    expect([seen.texts, seen.bytes]).toEqual([3, parts.join('').length]);
  });

  it('text that looks like a member is text', () => {
    expect(relayed(JSON.stringify({ delta: { content: '"content":"x"' } })).texts).toBe(1);
    expect(relayed(JSON.stringify({ delta: { content: `{${USAGE}}` } })).usage()).toBeNull();
  });

  it('usage: at the end of a document or a stream, however it is cut into parts', () => {
    const body = `data: {"choices":[]}\n\ndata: {"choices":[],${USAGE}}\n\ndata: [DONE]\n\n`;
    expect(relayed(body).usage()).toEqual(COUNTS);
    expect(relayed(...body).usage()).toEqual(COUNTS);
    expect(relayed('x'.repeat(10_000), body, '\n').usage()).toEqual(COUNTS);
    expect(relayed(`{"usage":null}{${USAGE.replace(':{', ' : {')}`).usage()).toBeNull();
  });

  it.each(['', '{}', '"usage":', '"usage":{', '"usage":[]', '"usage":{"prompt_tokens":-1}', '"usage":{"prompt_tokens":1,"prompt_tokens_details":{"cached_tokens":2}}', '"usage":{"a":}'])('usage: %j bounds nothing', (body) => {
    expect(relayed(body).usage()).toBeNull();
  });

  it('usage: the last one that makes sense counts, and what is far from the end does not', () => {
    expect(relayed(`{${USAGE}}{"usage":{"prompt_tokens":9}}`).usage()).toMatchObject({ promptTokens: 9 });
    expect(relayed(`{${USAGE}}`, 'y'.repeat(1_024)).usage()).toBeNull();
  });
});
