// Bags of cells from outside: bounds are checked before a cell is built. Accepts the standard form (b5ee9c72) with one
// root; refuses more roots, absent cells, bytes after the end, too many or too deep cells, and pruned branches.
import { Cell } from '@ton/core';
import { chainDataError, reading } from './codec.ts';

export interface BocLimits {
  readonly maxBytes: number;
  readonly maxCells: number;
}

/** A contract's state. The network allows 65536 cells an account; decoding blocks (about 35 µs a cell), so a quarter must do. */
export const STATE_LIMITS: BocLimits = { maxBytes: 2 * 1024 * 1024, maxCells: 16_384 };
/** A message: the network allows 8192 cells and 2^21 bits. */
export const MESSAGE_LIMITS: BocLimits = { maxBytes: 512 * 1024, maxCells: 8192 };

const MAGIC = 0xb5ee9c72;
const FLAGS_AT = 4;
const OFFSET_BYTES_AT = 5;
const COUNTS_AT = 6;
const MAX_DEPTH = 512;
const CRC_BYTES = 4;

/** The root cell of a BoC. `what` names it in messages. Throws NetworkError E_CHAIN_DATA. */
export function parseBoc(bytes: Uint8Array, what: string, limits: BocLimits = MESSAGE_LIMITS): Cell {
  if (bytes.byteLength > limits.maxBytes) {
    throw chainDataError(`${what} has ${bytes.byteLength} bytes, expected at most ${limits.maxBytes}`);
  }
  return reading(what, () => {
    const buffer = Buffer.from(bytes);
    checkHeader(buffer, limits.maxCells);
    const [root, ...others] = Cell.fromBoc(buffer);
    if (root === undefined || others.length > 0) throw new Error('bag of cells has not exactly one root');
    if (root.level() !== 0) throw new Error('bag of cells has pruned branches');
    if (root.depth() > MAX_DEPTH) throw new Error(`cells are nested ${root.depth()} deep, expected at most ${MAX_DEPTH}`);
    return root;
  });
}

// serialized_boc#b5ee9c72 has_idx:(## 1) has_crc32c:(## 1) has_cache_bits:(## 1) flags:(## 2) { flags = 0 }
//   size:(## 3) { size <= 4 } off_bytes:(## 8) { off_bytes <= 8 } cells:(##(size * 8)) roots:(##(size * 8))
//   absent:(##(size * 8)) tot_cells_size:(##(off_bytes * 8)) root_list:(roots * ##(size * 8))
//   index:has_idx?(cells * ##(off_bytes * 8)) cell_data:(tot_cells_size * [ uint8 ]) crc32c:has_crc32c?uint32 = BagOfCells;
function checkHeader(boc: Buffer, maxCells: number): void {
  if (boc.length < COUNTS_AT || boc.readUInt32BE(0) !== MAGIC) throw new Error('bag of cells does not start with b5ee9c72');
  const flags = boc.readUInt8(FLAGS_AT);
  const [hasIndex, hasCrc, rest, size] = [(flags & 0x80) !== 0, (flags & 0x40) !== 0, flags & 0x38, flags & 7];
  const offsetBytes = boc.readUInt8(OFFSET_BYTES_AT);
  if (rest !== 0 || size < 1 || size > 4 || offsetBytes < 1 || offsetBytes > 4) throw new Error('bag of cells has an unsupported header');
  const sizesAt = COUNTS_AT + 3 * size;
  if (boc.length < sizesAt + offsetBytes) throw new Error('bag of cells ends inside its header');
  const [cells, roots, absent] = [0, 1, 2].map((n) => boc.readUIntBE(COUNTS_AT + n * size, size));
  if (cells === undefined || cells < 1 || cells > maxCells) throw new Error(`bag of cells has ${cells} cells, expected 1 to ${maxCells}`);
  if (roots !== 1 || absent !== 0) throw new Error(`bag of cells has ${roots} roots and ${absent} absent cells, expected 1 and 0`);
  const dataBytes = boc.readUIntBE(sizesAt, offsetBytes);
  const expected = sizesAt + offsetBytes + size + (hasIndex ? cells * offsetBytes : 0) + dataBytes + (hasCrc ? CRC_BYTES : 0);
  if (boc.length !== expected) throw new Error(`bag of cells has ${boc.length} bytes, expected ${expected}`);
}
