// Evidence of NVIDIA GPUs and switches through NVIDIA's own tool (`nvattest collect-evidence`): SPDM measurements for our
// nonce, and the device's certificates. Refuses output that is not what the tool documents, and evidence for another nonce.
import { equalBytes, toHex } from '../../core/bytes.ts';
import { MAX_DEVICES } from '../nvidia/bundle.ts';
import { MAX_EVIDENCE_BYTES, SPDM_NONCE_BYTES } from '../nvidia/parse-spdm.ts';
import { MAX_PEM_BYTES } from '../x509/pem.ts';
import { collectFailed } from './failure.ts';
import type { RunTool, ToolOutput } from './run-tool.ts';

export type NvidiaDevice = 'gpu' | 'nvswitch';

/** One device's evidence, in the JSON form of NVIDIA's tools: an entry of `devices` of an NVIDIA bundle. */
export interface DeviceEvidence {
  /** As `HOPPER`, `BLACKWELL`, `LS10`. */
  readonly arch: string;
  /** 32 bytes in hexadecimal. */
  readonly nonce: string;
  /** SPDM request and response in base64. */
  readonly evidence: string;
  /** PEM chain, leaf first, in base64. */
  readonly certificate: string;
}

const TOOL = 'nvattest';
const MAX_OUTPUT_BYTES = 8 * 1024 * 1024;
/** SPDM 1.1 GET_MEASUREMENTS, and where its nonce is (DSP0274 1.1.0 table 46). */
const SPDM_VERSION = 0x11;
const GET_MEASUREMENTS = 0xe0;
const NONCE_OFFSET = 4;

export interface GpuEvidenceRequest {
  readonly device: NvidiaDevice;
  /** 32 bytes. */
  readonly nonce: Uint8Array;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** Evidence of every device of a kind; at least one. Throws ConfigError E_COLLECT. */
export async function collectGpuEvidence(run: RunTool, { device, nonce, timeoutMs, signal }: GpuEvidenceRequest): Promise<DeviceEvidence[]> {
  if (nonce.length !== SPDM_NONCE_BYTES) throw new RangeError(`expected a nonce of ${SPDM_NONCE_BYTES} bytes, got ${nonce.length}`);
  const args = ['collect-evidence', '--device', device, '--nonce', toHex(nonce)];
  const limits = { timeoutMs, maxBytes: MAX_OUTPUT_BYTES, signal };
  let output = await run(TOOL, [...args, '--format', 'json'], limits);
  // Versions before 1.1 print JSON always and do not know the option.
  if (output !== null && output.exitCode !== 0 && output.stdout.length === 0) output = await run(TOOL, args, limits);
  if (output === null) {
    throw collectFailed(`there is an NVIDIA ${device}, but no program "${TOOL}"`, { hint: 'install NVIDIA\'s attestation CLI (package nvattest)' });
  }
  const evidences = evidencesOf(output);
  return evidences.map((evidence, index) => deviceEvidence(evidence, nonce, `${device} ${index}`));
}

function evidencesOf({ exitCode, stdout, stderr }: ToolOutput): unknown[] {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(stdout));
  } catch (error) {
    const said = stderr.trim().slice(0, 200).replace(/[^\x20-\x7e]/g, '?');
    throw collectFailed(`${TOOL} ended with code ${exitCode} and without JSON${said === '' ? '' : `: ${said}`}`, { cause: error });
  }
  const { result_code: code, result_message: message, evidences } = asRecord(json) ?? {};
  if (code !== 0 || exitCode !== 0) {
    throw collectFailed(`${TOOL} failed with code ${String(code ?? exitCode)}: ${typeof message === 'string' ? message.slice(0, 200).replace(/[^\x20-\x7e]/g, '?') : 'no message'}`, {
      hint: 'check that the GPU is in confidential mode: nvidia-smi conf-compute -f',
    });
  }
  if (!Array.isArray(evidences) || evidences.length === 0 || evidences.length > MAX_DEVICES) {
    throw collectFailed(`${TOOL} gave no list of 1 to ${MAX_DEVICES} pieces of evidence`);
  }
  return evidences;
}

const asRecord = (value: unknown): Readonly<Record<string, unknown>> | undefined =>
  (typeof value === 'object' && value !== null && !Array.isArray(value) ? value as Record<string, unknown> : undefined);

function deviceEvidence(value: unknown, nonce: Uint8Array, what: string): DeviceEvidence {
  const { arch, evidence, certificate } = asRecord(value) ?? {};
  if (typeof arch !== 'string' || !/^[A-Z0-9_]{1,32}$/.test(arch)) throw collectFailed(`${TOOL} names no architecture of ${what}`);
  const spdm = base64(evidence, MAX_EVIDENCE_BYTES, `evidence of ${what}`);
  base64(certificate, MAX_PEM_BYTES, `certificates of ${what}`);
  const asked = spdm.subarray(NONCE_OFFSET, NONCE_OFFSET + SPDM_NONCE_BYTES);
  if (spdm[0] !== SPDM_VERSION || spdm[1] !== GET_MEASUREMENTS || !equalBytes(asked, nonce)) {
    throw collectFailed(`the evidence of ${what} is not for our nonce ${toHex(nonce)}`);
  }
  return { arch, nonce: toHex(nonce), evidence: String(evidence), certificate: String(certificate) };
}

function base64(value: unknown, maxBytes: number, what: string): Uint8Array {
  const bytes = typeof value === 'string' && value.length <= 2 * maxBytes ? Buffer.from(value, 'base64') : Buffer.alloc(0);
  if (bytes.length === 0 || bytes.length > maxBytes || bytes.toString('base64') !== value) {
    throw collectFailed(`${TOOL} gave the ${what} in another form than at most ${maxBytes} bytes of base64`);
  }
  return bytes;
}

/** What the driver says about its mode, as `system` of an NVIDIA bundle. */
export interface SystemModeText {
  readonly cc_mode: 'on' | 'off';
  readonly dev_tools: 'on' | 'off';
}

const SMI = 'nvidia-smi';
const MAX_SMI_BYTES = 65_536;

/** The driver's mode by `nvidia-smi conf-compute`; null where it does not say both, so that the verifier finds it missing. Throws E_COLLECT. */
export async function readSystemMode(run: RunTool, limits: Pick<GpuEvidenceRequest, 'timeoutMs' | 'signal'>): Promise<SystemModeText | null> {
  const ask = async (flag: string, pattern: RegExp): Promise<'on' | 'off' | null> => {
    const output = await run(SMI, ['conf-compute', flag], { ...limits, maxBytes: MAX_SMI_BYTES });
    const value = output === null || output.exitCode !== 0 ? undefined : pattern.exec(Buffer.from(output.stdout).toString('latin1'))?.[1]?.toLowerCase();
    return value === 'on' || value === 'off' ? value : null;
  };
  const mode = await ask('-f', /^\s*CC status\s*:\s*(ON|OFF)\s*$/im);
  const tools = await ask('-d', /^\s*DevTools Mode\s*:\s*(ON|OFF)\s*$/im);
  return mode === null || tools === null ? null : { cc_mode: mode, dev_tools: tools };
}
