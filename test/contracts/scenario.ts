// What the rule tests share: a scenario is a named async function that throws when the contracts under test break the rule, so
// that jest and the mutation run use the same ones.
import assert from 'node:assert/strict';
import { Address, beginCell, Cell } from '@ton/core';
import type { Message } from '@ton/core';
import { head, OP, signedTokens, simple, topUp } from './bodies.ts';
import { Network, person, TON } from './network.ts';
import type { Codes, NetworkOptions } from './network.ts';
import { readClient, readProxy, readWorker, writeProxy } from './storage.ts';
import type { ClientStorage, ProxyStorage, WorkerStorage } from './storage.ts';
import type { Tx } from './world.ts';

export interface Scenario { readonly name: string; readonly run: (codes: Codes) => Promise<void> }

export const anyone = person('anyone');
export const alice = person('alice');
export const bob = person('bob');
export const exc = person('excess');

export const none = beginCell().storeUint(0, 2).endCell();
export const extern = beginCell().storeUint(1, 2).storeUint(8, 9).storeUint(0xab, 8).endCell();
export const workchain5 = new Address(5, Buffer.alloc(32, 7));
export const masterchain = new Address(-1, Buffer.alloc(32, 7));

/** The transactions of one account. */
export const of = (txs: Tx[], address: Address): Tx[] => txs.filter((tx) => tx.account === address.toRawString());

/** The first transaction of an account; fails where there is none. */
export function first(txs: Tx[], address: Address): Tx {
  const tx = of(txs, address)[0];
  assert.ok(tx, `no transaction of ${address.toRawString()}`);
  return tx;
}

export function single<T>(items: readonly T[]): T {
  assert.equal(items.length, 1);
  return items[0] as T;
}

export function assertExit(tx: Tx, exit: number): void {
  assert.equal(tx.exit, exit);
  if (exit === 0) assert.equal(tx.actionResult, 0, 'action phase failed');
}

/** A proxy, a client of Alice and a worker of Bob; amounts in nanoTON. */
export class Lab {
  readonly net: Network;
  readonly client: Address;
  readonly worker: Address;

  constructor(net: Network) {
    this.net = net;
    this.client = net.client(alice);
    this.worker = net.worker(bob);
  }

  static async create(codes: Codes, options: NetworkOptions = {}): Promise<Lab> {
    return new Lab(await Network.create(codes, options));
  }

  get clientState(): ClientStorage { return readClient(this.net.world.data(this.client)); }
  get workerState(): WorkerStorage { return readWorker(this.net.world.data(this.worker)); }
  get proxyState(): ProxyStorage { return readProxy(this.net.world.data(this.net.proxy)); }

  /** Account balance less `balance` and `stake`: what belongs to children. */
  get pool(): bigint {
    const { balance, stake } = this.proxyState;
    return this.net.world.balance(this.net.proxy) - balance - stake;
  }

  setProxy(change: Partial<ProxyStorage>, account?: bigint): void {
    const { world, proxy } = this.net;
    const state = { ...this.proxyState, ...change };
    const balance = account ?? world.balance(proxy);
    world.replace(proxy, { data: writeProxy({ ...state, pool: max(balance - state.balance - state.stake, 0n) }), balance });
  }

  message(from: Address, to: Address, value: bigint, body: Cell): Message {
    return this.net.world.message({ from, to, value, body });
  }

  send(from: Address, to: Address, value: bigint, body: Cell): Promise<Tx[]> {
    return this.net.world.send({ from, to, value, body });
  }

  deposit(amount: bigint, from = alice): Promise<Tx[]> {
    return this.send(from, this.client, amount + TON / 2n, topUp(amount, from));
  }

  signed(op: number, tokens: bigint, to: Address, excesses = exc): Cell {
    return signedTokens(op, tokens, to, this.net.key, excesses);
  }

  charge(tokens: bigint): Promise<Tx[]> { return this.send(anyone, this.client, TON / 2n, this.signed(OP.charge, tokens, this.client)); }
  grant(tokens: bigint): Promise<Tx[]> { return this.send(anyone, this.client, TON / 2n, this.signed(OP.grantRefund, tokens, this.client)); }
  payout(tokens: bigint, last = false): Promise<Tx[]> {
    return this.send(anyone, this.worker, TON / 2n, this.signed(last ? OP.lastPayout : OP.signedPayout, tokens, this.worker));
  }
  withdraw(): Promise<Tx[]> { return this.send(alice, this.client, TON / 2n, simple(OP.withdraw, alice)); }
  refund(): Promise<Tx[]> { return this.send(alice, this.client, TON / 2n, simple(OP.requestRefund, alice)); }

  /** A proxy request as the client at its real address sends it. */
  clientRequest(inner: Cell | null): Cell {
    return head(OP.clientRequest).storeAddress(alice).storeRef(Cell.EMPTY).storeMaybeRef(inner).endCell();
  }

  workerRequest(inner: Cell | null): Cell {
    return head(OP.workerRequest).storeAddress(bob).storeUint(0, 66).storeMaybeRef(inner).endCell();
  }

  received(address: Address): bigint { return this.net.world.balance(address); }
}

export const max = (a: bigint, b: bigint): bigint => (a > b ? a : b);

/** refund_granted, refund_forced, top_up as inner request. */
export const inner = (op: number, coins: bigint, excesses: Address): Cell => beginCell().storeUint(op, 32).storeCoins(coins).storeAddress(excesses).endCell();

export const innerPayout = (workerPart: bigint, proxyPart: bigint, excesses: Address): Cell =>
  beginCell().storeUint(OP.workerPayout, 32).storeCoins(workerPart).storeCoins(proxyPart).storeAddress(excesses).endCell();

/** No more than `fees` is missing from `amount`, and nothing was added. */
export function assertClose(actual: bigint, amount: bigint, fees = TON / 20n): void {
  assert.ok(actual <= amount && actual >= amount - fees, `${actual} is not ${amount} less at most ${fees}`);
}
