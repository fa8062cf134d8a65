// JSON as a strict receiver takes it: one value, valid UTF-8, no member twice. JSON.parse keeps the last of two members of a name,
// and two programs that keep different ones read different requests.
import { RemoteError } from '../../core/errors.ts';

const MAX_DEPTH = 64;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };
export type JsonObject = { readonly [name: string]: Json };

const refused = (why: string): RemoteError => new RemoteError(621, `the JSON ${why}`);

/** The object in `bytes`. Throws RemoteError 621. */
export function parseStrictObject(bytes: Uint8Array): JsonObject {
  let text: string;
  let value: Json;
  try {
    text = utf8.decode(bytes);
    value = JSON.parse(text) as Json;
  } catch {
    throw refused('is not valid');
  }
  refuseRepeatedMembers(text);
  if (!isObject(value)) throw refused('is not an object');
  return value;
}

export const isObject = (value: Json | undefined): value is JsonObject => typeof value === 'object' && value !== null && !Array.isArray(value);

/** `text` is valid JSON: only strings and brackets have to be told apart. */
function refuseRepeatedMembers(text: string): void {
  const open: (Set<string> | null)[] = [];
  const token = /["{}[\]]/g;
  for (let match = token.exec(text); match !== null; match = token.exec(text)) {
    const [found] = match;
    if (found === '{' || found === '[') {
      if (open.length >= MAX_DEPTH) throw refused(`is nested deeper than ${MAX_DEPTH}`);
      open.push(found === '{' ? new Set() : null);
    } else if (found === '}' || found === ']') {
      open.pop();
    } else {
      token.lastIndex = endOfString(text, token.lastIndex);
      if (!isMemberName(text, token.lastIndex)) continue;
      const name = JSON.parse(text.slice(match.index, token.lastIndex)) as string;
      const names = open.at(-1);
      if (names?.has(name) === true) throw refused('has a member twice');
      names?.add(name);
    }
  }
}

/** Behind the quote that ends the string. No pattern over all of it: those need a stack, which a few megabytes fill. */
function endOfString(text: string, start: number): number {
  let at = start;
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at + 1;
}

/** True when a colon follows, which is so after names only. */
function isMemberName(text: string, at: number): boolean {
  const after = /[^\s]/g;
  after.lastIndex = at;
  return after.exec(text)?.[0] === ':';
}
