// Takes one report through Linux's configfs-tsm interface (Documentation/ABI/testing/configfs-tsm-report): a fresh entry,
// the request written into it, the answer read out, the generation counter checked so that nobody wrote in between, the
// entry removed. Refuses answers of another provider, empty ones, and ones larger than any certificate carries.
import { randomBytes } from 'node:crypto';
import { withDeadline } from '../../core/deadline.ts';
import { CocoonError } from '../../core/errors.ts';
import { systemErrorCode } from '../../core/files.ts';
import type { Log } from '../../core/log.ts';
import { backoffMs } from '../../core/retry.ts';
import type { Sleep } from '../../core/retry.ts';
import { MAX_QUOTE_BYTES } from '../certificate-evidence.ts';
import { collectFailed, systemFailure } from './failure.ts';
import type { TeeKernel } from './kernel.ts';

export const TSM_REPORT_FOLDER = '/sys/kernel/config/tsm/report';
export const INBLOB_BYTES = 64;
/** Certificates that the host passes along with a SEV-SNP report. */
const MAX_AUXBLOB_BYTES = 262_144;
const MAX_ATTRIBUTE_BYTES = 4096;
export const ATTEMPTS = 6;
export const BACKOFF = { baseMs: 50, maxMs: 2000 };
const REMOVALS = 3;
/** Failures after which a fresh entry may succeed: interrupted, busy, throttled by the host, name taken. */
export const PASSING_CODES: ReadonlySet<string> = new Set(['EINTR', 'EBUSY', 'EAGAIN', 'ETIMEDOUT', 'EEXIST']);

export type TsmProvider = 'tdx_guest' | 'sev_guest';

export interface TsmPorts {
  readonly kernel: TeeKernel;
  readonly sleep: Sleep;
  readonly log: Log;
  /** For the report, repetitions included. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

export interface TsmRequest {
  readonly provider: TsmProvider;
  /** Report data: 64 bytes. */
  readonly inblob: Uint8Array;
  /** VMPL to attest, 0 to 3; sev_guest only. The kernel's own when left out. */
  readonly privlevel?: number;
}

export interface TsmReport {
  /** A quote (tdx_guest) or an attestation report (sev_guest). */
  readonly outblob: Uint8Array;
  /** sev_guest: the certificate table that the host passes along; empty where there is none. */
  readonly auxblob: Uint8Array;
}

/** Somebody else wrote to our entry: what was read may be an answer to another request. */
class Raced extends Error {}

/**
 * Takes a report. Throws ConfigError E_COLLECT. When the time is over while the kernel still works, the entry is removed as
 * soon as the kernel returns: a system call cannot be taken back.
 */
export function takeTsmReport(request: TsmRequest, ports: TsmPorts): Promise<TsmReport> {
  if (request.inblob.length !== INBLOB_BYTES) throw new RangeError(`expected report data of ${INBLOB_BYTES} bytes, got ${request.inblob.length}`);
  const { timeoutMs, signal } = ports;
  return withDeadline((inner) => attempts(request, ports, inner), {
    timeoutMs, signal,
    late: () => collectFailed(`the ${request.provider} gave no report within ${timeoutMs} ms`, { hint: 'ask the operator of the host whether its quote generation service runs' }),
  });
}

async function attempts(request: TsmRequest, ports: TsmPorts, signal: AbortSignal): Promise<TsmReport> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await inFreshEntry(ports, (entry) => exchange(entry, request, ports.kernel));
    } catch (error) {
      const raced = error instanceof Raced;
      const code = error instanceof CocoonError ? undefined : systemErrorCode(error);
      if (!raced && code === undefined) throw error;
      if (attempt >= ATTEMPTS || !(raced || PASSING_CODES.has(code ?? ''))) {
        throw raced ? collectFailed(`${error.message}, ${attempt} times in a row`) : systemFailure(`taking a report of the ${request.provider}`, error);
      }
    }
    await ports.sleep(backoffMs(attempt - 1, BACKOFF), signal);
  }
}

/** Runs `use` with the path of an entry that nobody else knows, and removes the entry. System errors pass through. */
export async function inFreshEntry<T>({ kernel, log }: Pick<TsmPorts, 'kernel' | 'log'>, use: (entry: string) => Promise<T>): Promise<T> {
  const entry = `${TSM_REPORT_FOLDER}/cocoon-${randomBytes(12).toString('hex')}`;
  await kernel.makeFolder(entry);
  try {
    return await use(entry);
  } finally {
    await remove(kernel, entry, log);
  }
}

/** An entry that stays behind costs a little kernel memory and nothing else, so that is a warning. */
async function remove(kernel: TeeKernel, entry: string, log: Log): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await kernel.removeFolder(entry);
      return;
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT') return;
      if (attempt < REMOVALS) continue;
      log.warn('an entry of the report interface could not be removed', { entry, reason: systemErrorCode(error) ?? String(error) });
      return;
    }
  }
}

/** The driver behind an entry. */
export async function providerOf(kernel: TeeKernel, entry: string): Promise<string> {
  return Buffer.from(await kernel.read(`${entry}/provider`, MAX_ATTRIBUTE_BYTES)).toString('latin1').trim();
}

async function exchange(entry: string, { provider, inblob, privlevel }: TsmRequest, kernel: TeeKernel): Promise<TsmReport> {
  const seen = await providerOf(kernel, entry);
  if (seen !== provider) throw collectFailed(`the report interface is served by ${JSON.stringify(seen.slice(0, 32))}, expected ${provider}`);
  const start = await generationOf(kernel, entry);
  if (privlevel !== undefined) await kernel.write(`${entry}/privlevel`, Buffer.from(String(privlevel), 'latin1'));
  await kernel.write(`${entry}/inblob`, inblob);
  // Each write counts by one. A lower number also shows a write that the kernel refused without saying so.
  const wanted = start + (privlevel === undefined ? 1 : 2);
  await requireGeneration(kernel, entry, wanted);
  const outblob = await kernel.read(`${entry}/outblob`, MAX_QUOTE_BYTES);
  const auxblob = provider === 'sev_guest' ? await kernel.read(`${entry}/auxblob`, MAX_AUXBLOB_BYTES) : new Uint8Array(0);
  await requireGeneration(kernel, entry, wanted);
  if (outblob.length === 0) throw collectFailed(`the ${provider} gave an empty report`);
  return { outblob, auxblob };
}

async function generationOf(kernel: TeeKernel, entry: string): Promise<number> {
  const text = Buffer.from(await kernel.read(`${entry}/generation`, MAX_ATTRIBUTE_BYTES)).toString('latin1').trim();
  if (!/^\d{1,15}$/.test(text)) throw collectFailed(`the generation of the report is ${JSON.stringify(text.slice(0, 32))}, expected a number`);
  return Number(text);
}

async function requireGeneration(kernel: TeeKernel, entry: string, wanted: number): Promise<void> {
  const seen = await generationOf(kernel, entry);
  if (seen !== wanted) throw new Raced(`the generation of the report is ${seen}, expected ${wanted}: another process writes to the same entry`);
}
