// Bytes: hexadecimal, comparison, and a bounded reader that never reads past its end and leaves nothing over.

/** Lower-case hexadecimal text of `bytes`. */
export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}

/** Bytes of hexadecimal text of either case; throws RangeError on an odd length or another character. */
export function fromHex(text: string): Uint8Array {
  if (text.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(text)) {
    throw new RangeError(`expected hexadecimal text of even length, got ${text.length} characters`);
  }
  return new Uint8Array(Buffer.from(text, 'hex'));
}

/** True when both have the same length and content. Not for secrets: use crypto.timingSafeEqual there. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.byteLength === b.byteLength && Buffer.compare(a, b) === 0;
}

export function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}
