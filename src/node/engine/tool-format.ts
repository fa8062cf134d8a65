// How models write calls of tools: which of the known ways a chat template teaches, the calls in an answer as it comes, and the
// grammar that forces one. Text that only looks like a call is text; nothing is sent before it is known to be none.
import { readElementCall } from './element-calls.ts';
import type { EngineTool, EngineToolCall, EngineTools } from '../engine.ts';

/** `elements`: Qwen's coder models. `mistral-args`: Mistral's since their eleventh tokenizer, with the name before the arguments. */
export type ToolFormat = 'hermes' | 'elements' | 'mistral' | 'mistral-args' | 'llama3';

interface Marks {
  readonly open: string;
  /** Empty: a call reaches to the end of the answer. */
  readonly close: string;
}

const MARKS: Readonly<Record<ToolFormat, Marks>> = {
  hermes: { open: '<tool_call>', close: '</tool_call>' },
  elements: { open: '<tool_call>', close: '</tool_call>' },
  mistral: { open: '[TOOL_CALLS]', close: '' },
  'mistral-args': { open: '[TOOL_CALLS]', close: '' },
  llama3: { open: '<|python_tag|>', close: '' },
};

/** Text of one call at most; a longer one is passed on as text. */
const MAX_CALL_LENGTH = 1 << 20;
const MAX_CALLS = 128;

/** The way that a template teaches; null when it has none of the known ones. */
export function toolFormatOf(template: string): ToolFormat | null {
  if (!/\btools\b/.test(template)) return null;
  if (template.includes('<tool_call>')) {
    if (template.includes('<function=')) return template.includes('<parameter=') ? 'elements' : null;
    // GLM's models write something else again within the same marks.
    return template.includes('<arg_key>') ? null : 'hermes';
  }
  if (template.includes('[TOOL_CALLS]')) return template.includes('[ARGS]') ? 'mistral-args' : 'mistral';
  if (template.includes('<|python_tag|>') || (template.includes('"parameters"') && template.includes('ipython'))) return 'llama3';
  return null;
}

export interface ToolCallReader {
  /** Text that is certainly no call, and calls that have become whole. The same in any pieces. */
  push(text: string): { readonly text: string; readonly calls: readonly EngineToolCall[] };
  /** What is left when the answer ends. */
  flush(): { readonly text: string; readonly calls: readonly EngineToolCall[] };
}

/** Reads the calls out of one answer. Calls of anything but `tools` are text. */
export function createToolCallReader(format: ToolFormat, tools: readonly EngineTool[]): ToolCallReader {
  const { open, close } = MARKS[format];
  const names = new Set(tools.map(({ name }) => name));
  let held = '';
  /** Where in `held` the end of the call has not been looked for. */
  let unseen = 0;
  /** Within a call: behind its opening mark. */
  let inside = false;
  /** Llama's calls may come without a mark, as the whole answer. */
  let atStart = format === 'llama3';

  /** White space at the beginning, or behind a call, which is text only where other text follows; null within text. */
  let gap: string | null = '';
  let called = false;
  const say = (text: string): string => {
    if (gap === null) return text;
    const all = gap + text;
    gap = all.trim() === '' ? all : null;
    return gap === null ? all : '';
  };

  /** The calls that `body` is, or `all` as text. */
  const finish = (body: string, all: string): { text: string; calls: readonly EngineToolCall[] } => {
    const calls = format === 'elements' ? elementCalls(body, tools) : readCalls(format, body, names);
    if (calls === null) return { text: say(all), calls: [] };
    gap = '';
    called = true;
    return { text: '', calls };
  };

  /** The end of the call within `held`; -1 where it has not come. */
  const endOfCall = (): number => {
    if (close === '') return -1;
    for (;;) {
      const end = held.indexOf(close, unseen);
      if (end < 0) {
        unseen = Math.max(0, held.length - close.length);
        return -1;
      }
      // A value between elements may hold the mark.
      if (format !== 'elements' || held.slice(0, end).trimEnd().endsWith('</function>')) return end;
      unseen = end + close.length;
    }
  };

  const take = (last: boolean): { text: string; calls: readonly EngineToolCall[] } => {
    let text = '';
    const calls: EngineToolCall[] = [];
    for (;;) {
      if (inside) {
        const end = endOfCall();
        if (end < 0 && !last && held.length <= MAX_CALL_LENGTH) return { text, calls };
        const body = end < 0 ? held : held.slice(0, end);
        const whole = finish(body, `${atStart ? '' : open}${body}${end < 0 ? '' : close}`);
        text += whole.text;
        calls.push(...whole.calls);
        held = end < 0 ? '' : held.slice(end + close.length);
        unseen = 0;
        inside = false;
        atStart = false;
        if (held === '') return { text, calls };
      } else if (atStart && held.trimStart().startsWith('{')) {
        inside = true;
      } else {
        if (held.trimStart() !== '') atStart = false;
        const begin = held.indexOf(open);
        if (begin < 0) {
          const keep = last ? 0 : overlap(held, open);
          text += say(held.slice(0, held.length - keep));
          held = held.slice(held.length - keep);
          return { text, calls };
        }
        text += say(held.slice(0, begin));
        held = held.slice(begin + open.length);
        inside = true;
        atStart = false;
      }
    }
  };
  return {
    push(text) {
      held += text;
      return take(false);
    },
    flush() {
      const { text, calls } = take(true);
      const rest = called ? '' : gap ?? '';
      gap = null;
      return { text: text + rest, calls };
    },
  };
}

function elementCalls(body: string, tools: readonly EngineTool[]): readonly EngineToolCall[] | null {
  const call = readElementCall(body, tools);
  return call === null ? null : [call];
}

/** The calls of the text behind a mark; null when it is none. Mistral's models write the mark again before each further call. */
function readCalls(format: ToolFormat, body: string, names: ReadonlySet<string>): readonly EngineToolCall[] | null {
  const whole = readOne(format, body, names);
  if (whole !== null || !format.startsWith('mistral')) return whole;
  const parts = body.split(MARKS[format].open);
  if (parts.length === 1 || parts.length > MAX_CALLS) return null;
  const calls = parts.map((part) => readOne(format, part, names));
  return calls.every((call) => call !== null) ? calls.flat() : null;
}

function readOne(format: ToolFormat, body: string, names: ReadonlySet<string>): readonly EngineToolCall[] | null {
  const named = format.startsWith('mistral') ? /^\s*([A-Za-z0-9_.-]{1,64})(?:\[CALL_ID\][A-Za-z0-9]*)?(?:\[ARGS\])?\s*(\{.*)$/s.exec(body) : null;
  try {
    const value: unknown = named === null ? JSON.parse(body) : { name: named[1], arguments: JSON.parse(named[2] ?? '') as unknown };
    const list: readonly unknown[] = Array.isArray(value) ? value : [value];
    const calls = list.map((call) => readCall(call, names));
    return calls.length > 0 && calls.every((call) => call !== null) ? calls : null;
  } catch {
    return null;
  }
}

function readCall(value: unknown, names: ReadonlySet<string>): EngineToolCall | null {
  if (typeof value !== 'object' || value === null) return null;
  const { name, arguments: given, parameters } = value as Readonly<Record<string, unknown>>;
  const args = given ?? parameters ?? {};
  if (typeof name !== 'string' || !names.has(name)) return null;
  if (typeof args === 'string') return isObjectText(args) ? { name, arguments: args } : null;
  return typeof args === 'object' && !Array.isArray(args) ? { name, arguments: JSON.stringify(args) } : null;
}

function isObjectText(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}

/** Length of the longest end of `text` that is a beginning of `mark`. */
function overlap(text: string, mark: string): number {
  for (let length = Math.min(text.length, mark.length - 1); length > 0; length -= 1) {
    if (text.endsWith(mark.slice(0, length))) return length;
  }
  return 0;
}

/** Texts around the arguments of a forced call, in the way that models write it; arguments that are elements have none. */
export function callFrame(format: Exclude<ToolFormat, 'elements'>, name: string): { readonly before: string; readonly after: string } {
  const quoted = JSON.stringify(name);
  switch (format) {
    case 'hermes': return { before: `<tool_call>\n{"name": ${quoted}, "arguments": `, after: '}\n</tool_call>' };
    case 'mistral': return { before: `[TOOL_CALLS][{"name": ${quoted}, "arguments": `, after: '}]' };
    case 'mistral-args': return { before: `[TOOL_CALLS]${name}[ARGS]`, after: '' };
    case 'llama3': return { before: `{"name": ${quoted}, "parameters": `, after: '}' };
  }
}

/** The tools that an answer may call. */
export const callableTools = ({ tools, choice }: EngineTools) =>
  (typeof choice === 'string' ? tools : tools.filter(({ name }) => name === choice.name));
