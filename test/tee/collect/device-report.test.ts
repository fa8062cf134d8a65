// Reports from the devices of guests without configfs-tsm. The script is run by a real Python whose system calls are those of a
// fake kernel that reads the structures by their addresses (skipped where there is no Python); and every answer that a broken
// program, driver or host could give is refused.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { takeCpuEvidence } from '../../../src/tee/collect/collect.ts';
import type { CollectOptions, CpuEvidence } from '../../../src/tee/collect/collect.ts';
import { CocoonError } from '../../../src/core/errors.ts';
import { quotePortOf, quoteRequest, readQuoteAnswer } from '../../../src/tee/collect/quote-service.ts';
import { runTool } from '../../../src/tee/collect/run-tool.ts';
import type { RunTool, ToolOutput } from '../../../src/tee/collect/run-tool.ts';
import { reportDataOf } from '../../../src/tee/report-data.ts';
import { parseSnpReport } from '../../../src/tee/snp/parse-report.ts';
import { forgeCollateral, forgeReport } from '../../fakes/snp-forge.ts';
import { FakeTsmKernel } from '../../fakes/tsm-kernel.ts';
import { certificateTable, expectCode, pemToDer, quiet, quoteFor, VCEK_GUID } from './world.ts';

const KEY = new Uint8Array(32).fill(9);
const DATA = reportDataOf(KEY);
const VCEK = forgeCollateral().vek;
const TABLE = certificateTable({ guid: VCEK_GUID, der: pemToDer(VCEK) });
const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
const guest = (device: string, files: Record<string, string> = {}): FakeTsmKernel => new FakeTsmKernel({ interface: false, release: '6.2.0', files: { [device]: '', ...files } });
const take = (device: string, run: RunTool, files: Record<string, string> = {}, options: CollectOptions = {}): Promise<CpuEvidence> =>
  takeCpuEvidence(KEY, quiet({ kernel: guest(device, files), runTool: run, ...options }).options);

const python = spawnSync('python3', ['-I', '-S', '-c', 'import ctypes, fcntl, mmap, socket; socket.AF_VSOCK']).status === 0;
const withPython = python ? it : it.skip;
const prologue = readFileSync(new URL('../../fakes/guest-device.py', import.meta.url), 'utf8');

interface FakeKernel {
  readonly devices?: Readonly<Record<string, object>>;
  readonly service?: { readonly address: readonly number[]; readonly quote: string; readonly minor?: number; readonly cut?: number };
}

/** The real program with the fake kernel in front of the script. */
const onFake = (kernel: FakeKernel, calls: string[] = []): RunTool => (file, args, limits) => {
  const [isolated, site, dash, script = '', ...rest] = args;
  calls.push([file, isolated, site, dash, ...rest.slice(0, 3)].join(' '));
  return runTool(file, ['-I', '-S', '-c', `${prologue}\n${script}`, JSON.stringify(kernel), ...rest], limits);
};
const SNP_DEVICE = { report: base64(forgeReport()), certificates: base64(TABLE) };
const TDX = { devices: { '/dev/tdx_guest': {} }, service: { address: [2, 4050], quote: base64(quoteFor(new Uint8Array(64))) } };

describe(python ? 'the script, with a kernel of its own' : 'the script, with a kernel of its own: skipped, there is no python3 with AF_VSOCK here', () => {
  withPython('takeCpuEvidence: an SNP report with the host\'s certificates, at a privilege level', async () => {
    const calls: string[] = [];
    const evidence = await take('/dev/sev-guest', onFake({ devices: { '/dev/sev-guest': SNP_DEVICE } }, calls), {}, { privlevel: 2 });
    if (evidence.family !== 'sev-snp') throw new TypeError('another family');
    const { reportData, vmpl } = parseSnpReport(evidence.report);
    expect([Buffer.from(reportData), vmpl, evidence.vek]).toEqual([Buffer.from(DATA), 2, VCEK]);
    expect(calls).toEqual([`python3 -I -S -c sev-guest ${Buffer.from(DATA).toString('hex')} 2`]);
  });

  withPython('takeCpuEvidence: the report alone where the host passes no certificates, or too many of them', async () => {
    for (const device of [{ ...SNP_DEVICE, certificates: '' }, { ...SNP_DEVICE, fail: { extended: 'EIO' } }]) {
      expect(await take('/dev/sev-guest', onFake({ devices: { '/dev/sev-guest': device } }))).toMatchObject({ family: 'sev-snp', vek: null });
    }
  });

  withPython('takeCpuEvidence: a TDX quote through the host\'s service, of either version, on the configured port', async () => {
    expect(await take('/dev/tdx_guest', onFake(TDX))).toEqual({ family: 'tdx', quote: quoteFor(DATA) });
    expect(await take('/dev/tdx_guest', onFake({ ...TDX, service: { ...TDX.service, minor: 0 } }))).toEqual({ family: 'tdx', quote: quoteFor(DATA) });
    const elsewhere = { ...TDX, service: { ...TDX.service, address: [2, 4051] } };
    expect(await take('/dev/tdx_guest', onFake(elsewhere), { '/etc/tdx-attest.conf': '# vsock\nport=4051\n' })).toEqual({ family: 'tdx', quote: quoteFor(DATA) });
  });

  withPython.each<[string, string, FakeKernel, RegExp]>([
    ['a driver without the call', '/dev/sev-guest', { devices: { '/dev/sev-guest': { ...SNP_DEVICE, fail: { extended: 'ENOTTY', report: 'ENOTTY' } } } }, /asking \/dev\/sev-guest failed: ENOTTY/],
    ['firmware that refuses', '/dev/sev-guest', { devices: { '/dev/sev-guest': { ...SNP_DEVICE, status: 22 } } }, /refused a report with status 22/],
    ['a device that goes', '/dev/sev-guest', {}, /asking \/dev\/sev-guest failed: ENOENT/],
    ['a TDX module that refuses', '/dev/tdx_guest', { devices: { '/dev/tdx_guest': { fail: { tdx: 'EIO' } } } }, /asking \/dev\/tdx_guest failed: EIO/],
    ['no service at the host', '/dev/tdx_guest', { ...TDX, service: { ...TDX.service, address: [2, 1] } }, /asking the host's quote service over its vsock failed: ECONNREFUSED/],
    ['a service of another version', '/dev/tdx_guest', { ...TDX, service: { ...TDX.service, minor: 7 } }, /answer that cannot be read.*version 1\.7/],
    ['an answer that ends early', '/dev/tdx_guest', { ...TDX, service: { ...TDX.service, cut: 2000 } }, /quote service over its vsock failed: ECONNRESET/],
  ])('takeCpuEvidence: %s, and how to do without the device', async (_name, device, kernel, message) => {
    const error = await expectCode(take(device, onFake(kernel)), 'E_COLLECT', message);
    expect(error.hint).toMatch(/boot Linux 6\.7 or newer with CONFIG_TSM_REPORTS/);
  });
});

describe('takeCpuEvidence: without configfs-tsm', () => {
  const printed = (stdout: string, exitCode: number | null = 0, stderr = ''): ToolOutput => ({ exitCode, stdout: Buffer.from(stdout), stderr });
  const scripted = (...outputs: readonly (ToolOutput | null)[]): RunTool => {
    let next = 0;
    return async () => outputs[next++] ?? null;
  };
  const snpResponse = (status = 0, size = 1184, report = forgeReport({ patches: [[80, DATA]] })): string => {
    const response = Buffer.alloc(4000);
    response.writeUInt32LE(status);
    response.writeUInt32LE(size, 4);
    response.set(report, 32);
    return response.toString('hex');
  };
  const tdReport = (data = DATA): string => {
    const report = Buffer.alloc(1024);
    report.set(data, 128);
    return report.toString('hex');
  };

  it('a busy device is asked again, a few times', async () => {
    const { options, slept } = quiet({ kernel: guest('/dev/sev-guest'), runTool: scripted(printed('error sev-guest EBUSY\n'), printed('error sev-guest EAGAIN\n'), printed(`${snpResponse()}\n\n`)) });
    expect(await takeCpuEvidence(KEY, options)).toMatchObject({ family: 'sev-snp', vek: null });
    expect(slept).toHaveLength(2);
    let asked = 0;
    await expectCode(take('/dev/sev-guest', async () => { asked += 1; return printed('error sev-guest EBUSY\n'); }), 'E_COLLECT', /EBUSY/);
    expect(asked).toBe(6);
  });

  it.each<[string, string, readonly (ToolOutput | null)[], RegExp]>([
    ['no Python', '/dev/sev-guest', [null], /needs the program "python3", and there is none/],
    ['a Python that fails', '/dev/sev-guest', [printed('', 1, 'Traceback\nModuleNotFoundError: No module named \'ctypes\'\n')], /ended with code 1.*ModuleNotFoundError: No module named 'ctypes'/],
    ['a Python that prints something else', '/dev/sev-guest', [printed('hello\n')], /without what was asked/],
    ['an end by a signal', '/dev/sev-guest', [printed(`${snpResponse()}\n\n`, null)], /ended with code null/],
    ['an error of another step', '/dev/sev-guest', [printed('error vsock EIO\n')], /without what was asked/],
    ['no table', '/dev/sev-guest', [printed(`${snpResponse()}\n`)], /gave 4000 bytes/],
    ['a third value', '/dev/sev-guest', [printed(`${snpResponse()}\n\n00\n`)], /gave 4000 bytes/],
    ['a short response', '/dev/sev-guest', [printed(`${snpResponse().slice(2)}\n\n`)], /gave 3999 bytes, expected 4000/],
    ['a report of another size', '/dev/sev-guest', [printed(`${snpResponse(0, 1185)}\n\n`)], /report of 1185 bytes/],
    ['a report for other data', '/dev/sev-guest', [printed(`${snpResponse(0, 1184, forgeReport())}\n\n`)], /evidence for the report data/],
    ['a table without end', '/dev/sev-guest', [printed(`${snpResponse()}\n${'01'.repeat(40)}\n`)], /certificate table/],
    ['a short TDREPORT', '/dev/tdx_guest', [printed(`${tdReport().slice(2)}\n`)], /gave 1023 bytes, expected a TDREPORT of 1024/],
    ['a TDREPORT for other data', '/dev/tdx_guest', [printed(`${tdReport(new Uint8Array(64))}\n`)], /TDREPORT for the report data 0000/],
    ['no answer of the service', '/dev/tdx_guest', [printed(`${tdReport()}\n`), printed('00\n00\n')], /gave no answer/],
    ['an answer of nothing', '/dev/tdx_guest', [printed(`${tdReport()}\n`), printed('\n')], /cannot be read/],
  ])('refuses %s', async (_name, device, outputs, message) => {
    await expectCode(take(device, scripted(...outputs)), 'E_COLLECT', message);
  });

  it('a program that does not end is given up with the others', async () => {
    await expectCode(take('/dev/sev-guest', () => new Promise(() => undefined), {}, { timeoutMs: 30 }), 'E_COLLECT', /gave no report within 30 ms/);
    const stop = new AbortController();
    const asked = take('/dev/sev-guest', () => new Promise(() => undefined), {}, { signal: stop.signal });
    stop.abort();
    await expectCode(asked, 'E_CLOSED', /cancelled/);
  });

  it('no right to use the device', async () => {
    const error = await expectCode(take('/dev/tdx_guest', scripted(printed('error tdx-report EACCES\n'))), 'E_COLLECT', /EACCES/);
    expect(error.hint).toMatch(/^run as root, or boot Linux/);
  });
});

describe('readQuoteAnswer', () => {
  const answer = (quote: Uint8Array, changes: { id?: number; major?: number; type?: number; error?: number } = {}): Uint8Array => {
    const { id = 0, major = 1, type = 1, error = 0 } = changes;
    const body = Buffer.alloc(24 + id + quote.length);
    body.writeUInt16LE(major);
    body.writeUInt16LE(1, 2);
    [type, body.length, error, id, quote.length].forEach((value, index) => body.writeUInt32LE(value, 4 + 4 * index));
    body.set(quote, 24 + id);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(body.length);
    return Buffer.concat([length, body]);
  };
  const QUOTE = Uint8Array.from({ length: 700 }, (_, index) => index % 251);

  it('the quote, with and without the id that was chosen', () => {
    for (const id of [0, 16]) expect(readQuoteAnswer(answer(QUOTE, { id }))).toEqual({ quote: QUOTE });
    expect(readQuoteAnswer(answer(new Uint8Array(0), { error: 0x12001 }))).toEqual({ error: 0x12001 });
  });

  it('refuses every truncation, every longer answer, other versions and types, and sizes that do not add up', () => {
    const good = answer(QUOTE);
    for (let length = 0; length < good.length; length += length < 32 ? 1 : 13) expect(() => readQuoteAnswer(good.subarray(0, length))).toThrow(/cannot be read/);
    for (const bad of [Buffer.concat([good, Uint8Array.of(0)]), answer(QUOTE, { major: 2 }), answer(QUOTE, { type: 0 }), answer(QUOTE, { id: 2000 }), answer(new Uint8Array(0))]) {
      expect(() => readQuoteAnswer(bad)).toThrow(/cannot be read/);
    }
    for (let at = 20; at < 28; at += 1) {
      const bent = Uint8Array.from(good);
      bent[at] = (bent[at] ?? 0) ^ 1;
      expect(() => readQuoteAnswer(bent)).toThrow(/cannot be read/);
    }
  });

  it('any bytes give a quote, an error code or a typed refusal', () => {
    const good = answer(QUOTE.subarray(0, 40), { id: 3 });
    fc.assert(fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 4 }).map((changes) => {
      const bent = Uint8Array.from(good);
      for (const [at, byte] of changes) bent[at] = byte;
      return bent;
    })), (bytes) => {
      try {
        const read = readQuoteAnswer(bytes);
        return 'quote' in read ? read.quote.length > 0 && read.quote.length < bytes.length : read.error !== 0;
      } catch (error) {
        return error instanceof CocoonError && error.code === 'E_COLLECT';
      }
    }), { numRuns: 2000 });
  });

  it('quoteRequest: refuses reports of another size; quotePortOf: the port of a text', () => {
    expect(() => quoteRequest(new Uint8Array(1023), 1)).toThrow(RangeError);
    expect(['', 'port=4050', ' port = 99 \n', '#port=7\n', 'port=x', 'other=1\nport=5\n'].map(quotePortOf)).toEqual([4050, 4050, 99, 4050, 4050, 5]);
    expect(() => quotePortOf('port=4294967295')).toThrow(/expected at most/);
  });
});
