// `--fix`: what can be done without risk and be taken back: a file of ours that is not there yet (with its folder), a module. Nothing
// is overwritten; everything else stays advice.
import { dirname } from 'node:path';
import { ConfigError } from '../../core/errors.ts';
import { ensureFolder, writeFileAtomic } from '../../core/files.ts';
import type { Finding, SafeFix } from './check.ts';
import type { Machine } from './machine.ts';

export const safeFixesOf = (findings: readonly Finding[]): SafeFix[] => findings.flatMap(({ status, safeFix }) => (status === 'FAIL' && safeFix !== undefined ? [safeFix] : []));

/** One line that says what a fix does and how it is taken back. */
export function describeFix(fix: SafeFix): string {
  if (fix.kind === 'module') return `modprobe ${fix.name} (back: modprobe -r ${fix.name})`;
  return `write ${fix.path} (back: rm ${fix.path})\n${fix.content.trimEnd().split('\n').map((line) => `    ${line}`).join('\n')}`;
}

/** Does it. Throws ConfigError, `E_STATE` where a file is there already. */
export async function applyFix(fix: SafeFix, machine: Machine): Promise<void> {
  if (fix.kind === 'file') {
    await ensureFolder(dirname(fix.path), 0o755);
    return writeFileAtomic(fix.path, fix.content, { mode: fix.mode, exclusive: true });
  }
  const output = await machine.run('modprobe', [fix.name]);
  if (output === null || output.exitCode !== 0) throw new ConfigError('E_DOCTOR', `modprobe ${fix.name} failed: ${output === null ? 'there is no modprobe' : output.stderr.trim().slice(0, 200)}`, { hint: 'run it as root' });
}
