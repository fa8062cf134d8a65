// How tests read a verdict: the overall result, the checks by name, and the names of those that failed.
import { expect } from '@jest/globals';
import type { Check, Verdict } from '../../src/tee/verdict.ts';

/** Names of the required checks with this result, in order. */
export const named = ({ checks }: Verdict, result: 'pass' | 'fail' | 'skip'): string[] =>
  checks.filter((check) => check.required && check.result === result).map(({ name }) => name);

/** The check of this name; the first one if it was made for several things. */
export function checkOf({ checks }: Verdict, name: string): Check {
  const found = checks.find((check) => check.name === name);
  if (found === undefined) throw new Error(`no check "${name}" among ${checks.map((check) => check.name).join(', ')}`);
  return found;
}

/** The verdict fails, and by these checks only. */
export function expectFailure(verdict: Verdict, ...names: readonly string[]): void {
  expect([verdict.overall, named(verdict, 'fail')]).toEqual(['fail', names]);
}

export function expectPass(verdict: Verdict): void {
  expect(verdict.checks.filter((check) => check.required && check.result !== 'pass')).toEqual([]);
  expect(verdict.overall).toBe('pass');
}
