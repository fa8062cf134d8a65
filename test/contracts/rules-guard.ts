// H3, H7, H10 and H12 of ONCHAIN.md section 13, and what the root does for the bond: refusals, announcements, replays.
import assert from 'node:assert/strict';
import { beginCell, Cell, storeMessageRelaxed } from '@ton/core';
import type { Address } from '@ton/core';
import { head, OP, walletExternal } from './bodies.ts';
import { DAY, Network, person, testKey, TON } from './network.ts';
import type { Codes } from './network.ts';
import { readParams } from './storage.ts';
import { alice, anyone, assertClose, assertExit, bob, extern, first, innerPayout, Lab, masterchain, none, of, single, workchain5 } from './scenario.ts';
import type { Scenario } from './scenario.ts';
import type { Tx } from './world.ts';

/** Every message that carries an excess address: its target, who sends it, its value, and its body around that address. */
function excessBodies(lab: Lab): { name: string; to: Address; from: Address; value: bigint; body: (excesses: Cell) => Cell }[] {
  const { client, worker, net } = lab;
  const { proxy, key, proxyOwner } = net;
  const at = (op: number) => (excesses: Cell): Cell => head(op).storeSlice(excesses.beginParse()).endCell();
  const signed = (op: number, to: Address, tokens: bigint | undefined) => (excesses: Cell): Cell => {
    const payload = head(op);
    if (tokens !== undefined) payload.storeUint(tokens, 64);
    const cell = payload.storeAddress(to).endCell();
    return head(op).storeSlice(excesses.beginParse()).storeBuffer(key.sign(cell.hash())).storeRef(cell).endCell();
  };
  const withCoins = (op: number, coins: bigint) => (excesses: Cell): Cell => head(op).storeCoins(coins).storeSlice(excesses.beginParse()).endCell();
  return [
    { name: 'client top up', to: client, from: anyone, value: 2n * TON, body: withCoins(OP.topUp, TON) },
    { name: 'client hash and top up', to: client, from: alice, value: 2n * TON,
      body: (e) => head(OP.hashTopUp).storeCoins(TON).storeUint(5, 256).storeSlice(e.beginParse()).endCell() },
    { name: 'client register', to: client, from: alice, value: TON, body: (e) => head(OP.clientRegister).storeUint(5, 64).storeSlice(e.beginParse()).endCell() },
    { name: 'client change hash', to: client, from: alice, value: TON, body: (e) => head(OP.changeHash).storeUint(5, 256).storeSlice(e.beginParse()).endCell() },
    { name: 'client stake', to: client, from: alice, value: TON, body: withCoins(OP.clientStake, 2n * TON) },
    { name: 'client withdraw', to: client, from: alice, value: TON, body: at(OP.withdraw) },
    { name: 'client request refund', to: client, from: alice, value: TON, body: at(OP.requestRefund) },
    { name: 'client charge', to: client, from: anyone, value: TON, body: signed(OP.charge, client, 1000n) },
    { name: 'client grant refund', to: client, from: anyone, value: TON, body: signed(OP.grantRefund, client, 1000n) },
    { name: 'worker payout', to: worker, from: anyone, value: TON, body: signed(OP.signedPayout, worker, 1000n) },
    { name: 'worker last payout', to: worker, from: anyone, value: TON, body: signed(OP.lastPayout, worker, 1000n) },
    { name: 'worker register', to: worker, from: bob, value: TON, body: at(OP.workerRegister) },
    { name: 'proxy stake', to: proxy, from: anyone, value: 2n * TON, body: withCoins(OP.proxyStake, TON) },
    { name: 'proxy payout', to: proxy, from: anyone, value: TON, body: at(OP.proxyPayout) },
    { name: 'proxy owner close', to: proxy, from: proxyOwner, value: TON, body: at(OP.ownerClose) },
    { name: 'proxy signed close', to: proxy, from: anyone, value: TON, body: signed(OP.proxyClose, proxy, undefined) },
    { name: 'proxy complete close', to: proxy, from: anyone, value: TON, body: signed(OP.proxyComplete, proxy, undefined) },
  ];
}

const addressCell = (address: Address): Cell => beginCell().storeAddress(address).endCell();

const H3: Scenario[] = [
  { name: 'H3 excess address: a bad one is refused before anything changes, in every message that has one', run: async (codes) => {
    const lab = await Lab.create(codes);
    await lab.deposit(20n * TON);
    for (const m of excessBodies(lab)) {
      if (m.name === 'proxy complete close') lab.setProxy({ state: 1, unlockTs: 1 });
      for (const [bad, exit] of [[none, 9], [extern, 9], [addressCell(workchain5), 1017]] as const) {
        const data = lab.net.world.data(m.to);
        const txs = await lab.send(m.from, m.to, m.value, m.body(bad));
        assert.deepEqual([m.name, txs[0]?.exit, txs[0]?.bounce], [m.name, exit, 'ok']);
        assert.equal(txs.length, 1, m.name);
        assert.ok(lab.net.world.data(m.to).equals(data), m.name);
      }
    }
  } },
  { name: 'H3 excess address: the masterchain is a place for it', run: async (codes) => {
    const lab = await Lab.create(codes);
    await lab.deposit(20n * TON);
    for (const m of excessBodies(lab).slice(0, 6)) {
      assertExit(first(await lab.send(m.from, m.to, m.value, m.body(addressCell(masterchain))), m.to), 0);
    }
    assert.ok(lab.received(masterchain) > TON);
  } },
  { name: 'H3 excess that cannot be delivered: the payment is made all the same', run: async (codes) => {
    const lab = await Lab.create(codes);
    await lab.deposit(20n * TON);
    const pool = lab.pool;
    const txs = await lab.send(lab.worker, lab.net.proxy, TON, lab.workerRequest(innerPayout(TON, 0n, workchain5)));
    assertExit(first(txs, lab.net.proxy), 0);
    assert.equal(lab.received(bob), TON);
    // what nobody can receive stays, and belongs to the pool
    assertClose(lab.pool, pool - TON + TON, TON / 50n);
  } },
];

const WALLET_OWNER = person('wallet owner');

interface WalletLab { net: Network; wallet: Address; send: (seqno: number, messages: { mode: number; cell: Cell }[]) => Promise<{ tx: Tx } | { rejected: number }> }

async function walletLab(codes: Codes): Promise<WalletLab> {
  const net = await Network.create(codes);
  const key = testKey('wallet');
  const wallet = net.wallet(key, WALLET_OWNER, 10n * TON);
  return { net, wallet, send: (seqno, messages) => net.world.external(wallet, walletExternal(key, { seqno, validUntil: net.world.now + 60 }, messages)) };
}

const transfer = (to: Address, coins: bigint): Cell => beginCell().store(storeMessageRelaxed({
  info: {
    type: 'internal', ihrDisabled: true, bounce: true, bounced: false, dest: to, value: { coins }, ihrFee: 0n, forwardFee: 0n, createdLt: 0n, createdAt: 0,
  },
  body: Cell.EMPTY,
})).endCell();

const seqnoOf = (lab: WalletLab): number => lab.net.world.data(lab.wallet).beginParse().loadUint(32);

/** Sends once, then offers the same bytes again: the seqno has moved and they are refused. */
async function notReplayable(codes: Codes, messages: { mode: number; cell: Cell }[]): Promise<Tx> {
  const lab = await walletLab(codes);
  const result = await lab.send(0, messages);
  assert.ok('tx' in result);
  assert.equal(seqnoOf(lab), 1, 'the new seqno was not kept');
  assert.deepEqual(await lab.send(0, messages), { rejected: 1032 });
  return result.tx;
}

const H7: Scenario[] = [
  { name: 'H7 wallet: a message that cannot be paid is not replayed', run: async (codes) => {
    await notReplayable(codes, [{ mode: 1, cell: transfer(alice, 1000n * TON) }]);
  } },
  { name: 'H7 wallet: a failing message does not stop the others', run: async (codes) => {
    const tx = await notReplayable(codes, [{ mode: 1, cell: transfer(alice, 1000n * TON) }, { mode: 1, cell: transfer(bob, TON) }]);
    assert.equal(tx.out.length, 1);
  } },
  { name: 'H7 wallet: an impossible send mode is not replayed', run: async (codes) => {
    for (const mode of [4, 8, 0x0c, 0xc0, 0xff]) {
      const tx = await notReplayable(codes, [{ mode: 1, cell: transfer(bob, TON) }, { mode, cell: transfer(alice, TON) }]);
      assert.deepEqual([tx.exit, tx.out.length], [1036, 0]);
    }
    for (const mode of [0, 2, 3, 64, 17]) {
      const tx = await notReplayable(codes, [{ mode, cell: transfer(alice, TON) }]);
      assert.deepEqual([tx.exit, tx.out.length], [0, 1]);
    }
  } },
  { name: 'H7 wallet: what is not a message, or goes nowhere, is not replayed', run: async (codes) => {
    await notReplayable(codes, [{ mode: 1, cell: transfer(workchain5, TON) }]);
    await notReplayable(codes, [{ mode: 1, cell: beginCell().storeUint(0xdead, 16).endCell() }]);
    await notReplayable(codes, [{ mode: 1, cell: Cell.EMPTY }]);
  } },
  { name: 'H7 wallet: a missing mode is not replayed, and nothing of its batch is sent', run: async (codes) => {
    const lab = await walletLab(codes);
    const key = testKey('wallet');
    const signed = beginCell().storeUint(0, 32).storeUint(lab.net.world.now + 60, 32).storeUint(0, 32).storeUint(1, 8)
      .storeRef(transfer(alice, TON)).storeRef(transfer(alice, TON)).endCell();
    const body = beginCell().storeBuffer(key.sign(signed.hash())).storeSlice(signed.beginParse()).endCell();
    const result = await lab.net.world.external(lab.wallet, body);
    assert.ok('tx' in result);
    assert.deepEqual([result.tx.exit, result.tx.out.length, seqnoOf(lab)], [9, 0, 1]);
    assert.deepEqual(await lab.net.world.external(lab.wallet, body), { rejected: 1032 });
  } },
  { name: 'H8 wallet: an external for another subwallet is refused', run: async (codes) => {
    const lab = await walletLab(codes);
    const body = walletExternal(testKey('wallet'), { subwallet: 1, seqno: 0, validUntil: lab.net.world.now + 60 }, []);
    assert.deepEqual(await lab.net.world.external(lab.wallet, body), { rejected: 1033 });
  } },
];

const PENDING = 0xffffffff;

interface RootState { owner: Address; version: number; proxies: Map<number, Cell>; lastSeqno: number; params: Cell }

function rootState(net: Network): RootState {
  const s = net.world.data(net.root).beginParse();
  const owner = s.loadAddress();
  const version = s.loadUint(32);
  const sets = s.loadRef().beginParse();
  sets.loadMaybeRef();
  const dict = sets.loadMaybeRef();
  return { owner, version, proxies: dict === null ? new Map() : readDict(dict), lastSeqno: sets.loadUint(32), params: s.loadRef() };
}

/** Entries of a dictionary with 32-bit keys, as cells. */
function readDict(root: Cell): Map<number, Cell> {
  const found = new Map<number, Cell>();
  const visit = (cell: Cell, prefix: string): void => {
    const s = cell.beginParse();
    const left = 32 - prefix.length;
    let label = '';
    if (!s.loadBit()) {
      let n = 0;
      while (s.loadBit()) n += 1;
      for (let i = 0; i < n; i += 1) label += s.loadBit() ? '1' : '0';
    } else {
      const same = s.loadBit();
      const bit = same ? (s.loadBit() ? '1' : '0') : '';
      const n = s.loadUint(Math.ceil(Math.log2(left + 1)));
      if (same) label = bit.repeat(n);
      else for (let i = 0; i < n; i += 1) label += s.loadBit() ? '1' : '0';
    }
    const key = prefix + label;
    if (key.length === 32) found.set(Number.parseInt(key, 2), s.asCell());
    else {
      visit(s.loadRef(), `${key}0`);
      visit(s.loadRef(), `${key}1`);
    }
  };
  visit(root, '');
  return found;
}

const description = (ascii: string): Cell => beginCell().storeUint(ascii.length, 8).storeBuffer(Buffer.from(ascii)).endCell();
const price = (p: bigint, fee: bigint): Cell => head(OP.changePrice).storeCoins(p).storeCoins(fee).endCell();
const changeParams = (clientDelay: number, fee = 5n): Cell =>
  head(OP.changeParams).storeCoins(9).storeCoins(fee).storeUint(5000, 32).storeUint(clientDelay, 32).storeCoins(77).storeCoins(88).endCell();

/** One message to the root; its exit code. */
async function ask(net: Network, body: Cell, from = net.owner): Promise<number | undefined> {
  const tx = single(of(await net.world.send({ from, to: net.root, value: TON / 20n, body }), net.root));
  if (tx.exit === 0) assert.equal(tx.actionResult, 0);
  return tx.exit;
}

const code = (n: number): Cell => beginCell().storeUint(n, 32).endCell();

const H10: Scenario[] = [
  { name: 'H10 change of owner: named by the old one, confirmed by the new one', run: async (codes) => {
    const net = await Network.create(codes);
    const body = head(OP.changeOwner).storeAddress(alice).endCell();
    assert.equal(await ask(net, body, alice), 1010);
    assert.equal(await ask(net, body), 0);
    assert.ok(rootState(net).owner.equals(net.owner));
    assert.equal(rootState(net).version, 0);
    assert.equal(await ask(net, body, bob), 1010);
    assert.equal(await ask(net, head(OP.changeOwner).storeAddress(bob).endCell(), bob), 1010);
    assert.equal(await ask(net, head(OP.changeOwner).storeAddress(bob).endCell(), alice), 1010);
    assert.equal(await ask(net, body, alice), 0);
    assert.ok(rootState(net).owner.equals(alice));
    assert.deepEqual([rootState(net).version, rootState(net).proxies.size], [1, 0]);
    assert.equal(await ask(net, price(3n, 2n), net.owner), 1010);
  } },
  { name: 'H10 change of owner: only a standard address, and the old owner may change his mind', run: async (codes) => {
    const net = await Network.create(codes);
    assert.equal(await ask(net, head(OP.changeOwner).storeUint(0, 2).endCell()), 9);
    assert.equal(await ask(net, head(OP.changeOwner).storeAddress(alice).storeBit(1).endCell()), 9);
    const body = head(OP.changeOwner).storeAddress(alice).endCell();
    assert.equal(await ask(net, body), 0);
    assert.equal(await ask(net, head(OP.unregisterProxy).storeUint(PENDING, 32).endCell()), 0);
    assert.equal(await ask(net, body, alice), 1010);
    // an announced price is not a named owner
    assert.equal(await ask(net, price(3n, 2n)), 0);
    assert.equal(await ask(net, price(3n, 2n), alice), 1010);
  } },
  { name: 'H10 parameters: announced, refused before their time, then changed once', run: async (codes) => {
    for (const [body, check] of [
      [price(30n, 20n), (net: Network) => { const p = readParams(rootState(net).params); assert.deepEqual([p.price, p.fee, p.proxyDelay], [30n, 20n, 2 * DAY]); }],
      [changeParams(600), (net: Network) => {
        const p = readParams(rootState(net).params);
        assert.deepEqual([p.price, p.fee, p.proxyDelay, p.clientDelay, p.minProxyStake, p.minClientStake], [9n, 5n, 5000, 600, 77n, 88n]);
      }],
      [head(OP.childCodes).storeRef(code(1)).storeRef(code(2)).storeRef(code(3)).endCell(), (net: Network) => {
        const p = readParams(rootState(net).params);
        assert.ok(p.proxyCode?.equals(code(1)) && p.workerCode?.equals(code(2)) && p.clientCode?.equals(code(3)));
      }],
    ] as const) {
      const net = await Network.create(codes);
      const params = rootState(net).params;
      assert.equal(await ask(net, body), 0);
      assert.equal(rootState(net).version, 0);
      assert.ok(rootState(net).params.equals(params));
      const pending = rootState(net).proxies.get(PENDING);
      assert.ok(pending);
      assert.equal(pending.beginParse().loadUint(1), 1, 'readers would take it for a proxy');
      net.world.now += DAY - 1;
      assert.equal(await ask(net, body), 1011);
      net.world.now += 1;
      // the query id is free
      const again = beginCell().storeUint(body.beginParse().loadUint(32), 32).storeUint(99, 64).storeSlice(body.beginParse().skip(96)).endCell();
      assert.equal(await ask(net, again), 0);
      check(net);
      assert.deepEqual([rootState(net).version, readParams(rootState(net).params).paramsVersion, rootState(net).proxies.size], [1, 2, 0]);
      // the same again is a new announcement
      assert.equal(await ask(net, body), 0);
      assert.equal(rootState(net).version, 1);
    }
  } },
  { name: 'H10 parameters: another message, or a withdrawal, takes the announcement back', run: async (codes) => {
    const net = await Network.create(codes);
    await ask(net, price(30n, 20n));
    net.world.now += DAY - 10;
    await ask(net, price(31n, 20n));
    net.world.now += DAY - 1;
    assert.equal(await ask(net, price(31n, 20n)), 1011);
    assert.equal(await ask(net, price(30n, 20n)), 0);
    net.world.now += DAY;
    assert.equal(await ask(net, head(OP.unregisterProxy).storeUint(PENDING, 32).endCell()), 0);
    assert.equal(await ask(net, price(30n, 20n)), 0);
    assert.equal(readParams(rootState(net).params).price, 2000n);
    net.world.now += DAY;
    assert.equal(await ask(net, head(OP.reset).endCell()), 0);
    assert.equal(await ask(net, price(30n, 20n)), 0);
    assert.equal(readParams(rootState(net).params).price, 2000n);
  } },
  { name: 'H10 parameters: the same fields under another op are another message', run: async (codes) => {
    const net = await Network.create(codes);
    const body = head(OP.rootFull).storeRef(code(1)).storeRef(code(2)).endCell();
    await ask(net, body);
    net.world.now += DAY;
    await ask(net, head(OP.rootFull).storeRef(code(2)).storeRef(code(1)).endCell());
    assert.equal(rootState(net).version, 0);
    const other = beginCell().storeUint(OP.rootCode, 32).storeUint(7, 64).storeRef(code(1)).endCell();
    await ask(net, other);
    assert.ok(net.world.codeOf(net.root).equals(codes.root));
  } },
  { name: 'H10 code of the root: announced, refused before its time, then replaced', run: async (codes) => {
    const net = await Network.create(codes);
    const body = head(OP.rootCode).storeRef(code(1)).endCell();
    assert.equal(await ask(net, body), 0);
    net.world.now += DAY - 1;
    assert.equal(await ask(net, body), 1011);
    net.world.now += 1;
    assert.ok(net.world.codeOf(net.root).equals(codes.root));
    assert.equal(await ask(net, body), 0);
    assert.ok(net.world.codeOf(net.root).equals(code(1)));
    assert.deepEqual([rootState(net).version, rootState(net).proxies.size], [0, 0]);
  } },
  { name: 'H10 code and data of the root: announced, refused before its time, then replaced', run: async (codes) => {
    const net = await Network.create(codes);
    const body = head(OP.rootFull).storeRef(code(1)).storeRef(code(2)).endCell();
    assert.equal(await ask(net, body), 0);
    net.world.now += DAY - 1;
    assert.equal(await ask(net, body), 1011);
    net.world.now += 1;
    assert.equal(await ask(net, body), 0);
    assert.ok(net.world.data(net.root).equals(code(1)) && net.world.codeOf(net.root).equals(code(2)));
    assertClose(net.world.balance(net.owner), 3n * TON / 20n, TON / 10n);
  } },
  { name: 'H10 registry: the number of the announcement is no proxy', run: async (codes) => {
    const net = await Network.create(codes);
    await ask(net, price(30n, 20n));
    const pending = rootState(net).proxies.get(PENDING);
    const text = description('10.0.0.1:1').beginParse();
    assert.equal(await ask(net, head(OP.updateProxy).storeUint(PENDING, 32).storeSlice(text).endCell()), 2000);
    assert.ok(pending && rootState(net).proxies.get(PENDING)?.equals(pending));
    // the last number before it can still be given, the next cannot
    const s = net.world.data(net.root).beginParse();
    const owner = s.loadAddress();
    s.skip(32);
    const sets = beginCell().storeBit(0).storeBit(0).storeUint(PENDING - 2, 32).storeBit(0).storeBit(0).endCell();
    s.loadRef();
    net.world.replace(net.root, { data: beginCell().storeAddress(owner).storeUint(0, 32).storeRef(sets).storeRef(s.loadRef()).endCell() });
    const register = head(OP.registerProxy).storeSlice(description('10.0.0.1:1').beginParse()).endCell();
    assert.equal(await ask(net, register), 0);
    assert.equal(await ask(net, register), 2000);
    assert.deepEqual([...rootState(net).proxies.keys()], [PENDING - 1]);
  } },
  { name: 'H10 parameters: fee at most the price, and no client delay that a bond could not outlast', run: async (codes) => {
    const net = await Network.create(codes);
    assert.equal(await ask(net, price(20n, 21n)), 1019);
    assert.equal(await ask(net, price(20n, 20n)), 0);
    assert.equal(await ask(net, changeParams(600, 10n)), 1019);
    assert.equal(await ask(net, changeParams(14 * DAY + 1)), 1019);
    assert.equal(await ask(net, changeParams(14 * DAY)), 0);
  } },
  { name: 'root bond_slashed: the value goes to whoever owns the root', run: async (codes) => {
    const net = await Network.create(codes);
    const account = net.world.balance(net.root);
    assertExit(single(await net.world.send({ from: anyone, to: net.root, value: 3n * TON, body: head(OP.bondSlashed).endCell() })), 0);
    assertClose(net.world.balance(net.owner), 3n * TON);
    assert.equal(net.world.balance(net.root), account);
  } },
];

const H12: Scenario[] = [
  { name: 'H12 children: excesses and payouts that come back are taken in silence, open or closed', run: async (codes) => {
    const lab = await Lab.create(codes);
    await lab.deposit(20n * TON);
    for (const state of ['open', 'closed']) {
      if (state === 'closed') {
        await lab.grant(1000n);
        await lab.payout(1000n, true);
      }
      for (const to of [lab.client, lab.worker]) {
        for (const op of [OP.excesses, OP.payout, OP.doNotProcess]) {
          const data = lab.net.world.data(to);
          const balance = lab.net.world.balance(to);
          assertExit(single(await lab.send(anyone, to, TON, head(op).endCell())), 0);
          assert.ok(lab.net.world.data(to).equals(data));
          assert.ok(lab.net.world.balance(to) > balance);
        }
      }
    }
  } },
  { name: 'H12 an excess sent back to the client contract stays there', run: async (codes) => {
    const lab = await Lab.create(codes);
    await lab.send(alice, lab.client, 2n * TON, head(OP.topUp).storeCoins(TON).storeAddress(lab.client).endCell());
    assert.equal(lab.clientState.balance, TON);
    assertClose(lab.net.world.balance(lab.client), 1_800_000_000n);
  } },
];

export const guardRules: Scenario[] = [...H3, ...H7, ...H10, ...H12];
