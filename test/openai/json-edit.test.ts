// A request that is passed on stays the request that was sent.
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ApiError } from '../../src/openai/errors.ts';
import { editJsonObject } from '../../src/openai/json-edit.ts';

describe('editJsonObject', () => {
  it('keeps order, numbers, escapes and inner spacing of what is not named', () => {
    const text = ' { "z" : 1.50, "a":{"timeout":1e3, "x" : [1, 2 ,{"}":"]"}]},"big":12345678901234567890 ,"u":"\\u00e9\\"}" } ';
    expect(editJsonObject(text, {})).toBe('{"z" : 1.50,"a":{"timeout":1e3, "x" : [1, 2 ,{"}":"]"}]},"big":12345678901234567890,"u":"\\u00e9\\"}"}');
  });

  it('takes out and writes outermost members only', () => {
    const text = '{"timeout":3,"a":{"timeout":4},"max_tokens":9,"b":[{"max_tokens":1}]}';
    expect(editJsonObject(text, { remove: ['timeout', 'absent'], set: { max_tokens: 5, stream: true } })).toBe('{"a":{"timeout":4},"b":[{"max_tokens":1}],"max_tokens":5,"stream":true}');
    expect(editJsonObject('{}', { set: { a: 'x' } })).toBe('{"a":"x"}');
    expect(editJsonObject('{"a":1}', { remove: ['a'] })).toBe('{}');
  });

  it('sees through escapes in names', () => {
    expect(editJsonObject('{"\\u0061":1,"b":2}', { remove: ['a'] })).toBe('{"b":2}');
  });

  it.each(['', '[1]', '"x"', 'null', '{"a":1', '{"a":1,"a":2}', '{"a":1,"\\u0061":2}'])('refuses %j', (text) => {
    expect(() => editJsonObject(text, {})).toThrow(ApiError);
  });

  it('changes nothing but the named member, for any object', () => {
    const value = fc.jsonValue({ maxDepth: 3 });
    fc.assert(fc.property(fc.dictionary(fc.string(), value), fc.integer({ min: 0, max: 2 }), (object, space) => {
      const text = JSON.stringify(object, null, space);
      const expected: Record<string, unknown> = JSON.parse(text);
      delete expected.seed;
      expect(JSON.parse(editJsonObject(text, { set: { seed: 7 } }))).toEqual({ ...expected, seed: 7 });
    }));
  });
});
