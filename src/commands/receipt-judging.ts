// A receipt and the evidence that its signer rests on, judged together and without any network.
import { judgeReceipt } from '../client/receipt-judge.ts';
import { certificateFile } from '../tee/evidence-file.ts';
import { overallOf } from '../tee/verdict.ts';
import { judgeGiven, judgeRules } from './attest-input.ts';
import type { Bodies } from '../client/receipt-judge.ts';
import type { ReceiptFile } from '../client/receipt-file.ts';
import type { Verdict } from '../tee/verdict.ts';
import type { ShownVerdict } from './attest-view.ts';
import type { Invocation } from './command.ts';

export interface WholeReceipt {
  readonly verdict: ShownVerdict;
  /** Of the receipt alone. */
  readonly own: Verdict;
  /** Milliseconds since the Unix epoch for which the evidence was judged, and by which policy. */
  readonly atMs: number;
  readonly policyName: string;
}

/** The options are those of `attest verify`; the time is that of the answer unless they say another. Throws AttestationError for what cannot be read. */
export async function judgeWholeReceipt(invocation: Invocation, file: ReceiptFile, source: string, bodies: Bodies): Promise<WholeReceipt> {
  const receipt = judgeReceipt(file, bodies);
  // Certificates of nodes live for a day, so the evidence counts at the time of the answer.
  const at = invocation.options['at'] ?? receipt.signed.receipt.core.time * 1_000;
  const offline: Invocation = { ...invocation, options: { ...invocation.options, offline: true, at } };
  const given = { file: certificateFile(file.certificate), source, live: false };
  const rules = await judgeRules(offline, given);
  const evidence = await judgeGiven(offline, given, rules);
  const checks = [...receipt.verdict.checks, ...evidence.checks];
  return {
    verdict: { ...evidence, overall: overallOf(checks), checks, parts: [{ kind: 'receipt', verdict: receipt.verdict, facts: {} }, ...evidence.parts] },
    own: receipt.verdict, atMs: rules.nowMs, policyName: rules.policyName,
  };
}
