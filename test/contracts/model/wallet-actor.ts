// A wallet among the model's contracts: whatever was accepted once, whether its messages worked or not, is never accepted again.
import assert from 'node:assert/strict';
import { beginCell, Cell, storeMessageRelaxed } from '@ton/core';
import type { Address } from '@ton/core';
import { text, walletExternal } from '../bodies.ts';
import { person, testKey, TON } from '../network.ts';
import type { Network } from '../network.ts';
import type { Random } from './random.ts';

const owner = person('wallet owner');
const key = testKey('model wallet');

export class WalletActor {
  readonly #net: Network;
  readonly #random: Random;
  readonly #wallet: Address;
  readonly #old: Cell[] = [];
  #seqno = 0;
  #blocked = false;

  constructor(net: Network, random: Random) {
    this.#net = net;
    this.#random = random;
    this.#wallet = net.wallet(key, owner, 1000n * TON);
  }

  async act(): Promise<void> {
    const r = this.#random;
    if (r.chance(5)) return this.#command();
    const replay = this.#old.length > 0 && r.chance(3);
    const messages = Array.from({ length: r.int(5) }, () => ({ mode: r.chance(4) ? r.int(16) : 1 + 2 * r.int(2), cell: this.#message() }));
    const signer = r.chance(6) ? testKey('somebody') : key;
    const at = { seqno: this.#seqno + (r.chance(8) ? 1 : 0), validUntil: this.#net.world.now + (r.chance(8) ? 0 : 60) };
    const body = replay ? r.pick(this.#old) : walletExternal(signer, at, messages);
    const good = !replay && signer === key && at.seqno === this.#seqno && at.validUntil > this.#net.world.now && !this.#blocked;
    const result = await this.#net.world.external(this.#wallet, body);
    assert.equal('tx' in result, good, 'wallet');
    if (good) {
      this.#seqno += 1;
      this.#old.push(body);
    }
    assert.equal(this.#net.world.data(this.#wallet).beginParse().loadUint(32), this.#seqno);
  }

  async #command(): Promise<void> {
    const mine = !this.#random.chance(3);
    const letter = this.#random.pick(['b', 'u', 'u']);
    const [tx] = await this.#net.world.send({ from: mine ? owner : person('mallory'), to: this.#wallet, value: TON, body: text(letter) });
    assert.equal(tx?.exit, mine ? 0 : 1040);
    if (mine) this.#blocked = letter === 'b';
  }

  /** A transfer that works, one that cannot be paid, or something that is not a message at all. */
  #message(): Cell {
    const r = this.#random;
    if (r.chance(5)) return beginCell().storeUint(r.int(99), 16).endCell();
    return beginCell().store(storeMessageRelaxed({
      info: {
        type: 'internal', ihrDisabled: true, bounce: true, bounced: false, dest: person('shop'), value: { coins: r.chance(3) ? 5000n * TON : TON / 100n },
        ihrFee: 0n, forwardFee: 0n, createdLt: 0n, createdAt: 0,
      },
      body: Cell.EMPTY,
    })).endCell();
  }
}
