// Which TCB level a platform has and what that says about the quote, exactly as Intel's quote verification library decides
// it: the platform's levels for SGX and TDX, the TDX module's identity, the quoting enclave's level, and TD relaunch.
// Refuses a TCB below every level, module identities that do not fit, and statuses that this version does not know.
import { equalBytes, isZero, toHex } from '../../core/bytes.ts';
import type { AttestationError } from '../../core/errors.ts';
import { refused } from '../refusal.ts';
import type { IsvLevel, ListedStatus, QeIdentity, TcbInfo, TcbLevel, TcbLevelStatus, TcbStatus, TdxModuleIdentity } from './collateral.ts';
import type { PckFacts } from './pck.ts';
import type { TdReport } from './quote.ts';

/** The level that matched, with the date since which a better one has existed. */
export interface MatchedLevel {
  readonly status: TcbLevelStatus;
  readonly advisories: readonly string[];
  readonly dateMs: number;
  /** Earliest date of a better level, in milliseconds since the Unix epoch; null for the best one. */
  readonly supersededMs: number | null;
}

/** A platform's level: `sgx` is the first that the processor reaches, `matched` the first that the TDX module reaches too. */
export interface PlatformLevels {
  readonly sgx: MatchedLevel;
  readonly matched: MatchedLevel;
}

export interface ModuleLevel extends MatchedLevel {
  /** `TDX_01` and so on. */
  readonly id: string;
}

/** First level (best first) that processor and, for TDX, module reach in every component. Throws AttestationError when there is none. */
export function matchPlatform(info: TcbInfo, pck: PckFacts, report: TdReport | null): PlatformLevels {
  let sgx: MatchedLevel | null = null;
  for (const [index, level] of info.levels.entries()) {
    if (!reaches(pck.components, level.sgx) || pck.pceSvn < level.pceSvn) continue;
    sgx ??= matched(info.levels, index);
    if (report === null || reachesTdx(report.teeTcbSvn, level)) return { sgx, matched: matched(info.levels, index) };
  }
  const seen = `SGX components ${pck.components.join(',')}, PCESVN ${pck.pceSvn}${report === null ? '' : `, TEE_TCB_SVN ${toHex(report.teeTcbSvn)}`}`;
  throw unsupported('tcb-level', seen, 'at least the lowest level of the TCB info');
}

const reaches = (seen: Iterable<number>, wanted: readonly number[]): boolean => {
  const values = [...seen];
  return wanted.every((svn, index) => (values[index] ?? -1) >= svn);
};

/** Components 0 and 1 of a module with a major version are its identity's business. */
function reachesTdx(teeTcbSvn: Uint8Array, level: TcbLevel): boolean {
  const skipped = (teeTcbSvn[1] ?? 0) > 0 ? 2 : 0;
  return reaches(teeTcbSvn.subarray(skipped), level.tdx.slice(skipped));
}

function matched(levels: readonly (TcbLevel | IsvLevel)[], index: number): MatchedLevel {
  const level = levels[index];
  if (level === undefined) throw new RangeError(`no level ${index}`);
  const newer = levels.slice(0, index).map(({ dateMs }) => dateMs).filter((dateMs) => dateMs > level.dateMs);
  return {
    status: known(level.status), advisories: level.advisories, dateMs: level.dateMs,
    supersededMs: index === 0 ? null : Math.min(...newer, ...(newer.length === 0 ? [level.dateMs] : [])),
  };
}

function known(status: ListedStatus): TcbLevelStatus {
  if (status === 'Unrecognized') throw unsupported('tcb-level', 'a TCB level with a status that this version does not know', 'a known status');
  return status;
}

function matchIsv(levels: readonly IsvLevel[], isvSvn: number, check: string, what: string): MatchedLevel {
  const index = levels.findIndex((level) => isvSvn >= level.isvSvn);
  if (index < 0) throw unsupported(check, `ISVSVN ${isvSvn} of ${what}`, `at least ${String(levels.at(-1)?.isvSvn ?? 'one level')}`);
  return matched(levels, index);
}

/** The quoting enclave's level. Throws AttestationError when its ISVSVN is below every level. */
export function matchQe(identity: QeIdentity, isvSvn: number): MatchedLevel {
  return matchIsv(identity.levels, isvSvn, 'qe-level', 'the quoting enclave');
}

/**
 * Checks the TDX module behind a report: signer and attributes of its identity, or of TCB info's `tdxModule` for a module
 * without a major version (TDX 1.0), which has no level of its own: null. Throws AttestationError.
 */
export function matchModule(info: TcbInfo, report: TdReport): ModuleLevel | null {
  const version = report.teeTcbSvn[1] ?? 0;
  const identity = version > 0 ? moduleIdentity(info, version) : null;
  const module = identity ?? info.module;
  if (module === null) throw mismatch('TCB info without a TDX module', 'one');
  if (!equalBytes(report.mrSignerSeam, module.mrSigner)) throw mismatch(`MRSIGNERSEAM ${toHex(report.mrSignerSeam)}`, toHex(module.mrSigner));
  if (!isZero(report.seamAttributes) || !equalBytes(report.seamAttributes, module.attributes)) {
    throw mismatch(`SEAMATTRIBUTES ${toHex(report.seamAttributes)}`, `all zero, and ${toHex(module.attributes)} as the TCB info has them`);
  }
  if (identity === null) return null;
  return { id: identity.id, ...matchIsv(identity.levels, report.teeTcbSvn[0] ?? 0, 'tdx-module', identity.id) };
}

function moduleIdentity(info: TcbInfo, version: number): TdxModuleIdentity {
  const id = `TDX_${version.toString(16).toUpperCase().padStart(2, '0')}`;
  const identity = info.moduleIdentities.find((candidate) => candidate.id === id);
  if (identity === undefined) throw mismatch(`a TDX module ${id}`, `one of ${info.moduleIdentities.map((known) => known.id).join(', ') || 'no identities'}`);
  return identity;
}

/** What the levels of platform, module, quoting enclave and running module amount to. */
export interface TcbParts {
  readonly info: TcbInfo;
  readonly platform: PlatformLevels;
  readonly module: ModuleLevel | null;
  readonly qe: MatchedLevel;
  readonly report: TdReport | null;
}

/** Merges the statuses in the order of Intel's library. Throws AttestationError where that library has no status to give. */
export function mergeStatuses({ info, platform, module, qe, report }: TcbParts): TcbStatus {
  const status = module === null ? platform.matched.status : worsened(platform.matched.status, module.status);
  if (report !== null && status === 'Revoked') return status;
  const later = report?.later ?? null;
  const relaunched = later === null ? null : relaunchStatus({ info, platform, module, qe, report }, status, later.teeTcbSvn2);
  return relaunched ?? worsened(status, qe.status);
}

/** A part that is out of date makes the whole so; a revoked part revokes it; other statuses of a part change nothing. */
function worsened(status: TcbLevelStatus, part: TcbLevelStatus): TcbLevelStatus {
  if (part === 'Revoked') return 'Revoked';
  if (part === 'UpToDate') return status;
  switch (status) {
    case 'UpToDate': case 'SWHardeningNeeded': return 'OutOfDate';
    case 'ConfigurationNeeded': case 'ConfigurationAndSWHardeningNeeded': return 'OutOfDateConfigurationNeeded';
    default: return status;
  }
}

/**
 * TD 1.5: the module that is loaded now is the newest, and only the guest was started under an older one. Null when that
 * is not the case. Throws AttestationError when the loaded module has no identity.
 */
function relaunchStatus(parts: TcbParts, status: TcbLevelStatus, loaded: Uint8Array): TcbStatus | null {
  const { info, platform, module, qe } = parts;
  if (qe.status !== 'UpToDate' || module?.status !== 'OutOfDate') return null;
  if (status !== 'OutOfDate' && status !== 'OutOfDateConfigurationNeeded') return null;
  if (platform.sgx.status === 'OutOfDate' || platform.sgx.status === 'OutOfDateConfigurationNeeded' || platform.sgx.status === 'Revoked') return null;
  const latest = info.levels[0];
  const [svn = 0, version = 0, component = 0] = loaded;
  const wanted = version === 0 ? latest?.tdx[0] : latestSvn(moduleIdentity(info, version));
  if (latest === undefined || wanted === undefined || svn < wanted || component < (latest.tdx[2] ?? 0)) return null;
  const configuration = [platform.sgx.status, status].some((one) => one.includes('Configuration'));
  return configuration ? 'TDRelaunchAdvisedConfigurationNeeded' : 'TDRelaunchAdvised';
}

function latestSvn({ id, levels }: TdxModuleIdentity): number {
  const latest = levels[0];
  if (latest === undefined) throw unsupported('tdx-module', `the identity ${id} without levels`, 'at least one');
  return latest.isvSvn;
}

function unsupported(check: string, seen: string, wanted: string): AttestationError {
  return refused({ check, seen, wanted, meaning: 'Intel does not vouch for a TCB this old or unknown' });
}

function mismatch(seen: string, wanted: string): AttestationError {
  return refused({ check: 'tdx-module', seen, wanted, meaning: 'the TDX module under the guest is not one that Intel lists' });
}
