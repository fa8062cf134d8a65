// Storage cells of proxy, client, worker and wallet (ONCHAIN.md sections 8.1, 9.1, 10.1, 11.1), read to the last bit.
import { address, bits256, cellOf, coins, optionalTail, ref, struct, uint, uint64 } from './codec.ts';
import type { Value } from './codec.ts';
import { paramsCell } from './params.ts';

/** State numbers of proxy, client and worker; a worker is never closing. */
export const STATE = { normal: 0, closing: 1, closed: 2 } as const;

// proxy_data$_ owner:MsgAddress public_key:uint256 root:MsgAddress state:uint2
//   balance:Coins stake:Coins unlock_ts:uint32 params:^Params pool:(optional Coins) = ProxyStorage;
// Our contract adds the pool after its first change (section 13, H9); the initial data and the reference build's have none.
export const proxyStorage = cellOf('proxy storage', struct({
  owner: address,
  publicKey: bits256,
  root: address,
  state: uint(2),
  balanceNano: coins,
  stakeNano: coins,
  unlockTime: uint(32),
  params: ref(paramsCell),
  poolNano: optionalTail(coins),
}));
export type ProxyStorage = Value<typeof proxyStorage>;

// client_const$_ owner:MsgAddress proxy:MsgAddress proxy_public_key:uint256 = ClientConst;
const clientConst = cellOf('client constants', struct({ owner: address, proxy: address, proxyPublicKey: bits256 }));

// client_data$_ state:uint2 balance:Coins stake:Coins tokens_used:uint64 unlock_ts:uint32 secret_hash:uint256
//   const:^ClientConst params:^Params = ClientStorage;
export const clientStorage = cellOf('client storage', struct({
  state: uint(2),
  balanceNano: coins,
  stakeNano: coins,
  tokensUsed: uint64,
  unlockTime: uint(32),
  secretHash: bits256,
  fixed: ref(clientConst),
  params: ref(paramsCell),
}));
export type ClientStorage = Value<typeof clientStorage>;

// worker_data$_ owner:MsgAddress proxy:MsgAddress proxy_public_key:uint256 state:uint2 tokens:uint64 params:^Params = WorkerStorage;
export const workerStorage = cellOf('worker storage', struct({
  owner: address,
  proxy: address,
  proxyPublicKey: bits256,
  state: uint(2),
  tokens: uint64,
  params: ref(paramsCell),
}));
export type WorkerStorage = Value<typeof workerStorage>;

// wallet_data$_ seqno:uint32 subwallet:uint32 public_key:uint256 status:uint32 owner:MsgAddress = WalletStorage;   // status bit 0: blocked
export const walletStorage = cellOf('wallet storage', struct({
  seqno: uint(32),
  subwallet: uint(32),
  publicKey: bits256,
  status: uint(32),
  owner: address,
}));
export type WalletStorage = Value<typeof walletStorage>;
