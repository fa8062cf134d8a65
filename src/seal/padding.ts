// Hides lengths (SPEC.md section 6): requests are padded so that an eighth of the binary order of their size is all that shows,
// answers to multiples of 64 bytes. A padded text is its 4-byte length, itself, and zeros.
// Refuses lengths that do not fit and padding that is not zero.
import { isZero } from '../core/bytes.ts';
import { SealError } from './errors.ts';

/** Before what is padded. */
export const PAD_LENGTH_BYTES = 4;
const LENGTH = PAD_LENGTH_BYTES;
const SMALLEST = 512;
const STEPS = 8;

/** Size of the bucket for `size` bytes: at least 512, then eight buckets for each doubling, so that at most an eighth is added. */
export function requestBucket(size: number): number {
  if (size <= SMALLEST) return SMALLEST;
  const step = 2 ** Math.floor(Math.log2(size - 1)) / STEPS;
  return Math.ceil(size / step) * step;
}

/** `bytes` with their length, padded to the bucket that `bucketOf` gives for both. */
export function pad(bytes: Uint8Array, bucketOf: (size: number) => number): Uint8Array {
  const padded = Buffer.alloc(bucketOf(LENGTH + bytes.byteLength));
  padded.writeUInt32BE(bytes.byteLength, 0);
  padded.set(bytes, LENGTH);
  return new Uint8Array(padded.buffer, padded.byteOffset, padded.byteLength);
}

/** What was padded, a view of it. Throws SealError. */
export function unpad(padded: Uint8Array): Uint8Array {
  if (padded.byteLength < LENGTH) throw new SealError(`padded text has ${padded.byteLength} bytes, expected at least ${LENGTH}`);
  const length = new DataView(padded.buffer, padded.byteOffset, LENGTH).getUint32(0);
  const end = LENGTH + length;
  if (end > padded.byteLength) throw new SealError(`padded text of ${padded.byteLength} bytes says that it has ${length}`);
  if (!isZero(padded.subarray(end))) throw new SealError('padding is not zero');
  return padded.subarray(LENGTH, end);
}
