// Parses Intel's identity of a quoting enclave, version 2 (PCS API v4): QE for SGX, TD_QE for TDX.
// Refuses other ids and versions, values of another size, and an empty list of levels.
import { malformed } from '../refusal.ts';
import type { QeIdentity } from './collateral.ts';
import { dateField, hexField, integerField, jsonObjectOf, textField } from './json-reader.ts';
import { isvLevels } from './parse-levels.ts';

const WHAT = 'the QE identity';
const MAX_CHARACTERS = 524_288;
const VERSION = 2;
const MAX_NUMBER = 0xffff_ffff;

/** Parses the raw text. Throws AttestationError, nothing else. */
export function parseQeIdentity(text: string): QeIdentity {
  const object = jsonObjectOf(text, WHAT, MAX_CHARACTERS);
  const id = textField(object, 'id', WHAT, 16);
  if (id !== 'QE' && id !== 'TD_QE') throw malformed(`id of ${WHAT} is "${id}", expected QE or TD_QE`);
  const version = integerField(object, 'version', WHAT, MAX_NUMBER);
  if (version !== VERSION) throw malformed(`version of ${WHAT} is ${version}, expected ${VERSION}`);
  const levels = isvLevels(object, WHAT);
  if (levels.length === 0) throw malformed(`${WHAT} has no TCB levels, expected at least one`);
  return {
    id, issuedMs: dateField(object, 'issueDate', WHAT), nextUpdateMs: dateField(object, 'nextUpdate', WHAT),
    evaluationDataNumber: integerField(object, 'tcbEvaluationDataNumber', WHAT, MAX_NUMBER),
    miscSelect: hexField(object, 'miscselect', WHAT, 4), miscSelectMask: hexField(object, 'miscselectMask', WHAT, 4),
    attributes: hexField(object, 'attributes', WHAT, 16), attributesMask: hexField(object, 'attributesMask', WHAT, 16),
    mrSigner: hexField(object, 'mrsigner', WHAT, 32), isvProdId: integerField(object, 'isvprodid', WHAT, 0xffff),
    levels,
  };
}
