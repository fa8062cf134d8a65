// Message bodies: operation code, query id, fields, nothing left over (ONCHAIN.md section 2.2).
import type { Cell } from '@ton/core';
import { address, cellOf, coins, struct, tagged, uint64 } from './codec.ts';
import type { CellCodec, Codec, Values } from './codec.ts';

const OP_BITS = 32;

/** A body `name#op query_id:uint64 fields`. */
export function message<F extends Readonly<Record<string, Codec<unknown>>>>(
  name: string, op: number, fields: F,
): CellCodec<{ readonly queryId: bigint } & Values<F>> {
  const body = struct({ queryId: uint64, ...fields });
  return cellOf(name, tagged(op, OP_BITS, body)) as unknown as CellCodec<{ readonly queryId: bigint } & Values<F>>;
}

/** A body `name#op fields` without query id: inner payloads and text commands. */
export function bare<F extends Readonly<Record<string, Codec<unknown>>>>(name: string, op: number, fields: F): CellCodec<Values<F>> {
  return cellOf(name, tagged(op, OP_BITS, struct(fields)));
}

/** The operation code of a body, or null where it has fewer than 32 bits or is exotic. */
export function leadingOp(body: Cell): number | null {
  if (body.isExotic || body.bits.length < OP_BITS) return null;
  return body.beginParse().loadUint(OP_BITS);
}

/** send_excesses_to:MsgAddress, the last field of most bodies: where spare TON goes. */
export const excess = { sendExcessesTo: address } as const;

/** coins:Coins send_excesses_to:MsgAddress. */
export const amountAndExcess = { amountNano: coins, sendExcessesTo: address } as const;

/** One letter after operation code 0, for example "w". */
export const letter = (allowed: string): Codec<string> => ({
  read: (slice) => checkLetter(String.fromCharCode(slice.loadUint(8)), allowed),
  write: (builder, value) => void builder.storeUint(checkLetter(value, allowed).charCodeAt(0), 8),
});

function checkLetter(value: string, allowed: string): string {
  if (value.length !== 1 || !allowed.includes(value)) throw new Error(`text command is ${JSON.stringify(value)}, expected one of ${allowed}`);
  return value;
}
