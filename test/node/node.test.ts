// A node's life: ready, lost and found, refused, closed; its engine is freed in every case.
import { describe, expect, it } from '@jest/globals';
import { systemClock } from '../../src/core/clock.ts';
import { silentLog } from '../../src/core/log.ts';
import { startNode } from '../../src/node/node.ts';
import { unpaidAccounts } from '../../src/node/unpaid-accounts.ts';
import { createTlsIdentity } from '../../src/tee/tls-identity.ts';
import { createInstantEngine } from '../fakes/instant-engine.ts';
import { ask, startTestNetwork, until } from '../fakes/network.ts';

describe('startNode', () => {
  it('close before a proxy was ever reached: ends at once, `ready` rejects, the engine is closed', async () => {
    const identity = await createTlsIdentity({ clock: systemClock, evidence: () => ({ family: 'none' }) });
    identity.close();
    const engine = createInstantEngine();
    const node = startNode({
      engine, model: 'm@x:y', coefficient: 1, proxies: [{ host: '127.0.0.1', port: 1 }], identity: () => identity.current(),
      verifyProxy: () => { throw new Error('must not be asked'); }, accounts: unpaidAccounts(identity.publicKey), isTest: true, clock: systemClock, log: silentLog,
    });
    const told: boolean[] = [];
    node.watch((connected) => told.push(connected));
    expect(told).toEqual([false]); // what is true now is told at once
    await until(() => [...node.states().values()][0]?.kind === 'waiting');
    const startedMs = performance.now();
    await Promise.all([node.close(), node.close()]);
    expect(performance.now() - startedMs).toBeLessThan(240);
    await expect(node.ready).rejects.toMatchObject({ code: 'E_CLOSED' });
    expect(await node.ended).toBeNull();
    expect(engine.closed).toBe(true);
  });

  it('close during a handshake that gets no answer does not wait for its time limit', async () => {
    const network = await startTestNetwork({ nodes: [] });
    try {
      const way = await network.forward(network.workerPort);
      way.hold(true);
      const node = await network.startNode({ proxies: [way], wait: false });
      await new Promise((resolve) => { setTimeout(resolve, 50); });
      const startedMs = performance.now();
      await node.close();
      expect(performance.now() - startedMs).toBeLessThan(5_000);
      expect(node.engine.closed).toBe(true);
    } finally {
      await network.close();
    }
  });

  it('close while a request runs: the request ends, then the engine is freed', async () => {
    const network = await startTestNetwork({ nodes: [] });
    try {
      const node = await network.startNode({ engine: { firstDelayMs: 60_000 } });
      const asked = ask(await network.connect());
      await until(() => node.engine.running === 1);
      await node.close();
      expect((await asked).error).toMatchObject({ code: 'E_CLOSED' });
      expect(node.engine.cancelled).toBe(1);
      expect(node.engine.closed).toBe(true);
      expect(network.proxy.status().nodes).toEqual([]);
    } finally {
      await network.close();
    }
  });
});
