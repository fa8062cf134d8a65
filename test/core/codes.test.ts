// The table of error codes is an interface: scripts depend on names and exit codes.
import { describe, expect, it } from '@jest/globals';
import { CODES, isErrorCode } from '../../src/core/codes.ts';
import * as errors from '../../src/core/errors.ts';

describe('CODES', () => {
  it('every code says what happened and what to do, in whole sentences', () => {
    for (const [code, { cause, action }] of Object.entries(CODES)) {
      expect([code, cause]).toEqual([code, expect.stringMatching(/^(?:[A-Z`]|cocoon ).{10,}[.]$/s)]);
      expect([code, action]).toEqual([code, expect.stringMatching(/^[A-Z`].{10,}[.)]$/s)]);
    }
  });

  it('only the documented exit codes are used', () => {
    const documented = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 130, 143];
    for (const [code, { exit }] of Object.entries(CODES)) expect([code, documented.includes(exit)]).toEqual([code, true]);
  });

  it('a failed attestation, a wrong command line and a bug are never worth a retry', () => {
    for (const { exit, retryable } of Object.values(CODES)) if ([1, 2, 5].includes(exit)) expect(retryable).toBe(false);
  });

  // Codes may be added; those that are here keep their meaning.
  it.each(Object.entries({
    E_INTERNAL: 1, E_USAGE: 2, E_NO_TERMINAL: 2, E_ADDRESS: 2, E_WRONG_NETWORK: 2, E_SECRET: 2, E_REQUEST: 2, E_CONFIG: 3, E_STATE: 3, E_CONTRACT_STATE: 3, E_TOO_EARLY: 3,
    E_PASSPHRASE: 4, E_KEYSTORE: 4, E_WALLET_BUSY: 4, E_NO_CERTIFICATE: 5, E_NO_EVIDENCE: 5, E_EVIDENCE_MALFORMED: 5, E_EVIDENCE_REFUSED: 5,
    E_UNREACHABLE: 6, E_TIMEOUT: 6, E_CLOSED: 6, E_BACKLOG: 6, E_PROTOCOL: 6, E_TOO_LARGE: 6, E_BUSY: 6, E_REMOTE: 6,
    E_CHAIN_UNREACHABLE: 6, E_CHAIN_DISAGREES: 6, E_CHAIN_DATA: 6, E_SIGNED_PAYMENT: 6, E_CHAIN_REFUSED: 6, E_NOT_FOUND: 7, E_FUNDS: 8,
    E_UNCONFIRMED: 9, E_TX_EXPIRED: 9, E_TX_FAILED: 9, E_ENGINE: 10, E_ENGINE_BUSY: 10, E_CONTEXT_LENGTH: 10, E_NOT_RUNNING: 11, E_NO_NODE: 14,
    E_INTERRUPTED: 130, E_TERMINATED: 143,
  }))('%s ends a command with %i', (code, exit) => {
    expect(isErrorCode(code) ? CODES[code].exit : 'unknown').toBe(exit);
  });

  it('what is no own code is none', () => {
    for (const name of ['', 'E_', 'toString', '__proto__', 'e_usage']) expect(isErrorCode(name)).toBe(false);
  });

  it('asCocoonError: an error of ours passes, anything else is a bug with its cause', () => {
    const own = new errors.NetworkError('E_CLOSED', 'gone');
    expect(errors.asCocoonError(own)).toBe(own);
    const cause = new TypeError('x is undefined');
    expect(errors.asCocoonError(cause)).toMatchObject({ code: 'E_INTERNAL', exitCode: 1, cause });
    expect(errors.asCocoonError('text')).toMatchObject({ code: 'E_INTERNAL', message: 'text' });
  });
});
