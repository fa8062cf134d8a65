// Takes one report where the kernel has no configfs-tsm: SEV-SNP through /dev/sev-guest (Linux 5.19), TDX through /dev/tdx_guest
// (Linux 6.2) and the host's quote service over a vsock, which such kernels do not ask themselves. The ioctls are made by
// device-script.ts. Refuses what is no report for our data; every failure also says how to get the interface made of files.
import { equalBytes, isZero, toHex } from '../../core/bytes.ts';
import { withDeadline } from '../../core/deadline.ts';
import { CocoonError } from '../../core/errors.ts';
import { backoffMs } from '../../core/retry.ts';
import { systemErrorCode } from '../../core/files.ts';
import { SNP_REPORT_BYTES } from '../snp/parse-report.ts';
import { askDevice, DeviceFailure } from './device-script.ts';
import type { DeviceStep } from './device-script.ts';
import { GUEST_DEVICES } from './environment.ts';
import { collectFailed } from './failure.ts';
import { HOST_CID, QUOTE_MINORS, quotePortOf, quoteRequest, readQuoteAnswer, TDREPORT_BYTES } from './quote-service.ts';
import type { QuoteAnswer } from './quote-service.ts';
import type { RunTool } from './run-tool.ts';
import { ATTEMPTS, BACKOFF, INBLOB_BYTES, PASSING_CODES } from './tsm-report.ts';
import type { TsmPorts, TsmReport, TsmRequest } from './tsm-report.ts';

const QUOTE_CONFIG = '/etc/tdx-attest.conf';
const MAX_CONFIG_BYTES = 65_536;
/** Report data in a TDREPORT (REPORTMACSTRUCT, Intel TDX module ABI). */
const TDREPORT_DATA_OFFSET = 128;
/** MSG_REPORT_RSP (AMD 56860): status, size of the report, 24 reserved bytes, the report. */
const SNP_RESPONSE_BYTES = 4000;
const SNP_REPORT_OFFSET = 32;
const RESPONSE_MS = 20_000;

export interface DevicePorts extends TsmPorts {
  readonly run: RunTool;
  /** Why configfs-tsm cannot be used: what a failure is explained with. */
  readonly missing: CocoonError;
}

/** As takeTsmReport. Throws ConfigError E_COLLECT. */
export function takeDeviceReport(request: TsmRequest, ports: DevicePorts): Promise<TsmReport> {
  if (request.inblob.length !== INBLOB_BYTES) throw new RangeError(`expected report data of ${INBLOB_BYTES} bytes, got ${request.inblob.length}`);
  const { timeoutMs, signal } = ports;
  return withDeadline((inner) => attempts(request, { ...ports, signal: inner }, inner), {
    timeoutMs, signal, late: () => explained(ports, collectFailed(`${GUEST_DEVICES[request.provider]} gave no report within ${timeoutMs} ms`)),
  });
}

async function attempts(request: TsmRequest, ports: DevicePorts, signal: AbortSignal): Promise<TsmReport> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return request.provider === 'sev_guest' ? await snpReport(request, ports) : await tdxReport(request, ports);
    } catch (error) {
      if (signal.aborted || !(error instanceof DeviceFailure || error instanceof CocoonError)) throw error;
      if (error instanceof CocoonError || attempt >= ATTEMPTS || !PASSING_CODES.has(error.code)) throw explained(ports, error);
    }
    await ports.sleep(backoffMs(attempt - 1, BACKOFF), signal);
  }
}

const WHAT: Readonly<Record<DeviceStep, string>> = {
  'sev-guest': 'asking /dev/sev-guest', 'tdx-report': 'asking /dev/tdx_guest', vsock: 'asking the host\'s quote service over its vsock',
};

/** The failure with the other way out: the interface that is missing here. */
function explained({ missing }: DevicePorts, error: CocoonError | DeviceFailure): CocoonError {
  const problem = error instanceof CocoonError ? error.message.replace(/^cannot collect evidence: /, '') : error.message.replace(/^(\S+) failed/, (_, step: DeviceStep) => `${WHAT[step]} failed`);
  const rights = error instanceof DeviceFailure && (error.code === 'EACCES' || error.code === 'EPERM') ? 'run as root, or ' : '';
  return collectFailed(problem, { cause: error, hint: `${rights}${missing.hint ?? 'use a kernel with configfs-tsm'}` });
}

async function snpReport({ inblob, privlevel = 0 }: TsmRequest, { run, timeoutMs, signal }: DevicePorts): Promise<TsmReport> {
  const [response, certificates, ...more] = await askDevice(run, ['sev-guest', toHex(inblob), String(privlevel)], { timeoutMs, signal });
  if (response?.length !== SNP_RESPONSE_BYTES || certificates === undefined || more.length > 0) throw collectFailed(`/dev/sev-guest gave ${response?.length ?? 0} bytes, expected ${SNP_RESPONSE_BYTES}`);
  const view = new DataView(response.buffer, response.byteOffset, response.byteLength);
  const [status, size] = [view.getUint32(0, true), view.getUint32(4, true)];
  if (status !== 0) throw collectFailed(`the firmware refused a report with status ${status}`);
  if (size !== SNP_REPORT_BYTES) throw collectFailed(`the firmware gave a report of ${size} bytes, expected ${SNP_REPORT_BYTES}`);
  return { outblob: response.slice(SNP_REPORT_OFFSET, SNP_REPORT_OFFSET + size), auxblob: isZero(certificates) ? new Uint8Array(0) : certificates };
}

async function tdxReport({ inblob }: TsmRequest, ports: DevicePorts): Promise<TsmReport> {
  const { run, kernel, timeoutMs, signal } = ports;
  const [report, ...more] = await askDevice(run, ['tdx-report', toHex(inblob)], { timeoutMs, signal });
  if (report?.length !== TDREPORT_BYTES || more.length > 0) throw collectFailed(`/dev/tdx_guest gave ${report?.length ?? 0} bytes, expected a TDREPORT of ${TDREPORT_BYTES}`);
  const seen = report.subarray(TDREPORT_DATA_OFFSET, TDREPORT_DATA_OFFSET + INBLOB_BYTES);
  if (!equalBytes(seen, inblob)) throw collectFailed(`/dev/tdx_guest gave a TDREPORT for the report data ${toHex(seen)}, expected ${toHex(inblob)}`);
  const port = quotePortOf(await configOf(kernel));
  let answer = await exchange(ports, port, quoteRequest(report, QUOTE_MINORS[0]));
  if ('error' in answer) answer = await exchange(ports, port, quoteRequest(report, QUOTE_MINORS[1]));
  if ('error' in answer) throw collectFailed(`the host's quote service on port ${port} refused with the error 0x${answer.error.toString(16)}`);
  return { outblob: answer.quote, auxblob: new Uint8Array(0) };
}

async function exchange({ run, timeoutMs, signal }: DevicePorts, port: number, message: Uint8Array): Promise<QuoteAnswer> {
  const seconds = String(Math.min(RESPONSE_MS, timeoutMs) / 1000);
  const [answer, ...more] = await askDevice(run, ['vsock', String(HOST_CID), String(port), seconds, toHex(message)], { timeoutMs, signal });
  if (answer === undefined || more.length > 0) throw collectFailed('the host\'s quote service gave no answer');
  return readQuoteAnswer(answer);
}

/** Absent on most guests. */
async function configOf(kernel: TsmPorts['kernel']): Promise<string> {
  try {
    return await kernel.exists(QUOTE_CONFIG) ? Buffer.from(await kernel.read(QUOTE_CONFIG, MAX_CONFIG_BYTES)).toString('latin1') : '';
  } catch (error) {
    throw collectFailed(`${QUOTE_CONFIG} cannot be read: ${systemErrorCode(error) ?? String(error)}`, { cause: error });
  }
}
