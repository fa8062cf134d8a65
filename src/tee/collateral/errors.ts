// The two ways in which collateral cannot be had: a service that is unreachable or sends garbage (E_COLLATERAL), and
// documents that are not at hand while fetching is forbidden (E_COLLATERAL_MISSING).
import type { CodeWithExit } from '../../core/codes.ts';
import { CocoonError, NetworkError } from '../../core/errors.ts';
import type { ErrorOptions } from '../../core/errors.ts';

const SHOWN_CHARS = 120;

/** `problem` completes "cannot get …": names the document, what came and what was expected. */
export function unusable(problem: string, options: ErrorOptions = {}): NetworkError {
  return new NetworkError('E_COLLATERAL', `cannot get ${problem}`, options);
}

/** No answer at all: asking again may help. */
export class UnreachableError extends NetworkError {
  /** Code of the system's error, as `ECONNREFUSED`. */
  readonly reason: string;

  constructor(host: string, reason: string, options: ErrorOptions) {
    super('E_COLLATERAL', `cannot get an answer from ${host}: ${reason}`, options);
    this.reason = reason;
  }
}

/** Text of a foreign origin, safe to show: printable ASCII, bounded, in quotes. */
export function shown(text: string): string {
  const clean = text.slice(0, SHOWN_CHARS).replace(/[^\x20-\x7e]/g, '?');
  return JSON.stringify(text.length > SHOWN_CHARS ? `${clean}...` : clean);
}

export interface MissingDocument {
  /** Name of the file that would hold it. */
  readonly id: string;
  /** What it is, for a person. */
  readonly what: string;
  readonly reason: 'absent' | 'expired' | 'damaged';
}

/** Verification cannot be completed without `missing`, and fetching is forbidden. */
export class MissingCollateralError extends CocoonError<CodeWithExit<12>> {
  readonly missing: readonly MissingDocument[];

  constructor(missing: readonly MissingDocument[], fetchCommand: string) {
    const list = missing.map(({ id, what, reason }) => `${what} (${id}, ${reason})`).join('; ');
    super('E_COLLATERAL_MISSING', `cannot verify offline: ${missing.length} of the documents are not at hand: ${list}`, {
      hint: `on a machine with network access run \`${fetchCommand}\``,
    });
    this.missing = missing;
  }
}
