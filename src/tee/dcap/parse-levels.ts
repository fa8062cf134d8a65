// TCB levels of TCB info and QE identity (Intel PCS API v4): statuses, advisories, ISVSVN levels.
import type { IsvLevel, TcbLevelStatus } from './collateral.ts';
import { asObject, asText, dateField, fieldOf, integerField, listField, textField } from './json-reader.ts';
import type { JsonObject } from './json-reader.ts';

export const MAX_LEVELS = 256;
export const MAX_SVN = 0xffff;
const MAX_ADVISORIES = 256;
const MAX_WORD = 64;

const STATUSES: ReadonlySet<string> = new Set<TcbLevelStatus>([
  'UpToDate', 'SWHardeningNeeded', 'ConfigurationNeeded', 'ConfigurationAndSWHardeningNeeded', 'OutOfDate', 'OutOfDateConfigurationNeeded', 'Revoked',
]);
const isStatus = (text: string): text is TcbLevelStatus => STATUSES.has(text);

/** Status, date and advisories, which every kind of level has. Throws AttestationError. */
export function levelFacts(level: JsonObject, what: string): Pick<IsvLevel, 'dateMs' | 'status' | 'advisories'> {
  const status = textField(level, 'tcbStatus', what, MAX_WORD);
  return {
    status: isStatus(status) ? status : 'Unrecognized', dateMs: dateField(level, 'tcbDate', what),
    advisories: listField(level, 'advisoryIDs', what, MAX_ADVISORIES, true).map((id) => asText(id, `advisory of ${what}`, MAX_WORD)),
  };
}

/** Levels by ISVSVN in the order of the text, which Intel writes from the highest down. Throws AttestationError. */
export function isvLevels(object: JsonObject, what: string): IsvLevel[] {
  return listField(object, 'tcbLevels', what, MAX_LEVELS).map((item) => {
    const level = asObject(item, `TCB level of ${what}`);
    const tcb = asObject(fieldOf(level, 'tcb'), `tcb of ${what}`);
    return { isvSvn: integerField(tcb, 'isvsvn', `tcb of ${what}`, MAX_SVN), ...levelFacts(level, `a TCB level of ${what}`) };
  });
}
