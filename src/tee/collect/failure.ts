// How collecting fails: no usable TEE here (E_NO_TEE), or a TEE that did not give usable evidence (E_COLLECT).
import { ConfigError } from '../../core/errors.ts';
import type { ErrorOptions } from '../../core/errors.ts';
import { systemErrorCode } from '../../core/files.ts';

/** `problem` completes "cannot collect evidence: …". */
export const noTee = (problem: string, hint: string): ConfigError => new ConfigError('E_NO_TEE', `cannot collect evidence: ${problem}`, { hint });

/** `problem` completes "cannot collect evidence: …". */
export const collectFailed = (problem: string, options: ErrorOptions = {}): ConfigError =>
  new ConfigError('E_COLLECT', `cannot collect evidence: ${problem}`, options);

const HINTS = new Map([
  ['EACCES', 'run as root, or give this user the right to use /sys/kernel/config/tsm/report'],
  ['EPERM', 'run as root, or give this user the right to use /sys/kernel/config/tsm/report'],
  ['ENXIO', 'load the guest driver: modprobe tdx_guest, or modprobe sev-guest'],
  ['ETIMEDOUT', 'ask the operator of the host whether its quote generation service runs'],
  ['EIO', 'ask the operator of the host whether its quote generation service runs'],
  ['EFBIG', 'the platform gives more than this version of cocoon takes; use a newer one'],
]);

/** A failed system call while doing `what`. */
export function systemFailure(what: string, error: unknown): ConfigError {
  const code = systemErrorCode(error);
  const hint = HINTS.get(code ?? '');
  return collectFailed(`${what} failed: ${code ?? String(error)}`, { cause: error, ...(hint === undefined ? {} : { hint }) });
}
