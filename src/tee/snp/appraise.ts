// Appraises a genuine SEV-SNP report against a policy (attestation checks list, SEV-SNP 4 to 6): product, TCB, firmware,
// mitigations, what the guest's owner allows its host, privilege level, keys, host data, launch digest, report data.
// Everything is refused that the policy does not allow; what it leaves open although it matters stays unmade.
import { equalBytes, isZero, toHex } from '../../core/bytes.ts';
import { FORBIDDEN_IMAGE_HASHES, sevImageHash } from '../image-hash.ts';
import type { CheckList } from '../verdict.ts';
import type { SnpFirmware, SnpReport } from './parse-report.ts';
import { GUEST_BIT, GUEST_BITS_END, PLATFORM_BIT } from './policy.ts';
import type { SnpPolicy } from './policy.ts';
import { TCB_PARTS, tcbText } from './products.ts';
import type { SnpProduct, Tcb } from './products.ts';
import type { GenuineSnp, SnpTcbs } from './verify.ts';

/** Names of the checks that a full appraisal records. */
export const SNP_APPRAISE_CHECKS = [
  'product', 'key-kind', 'minimum-tcb', 'firmware', 'mitigations', 'guest-policy-bits', 'guest-debug', 'guest-migration', 'guest-smt', 'guest-cxl',
  'guest-protections', 'guest-abi', 'alias-check', 'vmpl', 'id-key', 'author-key', 'host-data', 'host', 'image', 'report-data',
] as const;

const has = (bits: bigint, bit: bigint): boolean => (bits >> bit & 1n) === 1n;
const setOrClear = (set: boolean): string => (set ? 'set' : 'clear');
const hex64 = (value: bigint): string => `0x${value.toString(16)}`;
const isOneOf = (bytes: Uint8Array, allowed: readonly Uint8Array[]): boolean => allowed.some((candidate) => equalBytes(candidate, bytes));

/** Records the checks. `reportData` is what the report must be bound to (64 bytes), or null when nothing is known about it. */
export function appraiseSnp(checks: CheckList, report: SnpReport, { vek, tcbs }: GenuineSnp, policy: SnpPolicy, reportData: Uint8Array | null): void {
  appraiseMaker(checks, report, vek.product, policy);
  if (tcbs !== null) appraiseTcb(checks, tcbs, vek.product, policy);
  appraiseFirmware(checks, report, policy);
  appraiseGuestPolicy(checks, report, policy);
  appraiseLaunch(checks, report, policy);
  appraiseImage(checks, report, policy);
  appraiseReportData(checks, report, reportData);
  checks.info('guest', `SVN ${report.guestSvn}, family ${toHex(report.familyId)}, image ${toHex(report.imageId)}`, 'named by the owner of the guest in its ID block');
}

function appraiseMaker(checks: CheckList, { signer, chipId }: SnpReport, product: SnpProduct, { products, signers, chipIds }: SnpPolicy): void {
  checks.check(products.includes(product), {
    name: 'product', seen: product, wanted: products.join(' or ') || 'none',
    meaning: product === 'Milan' ? 'the root seed of Milan has been extracted, so its reports can be forged by whoever holds it' : 'the policy does not name this product',
  });
  checks.check(signers.includes(signer), {
    name: 'key-kind', seen: signer, wanted: signers.join(' or ') || 'none', meaning: 'a VLEK shows which cloud provider runs the host and not which chip it is',
  });
  if (chipIds === null) checks.info('host', toHex(chipId), 'any chip is accepted');
  else {
    checks.check(isOneOf(chipId, chipIds), {
      name: 'host', seen: toHex(chipId), wanted: `one of ${chipIds.length} allowed chips`, meaning: 'the guest runs on a host that the policy does not list',
    });
  }
}

function appraiseTcb(checks: CheckList, tcbs: SnpTcbs, product: SnpProduct, { minimumTcb }: SnpPolicy): void {
  const minimum = minimumTcb[product];
  const named: readonly (readonly [string, Tcb])[] = [['reported', tcbs.reported], ['committed', tcbs.committed], ['current', tcbs.current], ['launch', tcbs.launch]];
  const meaning = 'firmware or microcode with known flaws may have run below the guest';
  if (minimum === undefined) {
    const seen = named.map(([name, tcb]) => `${name} ${tcbText(tcb, product)}`).join('; ');
    checks.skip({ name: 'minimum-tcb', seen, wanted: `a policy that names the least TCB of ${product}`, meaning });
    return;
  }
  const low = named.filter(([, tcb]) => TCB_PARTS.some((part) => tcb[part] < minimum[part]));
  checks.check(low.length === 0, {
    name: 'minimum-tcb', wanted: `at least ${tcbText(minimum, product)}, in all four TCB versions`, meaning,
    seen: (low.length === 0 ? named : low).map(([name, tcb]) => `${name} ${tcbText(tcb, product)}`).join('; '),
  });
}

const firmwareText = ({ major, minor, build }: SnpFirmware): string => `${major}.${minor}.${build}`;
const firmwareOrder = ({ major, minor, build }: SnpFirmware): number => major * 65_536 + minor * 256 + build;

function appraiseFirmware(checks: CheckList, report: SnpReport, policy: SnpPolicy): void {
  const { currentFirmware, committedFirmware, currentMitigations, launchMitigations, platformInfo } = report;
  const seen = `current ${firmwareText(currentFirmware)}, committed ${firmwareText(committedFirmware)}`;
  const { minimumFirmware, requiredMitigations } = policy;
  if (minimumFirmware === null) checks.info('firmware', seen, 'judged by its version number in the TCB');
  else {
    const enough = firmwareOrder(minimumFirmware) <= Math.min(firmwareOrder(currentFirmware), firmwareOrder(committedFirmware));
    checks.check(enough, { name: 'firmware', seen, wanted: `at least ${firmwareText(minimumFirmware)}`, meaning: 'the firmware has known flaws, or can be rolled back to one that has' });
  }
  const both = (launchMitigations ?? 0n) & (currentMitigations ?? 0n);
  const mitigations = launchMitigations === null || currentMitigations === null ? 'none stated before version 5' : `launch ${hex64(launchMitigations)}, current ${hex64(currentMitigations)}`;
  if (requiredMitigations === 0n) checks.info('mitigations', mitigations, 'the policy asks for none');
  else {
    checks.check((both & requiredMitigations) === requiredMitigations, {
      name: 'mitigations', seen: mitigations, wanted: `${hex64(requiredMitigations)} in both`, meaning: 'the firmware does not state that it closes a flaw that the policy names',
    });
  }
  const checked = has(platformInfo, PLATFORM_BIT.aliasCheck);
  const alias = {
    name: 'alias-check', seen: `${checked ? 'done' : 'not done'} (platform information ${hex64(platformInfo)})`, wanted: 'memory checked for aliases since the last reset',
    meaning: 'a manipulated memory module could replay what the guest has written',
  };
  if (policy.requireAliasCheck) checks.check(checked, alias);
  else checks.waive(alias);
}

function appraiseGuestPolicy(checks: CheckList, report: SnpReport, policy: SnpPolicy): void {
  const bits = report.policy;
  checks.check(has(bits, GUEST_BIT.reservedOne) && bits >> GUEST_BITS_END === 0n, {
    name: 'guest-policy-bits', seen: hex64(bits), wanted: 'bit 17 set, no bit from 26 on', meaning: 'the guest policy has a form whose meaning is not known',
  });
  const refuse = (name: string, bit: bigint, allowed: boolean, meaning: string): void => {
    const text = { name, seen: `bit ${bit} ${setOrClear(has(bits, bit))}`, wanted: 'clear', meaning };
    if (allowed) checks.waive(text);
    else checks.check(!has(bits, bit), text);
  };
  refuse('guest-debug', GUEST_BIT.debug, policy.allowDebug, 'the host may read and change the memory of the guest');
  refuse('guest-migration', GUEST_BIT.migrationAgent, policy.allowMigrationAgent, 'a migration agent may hand the guest to another machine');
  judgeSmt(checks, report, policy);
  refuse('guest-cxl', GUEST_BIT.cxl, policy.allowCxl, 'memory of the guest may be on attached devices');
  const missing = policy.requiredProtections.filter((name) => !has(bits, GUEST_BIT[name]));
  checks.check(missing.length === 0, {
    name: 'guest-protections', seen: missing.length === 0 ? hex64(bits) : `${hex64(bits)} without ${missing.join(', ')}`, wanted: policy.requiredProtections.join(', ') || 'none in particular',
    meaning: 'the guest would start on a host without a protection that the policy demands',
  });
  const major = Number(bits >> 8n & 0xffn);
  const minor = Number(bits & 0xffn);
  const { minimumAbi } = policy;
  checks.check(major > minimumAbi.major || (major === minimumAbi.major && minor >= minimumAbi.minor), {
    name: 'guest-abi', seen: `${major}.${minor}`, wanted: `at least ${minimumAbi.major}.${minimumAbi.minor}`, meaning: 'the guest would start under older firmware than the policy demands',
  });
}

/**
 * A guest that may run with SMT is judged by the platform that it runs on: firmware turns SMT on or off at a reset only, which no
 * guest survives, and a guest without a migration agent stays where it is.
 */
function judgeSmt(checks: CheckList, { policy: bits, platformInfo }: SnpReport, { allowSmt }: SnpPolicy): void {
  const demanded = !has(bits, GUEST_BIT.smt);
  const off = !has(platformInfo, PLATFORM_BIT.smt) && !has(bits, GUEST_BIT.migrationAgent);
  const text = {
    name: 'guest-smt', seen: `${demanded ? 'the guest demands that SMT is off' : 'the guest allows SMT'}, the platform has it ${has(platformInfo, PLATFORM_BIT.smt) ? 'on' : 'off'}`,
    wanted: 'SMT off, by the guest\'s demand or on a platform that it cannot leave', meaning: 'the host or another guest may run on sibling threads of the guest\'s cores and watch what they share',
  };
  if (allowSmt) checks.waive(text);
  else checks.check(demanded || off, text);
}

function appraiseLaunch(checks: CheckList, report: SnpReport, { vmpls, idKeyDigests, authorKeyDigests, hostData }: SnpPolicy): void {
  checks.check(vmpls.includes(report.vmpl), {
    name: 'vmpl', seen: String(report.vmpl), wanted: vmpls.join(' or ') || 'none', meaning: 'a less privileged part of the guest has asked for the report',
  });
  appraiseKey(checks, 'id-key', report.idKeyDigest, idKeyDigests, 'somebody else has signed the identity of the guest');
  // Firmware puts zeros where there is no author key; a digest without the flag would be a contradiction.
  const author = report.authorKeyEnabled ? report.authorKeyDigest : new Uint8Array(report.authorKeyDigest.length);
  appraiseKey(checks, 'author-key', author, authorKeyDigests, 'somebody else vouches for the key that has signed the identity of the guest');
  if (hostData === null) checks.info('host-data', toHex(report.hostData), 'chosen by the host at launch, any value is accepted');
  else {
    checks.check(equalBytes(report.hostData, hostData), {
      name: 'host-data', seen: toHex(report.hostData), wanted: toHex(hostData), meaning: 'the guest was launched with another configuration',
    });
  }
}

function appraiseKey(checks: CheckList, name: string, digest: Uint8Array, allowed: readonly Uint8Array[] | null, meaning: string): void {
  const seen = isZero(digest) ? 'none' : toHex(digest);
  if (allowed === null) checks.info(name, seen, 'any key is accepted');
  else checks.check(!isZero(digest) && isOneOf(digest, allowed), { name, seen, wanted: `one of ${allowed.length} allowed keys`, meaning });
}

function appraiseImage(checks: CheckList, { measurement }: SnpReport, { measurements, imageHashes, anyMeasurement }: SnpPolicy): void {
  const hash = sevImageHash(measurement);
  const seen = `launch digest ${toHex(measurement)}, image hash ${toHex(hash)}`;
  const meaning = 'the guest started from another image than the policy allows';
  const nothing = FORBIDDEN_IMAGE_HASHES.get(toHex(hash));
  if (nothing !== undefined) {
    checks.check(false, { name: 'image', seen, wanted: 'the digest of a measured guest', meaning: `it stands for ${nothing}` });
  } else if (measurements !== null || imageHashes !== null) {
    const allowed = (measurements === null || isOneOf(measurement, measurements)) && (imageHashes === null || isOneOf(hash, imageHashes));
    const wanted = [measurements === null ? '' : `one of ${measurements.length} launch digests`, imageHashes === null ? '' : `one of ${imageHashes.length} image hashes`];
    checks.check(allowed, { name: 'image', seen, wanted: wanted.filter((text) => text !== '').join(' and '), meaning });
  } else if (anyMeasurement) checks.waive({ name: 'image', seen, wanted: 'any', meaning });
  else checks.skip({ name: 'image', seen, wanted: 'a policy that names launch digests or image hashes', meaning });
}

function appraiseReportData(checks: CheckList, report: SnpReport, wanted: Uint8Array | null): void {
  const seen = toHex(report.reportData);
  if (wanted === null) {
    checks.info('report-data', seen, 'nothing is known that it should be bound to, so the report may be an old one of another guest');
    return;
  }
  checks.check(equalBytes(report.reportData, wanted), {
    name: 'report-data', seen, wanted: toHex(wanted), meaning: 'the report was made for another key or nonce and may have been copied from another machine',
  });
}
