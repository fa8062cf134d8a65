// A text comment: op 0 and UTF-8 bytes, continued in references (the common "snake" form). At most 32 cells are followed.
// Refuses bits that are no whole bytes and cells with more than one reference; invalid UTF-8 becomes U+FFFD.
import { beginCell } from '@ton/core';
import type { Cell } from '@ton/core';
import { OP } from '../opcodes.ts';
import { reading, writing } from './codec.ts';
import type { CellCodec } from './codec.ts';

const MAX_CELLS = 32;
const BYTES_IN_FIRST_CELL = 123;
const BYTES_IN_CELL = 127;

// comment#00000000 text:SnakeBytes = Body;
export const comment: CellCodec<{ readonly text: string }> = {
  load: (body) => reading('text comment', () => {
    const op = body.beginParse().loadUint(32);
    if (op !== OP.text) throw new Error(`tag is 0x${op.toString(16)}, expected 0x0`);
    const parts: Buffer[] = [];
    let next: Cell | undefined = body;
    for (let count = 0; next !== undefined; count++) {
      if (count >= MAX_CELLS) throw new Error(`text has more than ${MAX_CELLS} cells`);
      const slice = next.beginParse().skip(count === 0 ? 32 : 0);
      if (slice.remainingBits % 8 !== 0 || slice.remainingRefs > 1) throw new Error('text is not made of whole bytes and one reference');
      parts.push(slice.loadBuffer(slice.remainingBits / 8));
      next = slice.remainingRefs === 1 ? slice.loadRef() : undefined;
    }
    return { text: Buffer.concat(parts).toString('utf8') };
  }),
  store: ({ text }) => writing('text comment', () => {
    const bytes = Buffer.from(text, 'utf8');
    if (bytes.length > BYTES_IN_FIRST_CELL + (MAX_CELLS - 1) * BYTES_IN_CELL) throw new Error(`text has ${bytes.length} bytes, expected fewer`);
    let tail: Cell | null = null;
    const chunks = Math.ceil(Math.max(0, bytes.length - BYTES_IN_FIRST_CELL) / BYTES_IN_CELL);
    for (let n = chunks - 1; n >= 0; n--) {
      const start = BYTES_IN_FIRST_CELL + n * BYTES_IN_CELL;
      const builder = beginCell().storeBuffer(bytes.subarray(start, start + BYTES_IN_CELL));
      tail = (tail === null ? builder : builder.storeRef(tail)).endCell();
    }
    const first = beginCell().storeUint(OP.text, 32).storeBuffer(bytes.subarray(0, BYTES_IN_FIRST_CELL));
    return (tail === null ? first : first.storeRef(tail)).endCell();
  }),
};
