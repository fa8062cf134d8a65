// `cocoon receipt verify FILE`: judges a receipt and the evidence that its signer rests on, without any network. Exit 0 only when
// every required check passed, 5 when one failed, 12 when one was not made.
import { judgeReceipt } from '../client/receipt-judge.ts';
import { AttestationError } from '../core/errors.ts';
import { certificateFile } from '../tee/evidence-file.ts';
import { overallOf } from '../tee/verdict.ts';
import { declareJudgingOffline, judgeGiven, judgeRules } from './attest-input.ts';
import { printVerdict, verdictData, verdictError } from './attest-view.ts';
import { readBody, readReceipt } from './receipt-input.ts';
import { receiptData } from './receipt-show.ts';
import type { Command } from 'commander';
import type { CocoonError } from '../core/errors.ts';
import type { Verdict } from '../tee/verdict.ts';
import type { ShownVerdict } from './attest-view.ts';
import type { Invocation } from './command.ts';

interface VerifyOptions {
  readonly request?: string;
  readonly answer?: string;
  readonly at?: number;
}

export function declare(command: Command): void {
  command
    .argument('<file>', 'receipt that `cocoon infer --receipt` wrote')
    .option('--request <file>', 'body of the request, to be the one that the receipt is for')
    .option('--answer <file>', 'body of the answer, to be the one that the receipt is for');
  declareJudgingOffline(command);
}

export async function run(invocation: Invocation): Promise<void> {
  const { args: [name = ''], out } = invocation;
  const options: VerifyOptions = invocation.options;
  const file = await readReceipt(invocation, name);
  const receipt = judgeReceipt(file, { request: await readBody(invocation, options.request), answer: await readBody(invocation, options.answer) });
  // The evidence counts at the time of the answer: certificates of nodes live for a day.
  const atMs = options.at ?? receipt.signed.receipt.core.time * 1000;
  const offline: Invocation = { ...invocation, options: { ...invocation.options, offline: true, at: atMs } };
  const given = { file: certificateFile(file.certificate), source: name, live: false };
  const rules = await judgeRules(offline, given);
  const evidence = await judgeGiven(offline, given, rules);
  const checks = [...receipt.verdict.checks, ...evidence.checks];
  const verdict: ShownVerdict = { ...evidence, overall: overallOf(checks), checks, parts: [{ kind: 'receipt', verdict: receipt.verdict, facts: {} }, ...evidence.parts] };
  out.result({ source: name, at: new Date(rules.nowMs).toISOString(), policy: rules.policyName, receipt: receiptData(file), ...verdictData(verdict) });
  await printVerdict(out, verdict, false);
  const error = receiptError(receipt.verdict) ?? verdictError(verdict);
  if (error !== null) throw error;
}

/** The error for a receipt that fails a check of its own. */
function receiptError({ checks }: Verdict): CocoonError | null {
  const failed = checks.find(({ required, result }) => required && result === 'fail');
  return failed === undefined ? null : new AttestationError('E_SEAL', `the receipt is refused by the check "${failed.name}": got ${failed.seen}, wanted ${failed.wanted}; ${failed.meaning}`);
}
