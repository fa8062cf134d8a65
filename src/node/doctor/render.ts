// The diagnosis as text: one line a check under its group, and under each failure what was wanted, why, and what mends it.
import { GROUPS } from './check.ts';
import type { Finding } from './check.ts';
import type { Diagnosis, Verdict } from './diagnose.ts';

const VERDICTS: Readonly<Record<Verdict, string>> = { ready: 'ready', 'not ready': 'not ready', incomplete: 'incomplete: something could not be checked' };

export function renderDiagnosis({ findings, network, role, verdict, attestedVerdict }: Diagnosis): string {
  const width = Math.min(40, Math.max(0, ...findings.map(({ title }) => title.length)));
  const groups = GROUPS.flatMap((group) => {
    const own = findings.filter((finding) => finding.group === group);
    return own.length === 0 ? [] : [`${group}\n${own.map((finding) => renderFinding(finding, width)).join('')}`];
  });
  const count = (status: Finding['status']): number => findings.filter((finding) => finding.status === status).length;
  const other = attestedVerdict === verdict ? '' : `networks with hardware attestation: ${VERDICTS[attestedVerdict]}\n`;
  return `${groups.join('\n')}\n${count('PASS')} passed, ${count('FAIL')} failed, ${count('SKIP')} skipped\nnetwork ${network}, as ${role}: ${VERDICTS[verdict]}\n${other}`;
}

function renderFinding({ status, title, seen, wanted, cause, fix = [] }: Finding, width: number): string {
  const line = `  ${status}  ${title.padEnd(width)}  ${seen}\n`;
  if (status === 'PASS' || (status === 'INFO' && wanted === undefined)) return line;
  const notes = [...(wanted === undefined ? [] : [`wanted: ${wanted}`]), ...(cause === undefined ? [] : [`cause:  ${cause}`])];
  // What is told and not held against the machine keeps to its cause.
  return `${line}${[...notes, ...(status === 'INFO' ? [] : fix.map((text) => `fix:    ${text}`))].map((note) => `          ${note}\n`).join('')}`;
}
