// Comparison of two answers to one seeded question: what other backends may differ in, and what shows another model.
import { describe, expect, it } from '@jest/globals';
import { compareAnswers, TOLERANCE } from '../../../src/proxy/routing/compare-answers.ts';
import type { SeededAnswer, SeededToken } from '../../../src/proxy/routing/compare-answers.ts';

const WORDS = 'the small boat was tied to an old wooden post near the water and nobody had moved it for years'.split(' ');

const token = (text: string, logprob: number, others: readonly [string, number][] = []): SeededToken =>
  ({ token: text, logprob, top: [{ token: text, logprob }, ...others.map(([name, value]) => ({ token: name, logprob: value }))] });

const answerOf = (tokens: readonly SeededToken[], usage: Partial<NonNullable<SeededAnswer['usage']>> = {}): SeededAnswer => ({
  text: tokens.map((one) => one.token).join(' '), tokens, cutOff: true, usage: { promptTokens: 20, completionTokens: tokens.length, ...usage },
});
const honest = (noise = 0): SeededToken[] => WORDS.map((word, index) => token(word, -0.3 - (index % 3) * 0.2 + noise * (index % 2 === 0 ? 1 : -1), [['else', -3]]));
const textOnly = (text: string): SeededAnswer => ({ text, tokens: null, usage: { promptTokens: 20, completionTokens: 10 }, cutOff: true });

describe('compareAnswers: log probabilities', () => {
  it('the same model on another backend agrees: the same tokens, noise in the second decimal', () => {
    expect(compareAnswers(answerOf(honest(0.08)), answerOf(honest())).answer).toBe('agrees');
  });

  it('another model that happens to say the same is less sure of it', () => {
    expect(compareAnswers(answerOf(honest(-0.01).map((one) => ({ ...one, logprob: one.logprob - 0.4 }))), answerOf(honest()))).toMatchObject({ answer: 'differs' });
  });

  it('one token in ten may be far off, not more', () => {
    const off = (count: number): SeededToken[] => honest().map((one, index) => (index < count ? { ...one, logprob: one.logprob - 1.2 } : one));
    expect(compareAnswers(answerOf(off(2)), answerOf(honest())).answer).toBe('agrees');
    expect(compareAnswers(answerOf(off(3)), answerOf(honest())).answer).toBe('differs');
  });

  it('texts that part at a near tie agree, however they go on', () => {
    const at = 10;
    const reference = [...honest().slice(0, at), token('sank', -0.9, [['drifted', -1.1]]), token('slowly', -0.1)];
    const subject = [...honest().slice(0, at), token('drifted', -0.95, [['sank', -1]]), token('away', -0.2)];
    expect(compareAnswers(answerOf(subject), answerOf(reference)).answer).toBe('agrees');
  });

  it.each([
    ['among the likeliest', [['drifted', -4]] as [string, number][]],
    ['not among them', [['floated', -4], ['left', -5]] as [string, number][]],
  ])('texts that part where the reference was sure differ: the other token %s', (_, top) => {
    const reference = [...honest().slice(0, 10), token('sank', -0.05, top)];
    const subject = [...honest().slice(0, 10), token('drifted', -0.1, [['sank', -0.2]])];
    expect(compareAnswers(answerOf(subject), answerOf(reference)).answer).toBe('differs');
  });

  it('the subject\'s own view of a tie does not count', () => {
    const reference = [...honest().slice(0, 10), token('sank', -0.01, [['drifted', -5]])];
    const subject = [...honest().slice(0, 10), token('drifted', -0.7, [['sank', -0.7]])];
    expect(compareAnswers(answerOf(subject), answerOf(reference)).answer).toBe('differs');
  });

  it('too little to compare is inconclusive, and numbers that are none differ', () => {
    const short = [token('yes', -0.5, [['no', -0.6]])];
    expect(compareAnswers(answerOf([token('no', -0.6)]), answerOf(short)).answer).toBe('inconclusive');
    expect(compareAnswers(answerOf(honest().map((one) => ({ ...one, logprob: NaN }))), answerOf(honest())).answer).toBe('differs');
  });
});

describe('compareAnswers: texts alone', () => {
  const text = WORDS.join(' ');
  it('agree when equal or with a long common beginning; never show a difference', () => {
    expect(compareAnswers(textOnly(text), textOnly(text)).answer).toBe('agrees');
    expect(compareAnswers(textOnly(text), textOnly(`${text.slice(0, TOLERANCE.fewestCharacters)} and then it parts`)).answer).toBe('agrees');
    expect(compareAnswers(textOnly(text), textOnly('something else')).answer).toBe('inconclusive');
    expect(compareAnswers(textOnly(''), textOnly('')).answer).toBe('inconclusive');
  });
});

describe('compareAnswers: usage', () => {
  const reference = answerOf(honest());
  it.each([
    [{}, 'agrees'],
    [{ promptTokens: 22 }, 'agrees'],
    [{ promptTokens: 23 }, 'differs'],
    [{ promptTokens: 5 }, 'agrees'],
    [{ completionTokens: WORDS.length + 1 }, 'agrees'],
    [{ completionTokens: WORDS.length + 2 }, 'differs'],
    [{ completionTokens: NaN }, 'differs'],
    [{ promptTokens: -1 }, 'differs'],
  ])('%j of the subject: %s', (usage, verdict) => {
    expect(compareAnswers(answerOf(honest(), usage), reference).usage).toBe(verdict);
  });

  it('a reference without counts, or with nonsense, is no reference', () => {
    expect(compareAnswers(reference, { ...reference, usage: null }).usage).toBe('inconclusive');
    expect(compareAnswers(reference, answerOf(honest(), { promptTokens: NaN })).usage).toBe('inconclusive');
  });
});
