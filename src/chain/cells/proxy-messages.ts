// Messages to the proxy contract from its children and from people (ONCHAIN.md sections 8.3, 8.4, 9.4, 10.3).
import { OP } from '../opcodes.ts';
import { address, bits256, cellOf, coins, int32, maybeRef, ref, struct, tagged, uint, uint64 } from './codec.ts';
import type { CellCodec, Value } from './codec.ts';
import { amountAndExcess, bare, excess, leadingOp, letter, message } from './message.ts';

// worker_payout#08e7d036 worker_part:Coins proxy_part:Coins send_excesses_to:MsgAddress = WorkerPayload;
export const workerPayoutPayload = bare('worker payout', OP.workerRequestPayout, { workerPartNano: coins, proxyPartNano: coins, ...excess });

// worker_request#4d725d2c query_id:uint64 owner:MsgAddress state:uint2 tokens:uint64 payload:(Maybe ^WorkerPayload) = Body;
export const workerRequest = message('worker request', OP.workerRequest, {
  owner: address,
  state: uint(2),
  tokens: uint64,
  payload: maybeRef(workerPayoutPayload),
});

// client_state$_ state:uint2 balance:Coins stake:Coins tokens_used:uint64 secret_hash:uint256 = ClientState;
export const clientState = cellOf('client state', struct({
  state: uint(2),
  balanceNano: coins,
  stakeNano: coins,
  tokensUsed: uint64,
  secretHash: bits256,
}));

// top_up#5cfc6b87 coins:Coins send_excesses_to:MsgAddress = ClientPayload;
const topUpPayload = bare('client top up', OP.clientRequestTopUp, amountAndExcess);
// register#a35cb580 nonce:uint64 = ClientPayload;
const registerPayload = bare('client register', OP.clientRequestRegister, { nonce: uint64 });
// refund_granted#c68ebc7b coins:Coins send_excesses_to:MsgAddress = ClientPayload;
const refundGrantedPayload = bare('client refund granted', OP.clientRequestRefundGranted, amountAndExcess);
// refund_forced#f4c354c9 coins:Coins send_excesses_to:MsgAddress = ClientPayload;
const refundForcedPayload = bare('client refund forced', OP.clientRequestRefundForced, amountAndExcess);

export type ClientPayload =
  | { readonly kind: 'topUp' | 'refundGranted' | 'refundForced' } & Value<typeof topUpPayload>
  | { readonly kind: 'register' } & Value<typeof registerPayload>;

/** What a client contract tells its proxy; the operation code decides. */
export const clientPayload: CellCodec<ClientPayload> = {
  load: (cell) => {
    switch (leadingOp(cell)) {
      case OP.clientRequestTopUp: return { kind: 'topUp', ...topUpPayload.load(cell) };
      case OP.clientRequestRefundGranted: return { kind: 'refundGranted', ...refundGrantedPayload.load(cell) };
      case OP.clientRequestRefundForced: return { kind: 'refundForced', ...refundForcedPayload.load(cell) };
      default: return { kind: 'register', ...registerPayload.load(cell) };
    }
  },
  store: (value) => {
    switch (value.kind) {
      case 'topUp': return topUpPayload.store(value);
      case 'refundGranted': return refundGrantedPayload.store(value);
      case 'refundForced': return refundForcedPayload.store(value);
      case 'register': return registerPayload.store(value);
    }
  },
};

// client_request#65448ff4 query_id:uint64 owner:MsgAddress state_data:^ClientState payload:(Maybe ^ClientPayload) = Body;
export const clientRequest = message('client request', OP.clientRequest, {
  owner: address,
  stateData: ref(clientState),
  payload: maybeRef(clientPayload),
});

// increase_stake#9713f187 query_id:uint64 amount:Coins send_excesses_to:MsgAddress = Body;
export const increaseProxyStake = message('increase stake', OP.proxyIncreaseStake, amountAndExcess);

// payout_request#7610e6eb query_id:uint64 send_excesses_to:MsgAddress = Body;
export const proxyPayoutRequest = message('proxy payout request', OP.proxyPayoutRequest, excess);

// close#b51d5a01 query_id:uint64 send_excesses_to:MsgAddress = Body;
export const closeProxy = message('close proxy', OP.proxyClose, excess);

// text#00000000 letter:uint8 = Body;   // "c" starts the close, "w" withdraws earnings
export const proxyText = bare('text to the proxy', OP.text, { letter: letter('cw') });

// save_state#9a1247c0 query_id:uint64 inner_op:uint32 { inner_op = 0x53109c0f } seqno:int32 session_hash:bits256 = Body;
// The contract ignores it; the proxy program reads its own back (WIRE.md section 16).
export const saveState = message('save state', OP.doNotProcess, {
  save: tagged(OP.proxySaveState, 32, struct({ seqno: int32, sessionHash: bits256 })),
});
