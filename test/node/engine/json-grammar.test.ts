// JSON schemas as grammars: what a grammar allows is valid by its schema, drawn at random and held against another validator; what no
// grammar can say, or would cost too much, is refused by its place.
import { describe, expect, it } from '@jest/globals';
import { Ajv } from 'ajv';
import fc from 'fast-check';
import { createGrammarBuilder } from '../../../src/node/engine/json-grammar.ts';
import { createGbnf } from '../../fakes/gbnf.ts';

type Schema = Readonly<Record<string, unknown>>;

const grammarOf = (schema: unknown, lenient = false): string => {
  const builder = createGrammarBuilder();
  return builder.grammar(builder.schema(schema, 'schema', { lenient }));
};

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const ajv = new Ajv({ strict: false, formats: { date: /^\d{4}-\d\d-\d\d$/, time: /^\d\d:\d\d:\d\d/, 'date-time': /^\d{4}-\d\d-\d\dT/, uuid: UUID } });

/** Texts of the grammar are JSON that the schema allows. */
function holds(schema: Schema, runs = 30): void {
  const grammar = createGbnf(grammarOf(schema));
  const isValid = ajv.compile(schema);
  fc.assert(fc.property(fc.infiniteStream(fc.nat()), (numbers) => {
    const text = grammar.draw((below) => (numbers.next().value as number) % below);
    if (!isValid(JSON.parse(text))) throw new Error(`${text} is not valid: ${ajv.errorsText(isValid.errors)}`);
  }), { numRuns: runs });
}

const node = { type: 'object', properties: { v: { type: 'integer' }, next: { anyOf: [{ type: 'null' }, { $ref: '#/$defs/node' }] } }, required: ['v', 'next'], additionalProperties: false };

describe('createGrammarBuilder', () => {
  it.each([
    ['anything', {}],
    ['a string of bounded length', { type: 'string', minLength: 2, maxLength: 5 }],
    ['a string of more than a hundred characters', { type: 'string', minLength: 95, maxLength: 310 }],
    ['a string of exactly as many', { type: 'string', minLength: 230, maxLength: 230 }],
    ['long arrays', { type: 'array', items: { type: 'null' }, minItems: 101, maxItems: 205 }],
    ['formats', { type: 'array', items: { anyOf: [{ type: 'string', format: 'date' }, { type: 'string', format: 'time' }, { type: 'string', format: 'date-time' }, { type: 'string', format: 'uuid' }] }, minItems: 4 }],
    ['whole numbers from 0, from 1 and above 0', { type: 'array', items: { anyOf: [{ type: 'integer', minimum: 0 }, { type: 'integer', minimum: 1 }, { type: 'integer', exclusiveMinimum: 0 }] } }],
    ['numbers', { type: 'array', items: { type: ['number', 'null', 'boolean'] } }],
    ['numbers from 0', { type: 'number', minimum: 0 }],
    ['arrays of bounded length', { type: 'array', items: { type: 'boolean' }, minItems: 1, maxItems: 3 }],
    ['an empty array', { type: 'array', maxItems: 0 }],
    ['optional and required members', { type: 'object', properties: { a: { type: 'integer' }, b: { type: 'string' }, c: { type: 'boolean' }, d: {} }, required: ['b', 'd'], additionalProperties: false }],
    ['only optional members', { type: 'object', properties: { a: { type: 'integer' }, b: { type: 'string' } } }],
    ['required members that are not described', { type: 'object', properties: { a: { type: 'null' } }, required: ['x', 'y'], additionalProperties: { type: 'integer' } }],
    ['members of one kind', { type: 'object', additionalProperties: { type: 'integer' } }],
    ['no members', { type: 'object', properties: {}, additionalProperties: false }],
    ['names and values that need escapes', { type: 'object', properties: { 'a"\\\n\u0001é😀\u{2028}': { enum: ['"', '\\', '\n\t', '\u0000', '😀', { b: ['c'] }, 1.5, null] }, ['__proto__']: { const: 1 }, constructor: { const: 'x' } }, required: ['constructor'] }],
    ['an enum of which its type takes some', { enum: ['a', 1, null, 2.5], type: ['integer', 'null'] }],
    ['a oneOf by type', { oneOf: [{ type: 'string' }, { type: 'integer' }] }],
    ['a oneOf by a constant', { oneOf: [{ type: 'object', properties: { kind: { const: 'a' }, n: { type: 'integer' } }, required: ['kind'] }, { type: 'object', properties: { kind: { const: 'b' } }, required: ['kind'] }] }],
    ['an allOf of one', { allOf: [{ type: 'string', maxLength: 3 }] }],
    ['a list that refers to itself', { $defs: { node }, $ref: '#/$defs/node' }],
    ['a tree that refers to its root', { type: 'object', properties: { children: { type: 'array', items: { $ref: '#' } } }, required: ['children'], additionalProperties: false }],
    ['a reference with escapes', { $defs: { 'a/b~c d': { type: 'null' } }, $ref: '#/$defs/a~1b~0c%20d' }],
    ['two that refer to one another', { $defs: { a: { type: 'array', items: { $ref: '#/$defs/b' }, maxItems: 2 }, b: { anyOf: [{ $ref: '#/$defs/a' }, { type: 'boolean' }] } }, $ref: '#/$defs/b' }],
    ['annotations', { title: 't', description: 'd', default: 1, examples: [1], $comment: 'c', $schema: 'http://json-schema.org/draft-07/schema#', $id: 'i', deprecated: true, readOnly: true, type: 'integer' }],
  ])('allows only what is valid: %s', (_, schema) => holds(schema));

  it('allows only what is valid, for schemas made at random', () => {
    const { schema } = fc.letrec<{ schema: Schema }>((tie) => ({
      schema: fc.oneof(
        { maxDepth: 3, depthSize: 'small' },
        fc.constantFrom<Schema>({ type: 'string' }, { type: 'integer' }, { type: 'boolean' }, { type: 'null' }, { type: 'string', maxLength: 3 }, { const: 'x"\\' }, { enum: [1, 'two', null] }),
        fc.record({ items: tie('schema'), least: fc.nat(2), more: fc.nat(2) }).map(({ items, least, more }) => ({ type: 'array', items, minItems: least, maxItems: least + more })),
        fc.tuple(fc.dictionary(fc.string({ maxLength: 4 }), tie('schema'), { maxKeys: 4 }), fc.nat()).map(([properties, seed]) =>
          ({ type: 'object', properties, required: Object.keys(properties).filter((_, index) => ((seed >> index) & 1) === 1), additionalProperties: false })),
        fc.array(tie('schema'), { minLength: 1, maxLength: 3 }).map((anyOf) => ({ anyOf })),
      ),
    }));
    fc.assert(fc.property(schema, (made) => holds(made, 5)), { numRuns: 40 });
  });

  it('allows any object', () => {
    const builder = createGrammarBuilder();
    const grammar = createGbnf(builder.grammar(builder.anyObject()));
    fc.assert(fc.property(fc.infiniteStream(fc.nat()), (numbers) => {
      expect(typeof JSON.parse(grammar.draw((below) => (numbers.next().value as number) % below))).toBe('object');
    }), { numRuns: 30 });
  });

  it.each<[string, unknown, string]>([
    ['an unknown keyword', { type: 'string', pattern: '^a' }, 'has the keyword "pattern", which is not supported here'],
    ['a keyword of another type', { type: 'integer', minLength: 1 }, 'has the keyword "minLength", which is not supported here'],
    ['a keyword beside $ref', { $ref: '#/$defs/a', minLength: 1, $defs: { a: {} } }, 'has the keyword "minLength", which is not supported here'],
    ['a keyword beside anyOf', { anyOf: [{}], type: 'string' }, 'has the keyword "type", which is not supported here'],
    ['patterns of names', { type: 'object', patternProperties: {} }, 'has the keyword "patternProperties", which is not supported here'],
    ['a type that is none', { type: 'constructor' }, 'has the type "constructor", which is none'],
    ['no types', { type: [] }, 'has 0 types, expected 1 to 7'],
    ['many types', { type: Array.from({ length: 100 }, () => 'string') }, 'has 100 types, expected 1 to 7'],
    ['false', false, 'allows nothing'],
    ['a list', [], 'is no schema'],
    ['a text', 'x', 'is no schema'],
    ['nothing', null, 'is no schema'],
    ['a negative length', { type: 'string', minLength: -1 }, 'has a minLength that is no whole number from 0 to 10000'],
    ['a length that is too large', { type: 'string', maxLength: 10_001 }, 'has a maxLength that is no whole number from 0 to 10000'],
    ['lengths that exclude one another', { type: 'string', minLength: 3, maxLength: 2 }, 'has a maxLength below its minLength'],
    ['items that exclude one another', { type: 'array', minItems: 3, maxItems: 2 }, 'has a maxItems below its minItems'],
    ['bounds that no grammar can say', { type: 'integer', minimum: 7 }, 'has bounds of a number that are not supported here'],
    ['an upper bound', { type: 'number', maximum: 7 }, 'has bounds of a number that are not supported here'],
    ['an unknown format', { type: 'string', format: 'email' }, 'has the format "email", which is not supported here'],
    ['properties that are no object', { type: 'object', properties: [] }, 'has properties that are no object'],
    ['required that is no list', { type: 'object', required: 'a' }, 'has a member "required" that is no list of names'],
    ['required that is not allowed', { type: 'object', required: ['a'], additionalProperties: false }, 'requires "a", which it does not allow'],
    ['additionalProperties that are no schema', { type: 'object', additionalProperties: 5 }, 'has additionalProperties that are no schema'],
    ['an empty enum', { enum: [] }, 'has an enum that is not 1 to 1000 values'],
    ['a huge enum', { enum: Array.from({ length: 1_001 }, (_, index) => index) }, 'has an enum that is not 1 to 1000 values'],
    ['an enum of another type', { enum: ['a'], type: 'integer' }, 'has no value of its type'],
    ['an allOf of several', { allOf: [{ type: 'string' }, { maxLength: 3 }] }, 'has an allOf of several schemas, which is not supported here'],
    ['a oneOf that may overlap', { oneOf: [{ type: 'integer' }, { type: 'number' }] }, 'has a oneOf whose schemas may overlap, which is not supported here; use anyOf'],
    ['an anyOf of nothing', { anyOf: [] }, 'has a member "anyOf" that is no list of schemas'],
    ['another document', { $ref: 'https://example.org/schema' }, 'refers to another document'],
    ['a reference to nothing', { $ref: '#/$defs/a' }, 'refers to "#/$defs/a", which is not there'],
    ['a reference to what every object has', { $ref: '#/constructor' }, 'refers to "#/constructor", which is not there'],
    ['a reference that is no URI', { $ref: '#/%zz' }, 'has a $ref that is no URI'],
    ['a reference to itself', { $ref: '#' }, 'has a $ref that leads back to itself with nothing between'],
    ['references in a ring', { $ref: '#/$defs/a', $defs: { a: { $ref: '#/$defs/b' }, b: { $ref: '#/$defs/a' } } }, 'has a $ref that leads back to itself with nothing between'],
    ['a ring through alternatives', {
      $ref: '#/$defs/a',
      $defs: { a: { anyOf: [{ type: 'array', items: { $ref: '#/$defs/b' } }, { $ref: '#/$defs/b' }] }, b: { anyOf: [{ $ref: '#/$defs/a' }, { type: 'null' }] } },
    }, 'has a $ref that leads back to itself with nothing between'],
  ])('refuses %s', (_, schema, why) => {
    const place = expect.stringMatching(/^schema/) as unknown;
    expect(() => grammarOf(schema)).toThrow(expect.objectContaining({ code: 'E_REQUEST', status: 400, reason: 'invalid_schema', param: place, message: expect.stringMatching(/^schema '.*' in request /) as unknown }));
    expect(() => grammarOf(schema)).toThrow(why);
  });

  it('never repeats more than a hundred times at once: above two thousand llama.cpp knows no bound', () => {
    const counts = [0, 1, 99, 100, 101, 200, 350, 2_001];
    for (const least of counts) {
      for (const most of counts.filter((count) => count >= least)) {
        const grammar = grammarOf({ type: 'string', minLength: least, maxLength: most });
        for (const [, from, to] of grammar.matchAll(/\{(\d+),?(\d*)\}/g)) expect(Math.max(Number(from), Number(to))).toBeLessThanOrEqual(100);
        const { draw } = createGbnf(grammar);
        const lengthOf = (choose: (below: number) => number): number => (JSON.parse(draw(choose)) as string).length;
        for (const seed of [1, 12_345]) {
          let state = seed;
          const length = lengthOf((below) => (state = (state * 48_271) % 0x7fffffff) % below);
          expect(length).toBeGreaterThanOrEqual(least);
          expect(length).toBeLessThanOrEqual(most);
        }
      }
    }
  });

  it('writes a member once that is required twice', () => {
    const text = createGbnf(grammarOf({ type: 'object', required: ['x', 'x'] })).draw(() => 0);
    expect(text.match(/"x"/g)).toHaveLength(1);
  });

  it('names the place of what it refuses', () => {
    expect(() => grammarOf({ type: 'object', properties: { a: { type: 'array', items: { pattern: 'x' } } } })).toThrow('schema \'schema.properties.a.items\' in request has the keyword "pattern"');
  });

  it('refuses what would cost too much, before it is made', () => {
    const deep = Array.from({ length: 100 }).reduce<Schema>((inner) => ({ type: 'array', items: inner }), {});
    expect(() => grammarOf(deep)).toThrow('is nested too deeply');
    const wide = { type: 'object', properties: Object.fromEntries(Array.from({ length: 3_000 }, (_, index) => [`p${index}`, { type: 'integer' }])) };
    expect(() => grammarOf(wide)).toThrow('schema is too large');
    const long = { enum: ['x'.repeat(1 << 21), 'y'] };
    expect(() => grammarOf({ type: 'object', properties: { a: long } })).toThrow('schema is too large');
    const counted = { type: 'object', properties: Object.fromEntries(Array.from({ length: 60 }, (_, index) => [`p${index}`, { type: 'array', maxItems: 10_000 - index, items: { const: index } }])) };
    expect(() => grammarOf(counted)).toThrow('schema is too large');
    const value = JSON.parse(`${'['.repeat(200_000)}${']'.repeat(200_000)}`) as unknown;
    expect(() => grammarOf({ const: value })).toThrow(expect.objectContaining({ code: 'E_REQUEST', message: expect.stringContaining('nested too deeply') as unknown }));
  });

  it('takes less where nothing was promised', () => {
    expect(() => createGbnf(grammarOf({ type: 'object', properties: { a: { type: 'string', pattern: '^a' }, b: { type: 'integer', minimum: 7 }, c: { allOf: [{ type: 'string' }, { maxLength: 3 }] }, d: { type: 'string', format: 'email' } } }, true))).not.toThrow();
  });
});
