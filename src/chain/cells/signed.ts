// The envelope of the six messages that the proxy key signs (ONCHAIN.md section 6, WIRE.md section 13): 875 bits and one
// reference outside; 427 or 363 bits inside. The signature covers the payload cell's hash; send_excesses_to is not signed.
import { OP } from '../opcodes.ts';
import { address, bits512, cell, uint64 } from './codec.ts';
import { message } from './message.ts';

/** Operations whose payload carries a token total. */
export const TOKENS_OPS = {
  clientCharge: OP.clientChargeSigned,
  clientGrantRefund: OP.clientGrantRefundSigned,
  workerPayout: OP.workerPayoutSigned,
  workerLastPayout: OP.workerLastPayoutSigned,
} as const;
export type TokensKind = keyof typeof TOKENS_OPS;

/** Operations whose payload carries only the contract. */
export const CLOSE_OPS = { proxyClose: OP.proxyCloseSigned, proxyCompleteClose: OP.proxyCompleteCloseSigned } as const;
export type CloseKind = keyof typeof CLOSE_OPS;

export type SignedKind = TokensKind | CloseKind;
export const SIGNED_OPS: Readonly<Record<SignedKind, number>> = { ...TOKENS_OPS, ...CLOSE_OPS };

// signed#<op> query_id:uint64 send_excesses_to:MsgAddress signature:bits512 payload:^SignedPayload = Body;
const envelope = (name: string, op: number) => message(name, op, { sendExcessesTo: address, signature: bits512, payload: cell });

// tokens_payload#<op> query_id:uint64 new_tokens:uint64 my_address:MsgAddress = SignedPayload;
const tokensPayload = (name: string, op: number) => message(`payload of ${name}`, op, { tokens: uint64, contract: address });

// close_payload#<op> query_id:uint64 my_address:MsgAddress = SignedPayload;
const closePayload = (name: string, op: number) => message(`payload of ${name}`, op, { contract: address });

export const signedEnvelope = {
  clientCharge: envelope('signed charge', OP.clientChargeSigned),
  clientGrantRefund: envelope('signed refund', OP.clientGrantRefundSigned),
  workerPayout: envelope('signed payout', OP.workerPayoutSigned),
  workerLastPayout: envelope('signed last payout', OP.workerLastPayoutSigned),
  proxyClose: envelope('signed close', OP.proxyCloseSigned),
  proxyCompleteClose: envelope('signed complete close', OP.proxyCompleteCloseSigned),
} as const;

export const signedTokensPayload = {
  clientCharge: tokensPayload('signed charge', OP.clientChargeSigned),
  clientGrantRefund: tokensPayload('signed refund', OP.clientGrantRefundSigned),
  workerPayout: tokensPayload('signed payout', OP.workerPayoutSigned),
  workerLastPayout: tokensPayload('signed last payout', OP.workerLastPayoutSigned),
} as const;

export const signedClosePayload = {
  proxyClose: closePayload('signed close', OP.proxyCloseSigned),
  proxyCompleteClose: closePayload('signed complete close', OP.proxyCompleteCloseSigned),
} as const;
