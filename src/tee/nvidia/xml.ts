// A reader for the small part of XML (1.0 with namespaces) that reference manifests use, into a tree that can be
// canonicalised. Refuses document types, processing instructions, comments, CDATA, entities other than the predefined ones,
// `xml:` attributes, undeclared prefixes, repeated attributes, characters beyond the basic plane, and inputs out of bounds.
import type { AttestationError } from '../../core/errors.ts';
import { malformed } from '../refusal.ts';

export const MAX_XML_CHARACTERS = 524_288;
const MAX_DEPTH = 16;
const MAX_ELEMENTS = 4096;
const MAX_ATTRIBUTES = 64;

/** Declared namespaces by prefix; the default one under the empty prefix. */
export type XmlScope = ReadonlyMap<string, string>;

export interface XmlAttribute {
  /** With prefix, as written. */
  readonly name: string;
  readonly local: string;
  readonly prefix: string;
  /** Empty without a prefix. */
  readonly namespace: string;
  readonly value: string;
}

export interface XmlElement {
  readonly name: string;
  readonly local: string;
  readonly prefix: string;
  readonly namespace: string;
  readonly attributes: readonly XmlAttribute[];
  /** Every namespace in scope here. */
  readonly scope: XmlScope;
  readonly children: readonly (XmlElement | string)[];
}

const DECLARATION = /^<\?xml version="1\.0"(?: encoding="(?:UTF-8|utf-8)")?(?: standalone="(?:yes|no)")?\?>/;
const NAME = '[A-Za-z_][A-Za-z0-9._-]*(?::[A-Za-z_][A-Za-z0-9._-]*)?';
const OPEN = new RegExp(`<(${NAME})`, 'y');
const ATTRIBUTE = new RegExp(`[ \\t\\n]+(${NAME})[ \\t\\n]*=[ \\t\\n]*(?:"([^"<]*)"|'([^'<]*)')`, 'y');
const OPEN_END = /[ \t\n]*(\/?)>/y;
const CLOSE = new RegExp(`</(${NAME})[ \\t\\n]*>`, 'y');
const TEXT = /[^<]+/y;
const REFERENCE = /&([^;&]{0,8});?/g;
const REFERENCES = new Map([['amp', '&'], ['lt', '<'], ['gt', '>'], ['quot', '"'], ['apos', '\''], ['#9', '\t'], ['#x9', '\t'], ['#10', '\n'], ['#xA', '\n'], ['#13', '\r'], ['#xD', '\r']]);

/** An element whose end has not been reached. */
interface OpenElement extends XmlElement {
  readonly children: (XmlElement | string)[];
}

/** Parses a whole document into its root element. Throws AttestationError E_EVIDENCE_MALFORMED. */
export function parseXml(text: string, what: string): XmlElement {
  if (text.length > MAX_XML_CHARACTERS) throw malformed(`${what} has ${text.length} characters, expected at most ${MAX_XML_CHARACTERS}`);
  if (/[^\t\n\r\x20-\uD7FF\uE000-\uFFFD]/.test(text)) throw malformed(`${what} has characters that do not belong in text`);
  return new Reader(text.replace(/\r\n?/g, '\n').replace(DECLARATION, ''), what).document();
}

class Reader {
  readonly #text: string;
  readonly #what: string;
  #position = 0;
  #elements = 0;

  constructor(text: string, what: string) {
    this.#text = text;
    this.#what = what;
  }

  document(): XmlElement {
    this.#space();
    const start = this.#open(new Map());
    if (!start.empty) this.#content(start.element);
    this.#space();
    if (this.#position !== this.#text.length) throw this.#error('expected nothing after the root element');
    return start.element;
  }

  /** Everything up to the end of `root`, without recursion. */
  #content(root: OpenElement): void {
    const stack: OpenElement[] = [root];
    for (let current = stack.at(-1); current !== undefined; current = stack.at(-1)) {
      const text = this.#match(TEXT)?.[0];
      if (text !== undefined) {
        if (text.includes(']]>')) throw this.#error('has "]]>" in text');
        current.children.push(this.#resolve(text));
      }
      const close = this.#match(CLOSE);
      if (close !== null) {
        if (close[1] !== current.name) throw this.#error(`ends <${current.name}> with </${close[1]}>`);
        stack.pop();
        continue;
      }
      const { element, empty } = this.#open(current.scope);
      current.children.push(element);
      if (empty) continue;
      if (stack.length === MAX_DEPTH) throw this.#error(`is nested deeper than ${MAX_DEPTH} levels`);
      stack.push(element);
    }
  }

  #open(outer: XmlScope): { element: OpenElement; empty: boolean } {
    const name = this.#match(OPEN)?.[1];
    if (name === undefined) throw this.#error('expected an element (document types, processing instructions, comments and CDATA are not accepted)');
    this.#elements += 1;
    if (this.#elements > MAX_ELEMENTS) throw this.#error(`has more than ${MAX_ELEMENTS} elements`);
    const written = new Map<string, string>();
    for (let match = this.#match(ATTRIBUTE); match !== null; match = this.#match(ATTRIBUTE)) {
      const [, attribute = '', double, single = ''] = match;
      if (written.has(attribute)) throw this.#error(`has the attribute ${attribute} twice`);
      if (written.size === MAX_ATTRIBUTES) throw this.#error(`has an element with more than ${MAX_ATTRIBUTES} attributes`);
      // Attribute values are normalised: literal white space counts as a space, a reference to it as itself.
      written.set(attribute, this.#resolve((double ?? single).replace(/[\t\n]/g, ' ')));
    }
    const end = this.#match(OPEN_END);
    if (end === null) throw this.#error(`has a start of <${name}> that is not understood`);
    return { element: this.#element(name, written, outer), empty: end[1] === '/' };
  }

  #element(name: string, written: ReadonlyMap<string, string>, outer: XmlScope): OpenElement {
    const scope = this.#scope(written, outer);
    const attributes: XmlAttribute[] = [];
    let prefixed: Set<string> | null = null;
    for (const [attribute, value] of written) {
      if (isDeclaration(attribute)) continue;
      const { prefix, local } = split(attribute);
      const namespace = prefix === '' ? '' : this.#namespace(prefix, scope);
      if (prefix !== '') {
        const key = `${namespace} ${local}`;
        if (prefixed?.has(key)) throw this.#error(`has the attribute ${attribute} twice, under two prefixes`);
        prefixed = (prefixed ?? new Set<string>()).add(key);
      }
      attributes.push({ name: attribute, prefix, local, namespace, value });
    }
    const { prefix, local } = split(name);
    return { name, prefix, local, namespace: this.#namespace(prefix, scope), attributes, scope, children: [] };
  }

  #scope(written: ReadonlyMap<string, string>, outer: XmlScope): XmlScope {
    let scope: Map<string, string> | null = null;
    for (const [name, uri] of written) {
      if (!isDeclaration(name)) continue;
      const prefix = name === 'xmlns' ? '' : split(name).local;
      if (prefix === 'xml' || prefix === 'xmlns' || (prefix !== '' && uri === '')) throw this.#error(`declares the namespace ${name}="${uri.slice(0, 64)}"`);
      // Names sort by their bytes when canonicalised, which only for ASCII is how strings compare.
      if (!/^[\x21-\x7e]*$/.test(uri)) throw this.#error('declares a namespace that is not plain ASCII');
      scope ??= new Map(outer);
      scope.set(prefix, uri);
    }
    return scope ?? outer;
  }

  #namespace(prefix: string, scope: XmlScope): string {
    const uri = scope.get(prefix);
    if (uri === undefined && prefix !== '') throw this.#error(`uses the prefix ${prefix}, which is not declared`);
    return uri ?? '';
  }

  #resolve(text: string): string {
    if (!text.includes('&')) return text;
    return text.replace(REFERENCE, (whole, name: string) => {
      const character = whole.endsWith(';') ? REFERENCES.get(name) : undefined;
      if (character === undefined) throw this.#error('has a reference to something else than a predefined character');
      return character;
    });
  }

  #match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#position;
    const match = pattern.exec(this.#text);
    if (match !== null) this.#position = pattern.lastIndex;
    return match;
  }

  #space(): void {
    this.#match(/[ \t\n]*/y);
  }

  #error(problem: string): AttestationError {
    return malformed(`${this.#what}, character ${this.#position}, ${problem}`);
  }
}

const isDeclaration = (name: string): boolean => name === 'xmlns' || name.startsWith('xmlns:');

function split(name: string): { prefix: string; local: string } {
  const colon = name.indexOf(':');
  return colon < 0 ? { prefix: '', local: name } : { prefix: name.slice(0, colon), local: name.slice(colon + 1) };
}
