// Addresses of the contracts, derived from code and initial data (ONCHAIN.md section 5). Children are derived from the
// params with their own code, exactly as the proxy contract does it, so a forged child has another address.
import { createHash } from 'node:crypto';
import { Address, contractAddress } from '@ton/core';
import type { Cell } from '@ton/core';
import { CocoonError } from '../core/errors.ts';
import { bondStorage } from './cells/bond.ts';
import { childParams, proxyParams } from './cells/params.ts';
import type { Params } from './cells/params.ts';
import { rootStorage } from './cells/root-storage.ts';
import type { RootStorage } from './cells/root-storage.ts';
import { clientStorage, proxyStorage, STATE, walletStorage, workerStorage } from './cells/storage.ts';
import { stateInitCell } from './cells/wallet-messages.ts';
import type { CodeAndData } from './cells/wallet-messages.ts';

/** All contracts live in the basic workchain. */
export const WORKCHAIN = 0;

/** A contract that may not be deployed yet: where it will be, and what deploys it. */
export interface Deployment {
  readonly address: Address;
  readonly init: CodeAndData;
}

export function deploymentOf(code: Cell, data: Cell): Deployment {
  const init = { code, data };
  return { address: contractAddress(WORKCHAIN, init), init };
}

/** The root contract of a deployer's choice of initial storage. */
export const rootDeployment = (code: Cell, storage: RootStorage): Deployment => deploymentOf(code, rootStorage.store(storage));

export interface ProxyIdentity {
  readonly owner: Address;
  /** The key that signs payments, 32 bytes. */
  readonly publicKey: Uint8Array;
  readonly root: Address;
  /** The network's params; the proxy code in them is the code deployed. */
  readonly params: Params;
}

// Initial proxy data: state 0, balance 0, stake 0, unlock_ts 0, params with worker and client code.
export function proxyDeployment({ owner, publicKey, root, params }: ProxyIdentity): Deployment {
  return deploymentOf(codeOf(params.proxyCode, 'proxy'), proxyStorage.store({
    owner, publicKey, root, state: STATE.normal, balanceNano: 0n, stakeNano: 0n, unlockTime: 0, params: proxyParams(params), poolNano: null,
  }));
}

export interface ChildIdentity {
  readonly owner: Address;
  readonly proxy: Address;
  readonly proxyPublicKey: Uint8Array;
  /** Params that carry the child's code: the network's or the proxy contract's. */
  readonly params: Params;
}

// Initial client data: state 0, balance 0, stake min_client_stake, tokens 0, unlock_ts 0, secret_hash 0, params without code.
export function clientDeployment({ owner, proxy, proxyPublicKey, params }: ChildIdentity): Deployment {
  return deploymentOf(codeOf(params.clientCode, 'client'), clientStorage.store({
    state: STATE.normal, balanceNano: 0n, stakeNano: params.minClientStakeNano, tokensUsed: 0n, unlockTime: 0,
    secretHash: new Uint8Array(32), fixed: { owner, proxy, proxyPublicKey }, params: childParams(params),
  }));
}

// Initial worker data: state 0, tokens 0, params without code.
export function workerDeployment({ owner, proxy, proxyPublicKey, params }: ChildIdentity): Deployment {
  return deploymentOf(codeOf(params.workerCode, 'worker'), workerStorage.store({
    owner, proxy, proxyPublicKey, state: STATE.normal, tokens: 0n, params: childParams(params),
  }));
}

export interface WalletIdentity {
  readonly owner: Address;
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  readonly subwallet: number;
}

// Initial wallet data: seqno 0, status 0. The reference programs use subwallet 0.
export function walletDeployment(code: Cell, { owner, publicKey, subwallet }: WalletIdentity): Deployment {
  return deploymentOf(code, walletStorage.store({ seqno: 0, subwallet, publicKey, status: 0, owner }));
}

// Initial bond data: state 0, stake 0, unlock_ts 0, no keys; the address follows from root and owner alone.
export function bondDeployment(code: Cell, root: Address, owner: Address): Deployment {
  return deploymentOf(code, bondStorage.store({ owner, root, state: STATE.normal, stakeNano: 0n, unlockTime: 0, keys: new Map() }));
}

/**
 * Subwallet of a node's wallet: different on every network and for every owner, so that a message signed for one can
 * never be valid for another (ONCHAIN.md section 13, H8). Never 0, which the reference programs use.
 */
export const walletSubwallet = (globalId: number, owner: Address): number => separated('cocoon subwallet', globalId, owner);

/** unique_id of a network's params, different for every global id and owner (H8). Never 0. */
export const networkUniqueId = (globalId: number, owner: Address): number => separated('cocoon unique id', globalId, owner);

function separated(label: string, globalId: number, owner: Address): number {
  const bytes = Buffer.alloc(8);
  bytes.writeInt32BE(globalId, 0);
  bytes.writeInt32BE(owner.workChain, 4);
  return createHash('sha256').update(label).update(bytes).update(owner.hash).digest().readUInt32BE(0) || 1;
}

export interface CellFingerprint {
  /** Representation hash, 32 bytes. */
  readonly hash: Uint8Array;
  readonly depth: number;
}

/** Address of a contract of which only hash and depth of code and data are known; `stateInitCell`'s hash otherwise. */
export function addressOfHashes(code: CellFingerprint, data: CellFingerprint): Address {
  const depths = Buffer.alloc(4);
  depths.writeUInt16BE(code.depth, 0);
  depths.writeUInt16BE(data.depth, 2);
  const hash = createHash('sha256').update(STATE_INIT_PREFIX).update(depths).update(code.hash).update(data.hash).digest();
  return new Address(WORKCHAIN, hash);
}

// Descriptors of a cell with two references and five bits, and those bits (00110) with the end marker.
const STATE_INIT_PREFIX = Buffer.from([0x02, 0x01, 0x34]);

/** True when `init` deploys to `address`. */
export function isStateInitOf(init: CodeAndData, address: Address): boolean {
  return address.workChain === WORKCHAIN && stateInitCell.store(init).hash().equals(address.hash);
}

function codeOf(code: Cell | null, name: string): Cell {
  if (code === null) throw new CocoonError('E_INTERNAL', `${name} address cannot be derived: the params carry no ${name} code`);
  return code;
}
