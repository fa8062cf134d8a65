// The Cocoon wallet: signed external messages (ONCHAIN.md section 11.2, WIRE.md section 14) and its owner's commands (11.3).
import type { Address, Cell, Slice } from '@ton/core';
import { OP } from '../opcodes.ts';
import { address, bits512, cell, cellOf, coins, maybeCell, struct, tagged, uint } from './codec.ts';
import type { CellCodec, Codec } from './codec.ts';
import { bare, letter, message } from './message.ts';

/** At most as many messages as a cell has references. */
export const MAX_WALLET_MESSAGES = 4;

export interface WalletTransfer {
  readonly to: Address;
  readonly valueNano: bigint;
  readonly body: Cell | null;
  /** Deploys the destination; the message does not bounce then. */
  readonly init: CodeAndData | null;
}

/** The part of a StateInit that our contracts use. */
export interface CodeAndData {
  readonly code: Cell;
  readonly data: Cell;
}

/** One message and the mode it is sent with. */
export interface ModedMessage {
  readonly mode: number;
  readonly message: Cell;
}

export interface WalletRequest {
  readonly subwallet: number;
  /** Unix seconds; refused by the contract from that second on. */
  readonly validUntil: number;
  readonly seqno: number;
  readonly messages: readonly ModedMessage[];
}

/** Send mode of a transfer in the reference programs: fees on top of a value of at most one nanoTON, else out of the value. */
export const transferMode = (valueNano: bigint): number => valueNano <= 1n ? 1 : 0;

// state_init$_ split_depth:nothing$0 special:nothing$0 code:just$1 ^Cell data:just$1 ^Cell library:nothing$0 = StateInit;
export const stateInitCell: CellCodec<CodeAndData> = cellOf('state init', tagged(0b00110, 5, struct({ code: cell, data: cell })));

// init:(Maybe (Either StateInit ^StateInit)), always in a reference
const maybeInit: Codec<CodeAndData | null> = {
  read: (slice) => {
    if (!slice.loadBit()) return null;
    if (!slice.loadBit()) throw new Error('state init is inline, expected a reference');
    return stateInitCell.load(slice.loadRef());
  },
  write: (builder, init) => {
    if (init === null) builder.storeBit(0);
    else builder.storeUint(0b11, 2).storeRef(stateInitCell.store(init));
  },
};

const ZERO_TAIL_BITS = 105;
const BOUNCING = 0b011000;
const NOT_BOUNCING = 0b010000;

// int_msg_info$0 ihr_disabled:1 bounce:Bool bounced:0 src:addr_none$00 dest:MsgAddressInt value:Coins
//   zeros:(105 * Bit)   // other currencies, ihr_fee, fwd_fee, created_lt, created_at
//   init:(Maybe (Either StateInit ^StateInit)) body:(Either X ^X)   // both in references; an absent body is an inline empty one
// A message bounces exactly when it deploys nothing.
export const transferMessage: CellCodec<WalletTransfer> = cellOf('transfer', {
  read: (slice) => {
    const head = slice.loadUint(6);
    if (head !== BOUNCING && head !== NOT_BOUNCING) throw new Error(`header is ${head.toString(2).padStart(6, '0')}, expected 011000 or 010000`);
    const to = address.read(slice);
    const valueNano = coins.read(slice);
    if (slice.loadUintBig(ZERO_TAIL_BITS) !== 0n) throw new Error('other currencies, fees or times are not zero');
    const init = maybeInit.read(slice);
    if ((init === null) !== (head === BOUNCING)) throw new Error('bounce flag does not fit the state init');
    return { to, valueNano, init, body: slice.loadBit() ? slice.loadRef() : null };
  },
  write: (builder, transfer) => {
    builder.storeUint(transfer.init === null ? BOUNCING : NOT_BOUNCING, 6).storeAddress(transfer.to);
    coins.write(builder, transfer.valueNano);
    maybeInit.write(builder.storeUint(0, ZERO_TAIL_BITS), transfer.init);
    maybeCell.write(builder, transfer.body);
  },
});
const requestHead = struct({ subwallet: uint(32), validUntil: uint(32), seqno: uint(32) });
const SIGNATURE_BITS = 512;

// wallet_request$_ subwallet:uint32 valid_until:uint32 seqno:uint32 ( mode:uint8 message:^Cell )*   // 0 to 4 times
export const walletRequest: CellCodec<WalletRequest> = cellOf('wallet request', {
  read: (slice: Slice) => {
    const first = requestHead.read(slice);
    const messages: ModedMessage[] = [];
    while (slice.remainingRefs > 0) messages.push({ mode: slice.loadUint(8), message: slice.loadRef() });
    return { ...first, messages };
  },
  write: (builder, request) => {
    if (request.messages.length > MAX_WALLET_MESSAGES) throw new Error(`${request.messages.length} messages, expected at most ${MAX_WALLET_MESSAGES}`);
    requestHead.write(builder, request);
    for (const { mode, message: each } of request.messages) builder.storeUint(mode, 8).storeRef(each);
  },
});

export interface SignedWalletRequest {
  readonly signature: Uint8Array;
  /** The cell whose hash is signed. */
  readonly request: Cell;
}

// external_body$_ signature:bits512 request:WalletRequest   // bits and references of the request follow the signature in one cell
export const walletExternalBody: CellCodec<SignedWalletRequest> = cellOf('external message to the wallet', {
  read: (slice: Slice) => {
    const signature = bits512.read(slice);
    const request = slice.asCell();
    slice.skip(slice.remainingBits);
    while (slice.remainingRefs > 0) slice.loadRef();
    return { signature, request };
  },
  write: (builder, { signature, request }) => {
    if (request.bits.length + SIGNATURE_BITS > 1023) throw new Error(`request has ${request.bits.length} bits, expected at most 511`);
    bits512.write(builder, signature);
    builder.storeSlice(request.beginParse());
  },
});

export interface ExternalMessage {
  readonly to: Address;
  readonly body: Cell;
  readonly init: CodeAndData | null;
}

// ext_in_msg_info$10 src:addr_none$00 dest:MsgAddressInt import_fee:Coins{0}
//   init:(Maybe (Either StateInit ^StateInit)) body:(Either X ^X)   // both in references
export const externalMessage: CellCodec<ExternalMessage> = cellOf('external message', tagged(0b1000, 4, {
  read: (slice) => {
    const to = address.read(slice);
    if (coins.read(slice) !== 0n) throw new Error('import fee is not zero');
    const init = maybeInit.read(slice);
    if (!slice.loadBit()) throw new Error('body is inline, expected a reference');
    return { to, init, body: slice.loadRef() };
  },
  write: (builder, { to, init, body }) => {
    maybeInit.write(builder.storeAddress(to).storeCoins(0n), init);
    builder.storeBit(1).storeRef(body);
  },
}));

// send_message#9c69f376 query_id:uint64 mode:uint8 message:^Cell = Body;   // from the owner
export const walletSendMessage = message('send a message', OP.walletSendMessage, { mode: uint(8), message: cell });

// text#00000000 letter:uint8 = Body;   // from the owner: "w" withdraws all, "b" blocks, "u" unblocks
export const walletText = bare('text to the wallet', OP.text, { letter: letter('wbu') });
