// One answer on one sequence: reuse of the evaluated prefix, tokens to text, calls of tools and probabilities until a reason to
// finish. What is held back, because it may become a stop string, a call or a whole character, is counted but not sent.
import { EngineStoppedError } from '../engine.ts';
import { createToolCallReader } from './tool-format.ts';
import { createStopMatcher, createTextAssembler } from './llama-text.ts';
import type { EngineEvent, EngineFinishReason, EngineLogprob, EngineRequest, EngineToolCall, EngineUsage } from '../engine.ts';
import type { EventChannel } from './llama-channel.ts';
import type { GeneratedToken, LlamaRuntime, LlamaSampling, LlamaSequence, TokenizedPrompt } from './llama-runtime.ts';

export interface Generation {
  readonly runtime: LlamaRuntime;
  readonly sequence: LlamaSequence;
  /** The whole prompt; at least one token, fewer than the context holds. */
  readonly prompt: TokenizedPrompt;
  readonly request: EngineRequest;
  readonly sampling: LlamaSampling;
  readonly signal: AbortSignal;
  readonly channel: EventChannel;
}

/** Runs the answer to its end and returns the last event. Throws EngineStoppedError when the runtime fails after the first token, its errors before. */
export async function generateAnswer(generation: Generation): Promise<EngineEvent> {
  const { sequence, prompt: { tokens } } = generation;
  // The last token is always evaluated: its result is what the first token of the answer is drawn from.
  const cachedTokens = await sequence.truncate(Math.min(sequence.reusableTokens(tokens), tokens.length - 1));
  const counts = { promptTokens: tokens.length, cachedTokens, completionTokens: 0 };
  try {
    const reason = await generateTokens(generation, tokens.slice(cachedTokens), counts);
    if (reason === 'cancelled' && counts.completionTokens === 0) {
      return { type: 'finish', reason, usage: { ...counts, promptTokens: Math.min(tokens.length, Math.max(cachedTokens, sequence.length)) } };
    }
    return { type: 'finish', reason, usage: counts };
  } catch (cause) {
    if (counts.completionTokens === 0) throw cause;
    throw new EngineStoppedError('engine failed while answering', { ...counts }, { cause });
  }
}

/** Generates until there is a reason to finish, counting each token in `counts`. */
async function generateTokens(generation: Generation, rest: readonly number[], counts: EngineUsage & { completionTokens: number }): Promise<EngineFinishReason> {
  const { runtime, sequence, sampling, signal, channel } = generation;
  const writer = createAnswerWriter(generation);
  const { prompt } = generation.request;
  const single = prompt.kind === 'chat' && prompt.tools?.parallel === false;
  for await (const drawn of sequence.generate(rest, sampling, signal)) {
    if (signal.aborted) return 'cancelled';
    counts.completionTokens += 1;
    const { text, stopped } = writer.push(drawn.token);
    const logprobs = drawn.likely === null ? [] : [describe(runtime, drawn, drawn.likely)];
    if (text !== '' || logprobs.length > 0) await channel.text(text, { ...counts }, logprobs);
    for (const call of writer.calls()) channel.call(call);
    if (stopped) return 'stop';
    if (writer.called && single) return 'tools';
    if (signal.aborted) return 'cancelled';
    if (counts.completionTokens >= sampling.maxTokens) {
      // A character that the limit cut in two is not sent.
      await channel.text(writer.flush(false), { ...counts });
      for (const call of writer.calls()) channel.call(call);
      return 'length';
    }
  }
  if (signal.aborted) return 'cancelled';
  await channel.text(writer.flush(true), { ...counts });
  for (const call of writer.calls()) channel.call(call);
  return writer.called ? 'tools' : 'stop';
}

/** From tokens to what may be sent. */
interface AnswerText {
  /** True when a call was among the answer. */
  readonly called: boolean;
  push(token: number): { readonly text: string; readonly stopped: boolean };
  /** The rest; `whole`: the model has ended its answer by itself. */
  flush(whole: boolean): string;
  /** Calls that have become whole since they were last asked for. */
  calls(): readonly EngineToolCall[];
}

function createAnswerWriter({ runtime, prompt: { tokens, toolFormat }, request }: Generation): AnswerText {
  const { prompt } = request;
  const tools = prompt.kind === 'chat' ? prompt.tools?.tools ?? [] : [];
  const reader = toolFormat === null ? null : createToolCallReader(toolFormat, tools);
  const assembler = createTextAssembler((held, previous) => runtime.detokenize(held, previous, reader !== null), tokens);
  const matcher = createStopMatcher(request.stop ?? []);
  let calls: EngineToolCall[] = [];
  let called = false;

  const read = (text: string): string => {
    if (reader === null) return text;
    const found = reader.push(text);
    note(found.calls);
    return found.text;
  };
  const note = (found: readonly EngineToolCall[]): void => {
    calls.push(...found);
    called ||= found.length > 0;
  };

  return {
    get called() {
      return called;
    },
    push(token) {
      const text = read(assembler.push(token));
      return text === '' ? { text, stopped: false } : matcher.push(text);
    },
    flush(whole) {
      let text = whole ? read(assembler.flush()) : '';
      if (reader !== null) {
        const found = reader.flush();
        note(found.calls);
        text += found.text;
      }
      const last = matcher.push(text);
      return last.stopped ? last.text : last.text + matcher.flush();
    },
    calls() {
      const found = calls;
      calls = [];
      return found;
    },
  };
}

function describe(runtime: LlamaRuntime, { token }: GeneratedToken, { chosen, top }: NonNullable<GeneratedToken['likely']>): EngineLogprob {
  const textOf = (id: number): string => runtime.detokenize([id], [], true);
  return { token: textOf(token), logprob: chosen, top: top.map(({ token: id, logprob }) => ({ token: textOf(id), logprob })) };
}
