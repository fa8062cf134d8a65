// The verdict on a piece of evidence, shared by every kind: a list of named checks, each with the value seen, the value
// wanted and what it means (attestation checks list; command `attest verify`). A skipped check never counts as passed,
// and a verdict without a single required check is not a pass.
import { AttestationError } from '../core/errors.ts';
import { refused } from './refusal.ts';

/**
 * `pass` and `fail`: the check was made. `skip`: it could not or must not be made (the value is absent, the policy does
 * not say what is wanted, an earlier check failed). `info`: a fact for the reader that decides nothing.
 */
export type CheckResult = 'pass' | 'fail' | 'skip' | 'info';

/** `pass`: every required check passed. `fail`: a required one failed. `incomplete`: none failed, but a required one was skipped. */
export type Overall = 'pass' | 'fail' | 'incomplete';

export interface Check {
  /** Stable, lower case with hyphens, without the kind of evidence: `quote-signature`, `td-debug`. */
  readonly name: string;
  readonly result: CheckResult;
  /** False for checks that cannot change the overall verdict; always false for `info`. */
  readonly required: boolean;
  /** The value seen, in words or hexadecimal, for a person. Never empty. */
  readonly seen: string;
  /** The value wanted. Empty for `info` only. */
  readonly wanted: string;
  /** One sentence without full stop: what it means for the reader when the value is another one (for `info`: what the fact says). */
  readonly meaning: string;
}

export interface Verdict {
  readonly overall: Overall;
  /** In the order in which they were made. */
  readonly checks: readonly Check[];
  /**
   * Milliseconds since the Unix epoch from which on the verdict must not be used any more: the earliest end of a
   * certificate, CRL or other collateral that it rests on. Null when it did not get far enough to know.
   */
  readonly expiresAtMs: number | null;
}

/** How a refusal begins (refusal.ts): in a verdict the check's name stands beside it. */
const REFUSAL_PREFIX = /^peer refused by the check "[^"]*": got /;

/** What one check is about, without its result. */
export interface CheckText {
  readonly name: string;
  readonly seen: string;
  readonly wanted: string;
  readonly meaning: string;
}

/** Overall result of a list of checks: fail before incomplete before pass; nothing required means incomplete. */
export function overallOf(checks: readonly Check[]): Overall {
  const required = checks.filter((check) => check.required);
  if (required.some((check) => check.result === 'fail')) return 'fail';
  if (required.length === 0 || required.some((check) => check.result !== 'pass')) return 'incomplete';
  return 'pass';
}

/**
 * Collects the checks of one verification. Verifiers record what they check and go on where the next check does not
 * rest on the failed one; where it does they stop, and `skipMissing` names everything that was not reached.
 */
export class CheckList {
  readonly #checks: Check[] = [];

  /** Records a required check as passed or failed and returns `ok`. */
  check(ok: boolean, text: CheckText): boolean {
    this.#record(text, ok ? 'pass' : 'fail', true);
    return ok;
  }

  /** Records a check that the policy asks for but that cannot be made. The verdict becomes incomplete at best. */
  skip(text: CheckText): void {
    this.#record(text, 'skip', true);
  }

  /** Records a check that the policy waives by name, so that it is visible and decides nothing. */
  waive(text: CheckText): void {
    this.#record(text, 'skip', false);
  }

  /** Records a fact. */
  info(name: string, seen: string, meaning: string): void {
    this.#record({ name, seen, wanted: '', meaning }, 'info', false);
  }

  /** Field by field: the texts come in many shapes, which are slow to copy whole. */
  #record({ name, seen, wanted, meaning }: CheckText, result: CheckResult, required: boolean): void {
    this.#checks.push({ name, seen, wanted, meaning, result, required });
  }

  /**
   * Runs a step that refuses by throwing AttestationError. Records a pass with `seen` of the result, or a failure with
   * the error's message; returns the result, or undefined after a failure. Other errors are bugs and pass through.
   */
  attempt<T>(text: Omit<CheckText, 'seen'> & { readonly seen: (result: T) => string }, step: () => T): T | undefined {
    const { name, wanted, meaning } = text;
    let result: T;
    try {
      result = step();
    } catch (error) {
      if (!(error instanceof AttestationError)) throw error;
      this.check(false, { name, seen: error.message.replace(REFUSAL_PREFIX, ''), wanted, meaning });
      return undefined;
    }
    this.check(true, { name, seen: text.seen(result), wanted, meaning });
    return result;
  }

  /** Adds a required skip for each of `names` that has no entry yet. Call it at the end with every name that a full verification has. */
  skipMissing(names: readonly string[]): void {
    const seen = new Set(this.#checks.map((check) => check.name));
    for (const name of names) {
      if (!seen.has(name)) this.skip({ name, seen: 'not reached', wanted: 'to be checked', meaning: 'a check before it failed' });
    }
  }

  /** True once a required check has failed. */
  get failed(): boolean {
    return this.#checks.some((check) => check.required && check.result === 'fail');
  }

  /** The verdict on everything recorded so far. `expiresAtMs` as in Verdict. */
  verdict(expiresAtMs: number | null): Verdict {
    const checks = [...this.#checks];
    return { overall: overallOf(checks), checks, expiresAtMs };
  }
}

/**
 * The refusal for a verdict that is not a pass: the first required check that failed, else the first that was skipped.
 * Null for a pass. For connections, where anything but a pass is refused.
 */
export function refusalOf({ overall, checks }: Verdict): AttestationError | null {
  if (overall === 'pass') return null;
  const required = checks.filter((check) => check.required);
  const first = required.find((check) => check.result === 'fail') ?? required.find((check) => check.result === 'skip');
  if (first === undefined) {
    return refused({ check: 'evidence', seen: 'no check at all', wanted: 'at least one', meaning: 'nothing was verified' });
  }
  const { name, seen, wanted, meaning } = first;
  return refused({ check: name, seen: first.result === 'skip' ? `a check that was skipped (${seen})` : seen, wanted, meaning });
}

/** The earliest of several times in milliseconds. Throws RangeError when there is none or one is not a finite number. */
export function earliest(...timesMs: readonly number[]): number {
  const least = Math.min(...timesMs);
  if (!Number.isFinite(least)) throw new RangeError(`expected finite times, got ${timesMs.join(', ') || 'none'}`);
  return least;
}
