// Schemas that are compiled strictly, and answers that are judged by them.
import { describe, expect, it } from '@jest/globals';
import { parseAnswerSchema } from '../../src/client/answer-schema.ts';
import { text } from '../fakes/session-ports.ts';

const PERSON = { type: 'object', properties: { name: { type: 'string' }, age: { type: 'integer', minimum: 0 } }, required: ['name'], additionalProperties: false };
const schemaOf = (schema: unknown, from = 'person.json') => parseAnswerSchema(text(JSON.stringify(schema)), from);

describe('parseAnswerSchema', () => {
  it('an answer that fits gives its value', () => {
    expect(schemaOf(PERSON).read(' {"name":"Ada","age":36}\n')).toEqual({ name: 'Ada', age: 36 });
    expect(schemaOf({ enum: [1, 'two'] }).read('"two"')).toBe('two');
  });

  it.each<[string, string, RegExp]>([
    ['text', 'Ada is 36', /it is not JSON/],
    ['JSON in a fence', '```json\n{"name":"Ada"}\n```', /it is not JSON/],
    ['JSON and more', '{"name":"Ada"} I hope this helps', /it is not JSON/],
    ['a cut answer', '{"name":"Ad', /it is not JSON/],
    ['nothing', '', /it is not JSON/],
    ['another type', '[]', /the value must be object/],
    ['a member less', '{"age":3}', /the value must have required property 'name'/],
    ['a member more', '{"name":"Ada","ssn":1}', /must NOT have additional properties \("ssn"\)/],
    ['a value out of range', '{"name":"Ada","age":-1}', /\/age must be >= 0/],
    ['a number as text', '{"name":"Ada","age":"36"}', /\/age must be integer/],
  ])('%s does not fit', (_, answer, why) => {
    expect(() => schemaOf(PERSON).read(answer)).toThrow(expect.objectContaining({ code: 'E_ANSWER', exitCode: 10, message: expect.stringMatching(why) }));
  });

  it.each<[string, string, string, string]>([
    ['date-time', 'date-time', '2026-01-31T12:00:00Z', '2026-13-31T12:00:00Z'],
    ['date', 'date', '2026-02-28', '2026-2-28'],
    ['time', 'time', '12:00:00Z', '25:00:00Z'],
    ['uuid', 'uuid', '123e4567-e89b-12d3-a456-426614174000', '123e4567'],
    ['email', 'email', 'a@b.example', 'nobody'],
    ['uri', 'uri', 'https://ton.org/', 'no uri'],
    ['ipv4', 'ipv4', '127.0.0.1', '::1'],
    ['ipv6', 'ipv6', '::1', '127.0.0.1'],
  ])('format %s is judged', (_, format, good, bad) => {
    const schema = schemaOf({ type: 'string', format });
    expect(schema.read(JSON.stringify(good))).toBe(good);
    expect(() => schema.read(JSON.stringify(bad))).toThrow(expect.objectContaining({ code: 'E_ANSWER' }));
  });

  it('draft-07 where the schema says so, 2020-12 otherwise', () => {
    const pair = [{ type: 'string' }, { type: 'number' }];
    const old = schemaOf({ $schema: 'http://json-schema.org/draft-07/schema#', type: 'array', items: pair, additionalItems: false, minItems: 2 });
    expect(old.read('["a",1]')).toEqual(['a', 1]);
    expect(schemaOf({ type: 'array', prefixItems: pair, items: false, minItems: 2 }).read('["a",1]')).toEqual(['a', 1]);
    expect(() => schemaOf({ type: 'array', prefixItems: pair, items: false, minItems: 2 }).read('["a",1,2]')).toThrow(/E_ANSWER|fit the schema/);
  });

  it.each<[string, string]>([
    ['no JSON', '{'],
    ['no object', '[1]'],
    ['an unknown keyword', '{"type":"object","propertys":{}}'],
    ['an unknown format', '{"type":"string","format":"colour"}'],
    ['an unknown dialect', '{"$schema":"https://example.org/other"}'],
    ['a reference elsewhere', '{"$ref":"https://example.org/schema.json"}'],
    ['a wrong type', '{"type":"text"}'],
    ['promises', '{"$async":true,"type":"object"}'],
  ])('%s is no schema', (_, schema) => {
    expect(() => parseAnswerSchema(text(schema), 's.json')).toThrow(expect.objectContaining({ code: 'E_USAGE', message: expect.stringMatching(/^cannot use the schema "s.json": /) }));
  });

  it('its name follows from the file\'s', () => {
    expect(schemaOf({}, '/a/b/my schéma.v1.json').name).toBe('my_sch_ma_v1');
    expect(schemaOf({}, '.json').name).toBe('answer');
  });
});
