// Several proxies: silent ones are passed over, refused ones reported and left alone, lists change while programs run.
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { unpaidAccounts } from '../../src/client/accounts.ts';
import { createConnector } from '../../src/client/connect.ts';
import { AttestationError } from '../../src/core/errors.ts';
import { systemClock } from '../../src/core/clock.ts';
import { createTlsIdentity } from '../../src/tee/tls-identity.ts';
import { createVerifyPeer } from '../../src/tee/verify-peer.ts';
import { ask, startTestNetwork, until } from '../fakes/network.ts';
import type { ConnectOptions, Connector, HostPort } from '../../src/client/connect.ts';
import type { TestNetwork } from '../fakes/network.ts';

const never = new AbortController().signal;
const DEAD: HostPort = { host: '127.0.0.1', port: 1 };
const named = ({ host, port }: HostPort): string => `${host}:${port}`;

let network: TestNetwork;
beforeEach(async () => { network = await startTestNetwork({ nodes: [] }); });
afterEach(async () => network.close());

async function connector(proxies: ConnectOptions['proxies'], change: Partial<ConnectOptions> = {}): Promise<Connector> {
  const identity = await createTlsIdentity({ clock: systemClock, evidence: () => ({ family: 'none' }) });
  identity.close();
  return createConnector({
    proxies, identity: identity.current(), verifyProxy: createVerifyPeer(network.member.policy('proxy'), { clock: systemClock }),
    accounts: unpaidAccounts(identity.publicKey), isTest: true, ...change,
  });
}

describe('Connector', () => {
  it('a dead and a silent proxy are passed over at once for one that answers, and its round trip is measured', async () => {
    const silent = await network.forward(network.clientPort);
    silent.hold(true);
    const startedMs = performance.now();
    const connected = await (await connector([DEAD, silent, network.clientPort])).connect({ timeoutMs: 20_000, signal: never });
    expect(connected.address).toBe(named(network.clientPort));
    expect(connected.roundTripMs).toBeGreaterThan(0);
    expect(performance.now() - startedMs).toBeLessThan(10_000);
    connected.session.close();
  });

  it('connectSeveral: different proxies, nearest first, and as many as there are', async () => {
    const [one, two] = [await network.forward(network.clientPort), await network.forward(network.clientPort)];
    const connected = await (await connector([DEAD, one, two])).connectSeveral(3, { timeoutMs: 20_000, signal: never });
    expect(new Set(connected.map(({ address }) => address))).toEqual(new Set([named(one), named(two)]));
    expect(connected[0]?.roundTripMs).toBeLessThanOrEqual(connected[1]?.roundTripMs ?? 0);
    for (const { session } of connected) session.close();
  });

  it('a refused proxy is the error when there is no other, and is never dialled again', async () => {
    const bad = await network.forward(network.clientPort);
    const verify = createVerifyPeer(network.member.policy('proxy'), { clock: systemClock });
    let refusals = 0;
    const way = await connector([bad], {
      verifyProxy: async (...args: Parameters<typeof verify>) => {
        await verify(...args);
        refusals += 1;
        throw new AttestationError('E_EVIDENCE_REFUSED', 'not this one');
      },
    });
    await expect(way.connect({ timeoutMs: 10_000, signal: never })).rejects.toMatchObject({ code: 'E_EVIDENCE_REFUSED' });
    expect([...way.refused.keys()]).toEqual([named(bad)]);
    await expect(way.connect({ timeoutMs: 10_000, signal: never })).rejects.toMatchObject({ code: 'E_EVIDENCE_REFUSED' });
    expect(refusals).toBe(1);
  });

  it('beside a refused proxy another one is used', async () => {
    const bad = await network.forward(network.clientPort);
    const verify = createVerifyPeer(network.member.policy('proxy'), { clock: systemClock });
    let first = true;
    const way = await connector([bad, network.clientPort], {
      parallel: 1, // one after the other, so that the first one is the one refused
      random: (() => { let n = 0; return () => (n += 0.1); })(),
      verifyProxy: async (...args: Parameters<typeof verify>) => {
        const peer = await verify(...args);
        if (!first) return peer;
        first = false;
        throw new AttestationError('E_EVIDENCE_REFUSED', 'not this one');
      },
    });
    const connected = await way.connect({ timeoutMs: 10_000, signal: never });
    expect([connected.address, [...way.refused.keys()]]).toEqual([named(network.clientPort), [named(bad)]]);
    connected.session.close();
  });

  it('a list that changes is asked at each attempt; an empty one is an error', async () => {
    let list: HostPort[] = [];
    const way = await connector(() => list);
    await expect(way.connect({ timeoutMs: 1_000, signal: never })).rejects.toMatchObject({ code: 'E_UNREACHABLE' });
    list = [network.clientPort];
    (await way.connect({ timeoutMs: 10_000, signal: never })).session.close();
  });
});

describe('startNode with a list that changes', () => {
  it('dials new proxies, drains those that are gone, and gives each its share of the capacity', async () => {
    const [one, two] = [await network.forward(network.workerPort), await network.forward(network.workerPort)];
    let list: HostPort[] = [one];
    let changed = (): void => undefined;
    const source = { current: () => list, onChange: (listener: () => void) => { changed = listener; return () => undefined; } };
    const node = await network.startNode({ proxies: source, engine: { firstDelayMs: 800 } });
    const capacities = (): number[] => network.proxy.status().nodes.map(({ capacity }) => capacity);
    expect(capacities()).toEqual([4]);
    list = [one, two];
    changed();
    await until(() => capacities().join() === '2,2', 10_000);
    expect([...node.states().keys()]).toEqual([named(one), named(two)]);
    await until(() => network.proxy.status().nodes.every(({ enabled }) => enabled), 10_000);
    const asked = [ask(await network.connect()), ask(await network.connect()), ask(await network.connect())];
    await until(() => node.engine.running === 3, 10_000);
    list = [two];
    changed();
    // What runs at the proxy that is gone goes on to its end.
    for (const { error, answer } of await Promise.all(asked)) expect([error, answer?.finishReason]).toEqual([null, expect.any(String)]);
    await until(() => [...node.states().keys()].join() === named(two), 10_000);
    await until(() => capacities().join() === '4', 10_000);
  });
});
