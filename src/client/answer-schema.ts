// Answers that must be JSON of a given JSON Schema: the schema is compiled strictly before anything is asked, and each answer is
// judged here, whatever the node promised. Dialects: 2020-12, and draft-07 where "$schema" says so.
// Refuses schemas with unknown keywords or formats, references to other documents, and answers that are anything but the value.
import { isIP } from 'node:net';
import { Ajv } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { EngineError, UsageError } from '../core/errors.ts';
import type { ErrorObject } from 'ajv';

/** Largest schema in bytes, and longest answer in UTF-16 units that is judged. */
export const MAX_SCHEMA_BYTES = 256 * 1024;
const MAX_ANSWER_LENGTH = 4 * 1024 * 1024;
const MAX_NAME = 64;
const DRAFT_07 = 'http://json-schema.org/draft-07/schema';

export interface AnswerSchema {
  /** As sent with the request: letters, digits, - and _ only. */
  readonly name: string;
  readonly schema: Readonly<Record<string, unknown>>;
  /** The value of an answer that fits. Throws EngineError `E_ANSWER`, which quotes no part of the answer but names of members. */
  read(answer: string): unknown;
}

const dateTime = (text: string): boolean => /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/.test(text) && !Number.isNaN(Date.parse(text));
const FORMATS: Readonly<Record<string, (text: string) => boolean>> = {
  'date-time': dateTime,
  date: (text) => /^\d{4}-\d\d-\d\d$/.test(text) && dateTime(`${text}T00:00:00Z`),
  time: (text) => dateTime(`2000-01-01T${text}`),
  uuid: (text) => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text),
  email: (text) => /^[^\s@]{1,64}@[^\s@]{1,255}$/.test(text),
  uri: (text) => URL.canParse(text),
  ipv4: (text) => isIP(text) === 4,
  ipv6: (text) => isIP(text) === 6,
};

/** Compiles the schema in `bytes`. `from` names it in errors and gives it its name. Throws UsageError. */
export function parseAnswerSchema(bytes: Uint8Array, from: string): AnswerSchema {
  const refuse = (why: string, cause?: unknown): UsageError => new UsageError('E_USAGE', `cannot use the schema "${from}": ${why}`, cause === undefined ? {} : { cause });
  let schema: unknown;
  try {
    schema = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw refuse('expected JSON in UTF-8', cause);
  }
  if (!isObject(schema)) throw refuse('expected a JSON object');
  const judge = compile(schema, refuse);
  return {
    name: nameOf(from), schema,
    read(answer) {
      if (answer.length > MAX_ANSWER_LENGTH) throw unfit(`it is longer than ${MAX_ANSWER_LENGTH} characters`);
      let value: unknown;
      try {
        value = JSON.parse(answer);
      } catch (cause) {
        throw unfit('it is not JSON', cause);
      }
      if (judge(value)) return value;
      const [error] = judge.errors ?? [];
      throw unfit(error === undefined ? 'it does not fit' : describe(error));
    },
  };
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);

interface Judge {
  (value: unknown): boolean;
  errors?: ErrorObject[] | null;
}

function compile(schema: Record<string, unknown>, refuse: (why: string, cause: unknown) => UsageError): Judge {
  const options = { strict: true, strictTypes: false, strictRequired: false, allErrors: false, logger: false, formats: { ...FORMATS } } as const;
  const isDraft07 = typeof schema['$schema'] === 'string' && schema['$schema'].replace(/#$/, '') === DRAFT_07;
  try {
    const judge = (isDraft07 ? new Ajv(options) : new Ajv2020(options)).compile(schema);
    // A schema that answers with a promise would let every answer pass.
    if ('$async' in judge) throw new Error('"$async" is not supported');
    return judge as Judge;
  } catch (cause) {
    throw refuse(cause instanceof Error ? cause.message : String(cause), cause);
  }
}

const unfit = (why: string, cause?: unknown): EngineError =>
  new EngineError('E_ANSWER', `the answer does not fit the schema: ${why}`, { ...(cause === undefined ? {} : { cause }), hint: 'ask again, raise --max-tokens if the answer was cut, or use a model that follows schemas' });

function describe({ instancePath, message, keyword, params }: ErrorObject): string {
  const where = instancePath === '' ? 'the value' : instancePath.slice(0, 200);
  const named: unknown = keyword === 'additionalProperties' ? params['additionalProperty'] : keyword === 'unevaluatedProperties' ? params['unevaluatedProperty'] : undefined;
  return `${where} ${message ?? 'does not fit'}${named === undefined ? '' : ` (${JSON.stringify(named).slice(0, 100)})`}`;
}

const nameOf = (from: string): string => {
  const base = from.slice(Math.max(from.lastIndexOf('/'), from.lastIndexOf('\\')) + 1).replace(/\.json$/i, '');
  return base.replace(/[^A-Za-z0-9_-]/g, '_').slice(0, MAX_NAME) || 'answer';
};
