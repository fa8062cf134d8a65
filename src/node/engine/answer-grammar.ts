// The grammar that an answer must match, from what its request asks for: a form of JSON, or a call of a tool.
import { createGrammarBuilder, literal } from './json-grammar.ts';
import { elementCallRule } from './element-calls.ts';
import { callableTools, callFrame } from './tool-format.ts';
import type { EngineRequest, EngineTools } from '../engine.ts';
import type { ToolFormat } from './tool-format.ts';

/** Calls of one answer, where several are allowed. */
const MAX_CALLS = 16;

/** GBNF, or null where anything goes. Throws ApiError for a schema that no grammar can say. */
export function grammarOf({ prompt, form }: EngineRequest, toolFormat: ToolFormat | null): string | null {
  const tools = prompt.kind === 'chat' ? prompt.tools : undefined;
  if (tools !== undefined && toolFormat !== null && tools.choice !== 'auto') return callGrammar(tools, toolFormat);
  if (form === undefined) return null;
  const builder = createGrammarBuilder();
  return builder.grammar(form.kind === 'json' ? builder.anyObject() : builder.schema(form.schema, 'response_format.json_schema.schema'));
}

function callGrammar(request: EngineTools, format: ToolFormat): string {
  const builder = createGrammarBuilder();
  const calls = callableTools(request).map((tool) => {
    if (format === 'elements') return elementCallRule(builder, tool);
    const { name, parameters, strict = false } = tool;
    const { before, after } = callFrame(format, name);
    return `(${literal(before)} ${builder.schema(parameters, `tools.${name}.parameters`, { lenient: !strict })} ${literal(after)})`;
  });
  const call = `(${calls.join(' | ')})`;
  const several = request.choice === 'required' && request.parallel && (format === 'hermes' || format === 'elements');
  return builder.grammar(several ? `${call} ("\\n" ${call}){0,${MAX_CALLS - 1}}` : call);
}
