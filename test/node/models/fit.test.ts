import fc from 'fast-check';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { CocoonError } from '../../../src/core/errors.ts';
import { fitFile, fitModel, readShape } from '../../../src/node/models/fit.ts';
import { readGgufHeader } from '../../../src/node/models/gguf-header.ts';
import { fakeGguf } from '../../fakes/gguf.ts';
import type { ByteSource } from '../../../src/node/models/gguf-header.ts';

const MIB = 1 << 20;
const source = (bytes: Buffer, reads: number[] = []): ByteSource => ({
  name: 'memory',
  read: async (offset, length) => {
    reads.push(offset);
    return bytes.subarray(offset, offset + length);
  },
});

/** Four layers, eight heads of 64 with two of them for keys and values. */
const llama = { 'general.architecture': 'llama', 'general.name': 'Fake', 'llama.block_count': 4, 'llama.context_length': 8_192, 'llama.embedding_length': 512, 'llama.attention.head_count': 8, 'llama.attention.head_count_kv': 2, 'llama.feed_forward_length': 2_048, 'tokenizer.ggml.tokens': Array.from({ length: 1_000 }, (_unused, index) => `t${index}`) };
const tensors = [{ name: 'token_embd.weight', shape: [512, 1_000], type: 1 }, ...[0, 1, 2, 3].map((layer) => ({ name: `blk.${layer}.ffn_up.weight`, shape: [512, 2_048], type: 8 }))];
const LAYER_BYTES = 512 * 2_048 / 32 * 34;

let folder = '';
beforeAll(async () => { folder = await mkdtemp(join(tmpdir(), 'cocoon-fit-')); });
afterAll(() => rm(folder, { recursive: true }));

describe('readGgufHeader', () => {
  it('the model that comes with the program', async () => {
    const fit = await fitFile([fileURLToPath(new URL('../../../models/cocoon-tiny-q8_0.gguf', import.meta.url))], { parallel: 1 }, { ramBytes: 1 << 30, gpuBytes: [] });
    expect(fit).toMatchObject({ contextSize: 1_024, fits: true, shape: { architecture: 'llama' } });
    expect(fit.weightsBytes).toBeGreaterThan(5_000_000);
    expect(fit.weightsBytes).toBeLessThan(6_500_000);
  });

  it('reads the beginning only, in large pieces', async () => {
    const reads: number[] = [];
    await readGgufHeader(source(fakeGguf(llama, tensors, 8 * MIB), reads));
    expect(reads).toEqual([0]);
  });

  it('refuses what is no GGUF, other versions, ends within, and counts that cannot be', async () => {
    const good = fakeGguf(llama, tensors);
    const headerEnd = (await readGgufHeader(source(good))).dataOffset;
    const refused = async (bytes: Buffer): Promise<void> => { await expect(readGgufHeader(source(bytes))).rejects.toMatchObject({ code: 'E_MODEL_FORMAT' }); };
    await refused(Buffer.from('<html>'));
    await refused(Buffer.alloc(0));
    await refused(fakeGguf({}, [], 0, 1));
    for (const length of [4, 8, 20, 100, headerEnd - 64]) await refused(good.subarray(0, length));
    const many = Buffer.from(good);
    many.writeBigUInt64LE(2n ** 63n, 8);
    await refused(many);
    await refused(fakeGguf({}, [{ name: 'x', shape: [1], type: 99 }]));
    await refused(fakeGguf({}, [{ name: 'x', shape: [1, 1, 1, 1, 1], type: 0 }]));
  });

  it('any change of any byte ends in a header or a typed error, never in another one', async () => {
    const good = fakeGguf(llama, tensors);
    await fc.assert(fc.asyncProperty(fc.nat(good.length - 1), fc.nat(255), async (at, value) => {
      const bytes = Buffer.from(good);
      bytes[at] = value;
      try {
        await readGgufHeader(source(bytes));
      } catch (error) {
        expect(error).toBeInstanceOf(CocoonError);
      }
    }), { numRuns: 200 });
  });
});

describe('fitModel', () => {
  it('counts weights by layer, KV values by token, and what is left for context', async () => {
    const shape = await readShape([source(fakeGguf(llama, tensors))]);
    expect(shape.layerBytes).toEqual([LAYER_BYTES, LAYER_BYTES, LAYER_BYTES, LAYER_BYTES]);
    expect(shape.otherBytes).toBe(512 * 1_000 * 2);
    const fit = fitModel(shape, { parallel: 2, contextSize: 1_024 }, { ramBytes: 2 ** 31, gpuBytes: [] });
    expect(fit.kvBytesPerToken).toBe(4 * 2 * (64 + 64) * 2);
    expect(fit.kvBytes).toBe(fit.kvBytesPerToken * 1_024 * 2);
    expect(fit).toMatchObject({ fits: true, layersOnGpu: 0, largestContext: 8_192 });
    expect(fitModel(shape, { parallel: 2, contextSize: 1_024, kvType: 'q8_0' }, { ramBytes: 2 ** 31, gpuBytes: [] }).kvBytes).toBe(fit.kvBytes * 17 / 32);
  });

  it('layers go to the GPU as far as they fit, and fewer than all do not fit', async () => {
    const shape = await readShape([source(fakeGguf(llama, tensors))]);
    const need = fitModel(shape, { parallel: 1, contextSize: 128 }, { ramBytes: 0, gpuBytes: [] });
    const gpu = (bytes: number) => fitModel(shape, { parallel: 1, contextSize: 128 }, { ramBytes: 0, gpuBytes: [600 * MIB + bytes] });
    expect(gpu(need.totalBytes)).toMatchObject({ fits: true, layersOnGpu: 4 });
    expect(gpu(need.totalBytes - 1)).toMatchObject({ fits: false });
    expect(gpu(need.buffersBytes + 2 * (LAYER_BYTES + need.kvBytesPerToken / 4 * 128))).toMatchObject({ fits: false, layersOnGpu: 2 });
    expect(gpu(0)).toMatchObject({ fits: false, layersOnGpu: 0, largestContext: 0 });
  });

  it('largestContext: one token more would not fit', async () => {
    const shape = await readShape([source(fakeGguf(llama, tensors))]);
    const memory = { ramBytes: 512 * MIB + 40 * MIB, gpuBytes: [] };
    const { largestContext } = fitModel(shape, { parallel: 4 }, memory);
    expect(largestContext).toBeGreaterThan(0);
    expect(fitModel(shape, { parallel: 4, contextSize: largestContext }, memory).fits).toBe(true);
    expect(fitModel(shape, { parallel: 4, contextSize: largestContext + 1 }, memory).fits).toBe(false);
  });

  it('layers without attention keep a state that does not grow', async () => {
    const hybrid = { ...llama, 'llama.attention.head_count_kv': [2, 0, 2, 0], 'llama.ssm.conv_kernel': 4, 'llama.ssm.inner_size': 1_024, 'llama.ssm.state_size': 16, 'llama.ssm.group_count': 1 };
    const shape = await readShape([source(fakeGguf(hybrid, tensors))]);
    const state = 4 * (3 * (1_024 + 32) + 16 * 1_024);
    expect(shape.stateBytes).toEqual([0, state, 0, state]);
    expect(fitModel(shape, { parallel: 1, contextSize: 1 }, { ramBytes: 0, gpuBytes: [] }).kvBytesPerSequence).toBe(2 * 2 * 128 * 2 + 2 * state);
  });

  it('parts of a split model are counted together', async () => {
    const paths = [join(folder, 'a.gguf'), join(folder, 'b.gguf')];
    await writeFile(paths[0] ?? '', fakeGguf(llama, tensors.slice(0, 3)));
    await writeFile(paths[1] ?? '', fakeGguf({}, tensors.slice(3)));
    expect((await fitFile(paths, { parallel: 1 }, { ramBytes: 2 ** 31, gpuBytes: [] })).weightsBytes).toBe(4 * LAYER_BYTES + 512 * 1_000 * 2);
  });
});
