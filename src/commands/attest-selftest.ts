// `cocoon attest selftest EVIDENCE`: changes every field of genuine evidence and shows that each change is refused. Exit 5 when
// one is accepted, or when the evidence does not pass unchanged.
import { setImmediate } from 'node:timers/promises';
import { abortError } from '../core/deadline.ts';
import { AttestationError } from '../core/errors.ts';
import { judgeEvidence } from '../tee/evidence-file-judge.ts';
import { selftest } from '../tee/selftest.ts';
import { completeEvidence, declareJudging, judgeRules, readEvidence } from './attest-input.ts';
import { printVerdict, verdictData, verdictError } from './attest-view.ts';
import { renderTable } from './table-view.ts';
import type { AttestOptions } from './attest-input.ts';
import type { Mutation } from '../tee/selftest.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

/** Judging one takes milliseconds: signals are heard at least that often. */
const BATCH = 20;
const MAX_SHOWN = 20;

export function declare(command: Command): void {
  command.argument('<evidence>', 'file with a quote, report, attested certificate or JSON bundle; "-"; or HOST:PORT of a peer');
  declareJudging(command);
  command.option('--every-byte', 'change every single byte instead of some of each field; takes minutes');
}

interface Row {
  changes: number;
  accepted: number;
}

export async function run(invocation: Invocation): Promise<void> {
  const { args: [text = ''], context, out } = invocation;
  const options: AttestOptions & { readonly everyByte?: boolean } = invocation.options;
  const given = await readEvidence(invocation, text, true);
  // Without a policy the image is left open: what is tested is the evidence.
  const rules = await judgeRules({ ...invocation, options: { ...options, ...(options.policy === undefined && { anyMeasurement: true }) } }, given);
  const input = { ...rules, file: given.file, fetched: await completeEvidence(invocation, given.file) };
  const unchanged = judgeEvidence(input);
  if (unchanged.overall === 'fail') {
    out.result({ source: given.source, ...verdictData(unchanged) });
    await printVerdict(out, unchanged, false);
    throw verdictError(unchanged) ?? new AttestationError('E_EVIDENCE_REFUSED', 'the evidence does not pass unchanged');
  }
  const rows = new Map<string, Row>();
  const accepted: Mutation[] = [];
  let total = 0;
  for (const mutation of selftest(input, options.everyByte === true ? 'bytes' : 'fields')) {
    const name = mutation.field === '' ? mutation.target : `${mutation.target}: ${mutation.field}`;
    const row = rows.get(name) ?? { changes: 0, accepted: 0 };
    rows.set(name, { changes: row.changes + 1, accepted: row.accepted + (mutation.refused ? 0 : 1) });
    if (!mutation.refused) accepted.push(mutation);
    total += 1;
    if (total % BATCH === 0) await setImmediate();
    if (context.signal.aborted) throw abortError(context.signal);
  }
  const shown = accepted.slice(0, MAX_SHOWN).map(({ target, field, offset, bit }) => ({ target, field, offset, bit }));
  out.result({
    source: given.source, unchanged: unchanged.overall, changes: total, refused: total - accepted.length, accepted: accepted.length, acceptedChanges: shown,
    fields: [...rows].map(([field, row]) => ({ field, changes: row.changes, accepted: row.accepted })),
  });
  await out.text(await renderTable(['FIELD', 'CHANGES', 'REFUSED'], [...rows].map(([field, row]) => [field, String(row.changes), String(row.changes - row.accepted)])));
  if (accepted.length === 0 && total > 0) {
    await out.line(`PASS: all ${total} changes were refused`);
    return;
  }
  const [first] = accepted;
  await out.line(`FAIL: ${accepted.length} of ${total} changes were accepted`);
  throw new AttestationError('E_EVIDENCE_REFUSED', first === undefined ? 'the evidence has no byte that could be changed' : `a change of ${first.target}${first.field === '' ? '' : ` (${first.field})`}, byte ${first.offset}, bit ${first.bit}, was accepted`, {
    hint: 'this verifier must not be trusted with this kind of evidence: report it',
  });
}
