// Judges evidence of peers while they wait: cheap checks first, then collateral (held for all, fetched for none who could not
// be genuine), then the pure verifiers, a few at a time. Verdicts that passed are remembered by evidence, binding, policy,
// collateral, roots and the state of the network's lists, until the earliest next update. Nothing but a pass is accepted.
import type { Clock } from '../../core/clock.ts';
import { abortError } from '../../core/deadline.ts';
import { AttestationError } from '../../core/errors.ts';
import { productOfVek, snpAuthorityDocuments, snpQuestionOf } from '../collateral/amd.ts';
import { assembleDcapCollateral, dcapDocuments, dcapQuestionOf } from '../collateral/intel.ts';
import type { IntelService } from '../collateral/intel.ts';
import { field } from '../collateral/document.ts';
import type { DocumentSpec } from '../collateral/document.ts';
import type { CollateralSource } from '../collateral/source.ts';
import { judgeDcap } from '../dcap/dcap.ts';
import { parseQuote } from '../dcap/parse-quote.ts';
import { checkProvenance } from '../dcap/provenance.ts';
import type { TrustRoots } from '../evidence-file-judge.ts';
import type { FreshEvidence } from '../fresh-attestation.ts';
import { sevImageHash, tdxImageHash } from '../image-hash.ts';
import type { PassedCheck } from '../peer.ts';
import type { TeeFamily } from '../policy.ts';
import { malformed } from '../refusal.ts';
import { parseSnpCollateral } from '../snp/bundle.ts';
import type { SnpCollateralTexts } from '../snp/bundle.ts';
import { judgeSnp } from '../snp/judge.ts';
import { parseSnpReport } from '../snp/parse-report.ts';
import { CheckList, refusalOf } from '../verdict.ts';
import type { Check, Verdict } from '../verdict.ts';
import { VerdictCache, verdictKey } from '../verdict-cache.ts';
import { judgeGpus } from './gpus.ts';
import type { GpuQuestion } from './gpus.ts';
import { HeldCollateral } from './held-collateral.ts';
import type { Assemble } from './held-collateral.ts';
import type { LivePolicy } from './live-policy.ts';
import { SharedWork } from './shared-work.ts';
import { Turnstile } from './turnstile.ts';

/** Together about a quarter of a second of one core; half-open connections are as many at most (listen.ts). */
const MAX_WAITING = 1024;
const AT_ONCE = 1;
const MAX_KNOWN_QUESTIONS = 4096;

export interface JudgePorts {
  readonly clock: Clock;
  readonly source: CollateralSource;
  readonly intel?: IntelService;
  readonly policy: LivePolicy;
  /** In place of the manufacturers'; shown as an info check. */
  readonly roots?: TrustRoots;
}

export interface HardwareRequest {
  readonly evidence: Extract<FreshEvidence, { family: TeeFamily }>;
  /** The exact 64 bytes that the evidence must be about. */
  readonly reportData: Uint8Array;
  /** Compares them with those that the evidence states, before anything is fetched; the refusal says what they stand for. Throws to refuse. */
  checkReportData(stated: Uint8Array, wanted: Uint8Array): void;
  /** Checks the image that the evidence states, before anything is fetched, and again for a verdict that is remembered. Throws to refuse. */
  admit(imageHash: Uint8Array): void;
  /** Names the state of the lists that `admit` looks at. */
  readonly generation: string;
}

export interface HardwareJudgement {
  readonly kind: TeeFamily;
  readonly imageHash: Uint8Array;
  readonly verdict: Verdict;
  /** Milliseconds since the Unix epoch. */
  readonly expiresAtMs: number;
}

/** One family's evidence, parsed, with what it needs. */
interface Prepared {
  readonly kind: TeeFamily;
  readonly reportData: Uint8Array;
  readonly imageHash: Uint8Array;
  /** Names the collateral. */
  readonly question: string;
  readonly assemble: Assemble<unknown>;
  /** Throws AttestationError for evidence that nobody genuine could show; made before anything is fetched. */
  checkProvenance(): void;
  judge(collateral: unknown, nowMs: number): Verdict;
}

export class EvidenceJudge {
  readonly #ports: JudgePorts;
  readonly #held: HeldCollateral;
  readonly #turnstile = new Turnstile({ atOnce: AT_ONCE, waiting: MAX_WAITING, what: 'a verification' });
  readonly #running = new SharedWork<HardwareJudgement>(MAX_WAITING, 'a verification');
  readonly #verdicts = new VerdictCache<HardwareJudgement>();
  /** Question of evidence that has been prepared before, so that a remembered verdict costs no parsing. */
  readonly #questions = new Map<string, { readonly question: string; readonly imageHash: Uint8Array }>();
  /** Policy and roots, for keys of verdicts. */
  readonly #rules: string;
  /** Verifications made, without those that were remembered. */
  verifications = 0;

  constructor(ports: JudgePorts) {
    this.#ports = ports;
    this.#held = new HeldCollateral(ports.source, ports.clock);
    const { policy, roots } = ports;
    this.#rules = verdictKey(policy.text, roots === undefined ? '' : JSON.stringify([Buffer.from(roots.intel ?? []).toString('base64'), roots.amd ?? null, roots.nvidia ?? null]));
  }

  /**
   * Throws AttestationError for the first check that did not pass, NetworkError E_COLLATERAL when collateral cannot be had,
   * E_BUSY when too many wait, what `admit` throws, or the signal's reason.
   */
  async judge(request: HardwareRequest, signal: AbortSignal): Promise<HardwareJudgement> {
    if (signal.aborted) throw abortError(signal);
    const evidenceKey = this.#keyOf(request);
    const remembered = this.#remembered(evidenceKey);
    if (remembered !== null) {
      request.admit(remembered.imageHash);
      return remembered;
    }
    const prepared = this.#prepare(request);
    request.checkReportData(prepared.reportData, request.reportData);
    request.admit(prepared.imageHash);
    return this.#running.join(evidenceKey, () => this.#judge(evidenceKey, prepared), signal);
  }

  /** The verdict on GPUs whose evidence is bound to that of a CPU that has passed. Errors as of `judge`. */
  judgeGpus(question: GpuQuestion, signal: AbortSignal): Promise<Verdict> {
    const { clock, policy, roots } = this.#ports;
    return judgeGpus(question, {
      held: this.#held, clock, policy: policy.policy.nvidia, roots: roots?.nvidia, turn: (work) => this.#turnstile.pass(work, signal),
    }, signal);
  }

  /** True where the policy says how many GPUs there must be. */
  get demandsGpus(): boolean {
    return (this.#ports.policy.policy.nvidia?.gpuCount ?? 0) > 0;
  }

  /** Forgets every verdict; collateral stays. */
  forget(): void {
    this.#verdicts.clear();
  }

  /** Forgets everything. */
  clear(): void {
    this.forget();
    this.#questions.clear();
    this.#held.clear();
  }

  #remembered(evidenceKey: string): HardwareJudgement | null {
    const known = this.#questions.get(evidenceKey);
    const digest = known === undefined ? null : this.#held.digest(known.question);
    return digest === null ? null : this.#verdicts.get(verdictKey(evidenceKey, digest), this.#ports.clock.now());
  }

  async #judge(evidenceKey: string, prepared: Prepared): Promise<HardwareJudgement> {
    if (this.#held.digest(prepared.question) === null) await this.#turnstile.pass(() => prepared.checkProvenance());
    const { value, digest } = await this.#held.get(prepared.question, prepared.assemble);
    return this.#turnstile.pass(() => {
      const { clock } = this.#ports;
      this.verifications += 1;
      const verdict = prepared.judge(value, clock.now());
      const refusal = refusalWithHint(verdict);
      if (refusal !== null) throw refusal;
      const { kind, imageHash } = prepared;
      if (verdict.expiresAtMs === null) throw malformed('the verdict has no end, expected the next update of its collateral');
      const judgement = { kind, imageHash, verdict, expiresAtMs: verdict.expiresAtMs };
      this.#verdicts.set(verdictKey(evidenceKey, digest), judgement, clock.now());
      this.#note(evidenceKey, prepared);
      return judgement;
    });
  }

  #note(evidenceKey: string, { question, imageHash }: Prepared): void {
    this.#questions.set(evidenceKey, { question, imageHash });
    for (const oldest of this.#questions.keys()) {
      if (this.#questions.size <= MAX_KNOWN_QUESTIONS) break;
      this.#questions.delete(oldest);
    }
  }

  #keyOf({ evidence, reportData, generation }: HardwareRequest): string {
    const bytes = evidence.family === 'tdx' ? [evidence.quote] : [evidence.report, evidence.vek];
    return verdictKey(evidence.family, ...bytes, reportData, this.#rules, generation);
  }

  #prepare({ evidence, reportData }: HardwareRequest): Prepared {
    return evidence.family === 'tdx' ? prepareTdx(evidence.quote, reportData, this.#ports) : prepareSnp(evidence.report, evidence.vek, reportData, this.#ports);
  }
}

const questionText = (documents: readonly DocumentSpec[]): string => documents.map(({ id, request }) => `${id} ${request.url}`).join('\n');

function prepareTdx(bytes: Uint8Array, reportData: Uint8Array, { clock, intel = {}, policy, roots = {} }: JudgePorts): Prepared {
  const quote = parseQuote(bytes);
  if (quote.body.tee !== 'tdx') throw malformed('the evidence has a quote of an SGX enclave, expected one of a TDX guest');
  const asked = dcapQuestionOf(quote);
  const root = roots.intel === undefined ? {} : { root: roots.intel };
  return {
    kind: 'tdx', reportData: quote.body.report.reportData, imageHash: tdxImageHash(quote.body.report), question: questionText(dcapDocuments(asked, intel)),
    assemble: (source) => assembleDcapCollateral(source, asked, intel),
    checkProvenance: () => checkProvenance(quote, { nowMs: clock.now(), ...root }),
    judge: (collateral, nowMs) => judgeDcap({ quote: bytes, collateral, policy: policy.policy.dcap, nowMs, binding: { reportData }, ...root }).verdict,
  };
}

/** The chip key comes with the evidence; what is asked for is the same for every chip of a product. */
function prepareSnp(bytes: Uint8Array, vekPem: Uint8Array, reportData: Uint8Array, { policy: { policy }, roots = {} }: JudgePorts): Prepared {
  const report = parseSnpReport(bytes);
  const vek = Buffer.from(vekPem).toString('latin1');
  const documents = snpAuthorityDocuments(snpQuestionOf(report, productOfVek(vek)));
  return {
    kind: 'sev-snp', reportData: report.reportData, imageHash: sevImageHash(report.measurement), question: questionText(documents),
    assemble: async (source): Promise<Pick<SnpCollateralTexts, 'cert_chain' | 'crl'>> => {
      const [chain, crl] = await source.get(documents);
      return { cert_chain: field(chain ?? {}, 'cert_chain', 'the collateral of the report'), crl: field(crl ?? {}, 'crl', 'the collateral of the report') };
    },
    // Whatever a report says, there are a handful of authorities to ask about.
    checkProvenance: () => undefined,
    judge(collateral, nowMs) {
      const checks = new CheckList();
      if (policy.snp === null) {
        checks.check(false, { name: 'evidence-kind', seen: 'SEV-SNP', wanted: 'a kind that the policy accepts', meaning: 'the policy is for other hardware' });
        return checks.verdict(null);
      }
      const parsed = checks.attempt({
        name: 'collateral-format', wanted: 'VCEK or VLEK, ASK or ASVK, ARK and a revocation list', meaning: 'what AMD says about the chip is missing or cannot be read',
        seen: (found) => [found.vek, found.ask, found.ark].map(({ subject }) => subject.commonName).join(' < '),
      }, () => parseSnpCollateral({ ...collateral as Pick<SnpCollateralTexts, 'cert_chain' | 'crl'>, vek }));
      if (parsed === undefined) return checks.verdict(null);
      return judgeSnp({ report: bytes, collateral: parsed, policy: policy.snp, nowMs, reportData, ...(roots.amd !== undefined && { roots: roots.amd }) }).verdict;
    },
  };
}

const HINTS: Readonly<Record<string, string>> = {
  'minimum-tcb': 'name the least TCB of the processor in a policy file (`cocoon attest policy init FILE`, setting attest.policy)',
};

/** The refusal for what is not a pass, with what the user can do about a check that only a policy can decide. */
function refusalWithHint(verdict: Verdict): AttestationError | null {
  const refusal = refusalOf(verdict);
  const first = verdict.checks.find(({ required, result }) => required && result === (verdict.overall === 'fail' ? 'fail' : 'skip'));
  const hint = first?.result === 'skip' ? HINTS[first.name] : undefined;
  return refusal === null || hint === undefined ? refusal : new AttestationError(refusal.code, refusal.message, { hint });
}

/** What passed and what is only for the reader, as a peer's checks; a waived check is shown as not judged. */
export function passedChecks(checks: readonly Check[]): PassedCheck[] {
  return checks.flatMap(({ name, result, seen, wanted }): PassedCheck[] => {
    if (result === 'pass') return [{ name, detail: seen }];
    return [{ name, detail: result === 'info' ? seen : `${seen} (not judged: ${wanted})`, info: true }];
  });
}
