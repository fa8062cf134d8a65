// The bond: every path of deposit, keys, unbonding, withdrawal and slashing, and every proof that must not count.
import assert from 'node:assert/strict';
import { beginCell, Cell, contractAddress } from '@ton/core';
import type { Address } from '@ton/core';
import { head, OP, receiptCell, signedReceipt, simple, slash } from './bodies.ts';
import type { Receipt } from './bodies.ts';
import { DAY, GLOBAL_ID, Network, person, testKey, TON } from './network.ts';
import type { Codes } from './network.ts';
import { anyone, assertClose, assertExit, exc, extern, none, of, single, workchain5 } from './scenario.ts';
import type { Scenario } from './scenario.ts';
import type { Tx } from './world.ts';

const operator = person('operator');
const node = testKey('node receipts');
const reporter = person('reporter');
const DELAY = 14 * DAY;

interface BondState { owner: Address; root: Address; state: number; stake: bigint; unlockTs: number; keys: Cell | null }

class BondLab {
  readonly net: Network;
  readonly bond: Address;

  constructor(net: Network) {
    this.net = net;
    this.bond = net.bond(operator);
  }

  /** A bond of 50 TON that lists one receipt key. */
  static async create(codes: Codes, stake = 50n * TON): Promise<BondLab> {
    const lab = new BondLab(await Network.create(codes));
    if (stake > 0n) assert.equal(await lab.deposit(stake), 0);
    assert.equal(await lab.key(OP.bondAddKey), 0);
    return lab;
  }

  get state(): BondState {
    const s = this.net.world.data(this.bond).beginParse();
    const state = {
      owner: s.loadAddress(), root: s.loadAddress(), state: s.loadUint(2), stake: s.loadCoins(), unlockTs: s.loadUint(32), keys: s.loadMaybeRef(),
    };
    s.endParse();
    return state;
  }

  async ask(from: Address, value: bigint, body: Cell): Promise<Tx[]> {
    return this.net.world.send({ from, to: this.bond, value, body });
  }

  async exit(from: Address, value: bigint, body: Cell): Promise<number | undefined> {
    const tx = single(of(await this.ask(from, value, body), this.bond));
    if (tx.exit === 0) assert.equal(tx.actionResult, 0);
    return tx.exit;
  }

  deposit(amount: bigint, value = amount + TON / 10n): Promise<number | undefined> {
    return this.exit(anyone, value, head(OP.bondDeposit).storeCoins(amount).storeAddress(exc).endCell());
  }

  key(op: number, key = node.publicKey, from = operator): Promise<number | undefined> {
    return this.exit(from, TON / 10n, head(op).storeUint(key, 256).storeAddress(exc).endCell());
  }

  plain(op: number, from = operator, value = TON / 10n): Promise<number | undefined> {
    return this.exit(from, value, simple(op, exc));
  }

  receipt(change: Partial<Receipt> = {}): Receipt {
    return { globalId: GLOBAL_ID, bond: this.bond, requestId: 11n, requestHash: 22n, responseHash: 33n, tokens: 44n, time: 55, ...change };
  }

  proof(a: Partial<Receipt> = {}, b: Partial<Receipt> = { responseHash: 34n }, key = node): Cell {
    return slash(key.publicKey, reporter, signedReceipt(receiptCell(this.receipt(a)), key), signedReceipt(receiptCell(this.receipt(b)), key));
  }

  report(body: Cell, value = TON / 5n): Promise<number | undefined> {
    return this.exit(anyone, value, body);
  }
}

/** The proof is refused with this code, and neither stake nor keys change. */
async function refused(lab: BondLab, body: Cell, exit: number): Promise<void> {
  const data = lab.net.world.data(lab.bond);
  assert.equal(await lab.report(body), exit);
  assert.ok(lab.net.world.data(lab.bond).equals(data));
}

const paths: Scenario[] = [
  { name: 'bond address: follows from root and owner alone', run: async (codes) => {
    const lab = await BondLab.create(codes, 0n);
    const data = beginCell().storeAddress(operator).storeAddress(lab.net.root).storeUint(0, 2).storeCoins(0).storeUint(0, 32).storeBit(0).endCell();
    assert.ok(lab.bond.equals(contractAddress(0, { code: codes.bond, data })));
  } },
  { name: 'bond deposit: by anyone, with enough value, not while unbonding', run: async (codes) => {
    const lab = await BondLab.create(codes, 0n);
    assert.equal(await lab.deposit(TON, TON + TON / 10n - 1n), 1003);
    assert.equal(await lab.deposit(TON), 0);
    assert.equal(await lab.deposit(2n * TON, 3n * TON), 0);
    assert.equal(lab.state.stake, 3n * TON);
    assert.equal(lab.net.world.balance(lab.bond), 3n * TON + 100_000_000n);
    assertClose(lab.net.world.balance(exc), TON + 2n * TON / 10n);
    await lab.plain(OP.bondUnbond);
    assert.equal(await lab.deposit(TON), 1006);
    assert.equal(lab.state.stake, 3n * TON);
  } },
  { name: 'bond unbond: owner only, once, for fourteen days', run: async (codes) => {
    const lab = await BondLab.create(codes);
    assert.equal(await lab.plain(OP.bondUnbond, anyone), 1010);
    assert.equal(await lab.plain(OP.bondUnbond, operator, TON / 10n - 1n), 1003);
    assert.equal(await lab.plain(OP.bondUnbond), 0);
    assert.deepEqual([lab.state.state, lab.state.unlockTs], [1, lab.net.world.now + DELAY]);
    assert.equal(await lab.plain(OP.bondUnbond), 1006);
  } },
  { name: 'bond withdraw: not before unbonding, not early, then the stake and no more', run: async (codes) => {
    const lab = await BondLab.create(codes);
    assert.equal(await lab.plain(OP.bondWithdraw), 1006);
    await lab.plain(OP.bondUnbond);
    assert.equal(await lab.plain(OP.bondWithdraw), 1011);
    lab.net.world.now += DELAY - 1;
    assert.equal(await lab.plain(OP.bondWithdraw), 1011);
    lab.net.world.now += 1;
    assert.equal(await lab.plain(OP.bondWithdraw, anyone), 1010);
    const account = lab.net.world.balance(lab.bond);
    const before = lab.net.world.balance(operator);
    const txs = await lab.ask(operator, TON / 10n, simple(OP.bondWithdraw, exc));
    const tx = single(of(txs, lab.bond));
    assertExit(tx, 0);
    assert.equal(lab.net.world.balance(operator) - before, 50n * TON);
    assert.equal(lab.net.world.balance(lab.bond), account - 50n * TON - tx.storageFee);
    assert.deepEqual([lab.state.state, lab.state.stake, lab.state.unlockTs, lab.state.keys], [0, 0n, 0, null]);
    // it may be used again
    assert.equal(await lab.deposit(TON), 0);
    assert.equal(lab.state.stake, TON);
  } },
  { name: 'bond withdraw: what rent has taken from the stake is not paid by anybody', run: async (codes) => {
    const lab = await BondLab.create(codes);
    await lab.plain(OP.bondUnbond);
    lab.net.world.now += DELAY;
    lab.net.world.replace(lab.bond, { balance: 40n * TON });
    assert.equal(await lab.plain(OP.bondWithdraw), 0);
    assert.equal(lab.net.world.balance(operator), 40n * TON - 10_000_000n);
    assert.equal(lab.net.world.balance(lab.bond), 10_000_000n);
    lab.net.world.replace(lab.bond, { balance: 5_000_000n });
    await lab.plain(OP.bondUnbond);
    lab.net.world.now += DELAY;
    assert.equal(await lab.plain(OP.bondWithdraw), 0);
  } },
  { name: 'bond keys: owner only; a removed key counts for the delay; one that is not listed cannot be removed', run: async (codes) => {
    const lab = await BondLab.create(codes);
    assert.equal(await lab.key(OP.bondAddKey, 5n, anyone), 1010);
    assert.equal(await lab.key(OP.bondRemoveKey, 5n), 1050);
    assert.equal(await lab.key(OP.bondRemoveKey, node.publicKey, anyone), 1010);
    assert.equal(await getKey(lab), -1n);
    assert.equal(await lab.key(OP.bondRemoveKey), 0);
    assert.equal(await getKey(lab), BigInt(lab.net.world.now + DELAY));
    assert.equal(await lab.key(OP.bondAddKey), 0);
    assert.equal(await getKey(lab), -1n);
    assert.equal(await getKey(lab, 5n), 0n);
  } },
  { name: 'bond messages: silent ops, unknown ops, malformed bodies, bad excess addresses', run: async (codes) => {
    const lab = await BondLab.create(codes);
    for (const op of [OP.excesses, OP.payout, OP.doNotProcess]) assert.equal(await lab.exit(anyone, TON, beginCell().storeUint(op, 32).endCell()), 0);
    assert.equal(await lab.exit(anyone, TON, Cell.EMPTY), 0);
    assert.equal(await lab.exit(operator, TON, head(0x12345678).storeAddress(exc).endCell()), 1012);
    assert.equal(await lab.exit(operator, TON, beginCell().storeUint(7, 16).endCell()), 9);
    assert.equal(await lab.exit(operator, TON, beginCell().storeUint(OP.bondUnbond, 32).endCell()), 9);
    for (const op of [OP.bondUnbond, OP.bondWithdraw]) {
      assert.equal(await lab.exit(operator, TON, head(op).storeAddress(exc).storeBit(0).endCell()), 9);
      for (const [bad, exit] of [[none, 9], [extern, 9], [beginCell().storeAddress(workchain5).endCell(), 1017]] as const) {
        assert.equal(await lab.exit(operator, TON, head(op).storeSlice(bad.beginParse()).endCell()), exit);
      }
    }
    const bad = beginCell().storeAddress(workchain5).endCell().beginParse();
    assert.equal(await lab.exit(operator, TON, head(OP.bondAddKey).storeUint(1, 256).storeSlice(bad).endCell()), 1017);
    assert.equal(await lab.exit(anyone, TON, head(OP.bondDeposit).storeCoins(1).storeSlice(bad).endCell()), 1017);
    assert.equal(await lab.exit(anyone, TON, head(OP.bondDeposit).storeCoins(1).storeAddress(exc).storeBit(0).endCell()), 9);
    assert.equal(await lab.exit(anyone, TON, head(OP.bondSlash).storeUint(1, 256).storeSlice(bad).storeRef(none).storeRef(none).endCell()), 1017);
    const bounced = await lab.net.world.send({ from: anyone, to: lab.bond, value: TON, body: simple(OP.bondUnbond, exc), bounced: true, bounce: false });
    assertExit(single(bounced), 0);
    assert.equal(lab.state.state, 0);
  } },
];

const METHOD_BOND_KEY = 0x10000 | crc16('get_bond_key');
const METHOD_BOND_DATA = 0x10000 | crc16('get_bond_data');

/** Id of a get method. */
export function crc16(name: string): number {
  let crc = 0;
  for (const byte of Buffer.from(name)) {
    crc ^= byte << 8;
    for (let i = 0; i < 8; i += 1) crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : (crc << 1) & 0xffff;
  }
  return crc;
}

async function getKey(lab: BondLab, key = node.publicKey): Promise<bigint> {
  const result = await lab.net.world.get(lab.bond, METHOD_BOND_KEY, [{ type: 'int', value: key }]);
  assert.equal(result.exit, 0);
  const item = result.stack[0];
  assert.ok(item?.type === 'int');
  return item.value;
}

const slashing: Scenario[] = [
  { name: 'bond slash: a tenth to the reporter, the rest through the root to its owner, whoever is written first', run: async (codes) => {
    for (const [a, b] of [[{}, { responseHash: 34n }], [{ responseHash: 34n }, {}], [{}, { tokens: 45n }], [{}, { time: 56 }]]) {
      const lab = await BondLab.create(codes);
      const account = lab.net.world.balance(lab.bond);
      assert.equal(await lab.report(lab.proof(a, b)), 0);
      assertClose(lab.net.world.balance(reporter), 5n * TON + TON / 5n);
      assertClose(lab.net.world.balance(lab.net.owner), 45n * TON);
      assert.equal(lab.net.world.balance(lab.bond), account - 50n * TON);
      assert.deepEqual([lab.state.stake, lab.state.state, lab.state.keys], [0n, 0, null]);
    }
  } },
  { name: 'bond slash: whoever owns the root at that time gets the rest', run: async (codes) => {
    const lab = await BondLab.create(codes);
    const body = head(OP.changeOwner).storeAddress(anyone).endCell();
    for (const from of [lab.net.owner, anyone]) await lab.net.world.send({ from, to: lab.net.root, value: TON, body });
    assert.equal(await lab.report(lab.proof()), 0);
    assert.ok(lab.net.world.balance(anyone) > 44n * TON);
  } },
  { name: 'bond slash: not for one receipt shown twice', run: async (codes) => {
    const lab = await BondLab.create(codes);
    await refused(lab, lab.proof({}, {}), 1052);
  } },
  { name: 'bond slash: not for two requests', run: async (codes) => {
    const lab = await BondLab.create(codes);
    await refused(lab, lab.proof({}, { requestHash: 23n, responseHash: 34n }), 1052);
    await refused(lab, lab.proof({}, { requestId: 12n, responseHash: 34n }), 1052);
  } },
  { name: 'bond slash: not with receipts of another network, another bond, or another op', run: async (codes) => {
    const lab = await BondLab.create(codes);
    const other = { globalId: GLOBAL_ID + 1 };
    await refused(lab, lab.proof(other, { ...other, responseHash: 34n }), 1051);
    await refused(lab, lab.proof({}, { ...other, responseHash: 34n }), 1051);
    await refused(lab, lab.proof({ bond: lab.net.root }, { bond: lab.net.root, responseHash: 34n }), 1051);
    const wrongOp = (r: Partial<Receipt>): Cell => {
      const s = receiptCell(lab.receipt(r)).beginParse();
      return signedReceipt(beginCell().storeUint((s.loadUint(32) ^ 1) >>> 0, 32).storeSlice(s).endCell(), node);
    };
    await refused(lab, slash(node.publicKey, reporter, wrongOp({}), wrongOp({ responseHash: 34n })), 1051);
  } },
  { name: 'bond slash: not with a wrong signature on either', run: async (codes) => {
    const lab = await BondLab.create(codes);
    const good = (change: Partial<Receipt>): Cell => signedReceipt(receiptCell(lab.receipt(change)), node);
    const forged = (change: Partial<Receipt>): Cell => signedReceipt(receiptCell(lab.receipt(change)), testKey('other'));
    await refused(lab, slash(node.publicKey, reporter, forged({}), good({ tokens: 1n })), 1007);
    await refused(lab, slash(node.publicKey, reporter, good({}), forged({ tokens: 1n })), 1007);
  } },
  { name: 'bond slash: not with a key that is not listed', run: async (codes) => {
    const lab = await BondLab.create(codes);
    await refused(lab, lab.proof({}, { tokens: 1n }, testKey('other')), 1050);
    const empty = new BondLab(await Network.create(codes));
    await empty.deposit(TON);
    await refused(empty, empty.proof(), 1050);
  } },
  { name: 'bond slash: a removed key counts until its delay is over', run: async (codes) => {
    const lab = await BondLab.create(codes);
    await lab.key(OP.bondRemoveKey);
    lab.net.world.now += DELAY;
    await refused(lab, lab.proof(), 1050);
    const other = await BondLab.create(codes);
    await other.key(OP.bondRemoveKey);
    other.net.world.now += DELAY - 1;
    assert.equal(await other.report(other.proof()), 0);
  } },
  { name: 'bond slash: while unbonding, and as long as the stake is there', run: async (codes) => {
    const lab = await BondLab.create(codes);
    await lab.plain(OP.bondUnbond);
    lab.net.world.now += DELAY + DAY;
    assert.equal(await lab.report(lab.proof()), 0);
    assert.deepEqual([lab.state.stake, lab.state.state], [0n, 1]);
    assertClose(lab.net.world.balance(lab.net.owner), 45n * TON);
  } },
  { name: 'bond slash: after the withdrawal the keys are gone', run: async (codes) => {
    const lab = await BondLab.create(codes);
    await lab.plain(OP.bondUnbond);
    lab.net.world.now += DELAY;
    await lab.plain(OP.bondWithdraw);
    await lab.deposit(TON);
    await refused(lab, lab.proof(), 1050);
  } },
  { name: 'bond slash: the same receipts do not count twice', run: async (codes) => {
    const lab = await BondLab.create(codes);
    assert.equal(await lab.report(lab.proof()), 0);
    await lab.deposit(20n * TON);
    await refused(lab, lab.proof(), 1050);
    assert.equal(lab.state.stake, 20n * TON);
  } },
  { name: 'bond slash: never more than rent has left, and not for nothing', run: async (codes) => {
    const lab = await BondLab.create(codes);
    lab.net.world.replace(lab.bond, { balance: 30n * TON + 10_000_000n });
    assert.equal(await lab.report(lab.proof()), 0);
    assertClose(lab.net.world.balance(lab.net.owner), 27n * TON);
    assert.equal(lab.net.world.balance(lab.bond), 10_000_000n);
    const bare = await BondLab.create(codes, 0n);
    await refused(bare, bare.proof(), 1001);
    await bare.deposit(TON);
    bare.net.world.replace(bare.bond, { balance: 9_000_000n });
    await refused(bare, bare.proof(), 1001);
  } },
  { name: 'bond slash: needs the usual value', run: async (codes) => {
    const lab = await BondLab.create(codes);
    assert.equal(await lab.report(lab.proof(), TON / 10n - 1n), 1003);
    assert.equal(await lab.report(lab.proof(), TON / 10n), 0);
  } },
  { name: 'bond slash: malformed cells are refused', run: async (codes) => {
    const lab = await BondLab.create(codes);
    const a = signedReceipt(receiptCell(lab.receipt()), node);
    const b = signedReceipt(receiptCell(lab.receipt({ tokens: 1n })), node);
    const body = (x: Cell, y: Cell): Cell => slash(node.publicKey, reporter, x, y);
    const longer = (cell: Cell): Cell => beginCell().storeSlice(cell.beginParse()).storeBit(0).endCell();
    const withRef = (cell: Cell): Cell => beginCell().storeSlice(cell.beginParse()).storeRef(Cell.EMPTY).endCell();
    for (const bad of [longer(a), withRef(a), Cell.EMPTY, beginCell().storeUint(0, 512).endCell()]) {
      await refused(lab, body(bad, b), 9);
      await refused(lab, body(b, bad), 9);
    }
    await refused(lab, beginCell().storeSlice(body(a, b).beginParse()).storeBit(0).endCell(), 9);
    await refused(lab, withRef(body(a, b)), 9);
    // a signed receipt whose own cells are too long or too short
    const r = receiptCell(lab.receipt());
    const rest = r.refs[0] ?? Cell.EMPTY;
    const rebuilt = (tail: Cell): Cell => beginCell().storeBits(r.bits).storeRef(tail).endCell();
    for (const bad of [longer(r), withRef(r), rebuilt(longer(rest)), rebuilt(withRef(rest)), rebuilt(Cell.EMPTY)]) {
      await refused(lab, body(signedReceipt(bad, node), b), 9);
      await refused(lab, body(b, signedReceipt(bad, node)), 9);
    }
  } },
  { name: 'bond get methods: owner, root, state, stake, unlock time, delay', run: async (codes) => {
    const lab = await BondLab.create(codes);
    await lab.plain(OP.bondUnbond);
    const { exit, stack } = await lab.net.world.get(lab.bond, METHOD_BOND_DATA);
    assert.equal(exit, 0);
    assert.deepEqual(stack.slice(2).map((i) => (i.type === 'int' ? i.value : i.type)), [1n, 50n * TON, BigInt(lab.net.world.now + DELAY), BigInt(DELAY)]);
    assert.deepEqual(stack.slice(0, 2).map((i) => (i.type === 'slice' ? i.cell.beginParse().loadAddress().toRawString() : i.type)),
      [operator.toRawString(), lab.net.root.toRawString()]);
  } },
];

export const bondRules: Scenario[] = [...paths, ...slashing];
