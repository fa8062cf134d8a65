// Message bodies of ONCHAIN.md for tests, and signatures of the proxy key. TL-B lines are in the specification's sections.
import { createPrivateKey, createPublicKey, sign } from 'node:crypto';
import { beginCell } from '@ton/core';
import type { Address, Cell, Builder } from '@ton/core';

export const OP = {
  excesses: 0x2565934c, payout: 0xc59a7cd3, doNotProcess: 0x9a1247c0,
  addWorker: 0xe34b1c60, delWorker: 0x8d94a79a, addModel: 0xc146134d, delModel: 0x92b11c18, addProxy: 0x71860e80, delProxy: 0x3c41d0b2,
  registerProxy: 0x927c7cb5, unregisterProxy: 0x6d49eaf2, updateProxy: 0x9c7924ba, changePrice: 0xc52ed8d4, changeParams: 0x022fa189,
  childCodes: 0xa2370f61, rootCode: 0x11aefd51, rootFull: 0x4f7c5789, reset: 0x563c1d96, changeOwner: 0xc4a1ae54,
  workerRequest: 0x4d725d2c, workerPayout: 0x08e7d036, clientRequest: 0x65448ff4,
  innerTopUp: 0x5cfc6b87, innerRegister: 0xa35cb580, innerGranted: 0xc68ebc7b, innerForced: 0xf4c354c9,
  proxyStake: 0x9713f187, proxyPayout: 0x7610e6eb, ownerClose: 0xb51d5a01, proxyClose: 0x636a4391, proxyComplete: 0xe511abc7,
  signedPayout: 0xa040ad28, lastPayout: 0xf5f26a36, workerRegister: 0x26ed7f65,
  topUp: 0xf172e6c2, hashTopUp: 0x8473b408, changeHash: 0xa9357034, clientRegister: 0xc45f9f3b, clientStake: 0x6a1f6a60,
  withdraw: 0xda068e78, requestRefund: 0xfafa6cc1, charge: 0xbb63ff93, grantRefund: 0xefd711e1, ownerSend: 0x9c69f376,
  refundRest: 0x3d25ae56, bondDeposit: 0x36801140, bondUnbond: 0x48a6a962, bondWithdraw: 0x9ca4cd8a, bondAddKey: 0x0a9ee5d8,
  bondRemoveKey: 0x6b6b07b7, bondSlash: 0x33ee22ff, bondReceipt: 0xf0c23a3c, bondSlashed: 0x55c8a724,
} as const;

/** Ed25519 key pair from a 32-byte seed. */
export interface KeyPair { readonly publicKey: bigint; readonly sign: (hash: Uint8Array) => Buffer }

const PKCS8_ED25519 = Buffer.from('302e020100300506032b657004220420', 'hex');

export function keyPair(seed: Uint8Array): KeyPair {
  const key = createPrivateKey({ key: Buffer.concat([PKCS8_ED25519, seed]), format: 'der', type: 'pkcs8' });
  const raw = createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-32);
  return { publicKey: BigInt(`0x${raw.toString('hex')}`), sign: (hash) => sign(null, hash, key) };
}

/** Op and query id 7: the number that most test messages carry. */
export const head = (op: number, queryId = 7n): Builder => beginCell().storeUint(op, 32).storeUint(queryId, 64);

/** A body that is op, query id and an excess address. */
export const simple = (op: number, excesses: Address): Cell => head(op).storeAddress(excesses).endCell();

/** top_up: anyone pays `amount` into a client. */
export const topUp = (amount: bigint, excesses: Address): Cell => head(OP.topUp).storeCoins(amount).storeAddress(excesses).endCell();

export const proxyStake = (amount: bigint, excesses: Address): Cell => head(OP.proxyStake).storeCoins(amount).storeAddress(excesses).endCell();

/** Envelope of section 6; `inner` may differ from the outer op and query id to make a wrong one. */
export function envelope(op: number, payload: Cell, key: KeyPair, excesses: Address, queryId = 7n): Cell {
  return head(op, queryId).storeAddress(excesses).storeBuffer(key.sign(payload.hash())).storeRef(payload).endCell();
}

/** charge, grant_refund, payout, last payout: a total of tokens signed for one contract. */
export const signedTokens = (op: number, tokens: bigint, to: Address, key: KeyPair, excesses: Address): Cell =>
  envelope(op, head(op).storeUint(tokens, 64).storeAddress(to).endCell(), key, excesses);

/** close, complete close: signed for one proxy. */
export const signedClose = (op: number, to: Address, key: KeyPair, excesses: Address): Cell =>
  envelope(op, head(op).storeAddress(to).endCell(), key, excesses);

/** One-letter text command. */
export const text = (letter: string): Cell => beginCell().storeUint(0, 32).storeBuffer(Buffer.from(letter)).endCell();

/** External of the wallet (section 11.2). */
export function walletExternal(key: KeyPair, at: { subwallet?: number; validUntil: number; seqno: number }, messages: { mode: number; cell: Cell }[]): Cell {
  const signed = beginCell().storeUint(at.subwallet ?? 0, 32).storeUint(at.validUntil, 32).storeUint(at.seqno, 32);
  for (const { mode, cell } of messages) signed.storeUint(mode, 8).storeRef(cell);
  return beginCell().storeBuffer(key.sign(signed.endCell().hash())).storeBuilder(signed).endCell();
}

export interface Receipt {
  globalId: number; bond: Address; requestId: bigint; requestHash: bigint; responseHash: bigint; tokens: bigint; time: number;
}

/** receipt#f0c23a3c: what two receipts of one request share, then a reference with the rest. */
export const receiptCell = (r: Receipt): Cell => beginCell().storeUint(OP.bondReceipt, 32).storeInt(r.globalId, 32).storeAddress(r.bond)
  .storeUint(r.requestId, 256).storeUint(r.requestHash, 256)
  .storeRef(beginCell().storeUint(r.responseHash, 256).storeUint(r.tokens, 64).storeUint(r.time, 32).endCell()).endCell();

export const signedReceipt = (receipt: Cell, key: KeyPair): Cell => beginCell().storeBuffer(key.sign(receipt.hash())).storeRef(receipt).endCell();

/** bond_slash: two signed receipts of one key. */
export const slash = (key: bigint, excesses: Address, a: Cell, b: Cell): Cell =>
  head(OP.bondSlash).storeUint(key, 256).storeAddress(excesses).storeRef(a).storeRef(b).endCell();
