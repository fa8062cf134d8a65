// What the `receipt` commands are given: files of receipts, and the bodies that they speak of.
import { resolve } from 'node:path';
import { MAX_RECEIPT_FILE_BYTES, parseReceiptFile } from '../client/receipt-file.ts';
import { readBounded } from '../core/files.ts';
import type { ReceiptFile } from '../client/receipt-file.ts';
import type { Invocation } from './command.ts';

/** Of a request or an answer. */
const MAX_BODY_BYTES = 64 * 1024 * 1024;

/** Throws NotFoundError, or ConfigError `E_STATE` for what is no receipt. */
export async function readReceipt({ context }: Pick<Invocation, 'context'>, file: string): Promise<ReceiptFile> {
  return parseReceiptFile(await readBounded(resolve(context.cwd, file), MAX_RECEIPT_FILE_BYTES), file);
}

/** The bytes of a body; undefined where no file was named. */
export async function readBody({ context }: Pick<Invocation, 'context'>, file: string | undefined): Promise<Uint8Array | undefined> {
  return file === undefined ? undefined : readBounded(resolve(context.cwd, file), MAX_BODY_BYTES);
}
