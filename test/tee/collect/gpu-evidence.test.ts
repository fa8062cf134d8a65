// NVIDIA's tools: what they are asked, what their output must be, and the limits they run under.
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { InterruptedError } from '../../../src/core/errors.ts';
import { collectGpuEvidence, readSystemMode } from '../../../src/tee/collect/gpu-evidence.ts';
import { runTool } from '../../../src/tee/collect/run-tool.ts';
import type { RunTool, ToolOutput } from '../../../src/tee/collect/run-tool.ts';
import { GPU_FIELDS, forgeSpdm } from '../collateral/spdm.ts';
import { expectCode } from './world.ts';

const NONCE = new Uint8Array(32).fill(0xab);
const HEX = 'ab'.repeat(32);
const EVIDENCE = Buffer.from(forgeSpdm(NONCE, GPU_FIELDS)).toString('base64');
const CHAIN = Buffer.from('-----BEGIN CERTIFICATE-----\n').toString('base64');
const DEVICE = { version: '1.0', arch: 'HOPPER', nonce: HEX, vbios_version: '96', driver_version: '550', evidence: EVIDENCE, certificate: CHAIN };
const printed = (value: unknown, exitCode: number | null = 0): ToolOutput => ({ exitCode, stdout: Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)), stderr: '' });
const ok = (...evidences: readonly unknown[]): ToolOutput => printed({ result_code: 0, result_message: 'Ok', evidences });

/** A tool that gives these outputs one after another and keeps what it was asked. */
function scripted(...outputs: readonly (ToolOutput | null)[]): { run: RunTool; calls: string[] } {
  const calls: string[] = [];
  return { calls, run: async (file, args) => outputs[calls.push([file, ...args].join(' ')) - 1] ?? null };
}
const collect = (run: RunTool): Promise<unknown> => collectGpuEvidence(run, { device: 'gpu', nonce: NONCE, timeoutMs: 1000 });

describe('collectGpuEvidence', () => {
  it('collectGpuEvidence: asks with our nonce and gives what a bundle takes', async () => {
    const { run, calls } = scripted(ok(DEVICE, DEVICE));
    expect(await collect(run)).toEqual([1, 2].map(() => ({ arch: 'HOPPER', nonce: HEX, evidence: EVIDENCE, certificate: CHAIN })));
    expect(calls).toEqual([`nvattest collect-evidence --device gpu --nonce ${HEX} --format json`]);
  });

  it('collectGpuEvidence: an older tool that does not know the format option is asked without it', async () => {
    const { run, calls } = scripted({ exitCode: 109, stdout: new Uint8Array(0), stderr: 'The following argument was not expected: --format' }, ok(DEVICE));
    expect(await collect(run)).toHaveLength(1);
    expect(calls[1]).toBe(`nvattest collect-evidence --device gpu --nonce ${HEX}`);
  });

  it('collectGpuEvidence: no tool is an error that says what to install', async () => {
    const error = await expectCode(collect(scripted(null).run), 'E_COLLECT', /no program "nvattest"/);
    expect(error.hint).toMatch(/install/);
  });

  it.each<[string, ToolOutput, RegExp]>([
    ['text', printed('Evidence collected.'), /ended with code 0 and without JSON/],
    ['bytes that are not UTF-8', { exitCode: 0, stdout: Uint8Array.of(0x7b, 0xff), stderr: '' }, /without JSON/],
    ['a failure with its message', printed({ result_code: 5, result_message: 'NVML error\u0007', evidences: null }, 5), /failed with code 5: NVML error\?/],
    ['success that ended badly', printed({ result_code: 0, result_message: 'Ok', evidences: [DEVICE] }, 1), /failed with code 0/],
    ['a list', printed([]), /failed with code 0: no message/],
    ['no devices', ok(), /no list of 1 to 16/],
    ['too many devices', ok(...Array.from({ length: 17 }, () => DEVICE)), /no list of 1 to 16/],
    ['evidences that are no list', printed({ result_code: 0, evidences: 'x' }), /no list/],
    ['a device that is null', ok(null), /no architecture of gpu 0/],
    ['an architecture with a space', ok({ ...DEVICE, arch: 'a b' }), /no architecture/],
    ['evidence for another nonce', ok({ ...DEVICE, evidence: Buffer.from(forgeSpdm(new Uint8Array(32), GPU_FIELDS)).toString('base64') }), /gpu 0 is not for our nonce/],
    ['evidence of another protocol', ok({ ...DEVICE, evidence: Buffer.from(forgeSpdm(NONCE, GPU_FIELDS)).fill(0x12, 0, 1).toString('base64') }), /not for our nonce/],
    ['the second of two for another nonce', ok(DEVICE, { ...DEVICE, evidence: 'EeAB/w==' }), /gpu 1 is not for our nonce/],
    ['evidence that is not base64', ok({ ...DEVICE, evidence: `${EVIDENCE}*` }), /evidence of gpu 0 in another form/],
    ['no certificates', ok({ ...DEVICE, certificate: '' }), /certificates of gpu 0 in another form/],
    ['huge certificates', ok({ ...DEVICE, certificate: Buffer.alloc(70_000).toString('base64') }), /certificates of gpu 0 in another form/],
  ])('collectGpuEvidence: refuses %s', async (_name, output, message) => {
    await expectCode(collect(scripted(output).run), 'E_COLLECT', message);
  });

  it('collectGpuEvidence: refuses a nonce of another length', async () => {
    await expect(collectGpuEvidence(scripted().run, { device: 'gpu', nonce: new Uint8Array(31), timeoutMs: 1 })).rejects.toThrow(RangeError);
  });
});

describe('readSystemMode', () => {
  const mode = (...outputs: readonly (ToolOutput | null)[]): Promise<unknown> => readSystemMode(scripted(...outputs).run, { timeoutMs: 1000 });

  it('readSystemMode: reads both of the driver\'s answers', async () => {
    expect(await mode(printed('CC status: ON\n'), printed('DevTools Mode: OFF\n'))).toEqual({ cc_mode: 'on', dev_tools: 'off' });
    expect(await mode(printed('CC status: OFF\n'), printed('DevTools Mode: ON\n'))).toEqual({ cc_mode: 'off', dev_tools: 'on' });
  });

  it.each<[string, readonly (ToolOutput | null)[]]>([
    ['no tool', [null, null]], ['one answer only', [printed('CC status: ON\n'), printed('')]], ['an answer it does not know', [printed('CC status: MAYBE\n'), printed('DevTools Mode: OFF\n')]],
    ['a failure', [printed('CC status: ON\n', 9), printed('DevTools Mode: OFF\n')]],
  ])('readSystemMode: says nothing with %s', async (_name, outputs) => {
    expect(await mode(...outputs)).toBeNull();
  });
});

describe('runTool', () => {
  let folder = '';
  beforeAll(async () => { folder = await mkdtemp(join(tmpdir(), 'cocoon-tool-')); });
  afterAll(() => rm(folder, { recursive: true }));

  async function tool(name: string, script: string): Promise<string> {
    const path = join(folder, name);
    await writeFile(path, `#!/bin/sh\n${script}\n`);
    await chmod(path, 0o755);
    return path;
  }
  const limits = { timeoutMs: 5000, maxBytes: 10_000 };

  it('runTool: output, end and errors of a program, arguments as they are', async () => {
    const path = await tool('good', 'printf "%s|" "$@"; echo warning >&2; exit 3');
    const output = await runTool(path, ['a b', '$HOME', '"; rm x'], limits);
    expect([output?.exitCode, Buffer.from(output?.stdout ?? []).toString(), output?.stderr]).toEqual([3, 'a b|$HOME|"; rm x|', 'warning\n']);
  });

  it('runTool: null for a program that is not there, an error for one that may not run', async () => {
    expect(await runTool(join(folder, 'none'), [], limits)).toBeNull();
    const path = await tool('locked', 'exit 0');
    await chmod(path, 0o644);
    await expectCode(runTool(path, [], limits), 'E_COLLECT', /cannot be started: EACCES/);
  });

  it('runTool: kills what runs too long, children that hold its output included', async () => {
    const path = await tool('slow', 'sleep 30 & sleep 30');
    const start = performance.now();
    await expectCode(runTool(path, [], { ...limits, timeoutMs: 200 }), 'E_COLLECT', /did not finish within 200 ms/);
    expect(performance.now() - start).toBeLessThan(3000);
  });

  it('runTool: kills what prints too much', async () => {
    await expectCode(runTool(await tool('loud', 'while :; do echo 0123456789012345678901234567890123456789; done'), [], limits), 'E_COLLECT', /printed more than 10000 bytes/);
  });

  it('runTool: keeps the beginning of a long complaint', async () => {
    const output = await runTool(await tool('complains', 'head -c 100000 /dev/zero >&2'), [], limits);
    expect([output?.exitCode, output?.stderr.length]).toEqual([0, 4096]);
  });

  it('runTool: stops with its caller', async () => {
    const stop = new AbortController();
    const running = runTool(await tool('stopped', 'sleep 30'), [], { ...limits, signal: stop.signal });
    setTimeout(() => stop.abort(new InterruptedError('E_INTERRUPTED', 'stopped')), 50);
    await expectCode(running, 'E_INTERRUPTED', /stopped/);
    await expectCode(runTool('anything', [], { ...limits, signal: AbortSignal.abort() }), 'E_CLOSED', /cancelled/);
  });
});
