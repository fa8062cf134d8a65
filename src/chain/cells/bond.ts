// The bond contract: storage and messages (contracts/bond.tolk, which states the rules).
import { OP } from '../opcodes.ts';
import { address, bits256, cellOf, coins, ref, struct, uint } from './codec.ts';
import type { Codec, Value } from './codec.ts';
import { hashmap, hexToKey, keyToHex } from './dictionary.ts';
import { amountAndExcess, excess, message } from './message.ts';
import { signedReceiptCell } from './receipt.ts';

/** Seconds from unbonding to withdrawal; part of the contract's code. */
export const UNBOND_DELAY_SECONDS = 14 * 86_400;

const keyMap = hashmap(256, 'receipt keys', {
  read: (slice) => {
    const until = slice.loadUint(32);
    if (slice.remainingBits !== 0 || slice.remainingRefs !== 0) throw new Error('receipt key has more than a time');
    return until;
  },
  write: (builder, until: number) => void builder.storeUint(until, 32),
});

/** Receipt key in hexadecimal text → 0 while in use, else the unix time from which it no longer counts. */
const receiptKeys: Codec<ReadonlyMap<string, number>> = {
  read: (slice) => new Map([...keyMap.read(slice)].map(([key, until]) => [keyToHex(key), until])),
  write: (builder, keys) => keyMap.write(builder, new Map([...keys].map(([hex, until]) => [hexToKey(hex), until]))),
};

// bond_data$_ owner:MsgAddress root:MsgAddress state:uint2 stake:Coins unlock_ts:uint32 keys:(HashmapE 256 uint32) = BondStorage;
// state: 0 bonded, 1 unbonding
export const bondStorage = cellOf('bond storage', struct({
  owner: address,
  root: address,
  state: uint(2),
  stakeNano: coins,
  unlockTime: uint(32),
  keys: receiptKeys,
}));
export type BondStorage = Value<typeof bondStorage>;

// bond_deposit#36801140 query_id:uint64 amount:Coins send_excesses_to:MsgAddress = Body;   // anyone
export const bondDeposit = message('bond deposit', OP.bondDeposit, amountAndExcess);

// bond_unbond#48a6a962 query_id:uint64 send_excesses_to:MsgAddress = Body;   // owner
export const bondUnbond = message('bond unbond', OP.bondUnbond, excess);

// bond_withdraw#9ca4cd8a query_id:uint64 send_excesses_to:MsgAddress = Body;   // owner, after the delay
export const bondWithdraw = message('bond withdraw', OP.bondWithdraw, excess);

// bond_add_key#0a9ee5d8 query_id:uint64 key:uint256 send_excesses_to:MsgAddress = Body;   // owner
export const bondAddKey = message('bond add key', OP.bondAddKey, { key: bits256, ...excess });

// bond_remove_key#6b6b07b7 query_id:uint64 key:uint256 send_excesses_to:MsgAddress = Body;   // owner
export const bondRemoveKey = message('bond remove key', OP.bondRemoveKey, { key: bits256, ...excess });

// bond_slash#33ee22ff query_id:uint64 key:uint256 send_excesses_to:MsgAddress a:^SignedReceipt b:^SignedReceipt = Body;   // anyone
export const bondSlash = message('bond slash', OP.bondSlash, { key: bits256, ...excess, first: ref(signedReceiptCell), second: ref(signedReceiptCell) });

// bond_slashed#55c8a724 query_id:uint64 = Body;   // from the bond to the root
export const bondSlashed = message('bond slashed', OP.bondSlashed, {});
