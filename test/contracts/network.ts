// A network of our compiled contracts in one World: root, proxy, clients, workers, bonds and wallets at their real addresses.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Address, beginCell, Cell, contractAddress } from '@ton/core';
import type { Message } from '@ton/core';
import { keyPair } from './bodies.ts';
import type { KeyPair } from './bodies.ts';
import { writeClient, writeParams, writeProxy, writeWorker } from './storage.ts';
import type { Params, ProxyStorage } from './storage.ts';
import type { PriceSet } from './world.ts';
import { World } from './world.ts';

export const CONTRACTS = ['root', 'proxy', 'client', 'worker', 'wallet', 'bond'] as const;
export type Contract = (typeof CONTRACTS)[number];
export type Codes = Record<Contract, Cell>;

/** Compiled code as committed in contracts/build. */
export function builtCodes(): Codes {
  const load = (name: Contract): Cell => {
    const file = new URL(`../../contracts/build/${name}.json`, import.meta.url);
    return Cell.fromBase64((JSON.parse(readFileSync(file, 'utf8')) as { code: string }).code);
  };
  return { root: load('root'), proxy: load('proxy'), client: load('client'), worker: load('worker'), wallet: load('wallet'), bond: load('bond') };
}

export const TON = 1_000_000_000n;
export const DAY = 86_400;
export const GLOBAL_ID = -239;

const sha = (label: string): Buffer => createHash('sha256').update(label).digest();

/** An account without code of ours: a person. */
export const person = (label: string): Address => new Address(0, sha(`person/${label}`));
export const testKey = (label: string): KeyPair => keyPair(sha(`key/${label}`));

export interface NetworkOptions {
  prices?: PriceSet;
  stake?: bigint;
  params?: Partial<Params>;
  /** Without it the proxy's account does not exist: requests of its children bounce. */
  proxyDeployed?: boolean;
}

export class Network {
  readonly world: World;
  readonly codes: Codes;
  readonly params: Params;
  readonly key = testKey('proxy');
  readonly owner = person('network owner');
  readonly proxyOwner = person('proxy owner');
  readonly root: Address;
  readonly proxy: Address;
  readonly #proxyInit: { code: Cell; data: Cell };

  private constructor(world: World, codes: Codes, options: NetworkOptions) {
    this.world = world;
    this.codes = codes;
    this.params = {
      paramsVersion: 1, uniqueId: 5, isTest: true, price: 2000n, fee: 1500n, prompt: 10_000, cached: 2500, completion: 30_000, reasoning: 40_000,
      proxyDelay: 2 * DAY, clientDelay: DAY, minProxyStake: 10n * TON, minClientStake: TON,
      proxyCode: codes.proxy, workerCode: codes.worker, clientCode: codes.client, ...options.params,
    };
    const sets = beginCell().storeBit(0).storeBit(0).storeUint(0, 32).storeBit(0).storeBit(0).endCell();
    const rootData = beginCell().storeAddress(this.owner).storeUint(0, 32).storeRef(sets).storeRef(writeParams(this.params)).endCell();
    this.root = contractAddress(0, { code: codes.root, data: rootData });
    world.install(this.root, codes.root, rootData, TON);
    const initial: ProxyStorage = {
      owner: this.proxyOwner, key: this.key.publicKey, root: this.root, state: 0, balance: 0n, stake: 0n, unlockTs: 0,
      params: writeParams({ ...this.params, proxyCode: null }), pool: undefined,
    };
    this.#proxyInit = { code: codes.proxy, data: writeProxy(initial) };
    this.proxy = contractAddress(0, this.#proxyInit);
    const stake = options.stake ?? 10n * TON;
    if (options.proxyDeployed !== false) {
      world.install(this.proxy, codes.proxy, stake === 0n ? this.#proxyInit.data : writeProxy({ ...initial, stake, pool: TON / 2n }), stake + TON / 2n);
    } else {
      world.installEmpty(this.proxy);
    }
  }

  static async create(codes: Codes, options: NetworkOptions = {}): Promise<Network> {
    return new Network(await World.create(options.prices), codes, options);
  }

  /** The message that makes the proxy's account: StateInit and an empty body. */
  deployment(value: bigint): Message {
    return { ...this.world.message({ from: this.proxyOwner, to: this.proxy, value, bounce: false }), init: this.#proxyInit };
  }

  /** Parameters cell of a child: no code slots. */
  get childParams(): Cell {
    return writeParams({ ...this.params, proxyCode: null, workerCode: null, clientCode: null });
  }

  /** Deploys the client contract of an owner. */
  client(owner: Address, balance = 800_000_000n): Address {
    const data = writeClient({
      state: 0, balance: 0n, stake: this.params.minClientStake, tokens: 0n, unlockTs: 0, secretHash: 0n,
      owner, proxy: this.proxy, key: this.key.publicKey, params: this.childParams,
    });
    return this.#install(this.codes.client, data, balance);
  }

  worker(owner: Address, balance = 300_000_000n): Address {
    const data = writeWorker({ owner, proxy: this.proxy, key: this.key.publicKey, state: 0, tokens: 0n, params: this.childParams });
    return this.#install(this.codes.worker, data, balance);
  }

  /** bond_data$_ with its initial values: the address follows from root and owner. */
  bond(owner: Address, balance = 100_000_000n): Address {
    const data = beginCell().storeAddress(owner).storeAddress(this.root).storeUint(0, 2).storeCoins(0).storeUint(0, 32).storeBit(0).endCell();
    return this.#install(this.codes.bond, data, balance);
  }

  wallet(key: KeyPair, owner: Address, balance: bigint): Address {
    const data = beginCell().storeUint(0, 32).storeUint(0, 32).storeUint(key.publicKey, 256).storeUint(0, 32).storeAddress(owner).endCell();
    return this.#install(this.codes.wallet, data, balance);
  }

  #install(code: Cell, data: Cell, balance: bigint): Address {
    const address = contractAddress(0, { code, data });
    this.world.install(address, code, data, balance);
    return address;
  }
}
