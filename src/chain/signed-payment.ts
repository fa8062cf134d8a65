// Signed payments: make, parse, check, repack (WIRE.md section 13, ONCHAIN.md section 6). The signature is Ed25519 by the
// proxy's payment key over the payload cell's hash. Refuses any other layout, op or query id that differ, another
// contract and a wrong signature: E_SIGNED_PAYMENT. `send_excesses_to` is not signed; whoever delivers fills it in.
import { randomBytes } from 'node:crypto';
import type { Address, Cell } from '@ton/core';
import { equalBytes } from '../core/bytes.ts';
import { NetworkError } from '../core/errors.ts';
import { parseBoc } from './cells/boc.ts';
import type { BocLimits } from './cells/boc.ts';
import { leadingOp } from './cells/message.ts';
import { SIGNED_OPS, signedClosePayload, signedEnvelope, signedTokensPayload, TOKENS_OPS } from './cells/signed.ts';
import type { CloseKind, SignedKind, TokensKind } from './cells/signed.ts';
import { verifySignature } from './ed25519.ts';
import type { Signer } from './ed25519.ts';

/** What the proxy key signs. `tokens` is the total since the contract exists, never a difference. */
export type Claim =
  | { readonly kind: TokensKind; readonly queryId: bigint; readonly tokens: bigint; readonly contract: Address }
  | { readonly kind: CloseKind; readonly queryId: bigint; readonly contract: Address };

export interface SignedPayment {
  readonly claim: Claim;
  readonly sendExcessesTo: Address;
  /** 64 bytes. */
  readonly signature: Uint8Array;
  /** The cell that is signed. */
  readonly payload: Cell;
}

/** Two cells: far below this in every encoding. */
const PAYMENT_LIMITS: BocLimits = { maxBytes: 1024, maxCells: 2 };

/** A random 64-bit query id. */
export const randomQueryId = (): bigint => randomBytes(8).readBigUInt64BE();

/** Signs a claim; the returned body is what the contract takes. */
export function signPayment(claim: Claim, sendExcessesTo: Address, signer: Signer): SignedPayment {
  const payload = payloadCell(claim);
  return { claim, sendExcessesTo, payload, signature: signer.sign(payload.hash()) };
}

/** The payload cell of a claim: its hash is what is signed. */
export function payloadCell(claim: Claim): Cell {
  return 'tokens' in claim ? signedTokensPayload[claim.kind].store(claim) : signedClosePayload[claim.kind].store(claim);
}

/** Message body that delivers the payment to its contract: 875 bits and one reference. */
export function paymentBody({ claim, sendExcessesTo, signature, payload }: SignedPayment): Cell {
  return signedEnvelope[claim.kind].store({ queryId: claim.queryId, sendExcessesTo, signature, payload });
}

/** The same payment with another receiver of the spare TON; nothing that is signed changes. */
export const repack = (payment: SignedPayment, sendExcessesTo: Address): SignedPayment => ({ ...payment, sendExcessesTo });

/** Bytes for `proxy.signedPayment data`: a BoC without index and checksum. */
export const encodePayment = (payment: SignedPayment): Uint8Array => new Uint8Array(paymentBody(payment).toBoc({ idx: false, crc32: false }));

/**
 * Parses the bytes of a `proxy.signedPayment`; nothing is verified yet. A payment has exactly one encoding: without index
 * and checksum. Throws NetworkError E_SIGNED_PAYMENT.
 */
export function parsePayment(boc: Uint8Array): SignedPayment {
  const payment = refusing(() => readPayment(parseBoc(boc, 'signed payment', PAYMENT_LIMITS)));
  if (!equalBytes(encodePayment(payment), boc)) throw refused('is not encoded in the one form that is used');
  return payment;
}

/** Parses a message body; nothing is verified yet. Throws NetworkError E_SIGNED_PAYMENT. */
export const parsePaymentBody = (body: Cell): SignedPayment => refusing(() => readPayment(body));

export interface Expected {
  readonly kinds: readonly SignedKind[];
  /** The reader's own contract. */
  readonly contract: Address;
  /** The proxy's payment key, 32 bytes. */
  readonly publicKey: Uint8Array;
}

/** Checks kind, contract and signature, in the order in which none of them trusts the others. Throws NetworkError E_SIGNED_PAYMENT. */
export function checkPayment(payment: SignedPayment, expected: Expected): void {
  const { claim, payload, signature } = payment;
  if (!expected.kinds.includes(claim.kind)) throw refused(`is a ${claim.kind}, expected ${expected.kinds.join(' or ')}`);
  if (!claim.contract.equals(expected.contract)) throw refused(`is for ${claim.contract.toString()}, expected ${expected.contract.toString()}`);
  if (!payloadCell(claim).hash().equals(payload.hash())) throw refused('has a payload that differs from its claim');
  if (!verifySignature(expected.publicKey, payload.hash(), signature)) throw refused('has a signature that is not the proxy key\'s');
}

function readPayment(body: Cell): SignedPayment {
  const op = leadingOp(body);
  const kind = (Object.keys(SIGNED_OPS) as SignedKind[]).find((name) => SIGNED_OPS[name] === op);
  if (kind === undefined) throw refused(`has operation ${op === null ? 'missing' : `0x${op.toString(16)}`}, expected a signed one`);
  const { queryId, sendExcessesTo, signature, payload } = signedEnvelope[kind].load(body);
  const claim: Claim = isTokensKind(kind)
    ? { kind, ...signedTokensPayload[kind].load(payload) }
    : { kind, ...signedClosePayload[kind].load(payload) };
  if (claim.queryId !== queryId) throw refused(`has query id ${queryId} outside and ${claim.queryId} inside, expected the same`);
  return { claim, sendExcessesTo, signature, payload };
}

const isTokensKind = (kind: SignedKind): kind is TokensKind => Object.hasOwn(TOKENS_OPS, kind);

const refused = (reason: string): NetworkError => new NetworkError('E_SIGNED_PAYMENT', `signed payment ${reason}`);

function refusing<T>(read: () => T): T {
  try {
    return read();
  } catch (thrown) {
    if (thrown instanceof NetworkError && thrown.code === 'E_CHAIN_DATA') {
      throw new NetworkError('E_SIGNED_PAYMENT', `signed payment cannot be read: ${thrown.message}`, { cause: thrown });
    }
    throw thrown;
  }
}
