// One answer on one sequence: reuse of the evaluated prefix, prompt in chunks, tokens to text until a reason to finish.
// The signal is looked at between chunks and tokens: llama.cpp cannot be interrupted within one.
import { EngineStoppedError } from '../engine.ts';
import { createStopMatcher, createTextAssembler } from './llama-text.ts';
import type { EngineEvent, EngineFinishReason, EngineRequest, EngineUsage } from '../engine.ts';
import type { EventChannel } from './llama-channel.ts';
import type { LlamaRuntime, LlamaSampling, LlamaSequence } from './llama-runtime.ts';

export interface Generation {
  readonly runtime: LlamaRuntime;
  readonly sequence: LlamaSequence;
  /** The whole prompt; at least one token, fewer than the context holds. */
  readonly tokens: readonly number[];
  readonly request: EngineRequest;
  readonly sampling: LlamaSampling;
  readonly signal: AbortSignal;
  readonly channel: EventChannel;
}

/** Runs the answer to its end and returns the last event. Throws EngineStoppedError when the runtime fails after the first token, its errors before. */
export async function generateAnswer(generation: Generation): Promise<EngineEvent> {
  const { runtime, sequence, tokens, signal } = generation;
  // The last token is always evaluated: its result is what the first token of the answer is drawn from.
  const cachedTokens = Math.min(sequence.reusableTokens(tokens), tokens.length - 1);
  await sequence.truncate(cachedTokens);
  await runtime.pause();
  let promptTokens = cachedTokens;
  while (!signal.aborted && tokens.length - promptTokens > runtime.prefillChunk) {
    await sequence.evaluate(tokens.slice(promptTokens, promptTokens + runtime.prefillChunk));
    promptTokens += runtime.prefillChunk;
    await runtime.pause();
  }
  if (signal.aborted) return finish('cancelled', { promptTokens, cachedTokens, completionTokens: 0 });
  const counts = { promptTokens: tokens.length, cachedTokens, completionTokens: 0 };
  try {
    const reason = await generateTokens(generation, tokens.slice(promptTokens), counts);
    return finish(reason, counts);
  } catch (cause) {
    if (counts.completionTokens === 0) throw cause;
    throw new EngineStoppedError('engine failed while answering', counts, { cause });
  }
}

/** Generates until there is a reason to finish, counting each token in `counts`. */
async function generateTokens(
  { runtime, sequence, tokens, request, sampling, signal, channel }: Generation,
  rest: readonly number[],
  counts: { completionTokens: number },
): Promise<EngineFinishReason> {
  const limit = Math.min(request.maxTokens ?? Infinity, runtime.info.contextSize - tokens.length);
  const assembler = createTextAssembler((held, previous) => runtime.detokenize(held, previous), tokens);
  const matcher = createStopMatcher(request.stop ?? []);

  /** Sends what may be sent; true when a stop string was reached. */
  const send = async (text: string): Promise<boolean> => {
    if (text === '') return false;
    const matched = matcher.push(text);
    if (matched.text !== '') await channel.text(matched.text);
    return matched.stopped;
  };

  for await (const { token } of sequence.generate(rest, sampling)) {
    if (signal.aborted) return 'cancelled';
    counts.completionTokens += 1;
    if (await send(assembler.push(token))) return 'stop';
    if (signal.aborted) return 'cancelled';
    if (counts.completionTokens >= limit) {
      // A character that the limit cut in two is not sent.
      await channel.text(matcher.flush());
      return 'length';
    }
    const paused = runtime.pause();
    if (paused !== undefined) await paused;
  }
  if (!(await send(assembler.flush()))) await channel.text(matcher.flush());
  return 'stop';
}

function finish(reason: EngineFinishReason, usage: EngineUsage): EngineEvent {
  return { type: 'finish', reason, usage };
}
