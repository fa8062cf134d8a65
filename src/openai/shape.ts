// Checks documents against a schema and refuses by name: the first member that does not fit becomes an ApiError (400) with its
// path, and whether it is unknown, invalid or not supported. Values of the document are never quoted.
import { badRequest } from './errors.ts';
import type { z } from 'zod';
import type { ApiError } from './errors.ts';

/** The value of a body in JSON and UTF-8 that fits `schema`. Throws ApiError (400). */
export function parseBody<T extends z.ZodType>(schema: T, body: Uint8Array): z.infer<T> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    // the parser's own message would quote the prompt
    throw badRequest('request body is not valid JSON in UTF-8', { code: 'invalid_json' });
  }
  return checkShape(schema, value);
}

/** `value` as `schema` reads it. A custom issue with `params.unsupported` is refused as `unsupported_value`. Throws ApiError (400). */
export function checkShape<T extends z.ZodType>(schema: T, value: unknown): z.infer<T> {
  const result = schema.safeParse(value);
  if (!result.success) throw refusal(mostTelling(result.error.issues));
  return result.data;
}

/** The issue to report: within a union, that of the alternative whose outermost type fits. */
function mostTelling(issues: readonly z.core.$ZodIssue[], path: readonly PropertyKey[] = []): z.core.$ZodIssue {
  const issue = issues[0];
  if (issue === undefined) throw new TypeError('a failed parse has at least one issue');
  const full = { ...issue, path: [...path, ...issue.path] };
  if (full.code !== 'invalid_union') return full;
  const fitting = full.errors.find((branch) => branch.length > 0 && !branch.some((i) => i.path.length === 0 && i.code === 'invalid_type'));
  return fitting === undefined ? full : mostTelling(fitting, full.path);
}

function refusal(issue: z.core.$ZodIssue): ApiError {
  if (issue.code === 'unrecognized_keys') {
    const param = [...issue.path, issue.keys[0] ?? ''].join('.');
    return badRequest(`unknown option '${clip(param)}' in request`, { param: clip(param), code: 'unknown_parameter' });
  }
  const param = clip(issue.path.join('.'));
  const unsupported = issue.code === 'custom' && issue.params?.unsupported === true;
  const message = issue.message.charAt(0).toLowerCase() + issue.message.slice(1);
  return badRequest(
    unsupported ? `option '${param}' in request: ${message}` : `invalid value of '${param}' in request: ${message}`,
    { ...(param === '' ? {} : { param }), code: unsupported ? 'unsupported_value' : 'invalid_value' },
  );
}

function clip(text: string): string {
  return text.length <= 100 ? text : `${text.slice(0, 100)}…`;
}
