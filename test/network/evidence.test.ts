// Wrong evidence in both directions: refused with exit code 5 before anything is said, and never dialled again.
import { afterEach, describe, expect, it } from '@jest/globals';
import { AttestationError } from '../../src/core/errors.ts';
import { silentLog } from '../../src/core/log.ts';
import { makeFakeTdxQuote } from '../../src/tee/fake-tdx.ts';
import { ask, startTestNetwork, until } from '../fakes/network.ts';
import type { Log } from '../../src/core/log.ts';
import type { CertificateEvidence } from '../../src/tee/certificate-evidence.ts';
import type { TestNetwork } from '../fakes/network.ts';

const networks: TestNetwork[] = [];
afterEach(async () => { for (const network of networks.splice(0)) await network.close(); });
const start = async (...args: Parameters<typeof startTestNetwork>): Promise<TestNetwork> => {
  const network = await startTestNetwork(...args);
  networks.push(network);
  return network;
};

const FAKE = (key: Uint8Array): CertificateEvidence => ({ family: 'tdx', quote: makeFakeTdxQuote(key) }) as CertificateEvidence;
const NONE = (): CertificateEvidence => ({ family: 'none' });

/** Counts what the proxy refuses. */
function refusals(): { log: Log; reasons: string[] } {
  const reasons: string[] = [];
  return { reasons, log: { ...silentLog, debug: (message, fields) => { if (message === 'connection refused') reasons.push(String(fields?.['error'])); } } };
}

describe('network: evidence', () => {
  it.each<[string, string, (own: TestNetwork, other: TestNetwork) => Promise<(key: Uint8Array) => CertificateEvidence>]>([
    ["another network's key", 'E_EVIDENCE_REFUSED', (_, other) => other.evidence('proxy')],
    ["a worker's evidence", 'E_EVIDENCE_REFUSED', (own) => own.evidence('worker')],
    ['no evidence', 'E_NO_EVIDENCE', async () => NONE],
    ['fake TDX evidence', 'E_EVIDENCE_', async () => FAKE],
  ])('a proxy with %s is refused by clients and nodes, once', async (_, code, make) => {
    const [network, other] = [await start({ nodes: [] }), await start({ nodes: [] })];
    await network.stopProxy();
    await network.startProxy({ evidence: await make(network, other) });
    const refused = await network.connect().catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(AttestationError);
    expect(refused).toMatchObject({ code: expect.stringContaining(code), exitCode: 5, retryable: false });
    // Not passed over for another proxy: somebody tries to be one.
    await expect(network.connect({ proxies: [network.clientPort, other.clientPort] })).rejects.toMatchObject({ exitCode: 5 });

    const before = network.proxy.status().workers.accepted;
    const node = await network.startNode({ wait: false });
    await expect(node.ready).rejects.toMatchObject({ code: expect.stringContaining(code), exitCode: 5 });
    expect(await node.ended).toMatchObject({ exitCode: 5 });
    expect([...node.states().values()]).toMatchObject([{ kind: 'refused' }]);
    await new Promise((resolve) => { setTimeout(resolve, 100); });
    expect(network.proxy.status().workers.accepted - before).toBe(1);
    expect(network.proxy.status().nodes).toEqual([]);
  });

  it.each<[string, RegExp, (own: TestNetwork, other: TestNetwork) => Promise<(key: Uint8Array) => CertificateEvidence>]>([
    ["another network's key", /refused by the check/, (_, other) => other.evidence('worker')],
    ["a proxy's evidence", /refused by the check "role"/, (own) => own.evidence('proxy')],
    ['no evidence', /got none, expected evidence/, async () => NONE],
    ['fake TDX evidence', /refused by the check/, async () => FAKE],
  ])('a node with %s is refused by the proxy and serves nobody', async (_, reason, make) => {
    const { log, reasons } = refusals();
    const [network, other] = [await start({ nodes: [], proxy: { log } }), await start({ nodes: [] })];
    const node = await network.startNode({ evidence: await make(network, other), wait: false });
    await until(() => reasons.length >= 2); // the node cannot know why, so it tries again
    for (const text of reasons) expect(text).toMatch(reason);
    expect(network.proxy.status().nodes).toEqual([]);
    expect([...node.states().values()][0]?.kind).not.toBe('ready');
    await node.close();
    // Others are served meanwhile.
    await network.startNode();
    expect((await ask(await network.connect())).answer?.text).toBe('Hello there.');
  });

  it('a node with two proxies goes on with the good one when the other is refused', async () => {
    const [network, other] = [await start({ nodes: [] }), await start({ nodes: [] })];
    const node = await network.startNode({ proxies: [other.workerPort, network.workerPort] });
    await until(() => [...node.states().values()].map(({ kind }) => kind).join() === 'refused,ready');
    expect((await ask(await network.connect())).answer?.text).toBe('Hello there.');
    // Its capacity is shared among the proxies that it was told of.
    expect(network.proxy.status().nodes[0]?.capacity).toBe(2);
  });
});
