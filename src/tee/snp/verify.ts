// Verifies that an SEV-SNP report is genuine (attestation checks list, SEV-SNP 2 and 3): pinned ARK, ASK or ASVK, VCEK or
// VLEK, revocation list in force, signature, and agreement of the chip key's extensions with the report. Refuses the rest,
// check by check; whether a genuine guest is acceptable is for appraise.ts.
import { createHash } from 'node:crypto';
import { equalBytes, isZero, toHex } from '../../core/bytes.ts';
import { earliest } from '../verdict.ts';
import type { CheckList } from '../verdict.ts';
import type { X509 } from '../x509/certificate.ts';
import { verifyChain, verifyCrl, verifyNotRevoked, verifyPinnedRoot } from '../x509/chain.ts';
import { verifiesWith } from '../x509/signature.ts';
import type { SnpCollateral } from './bundle.ts';
import type { SnpReport } from './parse-report.ts';
import { SNP_PRODUCTS, TCB_PARTS, productOfCpu, tcbOf, tcbText } from './products.ts';
import type { SnpProduct, SnpRoots, Tcb } from './products.ts';
import { vekFactsOf } from './vek.ts';
import type { VekFacts } from './vek.ts';

/** Names of the checks that a full verification records, in order. */
export const SNP_VERIFY_CHECKS = [
  'root', 'chain', 'chip-key', 'chip-key-names', 'crl', 'revocation', 'report-signature', 'signer', 'cpu', 'chip-id', 'tcb-layout', 'reported-tcb',
] as const;

export interface SnpTcbs {
  readonly reported: Tcb;
  readonly committed: Tcb;
  readonly current: Tcb;
  readonly launch: Tcb;
}

export interface GenuineSnp {
  readonly vek: VekFacts;
  /** Null when the TCB versions of the report cannot be read; the verdict is a failure then. */
  readonly tcbs: SnpTcbs | null;
  /** End of the first certificate or of the revocation list, in milliseconds since the Unix epoch. */
  readonly expiresAtMs: number;
}

/**
 * Records the checks. Returns what the chip key says, or null when the report must not be looked at any further because
 * nobody trusted has signed it. Other failures are recorded and do not end it.
 */
export function verifySnp(checks: CheckList, report: SnpReport, given: SnpCollateral, nowMs: number, roots: SnpRoots): GenuineSnp | null {
  const root = verifyRoot(checks, given, roots);
  if (root === null) return null;
  const { product, ark } = root;
  const collateral = { ...given, ark };
  const { vek, ask, crl } = collateral;
  if (!verifyVek(checks, collateral, nowMs)) return null;
  const facts = readVek(checks, collateral, product);
  if (facts === null) return null;
  verifyRevocation(checks, collateral, nowMs);
  if (!verifySignature(checks, report, collateral)) return null;
  const tcbs = verifyAgreement(checks, report, facts);
  return { vek: facts, tcbs, expiresAtMs: earliest(vek.notAfter, ask.notAfter, ark.notAfter, crl.nextUpdate) };
}

/** Product whose pinned key is the root's. The root's signature on itself makes its name and validity AMD's, too. */
function verifyRoot(checks: CheckList, { ark }: SnpCollateral, roots: SnpRoots): { readonly product: SnpProduct; readonly ark: X509 } | null {
  const digest = createHash('sha384').update(ark.key.spki).digest('hex');
  const product = SNP_PRODUCTS.find((candidate) => roots[candidate] === digest);
  const text = { name: 'root', wanted: 'a pinned root key, signed by itself', meaning: 'somebody else than AMD vouches for the chip' };
  if (product === undefined) {
    checks.check(false, { ...text, seen: `"${ark.subject.commonName}" with the key ${digest}` });
    return null;
  }
  const signed = checks.attempt({ ...text, seen: () => `"${ark.subject.commonName}", the pinned root key of ${product}` }, () => ({ product, ark: verifyPinnedRoot(ark) }));
  return signed ?? null;
}

function verifyVek(checks: CheckList, { vek, ask, ark }: SnpCollateral, nowMs: number): boolean {
  return checks.attempt({
    name: 'chain', wanted: 'an unbroken chain of three certificates that are valid now', meaning: 'nobody whom AMD vouches for has signed the chip key',
    seen: () => [vek, ask, ark].map(({ subject }) => subject.commonName).join(' < '),
  }, () => {
    verifyChain([vek, ask, ark], { root: ark.der, length: 3, nowMs, leafWithoutUsage: true });
    return true;
  }) ?? false;
}

/** The names of all three certificates say the same product and kind as the extensions do. */
function readVek(checks: CheckList, { vek, ask, ark }: SnpCollateral, product: SnpProduct): VekFacts | null {
  const facts = checks.attempt({
    name: 'chip-key', wanted: 'the extensions of a VCEK or a VLEK', meaning: 'the certificate does not say which chip and which TCB its key is for',
    seen: (found) => `${found.kind} of ${found.cspId === null ? 'a' : `${found.cspId} on a`} ${found.productName}, ${tcbText(found.tcb, found.product)}`,
  }, () => vekFactsOf(vek));
  if (facts === undefined) return null;
  const wanted = [product, `SEV-${facts.kind}`, facts.kind === 'VLEK' ? `SEV-VLEK-${product}` : `SEV-${product}`, `ARK-${product}`].join(' < ');
  const seen = [facts.product, vek.subject.commonName, ask.subject.commonName, ark.subject.commonName].join(' < ');
  const agree = checks.check(seen === wanted, {
    name: 'chip-key-names', seen, wanted, meaning: 'a key of one product or kind must not stand for another',
  });
  return agree ? facts : null;
}

/** AMD publishes revocations of signing authorities only; chip keys are withdrawn by raising the minimum TCB. */
function verifyRevocation(checks: CheckList, { ask, ark, crl }: SnpCollateral, nowMs: number): void {
  const inForce = checks.attempt({
    name: 'crl', wanted: 'a revocation list by the root, in force now', meaning: 'nothing shows that the signing authority is not withdrawn',
    seen: () => `list of "${crl.issuer.commonName}" for ${new Date(crl.thisUpdate).toISOString()} to ${new Date(crl.nextUpdate).toISOString()}`,
  }, () => {
    verifyCrl(crl, ark, nowMs);
    return true;
  });
  if (inForce !== true) return;
  checks.attempt({
    name: 'revocation', wanted: 'a signing authority that is not on the list', meaning: 'AMD has withdrawn the authority that vouches for the chip',
    seen: () => `"${ask.subject.commonName}" is not among ${crl.revoked.size} revoked certificates`,
  }, () => verifyNotRevoked(ask, crl));
}

function verifySignature(checks: CheckList, report: SnpReport, { vek }: SnpCollateral): boolean {
  const genuine = vek.key.kind === 'p384' && verifiesWith(vek.key, 'ecdsa-sha384', report.signedBytes, report.signature, 'ieee-p1363');
  return checks.check(genuine, {
    name: 'report-signature', seen: genuine ? `ECDSA P-384 by "${vek.subject.commonName}"` : 'a signature that does not verify',
    wanted: 'one by the chip key over the first 672 bytes', meaning: 'the report was changed, or another chip has made it',
  });
}

function verifyAgreement(checks: CheckList, report: SnpReport, vek: VekFacts): SnpTcbs | null {
  const { product } = vek;
  checks.check(report.signer === vek.kind, {
    name: 'signer', seen: report.signer, wanted: vek.kind, meaning: 'the report names another kind of key than the one that verifies it',
  });
  verifyCpu(checks, report, product);
  verifyChipId(checks, report, vek);
  const tcbs = checks.attempt({
    name: 'tcb-layout', wanted: `four TCB versions as on ${product}`, meaning: 'a TCB version that cannot be read cannot be compared',
    seen: ({ current }) => `current ${tcbText(current, product)}`,
  }, () => ({
    reported: tcbOf(report.reportedTcb, product, 'reported'), committed: tcbOf(report.committedTcb, product, 'committed'),
    current: tcbOf(report.currentTcb, product, 'current'), launch: tcbOf(report.launchTcb, product, 'launch'),
  }));
  if (tcbs === undefined) return null;
  checks.check(TCB_PARTS.every((part) => tcbs.reported[part] === vek.tcb[part]), {
    name: 'reported-tcb', seen: tcbText(tcbs.reported, product), wanted: `the TCB of the chip key: ${tcbText(vek.tcb, product)}`,
    meaning: 'the key was derived for another TCB, so its certificate says nothing about this report',
  });
  return tcbs;
}

function verifyCpu(checks: CheckList, { cpu, version }: SnpReport, product: SnpProduct): void {
  if (cpu === null) {
    checks.info('cpu', `not in a report of version ${version}`, 'the product is known by the root key alone');
    return;
  }
  const { family, model, stepping } = cpu;
  const seen = productOfCpu(family, model);
  checks.check(seen === product, {
    name: 'cpu', seen: `family ${family}, model ${model}, stepping ${stepping}: ${seen ?? 'unknown product'}`, wanted: product,
    meaning: 'the report is of another processor than its chip key',
  });
}

/** All 64 bytes, or as many as the product has and zeros after them. A provider's key names no chip. */
function verifyChipId(checks: CheckList, { chipId, chipKeyMasked }: SnpReport, { hardwareId }: VekFacts): void {
  const seen = `${toHex(chipId)}${chipKeyMasked ? ' (masked by the platform)' : ''}`;
  if (hardwareId === null) {
    checks.info('chip-id', seen, 'a VLEK is shared by the chips of its cloud provider, so the chip is as the firmware states it');
    return;
  }
  const same = equalBytes(chipId.subarray(0, hardwareId.length), hardwareId) && isZero(chipId.subarray(hardwareId.length));
  checks.check(same, {
    name: 'chip-id', seen, wanted: `that of the chip key: ${toHex(hardwareId)}`, meaning: 'the report is of another chip than its key',
  });
}
