// Canary questions: asked of nodes as clients ask, paid from the proxy's own account, and seen in the choice of nodes.
import { afterEach, describe, expect, it } from '@jest/globals';
import { unpaidAddress } from '../../src/chain/unpaid-address.ts';
import { unpaidAccounts } from '../../src/proxy/unpaid-accounts.ts';
import { balanceAccounts } from '../fakes/balance-accounts.ts';
import { end, head, hostileNode, part } from '../fakes/hostile.ts';
import { ask, startTestNetwork, until } from '../fakes/network.ts';
import { text } from '../fakes/session-ports.ts';
import type { BalanceAccounts } from '../fakes/balance-accounts.ts';
import type { TestNetwork } from '../fakes/network.ts';

let network: TestNetwork;
let money: BalanceAccounts;
afterEach(() => network.close());

const KEY = new Uint8Array(32).fill(5);
const OWNER = unpaidAddress('canary', KEY);

async function withCanaries(): Promise<void> {
  const canary = await unpaidAccounts({ publicKey: KEY, isTest: true }).client(OWNER);
  network = await startTestNetwork({ nodes: [], proxy: { accounts: (publicKey) => money = balanceAccounts({ publicKey, changes: { canary: () => canary } }) } });
}

const ofCanary = (): BalanceAccounts['bookings'] => money.bookings.filter(({ client }) => client === OWNER);

describe('network: canary questions', () => {
  it('two nodes of different owners get the same seeded question; both are paid by the proxy\'s account', async () => {
    await withCanaries();
    const nodes = [await network.startNode(), await network.startNode()];
    expect((await ask(await network.connect())).answer?.text).toBe('Hello there.');
    await until(() => ofCanary().length === 2);
    const questions = nodes.map(({ engine }) => engine.requests.find(({ temperature }) => temperature === 0));
    expect(questions[0]).toBeDefined();
    expect(questions[0]).toEqual(questions[1]);
    expect(questions[0]).toMatchObject({ seed: expect.any(Number), maxTokens: expect.any(Number) });
    expect(new Set(ofCanary().map(({ worker }) => worker)).size).toBe(2);
    expect(money.reserved).toBe(0n);
  });

  it('nothing is asked without an account, nor of a single owner', async () => {
    network = await startTestNetwork({ nodes: [{}, {}] });
    await ask(await network.connect());
    await network.close();
    await withCanaries();
    const { engine } = await network.startNode();
    await ask(await network.connect());
    await network.stopProxy();
    expect(engine.requests).toHaveLength(1);
    expect(ofCanary()).toEqual([]);
  });

  it.each([
    ['an answer that is no stream', 'nonsense'],
    ['a stream that never ends', 'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'],
    ['an event that is no JSON', 'data: {\n\n'],
  ])('a node whose answer is %s costs the proxy at most the reservation, and the proxy goes on', async (_, body) => {
    await withCanaries();
    const { engine } = await network.startNode();
    let asked = 0;
    await hostileNode(network, async ({ id: own }, connection) => {
      asked += 1;
      for (const packet of [head(own), part(own, text(body)), end(own, { completion: 5n })]) await connection.send(packet);
      return new Promise(() => undefined);
    }, { model: 'instant@evil:0', price: 4_000 });
    const client = await network.connect();
    await ask(client);
    await until(() => asked >= 1 && engine.requests.length === 2 && money.reserved === 0n);
    for (const { tokens, reserved } of ofCanary()) expect(tokens.total).toBeLessThanOrEqual(reserved);
    expect((await ask(client, {}, { maxCoefficient: 2_000 })).answer?.text).toBe('Hello there.');
  });
});
