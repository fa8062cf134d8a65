// What the endpoint knows of the nodes: none yet, some that it has verified itself, some that it refuses.
import { afterEach, describe, expect, it } from '@jest/globals';
import { modelDocument, watchNodes } from '../../../src/client/endpoint/nodes.ts';
import { openSessionPool } from '../../../src/client/session-pool.ts';
import { AttestationError, NetworkError } from '../../../src/core/errors.ts';
import { silentLog } from '../../../src/core/log.ts';
import { until } from '../../fakes/network.ts';
import { scriptedNode } from '../../fakes/scripted-node.ts';
import { scriptedProxies } from '../../fakes/scripted-proxies.ts';
import type { NodeWatch } from '../../../src/client/endpoint/nodes.ts';
import type { SealTarget } from '../../../src/wire/sealed.ts';

const never = new AbortController().signal;
const closing: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

const TARGET = {
  node: { evidence: 'simulated', imageHash: new Uint8Array(32).fill(1), tlsPublicKey: new Uint8Array(32).fill(2) }, model: 'scripted@main:0', suite: 'X-Wing, AES-128-GCM',
  coefficient: 1_500, running: 1, capacity: 4, notAfter: 1_800_000_000,
} as unknown as SealTarget;

function watch(options: Partial<Parameters<typeof scriptedProxies>[0]> & { sealed?: boolean } = {}): NodeWatch {
  const { sealed = true, ...others } = options;
  const pool = openSessionPool({ connector: scriptedProxies({ script: scriptedNode(), ...others }), connectTimeoutMs: 1_000, log: silentLog, size: 1 });
  const nodes = watchNodes({ pool, sealed, log: silentLog, soonMs: 10 });
  closing.push(async () => {
    await nodes.close();
    await pool.close();
  });
  return nodes;
}

describe('watchNodes', () => {
  it('no node: says so, and sees the first one that comes', async () => {
    const models: { model: string; activeWorkers: number; minCoefficient: number | null; workers: null }[] = [];
    const nodes = watch({ models, sealed: false });
    expect(await nodes.firstLook(never)).toMatchObject({ verified: 0, problem: { code: 'E_NO_NODE', message: 'no node is there yet' } });
    models.push({ model: 'scripted', activeWorkers: 2, minCoefficient: 1_000, workers: null });
    await until(() => nodes.state().verified === 2);
    expect(nodes.state().problem).toBeNull();
  });

  it('sealed: counts the nodes that this side has verified, and shows them with their models', async () => {
    const nodes = watch({ targets: () => [TARGET, TARGET] });
    expect(await nodes.firstLook(never)).toEqual({ verified: 2, problem: null });
    const [model] = await nodes.models(never);
    if (model === undefined) throw new Error('no model');
    expect(modelDocument(model, 7n, 5)).toMatchObject({
      id: 'scripted', created: 5, cocoon: {
        pricePerTokenNano: '7',
        attestation: { nodes: [{ model: 'scripted@main:0', evidence: 'simulated', simulated: true, imageHash: '01'.repeat(32), tlsPublicKey: '02'.repeat(32), suite: 'X-Wing, AES-128-GCM', priceThousandths: 1_500, running: 1, capacity: 4, keyUntil: '2027-01-15T08:00:00.000Z' }, {}] },
      },
    });
  });

  it('sealed: nodes that are there and refused keep the endpoint from starting', async () => {
    const nodes = watch({ targets: () => { throw new AttestationError('E_EVIDENCE_REFUSED', 'the node is not what it says'); } });
    await expect(nodes.firstLook(never)).rejects.toMatchObject({ code: 'E_EVIDENCE_REFUSED' });
    expect(nodes.state()).toMatchObject({ verified: 0, problem: { code: 'E_EVIDENCE_REFUSED' } });
  });

  it('sealed: nodes without keys, or not verified yet: a word, and looked at again', async () => {
    let there = false;
    const nodes = watch({ targets: () => { if (there) return [TARGET]; throw new NetworkError('E_NO_SEAL', 'no node has a key'); } });
    expect(await nodes.firstLook(never)).toMatchObject({ verified: 0, problem: { code: 'E_NO_SEAL' } });
    there = true;
    await until(() => nodes.state().verified === 1);
    const empty = watch({ targets: () => [] });
    expect(await empty.firstLook(never)).toMatchObject({ verified: 0, problem: { message: 'nodes are there, and none of them can be verified yet' } });
  });
});
