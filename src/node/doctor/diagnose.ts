// Runs every check at once, each in its own time, and puts the findings in order. A check that throws could not be made: that is a
// SKIP with the error's own words, or a FAIL where the error says what is wrong here. Nothing that a network does not ask for is a
// failure on it; the verdict for networks with hardware attestation is told beside it.
import { setMaxListeners } from 'node:events';
import { withDeadline } from '../../core/deadline.ts';
import { asCocoonError, ConfigError, FundsError, NetworkError } from '../../core/errors.ts';
import { CHAIN } from './chain.ts';
import { fail, GROUPS, skip } from './check.ts';
import { ENGINE } from './engine.ts';
import { GPU } from './gpu.ts';
import { HARDWARE } from './hardware.ts';
import { KERNEL } from './kernel.ts';
import { findKnown } from './known-messages.ts';
import { NETWORK } from './network.ts';
import type { Check, Examined, Finding, Group, NamedOutcome, Outcome } from './check.ts';

const CHECKS: Readonly<Record<Group, readonly Check[]>> = { hardware: HARDWARE, 'kernel and QEMU': KERNEL, GPU, engine: ENGINE, network: NETWORK, chain: CHAIN };
/** Of one check: its own parts are bounded by less. */
const CHECK_TIMEOUT_MS = 9_000;

export type Verdict = 'ready' | 'not ready' | 'incomplete';

export interface Diagnosis {
  readonly network: string;
  readonly role: Examined['role'];
  readonly findings: readonly Finding[];
  /** For the network in use. */
  readonly verdict: Verdict;
  /** For any network whose peers are judged by hardware evidence. */
  readonly attestedVerdict: Verdict;
}

/** Examines a machine. Throws only the signal's reason. */
export async function diagnose(examined: Examined): Promise<Diagnosis> {
  // Every check listens, which is no leak.
  setMaxListeners(0, examined.signal);
  const all = await Promise.all(GROUPS.flatMap((group) => CHECKS[group].filter(({ roles }) => roles === undefined || roles.includes(examined.role)).map((check) => findingsOf(check, group, examined))));
  examined.signal.throwIfAborted();
  const judged = all.flat();
  const { attested, name } = examined.chain;
  const findings = judged.map((finding) => (attested || !finding.attestationOnly || finding.status === 'PASS' ? finding : waived(finding)));
  return { network: name, role: examined.role, findings, verdict: verdictOf(findings), attestedVerdict: verdictOf(judged.filter(({ group }) => attested || (group !== 'network' && group !== 'chain'))) };
}

/** What a network does not ask for is told and not held against the machine. */
const waived = ({ status: _status, ...finding }: Finding): Finding => ({ ...finding, status: 'INFO', required: false });

function verdictOf(findings: readonly Finding[]): Verdict {
  if (findings.some(({ status }) => status === 'FAIL')) return 'not ready';
  return findings.some(({ status, required }) => status === 'SKIP' && required) ? 'incomplete' : 'ready';
}

async function findingsOf(check: Check, group: Group, examined: Examined): Promise<Finding[]> {
  const { id, title, attestationOnly = false, required = true } = check;
  const common = { group, attestationOnly, required };
  const late = (): NetworkError => new NetworkError('E_TIMEOUT', `this took longer than ${CHECK_TIMEOUT_MS / 1000} s`);
  let outcomes: Outcome | readonly NamedOutcome[] | null;
  try {
    outcomes = await withDeadline((signal) => check.run({ ...examined, signal }), { timeoutMs: CHECK_TIMEOUT_MS, signal: examined.signal, late });
  } catch (error) {
    if (examined.signal.aborted) return [];
    outcomes = outcomeOfError(error, required);
  }
  if (outcomes === null) return [];
  if (isOne(outcomes)) return [{ id, title, ...common, ...outcomes }];
  return outcomes.map(({ name, ...outcome }) => ({ id: `${id}:${name}`, title: `${title} ${name}`, ...common, ...outcome }));
}

const isOne = (outcomes: Outcome | readonly NamedOutcome[]): outcomes is Outcome => !Array.isArray(outcomes);

/** What is wrong here is a failure, where serving needs it; what could not be asked was not checked. */
function outcomeOfError(thrown: unknown, required: boolean): Outcome {
  const error = asCocoonError(thrown);
  const known = findKnown(error.message);
  const fix = [...(error.hint === undefined ? [] : [error.hint]), ...(known === null ? [] : [known.fix])];
  if (!required) return skip(error.message, fix.length > 0 ? fix : undefined);
  if (error instanceof ConfigError || error instanceof FundsError || error.code === 'E_NOT_FOUND' || error.code === 'E_NOT_RUNNING' || error.code === 'E_USAGE') {
    return fail(error.message, { ...(known !== null && { cause: known.meaning }), ...(fix.length > 0 && { fix }) });
  }
  return skip(error.message, fix.length > 0 ? fix : undefined);
}
