// Readers and writers of the contracts' storage cells and message bodies for tests: a second implementation beside src/chain,
// written against ONCHAIN.md only.
import { beginCell } from '@ton/core';
import type { Address, Cell } from '@ton/core';

export interface ProxyStorage {
  owner: Address; key: bigint; root: Address; state: number; balance: bigint; stake: bigint; unlockTs: number; params: Cell; pool: bigint | undefined;
}

/** proxy_data$_ (section 8.1) and, after it, the pool of rule H9 when the contract has stored one. */
export function readProxy(cell: Cell): ProxyStorage {
  const s = cell.beginParse();
  return {
    owner: s.loadAddress(), key: s.loadUintBig(256), root: s.loadAddress(), state: s.loadUint(2), balance: s.loadCoins(), stake: s.loadCoins(),
    unlockTs: s.loadUint(32), params: s.loadRef(), pool: s.remainingBits > 0 ? s.loadCoins() : undefined,
  };
}

export function writeProxy(p: ProxyStorage): Cell {
  const b = beginCell().storeAddress(p.owner).storeUint(p.key, 256).storeAddress(p.root).storeUint(p.state, 2).storeCoins(p.balance)
    .storeCoins(p.stake).storeUint(p.unlockTs, 32).storeRef(p.params);
  if (p.pool !== undefined) b.storeCoins(p.pool);
  return b.endCell();
}

/** Storage of a proxy as the vectors know it, and the pool field behind it. */
export function splitPool(cell: Cell): { leading: Cell; pool: bigint | undefined } {
  const p = readProxy(cell);
  return { leading: writeProxy({ ...p, pool: undefined }), pool: p.pool };
}

export interface ClientStorage {
  state: number; balance: bigint; stake: bigint; tokens: bigint; unlockTs: number; secretHash: bigint;
  owner: Address; proxy: Address; key: bigint; params: Cell;
}

/** client_data$_ (section 9.1). */
export function readClient(cell: Cell): ClientStorage {
  const s = cell.beginParse();
  const head = {
    state: s.loadUint(2), balance: s.loadCoins(), stake: s.loadCoins(), tokens: s.loadUintBig(64), unlockTs: s.loadUint(32), secretHash: s.loadUintBig(256),
  };
  const c = s.loadRef().beginParse();
  const full = { ...head, owner: c.loadAddress(), proxy: c.loadAddress(), key: c.loadUintBig(256), params: s.loadRef() };
  s.endParse();
  return full;
}

export const writeClient = (c: ClientStorage): Cell => beginCell().storeUint(c.state, 2).storeCoins(c.balance).storeCoins(c.stake).storeUint(c.tokens, 64)
  .storeUint(c.unlockTs, 32).storeUint(c.secretHash, 256)
  .storeRef(beginCell().storeAddress(c.owner).storeAddress(c.proxy).storeUint(c.key, 256).endCell()).storeRef(c.params).endCell();

export interface WorkerStorage { owner: Address; proxy: Address; key: bigint; state: number; tokens: bigint; params: Cell }

/** worker_data$_ (section 10.1). */
export function readWorker(cell: Cell): WorkerStorage {
  const s = cell.beginParse();
  const w = {
    owner: s.loadAddress(), proxy: s.loadAddress(), key: s.loadUintBig(256), state: s.loadUint(2), tokens: s.loadUintBig(64), params: s.loadRef(),
  };
  s.endParse();
  return w;
}

export const writeWorker = (w: WorkerStorage): Cell => beginCell().storeAddress(w.owner).storeAddress(w.proxy).storeUint(w.key, 256)
  .storeUint(w.state, 2).storeUint(w.tokens, 64).storeRef(w.params).endCell();

export interface Params {
  paramsVersion: number; uniqueId: number; isTest: boolean; price: bigint; fee: bigint; prompt: number; cached: number; completion: number;
  reasoning: number; proxyDelay: number; clientDelay: number; minProxyStake: bigint; minClientStake: bigint;
  proxyCode: Cell | null; workerCode: Cell | null; clientCode: Cell | null;
}

/** params_v3$_ (section 4). */
export const writeParams = (p: Params): Cell => beginCell().storeUint(3, 8).storeUint(p.paramsVersion, 32).storeUint(p.uniqueId, 32).storeBit(p.isTest)
  .storeCoins(p.price).storeCoins(p.fee).storeUint(p.prompt, 32).storeUint(p.cached, 32).storeUint(p.completion, 32).storeUint(p.reasoning, 32)
  .storeUint(p.proxyDelay, 32).storeUint(p.clientDelay, 32).storeCoins(p.minProxyStake).storeCoins(p.minClientStake)
  .storeMaybeRef(p.proxyCode).storeMaybeRef(p.workerCode).storeMaybeRef(p.clientCode).endCell();

export function readParams(cell: Cell): Params {
  const s = cell.beginParse();
  if (s.loadUint(8) !== 3) throw new Error('parameters are not of struct version 3');
  return {
    paramsVersion: s.loadUint(32), uniqueId: s.loadUint(32), isTest: s.loadBit(), price: s.loadCoins(), fee: s.loadCoins(), prompt: s.loadUint(32),
    cached: s.loadUint(32), completion: s.loadUint(32), reasoning: s.loadUint(32), proxyDelay: s.loadUint(32), clientDelay: s.loadUint(32),
    minProxyStake: s.loadCoins(), minClientStake: s.loadCoins(), proxyCode: s.loadMaybeRef(), workerCode: s.loadMaybeRef(), clientCode: s.loadMaybeRef(),
  };
}

/** First 32 bits of a body, 0 for a shorter one. */
export const opOf = (body: Cell): number => (body.bits.length < 32 ? 0 : body.beginParse().loadUint(32));
