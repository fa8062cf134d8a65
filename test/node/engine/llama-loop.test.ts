// The loop over a scripted context: what is in each batch, what is given to native code before it, and what fails with it.
import { describe, expect, it } from '@jest/globals';
import { setImmediate as turn } from 'node:timers/promises';
import { deferred } from '../../../src/core/deferred.ts';
import { createLlamaLoop } from '../../../src/node/engine/llama-loop.ts';
import type { Deferred } from '../../../src/core/deferred.ts';
import type { BatchContext } from '../../../src/node/engine/llama-native.ts';
import type { GeneratedToken, LlamaSampling, LlamaSequence } from '../../../src/node/engine/llama-runtime.ts';

const END = 0;
const never = new AbortController().signal;
const sampling: LlamaSampling = {
  temperature: 0, topP: 1, seed: 0, frequencyPenalty: 0, presencePenalty: 0, maxTokens: 3, ignoreEnd: false, logprobs: null, grammar: null, keep: null,
};

/** A context whose batches end when the test says so; a draw gives the number of tokens that the sequence holds. */
function scripted(inOrder: boolean) {
  /** Of each batch: sequence, position and number of tokens of each part. */
  const batches: number[][][] = [];
  /** In the order in which native code was given them. */
  const given: string[] = [];
  const decoding: Deferred<void>[] = [];
  let ends: number[] = [];
  let disposed = 0;
  const context: BatchContext = {
    begin: () => {
      batches.push([]);
      ends = [];
    },
    add: (sequence, position, tokens, wantsResult) => {
      batches.at(-1)?.push([sequence, position, tokens.length]);
      return wantsResult ? ends.push(position + tokens.length) - 1 : -1;
    },
    decode: () => {
      given.push('batch');
      const batch = deferred<void>();
      decoding.push(batch);
      return batch.promise;
    },
    remove: () => true,
    shift: () => undefined,
  };
  const loop = createLlamaLoop({
    batches: context, isEnd: (token) => token === END, sequences: 2, contextSize: 100, batchSize: 64, canCut: true, reusePrefix: true, inOrder,
    sampler: () => ({
      sample: async (index) => {
        given.push('draw');
        const drawn = ends[index] ?? END;
        await decoding.at(-1)?.promise;
        return drawn;
      },
      logprobs: () => Promise.reject(new Error('not asked for')),
      dispose: () => { disposed += 1; },
    }),
  });
  const [first, second] = loop.sequences;
  if (first === undefined || second === undefined) throw new Error('two sequences were asked for');
  /** Waits until native code has been given batch number `count`. */
  const begun = async (count: number): Promise<void> => {
    while (decoding.length < count) await turn();
  };
  return { loop, first, second, batches, given, decoding, begun, disposed: () => disposed };
}

async function collect(tokens: AsyncIterable<GeneratedToken>): Promise<number[]> {
  const all: number[] = [];
  for await (const { token } of tokens) all.push(token);
  return all;
}

const answerOf = (sequence: LlamaSequence, tokens: readonly number[], maxTokens = 3): Promise<number[]> => collect(sequence.generate(tokens, { ...sampling, maxTokens }, never));

describe('createLlamaLoop', () => {
  it.each([true, false])('gives the same batches and tokens, in order or not (%s)', async (inOrder) => {
    const { first, batches, decoding, begun } = scripted(inOrder);
    const answer = answerOf(first, [7, 8, 9]);
    for (let count = 1; count <= 3; count += 1) {
      await begun(count);
      decoding[count - 1]?.resolve();
    }
    expect(await answer).toEqual([3, 4, 5]);
    expect(batches).toEqual([[[0, 0, 3]], [[0, 3, 1]], [[0, 4, 1]]]);
  });

  it('in order: draws are given with their batch; otherwise only behind it', async () => {
    for (const [inOrder, early] of [[true, ['batch', 'draw', 'draw']], [false, ['batch']]] as const) {
      const { first, second, given, decoding, begun } = scripted(inOrder);
      const answers = [answerOf(first, [7, 8], 1), answerOf(second, [9], 1)];
      await begun(1);
      await turn();
      expect(given).toEqual(early);
      decoding[0]?.resolve();
      expect(await Promise.all(answers)).toEqual([[2], [1]]);
      expect(given).toEqual(['batch', 'draw', 'draw']);
    }
  });

  it('in order: a batch that fails, fails its answers, and what was drawn from it is nobody\'s', async () => {
    const { loop, first, decoding, begun, disposed } = scripted(true);
    const answer = answerOf(first, [7, 8]);
    await begun(1);
    decoding[0]?.reject(new Error('no room'));
    await expect(answer).rejects.toThrow('no room');
    expect(first.reusableTokens([7, 8])).toBe(0);
    await loop.close();
    expect(disposed()).toBe(1);
  });

  it('in order: a token that was drawn for a reader who has left meanwhile is not counted as evaluated', async () => {
    const { first, decoding, begun, disposed } = scripted(true);
    const tokens = first.generate([7, 8], sampling, never);
    const reading = tokens.next();
    await begun(1);
    decoding[0]?.resolve();
    expect(await reading).toMatchObject({ value: { token: 2 } });
    await begun(2);
    await tokens.return();
    decoding[1]?.resolve();
    while (disposed() === 0) await turn();
    expect(decoding).toHaveLength(2);
    expect(first.length).toBe(3);
  });

  it('takes a request that came during a batch into the very next one', async () => {
    const { first, second, batches, decoding, begun } = scripted(true);
    const running = answerOf(first, [7, 8], 4);
    await begun(1);
    const late = (async () => {
      await second.truncate(0);
      return answerOf(second, [1, 2, 3], 1);
    })();
    await turn();
    for (let count = 1; count <= 4; count += 1) {
      decoding[count - 1]?.resolve();
      if (count < 4) await begun(count + 1);
    }
    expect(await running).toHaveLength(4);
    expect(await late).toEqual([3]);
    expect(batches[1]).toEqual([[0, 2, 1], [1, 0, 3]]);
  });
});
