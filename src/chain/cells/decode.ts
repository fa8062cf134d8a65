// Names and decodes a message body of any of the contracts, for histories and logs. Unknown operations are null; a known
// operation with another layout is refused (E_CHAIN_DATA).
import type { Cell } from '@ton/core';
import { OP, opName } from '../opcodes.ts';
import type { OpName } from '../opcodes.ts';
import * as bond from './bond.ts';
import * as client from './client-messages.ts';
import type { CellCodec } from './codec.ts';
import { comment } from './comment.ts';
import { leadingOp } from './message.ts';
import * as proxy from './proxy-messages.ts';
import * as root from './root-messages.ts';
import { signedEnvelope } from './signed.ts';
import * as wallet from './wallet-messages.ts';
import * as worker from './worker-messages.ts';

export interface DecodedBody {
  readonly op: OpName;
  /** Fields as the codec of the message gives them. */
  readonly fields: unknown;
}

const BODIES: ReadonlyMap<number, CellCodec<unknown>> = new Map<number, CellCodec<unknown>>([
  [OP.excesses, worker.excessesReply],
  [OP.payout, worker.payoutReply],
  [OP.doNotProcess, proxy.saveState],
  [OP.text, comment],
  [OP.rootAddWorkerHash, root.addWorkerHash],
  [OP.rootDeleteWorkerHash, root.deleteWorkerHash],
  [OP.rootAddModelHash, root.addModelHash],
  [OP.rootDeleteModelHash, root.deleteModelHash],
  [OP.rootAddProxyHash, root.addProxyHash],
  [OP.rootDeleteProxyHash, root.deleteProxyHash],
  [OP.rootRegisterProxy, root.registerProxy],
  [OP.rootUnregisterProxy, root.unregisterProxy],
  [OP.rootUpdateProxy, root.updateProxy],
  [OP.rootChangePrice, root.changePrice],
  [OP.rootChangeParams, root.changeParams],
  [OP.rootReplaceChildCodes, root.replaceChildCodes],
  [OP.rootReplaceCode, root.replaceCode],
  [OP.rootReplaceDataAndCode, root.replaceDataAndCode],
  [OP.rootReset, root.reset],
  [OP.rootChangeOwner, root.changeOwner],
  [OP.rootAddPublicKeySigned, root.addPublicKeySigned],
  [OP.rootAddPublicKey, root.addPublicKey],
  [OP.rootChangeKeyManager, root.changeKeyManager],
  [OP.workerRequest, proxy.workerRequest],
  [OP.clientRequest, proxy.clientRequest],
  [OP.proxyIncreaseStake, proxy.increaseProxyStake],
  [OP.proxyPayoutRequest, proxy.proxyPayoutRequest],
  [OP.proxyClose, proxy.closeProxy],
  [OP.proxyCloseSigned, signedEnvelope.proxyClose],
  [OP.proxyCompleteCloseSigned, signedEnvelope.proxyCompleteClose],
  [OP.workerPayoutSigned, signedEnvelope.workerPayout],
  [OP.workerLastPayoutSigned, signedEnvelope.workerLastPayout],
  [OP.workerRegister, worker.registerWorker],
  [OP.clientTopUp, client.topUp],
  [OP.clientChangeSecretHashAndTopUp, client.changeSecretHashAndTopUp],
  [OP.clientChangeSecretHash, client.changeSecretHash],
  [OP.clientRegister, client.registerClient],
  [OP.clientIncreaseStake, client.increaseClientStake],
  [OP.clientWithdraw, client.withdrawClient],
  [OP.clientRequestRefund, client.requestRefund],
  [OP.clientTopUpReopen, client.topUpReopen],
  [OP.clientRefundRest, client.refundRest],
  [OP.clientChargeSigned, signedEnvelope.clientCharge],
  [OP.clientGrantRefundSigned, signedEnvelope.clientGrantRefund],
  [OP.walletSendMessage, wallet.walletSendMessage],
  [OP.bondDeposit, bond.bondDeposit],
  [OP.bondUnbond, bond.bondUnbond],
  [OP.bondWithdraw, bond.bondWithdraw],
  [OP.bondAddKey, bond.bondAddKey],
  [OP.bondRemoveKey, bond.bondRemoveKey],
  [OP.bondSlash, bond.bondSlash],
  [OP.bondSlashed, bond.bondSlashed],
]);

/** The body's operation and fields; null where its first 32 bits are no operation of the contracts. Throws E_CHAIN_DATA. */
export function decodeBody(body: Cell): DecodedBody | null {
  const op = leadingOp(body);
  const codec = op === null ? undefined : BODIES.get(op);
  const name = op === null ? undefined : opName(op);
  return codec === undefined || name === undefined ? null : { op: name, fields: codec.load(body) };
}
