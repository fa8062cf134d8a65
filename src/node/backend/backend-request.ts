// A request of the Engine port as the OpenAI request that a backend is asked with: always streamed, always with usage, with the
// name that the backend has for the model.
import type { EngineMessage, EngineRequest } from '../engine.ts';

export interface BackendCall {
  readonly path: '/v1/chat/completions' | '/v1/completions';
  readonly body: string;
}

export function backendCall(request: EngineRequest, model: string): BackendCall {
  const { prompt, form } = request;
  const shared = {
    model, stream: true, stream_options: { include_usage: true },
    max_tokens: request.maxTokens, temperature: request.temperature, top_p: request.topP, seed: request.seed,
    ...((request.stop ?? []).length > 0 && { stop: request.stop }),
    ...((request.frequencyPenalty ?? 0) !== 0 && { frequency_penalty: request.frequencyPenalty }),
    ...((request.presencePenalty ?? 0) !== 0 && { presence_penalty: request.presencePenalty }),
  };
  if (prompt.kind === 'text') {
    return { path: '/v1/completions', body: JSON.stringify({ ...shared, prompt: prompt.text, ...(request.logprobs !== undefined && { logprobs: request.logprobs }) }) };
  }
  const { tools, template } = prompt;
  return {
    path: '/v1/chat/completions',
    body: JSON.stringify({
      ...shared,
      messages: messagesOf(prompt.messages),
      ...(request.logprobs !== undefined && { logprobs: true, top_logprobs: request.logprobs }),
      ...(form?.kind === 'json' && { response_format: { type: 'json_object' } }),
      ...(form?.kind === 'schema' && { response_format: { type: 'json_schema', json_schema: { name: 'answer', strict: true, schema: form.schema } } }),
      ...(tools !== undefined && {
        tools: tools.tools.map(({ name, description, parameters, strict }) =>
          ({ type: 'function', function: { name, ...(description !== undefined && { description }), parameters, ...(strict === true && { strict }) } })),
        tool_choice: typeof tools.choice === 'string' ? tools.choice : { type: 'function', function: tools.choice },
        parallel_tool_calls: tools.parallel,
      }),
      ...(template?.enableThinking !== undefined && { chat_template_kwargs: { enable_thinking: template.enableThinking } }),
      ...(template?.reasoningEffort !== undefined && { reasoning_effort: template.reasoningEffort }),
    }),
  };
}

/** Calls and the answers of tools belong together by an id; here it is their number. */
function messagesOf(messages: readonly EngineMessage[]): readonly unknown[] {
  let made = 0;
  let answered = 0;
  return messages.map((message) => {
    if (message.role === 'tool') return { role: 'tool', content: message.content, tool_call_id: `call_${answered++}`, ...(message.name !== undefined && { name: message.name }) };
    const reasoning = message.role === 'assistant' && message.reasoning !== undefined ? { reasoning_content: message.reasoning } : {};
    if (message.role !== 'assistant' || (message.toolCalls ?? []).length === 0) return { role: message.role, content: message.content, ...reasoning };
    answered = made;
    return {
      role: 'assistant', content: message.content === '' ? null : message.content, ...reasoning,
      tool_calls: (message.toolCalls ?? []).map((call) => ({ id: `call_${made++}`, type: 'function', function: call })),
    };
  });
}
