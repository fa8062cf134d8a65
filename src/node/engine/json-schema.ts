// JSON schemas as requests bring them: where one is looked at, how it is refused, and what can be said of its values without a grammar.
// What is nested too deeply for this program, or no URI, is refused by its place.
import { badRequest } from '../../openai/errors.ts';
import type { ApiError } from '../../openai/errors.ts';

export type Schema = Readonly<Record<string, unknown>>;

export interface Place {
  readonly root: unknown;
  readonly param: string;
  readonly depth: number;
  /** The rule of a `$ref` that begins here; null where some character of it has come before. */
  readonly begins: string | null;
}

export const deeper = (at: Place, step: string): Place => ({ ...at, param: `${at.param}.${step}`.slice(0, 200), depth: at.depth + 1 });
export const within = (at: Place, step: string): Place => ({ ...deeper(at, step), begins: null });
export const refuse = ({ param }: Place, what: string): ApiError => badRequest(`schema '${param}' in request ${what}`, { param, code: 'invalid_schema' });
export const isObject = (value: unknown): value is Schema => typeof value === 'object' && value !== null && !Array.isArray(value);

/** JSON of a value that came as JSON. */
export function jsonOf(value: unknown, at: Place): string {
  try {
    return JSON.stringify(value);
  } catch {
    throw refuse(at, 'has a value that is nested too deeply');
  }
}

/** A step of a `$ref`, which is part of a URI. */
export function unescaped(step: string, at: Place): string {
  try {
    return decodeURIComponent(step);
  } catch {
    throw refuse(at, 'has a $ref that is no URI');
  }
}

export function isOfType(value: unknown, type: unknown): boolean {
  if (type === 'null') return value === null;
  if (type === 'array') return Array.isArray(value);
  if (type === 'object') return isObject(value);
  if (type === 'integer') return Number.isInteger(value);
  return typeof value === type;
}

/** True when no value can be valid by two of the schemas: of different types, or with a constant of the same required property. */
export function areDisjoint(branches: readonly unknown[], at: Place): boolean {
  const schemas = branches.filter(isObject);
  if (schemas.length < branches.length) return false;
  const types = schemas.map(({ type }) => type);
  const plain = types.every((type) => typeof type === 'string') && !(types.includes('integer') && types.includes('number'));
  if (plain && new Set(types).size === types.length) return true;
  const tags = schemas.map(({ properties, required }) => (isObject(properties) && Array.isArray(required)
    ? new Map(Object.entries(properties).flatMap(([name, schema]) => (isObject(schema) && 'const' in schema && required.includes(name) ? [[name, jsonOf(schema.const, at)] as const] : [])))
    : new Map<string, string>()));
  return [...(tags[0]?.keys() ?? [])].some((name) => {
    const values = tags.map((tag) => tag.get(name));
    return !values.includes(undefined) && new Set(values).size === values.length;
  });
}
