// How models write calls of tools: which of the known ways a chat template teaches, the calls in an answer as it comes, and the
// grammar that forces one. Text that only looks like a call is text; nothing is sent before it is known to be none.
import type { EngineToolCall, EngineTools } from '../engine.ts';

export type ToolFormat = 'hermes' | 'mistral' | 'llama3';

interface Marks {
  readonly open: string;
  /** Empty: a call reaches to the end of the answer. */
  readonly close: string;
}

const MARKS: Readonly<Record<ToolFormat, Marks>> = {
  hermes: { open: '<tool_call>', close: '</tool_call>' },
  mistral: { open: '[TOOL_CALLS]', close: '' },
  llama3: { open: '<|python_tag|>', close: '' },
};

/** Text of one call at most; a longer one is passed on as text. */
const MAX_CALL_LENGTH = 1 << 20;

/** The way that a template teaches; null when it has none of the known ones. */
export function toolFormatOf(template: string): ToolFormat | null {
  if (!/\btools\b/.test(template)) return null;
  // Qwen's coder models write parameters as elements within the same marks; that is not read here.
  if (template.includes('<tool_call>')) return template.includes('<function=') ? null : 'hermes';
  if (template.includes('[TOOL_CALLS]')) return 'mistral';
  if (template.includes('<|python_tag|>') || (template.includes('"parameters"') && template.includes('ipython'))) return 'llama3';
  return null;
}

export interface ToolCallReader {
  /** Text that is certainly no call, and calls that have become whole. */
  push(text: string): { readonly text: string; readonly calls: readonly EngineToolCall[] };
  /** What is left when the answer ends. */
  flush(): { readonly text: string; readonly calls: readonly EngineToolCall[] };
}

/** Reads the calls out of one answer. `names`: calls of anything else are text. */
export function createToolCallReader(format: ToolFormat, names: ReadonlySet<string>): ToolCallReader {
  const { open, close } = MARKS[format];
  let held = '';
  /** Within a call: behind its opening mark. */
  let inside = false;
  /** Llama's calls may come without a mark, as the whole answer. */
  let atStart = format === 'llama3';

  /** The whole call that `held` begins with; its text where it is none. */
  const finish = (body: string, mark: string): { text: string; calls: readonly EngineToolCall[] } => {
    const calls = readCalls(format, body, names);
    return calls === null ? { text: mark, calls: [] } : { text: '', calls };
  };

  const take = (last: boolean): { text: string; calls: readonly EngineToolCall[] } => {
    let text = '';
    const calls: EngineToolCall[] = [];
    for (;;) {
      if (inside) {
        const end = close === '' ? -1 : held.indexOf(close);
        if (end < 0 && !last && held.length <= MAX_CALL_LENGTH) return { text, calls };
        const body = end < 0 ? held : held.slice(0, end);
        const whole = finish(body, `${atStart ? '' : open}${body}${end < 0 ? '' : close}`);
        text += whole.text;
        calls.push(...whole.calls);
        held = end < 0 ? '' : held.slice(end + close.length);
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
          text += held.slice(0, held.length - keep);
          held = held.slice(held.length - keep);
          return { text, calls };
        }
        text += held.slice(0, begin);
        held = held.slice(begin + open.length);
        inside = true;
        atStart = false;
      }
    }
  };
  /** Line ends that stand between calls are no text. */
  const tidy = ({ text, calls }: { text: string; calls: readonly EngineToolCall[] }) => ({ text: calls.length > 0 && text.trim() === '' ? '' : text, calls });

  return {
    push(text) {
      held += text;
      return tidy(take(false));
    },
    flush: () => tidy(take(true)),
  };
}

/** The calls of the text between two marks; null when it is none. */
function readCalls(format: ToolFormat, body: string, names: ReadonlySet<string>): readonly EngineToolCall[] | null {
  const named = format === 'mistral' ? /^\s*([A-Za-z0-9_.-]{1,64})(?:\[CALL_ID\][A-Za-z0-9]*)?(?:\[ARGS\])?\s*(\{.*)$/s.exec(body) : null;
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

/** Texts around the arguments of a forced call, in the way that models write it. */
export function callFrame(format: ToolFormat, name: string): { readonly before: string; readonly after: string } {
  const quoted = JSON.stringify(name);
  switch (format) {
    case 'hermes': return { before: `<tool_call>\n{"name": ${quoted}, "arguments": `, after: '}\n</tool_call>' };
    case 'mistral': return { before: `[TOOL_CALLS][{"name": ${quoted}, "arguments": `, after: '}]' };
    case 'llama3': return { before: `{"name": ${quoted}, "parameters": `, after: '}' };
  }
}

/** The tools that an answer may call. */
export const callableTools = ({ tools, choice }: EngineTools) =>
  (typeof choice === 'string' ? tools : tools.filter(({ name }) => name === choice.name));
