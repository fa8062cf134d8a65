// A reader of the grammars that are made of JSON schemas, by itself and not llama.cpp's: it draws texts that a grammar allows, so that
// they can be held against the schema. Knows literals, classes, rules, groups, alternatives and repetitions.

type Node =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'class'; readonly allowed: readonly string[] }
  | { readonly kind: 'rule'; readonly name: string }
  | { readonly kind: 'any'; readonly of: readonly Node[] }
  | { readonly kind: 'all'; readonly of: readonly Node[] }
  | { readonly kind: 'times'; readonly of: Node; readonly least: number; readonly most: number };

const PRINTABLE = Array.from({ length: 95 }, (_, index) => String.fromCharCode(32 + index));
const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t' };

class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  all(): Node {
    const node = this.#alternatives();
    if (this.#at < this.#text.length) throw new Error(`cannot read ${this.#text.slice(this.#at, this.#at + 40)}`);
    return node;
  }

  #alternatives(): Node {
    const of = [this.#sequence()];
    while (this.#take('|')) of.push(this.#sequence());
    const [only] = of;
    return of.length === 1 && only !== undefined ? only : { kind: 'any', of };
  }

  #sequence(): Node {
    const of: Node[] = [];
    for (;;) {
      this.#blank();
      const next = this.#text[this.#at];
      if (next === undefined || next === '|' || next === ')') return { kind: 'all', of };
      of.push(this.#repeated(this.#one()));
    }
  }

  #one(): Node {
    if (this.#take('(')) {
      const inner = this.#alternatives();
      if (!this.#take(')')) throw new Error('a group without an end');
      return inner;
    }
    if (this.#take('"')) return { kind: 'text', text: this.#until('"').join('') };
    if (this.#take('[')) return this.#class();
    const name = /^[a-z][a-z0-9-]*/.exec(this.#text.slice(this.#at))?.[0];
    if (name === undefined) throw new Error(`cannot read ${this.#text.slice(this.#at, this.#at + 40)}`);
    this.#at += name.length;
    return { kind: 'rule', name };
  }

  #repeated(of: Node): Node {
    const match = /^(?:[?*+]|\{(\d+)(,?)(\d*)\})/.exec(this.#text.slice(this.#at));
    if (match === null) return of;
    this.#at += match[0].length;
    const [sign, least = '', comma, most = ''] = match;
    if (sign === '?') return { kind: 'times', of, least: 0, most: 1 };
    if (sign === '*' || sign === '+') return { kind: 'times', of, least: sign === '+' ? 1 : 0, most: Infinity };
    return { kind: 'times', of, least: Number(least), most: comma === '' ? Number(least) : most === '' ? Infinity : Number(most) };
  }

  #class(): Node {
    const negative = this.#text[this.#at] === '^';
    if (negative) this.#at += 1;
    const listed = this.#until(']');
    const named = new Set<string>();
    for (let index = 0; index < listed.length; index += 1) {
      const character = listed[index] ?? '';
      const to = listed[index + 1] === '-' ? listed[index + 2] : undefined;
      if (to !== undefined) index += 2;
      for (let code = character.charCodeAt(0); code <= (to ?? character).charCodeAt(0); code += 1) named.add(String.fromCharCode(code));
    }
    return { kind: 'class', allowed: negative ? PRINTABLE.filter((character) => !named.has(character)) : [...named] };
  }

  /** Characters up to `end`, read as they are meant. */
  #until(end: string): string[] {
    const found: string[] = [];
    for (;;) {
      const next = this.#text[this.#at];
      if (next === undefined) throw new Error(`no ${end}`);
      this.#at += 1;
      if (next === end) return found;
      if (next !== '\\') {
        found.push(next);
        continue;
      }
      const escaped = this.#text[this.#at] ?? '';
      this.#at += 1;
      const hex = escaped === 'x' ? this.#text.slice(this.#at, this.#at + 2) : '';
      this.#at += hex.length;
      found.push(hex === '' ? ESCAPES[escaped] ?? escaped : String.fromCharCode(Number.parseInt(hex, 16)));
    }
  }

  #blank(): void {
    while (this.#text[this.#at] === ' ') this.#at += 1;
  }

  #take(sign: string): boolean {
    this.#blank();
    if (this.#text[this.#at] !== sign) return false;
    this.#at += 1;
    return true;
  }
}

/** Texts of a grammar. `choose(n)` gives a whole number below n; deep in a text the shortest way is taken. Throws for a rule that is not there. */
export function createGbnf(grammar: string): { draw(choose: (below: number) => number): string } {
  const rules = new Map(grammar.split('\n').map((line) => {
    const [name = '', right = ''] = line.split(/ ::= (.*)/s);
    return [name, new Reader(right).all()] as const;
  }));
  const ruleOf = (name: string): Node => {
    const found = rules.get(name);
    if (found === undefined) throw new Error(`no rule ${name}`);
    return found;
  };
  for (const node of rules.values()) walk(node, (name) => { ruleOf(name); });
  const heights = heightsOf(rules);

  const draw = (node: Node, choose: (below: number) => number, depth: number): string => {
    switch (node.kind) {
      case 'text': return node.text;
      case 'class': return node.allowed[choose(node.allowed.length)] ?? '';
      case 'rule': return draw(ruleOf(node.name), choose, depth + 1);
      case 'all': return node.of.map((each) => draw(each, choose, depth)).join('');
      case 'any': {
        const shortest = Math.min(...node.of.map((each) => height(each, heights)));
        const open = depth < MAX_DEPTH ? node.of.filter((each) => height(each, heights) < Infinity) : node.of.filter((each) => height(each, heights) === shortest);
        const [first] = open;
        if (first === undefined) throw new Error('nothing can be drawn');
        return draw(open[choose(open.length)] ?? first, choose, depth);
      }
      case 'times': {
        const more = depth < MAX_DEPTH ? choose(Math.min(4, node.most - node.least + 1)) : 0;
        return Array.from({ length: node.least + more }, () => draw(node.of, choose, depth)).join('');
      }
    }
  };
  return { draw: (choose) => draw(ruleOf('root'), choose, 0) };
}

const MAX_DEPTH = 40;

function walk(node: Node, rule: (name: string) => void): void {
  if (node.kind === 'rule') rule(node.name);
  else if (node.kind === 'times') walk(node.of, rule);
  else if (node.kind === 'any' || node.kind === 'all') for (const each of node.of) walk(each, rule);
}

/** Rules deep until a text can end. */
function height(node: Node, heights: ReadonlyMap<string, number>): number {
  switch (node.kind) {
    case 'text': return 0;
    case 'class': return node.allowed.length > 0 ? 0 : Infinity;
    case 'rule': return heights.get(node.name) ?? Infinity;
    case 'times': return node.least === 0 ? 0 : height(node.of, heights);
    case 'any': return Math.min(...node.of.map((each) => height(each, heights)));
    case 'all': return Math.max(0, ...node.of.map((each) => height(each, heights)));
  }
}

function heightsOf(rules: ReadonlyMap<string, Node>): ReadonlyMap<string, number> {
  const heights = new Map<string, number>();
  for (let changed = true; changed;) {
    changed = false;
    for (const [name, node] of rules) {
      const found = 1 + height(node, heights);
      if (found >= (heights.get(name) ?? Infinity)) continue;
      heights.set(name, found);
      changed = true;
    }
  }
  return heights;
}
