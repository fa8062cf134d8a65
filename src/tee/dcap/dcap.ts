// The verdict on Intel DCAP evidence: parse, verify, appraise, in that order (attestation checks list, "TDX" 1 to 9).
// A pure function of evidence, collateral, policy, time and binding; it fetches nothing and remembers nothing.
import { createHash } from 'node:crypto';
import { equalBytes, toHex } from '../../core/bytes.ts';
import { CheckList } from '../verdict.ts';
import type { Verdict } from '../verdict.ts';
import { appraise, SGX_CHECKS, TDX_CHECKS } from './appraise.ts';
import type { Binding } from './appraise.ts';
import { INTEL_SGX_ROOT_CA } from './intel-root.ts';
import { parseCollateral } from './parse-collateral.ts';
import { parseQuote } from './parse-quote.ts';
import type { DcapPolicy } from './policy.ts';
import type { Quote } from './quote.ts';
import { VERIFY_CHECKS, verifyQuote } from './verify.ts';
import type { DcapRules, VerifiedQuote } from './verify.ts';

export interface DcapInput extends DcapRules {
  /** Raw quote, at most 32768 bytes. */
  readonly quote: Uint8Array;
  /** Parsed JSON in the QuoteCollateralV3 shape. */
  readonly collateral: unknown;
  readonly policy: DcapPolicy;
  readonly binding?: Binding;
}

export interface DcapOutcome {
  readonly verdict: Verdict;
  /** The quote as parsed; null when it could not be. Not to be believed unless `verified` is there. */
  readonly quote: Quote | null;
  /** Null unless every check of the evidence itself passed. The verdict may still be a failure by policy. */
  readonly verified: VerifiedQuote | null;
}

/** Never throws on hostile evidence or collateral: what is wrong with it is in the verdict. */
export function judgeDcap({ quote: quoteBytes, collateral: collateralJson, policy, binding, ...rules }: DcapInput): DcapOutcome {
  const checks = new CheckList();
  if (rules.root !== undefined && !equalBytes(rules.root, INTEL_SGX_ROOT_CA)) {
    checks.info('trust-root', `SHA-256 ${sha256(rules.root)}`, 'the root is not Intel\'s: the verdict says nothing about real hardware');
  }
  const quote = checks.attempt({
    name: 'quote-format', seen: describe, wanted: 'a quote of version 3, 4 or 5 by Intel\'s quoting enclaves', meaning: 'it cannot be read exactly as specified',
  }, () => parseQuote(quoteBytes)) ?? null;
  const collateral = checks.attempt({
    name: 'collateral-format', seen: ({ tcbInfo }) => `TCB info for ${tcbInfo.value.id}, FMSPC ${toHex(tcbInfo.value.fmspc)}`, wanted: 'TCB info, QE identity, CRLs and their chains',
    meaning: 'what Intel says about the platform is missing or cannot be read',
  }, () => parseCollateral(collateralJson));
  const verified = quote === null || collateral === undefined ? null : verifyQuote(quote, collateral, rules, checks) ?? null;
  const untilMs = verified === null ? null : Math.min(verified.expiresAtMs, appraise(verified, policy, rules.nowMs, binding ?? {}, checks));
  if (quote !== null) checks.skipMissing(namesFor(quote, policy));
  return { verdict: checks.verdict(untilMs !== null && Number.isFinite(untilMs) ? untilMs : null), quote, verified };
}

/** Every check that a full verification of this quote makes. */
function namesFor({ body }: Quote, policy: DcapPolicy): string[] {
  const verification = VERIFY_CHECKS.filter((name) => body.tee === 'tdx' || name !== 'tdx-module');
  const accepted = body.tee === 'tdx' ? policy.tdx !== null : policy.sgx !== null;
  if (!accepted) return [...verification, 'evidence-kind'];
  return [...verification, ...(body.tee === 'tdx' ? TDX_CHECKS : SGX_CHECKS)];
}

function describe({ version, body, paddingBytes }: Quote): string {
  const kind = body.tee === 'sgx' ? 'SGX' : `TDX, TD ${body.report.later === null ? '1.0' : '1.5'}`;
  return `version ${version}, ${kind}${paddingBytes === 0 ? '' : `, ${paddingBytes} zero bytes of padding`}`;
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
