// JSON schemas as grammars (GBNF) that llama.cpp draws tokens by: every answer of the grammar is valid by the schema. What a
// grammar cannot say is refused by name, unless the caller takes less (`lenient`: parameters of tools, which promise nothing).
// Objects have their properties in the order of the schema, and none that it does not name.
import { badRequest } from '../../openai/errors.ts';
import { areDisjoint, deeper, isObject, isOfType, jsonOf, refuse, unescaped, within } from './json-schema.ts';
import type { Place, Schema } from './json-schema.ts';

export interface GrammarBuilder {
  /** Adds the rules of a schema; returns the name of its rule. `param`: what the request calls it. `root`: what its `$ref`s are in; default: itself. Throws ApiError. */
  schema(schema: unknown, param: string, options?: { readonly lenient: boolean; readonly root?: unknown }): string;
  /** The name of the rule of any text without `mark`, whose first character comes in it once. */
  textBefore(mark: string): string;
  /** The name of the rule of any JSON object. */
  anyObject(): string;
  /** The whole grammar; `root` is the right side of its root rule. */
  grammar(root: string): string;
}

const MAX_RULES = 5_000;
const MAX_DEPTH = 64;
const MAX_ALTERNATIVES = 1_000;
const MAX_COUNT = 10_000;
/** Of one repetition: llama.cpp writes each out, refuses many, and takes no notice of a bound above 2000. Longer ones are made of these. */
const MAX_TIMES = 100;
/** UTF-16 units of all rules. */
const MAX_LENGTH = 1 << 20;
const TYPES = 7;
/** Digits of a whole number: any of them is exact as a double. */
const INTEGER = '("0" | [1-9] [0-9]{0,14})';

/**
 * Rules that need no schema. White space is bounded, so that a model cannot go on with nothing else. No escape is half a character:
 * each `char` is one for the lengths of a schema.
 */
const BASE: Readonly<Record<string, string>> = {
  ws: '| " " | "\\n" [ \\t]{0,20}',
  char: '[^"\\\\\\x7F\\x00-\\x1F] | "\\\\" (["\\\\/bfnrt] | "u" ([0-9a-cA-CefEF] [0-9a-fA-F]{3} | [dD] [0-7] [0-9a-fA-F]{2}))',
  string: '"\\"" char* "\\""',
  integer: `"-"? ${INTEGER}`,
  number: `"-"? ${INTEGER} ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,2})?`,
  boolean: '"true" | "false"',
  null: '"null"',
  value: 'object | array | string | number | boolean | null',
  object: '"{" ws (string ws ":" ws value (ws "," ws string ws ":" ws value)*)? ws "}"',
  array: '"[" ws (value (ws "," ws value)*)? ws "]"',
  date: '[0-9]{4} "-" ("0" [1-9] | "1" [0-2]) "-" ("0" [1-9] | "1" [0-9] | "2" [0-8])',
  time: '([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9] ":" [0-5] [0-9] ("." [0-9]{1,9})? ("Z" | [+-] ([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9])',
  uuid: '[0-9a-f]{8} "-" [0-9a-f]{4} "-" [0-9a-f]{4} "-" [0-9a-f]{4} "-" [0-9a-f]{12}',
};

const FORMATS: Readonly<Record<string, string>> = {
  date: '"\\"" date "\\""', time: '"\\"" time "\\""', 'date-time': '"\\"" date "T" time "\\""', uuid: '"\\"" uuid "\\""',
};

/** Say nothing about which values are valid. */
const ANNOTATIONS = ['title', 'description', 'default', 'examples', 'deprecated', 'readOnly', 'writeOnly', '$comment', '$schema', '$id', '$defs', 'definitions'];
const KEYWORDS: Readonly<Record<string, readonly string[]>> = {
  string: ['minLength', 'maxLength', 'format'],
  integer: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'],
  number: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'],
  object: ['properties', 'required', 'additionalProperties'],
  array: ['items', 'minItems', 'maxItems'],
  boolean: [], null: [],
};

export function createGrammarBuilder(): GrammarBuilder {
  return new Builder();
}

/** A text as a literal of the grammar. */
export const literal = (text: string): string =>
  `"${text.replaceAll(/["\\]/g, '\\$&').replaceAll('\n', '\\n').replaceAll('\r', '\\r').replaceAll('\t', '\\t')}"`;

class Builder implements GrammarBuilder {
  #lenient = false;
  readonly #rules = new Map<string, string>();
  /** Names of rules that a `$ref` has, by the schema document and the reference. */
  readonly #refs = new Map<unknown, Map<string, string>>();
  /** Rules of `$ref`s that a rule of a `$ref` may begin with, before any character. */
  readonly #beginnings = new Map<string, Set<string>>();
  #length = 0;
  /** Names of rules by their right sides. */
  readonly #names = new Map<string, string>();
  /** Names of rules by the marks that their texts are before. */
  readonly #texts = new Map<string, string>();

  schema(schema: unknown, param: string, { lenient, root = schema }: { readonly lenient: boolean; readonly root?: unknown } = { lenient: false }): string {
    this.#lenient = lenient;
    const at: Place = { root, param, depth: 0, begins: null };
    const name = this.#name(this.#any(schema, at));
    if (this.#isCircular()) throw refuse(at, 'has a $ref that leads back to itself with nothing between');
    return name;
  }

  textBefore(mark: string): string {
    const [first = '', ...rest] = mark;
    const none = literal(first).slice(1, -1);
    const known = this.#texts.get(mark);
    if (known !== undefined) return known;
    const own = `t${this.#rules.size}`;
    const name = (matched: number): string => `${own}-${matched}`;
    this.#texts.set(mark, name(0));
    this.#add(name(0), `| [^${none}] ${name(0)} | ${literal(first)} ${name(1)}`);
    // After so many characters of the mark: what goes on, what begins it anew, and the next of it, but for the last.
    rest.forEach((next, index) => {
      const further = index === rest.length - 1 ? '' : ` | ${literal(next)} ${name(index + 2)}`;
      this.#add(name(index + 1), `| [^${none}${literal(next).slice(1, -1)}] ${name(0)} | ${literal(first)} ${name(1)}${further}`);
    });
    return name(0);
  }

  anyObject(): string {
    return 'object';
  }

  grammar(root: string): string {
    return [`root ::= ${root}`, ...Object.entries(BASE).map(rule), ...[...this.#rules].map(rule)].join('\n');
  }

  /** The name of a rule with this right side. */
  #name(right: string): string {
    if (/^[a-z][a-z0-9-]*$/.test(right)) return right;
    const known = this.#names.get(right);
    if (known !== undefined) return known;
    const name = `r${this.#rules.size}`;
    this.#add(name, right);
    this.#names.set(right, name);
    return name;
  }

  /** `least` to `most` of a rule, one after another; `most` null: any number. */
  #times(item: string, least: number, most: number | null): string {
    const begin = this.#exactly(item, least);
    return most === null ? `${begin} ${item}*` : `${begin} ${this.#upTo(item, most - least)}`;
  }

  #exactly(item: string, count: number): string {
    if (count <= MAX_TIMES) return `${item}{${count}}`;
    const hundred = this.#name(`${item}{${MAX_TIMES}}`);
    return `${this.#exactly(hundred, Math.floor(count / MAX_TIMES))} ${item}{${count % MAX_TIMES}}`;
  }

  /** Either fewer than a hundred, or a hundred and the rest: one of them only, so that no text can be read in many ways. */
  #upTo(item: string, count: number): string {
    if (count < MAX_TIMES) return `${item}{0,${count}}`;
    const fewer = this.#name(`${item}{0,${MAX_TIMES - 1}}`);
    const hundred = this.#name(`${item}{${MAX_TIMES}}`);
    let rest = this.#name(`${item}{0,${count % MAX_TIMES}}`);
    for (let left = Math.floor(count / MAX_TIMES); left > 0; left -= 1) rest = this.#name(`${hundred} ${rest} | ${fewer}`);
    return rest;
  }

  #add(name: string, right: string): void {
    this.#length += right.length;
    if (this.#rules.size >= MAX_RULES || this.#length > MAX_LENGTH) throw badRequest('schema is too large', { code: 'invalid_schema' });
    this.#rules.set(name, right);
  }

  /** True where a rule may begin with itself, which no text can be read by. */
  #isCircular(): boolean {
    const open = new Set<string>();
    const over = new Set<string>();
    const visit = (name: string): boolean => {
      if (over.has(name)) return false;
      if (open.has(name)) return true;
      open.add(name);
      const circular = [...this.#beginnings.get(name) ?? []].some(visit);
      over.add(name);
      return circular;
    };
    return [...this.#beginnings.keys()].some(visit);
  }

  /** The right side of a rule for a schema. */
  #any(schema: unknown, at: Place): string {
    if (at.depth > MAX_DEPTH) throw refuse(at, 'is nested too deeply');
    if (schema === true) return 'value';
    if (!isObject(schema)) throw refuse(at, schema === false ? 'allows nothing' : 'is no schema');
    if (typeof schema.$ref === 'string') return this.#ref(schema.$ref, schema, at);
    if ('const' in schema) return this.#literals([schema.const], schema, ['const', 'type'], at);
    if ('enum' in schema) return this.#literals(schema.enum, schema, ['enum', 'type'], at);
    for (const keyword of ['anyOf', 'oneOf', 'allOf'] as const) {
      if (keyword in schema) return this.#combined(keyword, schema, at);
    }
    return this.#typed(schema, at);
  }

  #typed(schema: Schema, at: Place): string {
    const { type } = schema;
    const implied = Object.keys(KEYWORDS).filter((name) => (KEYWORDS[name] ?? []).some((keyword) => keyword in schema));
    if (type === undefined && implied.length === 0) {
      this.#only(schema, [], at);
      return 'value';
    }
    const types = type === undefined ? implied.slice(0, 1) : Array.isArray(type) ? type : [type];
    if (types.length === 0 || types.length > TYPES) throw refuse(at, `has ${types.length} types, expected 1 to ${TYPES}`);
    this.#only(schema, ['type', ...types.flatMap((name) => KEYWORDS[String(name)] ?? [])], at);
    return types.map((name) => this.#name(this.#ofType(name, schema, at))).join(' | ');
  }

  #ofType(type: unknown, schema: Schema, at: Place): string {
    switch (type) {
      case 'string': return this.#string(schema, at);
      case 'integer': return this.#number('integer', schema, at);
      case 'number': return this.#number('number', schema, at);
      case 'object': return this.#object(schema, at);
      case 'array': return this.#array(schema, at);
      case 'boolean': return 'boolean';
      case 'null': return 'null';
      default: throw refuse(at, `has the type ${JSON.stringify(type)?.slice(0, 50)}, which is none`);
    }
  }

  #string(schema: Schema, at: Place): string {
    const { format } = schema;
    const least = this.#count(schema, 'minLength', at) ?? 0;
    const most = this.#count(schema, 'maxLength', at);
    if (most !== undefined && most < least) throw refuse(at, 'has a maxLength below its minLength');
    if (format !== undefined) {
      const known = typeof format === 'string' && Object.hasOwn(FORMATS, format) ? FORMATS[format] : undefined;
      if (known !== undefined && least === 0 && most === undefined) return known;
      if (!this.#lenient) throw refuse(at, `has the format ${JSON.stringify(format)?.slice(0, 50)}, which is not supported here`);
    }
    if (least === 0 && most === undefined) return 'string';
    return `"\\"" ${this.#times('char', least, most ?? null)} "\\""`;
  }

  /** Only bounds that a grammar can say: of sign, and those that no number here exceeds. */
  #number(kind: 'integer' | 'number', schema: Schema, at: Place): string {
    const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = schema;
    const limit = 10 ** 15 - 1;
    const far = (bound: unknown, sign: 1 | -1): boolean => bound === undefined || (kind === 'integer' && typeof bound === 'number' && bound * sign >= limit);
    const unsigned = kind === 'integer' ? INTEGER : `${INTEGER} ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,2})?`;
    if (this.#lenient || (far(maximum, 1) && far(exclusiveMaximum, 1))) {
      if (exclusiveMinimum === undefined && minimum === 0) return unsigned;
      if (kind === 'integer' && (exclusiveMinimum === 0 || minimum === 1) && (exclusiveMinimum === undefined || minimum === undefined)) return '[1-9] [0-9]{0,14}';
      if (this.#lenient || (far(minimum, -1) && far(exclusiveMinimum, -1))) return kind;
    }
    throw refuse(at, 'has bounds of a number that are not supported here');
  }

  #array(schema: Schema, at: Place): string {
    const item = schema.items === undefined ? 'value' : this.#name(this.#any(schema.items, within(at, 'items')));
    const least = this.#count(schema, 'minItems', at) ?? 0;
    const most = this.#count(schema, 'maxItems', at);
    if (most !== undefined && most < least) throw refuse(at, 'has a maxItems below its minItems');
    if (most === 0) return '"[" ws "]"';
    const more = this.#times(this.#name(`ws "," ws ${item}`), Math.max(0, least - 1), most === undefined ? null : most - 1);
    return least > 0 ? `"[" ws ${item} ${more} ws "]"` : `"[" ws (${item} ${more})? ws "]"`;
  }

  #object(schema: Schema, at: Place): string {
    const { properties = {}, required = [], additionalProperties } = schema;
    if (!isObject(properties)) throw refuse(at, 'has properties that are no object');
    if (!Array.isArray(required) || !required.every((name) => typeof name === 'string')) throw refuse(at, 'has a member "required" that is no list of names');
    if (additionalProperties !== undefined && typeof additionalProperties !== 'boolean' && !isObject(additionalProperties)) throw refuse(at, 'has additionalProperties that are no schema');
    const missing = [...new Set(required as readonly string[])].filter((name) => !Object.hasOwn(properties, name));
    if (additionalProperties === false && missing.length > 0) throw refuse(at, `requires ${JSON.stringify(missing[0]?.slice(0, 50))}, which it does not allow`);
    const others = isObject(additionalProperties) ? additionalProperties : true;
    const names = [...Object.keys(properties), ...missing];
    if (names.length === 0) {
      if (additionalProperties === false) return '"{" ws "}"';
      const value = others === true ? 'value' : this.#name(this.#any(others, within(at, 'additionalProperties')));
      return `"{" ws (string ws ":" ws ${value} (ws "," ws string ws ":" ws ${value})*)? ws "}"`;
    }
    const pairs = names.map((name) => {
      const value = this.#any(Object.hasOwn(properties, name) ? properties[name] : others, within(at, `properties.${name}`));
      return { pair: this.#name(`${literal(JSON.stringify(name))} ws ":" ws ${this.#name(value)}`), needed: required.includes(name) };
    });
    return `"{" ws ${this.#members(pairs)} ws "}"`;
  }

  /** Members in their order, from the last one: after another member, and as the first one. */
  #members(pairs: readonly { readonly pair: string; readonly needed: boolean }[]): string {
    let after = '""';
    let first = '""';
    for (const { pair, needed } of pairs.toReversed()) {
      const alone = `${pair} ${after}`;
      const next = needed ? `ws "," ws ${alone}` : `(ws "," ws ${pair})? ${after}`;
      first = this.#name(needed ? alone : `${alone} | ${first}`);
      after = this.#name(next);
    }
    return first;
  }

  #literals(values: unknown, schema: Schema, keywords: readonly string[], at: Place): string {
    if (!Array.isArray(values) || values.length === 0 || values.length > MAX_ALTERNATIVES) throw refuse(at, `has an enum that is not 1 to ${MAX_ALTERNATIVES} values`);
    this.#only(schema, keywords, at);
    const types = schema.type === undefined ? null : Array.isArray(schema.type) ? schema.type : [schema.type];
    const fitting = values.filter((value) => types === null || types.some((type) => isOfType(value, type)));
    if (fitting.length === 0) throw refuse(at, 'has no value of its type');
    return fitting.map((value) => literal(jsonOf(value, at))).join(' | ');
  }

  #combined(keyword: 'anyOf' | 'oneOf' | 'allOf', schema: Schema, at: Place): string {
    const branches = schema[keyword];
    if (!Array.isArray(branches) || branches.length === 0 || branches.length > MAX_ALTERNATIVES) throw refuse(at, `has a member "${keyword}" that is no list of schemas`);
    this.#only(schema, [keyword], at);
    if (keyword === 'allOf' && branches.length > 1 && !this.#lenient) throw refuse(at, 'has an allOf of several schemas, which is not supported here');
    if (keyword === 'oneOf' && !this.#lenient && !areDisjoint(branches, at)) throw refuse(at, 'has a oneOf whose schemas may overlap, which is not supported here; use anyOf');
    const used: readonly unknown[] = keyword === 'allOf' ? branches.slice(0, 1) : branches;
    return used.map((branch, index) => this.#name(this.#any(branch, deeper(at, `${keyword}.${index}`)))).join(' | ');
  }

  #ref(ref: string, schema: Schema, at: Place): string {
    this.#only(schema, ['$ref'], at);
    const names = this.#refs.get(at.root) ?? new Map<string, string>();
    this.#refs.set(at.root, names);
    const known = names.get(ref);
    if (known !== undefined) return this.#refersTo(known, at);
    if (!/^#(\/|$)/.test(ref)) throw refuse(at, 'refers to another document');
    let target: unknown = at.root;
    for (const step of ref.split('/').slice(1)) {
      const name = unescaped(step, at).replaceAll('~1', '/').replaceAll('~0', '~');
      target = isObject(target) && Object.hasOwn(target, name) ? target[name] : undefined;
    }
    if (target === undefined) throw refuse(at, `refers to ${JSON.stringify(ref.slice(0, 80))}, which is not there`);
    // Named before it is made, because it may refer to itself.
    const name = `d${this.#rules.size}`;
    names.set(ref, name);
    this.#add(name, '');
    this.#add(name, this.#any(target, { ...deeper(at, ref), begins: name }));
    return this.#refersTo(name, at);
  }

  #refersTo(name: string, { begins }: Place): string {
    if (begins !== null) this.#beginnings.set(begins, (this.#beginnings.get(begins) ?? new Set()).add(name));
    return name;
  }

  #count(schema: Schema, keyword: string, at: Place): number | undefined {
    const value = schema[keyword];
    if (value === undefined) return undefined;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > MAX_COUNT) throw refuse(at, `has a ${keyword} that is no whole number from 0 to ${MAX_COUNT}`);
    return value;
  }

  /** Refuses keywords that would be ignored. */
  #only(schema: Schema, keywords: readonly string[], at: Place): void {
    if (this.#lenient) return;
    const other = Object.keys(schema).find((keyword) => !keywords.includes(keyword) && !ANNOTATIONS.includes(keyword));
    if (other !== undefined) throw refuse(at, `has the keyword ${JSON.stringify(other.slice(0, 50))}, which is not supported here`);
  }
}

const rule = ([name, right]: readonly [string, string]): string => `${name} ::= ${right}`;
