// Stakes of node operators in their bond contracts (contracts/bond.tolk), as last read. One that is unbonding, or cannot be
// read, counts as none.
import type { Address } from '@ton/core';
import { bondDeployment } from '../../chain/addresses.ts';
import { bondStorage } from '../../chain/cells/bond.ts';
import { STATE } from '../../chain/cells/storage.ts';
import { contractCode } from '../../chain/code.ts';
import { asCocoonError } from '../../core/errors.ts';
import type { PaidContext } from './context.ts';

/** Owners whose bonds are kept; the oldest read is forgotten first. */
const MAX_OWNERS = 10_000;
/** How long a worker's handshake waits for the first read. */
const FIRST_READ_MS = 5_000;

interface Known {
  readonly stakeNano: bigint;
  readonly readMs: number;
}

export class Bonds {
  readonly #context: PaidContext;
  readonly #code = contractCode('bond');
  readonly #known = new Map<string, Known>();
  readonly #reading = new Map<string, Promise<void>>();

  constructor(context: PaidContext) {
    this.#context = context;
  }

  /** As last read; starts a new read when that is old. */
  stakeNano(owner: Address): bigint {
    const { clock, rules } = this.#context;
    const known = this.#known.get(owner.toRawString());
    if (known === undefined || clock.now() - known.readMs >= rules.bondRefreshMs) void this.#refresh(owner);
    return known?.stakeNano ?? 0n;
  }

  /** Resolves when the bond was read, or could not be in time. */
  async read(owner: Address): Promise<void> {
    if (this.#known.has(owner.toRawString())) return;
    await Promise.race([this.#refresh(owner), this.#context.sleep(FIRST_READ_MS, this.#context.ending).catch(() => undefined)]);
  }

  #refresh(owner: Address): Promise<void> {
    const key = owner.toRawString();
    const running = this.#reading.get(key) ?? this.#look(owner).catch((error: unknown) => {
      this.#context.log.debug('bond not read', { owner: key, reason: asCocoonError(error).message });
    }).finally(() => this.#reading.delete(key));
    this.#reading.set(key, running);
    return running;
  }

  async #look(owner: Address): Promise<void> {
    const { access, rootAddress, clock, ending } = this.#context;
    const { address } = bondDeployment(this.#code, rootAddress, owner);
    const { status, data } = await access.account(address, { agreed: true, signal: ending });
    const bond = status === 'active' && data !== null ? bondStorage.load(data) : null;
    const key = owner.toRawString();
    this.#known.delete(key);
    this.#known.set(key, { stakeNano: bond === null || bond.state !== STATE.normal ? 0n : bond.stakeNano, readMs: clock.now() });
    const [oldest] = this.#known.keys();
    if (this.#known.size > MAX_OWNERS && oldest !== undefined) this.#known.delete(oldest);
  }
}
