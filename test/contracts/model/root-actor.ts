// The root among the model's contracts: prices change a day after they were announced, owners only with the new one's consent.
import assert from 'node:assert/strict';
import type { Address, Cell } from '@ton/core';
import { head, OP } from '../bodies.ts';
import { DAY, person, TON } from '../network.ts';
import type { Network } from '../network.ts';
import { readParams } from '../storage.ts';
import type { Random } from './random.ts';

const candidates = ['owner two', 'owner three'].map((name) => person(name));

export class RootActor {
  readonly #net: Network;
  readonly #random: Random;
  #owner: Address;
  #version = 0;
  #price: bigint;
  #fee: bigint;
  #last = 0;
  #pending: { id: string; due: number } | undefined;

  constructor(net: Network, random: Random) {
    this.#net = net;
    this.#random = random;
    this.#owner = net.owner;
    this.#price = net.params.price;
    this.#fee = net.params.fee;
  }

  async act(): Promise<void> {
    const r = this.#random;
    const from = r.chance(3) ? r.pick([person('mallory'), ...candidates]) : this.#owner;
    const mine = from.equals(this.#owner);
    const now = this.#net.world.now;
    let body: Cell;
    let exit = mine ? 0 : 1010;
    switch (r.int(6)) {
      case 0: case 1: {
        const price = BigInt(10 + r.int(2));
        const fee = BigInt(9 + r.int(3));
        body = head(OP.changePrice).storeCoins(price).storeCoins(fee).endCell();
        const id = `price ${price} ${fee}`;
        if (mine && fee > price) exit = 1019;
        else if (mine && this.#pending?.id === id && now < this.#pending.due) exit = 1011;
        else if (mine && this.#pending?.id === id) [this.#price, this.#fee, this.#version, this.#pending] = [price, fee, this.#version + 1, undefined];
        else if (mine) this.#pending = { id, due: now + DAY };
        break;
      }
      case 2: {
        const next = r.pick(candidates);
        body = head(OP.changeOwner).storeAddress(next).endCell();
        const id = `owner ${next.toRawString()}`;
        if (mine) this.#pending = { id, due: 0 };
        else if (this.#pending?.id === id && from.equals(next)) [this.#owner, this.#version, this.#pending, exit] = [next, this.#version + 1, undefined, 0];
        break;
      }
      case 3:
        body = head(OP.registerProxy).storeUint(2, 8).storeBuffer(Buffer.from('ab')).endCell();
        if (mine) [this.#last, this.#version] = [this.#last + 1, this.#version + 1];
        break;
      case 4: {
        const withdraw = r.chance(4);
        body = head(OP.unregisterProxy).storeUint(withdraw ? 0xffffffff : r.int(5), 32).endCell();
        if (mine) this.#version += 1;
        if (mine && withdraw) this.#pending = undefined;
        break;
      }
      default:
        body = head(r.chance(2) ? OP.addModel : OP.delModel).storeUint(r.int(4), 256).endCell();
        if (mine) this.#version += 1;
    }
    const [tx] = await this.#net.world.send({ from, to: this.#net.root, value: TON / 20n, body });
    assert.equal(tx?.exit, exit, 'root');
    this.#compare();
  }

  #compare(): void {
    const s = this.#net.world.data(this.#net.root).beginParse();
    assert.ok(s.loadAddress().equals(this.#owner), 'owner of the root');
    assert.equal(s.loadUint(32), this.#version);
    const sets = s.loadRef().beginParse();
    sets.loadMaybeRef();
    sets.loadMaybeRef();
    assert.equal(sets.loadUint(32), this.#last);
    const params = readParams(s.loadRef());
    assert.deepEqual([params.price, params.fee], [this.#price, this.#fee]);
  }
}

