// What a refusal must look like: the typed error, its code, and a message that names the check.
import { expect } from '@jest/globals';
import { AttestationError } from '../../src/core/errors.ts';
import type { ErrorCode } from '../../src/core/codes.ts';

/** Runs `action`, which must throw AttestationError with this code and a message that matches. */
export function expectRefusal(action: () => unknown, code: ErrorCode, message: RegExp): void {
  let thrown: unknown;
  try {
    action();
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(AttestationError);
  if (!(thrown instanceof AttestationError)) return;
  expect([thrown.code, thrown.message]).toEqual([code, expect.stringMatching(message)]);
  expect(thrown.exitCode).toBe(5);
  expect(thrown.retryable).toBe(false);
}

/** True when `action` succeeds; false when it throws AttestationError. Anything else is thrown on. */
export function acceptedOrRefused(action: () => unknown): boolean {
  try {
    action();
    return true;
  } catch (error) {
    if (error instanceof AttestationError) return false;
    throw error;
  }
}
