// A bond among the model's contracts: every change is predicted by a few lines of state machine, and everything else refused.
import assert from 'node:assert/strict';
import type { Address } from '@ton/core';
import { head, OP, receiptCell, signedReceipt, simple, slash } from '../bodies.ts';
import { DAY, GLOBAL_ID, person, testKey, TON } from '../network.ts';
import type { Network } from '../network.ts';
import type { Random } from './random.ts';

const DELAY = 14 * DAY;
const operator = person('bond operator');
const keys = [testKey('receipts 1'), testKey('receipts 2')];

export class BondActor {
  readonly #net: Network;
  readonly #random: Random;
  readonly #bond: Address;
  readonly #keys = new Map<bigint, number>();
  #state = 0;
  #stake = 0n;
  #unlock = 0;

  constructor(net: Network, random: Random) {
    this.#net = net;
    this.#random = random;
    this.#bond = net.bond(operator, TON);
  }

  /** One message to the bond; its outcome is compared with the prediction. */
  async act(): Promise<void> {
    const r = this.#random;
    const now = this.#net.world.now;
    const from = r.chance(3) ? person('mallory') : operator;
    const mine = from === operator;
    const key = r.pick(keys);
    let body = simple(OP.bondUnbond, person('excess'));
    let value = TON / 5n;
    let exit = 0;
    switch (r.int(7)) {
      case 0: case 1: {
        const amount = r.coins(20n * TON);
        value += amount;
        body = head(OP.bondDeposit).storeCoins(amount).storeAddress(person('excess')).endCell();
        exit = this.#state === 0 ? 0 : 1006;
        if (exit === 0) this.#stake += amount;
        break;
      }
      case 2:
        exit = mine ? (this.#state === 0 ? 0 : 1006) : 1010;
        if (exit === 0) [this.#state, this.#unlock] = [1, now + DELAY];
        break;
      case 3:
        body = simple(OP.bondWithdraw, person('excess'));
        exit = mine ? (this.#state === 1 ? (now >= this.#unlock ? 0 : 1011) : 1006) : 1010;
        if (exit === 0) {
          [this.#state, this.#stake, this.#unlock] = [0, 0n, 0];
          this.#keys.clear();
        }
        break;
      case 4: case 5: {
        const add = r.chance(2);
        body = head(add ? OP.bondAddKey : OP.bondRemoveKey).storeUint(key.publicKey, 256).storeAddress(person('excess')).endCell();
        exit = mine ? (add || this.#keys.has(key.publicKey) ? 0 : 1050) : 1010;
        if (exit === 0) this.#keys.set(key.publicKey, add ? 0 : now + DELAY);
        break;
      }
      default: {
        const listed = this.#keys.get(key.publicKey);
        const guilty = r.chance(3);
        const sign = (tokens: bigint): ReturnType<typeof receiptCell> => signedReceipt(receiptCell({
          globalId: GLOBAL_ID, bond: this.#bond, requestId: 5n, requestHash: 6n, responseHash: 7n, tokens, time: 8,
        }), key);
        body = slash(key.publicKey, person('reporter'), sign(1n), sign(guilty ? 2n : 1n));
        exit = listed === undefined || (listed !== 0 && now >= listed) ? 1050 : !guilty ? 1052 : this.#stake === 0n ? 1001 : 0;
        if (exit === 0) {
          this.#stake = 0n;
          this.#keys.delete(key.publicKey);
        }
      }
    }
    const [tx] = await this.#net.world.send({ from, to: this.#bond, value, body });
    assert.equal(tx?.exit, exit, 'bond');
    this.#compare();
  }

  #compare(): void {
    const s = this.#net.world.data(this.#bond).beginParse();
    s.loadAddress();
    s.loadAddress();
    assert.deepEqual([s.loadUint(2), s.loadCoins(), s.loadUint(32)], [this.#state, this.#stake, this.#unlock]);
    assert.equal(s.loadBit(), this.#keys.size > 0);
    assert.ok(this.#net.world.balance(this.#bond) >= this.#stake, 'the bond holds less than its stake');
  }
}
