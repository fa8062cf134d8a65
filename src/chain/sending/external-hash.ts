// The hash that names an external message however it was wrapped on its way (TEP-467): source, import fee and StateInit are
// dropped and the body moves to a reference, because none of them is covered by the sender's signature.
import type { Address, Cell, Message } from '@ton/core';
import { externalMessage } from '../cells/wallet-messages.ts';

/** Hash (32 bytes) of the normalised message with this destination and body. */
export function externalHash(to: Address, body: Cell): Uint8Array {
  return new Uint8Array(externalMessage.store({ to, body, init: null }).hash());
}

/** Normalised hash of an incoming message; null when it is not an external one. */
export function incomingExternalHash(message: Message): Uint8Array | null {
  const { info, body } = message;
  if (info.type !== 'external-in') return null;
  // An inline body was made a cell of its own by the parser, so both forms give the same cell here.
  return externalHash(info.dest, body);
}
