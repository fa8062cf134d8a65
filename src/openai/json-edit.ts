// Edits members of a JSON object as text: what is not named stays byte for byte, in its order and number format, so that
// a request passed on is the request that was sent. Refuses anything but one JSON object, and members that appear twice.
import { badRequest } from './errors.ts';

export interface JsonEdit {
  /** Members to take out. */
  readonly remove?: readonly string[];
  /** Members to write, at the end; a member of that name is taken out first. Values go through JSON.stringify. */
  readonly set?: Readonly<Record<string, string | number | boolean | object | null>>;
}

interface Member {
  readonly name: string;
  /** Offsets of the member's text, from the quote of its name to the end of its value. */
  readonly start: number;
  readonly end: number;
}

/** One JSON object as text: its parsed members, and the text with some of them edited. */
export interface JsonObjectText {
  /** Parsed members of the outermost object. */
  readonly members: Readonly<Record<string, unknown>>;
  edit(edit: JsonEdit): string;
}

/** `text` with the members of its outermost object edited. Throws ApiError (400) unless it is one JSON object. */
export function editJsonObject(text: string, edit: JsonEdit): string {
  return openJsonObject(text).edit(edit);
}

/** Parses `text`. Throws ApiError (400) unless it is one JSON object without a member that appears twice. */
export function openJsonObject(text: string): JsonObjectText {
  const value = parseObject(text);
  const members = topLevelMembers(text);
  return {
    members: value,
    edit({ remove = [], set = {} }) {
      const taken = new Set([...remove, ...Object.keys(set)]);
      const kept = members.filter((member) => !taken.has(member.name)).map((member) => text.slice(member.start, member.end));
      const added = Object.entries(set).map(([name, written]) => `${JSON.stringify(name)}:${JSON.stringify(written)}`);
      return `{${[...kept, ...added].join(',')}}`;
    },
  };
}

function parseObject(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw badRequest('request body is not valid JSON', { code: 'invalid_json' });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw badRequest('request body is not a JSON object', { code: 'invalid_json' });
  }
  return value as Record<string, unknown>;
}

/** Members of the outermost object. The text is known to be valid, so brackets and strings are all that has to be followed. */
function topLevelMembers(text: string): Member[] {
  const members: Member[] = [];
  const names = new Set<string>();
  let at = text.indexOf('{') + 1;
  for (;;) {
    const start = text.indexOf('"', at);
    if (start < 0) break;
    const nameEnd = stringEnd(text, start);
    const written = text.slice(start + 1, nameEnd - 1);
    const name = written.includes('\\') ? String(JSON.parse(`"${written}"`)) : written;
    const end = valueEnd(text, text.indexOf(':', nameEnd) + 1);
    if (names.has(name)) throw badRequest(`member '${name.slice(0, 100)}' appears twice in request`, { param: name.slice(0, 100), code: 'invalid_json' });
    names.add(name);
    members.push({ name, start, end: start + text.slice(start, end).trimEnd().length });
    at = end + 1;
  }
  return members;
}

const BACKSLASH = 0x5c;
const QUOTE = 0x22;
const COMMA = 0x2c;
const [OPEN_BRACE, CLOSE_BRACE] = [0x7b, 0x7d];
const [OPEN_BRACKET, CLOSE_BRACKET] = [0x5b, 0x5d];

/** Offset behind the string that begins at `start`. Prompts are long strings, so quotes are searched for, not walked to. */
function stringEnd(text: string, start: number): number {
  for (let at = text.indexOf('"', start + 1); ; at = text.indexOf('"', at + 1)) {
    let escape = at;
    while (text.charCodeAt(escape - 1) === BACKSLASH) escape -= 1;
    if ((at - escape) % 2 === 0) return at + 1;
  }
}

/** Offset of the comma or brace that ends the value which begins at or after `start`. */
function valueEnd(text: string, start: number): number {
  let depth = 0;
  for (let at = start; ; at += 1) {
    const character = text.charCodeAt(at);
    if (character === QUOTE) at = stringEnd(text, at) - 1;
    else if (character === OPEN_BRACE || character === OPEN_BRACKET) depth += 1;
    else if (depth === 0 && (character === COMMA || character === CLOSE_BRACE)) return at;
    else if (character === CLOSE_BRACE || character === CLOSE_BRACKET) depth -= 1;
  }
}
