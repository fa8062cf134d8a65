// The books of the model: what every counter of proxy, clients and workers must be, computed from the transfers that happened
// and the messages that are still on their way (rules H1 and H2 of ONCHAIN.md section 13).
import assert from 'node:assert/strict';
import type { Address, Cell, Message } from '@ton/core';
import { OP } from '../bodies.ts';
import type { Network } from '../network.ts';
import { opOf, readClient, readProxy, readWorker } from '../storage.ts';
import type { Tx } from '../world.ts';

/** A request of a child, on its way to the proxy or on its way back. */
interface Request { child: string; op: number; coins: bigint; proxyPart: bigint; back: boolean }

const parsed = new WeakMap<Message, Request | 'none'>();

/** The request in a message between a child and the proxy, read once; undefined for every other message. */
function requestOf(m: Message, net: Network): Request | undefined {
  let request = parsed.get(m);
  if (request === undefined) parsed.set(m, request = readRequest(m, net) ?? 'none');
  return request === 'none' ? undefined : request;
}

function readRequest(m: Message, net: Network): Request | undefined {
  if (m.info.type !== 'internal') return undefined;
  const back = m.info.bounced && opOf(m.body) === 0xfffffffe;
  if (m.info.bounced && !back) return undefined;
  const child = back ? m.info.dest : m.info.src;
  const proxy = back ? m.info.src : m.info.dest;
  if (!proxy.equals(net.proxy)) return undefined;
  const body = back ? m.body.refs[0] : m.body;
  if (body === undefined) return undefined;
  const op = opOf(body);
  if (op !== OP.clientRequest && op !== OP.workerRequest) return undefined;
  const payload = body.refs.at(-1);
  const wanted = op === OP.clientRequest ? 2 : 1;
  if (payload === undefined || body.refs.length !== wanted) return undefined;
  const inner = opOf(payload);
  if (![OP.innerTopUp, OP.innerGranted, OP.innerForced, OP.workerPayout].some((known) => known === inner)) return undefined;
  const s = payload.beginParse().skip(32);
  const coins = s.loadCoins();
  return { child: child.toRawString(), op: inner, coins, proxyPart: op === OP.workerRequest ? s.loadCoins() : 0n, back };
}

const zero = (map: Map<string, bigint>, key: string): bigint => map.get(key) ?? 0n;

export class Ledger {
  readonly #net: Network;
  readonly clients: Address[];
  readonly workers: Address[];
  /** Highest total that the key has signed for a worker. */
  readonly signed = new Map<string, bigint>();
  readonly #accepted = new Map<string, bigint>();
  readonly #refunded = new Map<string, bigint>();
  readonly #returned = new Map<string, bigint>();
  readonly #earned = new Map<string, bigint>();
  /** Pool that nobody is owed: deployment money and gifts at the start. */
  readonly #surplus: bigint;
  #rentOfClosed = 0n;

  constructor(net: Network, clients: Address[], workers: Address[]) {
    this.#net = net;
    this.clients = clients;
    this.workers = workers;
    this.#surplus = this.pool ?? 0n;
  }

  /** Account balance less `balance` and `stake`, with the rent booked that they owe (H9); undefined while there is no proxy. */
  get pool(): bigint | undefined {
    const { world, proxy } = this.#net;
    if (!world.isActive(proxy)) return undefined;
    const { balance, stake, pool } = readProxy(world.data(proxy));
    const here = world.balance(proxy) - balance - stake;
    const rent = pool === undefined || pool < here ? 0n : pool - here;
    return here + (rent < balance + stake ? rent : balance + stake);
  }

  /** A request of a child of ours; what strangers send in the same form is nobody's claim. */
  #request(m: Message): Request | undefined {
    const request = requestOf(m, this.#net);
    return request !== undefined && [...this.clients, ...this.workers].some((c) => c.toRawString() === request.child) ? request : undefined;
  }

  /** To be called before a message is executed: what a returning deposit finds at its client. */
  before(m: Message): void {
    const request = this.#request(m);
    if (request === undefined || !request.back || request.op !== OP.innerTopUp) return;
    const client = this.clients.find((c) => c.toRawString() === request.child);
    if (client === undefined) return;
    const used = request.coins - readClient(this.#net.world.data(client)).balance;
    if (used > 0n) this.#returned.set(request.child, zero(this.#returned, request.child) + used);
  }

  /** To be called after: books the transfers that a proxy's transaction made for its children. */
  after(m: Message, tx: Tx): void {
    if (tx.account !== this.#net.proxy.toRawString()) return;
    if (this.#net.world.isActive(this.#net.proxy) && readProxy(this.#net.world.data(this.#net.proxy)).state === 2) this.#rentOfClosed += tx.storageFee;
    const request = this.#request(m);
    if (request === undefined || tx.exit !== 0 || tx.actionResult !== 0) return;
    if (request.op === OP.innerTopUp) {
      this.#accepted.set(request.child, zero(this.#accepted, request.child) + request.coins);
      return;
    }
    const paid = tx.out.find((o) => opOf(o.body) === OP.payout)?.info;
    const value = paid?.type === 'internal' ? paid.value.coins : 0n;
    const book = request.op === OP.workerPayout ? this.#earned : this.#refunded;
    book.set(request.child, zero(book, request.child) + value);
  }

  /** Every counter is what the transfers say, to the last nanoTON, with what is under way taken into account. */
  checkCounters(queue: readonly Message[]): void {
    const { world, params } = this.#net;
    for (const address of this.clients) {
      if (!world.isActive(address)) continue;
      const key = address.toRawString();
      const c = readClient(world.data(address));
      let expected = zero(this.#accepted, key) + zero(this.#returned, key) - zero(this.#refunded, key) - c.tokens * params.price;
      for (const m of queue) expected += this.#owedBy(m, key);
      assert.equal(c.balance, expected, `balance of client ${key}`);
      assert.ok(c.state !== 2 || c.balance === 0n, 'a closed client is owed money');
      assert.ok(c.stake >= params.minClientStake, 'stake below the minimum');
    }
    for (const address of this.workers) {
      if (!world.isActive(address)) continue;
      const key = address.toRawString();
      const w = readWorker(world.data(address));
      let expected = zero(this.#earned, key);
      for (const m of queue) {
        const r = this.#request(m);
        if (r?.child === key) expected += r.coins;
      }
      assert.equal(w.tokens * params.fee, expected, `tokens of worker ${key}`);
      assert.ok(w.tokens <= zero(this.signed, key), 'more tokens than were ever signed');
    }
  }

  /** What a message under way adds to (or takes from) the balance that its client shows. */
  #owedBy(m: Message, client: string): bigint {
    const r = this.#request(m);
    if (r !== undefined) return r.child !== client ? 0n : r.op === OP.innerTopUp ? r.coins : -r.coins;
    return -this.#restOf(m, client);
  }

  #restOf(m: Message, client?: string): bigint {
    if (m.info.type !== 'internal' || opOf(m.body) !== OP.refundRest || !m.info.src.equals(this.#net.proxy)) return 0n;
    return client === undefined || m.info.dest.toRawString() === client ? m.body.beginParse().skip(96).loadCoins() : 0n;
  }

  /** H1: the pool covers what its children are owed, and all that the key has signed for workers. */
  checkConservation(queue: readonly Message[]): void {
    const { world, params, proxy } = this.#net;
    const pool = this.pool;
    if (pool === undefined) return;
    let owed = 0n;
    let coming = 0n;
    for (const address of this.clients) owed += readClient(world.data(address)).balance;
    for (const address of this.workers) {
      owed += (zero(this.signed, address.toRawString()) - readWorker(world.data(address)).tokens) * params.price;
    }
    for (const m of queue) {
      const r = this.#request(m);
      if (r !== undefined) owed += r.op === OP.innerTopUp ? -r.coins : r.coins + r.proxyPart;
      owed += this.#restOf(m);
      if (m.info.type === 'internal' && m.info.dest.equals(proxy) && opOf(m.body) === OP.doNotProcess) coming += m.info.value.coins;
    }
    assert.ok(pool + coming + this.#rentOfClosed >= owed + this.#surplus, `pool ${pool} and ${coming} under way do not cover ${owed} and ${this.#surplus}`);
  }

  /** Whatever the key signs: after its own transaction the proxy holds balance and stake in full, and has written down the rest. */
  checkProxy(tx: Tx, before: Cell | undefined): void {
    const { world, proxy } = this.#net;
    if (tx.account !== proxy.toRawString() || tx.exit !== 0 || !world.isActive(proxy)) return;
    const data = world.data(proxy);
    if (before === undefined || data.equals(before)) return;
    const { balance, stake, pool } = readProxy(data);
    assert.equal(world.balance(proxy), balance + stake + (pool ?? 0n), 'the account is not balance, stake and pool');
  }
}
