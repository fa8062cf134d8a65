// Strictness of section 2.2 for every message that our contracts take: nothing is left over, nothing is missing, and what is
// needed is asked for to the last nanoTON. The vectors show this for some messages; here it is all of them.
import assert from 'node:assert/strict';
import { beginCell, Cell } from '@ton/core';
import type { Address, Builder } from '@ton/core';
import { head, OP, signedTokens, simple, text, topUp, walletExternal } from './bodies.ts';
import { Network, testKey, TON } from './network.ts';
import { crc16 } from './rules-bond.ts';
import { alice, anyone, assertExit, bob, exc, first, Lab, single } from './scenario.ts';
import type { Scenario } from './scenario.ts';
import { opOf, readProxy, writeClient, writeProxy } from './storage.ts';

interface Sample { name: string; to: Address; from: Address; value: bigint; body: Cell }

/** One good message of every kind that clients, workers and proxies take from people. */
function samples(lab: Lab): Sample[] {
  const { client, worker, net } = lab;
  const { proxy, key, proxyOwner } = net;
  const close = (op: number): Cell => {
    const payload = head(op).storeAddress(proxy).endCell();
    return head(op).storeAddress(exc).storeBuffer(key.sign(payload.hash())).storeRef(payload).endCell();
  };
  return [
    { name: 'top up', to: client, from: anyone, value: 2n * TON, body: topUp(TON, exc) },
    { name: 'hash and top up', to: client, from: alice, value: 2n * TON, body: head(OP.hashTopUp).storeCoins(TON).storeUint(1, 256).storeAddress(exc).endCell() },
    { name: 'client register', to: client, from: alice, value: TON, body: head(OP.clientRegister).storeUint(1, 64).storeAddress(exc).endCell() },
    { name: 'change hash', to: client, from: alice, value: TON, body: head(OP.changeHash).storeUint(1, 256).storeAddress(exc).endCell() },
    { name: 'client stake', to: client, from: alice, value: TON, body: head(OP.clientStake).storeCoins(2n * TON).storeAddress(exc).endCell() },
    { name: 'withdraw', to: client, from: alice, value: TON, body: simple(OP.withdraw, exc) },
    { name: 'request refund', to: client, from: alice, value: TON, body: simple(OP.requestRefund, exc) },
    { name: 'charge', to: client, from: anyone, value: TON, body: signedTokens(OP.charge, 10n, client, key, exc) },
    { name: 'grant refund', to: client, from: anyone, value: TON, body: signedTokens(OP.grantRefund, 10n, client, key, exc) },
    { name: 'payout', to: worker, from: anyone, value: TON, body: signedTokens(OP.signedPayout, 10n, worker, key, exc) },
    { name: 'last payout', to: worker, from: anyone, value: TON, body: signedTokens(OP.lastPayout, 10n, worker, key, exc) },
    { name: 'worker register', to: worker, from: bob, value: TON, body: simple(OP.workerRegister, exc) },
    { name: 'increase stake', to: proxy, from: anyone, value: 2n * TON, body: head(OP.proxyStake).storeCoins(TON).storeAddress(exc).endCell() },
    { name: 'payout request', to: proxy, from: anyone, value: TON, body: simple(OP.proxyPayout, exc) },
    { name: 'owner close', to: proxy, from: proxyOwner, value: TON, body: simple(OP.ownerClose, exc) },
    { name: 'signed close', to: proxy, from: anyone, value: TON, body: close(OP.proxyClose) },
    { name: 'complete close', to: proxy, from: anyone, value: TON, body: close(OP.proxyComplete) },
  ];
}

const withBit = (cell: Cell): Cell => beginCell().storeSlice(cell.beginParse()).storeBit(0).endCell();
const withRef = (cell: Cell): Cell => beginCell().storeSlice(cell.beginParse()).storeRef(Cell.EMPTY).endCell();

/** A lab in which the message would be accepted. */
async function ready(codes: Parameters<Scenario['run']>[0], name: string): Promise<Lab> {
  const lab = await Lab.create(codes);
  await lab.deposit(20n * TON);
  if (name === 'complete close') lab.setProxy({ state: 1, unlockTs: 1 });
  return lab;
}

export const strictRules: Scenario[] = [
  { name: 'strict bodies (H1-H12 senders): accepted as they are, refused with a bit or a reference more, or a bit less', run: async (codes) => {
    for (let i = 0; i < 17; i += 1) {
      const name = samples(await Lab.create(codes))[i]?.name ?? '';
      const lab = await ready(codes, name);
      const s = samples(lab)[i];
      assert.ok(s);
      const shorter = beginCell().storeBits(s.body.bits.substring(0, s.body.bits.length - 1));
      for (const ref of s.body.refs) shorter.storeRef(ref);
      for (const bad of [withBit(s.body), withRef(s.body), shorter.endCell()]) {
        assert.deepEqual([s.name, first(await lab.send(s.from, s.to, s.value, bad), s.to).exit], [s.name, 9]);
      }
      assertExit(first(await lab.send(s.from, s.to, s.value, s.body), s.to), 0);
    }
  } },
  { name: 'strict values (H11 client): floor and commission to the last nanoTON', run: async (codes) => {
    const lab = await Lab.create(codes);
    const { world } = lab.net;
    for (const [had, value, exit] of [
      [500_000_000n, 99_999_999n, 1003], [500_000_000n, 100_000_000n, 0], [0n, 209_999_999n, 1001], [0n, 210_000_000n, 0], [110_000_000n, 100_000_000n, 0],
      [109_999_999n, 100_000_000n, 1001],
    ] as const) {
      world.replace(lab.client, { balance: had });
      assert.equal(first(await lab.send(alice, lab.client, value, head(OP.changeHash).storeUint(1, 256).storeAddress(exc).endCell()), lab.client).exit, exit);
    }
  } },
  { name: 'strict values (H6 proxy): the commission to the last nanoTON, for every request of people', run: async (codes) => {
    const commission = TON / 10n;
    const requests = samples(await Lab.create(codes)).slice(12).map((s) => s.name);
    for (const name of [...requests, 'c', 'w']) {
      for (const [less, exit] of [[1n, 1003], [0n, 0]] as const) {
        const lab = await ready(codes, name);
        const { proxy, proxyOwner } = lab.net;
        const s = samples(lab).find((sample) => sample.name === name) ?? { from: proxyOwner, body: text(name) };
        const needed = name === 'increase stake' ? commission + TON : commission;
        assert.deepEqual([name, first(await lab.send(s.from, proxy, needed - less, s.body), proxy).exit], [name, exit]);
      }
    }
  } },
  { name: 'strict root bodies (H10): nothing is left over in any message', run: async (codes) => {
    const net = await Network.create(codes);
    const code = (n: number): Cell => beginCell().storeUint(n, 32).endCell();
    const description = (b: Builder): Builder => b.storeUint(2, 8).storeBuffer(Buffer.from('ab'));
    const bodies = [
      ...[OP.addWorker, OP.delWorker, OP.addModel, OP.delModel, OP.addProxy, OP.delProxy].map((op) => head(op).storeUint(1, 256)),
      description(head(OP.registerProxy)), head(OP.unregisterProxy).storeUint(9, 32), head(OP.changePrice).storeCoins(2).storeCoins(1),
      head(OP.changeParams).storeCoins(2).storeCoins(1).storeUint(1, 32).storeUint(1, 32).storeCoins(1).storeCoins(1), head(OP.reset),
      head(OP.childCodes).storeRef(code(1)).storeRef(code(2)).storeRef(code(3)), head(OP.changeOwner).storeAddress(alice),
      description(head(OP.updateProxy).storeUint(1, 32)), head(OP.rootCode).storeRef(code(1)), head(OP.rootFull).storeRef(code(1)).storeRef(code(2)),
    ].map((b) => b.endCell());
    const ask = async (body: Cell): Promise<number | undefined> =>
      single((await net.world.send({ from: net.owner, to: net.root, value: TON / 20n, body })).filter((tx) => tx.account === net.root.toRawString())).exit;
    // a proxy to update
    assert.equal(await ask(bodies[6] ?? Cell.EMPTY), 0);
    for (const [i, body] of bodies.entries()) {
      assert.deepEqual([i, await ask(withBit(body))], [i, 9]);
      assert.deepEqual([i, await ask(withRef(body))], [i, 9]);
    }
    // the excess of every accepted message goes back, also when code and data are replaced
    for (const body of [...bodies.slice(0, 10), ...bodies.slice(11)]) {
      const had = net.world.balance(net.owner);
      if (opOf(body) === OP.updateProxy) await ask(bodies[6] ?? Cell.EMPTY);
      const before = opOf(body) === OP.updateProxy ? net.world.balance(net.owner) : had;
      assert.ok([0, 2000].includes((await ask(body)) ?? -1));
      assert.ok(net.world.balance(net.owner) - before > TON / 25n);
    }
    net.world.now += 86_400;
    const before = net.world.balance(net.owner);
    assert.equal(await ask(bodies.at(-1) ?? Cell.EMPTY), 0);
    assert.ok(net.world.codeOf(net.root).equals(code(2)));
    assert.ok(net.world.balance(net.owner) - before > TON / 25n);
  } },
  { name: 'strict get methods of root and proxy (H10): parameters of another struct version are refused', run: async (codes) => {
    const net = await Network.create(codes);
    const old = beginCell().storeUint(2, 8).storeBits(net.childParams.bits.substring(8, net.childParams.bits.length - 8)).endCell();
    const s = net.world.data(net.root).beginParse();
    const owner = s.loadAddress();
    const data = beginCell().storeAddress(owner).storeUint(s.loadUint(32), 32).storeRef(s.loadRef()).storeRef(old).endCell();
    net.world.replace(net.root, { data });
    for (const name of ['get_cocoon_data', 'get_cur_params']) assert.equal((await net.world.get(net.root, 0x10000 | crc16(name))).exit, 1008);
    net.world.replace(net.proxy, { data: writeProxy({ ...readProxy(net.world.data(net.proxy)), params: old }) });
    assert.equal((await net.world.get(net.proxy, 0x10000 | crc16('get_cocoon_proxy_data'))).exit, 1008);
  } },
  { name: 'strict H8 wallet balance: two TON after the import fee, and not a nanoTON less', run: async (codes) => {
    const net = await Network.create(codes);
    const key = testKey('wallet');
    const wallet = net.wallet(key, alice, 10n * TON);
    const body = (seqno: number): Cell => walletExternal(key, { seqno, validUntil: net.world.now + 9 }, []);
    const first = await net.world.external(wallet, body(0));
    assert.ok('tx' in first && first.tx.raw.description.type === 'generic' && first.tx.raw.description.computePhase.type === 'vm');
    const importFee = 10n * TON - net.world.balance(wallet) - first.tx.raw.description.computePhase.gasFees;
    net.world.replace(wallet, { balance: 2n * TON + importFee - 1n });
    assert.deepEqual(await net.world.external(wallet, body(1)), { rejected: 1035 });
    net.world.replace(wallet, { balance: 2n * TON + importFee });
    assert.ok('tx' in (await net.world.external(wallet, body(1))));
  } },
  { name: 'strict H4 spare TON: exactly at the limit nothing is sent to the owner', run: async (codes) => {
    for (const [had, spare] of [[20_000_000n, 0n], [20_000_001n, 10_000_001n]] as const) {
      const lab = await Lab.create(codes);
      await lab.deposit(20n * TON);
      lab.net.world.replace(lab.worker, { balance: had });
      await lab.payout(1000n, true);
      assert.equal(lab.received(bob), 1000n * 1500n + spare);
    }
  } },
  { name: 'strict H4 grant refund of a client with little: told so before it closes', run: async (codes) => {
    const lab = await Lab.create(codes);
    await lab.deposit(20n * TON);
    const { world } = lab.net;
    world.replace(lab.client, { balance: 10_000_000n });
    const low = first(await lab.send(anyone, lab.client, 199_999_999n, lab.signed(OP.grantRefund, 10n, lab.client)), lab.client);
    assert.equal(low.exit, 1001);
    const before = lab.received(alice);
    assertExit(first(await lab.send(anyone, lab.client, 200_000_000n, lab.signed(OP.grantRefund, 10n, lab.client)), lab.client), 0);
    assert.equal(world.balance(lab.client), 10_000_000n);
    assert.equal(lab.received(alice) - before, 20n * TON - 20_000n);
    for (const [had, kept, spare] of [[20_000_000n, 20_000_000n, 0n], [20_000_001n, 10_000_000n, 10_000_001n]] as const) {
      const other = await Lab.create(codes);
      await other.deposit(20n * TON);
      const start = other.received(alice);
      other.net.world.replace(other.client, { balance: had });
      await other.grant(10n);
      assert.equal(other.net.world.balance(other.client), kept);
      assert.equal(other.received(alice) - start, 20n * TON - 20_000n + spare);
    }
  } },
  { name: 'strict client closing (H2): a forced claim pays nothing early, and once', run: async (codes) => {
    const lab = await Lab.create(codes);
    await lab.deposit(5n * TON);
    const { world } = lab.net;
    world.replace(lab.client, { data: writeClient({ ...lab.clientState, state: 1, unlockTs: world.now }) });
    assert.equal(first(await lab.refund(), lab.client).exit, 1011);
    world.now += 1;
    assertExit(first(await lab.refund(), lab.net.proxy), 0);
    assert.equal(first(await lab.refund(), lab.client).exit, 1006);
    assert.equal(single([lab.clientState.balance]), 0n);
  } },
];

