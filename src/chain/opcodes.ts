// Every operation code and every exit code of the contracts, with its meaning, in one place (ONCHAIN.md sections 3.2 and
// 3.3, WIRE.md section 14, WIRE-2026-04.md section 6.4).

/** Operation codes: the first 32 bits of a message body or signed payload. */
export const OP = {
  // replies and common
  excesses: 0x2565934c,
  payout: 0xc59a7cd3,
  doNotProcess: 0x9a1247c0,
  text: 0x00000000,

  // root, owner only
  rootAddWorkerHash: 0xe34b1c60,
  rootDeleteWorkerHash: 0x8d94a79a,
  rootAddModelHash: 0xc146134d,
  rootDeleteModelHash: 0x92b11c18,
  rootAddProxyHash: 0x71860e80,
  rootDeleteProxyHash: 0x3c41d0b2,
  rootRegisterProxy: 0x927c7cb5,
  rootUnregisterProxy: 0x6d49eaf2,
  rootUpdateProxy: 0x9c7924ba,
  rootChangePrice: 0xc52ed8d4,
  rootChangeParams: 0x022fa189,
  /** Reserved number, no handler. */
  rootChangeParamsFull: 0x9f1e69dc,
  rootReplaceChildCodes: 0xa2370f61,
  rootReplaceCode: 0x11aefd51,
  rootReplaceDataAndCode: 0x4f7c5789,
  rootReset: 0x563c1d96,
  rootChangeOwner: 0xc4a1ae54,
  // root, struct version 4 and above
  rootAddPublicKeySigned: 0x9e0e1821,
  rootAddPublicKey: 0x6e5a646a,
  rootChangeKeyManager: 0xb01c0fe9,

  // proxy, from its children
  workerRequest: 0x4d725d2c,
  workerRequestPayout: 0x08e7d036,
  clientRequest: 0x65448ff4,
  clientRequestTopUp: 0x5cfc6b87,
  clientRequestRegister: 0xa35cb580,
  clientRequestRefundGranted: 0xc68ebc7b,
  clientRequestRefundForced: 0xf4c354c9,
  // proxy, from people
  proxyIncreaseStake: 0x9713f187,
  proxyPayoutRequest: 0x7610e6eb,
  proxyClose: 0xb51d5a01,
  proxyCloseSigned: 0x636a4391,
  proxyCompleteCloseSigned: 0xe511abc7,
  /** Inner op after doNotProcess and query id; has a meaning off chain only. */
  proxySaveState: 0x53109c0f,

  // worker
  workerPayoutSigned: 0xa040ad28,
  workerLastPayoutSigned: 0xf5f26a36,
  workerRegister: 0x26ed7f65,

  // client
  clientTopUp: 0xf172e6c2,
  clientChangeSecretHashAndTopUp: 0x8473b408,
  clientChangeSecretHash: 0xa9357034,
  clientRegister: 0xc45f9f3b,
  clientIncreaseStake: 0x6a1f6a60,
  clientWithdraw: 0xda068e78,
  clientRequestRefund: 0xfafa6cc1,
  clientChargeSigned: 0xbb63ff93,
  clientGrantRefundSigned: 0xefd711e1,
  /** Reserved number, no handler. */
  clientTopUpReopen: 0x29111ceb,

  // wallet
  walletSendMessage: 0x9c69f376,

  // our own contracts' additions (contracts/common/consts.tolk)
  /** Proxy to client: what a forced claim could not be paid (ONCHAIN.md section 13, H5). */
  clientRefundRest: 0x3d25ae56,
  bondDeposit: 0x36801140,
  bondUnbond: 0x48a6a962,
  bondWithdraw: 0x9ca4cd8a,
  bondAddKey: 0x0a9ee5d8,
  bondRemoveKey: 0x6b6b07b7,
  bondSlash: 0x33ee22ff,
  /** First field of a receipt, which is signed and never sent as a message of its own. */
  bondReceipt: 0xf0c23a3c,
  /** Bond to root: the value goes on to the root's owner. */
  bondSlashed: 0x55c8a724,
  /** First 32 bits of a bounce that carries the whole body. */
  richBounce: 0xfffffffe,
} as const;

export type OpName = keyof typeof OP;

const NAMES: ReadonlyMap<number, OpName> = new Map(Object.entries(OP).map(([name, op]) => [op, name as OpName]));

/** Name of an operation code, or undefined. */
export const opName = (op: number): OpName | undefined => NAMES.get(op);

/** Exit codes that the contracts throw in the compute phase. */
export const EXIT = {
  tokensNotGrown: 1000,
  balanceTooLow: 1001,
  valueTooLow: 1003,
  unknownAddressType: 1004,
  payloadMismatch: 1005,
  wrongState: 1006,
  badSignature: 1007,
  unknownParams: 1008,
  ownerOnlyRefund: 1009,
  ownerOnly: 1010,
  tooEarly: 1011,
  unknownOp: 1012,
  unknownText: 1013,
  notAChild: 1014,
  wrongContract: 1015,
  cannotCover: 1016,
  wrongExcessAddress: 1017,
  proxyStakeTooLow: 1018,
  unusableParams: 1019,
  walletExpired: 1030,
  walletBlocked: 1031,
  walletWrongSeqno: 1032,
  walletWrongSubwallet: 1033,
  walletBadSignature: 1034,
  walletTooPoor: 1035,
  walletSendMode: 1036,
  walletOwnerOnly: 1040,
  walletUnknownCommand: 1041,
  bondKeyNotListed: 1050,
  bondNotAReceipt: 1051,
  bondNoConflict: 1052,
  noSuchProxy: 2000,
} as const;

const COMPUTE: ReadonlyMap<number, string> = new Map([
  [0, 'done'],
  [1, 'done'],
  [2, 'stack underflow in the contract'],
  [3, 'stack overflow in the contract'],
  [4, 'integer overflow in the contract'],
  [5, 'an amount is out of range: the contract holds less than it would have to pay'],
  [6, 'invalid instruction: the code at this address is not the contract\'s'],
  [7, 'type check failed in the contract'],
  [8, 'a cell of the contract overflowed'],
  [9, 'the message body or the stored data does not have the expected layout'],
  [10, 'a dictionary of the contract is damaged'],
  [11, 'the get method does not exist: the account is another contract, or not deployed'],
  [13, 'out of gas: the message value is too small'],
  [-14, 'out of gas: the message value is too small'],
  [EXIT.tokensNotGrown, 'the signed token total is not above the one already paid'],
  [EXIT.balanceTooLow, 'the balance is too low for this request, or nothing can be withdrawn'],
  [EXIT.valueTooLow, 'the message value is too low for this request, or the stake is not higher than now'],
  [EXIT.unknownAddressType, 'the proxy description has a type that is not known'],
  [EXIT.payloadMismatch, 'operation or query id inside the signed cell differs from the outer one'],
  [EXIT.wrongState, 'the contract is closing or closed, and the request is not possible in that state'],
  [EXIT.badSignature, 'the signature is not the proxy key\'s'],
  [EXIT.unknownParams, 'the contract\'s parameters have a layout that it cannot use'],
  [EXIT.ownerOnlyRefund, 'only the owner may withdraw or request a refund'],
  [EXIT.ownerOnly, 'only the owner may send this request'],
  [EXIT.tooEarly, 'too early: the delay has not passed'],
  [EXIT.unknownOp, 'the contract does not know this operation'],
  [EXIT.unknownText, 'the contract does not know this text command'],
  [EXIT.notAChild, 'the sender is not the client or worker contract that belongs to the named owner'],
  [EXIT.wrongContract, 'the signed cell is meant for another contract'],
  [EXIT.cannotCover, 'the proxy contract cannot pay this now; nothing was counted, so it can be sent again later'],
  [EXIT.wrongExcessAddress, 'the address for spare TON is in a workchain that does not exist'],
  [EXIT.proxyStakeTooLow, 'the proxy\'s stake is below the network\'s minimum, so the deposit was refused'],
  [EXIT.unusableParams, 'the worker fee is above the price, or the client delay is longer than a bond can honour'],
  [EXIT.walletExpired, 'the external message has expired'],
  [EXIT.walletBlocked, 'the wallet is blocked by its owner'],
  [EXIT.walletWrongSeqno, 'the sequence number is not the next one: another message was sent meanwhile'],
  [EXIT.walletWrongSubwallet, 'the message is signed for another subwallet'],
  [EXIT.walletBadSignature, 'the signature is not the wallet key\'s'],
  [EXIT.walletTooPoor, 'the wallet holds less than 2 TON and sends nothing'],
  [EXIT.walletSendMode, 'the batch has a send mode that the chain refuses; nothing of it was sent'],
  [EXIT.walletOwnerOnly, 'only the wallet\'s owner may send to it'],
  [EXIT.walletUnknownCommand, 'the wallet does not know this command'],
  [EXIT.bondKeyNotListed, 'the receipt key is not one that the bond lists'],
  [EXIT.bondNotAReceipt, 'the signed cell is not a receipt of this bond on this network'],
  [EXIT.bondNoConflict, 'the two receipts do not contradict each other'],
  [EXIT.noSuchProxy, 'no proxy is registered under this number'],
]);

const ACTION: ReadonlyMap<number, string> = new Map([
  [0, 'done'],
  [32, 'the contract\'s list of actions is malformed'],
  [33, 'the contract emitted too many actions'],
  [34, 'an outgoing message is malformed or not supported'],
  [35, 'an outgoing message has a wrong source address'],
  [36, 'an outgoing message has a wrong destination'],
  [37, 'the contract holds too little TON for its outgoing messages and reserves'],
  [38, 'the contract holds too little of another currency'],
  [40, 'the contract has too little TON to pay for an outgoing message'],
  [43, 'an outgoing message or a library is too large'],
  [50, 'the account\'s state became too large'],
]);

/** Meaning of a compute-phase exit code, one clause in lower case; codes that are not known are named with their number. */
export function explainExitCode(code: number): string {
  return COMPUTE.get(code) ?? `exit code ${code}, which has no meaning in these contracts`;
}

/** Meaning of an action-phase result code. The state is unchanged then, and nothing bounces. */
export function explainActionResult(code: number): string {
  return ACTION.get(code) ?? `action result ${code}, which has no meaning in these contracts`;
}
