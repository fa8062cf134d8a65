// Judges everything that a file with evidence holds: certificate, CPU, GPUs, and that they belong together. A pure function
// of the file, collateral, policy, time and nonce. Each part keeps its own checks; together they give one overall result.
import { equalBytes, toHex } from '../core/bytes.ts';
import { verifyCertificate } from './certificate-verify.ts';
import { isFresh, gpuNonceOf } from './collect/freshness.ts';
import { judgeDcap } from './dcap/dcap.ts';
import { parseQuote } from './dcap/parse-quote.ts';
import type { VerifiedQuote } from './dcap/verify.ts';
import type { Collection, CpuPart, DcapPart, EvidenceFile, GpuPart, SimulatedPart, SnpPart, SnpTexts } from './evidence-file.ts';
import { parseCcel } from './event-log/ccel.ts';
import { checkReplay } from './event-log/replay.ts';
import type { Registers } from './event-log/replay.ts';
import { FORBIDDEN_IMAGE_HASHES, simulatedImageHash, tdxImageHash } from './image-hash.ts';
import { parseNvidiaBundle } from './nvidia/bundle.ts';
import { judgeNvidia } from './nvidia/judge.ts';
import type { NvidiaRoots } from './nvidia/roots.ts';
import type { Role } from './peer.ts';
import type { AttestationPolicy } from './policy-file.ts';
import { malformed } from './refusal.ts';
import { reportDataOf } from './report-data.ts';
import { verifySimulatedEvidence } from './simulated.ts';
import type { LocalNetwork } from './simulated.ts';
import { SNP_APPRAISE_CHECKS } from './snp/appraise.ts';
import { parseSnpCollateral } from './snp/bundle.ts';
import type { SnpCollateral } from './snp/bundle.ts';
import { judgeSnp } from './snp/judge.ts';
import type { SnpRoots } from './snp/products.ts';
import { SNP_VERIFY_CHECKS } from './snp/verify.ts';
import { CheckList, overallOf } from './verdict.ts';
import type { Check, Verdict } from './verdict.ts';

/** Roots in place of the manufacturers', for test PKIs. Absent ones stay the manufacturers'. */
export interface TrustRoots {
  /** DER of the certificate. */
  readonly intel?: Uint8Array;
  readonly amd?: SnpRoots;
  readonly nvidia?: NvidiaRoots;
}

/** Image hashes (lower-case hexadecimal) that a network allows, by role. */
export interface AllowedImages {
  /** For a person: which network. */
  readonly network: string;
  readonly proxy: readonly string[];
  readonly worker: readonly string[];
}

export interface JudgeInput {
  readonly file: EvidenceFile;
  /** Collateral that the file lacks, from elsewhere; see evidence-file-collateral.ts. */
  readonly fetched: FetchedCollateral;
  readonly policy: AttestationPolicy;
  /** Milliseconds since the Unix epoch. */
  readonly nowMs: number;
  /** The verifier's own random bytes that the evidence must contain; null: nobody asked. */
  readonly nonce: Uint8Array | null;
  readonly roots?: TrustRoots;
  /** The local network whose simulated evidence is accepted; null refuses all. */
  readonly local: LocalNetwork | null;
  /** Null: the policy alone decides on images. */
  readonly images: AllowedImages | null;
  /** True: simulated evidence of any image is accepted. For real evidence the policy says so. */
  readonly anySimulatedImage: boolean;
}

/** What the file lacks and somebody has fetched. Untrusted. */
export interface FetchedCollateral {
  readonly dcap?: unknown;
  readonly snp?: SnpTexts;
  /** `{ rims, ocsp }` of an NVIDIA bundle. */
  readonly nvidia?: unknown;
}

export type PartKind = 'certificate' | 'tdx' | 'sgx' | 'dcap' | 'sev-snp' | 'simulated' | 'none' | 'nvidia' | 'event-log' | 'binding';

export interface JudgedPart {
  readonly kind: PartKind;
  readonly verdict: Verdict;
  /** For machines: what the evidence states. Not to be believed unless everything passes. */
  readonly facts: Readonly<Record<string, string | number | readonly string[] | null>>;
}

export interface CombinedVerdict extends Verdict {
  readonly parts: readonly JudgedPart[];
  /** Hexadecimal image hash of the CPU's evidence; null where there is none. */
  readonly imageHash: string | null;
}

/** Never throws on hostile evidence: whatever is wrong with it is a failed check. */
export function judgeEvidence(input: JudgeInput): CombinedVerdict {
  const { file } = input;
  const judged: (JudgedPart & { readonly imageHash?: string | null })[] = [];
  if (file.certificate !== null) judged.push(judgeCertificate(file.certificate, input));
  if (file.cpu !== null) judged.push(judgeCpu(file.cpu, input));
  if (file.gpu !== null) judged.push(judgeGpu(file.gpu, input));
  else if ((input.policy.nvidia?.gpuCount ?? 0) > 0) judged.push(missingGpu());
  if (file.certificate !== null && input.nonce !== null) judged.push(nonceOfCertificate());
  if (file.collection !== null && file.collection.eventLog !== null) judged.push(judgeEventLog(file.collection.eventLog.log, file.cpu));
  if (file.collection !== null) judged.push(judgeBinding(file.collection, file, input));
  const parts = judged.map(({ kind, verdict, facts }) => ({ kind, verdict, facts }));
  const checks = parts.flatMap(({ verdict }) => verdict.checks);
  const ends = parts.filter(({ kind }) => kind !== 'binding' && kind !== 'event-log').map(({ verdict }) => verdict.expiresAtMs);
  const known = ends.filter((end) => end !== null);
  return {
    overall: overallOf(checks), checks, expiresAtMs: known.length === ends.length && known.length > 0 ? Math.min(...known) : null,
    parts, imageHash: judged.map(({ imageHash }) => imageHash ?? null).find((hash) => hash !== null) ?? null,
  };
}

function judgeCertificate(certificate: NonNullable<EvidenceFile['certificate']>, { nowMs }: JudgeInput): JudgedPart {
  const checks = new CheckList();
  const publicKey = toHex(certificate.publicKey);
  checks.attempt({
    name: 'certificate', wanted: 'an Ed25519 certificate signed by its own key and valid now', meaning: 'nobody shows to hold the key of the certificate now',
    seen: (passed) => [`key ${publicKey}`, ...passed.filter(({ name }) => name === 'validity').map(({ detail }) => detail)].join(', '),
  }, () => verifyCertificate(certificate, nowMs));
  return { kind: 'certificate', verdict: checks.verdict(certificate.notAfter), facts: { tlsPublicKey: publicKey } };
}

type JudgedCpu = JudgedPart & { readonly imageHash: string | null };

function judgeCpu(part: CpuPart, input: JudgeInput): JudgedCpu {
  switch (part.kind) {
    case 'dcap': return judgeDcapPart(part, input);
    case 'sev-snp': return judgeSnpPart(part, input);
    case 'simulated': return judgeSimulated(part, input);
    case 'none': {
      const checks = new CheckList();
      checks.check(false, { name: 'evidence', seen: part.seen, wanted: 'evidence in critical extensions', meaning: 'nothing shows what the peer runs' });
      return { kind: 'none', verdict: checks.verdict(null), facts: {}, imageHash: null };
    }
  }
}

function judgeDcapPart(part: DcapPart, input: JudgeInput): JudgedCpu {
  const { policy, nowMs, nonce, roots = {}, fetched } = input;
  const { verdict, quote, verified } = judgeDcap({
    quote: part.quote, collateral: part.collateral ?? fetched.dcap, policy: policy.dcap, nowMs, ...(roots.intel !== undefined && { root: roots.intel }),
    // A key in the file takes the whole report data: a nonce is then bound otherwise (judgeBinding) or not at all.
    binding: part.reportData !== null ? { reportData: part.reportData } : nonce === null ? {} : { nonce },
  });
  const { body } = quote ?? {};
  const imageHash = body?.tee === 'tdx' ? toHex(tdxImageHash(body.report)) : null;
  return {
    kind: body?.tee ?? 'dcap', imageHash, verdict: body?.tee === 'tdx' ? withNetwork(verdict, imageHash, null, input) : verdict,
    facts: { imageHash, ...(body === undefined ? {} : { reportData: toHex(body.report.reportData) }), ...(body?.tee === 'sgx' ? { mrEnclave: toHex(body.report.mrEnclave) } : {}), ...tcbFacts(verified) },
  };
}

const tcbFacts = (verified: VerifiedQuote | null): JudgedPart['facts'] =>
  (verified === null ? {} : { tcbStatus: verified.status, advisories: verified.advisories, fmspc: toHex(verified.pck.fmspc), ppid: toHex(verified.pck.ppid) });

function judgeSnpPart(part: SnpPart, input: JudgeInput): JudgedCpu {
  const { policy, nowMs, nonce, roots = {}, fetched } = input;
  const checks = new CheckList();
  const none = (): JudgedCpu => {
    checks.skipMissing(['parse', ...SNP_VERIFY_CHECKS, ...SNP_APPRAISE_CHECKS]);
    return { kind: 'sev-snp', verdict: checks.verdict(null), facts: {}, imageHash: null };
  };
  const { snp } = policy;
  if (snp === null) {
    checks.check(false, { name: 'evidence-kind', seen: 'SEV-SNP', wanted: 'a kind that the policy accepts', meaning: 'the policy is for other hardware' });
    return none();
  }
  const texts = part.collateral ?? fetched.snp;
  const collateral = checks.attempt({
    name: 'collateral-format', wanted: 'VCEK or VLEK, ASK or ASVK, ARK and a revocation list', meaning: 'what AMD says about the chip is missing or cannot be read',
    seen: ({ vek, ask, ark }) => [vek, ask, ark].map(({ subject }) => subject.commonName).join(' < '),
  }, () => parsedTexts(texts ?? { vek: part.vek ?? '', cert_chain: '', crl: '' }));
  if (collateral === undefined) return none();
  const reportData = part.reportData ?? (nonce === null ? null : padded(nonce));
  const judged = judgeSnp({ report: part.report, collateral, policy: snp, nowMs, reportData, ...(roots.amd !== undefined && { roots: roots.amd }) });
  const { verdict, report, imageHash: hash } = judged;
  const imageHash = hash === null ? null : toHex(hash);
  const all = { ...verdict, checks: [...checks.verdict(null).checks, ...verdict.checks] };
  return {
    kind: 'sev-snp', imageHash, verdict: withNetwork(all, imageHash, null, input),
    facts: { imageHash, ...(report === null ? {} : { measurement: toHex(report.measurement), reportData: toHex(report.reportData), chipId: toHex(report.chipId) }), product: judged.vek?.product ?? null },
  };
}

/** The same texts are parsed once, so that chains that were verified need not be verified again. */
const parsedCollateral = new WeakMap<SnpTexts, SnpCollateral>();

function parsedTexts(texts: SnpTexts): SnpCollateral {
  const known = parsedCollateral.get(texts) ?? parseSnpCollateral(texts);
  parsedCollateral.set(texts, known);
  return known;
}

const REPORT_DATA_BYTES = 64;

/** A nonce as report data: followed by zero bytes. */
function padded(nonce: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(REPORT_DATA_BYTES);
  bytes.set(nonce.subarray(0, REPORT_DATA_BYTES));
  return bytes;
}

function judgeSimulated({ evidence, publicKey }: SimulatedPart, input: JudgeInput): JudgedCpu {
  const { local } = input;
  const checks = new CheckList();
  const none = (): JudgedCpu => ({ kind: 'simulated', verdict: checks.verdict(null), facts: {}, imageHash: null });
  if (local === null) {
    checks.check(false, { name: 'evidence-kind', seen: 'simulated evidence', wanted: 'evidence of real hardware', meaning: 'a simulation proves nothing outside the local network that made it' });
    return none();
  }
  const fields = checks.attempt({
    name: 'simulated-evidence', wanted: `evidence signed by the key of the local network ${toHex(local.networkPublicKey)}`, meaning: 'the peer does not belong to this local network',
    seen: ({ role }) => `simulated evidence of a ${role}; no hardware is involved`,
  }, () => verifySimulatedEvidence(evidence, local));
  if (fields === undefined) return none();
  const bound = reportDataOf(publicKey);
  checks.check(equalBytes(fields.reportData, bound), {
    name: 'report-data', seen: toHex(fields.reportData), wanted: `SHA-512 of the TLS key, ${toHex(bound)}`, meaning: 'the evidence was made for another key and may have been copied',
  });
  const { role } = fields;
  const imageHash = toHex(simulatedImageHash(fields.measurement));
  return {
    kind: 'simulated', imageHash, verdict: withNetwork(checks.verdict(input.file.certificate?.notAfter ?? null), imageHash, role, input),
    facts: { imageHash, role, reportData: toHex(fields.reportData) },
  };
}

/** The check against a network's lists, where they were asked for; simulated evidence has no other judge of its image. */
function withNetwork(verdict: Verdict, imageHash: string | null, role: Role | null, { images, anySimulatedImage }: JudgeInput): Verdict {
  if (imageHash === null || (images === null && role === null)) return verdict;
  const checks = new CheckList();
  const text = { name: 'network-image', seen: imageHash, meaning: 'the network does not list this program' };
  const nothing = FORBIDDEN_IMAGE_HASHES.get(imageHash);
  if (nothing !== undefined) checks.check(false, { ...text, wanted: 'the hash of a measured image', meaning: `it stands for ${nothing}` });
  else if (images === null) {
    if (anySimulatedImage) checks.waive({ ...text, wanted: 'any' });
    else checks.skip({ ...text, wanted: 'a list of allowed images' });
  } else {
    const roles = (role === null ? ['proxy', 'worker'] as const : [role]).filter((one) => images[one].includes(imageHash));
    const count = role === null ? images.proxy.length + images.worker.length : images[role].length;
    checks.check(roles.length > 0, { ...text, seen: `${imageHash}${roles.length === 0 ? '' : `, listed for a ${roles.join(' and a ')}`}`, wanted: `one of the ${count} images that ${images.network} allows` });
  }
  const all: readonly Check[] = [...verdict.checks, ...checks.verdict(null).checks];
  return { overall: overallOf(all), checks: all, expiresAtMs: verdict.expiresAtMs };
}

function judgeGpu({ bundle }: GpuPart, input: JudgeInput): JudgedPart {
  const { policy, nowMs, roots = {}, fetched, nonce, file: { collection } } = input;
  const checks = new CheckList();
  const done = (verdict: Verdict | null): JudgedPart => {
    const all = [...checks.verdict(null).checks, ...verdict?.checks ?? []];
    return { kind: 'nvidia', verdict: { overall: overallOf(all), checks: all, expiresAtMs: verdict?.expiresAtMs ?? null }, facts: {} };
  };
  if (policy.nvidia === null) {
    checks.check(false, { name: 'evidence-kind', seen: 'NVIDIA devices', wanted: 'a kind that the policy accepts', meaning: 'the policy is for other hardware' });
    return done(null);
  }
  const parsed = checks.attempt({
    name: 'bundle-format', wanted: 'devices, manifests and OCSP answers', meaning: 'evidence or what NVIDIA says about it is missing or cannot be read',
    seen: ({ devices, collateral }) => `${devices.length} devices, ${collateral.manifests.length} manifests, ${collateral.ocsp.length} OCSP answers`,
  }, () => parseNvidiaBundle('collateral' in bundle ? bundle : { ...bundle, collateral: fetched.nvidia }));
  if (parsed === undefined) return done(null);
  const { verdict, devices } = judgeNvidia({
    ...parsed, policy: policy.nvidia, nowMs, ...(roots.nvidia !== undefined && { roots: roots.nvidia }),
    nonce: collection === null ? nonce : gpuNonceOf(collection.nonce, collection.publicKey),
  });
  return { ...done(verdict), facts: { devices: devices.map(({ chip, identity }) => `${chip} ${identity}`) } };
}

function missingGpu(): JudgedPart {
  const checks = new CheckList();
  checks.skip({ name: 'gpu-evidence', seen: 'none', wanted: 'evidence of the GPUs that the policy counts', meaning: 'nothing shows on which GPUs prompts are processed' });
  return { kind: 'nvidia', verdict: checks.verdict(null), facts: {} };
}

/** That the event log is the one of the guest whose registers the quote shows. Runtime events in RTMR3 are not in this log. */
function judgeEventLog(log: Uint8Array, cpu: CpuPart | null): JudgedPart {
  const checks = new CheckList();
  const events = checks.attempt({
    name: 'event-log', wanted: 'a log of measured events', meaning: 'nothing says what the registers are made of', seen: (found) => `${found.length} measured events`,
  }, () => parseCcel(log));
  const report = events === undefined ? undefined : checks.attempt({
    name: 'event-log-quote', wanted: 'a quote of a TDX guest', meaning: 'there are no registers to compare the log with', seen: () => 'registers of a TDX guest',
  }, () => registersOf(cpu));
  if (events !== undefined && report !== undefined) checkReplay(events, report, ['rtmr0', 'rtmr1', 'rtmr2'], checks);
  return { kind: 'event-log', verdict: checks.verdict(null), facts: {} };
}

function registersOf(cpu: CpuPart | null): Registers {
  const body = cpu?.kind === 'dcap' ? parseQuote(cpu.quote).body : null;
  if (body?.tee !== 'tdx') throw malformed('the evidence with an event log is not that of a TDX guest');
  return body.report;
}

/** That all of one collection was made by the owner of its key, for the verifier's nonce. */
function judgeBinding({ publicKey, nonce: stated, signature, devices, system }: Collection, { cpu }: EvidenceFile, { nonce }: JudgeInput): JudgedPart {
  const checks = new CheckList();
  const bytes = cpu?.kind === 'dcap' ? cpu.quote : cpu?.kind === 'sev-snp' ? cpu.report : new Uint8Array(0);
  const collected = { cpu: bytes, devices: devices.map(({ evidence, certificate }) => ({ arch: '', nonce: '', evidence, certificate })), system };
  checks.check(isSigned(() => isFresh(publicKey, stated, collected, signature)), {
    name: 'freshness-signature', seen: `a signature over nonce, CPU evidence and ${devices.length} devices${system === null ? '' : ' with their mode'}`, wanted: `one by the key ${toHex(publicKey)}`,
    meaning: 'the parts were not collected together by the owner of the key',
  });
  if (nonce === null) checks.info('nonce', toHex(stated), 'nobody asked with a nonce of their own: the evidence may be an old one');
  else checks.check(equalBytes(stated, nonce), { name: 'nonce', seen: toHex(stated), wanted: toHex(nonce), meaning: 'the evidence was made before this question was asked' });
  return { kind: 'binding', verdict: checks.verdict(null), facts: { tlsPublicKey: toHex(publicKey), nonce: toHex(stated) } };
}

/** OpenSSL throws on some byte strings that are no point of the curve: such a key has signed nothing. */
function isSigned(verify: () => boolean): boolean {
  try {
    return verify();
  } catch {
    return false;
  }
}

/** Report data of a certificate is the hash of its key and has no room for a nonce. */
function nonceOfCertificate(): JudgedPart {
  const checks = new CheckList();
  checks.skip({ name: 'nonce', seen: 'a certificate, whose report data is the hash of its key', wanted: 'evidence that was made for the nonce', meaning: 'nothing shows that the evidence is a fresh one' });
  return { kind: 'binding', verdict: checks.verdict(null), facts: {} };
}
