// Messages to the root contract, all from its owner (ONCHAIN.md section 7.2), and those of struct version 4 and above
// (WIRE-2026-04.md section 6.4).
import { OP } from '../opcodes.ts';
import { address, bits256, bits512, cell, cellOf, coins, ref, struct, tagged, uint, uint64 } from './codec.ts';
import type { CellCodec, Codec, Value } from './codec.ts';
import { message } from './message.ts';
import { hasImageHash, netAddress } from './root-storage.ts';

const hash = { hash: bits256 } as const;
const uint32 = uint(32);

// add_worker_hash#e34b1c60 query_id:uint64 hash:uint256 = RootMsg; the five others alike
export const addWorkerHash = message('add worker hash', OP.rootAddWorkerHash, hash);
export const deleteWorkerHash = message('delete worker hash', OP.rootDeleteWorkerHash, hash);
export const addModelHash = message('add model hash', OP.rootAddModelHash, hash);
export const deleteModelHash = message('delete model hash', OP.rootDeleteModelHash, hash);
export const addProxyHash = message('add proxy hash', OP.rootAddProxyHash, hash);
export const deleteProxyHash = message('delete proxy hash', OP.rootDeleteProxyHash, hash);

// register_proxy#927c7cb5 query_id:uint64 address:ProxyDesc = RootMsg;   // at most 114 characters fit
export const registerProxy = message('register proxy', OP.rootRegisterProxy, { text: netAddress });

// unregister_proxy#6d49eaf2 query_id:uint64 seqno:uint32 = RootMsg;
export const unregisterProxy = message('unregister proxy', OP.rootUnregisterProxy, { seqno: uint32 });

// update_proxy#9c7924ba query_id:uint64 seqno:uint32 address:ProxyDesc = RootMsg;   // at most 110 characters fit
export const updateProxy = message('update proxy', OP.rootUpdateProxy, { seqno: uint32, text: netAddress });

// change_price#c52ed8d4 query_id:uint64 price_per_token:Coins worker_fee_per_token:Coins = RootMsg;
export const changePrice = message('change price', OP.rootChangePrice, { pricePerTokenNano: coins, workerFeePerTokenNano: coins });

// change_params#022fa189 query_id:uint64 price_per_token:Coins worker_fee_per_token:Coins proxy_delay:uint32
//   client_delay:uint32 min_proxy_stake:Coins min_client_stake:Coins = RootMsg;
export const changeParams = message('change params', OP.rootChangeParams, {
  pricePerTokenNano: coins,
  workerFeePerTokenNano: coins,
  proxyDelaySeconds: uint32,
  clientDelaySeconds: uint32,
  minProxyStakeNano: coins,
  minClientStakeNano: coins,
});

// replace_child_codes#a2370f61 query_id:uint64 proxy:^Cell worker:^Cell client:^Cell = RootMsg;
export const replaceChildCodes = message('replace child codes', OP.rootReplaceChildCodes, { proxyCode: cell, workerCode: cell, clientCode: cell });

// replace_code#11aefd51 query_id:uint64 code:^Cell = RootMsg;
export const replaceCode = message('replace code', OP.rootReplaceCode, { code: cell });

// replace_data_and_code#4f7c5789 query_id:uint64 data:^Cell code:^Cell = RootMsg;
export const replaceDataAndCode = message('replace data and code', OP.rootReplaceDataAndCode, { data: cell, code: cell });

// reset#563c1d96 query_id:uint64 = RootMsg;
export const reset = message('reset', OP.rootReset, {});

// change_owner#c4a1ae54 query_id:uint64 new_owner:MsgAddress = RootMsg;
export const changeOwner = message('change owner', OP.rootChangeOwner, { newOwner: address });

const keyFields = { publicKey: bits256, keyType: uint(8), expireAt: uint32 } as const;

// add_public_key#6e5a646a query_id:uint64 public_key:uint256 key_type:uint8 expire_at:uint32 = RootMsg;
export const addPublicKey = message('add public key', OP.rootAddPublicKey, keyFields);

// add_public_key_payload#9e0e1821 query_id:uint64 public_key:uint256 key_type:uint8 expire_at:uint32 = SignedPayload;
export const addPublicKeyPayload = message('signed public key', OP.rootAddPublicKeySigned, keyFields);

// add_public_key_signed#9e0e1821 query_id:uint64 send_excesses_to:MsgAddress signature:bits512 payload:^SignedPayload = RootMsg;
// The signature is the key manager's, over the payload cell's hash.
export const addPublicKeySigned = message('add public key, signed', OP.rootAddPublicKeySigned, {
  sendExcessesTo: address,
  signature: bits512,
  payload: ref(addPublicKeyPayload),
});

const changeKeyManagerFields: Codec<{
  readonly queryId: bigint; readonly publicKey: Uint8Array; readonly imageHash: Uint8Array | null; readonly addressText: string;
}> = {
  read: (slice) => ({
    ...struct({ queryId: uint64, publicKey: bits256 }).read(slice),
    imageHash: hasImageHash(slice) ? bits256.read(slice) : null,
    addressText: netAddress.read(slice),
  }),
  write: (builder, value) => {
    builder.storeUint(value.queryId, 64);
    bits256.write(builder, value.publicKey);
    if (value.imageHash !== null) bits256.write(builder, value.imageHash);
    netAddress.write(builder, value.addressText);
  },
};

// change_key_manager#b01c0fe9 query_id:uint64 public_key:uint256 image_hash:uint256 address:ProxyDesc = RootMsg;
// The early layout has no image_hash (null here).
export const changeKeyManager: CellCodec<Value<typeof changeKeyManagerFields>> =
  cellOf('change key manager', tagged(OP.rootChangeKeyManager, 32, changeKeyManagerFields));
