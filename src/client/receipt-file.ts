// A receipt as a file: what a node signed about one answer, and the attested certificate that vouches for the signer, so that
// anybody can judge it later without node, proxy or network. It holds hashes of prompt and answer and no text of either.
// Refuses files of another kind or version, unknown members, and everything out of bounds.
import { z } from 'zod';
import { AttestationError, ConfigError, CocoonError } from '../core/errors.ts';
import { equalBytes } from '../core/bytes.ts';
import { decodeAnswerReceipt, sha256 } from '../seal/receipt.ts';
import type { SignedAnswerReceipt } from '../seal/receipt.ts';
import type { Answer } from './chat.ts';

export const MAX_RECEIPT_FILE_BYTES = 256 * 1024;
const KIND = 'cocoon answer receipt';
const VERSION = 1;

export interface ReceiptFile {
  /** Encoded receipt (SPEC.md section 9): the node's signed key record is in it. */
  readonly receipt: Uint8Array;
  /** DER of the node's attested certificate: the evidence is in it. */
  readonly certificate: Uint8Array;
  /** Name of the network, for the reader only. */
  readonly network: string;
}

const base64 = z.base64().max(MAX_RECEIPT_FILE_BYTES).transform((text) => new Uint8Array(Buffer.from(text, 'base64')));
const Document = z.strictObject({
  kind: z.literal(KIND), version: z.literal(VERSION), network: z.string().max(200), receipt: base64, certificate: base64,
});

/** The file for an answer. Throws CocoonError `E_NO_RECEIPT` where its node signed none, AttestationError `E_SEAL` where it is for another one. */
export function receiptOf({ proof, exchange }: Pick<Answer, 'proof' | 'exchange'>, network: string): ReceiptFile {
  if (proof?.receipt === undefined || proof.receipt === null || proof.node === null) {
    throw new CocoonError('E_NO_RECEIPT', proof === null ? 'the answer has no receipt: the request was not sealed to a node' : 'the answer has no receipt: its node signed none', {
      hint: 'ask with --seal require, and of a node that signs receipts (--node)',
    });
  }
  const file: ReceiptFile = { receipt: proof.receipt, certificate: proof.node.certificate, network };
  const { receipt: { core } } = openReceipt(file);
  if (!equalBytes(core.requestHash, sha256(exchange.request)) || !equalBytes(core.responseHash, exchange.answerHash)) {
    throw new AttestationError('E_SEAL', 'the receipt is for another request or another answer');
  }
  return file;
}

export function encodeReceiptFile({ receipt, certificate, network }: ReceiptFile): string {
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
  return `${JSON.stringify({ kind: KIND, version: VERSION, network, receipt: text(receipt), certificate: text(certificate) }, null, 2)}\n`;
}

/** Throws ConfigError `E_STATE` for what is no receipt file. Nothing in it is verified. */
export function parseReceiptFile(bytes: Uint8Array, name: string): ReceiptFile {
  try {
    const { receipt, certificate, network } = Document.parse(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)));
    return { receipt, certificate, network };
  } catch (cause) {
    throw new ConfigError('E_STATE', `cannot use "${name}": expected a receipt that \`cocoon infer --receipt\` wrote, version ${VERSION}`, { cause });
  }
}

/** The receipt inside. Throws AttestationError `E_SEAL`. */
export function openReceipt({ receipt }: Pick<ReceiptFile, 'receipt'>): SignedAnswerReceipt {
  try {
    return decodeAnswerReceipt(receipt);
  } catch (error) {
    throw error instanceof AttestationError ? error : new AttestationError('E_SEAL', `the receipt cannot be read: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}
