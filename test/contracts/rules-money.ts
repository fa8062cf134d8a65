// H1, H2, H4, H5, H6, H9 and H11 of ONCHAIN.md section 13: what our contracts do with money when something does not go as planned.
import assert from 'node:assert/strict';
import { Address, beginCell } from '@ton/core';
import type { Cell } from '@ton/core';
import { head, OP, proxyStake, signedClose, simple, text, topUp } from './bodies.ts';
import { DAY, TON } from './network.ts';
import type { Codes } from './network.ts';
import { writeClient, writeWorker } from './storage.ts';
import { alice, anyone, assertClose, assertExit, bob, exc, first, inner, innerPayout, Lab, of, single } from './scenario.ts';
import type { Scenario } from './scenario.ts';

const YEAR = 365 * DAY;

/** A lab whose client has a confirmed deposit. */
async function funded(codes: Codes, deposit = 20n * TON, options = {}): Promise<Lab> {
  const lab = await Lab.create(codes, options);
  assertExit(first(await lab.deposit(deposit), lab.net.proxy), 0);
  return lab;
}

/** Closes the proxy with its key, both steps. */
async function close(lab: Lab): Promise<bigint> {
  const { proxy, key, world } = lab.net;
  assertExit(first(await lab.send(anyone, proxy, TON / 2n, signedClose(OP.proxyClose, proxy, key, exc)), proxy), 0);
  world.now += 2 * DAY;
  const before = lab.received(lab.net.proxyOwner);
  assertExit(first(await lab.send(anyone, proxy, TON / 2n, signedClose(OP.proxyComplete, proxy, key, exc)), proxy), 0);
  return lab.received(lab.net.proxyOwner) - before;
}

/** Deposits 3 TON into a proxy that does not take them; the client forgets them and Alice has her money back. */
async function refusedDeposit(lab: Lab, exit: number | undefined): Promise<void> {
  const before = lab.clientState;
  const had = lab.received(alice);
  const account = lab.net.world.balance(lab.client);
  const txs = await lab.deposit(3n * TON);
  assert.equal(first(txs, lab.net.proxy).exit, exit);
  // nothing of it was used, so nothing goes to the pool
  assert.equal(of(txs, lab.client)[1]?.out.length, 1);
  assert.equal(lab.clientState.balance, before.balance);
  assertClose(lab.received(alice) - had, 3n * TON + TON / 2n);
  assert.ok(lab.net.world.balance(lab.client) >= account, 'the client contract lost its own gas money');
}

const H1: Scenario[] = [
  { name: 'H1 deposit: a closing proxy refuses it and it comes back', run: async (codes) => {
    const lab = await funded(codes);
    lab.setProxy({ state: 1, unlockTs: lab.net.world.now + DAY });
    await refusedDeposit(lab, 1006);
  } },
  { name: 'H1 deposit: a closed proxy refuses it and it comes back', run: async (codes) => {
    const lab = await funded(codes);
    lab.setProxy({ state: 2, balance: 0n, stake: 0n });
    await refusedDeposit(lab, 1006);
  } },
  { name: 'H1 deposit: to a proxy that does not exist comes back', run: async (codes) => {
    await refusedDeposit(await Lab.create(codes, { proxyDeployed: false }), undefined);
  } },
  { name: 'H1 deposit: its excess may be nothing, and a failed one still is not counted', run: async (codes) => {
    const lab = await funded(codes);
    lab.setProxy({ state: 1 });
    await lab.send(anyone, lab.client, 4n * TON + TON / 10n, topUp(4n * TON, exc));
    assert.equal(lab.clientState.balance, 20n * TON);
    assertClose(lab.received(exc), 4n * TON + TON / 10n);
  } },
  { name: 'H1 deposit: withdrawn before its refusal is known, the pool gets it back', run: async (codes) => {
    const lab = await funded(codes);
    lab.setProxy({ state: 1 }, 100n * TON);
    const pool = lab.pool;
    const { world } = lab.net;
    // both requests are on their way to the proxy before either is executed there
    const deposit = await world.deliver(lab.message(alice, lab.client, 15n * TON + TON / 2n, topUp(15n * TON, alice)));
    const withdraw = await world.deliver(lab.message(alice, lab.client, TON / 2n, simple(OP.withdraw, alice)));
    assert.ok(deposit && withdraw);
    await world.settle([...deposit.out, ...withdraw.out]);
    // 34 TON were paid out of 20 that were there: 14 of the 15 that came back go to the pool, 1 to Alice
    assert.equal(lab.clientState.balance, 0n);
    assertClose(lab.pool, pool - 20n * TON + TON / 100n, TON / 100n);
    assertClose(lab.received(alice), 35n * TON + 3n * TON / 2n, TON / 10n);
  } },
  { name: 'H1 deposit: charged before its refusal is known, the pool gets that part', run: async (codes) => {
    const lab = await funded(codes, 1n * TON);
    lab.setProxy({ state: 1 });
    const pool = lab.pool;
    const { world } = lab.net;
    const deposit = await world.deliver(lab.message(alice, lab.client, 3n * TON + TON / 2n, topUp(3n * TON, alice)));
    assert.ok(deposit);
    const price = lab.net.params.price;
    await lab.charge((2n * TON) / price);
    await world.settle([...deposit.out]);
    assert.equal(lab.clientState.balance, 0n);
    // one TON of the charge was covered, the other by the deposit that was refused
    assertClose(lab.pool, pool + TON + TON / 100n + 1n, TON / 100n);
  } },
  { name: 'H1 deposit: returned through a poor account, as much as is left reaches the pool', run: async (codes) => {
    const lab = await Lab.create(codes);
    const { world, proxy } = lab.net;
    const c = lab.clientState;
    world.replace(lab.client, { data: writeClient({ ...c, balance: 0n, state: 2 }) });
    const request = beginCell().storeUint(OP.clientRequest, 32).storeUint(7, 64).storeAddress(alice).storeRef(beginCell().storeUint(0, 330).endCell())
      .storeMaybeRef(inner(OP.innerTopUp, 5n * TON, exc)).endCell();
    const received = world.balance(proxy);
    const txs = await world.send({ from: proxy, to: lab.client, value: TON, body: richBounce(request), bounce: false, bounced: true });
    assertExit(first(txs, lab.client), 0);
    assertClose(world.balance(proxy) - received, TON - TON / 50n, TON / 1000n);
    assert.equal(lab.clientState.balance, 0n);
  } },
  { name: 'H1 payout: neither balance nor stake of the proxy pays children', run: async (codes) => {
    const lab = await funded(codes);
    const { proxy } = lab.net;
    lab.setProxy({ balance: 4n * TON }, 16n * TON);
    const pool = 2n * TON;
    const pay = async (w: bigint, p: bigint): Promise<number | undefined> =>
      first(await lab.send(lab.worker, proxy, TON / 2n, lab.workerRequest(innerPayout(w, p, exc))), proxy).exit;
    assert.equal(await pay(pool - 10n, 11n), 1016);
    assert.equal(await pay(pool + 1n, 0n), 1016);
    assert.equal(await pay(pool - 10n, 10n), 0);
    assert.equal(lab.pool, 0n);
    assert.equal(lab.proxyState.balance, 4n * TON + 10n);
    assert.equal(lab.proxyState.stake, 10n * TON);
    assert.equal(await pay(0n, 1n), 1016);
  } },
  { name: 'H1 children: an address with the right hash in another workchain is not one', run: async (codes) => {
    const lab = await funded(codes);
    const { proxy } = lab.net;
    const elsewhere = (address: Address): Address => new Address(-1, address.hash);
    const forged = await lab.send(elsewhere(lab.client), proxy, TON, lab.clientRequest(inner(OP.innerGranted, TON, exc)));
    assert.equal(first(forged, proxy).exit, 1014);
    assert.equal(first(await lab.send(elsewhere(lab.worker), proxy, TON, lab.workerRequest(innerPayout(1n, 1n, exc))), proxy).exit, 1014);
  } },
  { name: 'H1 refund: a granted one is paid from the pool to the last nanoTON, and no further', run: async (codes) => {
    const lab = await funded(codes);
    const { proxy } = lab.net;
    lab.setProxy({ balance: 4n * TON }, 16n * TON);
    const before = lab.received(alice);
    const ask = async (coins: bigint): Promise<number | undefined> =>
      first(await lab.send(lab.client, proxy, TON / 2n, lab.clientRequest(inner(OP.innerGranted, coins, exc))), proxy).exit;
    assert.equal(await ask(2n * TON + 1n), 1016);
    assert.equal(await ask(2n * TON), 0);
    assert.equal(lab.pool, 0n);
    assert.equal(lab.received(alice) - before, 2n * TON);
  } },
];

/** A bounce in the format of TVM 12 with the whole body, as the chain makes it. */
function richBounce(body: Cell): Cell {
  const info = beginCell().storeCoins(0).storeBit(0).storeUint(0, 96).endCell();
  return beginCell().storeUint(0xfffffffe, 32).storeRef(body).storeRef(info).storeUint(1, 8).storeInt(1016, 32).storeBit(0).endCell();
}

const H2: Scenario[] = [
  { name: 'H2 payout: refused for want of a pool, the tokens are unpaid again and the value returns', run: async (codes) => {
    const lab = await Lab.create(codes);
    const account = lab.net.world.balance(lab.worker);
    const txs = await lab.payout(1_000_000n);
    assert.equal(first(txs, lab.net.proxy).exit, 1016);
    assert.equal(lab.workerState.tokens, 0n);
    assert.equal(lab.workerState.state, 0);
    assert.equal(lab.received(bob), 0n);
    assertClose(lab.received(exc), TON / 2n);
    assert.ok(lab.net.world.balance(lab.worker) >= account);
    // the same signed total is paid once there is a deposit
    await lab.deposit(20n * TON);
    assertExit(first(await lab.payout(1_000_000n), lab.net.proxy), 0);
    assert.equal(lab.received(bob), 1_000_000n * 1500n);
    assert.equal(lab.workerState.tokens, 1_000_000n);
  } },
  { name: 'H2 last payout: refused, the worker is open again', run: async (codes) => {
    const lab = await Lab.create(codes);
    await lab.payout(1_000_000n, true);
    assert.deepEqual([lab.workerState.state, lab.workerState.tokens], [0, 0n]);
    await lab.deposit(20n * TON);
    await lab.payout(1_000_000n, true);
    assert.deepEqual([lab.workerState.state, lab.workerState.tokens], [2, 1_000_000n]);
  } },
  { name: 'H2 payouts in flight: each bounce takes back its own tokens, in any order', run: async (codes) => {
    const lab = await Lab.create(codes);
    const { world } = lab.net;
    const send = async (tokens: bigint, op: number): Promise<Awaited<ReturnType<typeof world.deliver>>> =>
      world.deliver(lab.message(anyone, lab.worker, TON / 2n, lab.signed(op, tokens, lab.worker)));
    const a = await send(500_000n, OP.signedPayout);
    const b = await send(1_500_000n, OP.lastPayout);
    assert.ok(a && b);
    lab.setProxy({}, 10n * TON + 2n * TON + TON / 2n);
    // the second, of 2 TON, is paid; the first bounces after the worker closed
    await world.settle(b.out);
    await world.settle(a.out);
    assert.deepEqual([lab.workerState.state, lab.workerState.tokens], [0, 1_000_000n]);
    assert.equal(lab.received(bob), 1_000_000n * 1500n + (300_000_000n - 10_000_000n));
  } },
  { name: 'H2 payout at price zero: a bounce divides by nothing', run: async (codes) => {
    const lab = await Lab.create(codes, { params: { price: 0n, fee: 0n }, proxyDeployed: false });
    const txs = await lab.payout(10n, true);
    assertExit(of(txs, lab.worker)[1] ?? first([], lab.worker), 0);
    assert.equal(lab.workerState.state, 0);
  } },
  { name: 'H2 withdraw: refused, the balance is there again', run: async (codes) => {
    const lab = await funded(codes);
    lab.setProxy({}, 12n * TON);
    const account = lab.net.world.balance(lab.client);
    const txs = await lab.withdraw();
    assert.equal(first(txs, lab.net.proxy).exit, 1016);
    assert.deepEqual([lab.clientState.balance, lab.clientState.state], [20n * TON, 0]);
    assert.ok(lab.net.world.balance(lab.client) >= account);
  } },
  { name: 'H2 request refund: refused, the balance is there again and the request stands', run: async (codes) => {
    const lab = await funded(codes);
    lab.setProxy({}, 12n * TON);
    await lab.refund();
    assert.deepEqual([lab.clientState.balance, lab.clientState.state], [20n * TON, 1]);
    assert.equal(lab.clientState.unlockTs, lab.net.world.now + DAY);
    lab.net.world.now += DAY + 1;
    assertExit(first(await lab.refund(), lab.net.proxy), 0);
    assert.equal(lab.clientState.state, 1);
    // the stake had paid a day's rent
    assertClose(lab.clientState.balance, 10n * TON + TON / 100n, TON / 100n);
  } },
  { name: 'H2 grant refund: refused, the account is not closed with money owed', run: async (codes) => {
    const lab = await funded(codes);
    lab.setProxy({}, 12n * TON);
    await lab.grant(1_000_000n);
    const c = lab.clientState;
    assert.deepEqual([c.balance, c.state, c.tokens, c.unlockTs], [18n * TON, 1, 1_000_000n, 0]);
    // claimable at once, and the grant may be delivered again
    lab.setProxy({}, 40n * TON);
    await lab.grant(1_000_000n);
    assert.deepEqual([lab.clientState.balance, lab.clientState.state], [0n, 2]);
    assert.ok(lab.received(alice) >= 18n * TON);
  } },
  { name: 'H2 forced claim: with nothing to pay from it is owed again', run: async (codes) => {
    const lab = await funded(codes, TON);
    await lab.refund();
    lab.net.world.now += DAY + 1;
    lab.setProxy({ stake: 0n });
    const txs = await lab.refund();
    assert.equal(first(txs, lab.net.proxy).exit, 1016);
    assert.deepEqual([lab.clientState.balance, lab.clientState.state], [TON, 1]);
    await lab.send(anyone, lab.net.proxy, 3n * TON, proxyStake(2n * TON, anyone));
    const paid = lab.received(alice);
    await lab.refund();
    assert.deepEqual([lab.clientState.balance, lab.clientState.state], [0n, 2]);
    assert.ok(lab.received(alice) - paid >= TON);
  } },
  { name: 'H2 bounce: from anybody but the proxy it changes nothing', run: async (codes) => {
    const lab = await funded(codes);
    const { world } = lab.net;
    const request = beginCell().storeSlice(lab.clientRequest(inner(OP.innerGranted, 5n * TON, exc)).beginParse()).endCell();
    const txs = await world.send({ from: anyone, to: lab.client, value: TON, body: richBounce(request), bounce: false, bounced: true });
    assert.equal(single(txs).exit, 1010);
    assert.equal(lab.clientState.balance, 20n * TON);
    await lab.payout(1_000_000n);
    const paid = lab.workerRequest(innerPayout(1500n, 500n, exc));
    const again = await world.send({ from: anyone, to: lab.worker, value: TON, body: richBounce(paid), bounce: false, bounced: true });
    assert.equal(single(again).exit, 1010);
    assert.equal(lab.workerState.tokens, 1_000_000n);
  } },
  { name: 'H2 bounce: the old format, which carries no body, is ignored', run: async (codes) => {
    const lab = await funded(codes);
    const body = beginCell().storeUint(0xffffffff, 32).storeUint(OP.clientRequest, 32).storeUint(0, 192).endCell();
    for (const to of [lab.client, lab.worker]) {
      const data = lab.net.world.data(to);
      const txs = await lab.net.world.send({ from: lab.net.proxy, to, value: TON, body, bounce: false, bounced: true });
      assertExit(single(txs), 0);
      assert.ok(lab.net.world.data(to).equals(data));
    }
  } },
];

const H4: Scenario[] = [
  { name: 'H4 grant refund: the spare TON goes to the owner, the deliverer gets what he brought', run: async (codes) => {
    const lab = await funded(codes);
    const account = lab.net.world.balance(lab.client);
    await lab.grant(1_000_000n);
    assert.equal(lab.net.world.balance(lab.client), 10_000_000n);
    assert.equal(lab.received(alice) >= 18n * TON + account - 10_000_000n, true);
    assertClose(lab.received(exc), TON / 2n);
  } },
  { name: 'H4 last payout: the spare TON goes to the owner, the deliverer gets what he brought', run: async (codes) => {
    const lab = await funded(codes);
    await lab.payout(1_000_000n, true);
    assert.equal(lab.net.world.balance(lab.worker), 10_000_000n);
    assert.equal(lab.received(bob), 1_500_000_000n + 290_000_000n);
    assertClose(lab.received(exc), TON / 2n);
  } },
  { name: 'H4 closing with little: what is not worth a message stays', run: async (codes) => {
    for (const [had, kept] of [[20_000_000n, 20_000_000n], [20_000_001n, 10_000_000n], [15_000_000n, 15_000_000n], [5_000_000n, 10_000_000n]] as const) {
      const lab = await funded(codes);
      const { world } = lab.net;
      world.replace(lab.client, { balance: had });
      world.replace(lab.worker, { balance: had });
      await lab.payout(1_000_000n, true);
      assert.equal(world.balance(lab.worker), kept);
      // the client still asks for its floor before it closes
      if (had >= 110_000_000n) await lab.grant(1_000_000n);
      assertClose(lab.received(exc), TON / 2n);
    }
  } },
  { name: 'H4 charge: the deliverer gets back what he brought, the client contract loses nothing', run: async (codes) => {
    const lab = await funded(codes);
    const account = lab.net.world.balance(lab.client);
    await lab.charge(1000n);
    assert.equal(lab.net.world.balance(lab.client), account);
    assertClose(lab.received(exc), TON / 2n);
  } },
];

const H5: Scenario[] = [
  { name: 'H5 forced claim: pays what the stake covers, the rest stays claimable', run: async (codes) => {
    const lab = await funded(codes, 20n * TON);
    const { world, proxy } = lab.net;
    world.replace(lab.client, { data: writeClient({ ...lab.clientState, state: 1, unlockTs: world.now - 1 }) });
    const pool = lab.pool;
    const account = world.balance(lab.client);
    const before = lab.received(alice);
    const txs = await lab.refund();
    assertExit(first(txs, proxy), 0);
    assert.equal(lab.proxyState.stake, 0n);
    assert.equal(lab.pool, pool);
    assert.deepEqual([lab.clientState.balance, lab.clientState.state], [10n * TON, 1]);
    assertClose(lab.received(alice) - before, 10n * TON + TON / 2n);
    assert.ok(world.balance(lab.client) >= account);
    await lab.send(anyone, proxy, 21n * TON, proxyStake(20n * TON, anyone));
    await lab.refund();
    assert.deepEqual([lab.clientState.balance, lab.clientState.state], [0n, 2]);
    assert.equal(lab.proxyState.stake, 10n * TON);
  } },
  { name: 'H5 forced claim: of nothing closes the account, of the whole stake leaves no rest', run: async (codes) => {
    const lab = await funded(codes, 10n * TON);
    const { world } = lab.net;
    world.replace(lab.client, { data: writeClient({ ...lab.clientState, state: 1, unlockTs: 1 }) });
    await lab.refund();
    assert.deepEqual([lab.clientState.balance, lab.clientState.state, lab.proxyState.stake], [0n, 2, 0n]);
    world.replace(lab.client, { data: writeClient({ ...lab.clientState, state: 1, unlockTs: 1 }) });
    assertExit(first(await lab.refund(), lab.net.proxy), 0);
    assert.equal(lab.clientState.state, 2);
  } },
  { name: 'H5 refund rest: only the proxy can say that something is owed', run: async (codes) => {
    const lab = await funded(codes);
    const body = head(OP.refundRest).storeCoins(5n).storeAddress(exc).endCell();
    assert.equal(first(await lab.send(anyone, lab.client, TON, body), lab.client).exit, 1010);
    assert.equal(lab.clientState.balance, 20n * TON);
    assertExit(first(await lab.send(lab.net.proxy, lab.client, TON, body), lab.client), 0);
    assert.deepEqual([lab.clientState.balance, lab.clientState.state], [20n * TON + 5n, 0]);
    assertClose(lab.received(exc), TON);
  } },
  { name: 'H5 deposit: refused while the proxy has less than its minimum stake', run: async (codes) => {
    const lab = await Lab.create(codes, { stake: 10n * TON - TON / 2n - 1n });
    await refusedDeposit(lab, 1018);
    await lab.send(anyone, lab.net.proxy, TON, proxyStake(1n, anyone));
    assertExit(first(await lab.deposit(3n * TON), lab.net.proxy), 0);
    assert.equal(lab.clientState.balance, 3n * TON);
  } },
];

const H6: Scenario[] = [
  { name: 'H6 complete close: the owner gets balance and stake, the pool stays', run: async (codes) => {
    const lab = await funded(codes);
    lab.setProxy({ balance: 2n * TON }, lab.net.world.balance(lab.net.proxy) + 2n * TON);
    const pool = lab.pool;
    const got = await close(lab);
    assert.ok(got <= 12n * TON && got > 11n * TON + TON * 9n / 10n);
    assert.ok(lab.pool >= pool);
    assert.deepEqual([lab.proxyState.state, lab.proxyState.balance, lab.proxyState.stake, lab.proxyState.unlockTs], [2, 0n, 0n, 0]);
    // once for the announcement, once for the completion
    assertClose(lab.received(exc), TON, TON / 10n);
  } },
  { name: 'H6 complete close: an account that holds less than balance and stake keeps the floor', run: async (codes) => {
    const lab = await Lab.create(codes);
    const { world, proxy, key } = lab.net;
    lab.setProxy({ state: 1, unlockTs: 1 });
    world.replace(proxy, { data: withoutPool(lab), balance: 4n * TON });
    const txs = await lab.send(anyone, proxy, TON / 2n, signedClose(OP.proxyComplete, proxy, key, exc));
    assertExit(first(txs, proxy), 0);
    assert.equal(lab.received(lab.net.proxyOwner), 4n * TON - 10_000_000n);
    assert.equal(world.balance(proxy), 10_000_000n);
  } },
  { name: 'H6 closed proxy: still pays its workers and clients', run: async (codes) => {
    const lab = await funded(codes);
    await close(lab);
    assertExit(first(await lab.payout(1_000_000n), lab.net.proxy), 0);
    assert.equal(lab.received(bob), 1_500_000_000n);
    assert.deepEqual([lab.proxyState.balance, lab.proxyState.state], [0n, 2]);
    assertExit(first(await lab.grant(1_000_000n), lab.net.proxy), 0);
    assert.ok(lab.received(alice) >= 18n * TON);
    assert.equal(lab.clientState.state, 2);
  } },
  { name: 'H6 closed proxy: a forced claim is paid from the pool, and in part where that is too small', run: async (codes) => {
    const lab = await funded(codes);
    const { world, proxy } = lab.net;
    await close(lab);
    world.replace(lab.client, { data: writeClient({ ...lab.clientState, state: 1, unlockTs: 1 }) });
    lab.setProxy({}, 5n * TON);
    await lab.refund();
    assert.deepEqual([lab.clientState.balance, lab.clientState.state], [15n * TON, 1]);
    assert.equal(world.balance(proxy), 0n);
    lab.setProxy({}, 40n * TON);
    await lab.refund();
    assert.deepEqual([lab.clientState.balance, lab.clientState.state], [0n, 2]);
    assert.equal(world.balance(proxy), 25n * TON);
  } },
];

/** Storage of the proxy as deployed: nothing recorded about the pool. */
const withoutPool = (lab: Lab): Cell => {
  const s = lab.net.world.data(lab.net.proxy).beginParse();
  const b = beginCell().storeAddress(s.loadAddress()).storeUint(s.loadUintBig(256), 256).storeAddress(s.loadAddress()).storeUint(s.loadUint(2), 2)
    .storeCoins(s.loadCoins()).storeCoins(s.loadCoins()).storeUint(s.loadUint(32), 32).storeRef(s.loadRef());
  return b.endCell();
};

const H9: Scenario[] = [
  { name: 'H9 rent: comes out of the earnings first', run: async (codes) => {
    const lab = await funded(codes);
    lab.setProxy({ balance: 2n * TON }, lab.net.world.balance(lab.net.proxy) + 2n * TON);
    const pool = lab.pool;
    lab.net.world.now += 10 * YEAR;
    const txs = await lab.send(anyone, lab.net.proxy, TON / 2n, simple(OP.proxyPayout, exc));
    const rent = first(txs, lab.net.proxy).storageFee;
    assert.ok(rent > TON / 10n);
    assert.equal(lab.received(lab.net.proxyOwner), 2n * TON - rent);
    assert.equal(lab.pool, pool);
    assert.equal(lab.proxyState.stake, 10n * TON);
  } },
  { name: 'H9 rent: comes out of the stake when there are no earnings', run: async (codes) => {
    const lab = await funded(codes);
    lab.setProxy({ balance: 1000n }, lab.net.world.balance(lab.net.proxy) + 1000n);
    const pool = lab.pool;
    lab.net.world.now += 10 * YEAR;
    const txs = await lab.send(anyone, lab.net.proxy, 2n * TON, proxyStake(TON, exc));
    const rent = first(txs, lab.net.proxy).storageFee;
    assert.deepEqual([lab.proxyState.balance, lab.proxyState.stake], [0n, 11n * TON + 1000n - rent]);
    assert.equal(lab.pool, pool);
  } },
  { name: 'H9 rent: messages too small to run code do not hide it', run: async (codes) => {
    const lab = await funded(codes);
    const pool = lab.pool;
    let rent = 0n;
    for (let i = 0; i < 5; i += 1) {
      lab.net.world.now += YEAR;
      const [tx] = await lab.send(anyone, lab.net.proxy, 1n, beginCell().endCell());
      assert.ok(tx);
      assert.equal(tx.exit, undefined);
      rent += tx.storageFee;
    }
    await lab.deposit(TON);
    assert.ok(rent > 0n);
    assert.equal(lab.proxyState.stake, 10n * TON - rent + 5n);
    assert.equal(lab.pool, pool + TON);
  } },
  { name: 'H9 rent: a worker payout, a refund and both closes book it too', run: async (codes) => {
    const steps: ((lab: Lab) => Promise<unknown>)[] = [
      (lab) => lab.payout(1000n), (lab) => lab.withdraw(),
      (lab) => lab.send(lab.net.proxyOwner, lab.net.proxy, TON, simple(OP.ownerClose, exc)),
      (lab) => lab.send(lab.net.proxyOwner, lab.net.proxy, TON, text('c')),
      (lab) => lab.send(anyone, lab.net.proxy, TON, signedClose(OP.proxyClose, lab.net.proxy, lab.net.key, exc)),
      (lab) => lab.send(lab.net.proxyOwner, lab.net.proxy, TON, text('w')),
    ];
    for (const [i, step] of steps.entries()) {
      const lab = await funded(codes);
      const pool = lab.pool;
      lab.net.world.now += YEAR;
      await step(lab);
      const out = [1000n * 2000n, 19n * TON][i] ?? 0n;
      assert.equal(lab.pool, pool - out, `step ${i}`);
      assert.ok(lab.proxyState.stake < 10n * TON, `step ${i}`);
      assert.equal(lab.proxyState.pool, lab.pool, `step ${i}`);
    }
  } },
  { name: 'H9 rent: the owner of a closing proxy gets what rent has left, the pool loses nothing', run: async (codes) => {
    const lab = await funded(codes);
    const { proxy, key, world } = lab.net;
    lab.setProxy({ state: 1, unlockTs: world.now + DAY });
    const pool = lab.pool;
    world.now += 5 * YEAR;
    const txs = await lab.send(anyone, proxy, TON / 2n, signedClose(OP.proxyComplete, proxy, key, exc));
    assert.equal(lab.received(lab.net.proxyOwner), 10n * TON - first(txs, proxy).storageFee);
    assert.equal(lab.pool, pool);
  } },
  { name: 'H9 rent: more than balance and stake leaves nothing to book against', run: async (codes) => {
    const lab = await Lab.create(codes, { stake: 0n, params: { minProxyStake: 0n } });
    await lab.deposit(TON);
    lab.setProxy({ balance: 10n, stake: 20n }, TON);
    lab.net.world.now += 5 * YEAR;
    await lab.send(anyone, lab.net.proxy, TON / 2n, simple(OP.proxyPayout, exc));
    assert.deepEqual([lab.proxyState.balance, lab.proxyState.stake], [0n, 0n]);
    assert.equal(lab.proxyState.pool, lab.net.world.balance(lab.net.proxy));
  } },
];

const H11: Scenario[] = [
  { name: 'H11 charge: up to the balance, and one token more is refused', run: async (codes) => {
    const lab = await funded(codes, TON);
    assert.equal(first(await lab.charge(500_001n), lab.client).exit, 1001);
    assert.deepEqual([lab.clientState.balance, lab.clientState.tokens], [TON, 0n]);
    assertExit(first(await lab.charge(500_000n), lab.client), 0);
    assert.deepEqual([lab.clientState.balance, lab.clientState.tokens], [0n, 500_000n]);
  } },
  { name: 'H11 grant refund: a final total above the balance is refused', run: async (codes) => {
    const lab = await funded(codes, TON);
    assert.equal(first(await lab.grant(500_001n), lab.client).exit, 1001);
    assert.equal(lab.clientState.state, 0);
    assertExit(first(await lab.grant(500_000n), lab.net.proxy), 0);
    assert.deepEqual([lab.clientState.balance, lab.clientState.state], [0n, 2]);
  } },
  { name: 'H11 payouts: the highest signed total decides, whatever arrives when', run: async (codes) => {
    for (const order of [[10n, 20n, 30n], [30n, 10n, 20n], [20n, 20n, 30n], [30n]]) {
      const lab = await funded(codes);
      for (const tokens of order) await lab.payout(tokens * 1000n);
      assert.equal(lab.received(bob), 30_000n * 1500n);
      assert.equal(lab.workerState.tokens, 30_000n);
    }
  } },
  { name: 'H11 worker with less than the floor: told so, the value returns', run: async (codes) => {
    const lab = await funded(codes);
    const { world } = lab.net;
    const register = simple(OP.workerRegister, exc);
    for (const body of [lab.signed(OP.signedPayout, 1000n, lab.worker), register]) {
      const from = body === register ? bob : anyone;
      world.replace(lab.worker, { balance: 0n });
      const low = first(await lab.send(from, lab.worker, 209_999_999n, body), lab.worker);
      assert.deepEqual([low.exit, low.bounce], [1001, 'ok']);
      world.replace(lab.worker, { balance: 0n });
      assertExit(first(await lab.send(from, lab.worker, 210_000_000n, body), lab.worker), 0);
    }
    // a worker that closes needs no floor
    world.replace(lab.worker, { balance: 0n, data: writeWorker({ ...lab.workerState, tokens: 0n }) });
    assertExit(first(await lab.send(anyone, lab.worker, 110_000_000n, lab.signed(OP.lastPayout, 1000n, lab.worker)), lab.worker), 0);
  } },
];

export const moneyRules: Scenario[] = [...H1, ...H2, ...H4, ...H5, ...H6, ...H9, ...H11];
