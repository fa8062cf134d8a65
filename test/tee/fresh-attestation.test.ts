// The exact bytes of fresh attestation: the vectors were computed by another program from the specification's text.
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { fromHex, toHex } from '../../src/core/bytes.ts';
import { gpuNonceOf } from '../../src/tee/collect/freshness.ts';
import { checkFreshAnswer, EXPORTER_LABEL, FRESH_LABEL, freshReportData, MAX_GPUS_BYTES } from '../../src/tee/fresh-attestation.ts';
import type { FreshAnswer } from '../../src/tee/fresh-attestation.ts';
import { DECLARATIONS, decodeBoxed, encodeBoxed } from '../../src/wire/tl/codec.ts';
import type { TlName } from '../../src/wire/tl/types.ts';
import { expectRefusal } from './expect-error.ts';
import { jsonVector } from './vectors.ts';

interface Vectors {
  readonly label: string;
  readonly exporter_label: string;
  readonly constructors: Readonly<Record<string, string>>;
  readonly cases: readonly {
    readonly name: string; readonly nonce: string; readonly public_key: string; readonly exporter: string; readonly gpus: string;
    readonly report_data: string; readonly gpu_nonce: string;
    readonly wire: Readonly<Record<'challenge' | 'tdx' | 'sev_snp' | 'simulated', string>>;
    readonly evidence: Readonly<Record<'quote' | 'report' | 'vek' | 'simulated', string>>;
  }[];
}
const vectors = jsonVector('fresh-attestation/vectors.json') as Vectors;

describe('vectors', () => {
  it('labels and constructor ids', () => {
    expect([FRESH_LABEL, EXPORTER_LABEL]).toEqual([vectors.label, vectors.exporter_label]);
    const ids = DECLARATIONS.filter(({ name }) => name.startsWith('attest.')).map(({ name, id }) => [name, id.toString(16).padStart(8, '0')]);
    expect(Object.fromEntries(ids)).toEqual(vectors.constructors);
  });

  it.each(vectors.cases.map((one) => [one.name, one] as const))('%s: report data, nonce of the GPUs, challenge and answers', (_, one) => {
    const [nonce, publicKey, exporter] = [fromHex(one.nonce), fromHex(one.public_key), fromHex(one.exporter)];
    const gpus = Buffer.from(one.gpus);
    expect(toHex(freshReportData({ nonce, publicKey, exporter }, gpus))).toBe(one.report_data);
    expect(toHex(gpuNonceOf(nonce, publicKey))).toBe(one.gpu_nonce);
    const { quote, report, vek, simulated } = one.evidence;
    const objects = {
      challenge: { _: 'attest.challenge', nonce }, tdx: { _: 'attest.tdx', quote: fromHex(quote), gpus }, simulated: { _: 'attest.simulated', evidence: fromHex(simulated), gpus },
      sev_snp: { _: 'attest.sevSnp', report: fromHex(report), vek: Buffer.from(vek), gpus },
    } as const;
    for (const [name, object] of Object.entries(objects)) {
      const bytes = one.wire[name as keyof typeof objects];
      expect(toHex(encodeBoxed(object))).toBe(bytes);
      expect(decodeBoxed(fromHex(bytes))._).toBe(object._ satisfies TlName);
    }
  });
});

describe('freshReportData', () => {
  const part = fc.uint8Array({ minLength: 32, maxLength: 32 });
  it('freshReportData: another one for every change of any part', () => {
    fc.assert(fc.property(part, part, part, fc.uint8Array({ maxLength: 40 }), fc.nat(3), fc.nat(31), (nonce, publicKey, exporter, gpus, which, at) => {
      const same = toHex(freshReportData({ nonce, publicKey, exporter }, gpus));
      const flip = (bytes: Uint8Array, wanted: number): Uint8Array => (which === wanted ? Uint8Array.from(bytes, (byte, index) => (index === at ? byte ^ 1 : byte)) : bytes);
      const changed = freshReportData({ nonce: flip(nonce, 0), publicKey: flip(publicKey, 1), exporter: flip(exporter, 2) }, which === 3 ? Buffer.concat([gpus, Uint8Array.of(at)]) : gpus);
      expect(toHex(changed)).not.toBe(same);
    }), { numRuns: 200 });
  });

  it('freshReportData: refuses parts of another size', () => {
    const good = { nonce: new Uint8Array(32), publicKey: new Uint8Array(32), exporter: new Uint8Array(32) };
    for (const name of ['nonce', 'publicKey', 'exporter']) expect(() => freshReportData({ ...good, [name]: new Uint8Array(31) }, new Uint8Array(0))).toThrow(RangeError);
  });
});

describe('checkFreshAnswer', () => {
  const none = new Uint8Array(0);
  const sized = (length: number): Uint8Array => new Uint8Array(length);
  it.each<[string, FreshAnswer]>([
    ['no quote', { evidence: { family: 'tdx', quote: none }, gpus: none }], ['a quote of 32769 bytes', { evidence: { family: 'tdx', quote: sized(32_769) }, gpus: none }],
    ['a report of 1183 bytes', { evidence: { family: 'sev-snp', report: sized(1183), vek: sized(1) }, gpus: none }], ['no chip key', { evidence: { family: 'sev-snp', report: sized(1184), vek: none }, gpus: none }],
    ['a chip key of 8193 bytes', { evidence: { family: 'sev-snp', report: sized(1184), vek: sized(8193) }, gpus: none }], ['simulated evidence of 216 bytes', { evidence: { family: 'simulated', evidence: sized(216) }, gpus: none }],
    ['too much GPU evidence', { evidence: { family: 'tdx', quote: sized(1) }, gpus: sized(MAX_GPUS_BYTES + 1) }],
  ])('checkFreshAnswer: refuses %s', (_, answer) => { expectRefusal(() => checkFreshAnswer(answer), 'E_EVIDENCE_MALFORMED', /the fresh .* has \d+ bytes, expected/); });

  it('checkFreshAnswer: takes the largest of each', () => {
    checkFreshAnswer({ evidence: { family: 'tdx', quote: sized(32_768) }, gpus: sized(MAX_GPUS_BYTES) });
    checkFreshAnswer({ evidence: { family: 'sev-snp', report: sized(1184), vek: sized(8192) }, gpus: none });
  });
});
