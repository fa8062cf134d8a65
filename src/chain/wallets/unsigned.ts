// Transactions for a wallet elsewhere: a file that carries everything, and a `ton://transfer` link short enough for a QR code.
// For owners whose key is not on this machine. Refuses files with unknown fields, other networks and messages that are not payments.
import { Cell, loadMessageRelaxed } from '@ton/core';
import type { Address } from '@ton/core';
import { z } from 'zod';
import { UsageError } from '../../core/errors.ts';
import { parseBoc } from '../cells/boc.ts';
import { stateInitCell } from '../cells/wallet-messages.ts';
import type { ModedMessage } from '../cells/wallet-messages.ts';
import { formatAddress, parseAddress } from './address-text.ts';
import type { WalletNetwork } from './network.ts';

const nano = z.string().regex(/^(0|[1-9]\d{0,38})$/);
const boc = z.base64().max(1 << 20);

const unsignedFile = z.strictObject({
  schema: z.literal('cocoon.unsigned/1'),
  network: z.string().min(1).max(64),
  globalId: z.int(),
  /** The wallet that is to send, friendly form. */
  from: z.string(),
  /** Unix seconds of the chain; after that the transaction should not be signed any more. */
  validUntil: z.int().min(0).max(0xffff_ffff),
  messages: z.array(z.strictObject({
    to: z.string(),
    amountNano: nano,
    mode: z.int().min(0).max(255),
    /** BoC of the body, base64; null when there is none. */
    body: boc.nullable(),
    /** BoC of the StateInit, base64; null when there is none. */
    stateInit: boc.nullable(),
    /** BoC of the whole relaxed message, base64: what the other fields show. */
    message: boc,
  })).min(1).max(255),
});

export type UnsignedTransaction = z.infer<typeof unsignedFile>;

export interface UnsignedOptions {
  readonly from: Address;
  readonly network: WalletNetwork;
  readonly validUntil: number;
  readonly messages: readonly ModedMessage[];
}

const encode = (cell: Cell): string => cell.toBoc().toString('base64');

function describe({ mode, message }: ModedMessage, network: WalletNetwork): UnsignedTransaction['messages'][number] {
  const slice = message.beginParse();
  const { info, body, init } = loadMessageRelaxed(slice);
  if (info.type !== 'internal') throw new UsageError('E_USAGE', 'a wallet sends internal messages only');
  return {
    to: formatAddress(info.dest, network, info.bounce), amountNano: info.value.coins.toString(), mode,
    body: body.equals(Cell.EMPTY) ? null : encode(body),
    stateInit: init?.code && init.data ? encode(stateInitCell.store({ code: init.code, data: init.data })) : null,
    message: encode(message),
  };
}

/** Text of the file for another wallet. */
export function unsignedTransaction({ from, network, validUntil, messages }: UnsignedOptions): UnsignedTransaction {
  return {
    schema: 'cocoon.unsigned/1', network: network.name, globalId: network.globalId, from: formatAddress(from, network, false), validUntil,
    messages: messages.map((message) => describe(message, network)),
  };
}

/** Reads such a file back. Throws UsageError `E_USAGE` on anything but an exact one, `E_WRONG_NETWORK` for another network's. */
export function parseUnsigned(text: string, network: WalletNetwork): { readonly from: Address; readonly validUntil: number; readonly messages: readonly ModedMessage[] } {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new UsageError('E_USAGE', 'the file with the unsigned transaction is not JSON', { cause: error });
  }
  const parsed = unsignedFile.safeParse(json);
  if (!parsed.success) throw new UsageError('E_USAGE', `the file is no unsigned transaction: ${parsed.error.issues[0]?.path.join('.') ?? ''} is not as expected`);
  const { globalId, network: name, from, validUntil, messages } = parsed.data;
  if (globalId !== network.globalId) throw new UsageError('E_WRONG_NETWORK', `the unsigned transaction is for ${name} (global id ${globalId}), the network in use is ${network.name}`);
  return {
    from: parseAddress(from, network).address,
    validUntil,
    messages: messages.map((shown) => {
      const message = { mode: shown.mode, message: parseBoc(Buffer.from(shown.message, 'base64'), 'unsigned message') };
      // What a person read must be what is signed.
      if (JSON.stringify(describe(message, network)) !== JSON.stringify(shown)) throw new UsageError('E_USAGE', `message to ${shown.to} is not the one that its fields show`);
      return message;
    }),
  };
}

/**
 * `ton://transfer/…` link for a wallet app, as text of a QR code: one payment with body and StateInit. Throws UsageError when there are
 * several messages, or the mode is not the usual one (fees on top), which a link cannot carry.
 */
export function transferLink({ messages, validUntil }: UnsignedTransaction): string {
  const [message, ...others] = messages;
  if (message === undefined || others.length > 0) throw new UsageError('E_USAGE', `a transfer link carries one transfer, not ${messages.length}`, { hint: 'write a file instead' });
  if ((message.mode & ~2) !== 1) throw new UsageError('E_USAGE', `a transfer link cannot carry send mode ${message.mode}`, { hint: 'write a file instead' });
  const urlSafe = (base64: string): string => Buffer.from(base64, 'base64').toString('base64url');
  const query = new URLSearchParams({ amount: message.amountNano, exp: String(validUntil) });
  if (message.body !== null) query.set('bin', urlSafe(message.body));
  if (message.stateInit !== null) query.set('init', urlSafe(message.stateInit));
  return `ton://transfer/${message.to}?${query}`;
}
