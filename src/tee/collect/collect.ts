// Collects the evidence of this machine: a quote (TDX) or report (SEV-SNP) whose report data is SHA-512 of the TLS key
// (WIRE.md section 4), for the certificate; and for `attest collect` a JSON bundle with event log, GPUs, the verifier's nonce
// and, on request, collateral. Everything is checked for being about our key before it is handed out; nothing is verified.
import { randomBytes } from 'node:crypto';
import { equalBytes, toHex } from '../../core/bytes.ts';
import { AttestationError } from '../../core/errors.ts';
import { silentLog } from '../../core/log.ts';
import type { Log } from '../../core/log.ts';
import { sleep as realSleep } from '../../core/retry.ts';
import type { Sleep } from '../../core/retry.ts';
import type { CertificateEvidence } from '../certificate-evidence.ts';
import { assembleSnpCollateral, productOfVek, snpQuestionOf, vcekDocument } from '../collateral/amd.ts';
import { field } from '../collateral/document.ts';
import { assembleGpuCollateral } from '../collateral/gpu.ts';
import type { NvidiaCollateralTexts } from '../collateral/gpu.ts';
import { assembleDcapCollateral, dcapQuestionOf } from '../collateral/intel.ts';
import type { DcapCollateralTexts, IntelService } from '../collateral/intel.ts';
import type { CollateralSource } from '../collateral/source.ts';
import { parseQuote } from '../dcap/parse-quote.ts';
import { parseDevice } from '../nvidia/bundle.ts';
import { reportDataOf } from '../report-data.ts';
import type { SnpCollateralTexts } from '../snp/bundle.ts';
import { parseSnpReport } from '../snp/parse-report.ts';
import type { SnpReport } from '../snp/parse-report.ts';
import type { TlsKeys } from '../tls-keys.ts';
import { readCertificateTable } from './certificate-table.ts';
import { takeDeviceReport } from './device-report.ts';
import { detectTee } from './environment.ts';
import { readCcel } from './event-log.ts';
import { collectFailed } from './failure.ts';
import { gpuNonceOf, NONCE_BYTES, signFreshness } from './freshness.ts';
import { collectGpuEvidence, readSystemMode } from './gpu-evidence.ts';
import type { DeviceEvidence, NvidiaDevice, SystemModeText } from './gpu-evidence.ts';
import { linuxKernel } from './kernel.ts';
import type { TeeKernel } from './kernel.ts';
import { runTool } from './run-tool.ts';
import type { RunTool } from './run-tool.ts';
import { takeTsmReport } from './tsm-report.ts';
import type { TsmPorts, TsmReport, TsmRequest } from './tsm-report.ts';

const DEFAULT_TIMEOUT_MS = 60_000;
const DEVICE_FILES: Readonly<Record<NvidiaDevice, string>> = { gpu: '/dev/nvidia0', nvswitch: '/dev/nvidia-nvswitch0' };

export interface CollectOptions {
  readonly kernel?: TeeKernel;
  readonly runTool?: RunTool;
  readonly sleep?: Sleep;
  readonly log?: Log;
  /** For the CPU's report, and again for each call of a tool. Default 60 s. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** SEV-SNP: the VMPL to attest, 0 to 3. The kernel's own when left out. */
  readonly privlevel?: number;
  /** Gets the VCEK where the host passes none, and the collateral for a bundle. */
  readonly source?: CollateralSource;
}

/** The CPU's own evidence. `vek` is the PEM of the VCEK or VLEK that the host passed along, if it did. UNTRUSTED. */
export type CpuEvidence =
  | { readonly family: 'tdx'; readonly quote: Uint8Array }
  | { readonly family: 'sev-snp'; readonly report: Uint8Array; readonly vek: string | null };

/** Takes the CPU's evidence for a TLS key of 32 bytes. Throws ConfigError: E_NO_TEE outside a TEE, E_COLLECT. */
export const takeCpuEvidence = (publicKey: Uint8Array, options: CollectOptions = {}): Promise<CpuEvidence> => takeCpuReport(reportDataOf(publicKey), options);

/** The same for any report data of 64 bytes. */
export async function takeCpuReport(inblob: Uint8Array, options: CollectOptions = {}): Promise<CpuEvidence> {
  const { kernel = linuxKernel, runTool: run = runTool, sleep = realSleep, log = silentLog, timeoutMs = DEFAULT_TIMEOUT_MS, signal, privlevel } = options;
  const ports: TsmPorts = { kernel, sleep, log, timeoutMs, signal };
  const tee = await detectTee(kernel, log);
  const { provider } = tee;
  const take = (request: TsmRequest): Promise<TsmReport> => (tee.through === 'configfs-tsm'
    ? takeTsmReport(request, ports)
    : takeDeviceReport(request, { ...ports, run, missing: tee.missing }));
  if (provider === 'tdx_guest') {
    const { outblob } = await take({ provider, inblob });
    const { body } = parsed('quote', () => parseQuote(outblob));
    if (body.tee !== 'tdx') throw collectFailed('the tdx_guest gave a quote of an SGX enclave');
    checkReportData(body.report.reportData, inblob);
    return { family: 'tdx', quote: outblob };
  }
  const taken = await take({ provider, inblob, ...(privlevel === undefined ? {} : { privlevel }) });
  const report = parsed('report', () => parseSnpReport(taken.outblob));
  checkReportData(report.reportData, inblob);
  return { family: 'sev-snp', report: taken.outblob, vek: vekOf(taken, report) };
}

function parsed<T>(what: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof AttestationError)) throw error;
    throw collectFailed(`the kernel gave no usable ${what}: ${error.message}`, { cause: error });
  }
}

function checkReportData(seen: Uint8Array, wanted: Uint8Array): void {
  if (!equalBytes(seen, wanted)) throw collectFailed(`the kernel gave evidence for the report data ${toHex(seen)}, expected ${toHex(wanted)}`);
}

function vekOf({ auxblob }: TsmReport, { signer }: SnpReport): string | null {
  const { vcek, vlek } = readCertificateTable(auxblob);
  return (signer === 'VLEK' ? vlek : vcek) ?? null;
}

/**
 * Evidence in the form that certificates carry, to be passed to `createTlsIdentity`. On SEV-SNP the certificate needs the
 * VCEK: from the host, or else from AMD through `options.source`. Throws as takeCpuEvidence, and as `CollateralSource.get`.
 */
export async function collectCertificateEvidence(publicKey: Uint8Array, options: CollectOptions = {}): Promise<CertificateEvidence> {
  const cpu = await takeCpuEvidence(publicKey, options);
  if (cpu.family === 'tdx') return cpu;
  const vek = await vekFor(cpu, options);
  return { family: 'sev-snp', report: cpu.report, reportData: reportDataOf(publicKey), vcekPem: Buffer.from(vek, 'latin1') };
}

/** PEM of the VCEK or VLEK: from the host, or else from AMD through `options.source`. Throws E_COLLECT, and as `CollateralSource.get`. */
export async function vekFor({ report, vek }: Extract<CpuEvidence, { family: 'sev-snp' }>, { source, signal }: CollectOptions): Promise<string> {
  if (vek !== null) return vek;
  const parsedReport = parseSnpReport(report);
  if (source === undefined || parsedReport.signer === 'VLEK') {
    throw collectFailed(`the host passes no ${parsedReport.signer} along with the report`, { hint: 'ask the operator of the host to load it, or allow it to be fetched from AMD' });
  }
  const [content] = await source.get([vcekDocument(snpQuestionOf(parsedReport))], signal);
  return field(content ?? {}, 'vek', 'the VCEK');
}

/** What `attest collect` prints. Bytes are lower-case hexadecimal. The members of a CPU's bundle are those that its verifier reads. */
export interface EvidenceBundle {
  readonly schema: 'cocoon.evidence/1';
  readonly family: 'tdx' | 'sev-snp';
  readonly tls_public_key: string;
  /** The verifier's, or a random one. */
  readonly nonce: string;
  /** TDX: `{ quote_hex, collateral? }`. SEV-SNP: `{ report_hex, collateral? }`; without collateral, the host's VEK is in `vek`. */
  readonly cpu: { readonly quote_hex: string; readonly collateral?: DcapCollateralTexts } | { readonly report_hex: string; readonly collateral?: SnpCollateralTexts };
  /** PEM of the VCEK or VLEK that the host passed along; null otherwise and on TDX. */
  readonly vek: string | null;
  /** TDX: ACPI table and log area; null where the firmware keeps none. */
  readonly event_log: { readonly ccel_table_hex: string; readonly ccel_hex: string } | null;
  /**
   * GPUs, then switches, asked with `gpuNonceOf(nonce, tls_public_key)`; with collateral it is what the NVIDIA verifier reads.
   * Null where none was asked.
   */
  readonly nvidia: NvidiaEvidence | null;
  /** Ed25519 by the TLS key over nonce, CPU evidence, devices and their mode (freshness.ts). */
  readonly freshness_signature: string;
}

export interface NvidiaEvidence {
  readonly devices: readonly DeviceEvidence[];
  readonly system?: SystemModeText;
  readonly collateral?: NvidiaCollateralTexts;
}

/** `require`: fail without one. `if-present`: collect from those that the system has. `none`: do not ask. */
export type GpuWish = 'require' | 'if-present' | 'none';

export interface BundleRequest {
  readonly keys: TlsKeys;
  /** The verifier's, 32 bytes; random when left out. */
  readonly nonce?: Uint8Array;
  readonly gpus: GpuWish;
  /** True: fetch collateral through `options.source` and put it in. */
  readonly collateral?: boolean;
  readonly intel?: IntelService;
}

/** Collects everything. Throws ConfigError E_NO_TEE, E_COLLECT; with collateral as `CollateralSource.get`. */
export async function collectBundle(request: BundleRequest, options: CollectOptions = {}): Promise<EvidenceBundle> {
  const { keys, nonce = new Uint8Array(randomBytes(NONCE_BYTES)), collateral = false } = request;
  const { kernel = linuxKernel } = options;
  if (collateral && options.source === undefined) throw new RangeError('expected a source of collateral');
  const gpuNonce = gpuNonceOf(nonce, keys.publicKey);
  const cpu = await takeCpuEvidence(keys.publicKey, options);
  const nvidia = await nvidiaEvidence(request, gpuNonce, options);
  const ccel = cpu.family === 'tdx' ? await readCcel(kernel) : null;
  const bytes = cpu.family === 'tdx' ? cpu.quote : cpu.report;
  return {
    schema: 'cocoon.evidence/1', family: cpu.family, tls_public_key: toHex(keys.publicKey), nonce: toHex(nonce),
    cpu: await cpuBundle(cpu, request, options), vek: cpu.family === 'tdx' ? null : cpu.vek,
    event_log: ccel === null ? null : { ccel_table_hex: toHex(ccel.table), ccel_hex: toHex(ccel.log) },
    nvidia, freshness_signature: toHex(signFreshness(keys, nonce, { cpu: bytes, devices: nvidia?.devices ?? [], system: nvidia?.system ?? null })),
  };
}

/** Evidence of the GPUs and switches for a nonce of 32 bytes; null without GPUs. Throws E_COLLECT, and as `CollateralSource.get`. */
export async function nvidiaEvidence({ gpus: wish, collateral = false }: Pick<BundleRequest, 'gpus' | 'collateral'>, nonce: Uint8Array, options: CollectOptions): Promise<NvidiaEvidence | null> {
  const gpus = await devicesOf('gpu', wish, nonce, options);
  if (gpus.length === 0) return null;
  const devices = [...gpus, ...await devicesOf('nvswitch', 'if-present', nonce, options)];
  const { runTool: run = runTool, timeoutMs = DEFAULT_TIMEOUT_MS, source, signal } = options;
  const system = await readSystemMode(run, { timeoutMs, signal });
  const said = system === null ? { devices } : { devices, system };
  if (!collateral || source === undefined) return said;
  const parsedDevices = parsed('evidence of GPUs', () => devices.map((device) => parseDevice(device)));
  return { ...said, collateral: await assembleGpuCollateral(source, parsedDevices, signal) };
}

async function devicesOf(device: NvidiaDevice, wish: GpuWish, nonce: Uint8Array, options: CollectOptions): Promise<DeviceEvidence[]> {
  const { kernel = linuxKernel, runTool: run = runTool, timeoutMs = DEFAULT_TIMEOUT_MS, signal } = options;
  if (wish === 'none') return [];
  if (!await kernel.exists(DEVICE_FILES[device])) {
    if (wish === 'if-present') return [];
    throw collectFailed(`this machine shows no NVIDIA GPU (${DEVICE_FILES[device]})`, { hint: 'pass a GPU through to the guest and load its driver' });
  }
  return collectGpuEvidence(run, { device, nonce, timeoutMs, signal });
}

async function cpuBundle(cpu: CpuEvidence, { collateral = false, intel = {} }: BundleRequest, { source, signal }: CollectOptions): Promise<EvidenceBundle['cpu']> {
  if (cpu.family === 'tdx') {
    const quote_hex = toHex(cpu.quote);
    if (!collateral || source === undefined) return { quote_hex };
    return { quote_hex, collateral: await assembleDcapCollateral(source, dcapQuestionOf(parseQuote(cpu.quote)), intel, signal) };
  }
  const report_hex = toHex(cpu.report);
  if (!collateral || source === undefined) return { report_hex };
  const vek = cpu.vek ?? undefined;
  const question = snpQuestionOf(parseSnpReport(cpu.report), vek === undefined ? undefined : productOfVek(vek));
  return { report_hex, collateral: await assembleSnpCollateral(source, question, vek, signal) };
}
