// Calls of tools in the ways that models write them: which one a template teaches, calls among text in any pieces, what only looks
// like a call, and forced calls, which are read back and held against the schemas of their tools.
import { describe, expect, it } from '@jest/globals';
import { Ajv } from 'ajv';
import fc from 'fast-check';
import { grammarOf } from '../../../src/node/engine/answer-grammar.ts';
import { callFrame, createToolCallReader, toolFormatOf } from '../../../src/node/engine/tool-format.ts';
import { createGbnf } from '../../fakes/gbnf.ts';
import type { EngineTool, EngineToolCall, EngineTools } from '../../../src/node/engine.ts';
import type { ToolFormat } from '../../../src/node/engine/tool-format.ts';

const LOOK: EngineTool = {
  name: 'look_up',
  parameters: { type: 'object', properties: { city: { type: 'string' }, days: { type: 'integer' }, exact: { type: 'boolean' }, tags: { type: 'array', items: { type: 'string' } }, unit: { type: ['string', 'null'] } }, required: ['city'] },
};
const NOTHING: EngineTool = { name: 'do.nothing-1', parameters: { type: 'object', properties: {} } };
const TOOLS = [LOOK, NOTHING];

/** Everything read from pieces of an answer. */
function read(format: ToolFormat, pieces: readonly string[], tools = TOOLS) {
  const reader = createToolCallReader(format, tools);
  const found = [...pieces.map((piece) => reader.push(piece)), reader.flush()];
  return { text: found.map(({ text }) => text).join(''), calls: found.flatMap(({ calls }) => calls).map(({ name, arguments: args }) => [name, JSON.parse(args) as unknown]) };
}

describe('toolFormatOf', () => {
  it.each<[string, string, ToolFormat | null]>([
    ['Hermes and Qwen', '{% if tools %}<tools></tools> within <tool_call></tool_call> {"name": <function-name>, "arguments": <args-json-object>}{% endif %}', 'hermes'],
    ['Qwen coder', '{% if tools %}<tool_call>\n<function=example_function_name>\n<parameter=example_parameter_1>\nvalue_1\n</parameter>\n</function>\n</tool_call>{% endif %}', 'elements'],
    ['elements of another kind', '{% if tools %}<tool_call><function=name>{}</function></tool_call>{% endif %}', null],
    ['GLM', '{% if tools %}<tool_call>{function-name}\n<arg_key>{key}</arg_key>\n<arg_value>{value}</arg_value>\n</tool_call>{% endif %}', null],
    ['Mistral', '{% if tools %}[AVAILABLE_TOOLS]{% endif %}[TOOL_CALLS][{"name": "x", "arguments": {}, "id": "123456789"}]', 'mistral'],
    ['Mistral since its eleventh tokenizer', '{% if tools %}[AVAILABLE_TOOLS]{% endif %}[TOOL_CALLS]name[ARGS]{}', 'mistral-args'],
    ['Llama 3.1', '{% if tools %}Environment: ipython\n<|python_tag|>{"name": function name, "parameters": dictionary}{% endif %}', 'llama3'],
    ['Llama 3.2', '{% if tools %}Environment: ipython {"name": function name, "parameters": dictionary}{% endif %}', 'llama3'],
    ['gpt-oss', '{% if tools %}<|start|>assistant<|channel|>commentary to=functions.x<|message|>{% endif %}', null],
    ['a template without tools', '<tool_call>{"name": 1, "arguments": 2}', null],
  ])('%s', (_, template, format) => {
    expect(toolFormatOf(template)).toBe(format);
  });
});

describe('createToolCallReader: Mistral', () => {
  it('reads a list of calls, behind text or without', () => {
    const calls = [['look_up', { city: 'Paris' }], ['do.nothing-1', {}]];
    expect(read('mistral', ['[TOOL_CALLS][{"name": "look_up", "arguments": {"city": "Paris"}, "id": "abcdefghi"}, {"name": "do.nothing-1", "arguments": {}}]'])).toEqual({ text: '', calls });
    expect(read('mistral', ['I look. [TOOL_', 'CALLS] [{"name":"look_up","arguments":"{\\"city\\": \\"Paris\\"}"}', ',{"name":"do.nothing-1"}]\n'])).toEqual({ text: 'I look. ', calls });
  });

  it.each<ToolFormat>(['mistral', 'mistral-args'])('reads names before arguments, one call or several (%s)', (format) => {
    expect(read(format, ['[TOOL_CALLS]look_up[ARGS]{"city": "[TOOL_CALLS]"}'])).toEqual({ text: '', calls: [['look_up', { city: '[TOOL_CALLS]' }]] });
    expect(read(format, ['[TOOL_CALLS]look_up{"city": "a"}'])).toEqual({ text: '', calls: [['look_up', { city: 'a' }]] });
    expect(read(format, ['x[TOOL_CALLS]look_up[CALL_ID]a1b2c3d4e[ARGS]{"city": "a"}[TOOL_', 'CALLS]do.nothing-1[ARGS]{}'])).toEqual({ text: 'x', calls: [['look_up', { city: 'a' }], ['do.nothing-1', {}]] });
  });

  it.each([
    '[TOOL_CALLS]', '[TOOL_CALLS][]', '[TOOL_CALLS][{"name":"look_up","arguments":{"city":"Par', '[TOOL_CALLS][{"name":"other","arguments":{}}]', '[TOOL_CALLS]look_up[ARGS][1]',
    '[TOOL_CALLS][{"name":"look_up","arguments":[1]}]', '[TOOL_CALLS][{"name":"look_up","arguments":"1"}]', '[TOOL_CALLS]look_up[ARGS]{"a":1}[TOOL_CALLS]other[ARGS]{}', '[TOOL_CALLS][null, {"name":"look_up"}]',
    '[TOOL_CALLS]other[ARGS]{}', '[TOOL_CALLS]constructor[ARGS]{}', '[TOOL_CALL', 'a [ b ]', '{"name":"look_up","arguments":{}}',
  ])('passes on as text what is no call: %s', (text) => {
    expect(read('mistral', [text])).toEqual({ text, calls: [] });
    expect(read('mistral', [...text])).toEqual({ text, calls: [] });
  });
});

describe('createToolCallReader: Llama 3', () => {
  it('reads a call as the whole answer, with its mark or without', () => {
    const calls = [['look_up', { city: 'Paris' }]];
    expect(read('llama3', ['{"name": "look_up", "parameters": {"city": "Paris"}}'])).toEqual({ text: '', calls });
    expect(read('llama3', ['\n', ' {"type": "function", "name": "look_up", "parameters": {"city": "Paris"}}\n'])).toMatchObject({ calls });
    expect(read('llama3', ['<|python', '_tag|>{"name": "look_up", "parameters": {"city": "Paris"}}'])).toEqual({ text: '', calls });
    expect(read('llama3', ['I look: <|python_tag|>{"name": "look_up", "arguments": {"city": "Paris"}}'])).toEqual({ text: 'I look: ', calls });
  });

  it.each([
    '{"name": "other", "parameters": {}}', '{"name": "look_up", "parameters": {"city"', '{"a": 1}', 'See {"name": "look_up", "parameters": {}}', '<|python_tag|>look_up.call(city="Paris")',
    '<|python_tag|>', '<|python', '{', '  {} ', '{"name": "look_up", "parameters": []}', '{"name": 1}',
  ])('passes on as text what is no call: %s', (text) => {
    expect(read('llama3', [text])).toEqual({ text, calls: [] });
    expect(read('llama3', [...text])).toEqual({ text, calls: [] });
  });
});

describe('createToolCallReader: elements', () => {
  const call = (...parameters: readonly (readonly [string, string])[]): string =>
    `<tool_call>\n<function=look_up>\n${parameters.map(([name, value]) => `<parameter=${name}>\n${value}\n</parameter>\n`).join('')}</function>\n</tool_call>`;

  it('reads values by the schema of the tool', () => {
    const text = call(['city', '12\n'], ['days', ' 3 '], ['exact', 'True'], ['tags', '["a", "b"]'], ['unit', 'null'], ['more', '1']);
    expect(read('elements', [`Let me see.\n${text}`])).toEqual({ text: 'Let me see.\n', calls: [['look_up', { city: '12\n', days: 3, exact: true, tags: ['a', 'b'], unit: null, more: '1' }]] });
    expect(read('elements', [call(['days', 'three'], ['unit', 'km'], ['exact', 'maybe'])])).toMatchObject({ calls: [['look_up', { days: 'three', unit: 'km', exact: 'maybe' }]] });
  });

  it('takes white space beside calls for no text, and beside text for what it is', () => {
    const one = call(['city', 'x']);
    expect(read('elements', [`\n ${one}\n`, `\n${one} \n`]).text).toBe('');
    expect(read('elements', [...`\n ${one}\n`, ...`\n${one} \n`]).text).toBe('');
    expect(read('elements', [...` a \n${one}\n b `]).text).toBe(' a \n\n b ');
    expect(read('elements', [' ', '\n ']).text).toBe(' \n ');
  });

  it('reads a call in one line, without arguments, and several one after another', () => {
    expect(read('elements', ['<tool_call><function=look_up><parameter=city>Paris</parameter></function></tool_call>'])).toEqual({ text: '', calls: [['look_up', { city: 'Paris' }]] });
    expect(read('elements', ['<tool_call>\n<function=do.nothing-1>\n</function>\n</tool_call>\n', call(['city', 'b'])])).toEqual({ text: '', calls: [['do.nothing-1', {}], ['look_up', { city: 'b' }]] });
  });

  it('reads values that hold marks and code', () => {
    const city = 'a </parameter> b\n</tool_call>\n<tool_call></function>\n<div class="x">\n\tif (a < b && c > d) {}\n</div> "\\ \u{1f600}';
    expect(read('elements', [...call(['city', city], ['days', '1'])])).toEqual({ text: '', calls: [['look_up', { city, days: 1 }]] });
    expect(read('elements', [call(['__proto__', 'x'])]).calls).toEqual([['look_up', JSON.parse('{"__proto__":"x"}')]]);
  });

  it.each([
    '<tool_call>\n<function=other>\n</function>\n</tool_call>', '<tool_call>{"name": "look_up", "arguments": {}}</tool_call>', '<tool_call>\n<function=look_up>\n<parameter=city>\nPar',
    '<tool_call><function=look_up>stray<parameter=city>a</parameter></function></tool_call>', '<tool_call><function=look_up><parameter=city>a</parameter>stray</function></tool_call>',
    '<tool_call><function=look_up><parameter=city>a</parameter><parameter=city>b</parameter></function></tool_call>', '<tool_call><function=look_up><parameter=>a</parameter></function></tool_call>',
    '<tool_call></tool_call>', '<tool_call><function=look_up></tool_call>', 'a < b <tool', '<tool_call>x<function=look_up></function></tool_call>',
  ])('passes on as text what is no call: %s', (text) => {
    expect(read('elements', [text])).toEqual({ text, calls: [] });
    expect(read('elements', [...text])).toEqual({ text, calls: [] });
  });

  it('reads a long call that never ends in time, as text', () => {
    const piece = '</parameter>\n<parameter=a>\n</tool_call> '.repeat(64);
    const pieces = ['<tool_call>\n<function=look_up>\n', ...Array.from({ length: 450 }, () => piece)];
    const { text, calls } = read('elements', pieces);
    expect({ calls, same: text === pieces.join('') }).toEqual({ calls: [], same: true });
  });
});

describe('createToolCallReader', () => {
  it.each<[ToolFormat, string]>([
    ['hermes', 'a\n<tool_call>\n{"name": "look_up", "arguments": {"city": "x"}}\n</tool_call>\n<tool_call>{"name": "other"}</tool_call> b'],
    ['mistral', 'a[TOOL_CALLS][{"name": "look_up", "arguments": {"city": "x"}}]'],
    ['mistral-args', 'a[TOOL_CALLS]look_up[ARGS]{"city": "x"}[TOOL_CALLS]do.nothing-1[ARGS]{}'],
    ['llama3', ' {"name": "look_up", "parameters": {"city": "x"}}'],
    ['elements', 'a<tool_call>\n<function=look_up>\n<parameter=city>\nx\n</parameter>\n</function>\n</tool_call> b'],
  ])('reads the same in any pieces (%s)', (format, answer) => {
    const whole = read(format, [answer]);
    expect(whole.calls[0]).toEqual(['look_up', { city: 'x' }]);
    fc.assert(fc.property(fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }), (sizes) => {
      const pieces: string[] = [];
      for (let at = 0, turn = 0; at < answer.length; turn += 1) pieces.push(answer.slice(at, at += sizes[turn % sizes.length] ?? 1));
      const { text, calls } = read(format, pieces);
      expect({ text, calls }).toEqual(whole);
    }), { numRuns: 25 });
  });
});

describe('grammarOf: forced calls', () => {
  const forced = (format: ToolFormat, tools: readonly EngineTool[], extra: Partial<EngineTools> = {}): string | null =>
    grammarOf({ prompt: { kind: 'chat', messages: [], tools: { tools, choice: 'required', parallel: true, ...extra } } }, format);
  const RICH: EngineTool = {
    name: 'rich', strict: true,
    parameters: {
      type: 'object', additionalProperties: false, required: ['text', 'kind', 'list', 'node'],
      $defs: { node: { type: 'object', properties: { next: { anyOf: [{ type: 'null' }, { $ref: '#/$defs/node' }] } }, required: ['next'], additionalProperties: false } },
      properties: {
        text: { type: 'string', description: 'any' }, kind: { type: 'string', enum: ['a', 'b "c"'] }, list: { type: 'array', items: { type: 'string', maxLength: 4 }, maxItems: 3 },
        node: { $ref: '#/$defs/node' }, number: { type: 'integer' }, either: { type: ['string', 'null'] },
      },
    },
  };

  it.each<ToolFormat>(['hermes', 'elements', 'mistral', 'mistral-args', 'llama3'])('are read back as calls that fit the schemas (%s)', (format) => {
    const tools = [RICH, NOTHING];
    const valid = new Map(tools.map(({ name, parameters }) => [name, new Ajv({ strict: false }).compile(parameters)]));
    const grammar = createGbnf(forced(format, tools) ?? '');
    const names = new Set<string>();
    fc.assert(fc.property(fc.infiniteStream(fc.nat()), (numbers) => {
      const written = grammar.draw((below) => (numbers.next().value as number) % below);
      const reader = createToolCallReader(format, tools);
      const found = [reader.push(written), reader.flush()];
      const calls: readonly EngineToolCall[] = found.flatMap((each) => each.calls);
      expect(calls.length).toBeGreaterThan(0);
      expect(found.map(({ text }) => text).join('').trim()).toBe('');
      for (const { name, arguments: args } of calls) {
        names.add(name);
        const fits = valid.get(name)?.(JSON.parse(args)) === true;
        if (!fits) throw new Error(`${args} of ${written}`);
      }
    }), { numRuns: 40 });
    expect([...names].toSorted()).toEqual(['do.nothing-1', 'rich']);
  });

  it('are of the named tool alone', () => {
    expect(forced('elements', TOOLS, { choice: { name: 'do.nothing-1' } })).not.toContain('look_up');
    expect(forced('elements', TOOLS, { choice: 'auto' })).toBeNull();
  });

  it.each([
    [{ type: 'object', properties: { a: { type: 'string', maxLength: 3 } } }, 'tools.f.parameters.properties.a'],
    [{ type: 'object', properties: { a: { type: 'string', pattern: 'x' } } }, 'tools.f.parameters.properties.a'],
    [{ type: 'object', properties: { 'a>b': { type: 'integer' } } }, 'tools.f.parameters.properties'],
    [{ type: 'object', properties: {}, required: ['a'] }, 'tools.f.parameters'],
  ])('refuse by its place what elements cannot be held to: %j', (parameters, param) => {
    expect(() => forced('elements', [{ name: 'f', parameters, strict: true }])).toThrow(expect.objectContaining({ code: 'E_REQUEST', reason: 'invalid_schema', param }));
  });

  it('take less of a tool that promises nothing', () => {
    expect(forced('elements', [{ name: 'f', parameters: { type: 'object', properties: { a: { type: 'string', maxLength: 3, pattern: 'x' } } } }])).toContain('<parameter=a>');
  });

  it('frame arguments as the model writes them', () => {
    expect(callFrame('mistral-args', 'f')).toEqual({ before: '[TOOL_CALLS]f[ARGS]', after: '' });
    expect(callFrame('mistral', 'f')).toEqual({ before: '[TOOL_CALLS][{"name": "f", "arguments": ', after: '}]' });
    expect(callFrame('llama3', 'f')).toEqual({ before: '{"name": "f", "parameters": ', after: '}' });
  });
});
