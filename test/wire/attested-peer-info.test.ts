// The vectors of both layouts, and every refusal.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { fromHex, toHex } from '../../src/core/bytes.ts';
import { NetworkError } from '../../src/core/errors.ts';
import { decodeAttestedPeerInfo, encodeAttestedPeerInfo, peerInfoFrameLength } from '../../src/wire/attested-peer-info.ts';
import type { AttestedPeerInfo } from '../../src/wire/attested-peer-info.ts';

const readJson = (path: string): unknown => JSON.parse(readFileSync(new URL(`../vectors/${path}`, import.meta.url), 'utf8'));

interface Layout1 { readonly session: string; readonly hex: string; readonly decoded: Record<string, unknown> }
const layout1 = readJson('wire/attested/attested_peer_info.json') as readonly Layout1[];
const layout2 = (readJson('wire-2026-04/attestation-images.json') as { peer_info: Record<string, string> }).peer_info;

const refusal = (message: RegExp): unknown => expect.objectContaining({ code: 'E_PROTOCOL', message: expect.stringMatching(message) });
const MEASUREMENTS = ['mr_td', 'mr_config_id', 'mr_owner', 'mr_owner_config', 'rtmr0', 'rtmr1', 'rtmr2', 'rtmr3'];

describe('vectors', () => {
  it.each(layout1.map((one) => [one.session, one] as const))('layout 1, %s', (_, { hex, decoded }) => {
    const info = decodeAttestedPeerInfo(fromHex(hex));
    expect(info.layout).toBe(1);
    expect(info.report !== null).toBe(decoded.has_attestation);
    if (info.report?.family === 'tdx') {
      expect(toHex(info.report.measurements)).toBe(MEASUREMENTS.map((name) => decoded[name]).join(''));
      expect(toHex(info.report.reportData)).toBe(createHash('sha512').update(info.publicKey).digest('hex'));
    }
    expect(info.source.port).toBe(decoded.source_port);
    expect(info.destination).toEqual({ ip: decoded.destination_ip, port: decoded.destination_port });
    expect(peerInfoFrameLength(fromHex(hex))).toBe(hex.length / 2);
    expect(toHex(encodeAttestedPeerInfo(info))).toBe(hex);
  });

  it.each(['tdx', 'sev'])('layout 2, %s', (family) => {
    const hex = layout2[`${family}_framed`]!;
    const info = decodeAttestedPeerInfo(fromHex(hex));
    expect(info).toMatchObject({
      layout: 2, report: { family: family === 'sev' ? 'sev-snp' : 'tdx' }, publicKey: fromHex(layout2.public_key!),
      source: { ip: '10.0.0.1', port: 40000 }, destination: { ip: '1.2.3.4', port: 11001 },
    });
    expect(toHex(encodeAttestedPeerInfo(info))).toBe(hex);
    expect(toHex(encodeAttestedPeerInfo(info)).slice(8)).toBe(layout2[`${family}_body`]);
  });
});

const fixed = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length });
const endpoint = fc.record({ ip: fc.oneof(fc.ipV4(), fc.ipV6()), port: fc.nat(65535) }, { noNullPrototype: true });
const common = { publicKey: fixed(32), source: endpoint, destination: endpoint };
const tdx = { family: fc.constant('tdx' as const), measurements: fixed(384), reportData: fixed(64) };
const report1 = fc.oneof(
  fc.record(tdx, { noNullPrototype: true }),
  fc.record({ family: fc.constant('sgx' as const), mrEnclave: fixed(32), reportData: fixed(64) }, { noNullPrototype: true }),
);
const report2 = fc.oneof(
  fc.record({ ...tdx, collateralRootHash: fixed(48) }, { noNullPrototype: true }),
  fc.record({ family: fc.constant('sev-snp' as const), measurement: fixed(48), reportData: fixed(64) }, { noNullPrototype: true }),
);
const anyInfo: fc.Arbitrary<AttestedPeerInfo> = fc.oneof(
  fc.record({ layout: fc.constant(1 as const), report: fc.option(report1), collateralRootHash: fixed(48), ...common }, { noNullPrototype: true }),
  fc.record({ layout: fc.constant(2 as const), report: report2, ...common }, { noNullPrototype: true }),
);

describe('properties', () => {
  it('any peer info survives encoding and decoding', () => {
    fc.assert(fc.property(anyInfo, (info) => {
      expect(decodeAttestedPeerInfo(encodeAttestedPeerInfo(info))).toEqual(info);
    }));
  });

  it('random and mutated bytes are decoded or refused with E_PROTOCOL', () => {
    const mutated = fc.tuple(anyInfo, fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 4 }), fc.nat(3))
      .map(([info, changes, cut]) => {
        const bytes = encodeAttestedPeerInfo(info);
        for (const [at, value] of changes) bytes[at % bytes.byteLength] = value;
        return bytes.subarray(0, bytes.byteLength - cut);
      });
    fc.assert(fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), mutated), (bytes) => {
      try {
        decodeAttestedPeerInfo(bytes);
      } catch (error) {
        if (!(error instanceof NetworkError) || error.code !== 'E_PROTOCOL') throw error;
      }
    }), { numRuns: 1000 });
  });
});

describe('decodeAttestedPeerInfo: refusals', () => {
  const none = layout1.find(({ decoded }) => decoded.has_attestation === false)!.hex;
  const body = none.slice(8);
  const framed = (hex: string): Uint8Array => {
    const bytes = fromHex(`00000000${hex}`);
    new DataView(bytes.buffer).setUint32(0, bytes.byteLength - 4, true);
    return bytes;
  };

  it.each([
    ['no length', new Uint8Array(3), /expected 4 bytes, got 3/],
    ['a length over the limit', fromHex('99400000'), /expected at most 16536 bytes, got 16537/],
    ['a frame cut short', fromHex(none).subarray(0, -1), /expected a frame of 124 bytes, got 123/],
    ['bytes after the frame', fromHex(`${none}00`), /expected a frame of 124 bytes, got 125/],
    ['bytes left over in the frame', framed(`${body}00000000`), /expected the end, got 4 more bytes/],
    ['an empty body', framed(''), /expected 4 bytes, got 0/],
    ['another layout', framed(`03000000${body.slice(8)}`), /expected 0, 1 or 2 in its first word, got 3/],
    ['another family in layout 1', framed(`0100000002000000${body}`), /expected family 0 or 1, got 2/],
    ['another family in layout 2', framed(`0200000002000000${body}`), /expected family 0 or 1, got 2/],
    ['a report cut short', framed('0200000001000000'), /measurement .*expected 48 bytes, got 0/],
    ['a key of 31 bytes', framed(`${body.slice(0, 104)}1f${body.slice(106)}`), /public key .*expected 32 bytes, got 31/],
    ['a port above 65535', framed(`${body.slice(0, -8)}00000100`), /port .*expected at most 65535, got 65536/],
    ['a negative port', framed(`${body.slice(0, -8)}ffffffff`), /port .*not negative, got -1/],
  ])('%s', (_, bytes, message) => {
    expect(() => decodeAttestedPeerInfo(bytes)).toThrow(refusal(message));
  });

  it.each<[string, Partial<AttestedPeerInfo>, RegExp]>([
    ['a key of 31 bytes', { publicKey: new Uint8Array(31) }, /public key: expected 32 bytes, got 31 bytes/],
    ['a port above 65535', { source: { ip: '', port: 65536 } }, /port: expected 0 to 65535, got 65536/],
    ['a collateral root of 47 bytes', { layout: 1, collateralRootHash: new Uint8Array(47) }, /collateral root: expected 48 bytes/],
    ['more than fits', { source: { ip: 'x'.repeat(17000), port: 1 } }, /expected at most 16536 bytes/],
  ])('encodeAttestedPeerInfo refuses %s', (_, change, message) => {
    const info = { ...decodeAttestedPeerInfo(fromHex(none)), ...change } as AttestedPeerInfo;
    expect(() => encodeAttestedPeerInfo(info)).toThrow(expect.objectContaining({ code: 'E_INTERNAL', message: expect.stringMatching(message) }));
  });
});
