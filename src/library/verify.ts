// `verify` of the package: judges evidence, or a receipt with the evidence that it rests on, as `cocoon attest verify` and
// `cocoon receipt verify` do.
import { MAX_RECEIPT_FILE_BYTES, parseReceiptFile } from '../client/receipt-file.ts';
import { UsageError } from '../core/errors.ts';
import { judgeGiven, judgeRules } from '../commands/attest-input.ts';
import { judgeWholeReceipt } from '../commands/receipt-judging.ts';
import { parseEvidenceFile } from '../tee/evidence-file.ts';
import { invocationOf } from './context.ts';
import type { ShownVerdict } from '../commands/attest-view.ts';
import type { Check, Overall } from '../tee/verdict.ts';
import type { PlaceOptions } from './context.ts';

export interface VerifyOptions extends PlaceOptions {
  /** Policy file, or `chain` for the images that the network's root contract allows. Default: the strict defaults. */
  readonly policy?: string;
  /** Accept any image: only show that the hardware is genuine. */
  readonly anyMeasurement?: boolean;
  /** Folders with collateral; before the cache and the makers' services. */
  readonly collateral?: readonly string[];
  /** Use no network. Default false; receipts never use any but for the policy `chain`. */
  readonly offline?: boolean;
  /** Judge at this time instead of now, or instead of the receipt's. */
  readonly at?: Date;
  /** Evidence only: bytes that it must have been made for. */
  readonly nonce?: Uint8Array;
  /** Receipts only: bodies of request and answer, to be those that the receipt is for. */
  readonly request?: Uint8Array;
  readonly answer?: Uint8Array;
}

export interface Verification {
  /** `pass` only when every required check passed; `incomplete` when none failed but one was not made. */
  readonly overall: Overall;
  /** True: no hardware is involved. */
  readonly simulated: boolean;
  /** Hexadecimal; null where the evidence names no image. */
  readonly imageHash: string | null;
  /** Until when the verdict may be relied on; null when that is unknown. */
  readonly expiresAt: Date | null;
  readonly parts: readonly { readonly kind: string; readonly overall: Overall; readonly checks: readonly Check[] }[];
}

/** `evidence`: what `cocoon attest verify` takes as a file, or a receipt. Throws for what is neither; a refusal is a verdict, not an error. */
export async function verify(evidence: Uint8Array, options: VerifyOptions = {}): Promise<Verification> {
  const { policy, anyMeasurement, collateral, offline, at, nonce, request, answer } = options;
  const given = { policy, anyMeasurement, collateral, offline, at: at?.getTime(), nonce };
  const invocation = await invocationOf(options, Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)));
  if (isReceipt(evidence)) return verificationOf((await judgeWholeReceipt(invocation, parseReceiptFile(evidence, 'the receipt'), 'receipt', { request, answer })).verdict);
  if (request !== undefined || answer !== undefined) throw new UsageError('E_USAGE', 'request and answer are compared with a receipt, and this is evidence');
  const file = { file: parseEvidenceFile(evidence), source: 'evidence', live: false };
  return verificationOf(await judgeGiven(invocation, file, await judgeRules(invocation, file)));
}

/** By the first of its members. */
const isReceipt = (bytes: Uint8Array): boolean => bytes.byteLength <= MAX_RECEIPT_FILE_BYTES && /^\s*\{\s*"kind":\s*"cocoon answer receipt"/.test(Buffer.from(bytes.subarray(0, 200)).toString('latin1'));

const verificationOf = ({ overall, parts, imageHash, expiresAtMs }: ShownVerdict): Verification => ({
  overall, simulated: parts.some(({ kind }) => kind === 'simulated'), imageHash, expiresAt: expiresAtMs === null || !Number.isFinite(expiresAtMs) ? null : new Date(expiresAtMs),
  parts: parts.map(({ kind, verdict }) => ({ kind, overall: verdict.overall, checks: verdict.checks })),
});
