// The report interface of the kernel: one entry a report, the generation checked, failures repeated or reported, nothing left.
import { describe, expect, it } from '@jest/globals';
import { takeTsmReport } from '../../../src/tee/collect/tsm-report.ts';
import type { TsmPorts, TsmReport, TsmRequest } from '../../../src/tee/collect/tsm-report.ts';
import type { FakeTsmKernel } from '../../fakes/tsm-kernel.ts';
import { expectCode, quiet, quoteFor, snpKernel, tdxKernel } from './world.ts';

const INBLOB = Uint8Array.from({ length: 64 }, (_, index) => index);

function take(kernel: FakeTsmKernel, request: Partial<TsmRequest> = {}, ports: Partial<TsmPorts> = {}): { report: Promise<TsmReport>; slept: number[]; warnings: string[] } {
  const { options: { log, sleep }, slept, warnings } = quiet();
  if (log === undefined || sleep === undefined) throw new TypeError('no ports');
  return { report: takeTsmReport({ provider: 'tdx_guest', inblob: INBLOB, ...request }, { kernel, log, sleep, timeoutMs: 5000, ...ports }), slept, warnings };
}

describe('takeTsmReport', () => {
  it('takeTsmReport: a TDX quote, in one fresh entry that is gone afterwards', async () => {
    const kernel = tdxKernel();
    const { outblob, auxblob } = await take(kernel).report;
    expect([outblob, auxblob.length]).toEqual([quoteFor(INBLOB), 0]);
    expect(kernel.steps).toEqual(['mkdir', 'provider', 'generation', 'inblob', 'generation', 'outblob', 'generation', 'rmdir']);
    expect([kernel.entries.size, kernel.names[0]]).toEqual([0, expect.stringMatching(/^\/sys\/kernel\/config\/tsm\/report\/cocoon-[0-9a-f]{24}$/)]);
  });

  it('takeTsmReport: an SNP report with the host\'s certificates, at a privilege level', async () => {
    const kernel = snpKernel({ auxblob: Uint8Array.of(1, 2, 3) });
    const { outblob, auxblob } = await take(kernel, { provider: 'sev_guest', privlevel: 2 }).report;
    expect([outblob.length, outblob[48], [...auxblob]]).toEqual([1184, 2, [1, 2, 3]]);
    expect(kernel.steps).toEqual(['mkdir', 'provider', 'generation', 'privlevel', 'inblob', 'generation', 'outblob', 'auxblob', 'generation', 'rmdir']);
  });

  it('takeTsmReport: many at once do not meet', async () => {
    const kernel = tdxKernel();
    const blobs = Array.from({ length: 20 }, (_, index) => new Uint8Array(64).fill(index));
    const reports = await Promise.all(blobs.map((inblob) => take(kernel, { inblob }).report));
    expect(reports.map(({ outblob }) => outblob)).toEqual(blobs.map(quoteFor));
    expect([new Set(kernel.names).size, kernel.entries.size]).toEqual([20, 0]);
  });

  it.each([
    ['mkdir', 'EINTR'], ['mkdir', 'EEXIST'], ['inblob', 'EBUSY'], ['outblob', 'EINTR'], ['outblob', 'EBUSY'], ['outblob', 'EAGAIN'], ['outblob', 'ETIMEDOUT'], ['generation', 'EINTR'],
  ] as const)('takeTsmReport: %s fails with %s twice, then a fresh entry succeeds', async (step, code) => {
    const kernel = tdxKernel().fail(step, code, code);
    const { report, slept } = take(kernel);
    expect((await report).outblob).toEqual(quoteFor(INBLOB));
    expect([slept.length, kernel.entries.size, new Set(kernel.names).size]).toEqual([2, 0, step === 'mkdir' ? 1 : 3]);
  });

  it('takeTsmReport: gives up after six times', async () => {
    const kernel = tdxKernel().fail('outblob', ...Array.from({ length: 10 }, () => 'EBUSY'));
    const { report, slept } = take(kernel);
    await expectCode(report, 'E_COLLECT', /taking a report of the tdx_guest failed: EBUSY/);
    expect([kernel.names.length, slept.length, kernel.entries.size]).toEqual([6, 5, 0]);
  });

  it.each([
    ['mkdir', 'EACCES', /root/], ['mkdir', 'EPERM', /root/], ['outblob', 'EIO', /quote generation service/], ['outblob', 'EFBIG', /newer/], ['provider', 'ENXIO', /modprobe/], ['outblob', 'EINVAL', undefined],
  ] as const)('takeTsmReport: %s fails with %s: reported at once, with what to do', async (step, code, hint) => {
    const kernel = tdxKernel().fail(step, code);
    const error = await expectCode(take(kernel).report, 'E_COLLECT', new RegExp(`failed: ${code}`));
    if (hint === undefined) expect(error.hint).toBeUndefined();
    else expect(error.hint).toMatch(hint);
    expect([kernel.entries.size, error.exitCode, kernel.names.length <= 1]).toEqual([0, 3, true]);
  });

  it.each(['inblob', 'outblob'] as const)('takeTsmReport: somebody else writes after our %s: the answer is thrown away, another entry is used', async (after) => {
    const kernel = tdxKernel();
    let left = 1;
    let seen = false;
    kernel.onStep = (step, entry) => {
      // The step after the one named: our own write is done by then.
      if (seen && left > 0 && entry !== undefined && step === 'generation') {
        left -= 1;
        entry.inblob = new Uint8Array(64).fill(0xee);
        entry.generation += 1;
      }
      seen = step === after;
    };
    const { report } = take(kernel);
    expect((await report).outblob).toEqual(quoteFor(INBLOB));
    expect([kernel.names.length, kernel.entries.size]).toEqual([2, 0]);
  });

  it('takeTsmReport: somebody else writes every time: refused', async () => {
    const kernel = tdxKernel();
    kernel.onStep = (step, entry) => {
      if (step === 'outblob' && entry !== undefined) entry.generation += 1;
    };
    await expectCode(take(kernel).report, 'E_COLLECT', /generation of the report is 2, expected 1: another process writes to the same entry, 6 times in a row/);
    expect(kernel.entries.size).toBe(0);
  });

  it('takeTsmReport: a write that the kernel drops silently is noticed', async () => {
    const kernel = tdxKernel();
    kernel.onStep = (step, entry) => {
      if (step === 'inblob' && entry !== undefined) entry.generation -= 1;
    };
    await expectCode(take(kernel).report, 'E_COLLECT', /generation of the report is 0, expected 1/);
  });

  it.each([
    ['an empty answer', () => new Uint8Array(0), /empty report/], ['an answer that is too large', () => new Uint8Array(32_769), /EFBIG/],
  ])('takeTsmReport: refuses %s', async (_name, answer, message) => {
    const kernel = tdxKernel({ answer });
    await expectCode(take(kernel).report, 'E_COLLECT', message);
    expect(kernel.entries.size).toBe(0);
  });

  it('takeTsmReport: refuses the answer of another driver', async () => {
    await expectCode(take(snpKernel()).report, 'E_COLLECT', /served by "sev_guest", expected tdx_guest/);
  });

  it('takeTsmReport: refuses a privilege level below the driver\'s', async () => {
    await expectCode(take(snpKernel({ privlevelFloor: 2 }), { provider: 'sev_guest', privlevel: 1 }).report, 'E_COLLECT', /EINVAL/);
  });

  it.each([0, 63, 65])('takeTsmReport: refuses report data of %d bytes before asking', (length) => {
    const kernel = tdxKernel();
    expect(() => take(kernel, { inblob: new Uint8Array(length) })).toThrow(RangeError);
    expect(kernel.steps).toEqual([]);
  });

  it('takeTsmReport: a kernel that does not answer in time; the entry goes when it does', async () => {
    const kernel = tdxKernel();
    let answer = (): void => undefined;
    kernel.onStep = (step) => (step === 'outblob' ? new Promise<void>((resolve) => { answer = resolve; }) : undefined);
    await expectCode(take(kernel, {}, { timeoutMs: 50 }).report, 'E_COLLECT', /gave no report within 50 ms/);
    expect(kernel.entries.size).toBe(1);
    answer();
    await new Promise((resolve) => { setTimeout(resolve, 20); });
    expect(kernel.entries.size).toBe(0);
  });

  it('takeTsmReport: an entry that cannot be removed is tried again, then a warning', async () => {
    const kernel = tdxKernel().fail('rmdir', 'EBUSY', 'EBUSY');
    const first = take(kernel);
    await first.report;
    expect([kernel.entries.size, first.warnings]).toEqual([0, []]);
    kernel.fail('rmdir', 'EBUSY', 'EBUSY', 'EBUSY');
    const second = take(kernel);
    await second.report;
    expect(second.warnings).toHaveLength(1);
  });
});
