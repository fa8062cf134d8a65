// Chats as tokens, in the model's own Jinja template. Only the template's own text can hold special tokens: what users write goes
// through the template as a mark, and is tokenized as plain text where the mark comes out, so it cannot end its message or begin
// another. What a template writes by itself of tools and calls may not spell a special token.
import { randomBytes } from 'node:crypto';
import { badRequest } from '../../openai/errors.ts';
import type { EngineMessage, EnginePrompt, EngineToolCall } from '../engine.ts';

export interface ChatModel {
  /** Renders the template; throws what the template raises. */
  render(variables: Readonly<Record<string, unknown>>): string;
  tokenize(text: string, special: boolean): readonly number[];
  /** Texts of the special tokens. */
  readonly specials: readonly string[];
  readonly bosText: string;
  readonly eosText: string;
}

type ChatPrompt = EnginePrompt & { readonly kind: 'chat' };

/** Tokens of a chat up to the beginning of the answer; a last message of the assistant is continued. Throws ApiError. */
export function tokenizeChat(model: ChatModel, { messages: given, template = {}, tools }: ChatPrompt): number[] {
  const end = given.at(-1);
  const continued = end?.role === 'assistant' && (end.toolCalls ?? []).length === 0;
  // An answer that is begun with nothing is not begun.
  const messages = continued && end.content === '' ? given.slice(0, -1) : given;
  const continues = continued && end.content !== '';
  const contents: string[] = [];
  const key = randomBytes(12).toString('hex');
  const mark = (content: string): string => {
    if (content === '') return ''; // templates ask whether there is any
    contents.push(content);
    return `<${key}-${contents.length - 1}>`;
  };
  const ids = callIds(messages);
  const variables = {
    messages: messages.map((message, index) => templateMessage(message, mark, ids[index] ?? [])),
    add_generation_prompt: !continues,
    bos_token: model.bosText, eos_token: model.eosText,
    ...(tools !== undefined && { tools: tools.tools.map(({ name, description, parameters }) => ({ type: 'function', function: { name, ...(description !== undefined && { description }), parameters } })) }),
    ...(template.enableThinking !== undefined && { enable_thinking: template.enableThinking }),
    ...(template.reasoningEffort !== undefined && { reasoning_effort: template.reasoningEffort }),
  };
  refuseSpecials(model, [JSON.stringify(tools?.tools ?? []), ...messages.map((message) => JSON.stringify(message.role === 'assistant' ? message.toolCalls ?? [] : []))]);
  let text = rendered(model, variables);
  const last = `<${key}-${contents.length - 1}>`;
  if (continues && text.includes(last)) text = text.slice(0, text.lastIndexOf(last) + last.length);
  return text.split(new RegExp(`<${key}-(\\d{1,6})>`)).flatMap((part, index) =>
    (index % 2 === 0 ? model.tokenize(part, true) : model.tokenize(contents[Number(part)] ?? '', false)));
}

function rendered(model: ChatModel, variables: Readonly<Record<string, unknown>>): string {
  try {
    return model.render(variables);
  } catch (cause) {
    throw badRequest('the chat template of the model cannot render these messages', { param: 'messages', code: 'invalid_value', cause });
  }
}

function templateMessage(message: EngineMessage, mark: (content: string) => string, ids: readonly string[]): Readonly<Record<string, unknown>> {
  // Before the content: an answer that is continued ends with the last mark.
  const reasoning = message.role === 'assistant' && message.reasoning !== undefined ? mark(message.reasoning) : '';
  const content = mark(message.content);
  if (message.role === 'tool') return { role: 'tool', content, tool_call_id: ids[0] ?? '', ...(message.name !== undefined && { name: message.name }) };
  if (message.role !== 'assistant') return { role: message.role, content };
  const { toolCalls = [] } = message;
  return {
    role: 'assistant', content,
    ...(reasoning !== '' && { reasoning_content: reasoning }),
    ...(toolCalls.length > 0 && { tool_calls: toolCalls.map((call, index) => ({ id: ids[index] ?? '', type: 'function', function: { name: call.name, arguments: parsedArguments(call) } })) }),
  };
}

function parsedArguments({ arguments: text }: EngineToolCall): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw badRequest('arguments of a tool call in messages are not valid JSON', { param: 'messages', code: 'invalid_value' });
  }
}

/** Numbers of calls as nine characters, which is what Mistral's templates insist on; answers of tools come in the order of the calls. */
function callIds(messages: readonly EngineMessage[]): string[][] {
  let made = 0;
  let answered = 0;
  const id = (at: number): string => `call${String(at).padStart(5, '0')}`;
  return messages.map((message) => {
    if (message.role === 'tool') return [id(answered++)];
    if (message.role !== 'assistant') return [];
    answered = made;
    return (message.toolCalls ?? []).map(() => id(made++));
  });
}

function refuseSpecials({ specials }: ChatModel, texts: readonly string[]): void {
  for (const text of texts) {
    const found = text === '[]' ? undefined : specials.find((special) => text.includes(special));
    if (found !== undefined) throw badRequest('tools or their calls in request spell a special token of the model', { param: 'tools', code: 'invalid_value' });
  }
}
