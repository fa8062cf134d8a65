// What `node status` says of an engine: what it really uses, and of another server behind it only what is known.
import { describe, expect, it } from '@jest/globals';
import { renderNodeState } from '../../src/commands/node-view.ts';
import { NodeState } from '../../src/node/daemon/state.ts';
import { nodeState } from '../fakes/node-state.ts';

const engineLine = async (state: NodeState): Promise<string | undefined> => /^engine +(.*)$/m.exec(await renderNodeState(state))?.[1];

describe('renderNodeState', () => {
  it('says what the engine uses', async () => {
    await expect(engineLine(nodeState({}))).resolves.toBe('cuda, 33 of 33 layers on GPUs (NVIDIA H100), 8 threads, 4 × 8192 tokens, f16 KV cache, flash attention on');
  });

  it('leaves out what a backend does not say', async () => {
    const state = nodeState({});
    const engine = { ...state.engine, backend: 'remote', devices: [], gpuLayers: 0, totalLayers: 0, threads: 0, contextSize: 0, kvType: null, flashAttention: 'auto' } as const;
    await expect(engineLine({ ...state, engine: { ...engine, devices: [] } })).resolves.toBe('remote, 4 requests at once');
  });
});

describe('NodeState', () => {
  it('reads the document of a node that does not say yet how its engine works', () => {
    const { kvType, flashAttention, ...engine } = nodeState({}).engine;
    expect({ kvType, flashAttention }).toEqual({ kvType: 'f16', flashAttention: 'on' });
    expect(NodeState.parse({ ...nodeState({}), engine }).engine).toMatchObject({ backend: 'cuda', kvType: null, flashAttention: 'auto' });
  });
});
