// Messages to the client contract (ONCHAIN.md section 9.3); the signed ones are in signed.ts.
import { OP } from '../opcodes.ts';
import { bits256, coins, uint64 } from './codec.ts';
import { amountAndExcess, excess, message } from './message.ts';

// top_up#f172e6c2 query_id:uint64 amount:Coins send_excesses_to:MsgAddress = Body;
export const topUp = message('top up', OP.clientTopUp, amountAndExcess);

// change_secret_hash_and_top_up#8473b408 query_id:uint64 amount:Coins hash:uint256 send_excesses_to:MsgAddress = Body;
export const changeSecretHashAndTopUp = message('change secret hash and top up', OP.clientChangeSecretHashAndTopUp, {
  amountNano: coins, secretHash: bits256, ...excess,
});

// register#c45f9f3b query_id:uint64 nonce:uint64 send_excesses_to:MsgAddress = Body;
export const registerClient = message('register client', OP.clientRegister, { nonce: uint64, ...excess });

// change_secret_hash#a9357034 query_id:uint64 hash:uint256 send_excesses_to:MsgAddress = Body;
export const changeSecretHash = message('change secret hash', OP.clientChangeSecretHash, { secretHash: bits256, ...excess });

// increase_stake#6a1f6a60 query_id:uint64 new_stake:Coins send_excesses_to:MsgAddress = Body;   // absolute, not a difference
export const increaseClientStake = message('increase client stake', OP.clientIncreaseStake, { newStakeNano: coins, ...excess });

// withdraw#da068e78 query_id:uint64 send_excesses_to:MsgAddress = Body;
export const withdrawClient = message('withdraw', OP.clientWithdraw, excess);

// request_refund#fafa6cc1 query_id:uint64 send_excesses_to:MsgAddress = Body;
export const requestRefund = message('request refund', OP.clientRequestRefund, excess);

// top_up_reopen#29111ceb query_id:uint64 amount:Coins send_excesses_to:MsgAddress = Body;   // reserved, no contract handles it
export const topUpReopen = message('top up and reopen', OP.clientTopUpReopen, amountAndExcess);

// refund_rest#3d25ae56 query_id:uint64 amount:Coins send_excesses_to:MsgAddress = Body;   // from the proxy: owed again (section 13, H5)
export const refundRest = message('rest of a refund', OP.clientRefundRest, amountAndExcess);
