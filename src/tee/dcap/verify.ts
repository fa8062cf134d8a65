// Verifies a parsed quote against parsed collateral: is it genuine, and what does Intel say about its platform? The order
// and outcome of the checks are those of Intel's quote verification library (sections 4.1.2.x of its API); every check is
// recorded under its own name. Whether the result is acceptable is for appraise.ts.
import { createHash } from 'node:crypto';
import { equalBytes, isZero, toHex } from '../../core/bytes.ts';
import type { AttestationError } from '../../core/errors.ts';
import { refused } from '../refusal.ts';
import { earliest } from '../verdict.ts';
import type { CheckList } from '../verdict.ts';
import type { SubjectKey } from '../x509/algorithms.ts';
import type { X509 } from '../x509/certificate.ts';
import { verifyChain, verifyCrl, verifyNotRevoked } from '../x509/chain.ts';
import { authorityVerifies } from '../x509/remembered.ts';
import { verifiesWith } from '../x509/signature.ts';
import type { Collateral, QeIdentity, SignedText, TcbStatus, Window } from './collateral.ts';
import { INTEL_SGX_ROOT_CA } from './intel-root.ts';
import { certificateChain } from './parse-collateral.ts';
import { parsePckFacts } from './pck.ts';
import type { PckFacts } from './pck.ts';
import type { EnclaveReport, Quote } from './quote.ts';
import { matchModule, matchPlatform, matchQe, mergeStatuses } from './tcb-level.ts';
import type { MatchedLevel, ModuleLevel } from './tcb-level.ts';

const PCK_CHAIN = 3;
const SIGNING_CHAIN = 2;
/** Common names of Intel's hierarchy contain these words; a certificate of one role must not stand in for another. */
const ROLE = { pck: 'SGX PCK Certificate', authority: 'CA', root: 'SGX Root CA', signer: 'SGX TCB Signing' } as const;

export interface DcapRules {
  /** Milliseconds since the Unix epoch. */
  readonly nowMs: number;
  /** DER of the trusted root; Intel's unless a test PKI replaces it. */
  readonly root?: Uint8Array;
}

/** A genuine quote and what Intel says about the platform that made it. */
export interface VerifiedQuote {
  readonly quote: Quote;
  readonly pck: PckFacts;
  /** Merged status of platform, TDX module and quoting enclave. `Revoked` is a result here; no policy accepts it. */
  readonly status: TcbStatus;
  /** Sorted, of platform, TDX module and quoting enclave together. */
  readonly advisories: readonly string[];
  readonly platform: MatchedLevel;
  /** Null for SGX and for TDX modules without a major version. */
  readonly module: ModuleLevel | null;
  readonly qe: MatchedLevel;
  /** Earliest time since which a part that is not the best has been superseded; null when all parts are the best. */
  readonly supersededMs: number | null;
  /** The smaller of the two evaluation data numbers. */
  readonly evaluationDataNumber: number;
  readonly tcbInfoVersion: number;
  /** When the oldest of TCB info, QE identity and PCK revocation list was issued. The root's own list is made once a year. */
  readonly collateralIssuedMs: number;
  /** Earliest end of anything that the result rests on. */
  readonly expiresAtMs: number;
}

/** Names of all checks that this file makes, in order. */
export const VERIFY_CHECKS = [
  'pck-chain', 'root-crl', 'pck-crl', 'pck-revocation', 'tcb-info-signature', 'tcb-info-window', 'qe-identity-signature', 'qe-identity-window',
  'platform', 'tdx-module', 'qe-report-signature', 'qe-report-data', 'qe-identity', 'qe-level', 'quote-signature', 'tcb-level',
] as const;

/** Makes every check and records it in `checks`; stops at the first that fails and returns undefined. */
export function verifyQuote(quote: Quote, collateral: Collateral, rules: DcapRules, checks: CheckList): VerifiedQuote | undefined {
  const chain = verifyPck(quote, collateral, rules, checks);
  if (chain === undefined) return undefined;
  if (!verifySigned(collateral, rules, checks)) return undefined;
  const info = collateral.tcbInfo.value;
  const pck = checks.attempt({
    name: 'platform', seen: (facts) => `FMSPC ${toHex(facts.fmspc)}, PCEID ${toHex(facts.pceId)}`, wanted: 'TCB info and QE identity for this kind of platform and TEE',
    meaning: 'the collateral is that of another platform or TEE, and says nothing about this one',
  }, () => platformFacts(quote, chain[0], collateral));
  if (pck === undefined) return undefined;
  const report = quote.body.tee === 'tdx' ? quote.body.report : null;
  const module = report === null ? null : checks.attempt({
    name: 'tdx-module', seen: (found) => (found === null ? 'a TDX 1.0 module by Intel' : `${found.id}, ${found.status}`), wanted: 'a module that Intel has signed and lists',
    meaning: 'the TDX module under the guest is not Intel\'s, or too old',
  }, () => matchModule(info, report));
  if (module === undefined) return undefined;
  const qe = verifyQe(quote, chain[0], collateral.qeIdentity.value, checks);
  if (qe === undefined || !verifyQuoteSignature(quote, checks)) return undefined;
  const tcb = checks.attempt({
    name: 'tcb-level', seen: ({ status }) => status, wanted: 'a level that Intel lists',
    meaning: 'Intel does not vouch for the platform\'s processor, microcode and firmware at all',
  }, () => {
    const platform = matchPlatform(info, pck, report);
    return { platform: platform.matched, status: mergeStatuses({ info, platform, module, qe, report }) };
  });
  if (tcb === undefined) return undefined;
  const parts = [tcb.platform, qe, ...(module === null ? [] : [module])];
  const superseded = parts.map((part) => part.supersededMs).filter((time) => time !== null);
  return {
    quote, pck, ...tcb, module, qe,
    advisories: [...new Set(parts.flatMap((part) => part.advisories))].sort(),
    supersededMs: superseded.length === 0 ? null : earliest(...superseded),
    evaluationDataNumber: Math.min(info.evaluationDataNumber, collateral.qeIdentity.value.evaluationDataNumber),
    tcbInfoVersion: info.version,
    collateralIssuedMs: earliest(info.issuedMs, collateral.qeIdentity.value.issuedMs, collateral.pckCrl.thisUpdate),
    expiresAtMs: expiryOf(chain, collateral),
  };
}

type PckChain = readonly [X509, X509, X509];

/** PCK chain from the quote, both CRLs, and that neither PCK nor intermediate is revoked. */
function verifyPck(quote: Quote, collateral: Collateral, rules: DcapRules, checks: CheckList): PckChain | undefined {
  const root = rules.root ?? INTEL_SGX_ROOT_CA;
  const chain = checks.attempt({
    name: 'pck-chain', seen: ([leaf, intermediate]) => `"${leaf.subject.commonName}" by "${intermediate.subject.commonName}"`,
    wanted: 'three certificates up to the pinned root', meaning: 'the platform\'s key is not one that Intel has certified',
  }, () => {
    const certificates = certificateChain(quote.pckChain, 'the PCK chain', [...collateral.pckCrlChain, ...collateral.tcbInfo.chain]);
    verifyChain(certificates, { root, length: PCK_CHAIN, nowMs: rules.nowMs });
    const [leaf, intermediate, top] = certificates;
    if (leaf === undefined || intermediate === undefined || top === undefined) throw wrongRole('none', 'three certificates');
    checkRole(leaf, ROLE.pck);
    checkRole(intermediate, ROLE.authority);
    checkRole(top, ROLE.root);
    return [leaf, intermediate, top] as PckChain;
  });
  if (chain === undefined) return undefined;
  const [leaf, intermediate, top] = chain;
  const { rootCrl, pckCrl, pckCrlChain } = collateral;
  const rootOk = checks.attempt({
    name: 'root-crl', seen: () => `${rootCrl.revoked.size} revoked, until ${iso(rootCrl.nextUpdate)}`, wanted: 'a list by the root that is in force',
    meaning: 'a revocation of an authority may be missing',
  }, () => verifyCrl(rootCrl, top, rules.nowMs) ?? true);
  if (rootOk === undefined) return undefined;
  const pckOk = checks.attempt({
    name: 'pck-crl', seen: () => `${pckCrl.revoked.size} revoked, until ${iso(pckCrl.nextUpdate)}`, wanted: 'a list by the issuer of the PCK certificate that is in force',
    meaning: 'a revocation of the platform\'s key may be missing',
  }, () => {
    verifyChain(pckCrlChain, { root, length: SIGNING_CHAIN, nowMs: rules.nowMs, authorityLeaf: true });
    verifyCrl(pckCrl, intermediate, rules.nowMs);
    return true;
  });
  if (pckOk === undefined) return undefined;
  const fresh = checks.attempt({
    name: 'pck-revocation', seen: () => 'neither PCK nor intermediate certificate is listed', wanted: 'certificates that are not revoked',
    meaning: 'Intel has withdrawn the platform\'s key or the authority above it',
  }, () => {
    verifyNotRevoked(leaf, pckCrl);
    verifyNotRevoked(intermediate, rootCrl);
    return true;
  });
  return fresh === undefined ? undefined : chain;
}

/** TCB info and QE identity: signer, signature over the raw text, window. */
function verifySigned(collateral: Collateral, rules: DcapRules, checks: CheckList): boolean {
  const parts = [['tcb-info', 'TCB info', collateral.tcbInfo], ['qe-identity', 'QE identity', collateral.qeIdentity]] as const;
  for (const [name, what, signed] of parts) {
    const ok = checks.attempt({
      name: `${name}-signature`, seen: () => `signed by "${signed.chain[0]?.subject.commonName ?? ''}"`, wanted: `a ${what} signed by Intel`,
      meaning: `the ${what} was changed or is not Intel's`,
    }, () => verifySignedText(signed, collateral, rules, what) ?? true);
    if (ok === undefined) return false;
    const { issuedMs, nextUpdateMs } = signed.value;
    const inWindow = checks.check(inside(signed.value, rules.nowMs), {
      name: `${name}-window`, seen: `${iso(issuedMs)} to ${iso(nextUpdateMs)}`, wanted: 'a window that includes now',
      meaning: `the ${what} is stale or from the future, and newer weaknesses may be missing in it`,
    });
    if (!inWindow) return false;
  }
  return true;
}

function verifySignedText(signed: SignedText<unknown>, collateral: Collateral, rules: DcapRules, what: string): void {
  verifyChain(signed.chain, { root: rules.root ?? INTEL_SGX_ROOT_CA, length: SIGNING_CHAIN, nowMs: rules.nowMs });
  const [signer] = signed.chain;
  if (signer === undefined) throw wrongRole('none', ROLE.signer);
  checkRole(signer, ROLE.signer);
  verifyNotRevoked(signer, collateral.rootCrl);
  if (!authorityVerifies(signer.key, 'ecdsa-sha256', signed.text, signed.signature, 'ieee-p1363')) {
    throw refused({ check: 'signature', seen: `a signature over the ${what} that does not verify`, wanted: 'one over its exact text', meaning: 'the text was changed' });
  }
}

/** TCB info and QE identity must be for this TEE, this FMSPC and this PCEID. */
function platformFacts({ body }: Quote, pckCertificate: X509, { tcbInfo, qeIdentity }: Collateral): PckFacts {
  const facts = parsePckFacts(pckCertificate);
  const wanted = body.tee === 'tdx' ? { info: 'TDX', qe: 'TD_QE' } : { info: 'SGX', qe: 'QE' };
  const pairs = [
    ['TCB info for', tcbInfo.value.id, wanted.info], ['QE identity for', qeIdentity.value.id, wanted.qe],
    ['TCB info for FMSPC', toHex(tcbInfo.value.fmspc), toHex(facts.fmspc)], ['TCB info for PCEID', toHex(tcbInfo.value.pceId), toHex(facts.pceId)],
  ] as const;
  for (const [what, seen, want] of pairs) {
    if (seen !== want) throw refused({ check: 'platform', seen: `${what} ${seen}`, wanted: want, meaning: 'it is about another platform' });
  }
  return facts;
}

/** The quoting enclave: its report is signed by the PCK key, vouches for the attestation key, and is Intel's own enclave. */
function verifyQe(quote: Quote, pckCertificate: X509, identity: QeIdentity, checks: CheckList): MatchedLevel | undefined {
  const { qeReport, qeReportSignature, attestationKey, qeAuthData } = quote;
  const signed = checks.check(verifiesWith(pckCertificate.key, 'ecdsa-sha256', qeReport.raw, qeReportSignature, 'ieee-p1363'), {
    name: 'qe-report-signature', seen: 'a signature over the quoting enclave\'s report', wanted: 'one by the PCK key',
    meaning: 'the report does not come from the platform that the certificate names',
  });
  if (!signed) return undefined;
  const digest = createHash('sha256').update(attestationKey).update(qeAuthData).digest();
  const vouched = checks.check(equalBytes(qeReport.reportData.subarray(0, digest.length), digest), {
    name: 'qe-report-data', seen: toHex(qeReport.reportData.subarray(0, digest.length)), wanted: `SHA-256 of attestation key and authentication data, ${toHex(digest)}`,
    meaning: 'the quoting enclave does not vouch for the key that signed the quote',
  });
  if (!vouched) return undefined;
  const intel = checks.attempt({
    name: 'qe-identity', seen: () => `MRSIGNER ${toHex(qeReport.mrSigner)}, product ${qeReport.isvProdId}`, wanted: 'Intel\'s quoting enclave, not in debug mode',
    meaning: 'another enclave could sign anything',
  }, () => checkQeIdentity(qeReport, identity) ?? true);
  if (intel === undefined) return undefined;
  return checks.attempt({
    name: 'qe-level', seen: ({ status }) => `ISVSVN ${qeReport.isvSvn}, ${status}`, wanted: 'a level that Intel lists', meaning: 'the quoting enclave is too old',
  }, () => matchQe(identity, qeReport.isvSvn));
}

function checkQeIdentity(report: EnclaveReport, identity: QeIdentity): void {
  const pairs = [
    ['MISCSELECT', toHex(masked(report.miscSelect, identity.miscSelectMask)), toHex(identity.miscSelect)],
    ['ATTRIBUTES', toHex(masked(report.attributes, identity.attributesMask)), toHex(identity.attributes)],
    ['MRSIGNER', toHex(report.mrSigner), toHex(identity.mrSigner)],
    ['ISVPRODID', String(report.isvProdId), String(identity.isvProdId)],
  ] as const;
  for (const [what, seen, wanted] of pairs) {
    if (seen !== wanted) throw refused({ check: 'qe-identity', seen: `${what} ${seen} of the quoting enclave`, wanted, meaning: 'it is not the enclave that Intel names' });
  }
}

const masked = (value: Uint8Array, mask: Uint8Array): Uint8Array => value.map((byte, index) => byte & (mask[index] ?? 0));

/** SubjectPublicKeyInfo of a P-256 key up to the two coordinates. */
const P256_SPKI_PREFIX = Buffer.from('3059301306072a8648ce3d020106082a8648ce3d03010703420004', 'hex');

function verifyQuoteSignature({ attestationKey, signedBytes, signature }: Quote, checks: CheckList): boolean {
  const key: SubjectKey = { kind: 'p256', spki: Buffer.concat([P256_SPKI_PREFIX, attestationKey]) };
  return checks.check(!isZero(attestationKey) && verifiesWith(key, 'ecdsa-sha256', signedBytes, signature, 'ieee-p1363'), {
    name: 'quote-signature', seen: `a signature over ${signedBytes.length} bytes of header and body`, wanted: 'one by the attestation key',
    meaning: 'the measurements or the report data were changed',
  });
}

const iso = (milliseconds: number): string => new Date(milliseconds).toISOString();

/** Both ends included, to the second. False for a time that is no number. */
function inside({ issuedMs, nextUpdateMs }: Window, nowMs: number): boolean {
  const now = Math.floor(nowMs / 1000) * 1000;
  return now >= issuedMs && now <= nextUpdateMs;
}

function expiryOf(chain: readonly X509[], { tcbInfo, qeIdentity, rootCrl, pckCrl, pckCrlChain }: Collateral): number {
  const certificates = [...chain, ...tcbInfo.chain, ...qeIdentity.chain, ...pckCrlChain];
  return earliest(
    ...certificates.map(({ notAfter }) => notAfter), rootCrl.nextUpdate, pckCrl.nextUpdate, tcbInfo.value.nextUpdateMs, qeIdentity.value.nextUpdateMs,
  );
}

function checkRole(certificate: X509, phrase: string): void {
  if (!certificate.subject.commonName.includes(phrase)) throw wrongRole(`"${certificate.subject.commonName}"`, `a common name with "${phrase}"`);
}

function wrongRole(seen: string, wanted: string): AttestationError {
  return refused({ check: 'chain-role', seen: `a certificate of ${seen}`, wanted, meaning: 'a certificate of one role must not stand in for another' });
}
