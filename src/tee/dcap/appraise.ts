// Appraises genuine TDX and SGX evidence against a policy: TCB status and advisories, attributes, measurements, report data.
// Every check is made and recorded, also after one has failed. Refuses by default whatever lets a host look inside.
import { equalBytes, isZero, toHex } from '../../core/bytes.ts';
import { FORBIDDEN_IMAGE_HASHES, tdxImageHash } from '../image-hash.ts';
import type { CheckList } from '../verdict.ts';
import type { DcapPolicy, SgxPolicy, TcbPolicy, TdxMeasurement, TdxPolicy, TdxRegister } from './policy.ts';
import type { EnclaveReport, TdReport } from './quote.ts';
import type { VerifiedQuote } from './verify.ts';

const DAY_MS = 86_400_000;
const REPORT_DATA_BYTES = 64;
const ATTRIBUTE = { debug: 0xffn, septVeDisable: 1n << 28n, migratable: 1n << 29n } as const;
const SGX_DEBUG = 2n;
const XFAM_REQUIRED = 3n;

/** What the report data must be. Both absent: nobody asked, and the value is shown only. */
export interface Binding {
  /** The exact 64 bytes: for a Cocoon peer SHA-512 of its TLS key (report-data.ts). */
  readonly reportData?: Uint8Array;
  /** A verifier's own random bytes, at most 64: report data is them and zero bytes. */
  readonly nonce?: Uint8Array;
}

/** Names of the checks that every appraisal of a family makes, in order. */
export const TCB_CHECKS = ['evaluation-number', 'tcb-status', 'advisories', 'collateral-age', 'host'] as const;
export const TDX_CHECKS = [...TCB_CHECKS, 'td-debug', 'td-migratable', 'td-sept-ve', 'td-attributes', 'td-xfam', 'service-td', 'measurement'] as const;
export const SGX_CHECKS = [...TCB_CHECKS, 'tcb-info-version', 'enclave-debug', 'enclave-attributes', 'measurement'] as const;

/**
 * Records every check of the policy for the evidence's kind. `nowMs` in milliseconds since the Unix epoch. Returns until
 * when the policy itself lets the result stand (a grace period, an advisory's date, an age); Infinity for as long as the collateral.
 */
export function appraise(verified: VerifiedQuote, policy: DcapPolicy, nowMs: number, binding: Binding, checks: CheckList): number {
  const { body } = verified.quote;
  const family = body.tee === 'tdx' ? policy.tdx : policy.sgx;
  if (family === null) {
    checks.check(false, { name: 'evidence-kind', seen: body.tee.toUpperCase(), wanted: 'a kind that the policy accepts', meaning: 'the policy is for other hardware' });
    return Infinity;
  }
  const untilMs = appraiseTcb(verified, family.tcb, nowMs, checks);
  if (body.tee === 'tdx' && policy.tdx !== null) appraiseTd(body.report, policy.tdx, checks);
  if (body.tee === 'sgx' && policy.sgx !== null) appraiseSgx(verified.tcbInfoVersion, body.report, policy.sgx, checks);
  appraiseReportData(body.report.reportData, binding, checks);
  return untilMs;
}

function appraiseTcb(verified: VerifiedQuote, policy: TcbPolicy, nowMs: number, checks: CheckList): number {
  const { status, advisories, supersededMs, evaluationDataNumber, collateralIssuedMs, pck } = verified;
  checks.check(evaluationDataNumber >= policy.minEvaluationDataNumber, {
    name: 'evaluation-number', seen: String(evaluationDataNumber), wanted: `at least ${policy.minEvaluationDataNumber}`,
    meaning: 'older collateral hides weaknesses that were published since',
  });
  const named = status !== 'Revoked' && policy.statuses.includes(status);
  const outdated = status.startsWith('OutOfDate') || status.startsWith('TDRelaunchAdvised');
  const graceEndMs = (supersededMs ?? 0) + policy.graceDays * DAY_MS;
  checks.check(named && (!outdated || nowMs <= graceEndMs), {
    name: 'tcb-status',
    seen: outdated && supersededMs !== null ? `${status} since ${iso(supersededMs)}` : status,
    wanted: `${policy.statuses.join(' or ') || 'none'}${outdated && named ? `, within ${policy.graceDays} days` : ''}`,
    meaning: MEANING[status] ?? 'the platform has known weaknesses',
  });
  const until = status === 'UpToDate' ? [] : advisories.map((id) => ({ id, ms: allowedUntil(policy, id) }));
  const refusedIds = until.filter(({ ms }) => !(nowMs <= ms)).map(({ id }) => id);
  checks.check(refusedIds.length === 0, {
    name: 'advisories', seen: refusedIds.length === 0 ? advisories.join(', ') || 'none' : refusedIds.join(', '),
    wanted: policy.advisories.map(({ id }) => id).join(', ') || 'none', meaning: 'the platform is open to what these Intel advisories describe',
  });
  if (policy.maxCollateralAgeDays !== null) {
    checks.check(nowMs - collateralIssuedMs <= policy.maxCollateralAgeDays * DAY_MS, {
      name: 'collateral-age', seen: `issued ${iso(collateralIssuedMs)}`, wanted: `at most ${policy.maxCollateralAgeDays} days ago`,
      meaning: 'an older statement may hide a newer revocation',
    });
  } else checks.info('collateral-age', `issued ${iso(collateralIssuedMs)}`, 'the policy leaves the age to the collateral\'s own next update');
  const ppid = toHex(pck.ppid);
  if (policy.hosts !== null) {
    checks.check(policy.hosts.includes(ppid), { name: 'host', seen: `PPID ${ppid}`, wanted: `one of ${policy.hosts.length} listed`, meaning: 'the machine is not one that the policy names' });
  } else checks.info('host', `PPID ${ppid}`, 'the policy accepts any machine');
  const ageEndMs = policy.maxCollateralAgeDays === null ? Infinity : collateralIssuedMs + policy.maxCollateralAgeDays * DAY_MS;
  return Math.min(ageEndMs, outdated ? graceEndMs : Infinity, ...until.map(({ ms }) => ms));
}

/** Until when the policy tolerates an advisory: Infinity for ever, -Infinity for one that it does not name. */
function allowedUntil({ advisories }: TcbPolicy, id: string): number {
  return Math.max(...advisories.filter((allowed) => allowed.id === id).map(({ untilMs }) => untilMs ?? Infinity));
}

const MEANING: Readonly<Partial<Record<string, string>>> = {
  Revoked: 'Intel has revoked this TCB: its keys must be taken for stolen',
  OutOfDate: 'firmware or microcode with known weaknesses is running', OutOfDateConfigurationNeeded: 'firmware or microcode with known weaknesses is running',
  TDRelaunchAdvised: 'the guest was started under an older TDX module and must be restarted',
  TDRelaunchAdvisedConfigurationNeeded: 'the guest was started under an older TDX module and must be restarted',
  SWHardeningNeeded: 'software in the guest must defend against known weaknesses itself', ConfigurationNeeded: 'the platform\'s configuration leaves known weaknesses open',
};

function appraiseTd(report: TdReport, policy: TdxPolicy, checks: CheckList): void {
  const attributes = littleEndian(report.tdAttributes);
  const flag = (name: string, ok: boolean, wanted: string, meaning: string): void => {
    checks.check(ok, { name, seen: `TDATTRIBUTES 0x${attributes.toString(16)}`, wanted, meaning });
  };
  flag('td-debug', policy.allowDebug || (attributes & ATTRIBUTE.debug) === 0n, 'DEBUG and all bits of its group clear', 'the host can read and change the guest\'s memory');
  flag('td-migratable', policy.allowMigratable || (attributes & ATTRIBUTE.migratable) === 0n, 'MIGRATABLE clear', 'the guest can be moved by a migration TD that nobody has verified');
  flag('td-sept-ve', !policy.requireSeptVeDisable || (attributes & ATTRIBUTE.septVeDisable) !== 0n, 'SEPT_VE_DISABLE set', 'the host can inject exceptions by taking pages away');
  const others = attributes & ~(ATTRIBUTE.debug | ATTRIBUTE.migratable | ATTRIBUTE.septVeDisable | policy.attributesAllowed);
  flag('td-attributes', others === 0n, `no bits beyond 0x${policy.attributesAllowed.toString(16)}`, 'reserved or unlisted attributes may weaken the guest');
  const xfam = littleEndian(report.xfam);
  checks.check((xfam & XFAM_REQUIRED) === XFAM_REQUIRED && (xfam & ~policy.xfamAllowed) === 0n, {
    name: 'td-xfam', seen: `0x${xfam.toString(16)}`, wanted: `0x3 and no bits beyond 0x${policy.xfamAllowed.toString(16)}`, meaning: 'the guest runs with processor features that were not judged',
  });
  const service = report.later?.mrServiceTd ?? null;
  checks.check(service === null || isZero(service) || policy.serviceTds.includes(toHex(service)), {
    name: 'service-td', seen: service === null ? 'none (TD 1.0)' : toHex(service), wanted: 'all zero or one that the policy lists', meaning: 'a service TD has a say over the guest',
  });
  appraiseTdMeasurement(report, policy, checks);
}

function appraiseTdMeasurement(report: TdReport, policy: TdxPolicy, checks: CheckList): void {
  const imageHash = toHex(tdxImageHash(report));
  const seen = `image hash ${imageHash}, MRTD ${toHex(report.mrTd)}`;
  const nothing = FORBIDDEN_IMAGE_HASHES.get(imageHash);
  if (nothing !== undefined) {
    checks.check(false, { name: 'measurement', seen, wanted: 'a measured image', meaning: `it stands for ${nothing}` });
    return;
  }
  const listed = policy.imageHashes.includes(imageHash) || policy.measurements.some((measurement) => matches(report, measurement));
  appraiseListed(policy.anyMeasurement, policy.measurements.length + policy.imageHashes.length, listed, seen, checks);
}

function matches(report: TdReport, measurement: TdxMeasurement): boolean {
  const wanted = Object.entries(measurement) as [TdxRegister, string][];
  return wanted.length > 0 && wanted.every(([register, value]) => toHex(report[register]) === value);
}

function appraiseListed(anyMeasurement: boolean, count: number, listed: boolean, seen: string, checks: CheckList): void {
  const text = { name: 'measurement', seen, meaning: 'genuine hardware runs a program that nobody has judged' };
  if (anyMeasurement) checks.waive({ ...text, wanted: 'anything: the policy says that the image is not to be judged' });
  else if (count === 0) checks.skip({ ...text, wanted: 'a measurement or image hash, and the policy names none' });
  else checks.check(listed, { ...text, wanted: `one of the ${count} that the policy lists` });
}

function appraiseSgx(tcbInfoVersion: number, report: EnclaveReport, policy: SgxPolicy, checks: CheckList): void {
  checks.check(tcbInfoVersion >= policy.minTcbInfoVersion, {
    name: 'tcb-info-version', seen: String(tcbInfoVersion), wanted: `at least ${policy.minTcbInfoVersion}`,
    meaning: 'Intel no longer gives out TCB info of this version: it comes from an old cache or another authority',
  });
  appraiseEnclave(report, policy, checks);
}

function appraiseEnclave(report: EnclaveReport, policy: SgxPolicy, checks: CheckList): void {
  const flags = littleEndian(report.attributes.subarray(0, 8));
  const seen = `ATTRIBUTES 0x${flags.toString(16)}`;
  checks.check(policy.allowDebug || (flags & SGX_DEBUG) === 0n, { name: 'enclave-debug', seen, wanted: 'DEBUG clear', meaning: 'the host can read and change the enclave\'s memory' });
  checks.check((flags & ~(SGX_DEBUG | policy.attributesAllowed)) === 0n, {
    name: 'enclave-attributes', seen, wanted: `no bits beyond 0x${policy.attributesAllowed.toString(16)}`, meaning: 'reserved or unlisted attributes may weaken the enclave',
  });
  const mrEnclave = toHex(report.mrEnclave);
  const mrSigner = toHex(report.mrSigner);
  const listed = policy.measurements.some((wanted) => ('mrEnclave' in wanted
    ? wanted.mrEnclave === mrEnclave
    : wanted.mrSigner === mrSigner && wanted.isvProdId === report.isvProdId && report.isvSvn >= wanted.minIsvSvn));
  appraiseListed(policy.anyMeasurement, policy.measurements.length, listed, `MRENCLAVE ${mrEnclave}, MRSIGNER ${mrSigner}, product ${report.isvProdId}, SVN ${report.isvSvn}`, checks);
}

function appraiseReportData(reportData: Uint8Array, { reportData: exact, nonce }: Binding, checks: CheckList): void {
  const seen = toHex(reportData);
  if (exact === undefined && nonce === undefined) {
    checks.info('report-data', seen, 'nobody asked for a key or nonce: the evidence may be a copy of somebody else\'s');
    return;
  }
  if (exact !== undefined) {
    checks.check(equalBytes(reportData, exact), { name: 'report-data', seen, wanted: toHex(exact), meaning: 'the evidence was made for another key and may have been copied' });
  }
  if (nonce !== undefined) {
    const fits = nonce.length > 0 && nonce.length <= REPORT_DATA_BYTES;
    checks.check(fits && equalBytes(reportData.subarray(0, nonce.length), nonce) && isZero(reportData.subarray(nonce.length)), {
      name: 'nonce', seen, wanted: `${toHex(nonce)} and zero bytes`, meaning: 'the evidence was made before this question was asked',
    });
  }
}

const littleEndian = (bytes: Uint8Array): bigint => bytes.reduceRight((value, byte) => value * 256n + BigInt(byte), 0n);
const iso = (milliseconds: number): string => new Date(milliseconds).toISOString();
