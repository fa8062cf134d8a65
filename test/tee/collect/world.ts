// What the collecting tests share: kernels of a TDX and of an SEV-SNP guest, a host's certificate table, and no real waiting.
import { expect } from '@jest/globals';
import type { ErrorCode } from '../../../src/core/codes.ts';
import { CocoonError } from '../../../src/core/errors.ts';
import type { Log } from '../../../src/core/log.ts';
import type { CollectOptions } from '../../../src/tee/collect/collect.ts';
import { FakeTsmKernel } from '../../fakes/tsm-kernel.ts';
import type { FakeKernelOptions } from '../../fakes/tsm-kernel.ts';
import { forgeReport } from '../../fakes/snp-forge.ts';
import type { SnpForgery } from '../../fakes/snp-forge.ts';
import { jsonVector } from '../vectors.ts';

const TEMPLATE = Buffer.from((jsonVector('attestation/tdx-synthetic/valid_v4.json') as { quote_hex: string }).quote_hex, 'hex');
/** Header, then the report data of a TD 1.0 body. */
const REPORT_DATA_OFFSET = 48 + 520;

/** A TDX quote with this report data; its signature is over another one. */
export function quoteFor(reportData: Uint8Array): Uint8Array {
  const quote = Uint8Array.from(TEMPLATE);
  quote.set(reportData, REPORT_DATA_OFFSET);
  return quote;
}

export const tdxKernel = (options: FakeKernelOptions = {}): FakeTsmKernel => new FakeTsmKernel({ provider: 'tdx_guest', answer: quoteFor, ...options });

export const snpKernel = (options: FakeKernelOptions = {}, forgery: SnpForgery = {}): FakeTsmKernel => new FakeTsmKernel({
  provider: 'sev_guest', answer: (inblob, privlevel) => forgeReport({ ...forgery, patches: [[80, inblob], [48, Uint8Array.of(privlevel)]] }), ...options,
});

/** A host's certificate table; `guid` is hexadecimal in the order of its bytes. */
export function certificateTable(...entries: readonly { readonly guid: string; readonly der: Uint8Array }[]): Uint8Array {
  let offset = 24 * (entries.length + 1);
  const head = entries.map(({ guid, der }) => {
    const entry = Buffer.alloc(24);
    Buffer.from(guid, 'hex').copy(entry);
    entry.writeUInt32LE(offset, 16);
    entry.writeUInt32LE(der.length, 20);
    offset += der.length;
    return entry;
  });
  return Buffer.concat([...head, Buffer.alloc(24), ...entries.map(({ der }) => der)]);
}

export const VCEK_GUID = '63da758de6644564adc5f4b93be8accd';
export const VLEK_GUID = 'a8074bc2a25a483eaae639c045a0b8a1';

export const pemToDer = (pem: string): Buffer => Buffer.from(pem.replace(/-----[A-Z ]+-----|\s/g, ''), 'base64');

export interface Quiet {
  readonly options: CollectOptions;
  readonly slept: number[];
  readonly warnings: string[];
}

/** Options that sleep in no time and keep the log. */
export function quiet(options: CollectOptions = {}): Quiet {
  const slept: number[] = [];
  const warnings: string[] = [];
  const log: Log = { debug() {}, info() {}, error() {}, warn: (message) => { warnings.push(message); } };
  return { slept, warnings, options: { log, sleep: async (ms) => { slept.push(ms); }, ...options } };
}

/** Runs `action`, which must reject with this code and a message that matches; returns the error. */
export async function expectCode(action: Promise<unknown>, code: ErrorCode, message: RegExp): Promise<CocoonError> {
  const error: unknown = await action.then(() => undefined, (thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(CocoonError);
  if (!(error instanceof CocoonError)) throw new TypeError('not a CocoonError');
  expect([error.code, error.message]).toEqual([code, expect.stringMatching(message)]);
  return error;
}
