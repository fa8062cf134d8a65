// A LlamaRuntime without a model: a token is a character code, and each sequence generates what the script says.
import { setImmediate as turn } from 'node:timers/promises';
import type { LlamaRuntime, LlamaSampling, LlamaSequence } from '../../src/node/engine/llama-runtime.ts';

export interface ScriptedLlamaOptions {
  readonly sequences?: number;
  readonly contextSize?: number;
  /** What is generated after this prompt; ends the answer when it ends. */
  readonly answer: (prompt: string, sampling: LlamaSampling) => Iterable<string>;
  /** Throws instead of truncating, when it returns true. */
  readonly failTruncate?: (id: number, length: number) => boolean;
}

export interface ScriptedLlama extends LlamaRuntime {
  /** What was done, in order: "0 generate 2", "0 truncate 3". */
  readonly journal: string[];
  readonly states: readonly number[][];
  disposed: boolean;
}

const textOf = (tokens: readonly number[]): string => tokens.map((token) => String.fromCodePoint(token)).join('');
const tokensOf = (text: string): number[] => Array.from(text, (character) => character.codePointAt(0) ?? 0);

export function createScriptedLlama(options: ScriptedLlamaOptions): ScriptedLlama {
  const { sequences = 1, contextSize = 100, answer } = options;
  const journal: string[] = [];
  const states: number[][] = Array.from({ length: sequences }, () => []);

  const sequence = (id: number): LlamaSequence => {
    const state = (): number[] => states[id]!;
    return {
      id,
      reusableTokens(tokens) {
        const different = state().findIndex((token, index) => token !== tokens[index]);
        return different < 0 ? state().length : different;
      },
      get length() {
        return state().length;
      },
      async truncate(length) {
        await turn();
        if (options.failTruncate?.(id, length) === true) throw new Error('truncate failed');
        if (length < state().length) journal.push(`${id} truncate ${length}`);
        state().length = Math.min(state().length, length);
        return state().length;
      },
      async *generate(tokens, sampling, signal) {
        journal.push(`${id} generate ${tokens.length}`);
        let next: readonly number[] = tokens;
        let drawn = 0;
        for (const character of answer(textOf([...state(), ...tokens]), sampling)) {
          await turn();
          if (signal.aborted) return;
          state().push(...next);
          const token = character.codePointAt(0) ?? 0;
          yield { token, likely: sampling.logprobs === null ? null : { chosen: -0.5, top: [{ token, logprob: -0.5 }].slice(0, sampling.logprobs) } };
          drawn += 1;
          if (drawn >= sampling.maxTokens) return;
          next = [token];
        }
      },
    };
  };

  return {
    journal,
    states,
    disposed: false,
    info: { contextSize, backend: 'cpu', gpuLayers: 0, totalLayers: 1, devices: [], threads: 1, chat: true, features: { noText: null, noTools: null, forms: true, logprobs: true, embeddings: true }, kvType: 'f16', flashAttention: 'auto' },
    sequences: states.map((_, id) => sequence(id)),
    longestToken: 2,
    tokenize: (prompt) => (prompt.kind === 'text'
      ? { tokens: tokensOf(prompt.text), toolFormat: null }
      : { tokens: tokensOf(prompt.messages.map(({ role, content }) => `${role[0]}:${content};`).join('')), toolFormat: prompt.tools === undefined ? null : 'hermes' }),
    checkGrammar: () => undefined,
    embed: async (texts) => ({ vectors: texts.map((text) => [text.length, 0]), promptTokens: texts.join('').length }),
    detokenize: (tokens) => textOf(tokens),
    async dispose() {
      this.disposed = true;
    },
  };
}
