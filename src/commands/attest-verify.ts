// `cocoon attest verify FILE|HOST:PORT|-`: judges evidence. Exit 0 only when every required check passed, 5 when one failed,
// 12 when one was not made.
import { declareJudging, judgeGiven, judgeRules, readEvidence } from './attest-input.ts';
import { printVerdict, verdictData, verdictError } from './attest-view.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

export function declare(command: Command): void {
  command.argument('<evidence>', 'file with a quote, report, attested certificate or JSON bundle; "-"; or HOST:PORT of a peer');
  declareJudging(command);
  command.option('--explain', 'say of each check what it is good for');
}

export async function run(invocation: Invocation): Promise<void> {
  const { args: [text = ''], options, out } = invocation;
  const given = await readEvidence(invocation, text, true);
  const rules = await judgeRules(invocation, given);
  const verdict = await judgeGiven(invocation, given, rules);
  out.result({ source: given.source, form: given.file.form, live: given.live, at: new Date(rules.nowMs).toISOString(), policy: rules.policyName, ...verdictData(verdict) });
  await printVerdict(out, verdict, options['explain'] === true);
  const error = verdictError(verdict);
  if (error !== null) throw error;
}
