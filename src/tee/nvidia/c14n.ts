// Canonical XML of the trees that xml.ts reads: inclusive (1.0 and 1.1 agree on what is left without `xml:` attributes) and
// exclusive without a prefix list. One element can be left out, as the enveloped-signature transform does.
import type { XmlAttribute, XmlElement, XmlScope } from './xml.ts';

export type Canonicalisation = 'inclusive' | 'exclusive';

const ALGORITHMS = new Map<string, Canonicalisation>([
  ['http://www.w3.org/TR/2001/REC-xml-c14n-20010315', 'inclusive'], ['http://www.w3.org/2006/12/xml-c14n11', 'inclusive'], ['http://www.w3.org/2001/10/xml-exc-c14n#', 'exclusive'],
]);

/** Kind of a canonicalisation algorithm by its URI, or null for another one (those with comments among them). */
export const canonicalisationOf = (uri: string): Canonicalisation | null => ALGORITHMS.get(uri) ?? null;

/** UTF-8 bytes of `element` and what is in it, without `omitted`. */
export function canonicalise(element: XmlElement, kind: Canonicalisation, omitted: XmlElement | null = null): Uint8Array {
  const out: string[] = [];
  render(element, kind, omitted, null, new Map(), out);
  return Buffer.from(out.join(''), 'utf8');
}

/** `parent`: the element around it in the output; `rendered`: namespaces that an ancestor in the output has declared. Depth is bounded by the reader. */
function render(element: XmlElement, kind: Canonicalisation, omitted: XmlElement | null, parent: XmlElement | null, rendered: XmlScope, out: string[]): void {
  out.push('<', element.name);
  // Inclusive canonicalisation has declared all of a scope at the element around.
  const declared = kind === 'inclusive' && parent?.scope === element.scope ? rendered : declare(element, kind, rendered, out);
  for (const { name, value } of element.attributes.length < 2 ? element.attributes : element.attributes.toSorted(byNamespaceAndName)) out.push(' ', name, '="', escapeValue(value), '"');
  out.push('>');
  for (const child of element.children) {
    if (typeof child === 'string') out.push(escapeText(child));
    else if (child !== omitted) render(child, kind, omitted, element, declared, out);
  }
  out.push('</', element.name, '>');
}

/** Writes the declarations that are new here. Returns all that are in force below. */
function declare(element: XmlElement, kind: Canonicalisation, rendered: XmlScope, out: string[]): XmlScope {
  // Copied once for all of an element's: each may stand in a hundred elements that repeat a thousand of them.
  let declared: Map<string, string> | null = null;
  for (const prefix of prefixesOf(element, kind)) {
    const uri = element.scope.get(prefix) ?? '';
    if ((rendered.get(prefix) ?? '') === uri) continue;
    declared ??= new Map(rendered);
    declared.set(prefix, uri);
    out.push(prefix === '' ? ' xmlns="' : ` xmlns:${prefix}="`, escapeValue(uri), '"');
  }
  return declared ?? rendered;
}

/** Sorted, the default one first. Exclusive canonicalisation writes only those that the element or its attributes use. */
function prefixesOf({ scope, prefix, attributes }: XmlElement, kind: Canonicalisation): string[] {
  const used = kind === 'inclusive' ? scope.keys() : [prefix, ...attributes.map((attribute) => attribute.prefix).filter((name) => name !== '')];
  return [...new Set(used)].sort();
}

const order = (a: string, b: string): number => (a < b ? -1 : Number(a > b));
const byNamespaceAndName = (a: XmlAttribute, b: XmlAttribute): number => order(a.namespace, b.namespace) || order(a.local, b.local);

const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', '\t': '&#x9;', '\n': '&#xA;', '\r': '&#xD;' };
/** Most texts have nothing to escape, and looking is cheaper than replacing. */
const escapeText = (text: string): string => (!/[&<>\r]/.test(text) ? text : text.replace(/[&<>\r]/g, (character) => ESCAPES[character] ?? ''));
const escapeValue = (text: string): string => (!/[&<"\t\n\r]/.test(text) ? text : text.replace(/[&<"\t\n\r]/g, (character) => ESCAPES[character] ?? ''));
