// The two ways in which evidence is turned down: bytes that are not what the specification says, and a check that failed.
import { AttestationError } from '../core/errors.ts';

/** Evidence or certificate bytes that do not follow their format. `problem` names the field, the value seen and the value expected. */
export function malformed(problem: string, cause?: unknown): AttestationError {
  return new AttestationError('E_EVIDENCE_MALFORMED', `malformed evidence: ${problem}`, cause === undefined ? {} : { cause });
}

export interface FailedCheck {
  /** Stable name of the check, the same as in PassedCheck. */
  readonly check: string;
  readonly seen: string;
  readonly wanted: string;
  /** One sentence: what the difference means for the reader. */
  readonly meaning: string;
  readonly hint?: string;
}

/** Evidence that can be read but fails a check. */
export function refused({ check, seen, wanted, meaning, hint }: FailedCheck): AttestationError {
  const message = `peer refused by the check "${check}": got ${seen}, expected ${wanted}; ${meaning}`;
  return new AttestationError('E_EVIDENCE_REFUSED', message, hint === undefined ? {} : { hint });
}
