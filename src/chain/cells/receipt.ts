// A receipt: what a node signs about one answer (contracts/bond.tolk). 1195 bits, so what two receipts of one request share
// is in the cell whose hash is signed, and the rest in its reference.
import { OP } from '../opcodes.ts';
import { address, bits256, bits512, cellOf, int32, ref, struct, tagged, uint, uint64 } from './codec.ts';
import type { CellCodec, Value } from './codec.ts';

// receipt_rest$_ response_hash:bits256 tokens:uint64 time:uint32 = ReceiptRest;
const rest = { responseHash: bits256, tokens: uint64, time: uint(32) } as const;
const restCell = cellOf('rest of a receipt', struct(rest));

const shared = { globalId: int32, bond: address, requestId: bits256, requestHash: bits256 } as const;
const flat = struct({ ...shared, ...rest });
const nested = struct({ ...shared, rest: ref(restCell) });

/** `requestId` and the hashes are 32 bytes, `tokens` adjusted tokens, `time` unix seconds, `globalId` the TON network's. */
export type Receipt = Value<typeof flat>;

// receipt#f0c23a3c global_id:int32 bond:MsgAddress request_id:bits256 request_hash:bits256 rest:^ReceiptRest = Receipt;
export const receiptCell: CellCodec<Receipt> = cellOf('receipt', tagged(OP.bondReceipt, 32, {
  read: (slice) => {
    const { rest: inner, ...outer } = nested.read(slice);
    return { ...outer, ...inner };
  },
  write: (builder, receipt) => nested.write(builder, { ...receipt, rest: receipt }),
}));

// signed_receipt$_ signature:bits512 receipt:^Receipt = SignedReceipt;   // Ed25519 over the receipt cell's hash
export const signedReceiptCell = cellOf('signed receipt', struct({ signature: bits512, receipt: ref(receiptCell) }));
export type SignedReceipt = Value<typeof signedReceiptCell>;
