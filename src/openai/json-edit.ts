// Edits members of a JSON object as text: what is not named stays byte for byte, in its order and number format, so that
// a request passed on is the request that was sent. Refuses anything but one JSON object, and members that appear twice.
import { badRequest } from './errors.ts';

export interface JsonEdit {
  /** Members to take out. */
  readonly remove?: readonly string[];
  /** Members to write, at the end; a member of that name is taken out first. Values go through JSON.stringify. */
  readonly set?: Readonly<Record<string, string | number | boolean>>;
}

interface Member {
  readonly name: string;
  /** Offsets of the member's text, from the quote of its name to the end of its value. */
  readonly start: number;
  readonly end: number;
}

/** `text` with the members of its outermost object edited. Throws ApiError (400) unless it is one JSON object. */
export function editJsonObject(text: string, edit: JsonEdit): string {
  const members = topLevelMembers(text);
  const taken = new Set([...(edit.remove ?? []), ...Object.keys(edit.set ?? {})]);
  const kept = members.filter((member) => !taken.has(member.name)).map((member) => text.slice(member.start, member.end));
  const added = Object.entries(edit.set ?? {}).map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`);
  return `{${[...kept, ...added].join(',')}}`;
}

/** Members of the outermost object of valid JSON text. */
function topLevelMembers(text: string): Member[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw badRequest('request body is not valid JSON', { code: 'invalid_json' });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw badRequest('request body is not a JSON object', { code: 'invalid_json' });
  }
  // From here on the text is known to be valid, so brackets and strings are all that has to be followed.
  const members: Member[] = [];
  const names = new Set<string>();
  let at = text.indexOf('{') + 1;
  for (;;) {
    const start = text.indexOf('"', at);
    if (start < 0) break;
    const nameEnd = stringEnd(text, start);
    const name = String(JSON.parse(text.slice(start, nameEnd)));
    const end = valueEnd(text, text.indexOf(':', nameEnd) + 1);
    if (names.has(name)) throw badRequest(`member '${name.slice(0, 100)}' appears twice in request`, { param: name.slice(0, 100), code: 'invalid_json' });
    names.add(name);
    members.push({ name, start, end: start + text.slice(start, end).trimEnd().length });
    at = end + 1;
  }
  return members;
}

/** Offset behind the string that begins at `start`. */
function stringEnd(text: string, start: number): number {
  let at = start + 1;
  while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at + 1;
}

/** Offset of the comma or brace that ends the value which begins at or after `start`. */
function valueEnd(text: string, start: number): number {
  let depth = 0;
  for (let at = start; ; at += 1) {
    const character = text[at];
    if (character === '"') at = stringEnd(text, at) - 1;
    else if (character === '{' || character === '[') depth += 1;
    else if (depth === 0 && (character === ',' || character === '}')) return at;
    else if (character === '}' || character === ']') depth -= 1;
  }
}
