// Answers to challenges by the machine: the right report data, GPUs only where they are in confidential mode, and errors that
// end the challenge instead of leaving something out.
import { describe, expect, it } from '@jest/globals';
import { toHex } from '../../../src/core/bytes.ts';
import { gpuNonceOf } from '../../../src/tee/collect/freshness.ts';
import type { RunTool } from '../../../src/tee/collect/run-tool.ts';
import { parseQuote } from '../../../src/tee/dcap/parse-quote.ts';
import { freshReportData } from '../../../src/tee/fresh-attestation.ts';
import type { FreshAnswer } from '../../../src/tee/fresh-attestation.ts';
import { hardwareAttester } from '../../../src/tee/live/hardware-attester.ts';
import { parseSnpReport } from '../../../src/tee/snp/parse-report.ts';
import { forgeDevice } from '../../fakes/nvidia-forge.ts';
import { forgeCollateral } from '../../fakes/snp-forge.ts';
import { FakeTsmKernel } from '../../fakes/tsm-kernel.ts';
import { certificateTable, pemToDer, quiet, quoteFor, snpKernel, tdxKernel, VCEK_GUID } from '../collect/world.ts';

const KEY = new Uint8Array(32).fill(1);
const QUESTION = { nonce: new Uint8Array(32).fill(2), exporter: new Uint8Array(32).fill(3) };
const signal = new AbortController().signal;

const output = (text: string) => ({ exitCode: 0, stdout: Buffer.from(text), stderr: '' });
/** NVIDIA's tools on a machine with one GPU. */
const tools = (mode: 'ON' | 'OFF', calls: string[] = []): RunTool => async (file, args) => {
  calls.push([file, ...args].join(' '));
  if (file === 'nvidia-smi') return output(args.includes('-f') ? `CC status: ${mode}\n` : 'DevTools Mode: OFF\n');
  const nonce = Buffer.from(args[args.indexOf('--nonce') + 1] ?? '', 'hex');
  return output(JSON.stringify({ result_code: 0, evidences: [forgeDevice({ nonce })] }));
};
const withGpu = { files: { '/dev/nvidia0': '' } };

const reportDataOfAnswer = ({ evidence }: FreshAnswer): Uint8Array => {
  if (evidence.family === 'sev-snp') return parseSnpReport(evidence.report).reportData;
  if (evidence.family !== 'tdx') throw new TypeError('simulated');
  const { body } = parseQuote(evidence.quote);
  return body.report.reportData;
};

describe('hardwareAttester', () => {
  it('hardwareAttester: a TDX guest without a GPU', async () => {
    const answer = await hardwareAttester(KEY, { collect: quiet({ kernel: tdxKernel(), runTool: async () => null }).options, gpus: 'if-present' })(QUESTION, signal);
    expect(answer.gpus).toHaveLength(0);
    expect(toHex(reportDataOfAnswer(answer))).toBe(toHex(freshReportData({ ...QUESTION, publicKey: KEY }, new Uint8Array(0))));
  });

  it('hardwareAttester: an SEV-SNP guest with the chip key that the host passes', async () => {
    const vek = forgeCollateral().vek;
    const kernel = snpKernel({ auxblob: certificateTable({ guid: VCEK_GUID, der: pemToDer(vek) }) });
    const answer = await hardwareAttester(KEY, { collect: quiet({ kernel, runTool: async () => null }).options, gpus: 'none' })(QUESTION, signal);
    expect(answer.evidence).toMatchObject({ family: 'sev-snp' });
    expect(toHex(reportDataOfAnswer(answer))).toBe(toHex(freshReportData({ ...QUESTION, publicKey: KEY }, new Uint8Array(0))));
  });

  it('hardwareAttester: a GPU in confidential mode is asked with the nonce of this challenge, and bound', async () => {
    const calls: string[] = [];
    const attest = hardwareAttester(KEY, { collect: quiet({ kernel: tdxKernel(withGpu), runTool: tools('ON', calls) }).options, gpus: 'if-present' });
    const answer = await attest(QUESTION, signal);
    const bundle = JSON.parse(Buffer.from(answer.gpus).toString()) as { devices: { nonce: string }[]; system: object };
    expect([bundle.devices.map(({ nonce }) => nonce), bundle.system]).toEqual([[toHex(gpuNonceOf(QUESTION.nonce, KEY))], { cc_mode: 'on', dev_tools: 'off' }]);
    expect(toHex(reportDataOfAnswer(answer))).toBe(toHex(freshReportData({ ...QUESTION, publicKey: KEY }, answer.gpus)));
    await attest(QUESTION, signal);
    // Whether there is one was asked once; its evidence each time.
    expect([calls.filter((call) => call.startsWith('nvattest')).length, calls.filter((call) => call === 'nvidia-smi conf-compute -f').length]).toEqual([2, 3]);
  });

  it('hardwareAttester: a GPU that is not in confidential mode proves nothing, and is left out unless required', async () => {
    const collect = quiet({ kernel: tdxKernel(withGpu), runTool: tools('OFF') }).options;
    expect((await hardwareAttester(KEY, { collect, gpus: 'if-present' })(QUESTION, signal)).gpus).toHaveLength(0);
    expect((await hardwareAttester(KEY, { collect, gpus: 'require' })(QUESTION, signal)).gpus.length).toBeGreaterThan(0);
    await expect(hardwareAttester(KEY, { collect: quiet({ kernel: tdxKernel(), runTool: async () => null }).options, gpus: 'require' })(QUESTION, signal)).rejects.toMatchObject({ code: 'E_COLLECT' });
  });

  it('hardwareAttester: fails outside a TEE, and with a tool that fails where a GPU is confidential', async () => {
    const none = quiet({ kernel: new FakeTsmKernel({ interface: false }), runTool: async () => null }).options;
    await expect(hardwareAttester(KEY, { collect: none, gpus: 'none' })(QUESTION, signal)).rejects.toMatchObject({ code: 'E_NO_TEE' });
    const broken: RunTool = async (file, args, limits) => (file === 'nvattest' ? { exitCode: 1, stdout: Buffer.from('{"result_code":5}'), stderr: '' } : tools('ON')(file, args, limits));
    await expect(hardwareAttester(KEY, { collect: quiet({ kernel: tdxKernel(withGpu), runTool: broken }).options, gpus: 'if-present' })(QUESTION, signal)).rejects.toMatchObject({ code: 'E_COLLECT' });
  });

  it('hardwareAttester: a few at a time, and who leaves is let go', async () => {
    let inside = 0;
    let most = 0;
    const kernel = tdxKernel({ answer: quoteFor });
    kernel.onStep = async (step) => {
      if (step !== 'outblob') return;
      inside += 1;
      most = Math.max(most, inside);
      await new Promise((resolve) => { setImmediate(resolve); });
      inside -= 1;
    };
    const attest = hardwareAttester(KEY, { collect: quiet({ kernel, runTool: async () => null }).options, gpus: 'none' });
    const leaving = new AbortController();
    const all = Array.from({ length: 12 }, () => attest(QUESTION, new AbortController().signal));
    const gone = attest(QUESTION, leaving.signal);
    leaving.abort();
    await expect(gone).rejects.toMatchObject({ code: 'E_CLOSED' });
    await Promise.all(all);
    expect(most).toBeLessThanOrEqual(4);
  });
});
