// Parses Intel's TCB info: version 3 for SGX or TDX (PCS API v4), version 2 for SGX (PCS API v3; it has no id, and its components
// are fields of their own). Refuses other versions and TCB types, an id in version 2, module data in TCB info for SGX, none in
// that for TDX, other numbers of components than 16, duplicate levels and an empty list.
import { malformed } from '../refusal.ts';
import type { TcbInfo, TcbLevel, TdxModule, TdxModuleIdentity } from './collateral.ts';
import { asObject, dateField, fieldOf, hexField, integerField, jsonObjectOf, listField, textField } from './json-reader.ts';
import type { JsonObject } from './json-reader.ts';
import { isvLevels, levelFacts, MAX_LEVELS, MAX_SVN } from './parse-levels.ts';

const WHAT = 'the TCB info';
const MAX_CHARACTERS = 524_288;
const COMPONENTS = 16;
/** As in Intel's library. Processors and modules have bytes: a level that demands more is one that nothing reaches. */
const MAX_COMPONENT = 0xffff;
const MAX_NUMBER = 0xffff_ffff;
const MAX_MODULES = 64;
const MODULE_STATUSES: ReadonlySet<string> = new Set(['UpToDate', 'OutOfDate', 'Revoked']);

/** Parses the raw text. Throws AttestationError, nothing else. */
export function parseTcbInfo(text: string): TcbInfo {
  const object = jsonObjectOf(text, WHAT, MAX_CHARACTERS);
  const version = integerField(object, 'version', WHAT, MAX_NUMBER);
  if (version !== 2 && version !== 3) throw malformed(`version of ${WHAT} is ${version}, expected 2 or 3`);
  const id = version === 2 ? impliedId(object) : statedId(object);
  const tcbType = integerField(object, 'tcbType', WHAT, MAX_NUMBER);
  if (tcbType !== 0) throw malformed(`tcbType of ${WHAT} is ${tcbType}, expected 0`);
  return {
    id, version, issuedMs: dateField(object, 'issueDate', WHAT), nextUpdateMs: dateField(object, 'nextUpdate', WHAT),
    fmspc: hexField(object, 'fmspc', WHAT, 6), pceId: hexField(object, 'pceId', WHAT, 2),
    evaluationDataNumber: integerField(object, 'tcbEvaluationDataNumber', WHAT, MAX_NUMBER),
    ...parseModules(object, id), levels: parseLevels(object, id, version),
  };
}

function statedId(object: JsonObject): TcbInfo['id'] {
  const id = textField(object, 'id', WHAT, 16);
  if (id !== 'SGX' && id !== 'TDX') throw malformed(`id of ${WHAT} is "${id}", expected SGX or TDX`);
  return id;
}

/** Version 2 is from before TDX. */
function impliedId(object: JsonObject): 'SGX' {
  if (fieldOf(object, 'id') !== undefined) throw malformed(`${WHAT} of version 2 has an id, expected none`);
  return 'SGX';
}

function parseModules(object: JsonObject, id: TcbInfo['id']): Pick<TcbInfo, 'module' | 'moduleIdentities'> {
  const module = fieldOf(object, 'tdxModule');
  const identities = listField(object, 'tdxModuleIdentities', WHAT, MAX_MODULES, true);
  if (id === 'SGX') {
    if (module !== undefined || identities.length > 0) throw malformed(`${WHAT} for SGX has TDX module data, expected none`);
    return { module: null, moduleIdentities: [] };
  }
  return { module: parseModule(asObject(module, `tdxModule of ${WHAT}`)), moduleIdentities: identities.map(parseModuleIdentity) };
}

function parseModule(module: JsonObject): TdxModule {
  // The mask is checked for its form only: Intel's library wants both values to be zero, whatever the mask.
  hexField(module, 'attributesMask', 'a TDX module', 8);
  return { mrSigner: hexField(module, 'mrsigner', 'a TDX module', 48), attributes: hexField(module, 'attributes', 'a TDX module', 8) };
}

function parseModuleIdentity(value: unknown): TdxModuleIdentity {
  const object = asObject(value, 'a TDX module identity');
  const id = textField(object, 'id', 'a TDX module identity', 16).toUpperCase();
  const levels = isvLevels(object, `the TDX module identity ${id}`)
    .map((level) => (MODULE_STATUSES.has(level.status) ? level : { ...level, status: 'Unrecognized' as const }));
  return { id, ...parseModule(object), levels };
}

function parseLevels(object: JsonObject, id: TcbInfo['id'], version: TcbInfo['version']): TcbLevel[] {
  const levels = listField(object, 'tcbLevels', WHAT, MAX_LEVELS).map((item) => parseLevel(asObject(item, `a TCB level of ${WHAT}`), id, version));
  if (levels.length === 0) throw malformed(`${WHAT} has no TCB levels, expected at least one`);
  levels.sort((a, b) => compareLevels(b, a));
  levels.forEach((level, index) => {
    const before = levels[index - 1];
    if (before !== undefined && compareLevels(before, level) === 0) throw malformed(`${WHAT} has two levels with the same TCB`);
  });
  return levels;
}

function parseLevel(level: JsonObject, id: TcbInfo['id'], version: TcbInfo['version']): TcbLevel {
  const tcb = asObject(fieldOf(level, 'tcb'), `tcb of ${WHAT}`);
  return {
    sgx: version === 2 ? componentFields(tcb) : components(tcb, 'sgxtcbcomponents'),
    tdx: id === 'TDX' ? components(tcb, 'tdxtcbcomponents') : [],
    pceSvn: integerField(tcb, 'pcesvn', `tcb of ${WHAT}`, MAX_SVN), ...levelFacts(level, `a TCB level of ${WHAT}`),
  };
}

function components(tcb: JsonObject, name: string): number[] {
  const list = listField(tcb, name, `tcb of ${WHAT}`, COMPONENTS);
  if (list.length !== COMPONENTS) throw malformed(`${name} of ${WHAT} has ${list.length} items, expected ${COMPONENTS}`);
  return list.map((item) => integerField(asObject(item, `${name} of ${WHAT}`), 'svn', name, MAX_COMPONENT));
}

/** Version 2: `sgxtcbcomp01svn` to `sgxtcbcomp16svn`. */
function componentFields(tcb: JsonObject): number[] {
  return Array.from({ length: COMPONENTS }, (_, index) => integerField(tcb, `sgxtcbcomp${String(index + 1).padStart(2, '0')}svn`, `tcb of ${WHAT}`, MAX_COMPONENT));
}

/** Intel's order: SGX components, then PCESVN, then TDX components, each compared from the first on. */
function compareLevels(a: TcbLevel, b: TcbLevel): number {
  return compareLists(a.sgx, b.sgx) || a.pceSvn - b.pceSvn || compareLists(a.tdx, b.tdx);
}

function compareLists(a: readonly number[], b: readonly number[]): number {
  const at = a.findIndex((value, index) => value !== b[index]);
  return at < 0 ? 0 : (a[at] ?? 0) - (b[at] ?? 0);
}
