// How a verdict reaches the reader: one line a check for people, everything for machines, and the error that ends the command
// when the verdict is not a pass.
import { AttestationError, CocoonError } from '../core/errors.ts';
import { printable } from './output.ts';
import type { CombinedVerdict, JudgedPart } from '../tee/evidence-file-judge.ts';
import type { Check, CheckResult, Overall } from '../tee/verdict.ts';
import type { JsonValue, Output } from './output.ts';

/** A part of a verdict as it is shown: of evidence, or of a receipt that rests on it. */
export interface ShownPart extends Omit<JudgedPart, 'kind'> {
  readonly kind: JudgedPart['kind'] | 'receipt';
}

/** Several parts with one overall word. */
export interface ShownVerdict extends Omit<CombinedVerdict, 'parts'> {
  readonly parts: readonly ShownPart[];
}

const WORD: Readonly<Record<CheckResult, string>> = { pass: 'PASS', fail: 'FAIL', skip: 'SKIP', info: 'INFO' };
const TITLE: Readonly<Record<ShownPart['kind'], string>> = {
  receipt: 'receipt', certificate: 'certificate', tdx: 'Intel TDX guest', sgx: 'Intel SGX enclave', dcap: 'Intel quote', 'sev-snp': 'AMD SEV-SNP guest',
  simulated: 'simulated: no hardware is involved', none: 'evidence', nvidia: 'NVIDIA devices', 'event-log': 'event log', binding: 'binding',
};

const isoOrNull = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());

/** The verdict for the JSON document. */
export function verdictData({ overall, parts, expiresAtMs, imageHash }: ShownVerdict): { readonly [key: string]: JsonValue } {
  return {
    overall, simulated: parts.some(({ kind }) => kind === 'simulated'), imageHash, expiresAt: isoOrNull(expiresAtMs),
    parts: parts.map(({ kind, verdict, facts }) => ({ kind, overall: verdict.overall, facts, checks: verdict.checks.map((check) => ({ ...check })) })),
  };
}

/** Hexadecimal of more than 24 digits, by its ends: enough to compare at a glance. `--json` has all of it. */
const glance = (text: string): string => text.replace(/\b[0-9a-f]{25,}\b/g, (digits) => `${digits.slice(0, 12)}…${digits.slice(-6)}`);

function checkLine({ name, result, seen, wanted, meaning, required }: Check, width: number): string {
  const waived = result === 'skip' && !required;
  const head = `  ${waived ? 'INFO' : WORD[result]}  ${name.padEnd(width)}  `;
  if (result === 'info') return `${head}${glance(seen)}`;
  if (waived) return `${head}${glance(seen)}  (not judged: ${glance(wanted)})`;
  // What did not pass is shown whole: it is to be acted on.
  return result === 'pass' ? `${head}${glance(seen)}  (wanted ${glance(wanted)})` : `${head}got ${seen}, wanted ${wanted}: ${meaning}`;
}

/** Prints every check, and the overall word as the last line. `explain` adds what each check is good for. */
export async function printVerdict(out: Output, verdict: ShownVerdict, explain: boolean): Promise<void> {
  const width = Math.max(...verdict.checks.map(({ name }) => name.length), 0);
  for (const { kind, verdict: { checks } } of verdict.parts) {
    await out.line(TITLE[kind]);
    for (const check of checks) {
      await out.line(printable(checkLine(check, width)));
      // A line of a check that did not pass says it already.
      if (explain && check.meaning !== '' && !(check.required && check.result !== 'pass')) await out.line(printable(`        ${check.result === 'info' ? '' : 'otherwise: '}${check.meaning}`));
    }
  }
  await out.line(summary(verdict));
}

const OVERALL: Readonly<Record<Overall, string>> = { pass: 'PASS', fail: 'FAIL', incomplete: 'INCOMPLETE' };

function summary({ overall, checks, parts, expiresAtMs }: ShownVerdict): string {
  const required = checks.filter((check) => check.required);
  const names = (result: CheckResult): string => required.filter((check) => check.result === result).map(({ name }) => name).join(', ');
  const simulated = parts.some(({ kind }) => kind === 'simulated') ? ' (simulated)' : '';
  const word = `${OVERALL[overall]}${simulated}`;
  if (overall === 'pass') return `${word}: all ${required.length} required checks passed${expiresAtMs === null ? '' : `, good until ${new Date(expiresAtMs).toISOString()}`}`;
  return overall === 'fail' ? `${word}: failed ${names('fail')}` : `${word}: not checked ${names('skip') || 'anything'}`;
}

/** What to do about a check that was not made. */
const HINTS: Readonly<Record<string, string>> = {
  measurement: 'name the image in a policy (`cocoon attest policy pin EVIDENCE --policy FILE`), use --policy chain, or add --any-measurement',
  image: 'name the image in a policy (`cocoon attest policy pin EVIDENCE --policy FILE`), use --policy chain, or add --any-measurement',
  'minimum-tcb': 'name the least TCB of the processor in a policy (`cocoon attest policy init FILE`)',
};

/** What to do about a check that failed, where that is not to look for other evidence. */
const REFUSED_HINTS: Readonly<Record<string, string>> = {
  'guest-smt': 'nearly every host has SMT on: turn it off in the host\'s firmware or, if you accept it, set allow_smt = true under [sev-snp] in the policy',
};

/** The error for a verdict that is not a pass; null for a pass. */
export function verdictError(verdict: ShownVerdict): CocoonError | null {
  if (verdict.overall === 'pass') return null;
  const result = verdict.overall === 'fail' ? 'fail' : 'skip';
  const open = verdict.checks.filter((check) => check.required && check.result === result);
  const [first] = open;
  if (first === undefined) return new CocoonError('E_INCOMPLETE', 'the verdict is incomplete: no required check was made');
  const { name, seen, wanted, meaning } = first;
  const more = open.length === 1 ? '' : ` (and ${open.length - 1} more)`;
  const hint = (result === 'fail' ? REFUSED_HINTS : HINTS)[name];
  if (result === 'fail') {
    return new AttestationError('E_EVIDENCE_REFUSED', `the evidence is refused by the check "${name}": got ${seen}, wanted ${wanted}; ${meaning}${more}`, hint === undefined ? {} : { hint });
  }
  return new CocoonError('E_INCOMPLETE', `the verdict is incomplete, the check "${name}" was not made: wanted ${wanted}${more}`, hint === undefined ? {} : { hint });
}
