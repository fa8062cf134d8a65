// `cocoon receipt verify FILE`: judges a receipt and the evidence that its signer rests on, without any network. Exit 0 only when
// every required check passed, 5 when one failed, 12 when one was not made.
import { AttestationError } from '../core/errors.ts';
import { declareJudgingOffline } from './attest-input.ts';
import { printVerdict, verdictData, verdictError } from './attest-view.ts';
import { readBody, readReceipt } from './receipt-input.ts';
import { judgeWholeReceipt } from './receipt-judging.ts';
import { receiptData } from './receipt-show.ts';
import type { Command } from 'commander';
import type { CocoonError } from '../core/errors.ts';
import type { Verdict } from '../tee/verdict.ts';
import type { Invocation } from './command.ts';

interface VerifyOptions {
  readonly request?: string;
  readonly answer?: string;
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
  const bodies = { request: await readBody(invocation, options.request), answer: await readBody(invocation, options.answer) };
  const { verdict, own, atMs, policyName } = await judgeWholeReceipt(invocation, file, name, bodies);
  out.result({ source: name, at: new Date(atMs).toISOString(), policy: policyName, receipt: receiptData(file), ...verdictData(verdict) });
  await printVerdict(out, verdict, false);
  const error = receiptError(own) ?? verdictError(verdict);
  if (error !== null) throw error;
}

/** The error for a receipt that fails a check of its own. */
function receiptError({ checks }: Verdict): CocoonError | null {
  const failed = checks.find(({ required, result }) => required && result === 'fail');
  return failed === undefined ? null : new AttestationError('E_SEAL', `the receipt is refused by the check "${failed.name}": got ${failed.seen}, wanted ${failed.wanted}; ${failed.meaning}`);
}
