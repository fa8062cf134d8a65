// One entry of a payment book as it lies on disk: strict JSON with a digest of itself. Refuses another schema, an unknown field,
// another digest, and a payment that is not the entry's own: all of that is damage.
import { createHash } from 'node:crypto';
import { Address } from '@ton/core';
import { z } from 'zod';
import { fromHex, toHex } from '../core/bytes.ts';
import { ConfigError, NetworkError } from '../core/errors.ts';
import type { SignedKind } from './cells/signed.ts';
import { checkPayment, parsePayment } from './signed-payment.ts';
import type { SignedPayment } from './signed-payment.ts';

export interface BookEntry {
  readonly proxy: Address;
  /** The client or worker contract that the payments are for; names the entry. */
  readonly contract: Address;
  readonly kind: 'client' | 'worker';
  /** The proxy's payment key, 32 bytes. */
  readonly publicKey: Uint8Array;
  /** Total of the highest signed payment; 0n without one. */
  readonly signedTokens: bigint;
  /** That payment's BoC; null without one. */
  readonly payment: Uint8Array | null;
  /** What this side counted itself, cumulative over all processes and restarts. */
  readonly countedTokens: bigint;
  /** Reservations of requests whose end is not known, also of processes that died; a client's tolerance. 0n for workers. */
  readonly openTokens: bigint;
  /** What the proxy said it had booked, highest. Only a statement. */
  readonly dbTokens: bigint;
  /** What the contract has on chain, highest seen. */
  readonly claimedTokens: bigint;
  /** Base name of the model, where a node serves one. */
  readonly model: string | null;
  /** Unix milliseconds of the last change. */
  readonly updatedAtMs: number;
}

/** The payments that pay for work, of each kind of contract. A last one closes the contract, so it supersedes an equal total. */
const KINDS = { client: ['clientCharge'], worker: ['workerPayout', 'workerLastPayout'] } as const satisfies Record<BookEntry['kind'], readonly SignedKind[]>;

const hex32 = z.string().regex(/^[0-9a-f]{64}$/);
const rawAddress = z.string().regex(/^(0|-1):[0-9a-f]{64}$/);
const tokens = z.string().regex(/^(0|[1-9]\d{0,19})$/);

const fileSchema = z.strictObject({
  schema: z.literal('cocoon.payment-book/1'),
  proxy: rawAddress,
  contract: rawAddress,
  kind: z.enum(['client', 'worker']),
  publicKey: hex32,
  signedTokens: tokens,
  payment: z.base64().max(2048).nullable(),
  countedTokens: tokens,
  openTokens: tokens,
  dbTokens: tokens,
  claimedTokens: tokens,
  model: z.string().max(1024).nullable(),
  updatedAtMs: z.int().min(0),
  /** SHA-256 of the same JSON without this field. */
  digest: hex32,
});

export const SUFFIX = '.json';
/** Name of the entry's file. */
export const fileName = (contract: Address): string => `${contract.workChain}_${contract.hash.toString('hex')}${SUFFIX}`;

export function encodeEntry(entry: BookEntry): string {
  const fields = {
    schema: 'cocoon.payment-book/1', proxy: entry.proxy.toRawString(), contract: entry.contract.toRawString(), kind: entry.kind,
    publicKey: toHex(entry.publicKey), signedTokens: String(entry.signedTokens),
    payment: entry.payment === null ? null : Buffer.from(entry.payment).toString('base64'),
    countedTokens: String(entry.countedTokens), openTokens: String(entry.openTokens), dbTokens: String(entry.dbTokens),
    claimedTokens: String(entry.claimedTokens), model: entry.model, updatedAtMs: entry.updatedAtMs,
  };
  return `${JSON.stringify({ ...fields, digest: digestOf(fields) })}\n`;
}

const digestOf = (fields: object): string => createHash('sha256').update(JSON.stringify(fields)).digest('hex');

/** Reads strictly: another schema, field, digest, or a payment that is not the entry's own is damage. Throws `E_STATE` naming the file. */
export function decodeEntry(bytes: Uint8Array, path: string): BookEntry {
  const damaged = (why: string, cause?: unknown): ConfigError => new ConfigError('E_STATE', `${path} is damaged: ${why}`, {
    hint: 'restore it from a backup; without it payments may be lost, so nothing goes on without it', ...(cause === undefined ? {} : { cause }),
  });
  const text = Buffer.from(bytes).toString('utf8');
  let fields: z.infer<typeof fileSchema>;
  try {
    fields = fileSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw damaged('it is no entry of a payment book', cause);
  }
  const entry: BookEntry = {
    proxy: Address.parseRaw(fields.proxy), contract: Address.parseRaw(fields.contract), kind: fields.kind, publicKey: fromHex(fields.publicKey),
    signedTokens: BigInt(fields.signedTokens), payment: fields.payment === null ? null : new Uint8Array(Buffer.from(fields.payment, 'base64')),
    countedTokens: BigInt(fields.countedTokens), openTokens: BigInt(fields.openTokens), dbTokens: BigInt(fields.dbTokens),
    claimedTokens: BigInt(fields.claimedTokens), model: fields.model, updatedAtMs: fields.updatedAtMs,
  };
  // One encoding only, digest included: a digit that changed is seen.
  if (encodeEntry(entry) !== text) throw damaged('its content does not have the digest that it names');
  try {
    const signed = entry.payment === null ? 0n : checkedTokens(entry, parsePayment(entry.payment));
    if (signed !== entry.signedTokens) throw new Error(`the payment is for ${signed} tokens, the entry says ${entry.signedTokens}`);
  } catch (cause) {
    throw damaged(cause instanceof Error ? cause.message : String(cause), cause);
  }
  return entry;
}

/** Total of a payment that is the entry's own. Throws `E_SIGNED_PAYMENT`. */
export function checkedTokens({ kind, contract, publicKey }: Pick<BookEntry, 'kind' | 'contract' | 'publicKey'>, payment: SignedPayment): bigint {
  checkPayment(payment, { kinds: KINDS[kind], contract, publicKey });
  if (!('tokens' in payment.claim)) throw new NetworkError('E_SIGNED_PAYMENT', 'signed payment carries no total');
  return payment.claim.tokens;
}

export const isLast = (payment: SignedPayment): boolean => payment.claim.kind === 'workerLastPayout';
