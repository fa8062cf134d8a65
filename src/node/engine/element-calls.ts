// Calls of tools whose arguments are elements and not JSON, as Qwen's coder models write them: within the marks of a call one
// <function=name> with a <parameter=name> for each argument, whose text is the value. A value is JSON where the tool's schema says
// that it is no string. Reads and forces them; what is cut or written otherwise is no call.
import { badRequest } from '../../openai/errors.ts';
import { isObject } from './json-schema.ts';
import { literal } from './json-grammar.ts';
import type { EngineTool, EngineToolCall } from '../engine.ts';
import type { GrammarBuilder } from './json-grammar.ts';

const FUNCTION = /^\s*<function=([A-Za-z0-9_.-]{1,64})>/;
const FUNCTION_END = '</function>';
const PARAMETER = /\s*<parameter=([^>\n]{1,256})>\n?/y;
const PARAMETER_END = '</parameter>';
const NEXT = /\s*(?:<parameter=|$)/y;
const MAX_PARAMETERS = 1_000;

/** The call between two marks; null when it is none of these tools. */
export function readElementCall(body: string, tools: readonly EngineTool[]): EngineToolCall | null {
  const begin = FUNCTION.exec(body);
  const tool = tools.find(({ name }) => name === begin?.[1]);
  const end = body.lastIndexOf(FUNCTION_END);
  if (begin === null || tool === undefined || end < begin[0].length || body.slice(end + FUNCTION_END.length).trim() !== '') return null;
  const values = readValues(body.slice(begin[0].length, end).trimEnd());
  if (values === null) return null;
  const { properties } = tool.parameters;
  const schemas = isObject(properties) ? properties : {};
  const given = [...values].map(([name, text]) => [name, valueOf(text, Object.hasOwn(schemas, name) ? schemas[name] : undefined)] as const);
  return { name: tool.name, arguments: JSON.stringify(Object.fromEntries(given)) };
}

/** Texts by name; null for anything else between them, and for a name that comes twice. */
function readValues(text: string): Map<string, string> | null {
  const values = new Map<string, string>();
  for (let at = 0; at < text.length;) {
    PARAMETER.lastIndex = at;
    const begin = PARAMETER.exec(text);
    const name = begin?.[1];
    if (begin === null || name === undefined || values.has(name) || values.size >= MAX_PARAMETERS) return null;
    const from = at + begin[0].length;
    const to = endOfValue(text, from);
    if (to < 0) return null;
    values.set(name, text.slice(from, to).replace(/\n$/, ''));
    at = to + PARAMETER_END.length;
  }
  return values;
}

/** A value may hold the mark of its end; behind the real one is the next parameter or nothing. */
function endOfValue(text: string, from: number): number {
  for (let end = text.indexOf(PARAMETER_END, from); end >= 0; end = text.indexOf(PARAMETER_END, end + 1)) {
    NEXT.lastIndex = end + PARAMETER_END.length;
    if (NEXT.test(text)) return end;
  }
  return -1;
}

/** True where the text of a value is the string itself: also for parameters that nothing is said of. */
const isText = (schema: unknown): boolean => {
  if (!isObject(schema)) return true;
  const { type, enum: values } = schema;
  return type === 'string' || (type === undefined && Array.isArray(values) && values.every((value) => typeof value === 'string'));
};

function valueOf(text: string, schema: unknown): unknown {
  if (isText(schema)) return text;
  const trimmed = text.trim();
  // As these models have seen it written.
  if (isObject(schema) && schema.type === 'boolean' && /^(true|false)$/i.test(trimmed)) return trimmed.toLowerCase() === 'true';
  try {
    return JSON.parse(trimmed) as unknown;
  } catch {
    return text;
  }
}

/** The grammar of one call of `tool`. Throws ApiError for what cannot be held to a schema that is strict. */
export function elementCallRule(builder: GrammarBuilder, { name, parameters, strict = false }: EngineTool): string {
  const param = `tools.${name}.parameters`;
  const properties = isObject(parameters.properties) ? parameters.properties : {};
  const required: readonly unknown[] = Array.isArray(parameters.required) ? parameters.required : [];
  // The same bounds and refusals as for arguments in JSON.
  if (strict) builder.schema(parameters, param);
  if (strict && required.some((key) => typeof key !== 'string' || !Object.hasOwn(properties, key))) throw refused(param, 'requires what it does not describe');
  const parts = Object.entries(properties).map(([key, schema]) => {
    if (!/^[^>\n]{1,256}$/.test(key)) throw refused(`${param}.properties`, 'has a name that this model cannot write');
    const value = isText(schema) ? textRule(builder, schema, strict, `${param}.properties.${key}`)
      : builder.schema(schema, `${param}.properties.${key}`, { lenient: !strict, root: parameters });
    const part = `${literal(`<parameter=${key}>\n`)} ${value} ${literal(`\n${PARAMETER_END}\n`)}`;
    return required.includes(key) ? part : `(${part})?`;
  });
  return `(${literal(`<tool_call>\n<function=${name}>\n`)} ${parts.join(' ')} ${literal(`${FUNCTION_END}\n</tool_call>`)})`;
}

function textRule(builder: GrammarBuilder, schema: unknown, strict: boolean, param: string): string {
  const values: unknown = isObject(schema) ? 'const' in schema ? [schema.const] : schema.enum : undefined;
  if (Array.isArray(values) && values.length > 0 && values.every((value): value is string => typeof value === 'string' && !value.includes(PARAMETER_END))) {
    return `(${values.map(literal).join(' | ')})`;
  }
  if (strict && isObject(schema) && ['minLength', 'maxLength', 'format', 'enum', 'const'].some((keyword) => keyword in schema)) {
    throw refused(param, 'has a string that this model does not write as JSON, which cannot be held to more than its type');
  }
  return builder.textBefore(PARAMETER_END);
}

const refused = (param: string, why: string) => badRequest(`schema '${param.slice(0, 200)}' in request ${why}`, { param: param.slice(0, 200), code: 'invalid_schema' });
