// One episode: a small network, random actions of honest and hostile senders, messages executed in any order that the chain
// allows (between two accounts, first sent is first executed), time that passes; the books are checked after every transaction.
import assert from 'node:assert/strict';
import { Address, beginCell, Cell } from '@ton/core';
import type { Message } from '@ton/core';
import { head, OP, proxyStake, signedClose, simple, text, topUp, signedTokens } from '../bodies.ts';
import { DAY, Network, person, TON } from '../network.ts';
import type { Codes } from '../network.ts';
import { opOf, readClient, readWorker } from '../storage.ts';
import type { PriceSet, Tx } from '../world.ts';
import { BondActor } from './bond-actor.ts';
import { Ledger } from './ledger.ts';
import { Random } from './random.ts';
import { RootActor } from './root-actor.ts';
import { WalletActor } from './wallet-actor.ts';

const OWNERS = ['alice', 'carol', 'dave'].map((name) => person(name));
const WORKERS = ['bob', 'erin'].map((name) => person(name));
const STRANGERS = ['mallory', 'trudy'].map((name) => person(name));

/** Opcodes that may change the storage of a contract; a message with another one never does. */
const DEFINED = new Set<number>(Object.values(OP).filter((op) => op !== OP.excesses && op !== OP.payout && op !== OP.doNotProcess));

export interface EpisodeOptions { codes: Codes; seed: number; prices: PriceSet; steps: number; honestKey: boolean }

export class Episode {
  readonly #random: Random;
  readonly #net: Network;
  readonly #ledger: Ledger;
  readonly #queue: Message[] = [];
  readonly #sent: { from: Address; to: Address; value: bigint; body: Cell }[] = [];
  readonly #options: EpisodeOptions;
  readonly #bond: BondActor;
  readonly #root: RootActor;
  readonly #wallet: WalletActor;
  steps = 0;

  private constructor(options: EpisodeOptions, net: Network, random: Random) {
    this.#options = options;
    this.#random = random;
    this.#net = net;
    const clients = OWNERS.map((owner) => net.client(owner));
    const workers = WORKERS.map((owner) => net.worker(owner));
    this.#ledger = new Ledger(net, clients, workers);
    this.#bond = new BondActor(net, random);
    this.#root = new RootActor(net, random);
    this.#wallet = new WalletActor(net, random);
  }

  static async run(options: EpisodeOptions): Promise<number> {
    const random = new Random(options.seed);
    const net = await Network.create(options.codes, { prices: options.prices, proxyDeployed: !random.chance(6) });
    const episode = new Episode(options, net, random);
    while (episode.steps < options.steps) await episode.#step();
    while (episode.#queue.length > 0) await episode.#deliver();
    if (options.honestKey) await episode.#settleWorkers();
    return episode.steps;
  }

  async #step(): Promise<void> {
    const r = this.#random;
    if (this.#queue.length > 0 && !r.chance(3)) return this.#deliver();
    if (r.chance(12)) {
      // mostly hours, so that delays pass between messages; now and then a year of rent
      this.#net.world.now += r.chance(12) ? 300 * DAY : r.int(DAY);
      return;
    }
    if (r.chance(7)) {
      await r.pick([this.#bond, this.#root, this.#wallet]).act();
      this.steps += 1;
      return;
    }
    const message = r.chance(6) ? this.#hostile() : this.#action();
    if (message === undefined) return;
    this.#sent.push(message);
    this.#queue.push(this.#net.world.message(message));
  }

  /** Executes one message that is first on its way between two accounts. */
  async #deliver(): Promise<void> {
    const { world, proxy } = this.#net;
    const ways = new Map<string, number>();
    for (const [i, m] of this.#queue.entries()) {
      const way = m.info.type === 'internal' ? `${m.info.src.toRawString()}>${m.info.dest.toRawString()}` : 'external';
      if (!ways.has(way)) ways.set(way, i);
    }
    const index = this.#random.pick([...ways.values()]);
    const [message] = this.#queue.splice(index, 1);
    assert.ok(message);
    const target = message.info.type === 'internal' ? message.info.dest : proxy;
    const data = world.isActive(target) ? world.data(target) : undefined;
    const proxyData = world.isActive(proxy) ? world.data(proxy) : undefined;
    this.#ledger.before(message);
    const tx = await world.deliver(message);
    if (tx === undefined) return;
    this.steps += 1;
    this.#ledger.after(message, tx);
    this.#queue.push(...tx.out);
    this.#check(message, tx, target, data, proxyData);
  }

  #check(message: Message, tx: Tx, target: Address, data: Cell | undefined, proxyData: Cell | undefined): void {
    const { world } = this.#net;
    if (data !== undefined && world.isActive(target) && !world.data(target).equals(data)) {
      const op = opOf(message.body);
      const bounced = message.info.type === 'internal' && message.info.bounced;
      assert.ok(tx.exit === 0 && tx.actionResult === 0, 'a failed message changed the storage');
      assert.ok(DEFINED.has(op) || op === 0 || (bounced && op === 0xfffffffe), `op ${op.toString(16)} changed the storage`);
    }
    this.#ledger.checkProxy(tx, proxyData);
    this.#ledger.checkCounters(this.#queue);
    if (this.#options.honestKey) this.#ledger.checkConservation(this.#queue);
  }

  /** At the end each worker is paid for exactly the highest total that was signed for it, whatever came before. */
  async #settleWorkers(): Promise<void> {
    const { world, proxy, key } = this.#net;
    if (!world.isActive(proxy)) return;
    for (const worker of this.#ledger.workers) {
      const total = this.#ledger.signed.get(worker.toRawString()) ?? 0n;
      const state = readWorker(world.data(worker));
      if (state.tokens === total || state.state === 2) continue;
      for (const tx of await world.send({ from: person('anyone'), to: worker, value: TON, body: signedTokens(OP.signedPayout, total, worker, key, person('x')) })) {
        assert.equal(tx.exit, 0, 'a signed payout was refused at the end');
      }
      assert.equal(readWorker(world.data(worker)).tokens, total);
    }
  }

  get #excesses(): Address {
    const r = this.#random;
    return r.chance(5) ? r.pick([...this.#ledger.clients, ...this.#ledger.workers, this.#net.proxy, new Address(-1, Buffer.alloc(32, 9))]) : person('excess');
  }

  #action(): { from: Address; to: Address; value: bigint; body: Cell } | undefined {
    const r = this.#random;
    const { proxy, proxyOwner, world, key } = this.#net;
    const i = r.int(OWNERS.length);
    const owner = OWNERS[i];
    const client = this.#ledger.clients[i];
    const worker = r.pick(this.#ledger.workers);
    if (owner === undefined || client === undefined) return undefined;
    const value = TON / 5n + r.coins(TON);
    const active = world.isActive(proxy);
    switch (r.int(active ? 17 : 8)) {
      case 0: case 1: case 2: case 3: {
        const amount = r.coins(30n * TON);
        return { from: r.chance(4) ? r.pick(STRANGERS) : owner, to: client, value: amount + value, body: topUp(amount, this.#excesses) };
      }
      case 4: return { from: owner, to: client, value, body: simple(OP.withdraw, this.#excesses) };
      case 5: return { from: owner, to: client, value, body: simple(OP.requestRefund, this.#excesses) };
      case 6: return r.chance(2)
        ? { from: owner, to: client, value, body: head(OP.changeHash).storeUint(r.int(99), 256).storeAddress(this.#excesses).endCell() }
        : { from: owner, to: client, value, body: head(OP.clientStake).storeCoins(TON + r.coins(2n * TON)).storeAddress(this.#excesses).endCell() };
      case 7: return active ? { from: r.pick(STRANGERS), to: proxy, value: 3n * TON, body: proxyStake(r.coins(2n * TON), this.#excesses) } : this.#deploy();
      case 8: case 9: return this.#charge(client, value, r.chance(8) ? OP.grantRefund : OP.charge);
      case 10: case 11: case 12: return this.#payout(worker, value, r.chance(10) ? OP.lastPayout : OP.signedPayout);
      case 13: return { from: r.pick(STRANGERS), to: proxy, value, body: simple(OP.proxyPayout, this.#excesses) };
      case 14: return { from: proxyOwner, to: proxy, value, body: r.chance(10) ? text('c') : text('w') };
      case 15: return r.chance(8) ? { from: r.pick(STRANGERS), to: proxy, value, body: signedClose(OP.proxyComplete, proxy, key, this.#excesses) } : undefined;
      default: return { from: r.pick(STRANGERS), to: proxy, value: 13n * TON, body: proxyStake(r.coins(12n * TON), this.#excesses) };
    }
  }

  #deploy(): undefined {
    if (this.#random.chance(3)) this.#queue.push(this.#net.deployment(3n * TON));
    return undefined;
  }

  /** An honest key charges what the balance covers; another one signs anything. */
  #charge(client: Address, value: bigint, op: number): { from: Address; to: Address; value: bigint; body: Cell } {
    const { world, params, key } = this.#net;
    const c = readClient(world.data(client));
    const affordable = c.balance / params.price;
    const more = this.#options.honestKey ? this.#random.coins(affordable) : this.#random.coins(affordable * 2n + 10n);
    return { from: this.#random.pick(STRANGERS), to: client, value, body: signedTokens(op, c.tokens + more, client, key, this.#excesses) };
  }

  /** An honest key signs for workers, all together, no more than clients were charged for. */
  #payout(worker: Address, value: bigint, op: number): { from: Address; to: Address; value: bigint; body: Cell } | undefined {
    const { world, key } = this.#net;
    const signed = this.#ledger.signed;
    let free = 0n;
    for (const c of this.#ledger.clients) free += readClient(world.data(c)).tokens;
    for (const total of signed.values()) free -= total;
    const name = worker.toRawString();
    const total = (signed.get(name) ?? 0n) + (this.#options.honestKey ? this.#random.coins(free) : this.#random.coins(10_000_000n));
    // now and then an older total is delivered instead
    const tokens = this.#random.chance(4) ? this.#random.coins(total) : total;
    if (tokens > (signed.get(name) ?? 0n)) signed.set(name, tokens);
    return { from: this.#random.pick(STRANGERS), to: worker, value, body: signedTokens(op, tokens, worker, key, this.#excesses) };
  }

  /** Somebody else's message, a message that was sent before, or one that is not quite right. */
  #hostile(): { from: Address; to: Address; value: bigint; body: Cell } | undefined {
    const r = this.#random;
    const old = this.#sent.length > 0 ? r.pick(this.#sent) : undefined;
    const from = r.pick([...STRANGERS, ...this.#ledger.clients, ...OWNERS, this.#net.owner].filter((a) => !this.#ledger.clients.includes(a)));
    switch (r.int(5)) {
      case 0: return old;
      case 1: return old && { ...old, from };
      case 2: return old && { ...old, to: r.pick([...this.#ledger.clients, ...this.#ledger.workers, this.#net.proxy, this.#net.root]) };
      case 3: return old && { ...old, from, body: this.#damaged(old.body) };
      default: return { from, to: r.pick([...this.#ledger.clients, ...this.#ledger.workers, this.#net.proxy, this.#net.root]), value: r.coins(TON), body: this.#noise() };
    }
  }

  /** One bit turned over, something missing or something added. */
  #damaged(body: Cell): Cell {
    const r = this.#random;
    const bits = body.bits;
    const b = beginCell();
    const how = r.int(3);
    const at = r.int(Math.max(bits.length, 1));
    const end = how === 1 ? at : bits.length;
    for (let i = 0; i < end; i += 1) b.storeBit(how === 0 && i === at ? !bits.at(i) : bits.at(i));
    for (const ref of body.refs) b.storeRef(ref);
    if (how === 2 && bits.length < 1000) b.storeUint(r.int(4), 2);
    return b.endCell();
  }

  #noise(): Cell {
    const r = this.#random;
    const b = beginCell().storeUint(r.chance(2) ? r.pick([...DEFINED]) : r.int(2 ** 31), 32);
    for (let i = r.int(6); i > 0; i -= 1) b.storeUint(r.int(2 ** 31), 31 + r.int(80));
    if (r.chance(3)) b.storeRef(Cell.EMPTY);
    return b.endCell();
  }
}

