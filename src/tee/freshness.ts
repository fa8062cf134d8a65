// Judges the answer to a challenge for a peer whose certificate has been verified (fresh-attestation.ts, point 4). What evidence
// of its family must prove is the caller's; here is what every family must: this connection, this question, this key, the
// same image, GPUs where the policy demands them.
import { equalBytes, toHex } from '../core/bytes.ts';
import { checkFreshAnswer, freshReportData } from './fresh-attestation.ts';
import type { FreshEvidence, FreshQuestion } from './fresh-attestation.ts';
import type { PassedCheck, PeerFreshness } from './peer.ts';
import { refused } from './refusal.ts';
import type { Shown } from './standing.ts';

/** `prefer`: a peer that cannot be asked is accepted and the lack is shown. `require`: it is refused. */
export type FreshnessRule = 'require' | 'prefer';

/** What fresh evidence of the CPU says, once it is known to be genuine. */
export interface JudgedFresh {
  /** 32 bytes. */
  readonly imageHash: Uint8Array;
  readonly checks: readonly PassedCheck[];
  /** To be judged again while the connection lasts. */
  readonly shown: Shown;
}

export interface FreshnessRules {
  readonly rule: FreshnessRule;
  readonly family: FreshEvidence['family'];
  /** Of the certificate's evidence. */
  readonly imageHash: Uint8Array;
  /** True where a peer without GPU evidence is refused. */
  readonly demandsGpus: boolean;
  /** Judges evidence that must be about exactly this report data. Rejects with AttestationError for anything else. */
  judge(evidence: FreshEvidence, reportData: Uint8Array, signal: AbortSignal): Promise<JudgedFresh>;
  /** Judges GPUs by the bundle and the verifier's nonce. */
  judgeGpus(gpus: Uint8Array, question: FreshQuestion, signal: AbortSignal): Promise<Pick<JudgedFresh, 'checks' | 'shown'>>;
  /** Gets every check that was made. */
  record(checks: readonly PassedCheck[]): void;
  /** Gets what is to be judged again. */
  keep(shown: Shown): void;
}

export function createFreshness(rules: FreshnessRules): PeerFreshness {
  return {
    async verify(answer, question, signal) {
      checkFreshAnswer(answer);
      const { evidence, gpus } = answer;
      if (evidence.family !== rules.family) {
        throw refused({
          check: 'fresh-family', seen: `fresh evidence of the family ${evidence.family}`, wanted: `${rules.family}, as in the certificate`,
          meaning: 'certificate and fresh evidence are those of two machines',
        });
      }
      if (gpus.length === 0 && rules.demandsGpus) throw missingGpus('none');
      const judged = await rules.judge(evidence, freshReportData(question, gpus), signal);
      if (!equalBytes(judged.imageHash, rules.imageHash)) {
        throw refused({
          check: 'fresh-image', seen: `image hash ${toHex(judged.imageHash)}`, wanted: `that of the certificate, ${toHex(rules.imageHash)}`,
          meaning: 'the program has changed since its certificate was made, or it is another machine',
        });
      }
      const gpu = gpus.length === 0 ? null : await rules.judgeGpus(gpus, question, signal);
      rules.record([
        ...judged.checks, ...gpu?.checks ?? [],
        { name: 'freshness', detail: `evidence made for this connection${gpu === null ? '' : ', together with that of the GPUs'}` },
      ]);
      rules.keep(judged.shown);
      if (gpu !== null) rules.keep(gpu.shown);
    },
    notShown(why) {
      if (rules.demandsGpus) throw missingGpus(`none, because ${why}`);
      if (rules.rule === 'require') {
        throw refused({
          check: 'freshness', seen: `no evidence made for this connection: ${why}`, wanted: 'an answer to a challenge',
          meaning: 'nothing shows that the evidence is of now and of the machine at the other end',
          hint: 'Ask the operator of the peer for a newer version, or set attest.freshness to prefer.',
        });
      }
      rules.record([{ name: 'freshness', detail: `not shown: ${why}; the evidence may be as old as the certificate`, info: true }]);
    },
  };
}

const missingGpus = (seen: string): Error => refused({
  check: 'gpu-evidence', seen, wanted: 'evidence of the GPUs that the policy counts', meaning: 'nothing shows on which GPUs prompts are processed',
});

/** The refusal of fresh evidence that is about other report data: made for another question, session, key or set of GPUs. */
export function checkFreshReportData(seen: Uint8Array, wanted: Uint8Array): void {
  if (equalBytes(seen, wanted)) return;
  throw refused({
    check: 'freshness', seen: `report data ${toHex(seen)}`, wanted: `${toHex(wanted)}, made of this nonce, TLS key, TLS session and GPU evidence`,
    meaning: 'the evidence was made for another question or connection and may have been relayed from another machine',
  });
}
