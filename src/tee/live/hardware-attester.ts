// Answers challenges for this side by the machine that it runs in (fresh-attestation.ts): CPU, and GPUs in confidential mode.
// A few at a time: hardware makes a quote in tens of milliseconds, and a crowd must not wait for it without bound.
import { nvidiaEvidence, takeCpuReport, vekFor } from '../collect/collect.ts';
import type { CollectOptions, CpuEvidence, GpuWish } from '../collect/collect.ts';
import { gpuNonceOf } from '../collect/freshness.ts';
import { readSystemMode } from '../collect/gpu-evidence.ts';
import { runTool } from '../collect/run-tool.ts';
import { freshReportData, MAX_GPUS_BYTES } from '../fresh-attestation.ts';
import type { Attester, FreshEvidence } from '../fresh-attestation.ts';
import { ConfigError } from '../../core/errors.ts';
import { Turnstile } from './turnstile.ts';

const AT_ONCE = 4;
const MAX_WAITING = 256;
const DEFAULT_TIMEOUT_MS = 60_000;
const NO_GPUS = new Uint8Array(0);

export interface HardwareAttesterOptions {
  readonly collect: Omit<CollectOptions, 'signal'>;
  /** `if-present` collects from GPUs in confidential mode, `require` fails without one, `none` does not look. */
  readonly gpus: GpuWish;
}

/** Evidence of this machine. Its challenges fail with E_NO_TEE outside a TEE, and with E_COLLECT when none can be taken. */
export function hardwareAttester(publicKey: Uint8Array, { collect, gpus: wish }: HardwareAttesterOptions): Attester {
  const turns = new Turnstile({ atOnce: AT_ONCE, waiting: MAX_WAITING, what: 'evidence' });
  let confidential: Promise<boolean> | null = null;
  return (question, signal) => turns.pass(async () => {
    const options: CollectOptions = { ...collect, signal };
    // The mode of a GPU changes with a reset of it only, which no driver in use survives.
    confidential ??= isConfidential(wish, options).catch((error: unknown) => {
      confidential = null;
      throw error;
    });
    const gpus = await confidential ? await gpusFor(gpuNonceOf(question.nonce, publicKey), wish, options) : NO_GPUS;
    const cpu = await takeCpuReport(freshReportData({ ...question, publicKey }, gpus), options);
    return { evidence: await evidenceOf(cpu, options), gpus };
  }, signal);
}

async function isConfidential(wish: GpuWish, { runTool: run = runTool, timeoutMs = DEFAULT_TIMEOUT_MS }: CollectOptions): Promise<boolean> {
  if (wish !== 'if-present') return wish === 'require';
  return (await readSystemMode(run, { timeoutMs }))?.cc_mode === 'on';
}

async function gpusFor(nonce: Uint8Array, wish: GpuWish, options: CollectOptions): Promise<Uint8Array> {
  const nvidia = await nvidiaEvidence({ gpus: wish }, nonce, options);
  if (nvidia === null) return NO_GPUS;
  const gpus = Buffer.from(JSON.stringify(nvidia), 'utf8');
  if (gpus.length > MAX_GPUS_BYTES) throw new ConfigError('E_COLLECT', `cannot collect evidence: that of the GPUs has ${gpus.length} bytes, expected at most ${MAX_GPUS_BYTES}`);
  return gpus;
}

async function evidenceOf(cpu: CpuEvidence, options: CollectOptions): Promise<FreshEvidence> {
  if (cpu.family === 'tdx') return cpu;
  return { family: 'sev-snp', report: cpu.report, vek: Buffer.from(await vekFor(cpu, options), 'latin1') };
}
