// Every captured frame and every TL sample decodes and encodes back to the same bytes.
import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { fromHex, toHex } from '../../../src/core/bytes.ts';
import { encodeFrame, FRAME_HEADER_BYTES } from '../../../src/wire/framing.ts';
import { decodeBoxed, decodeBoxedAs, encodeBoxed } from '../../../src/wire/tl/codec.ts';
import type { TlFunction, TlObject } from '../../../src/wire/tl/types.ts';

const vectors = fileURLToPath(new URL('../../vectors/', import.meta.url));
const readJson = (path: string): unknown => JSON.parse(readFileSync(vectors + path, 'utf8'));

/** The captured readers' JSON: hex for fixed bytes, `$bytes` for bytes, decimal text for longs. */
interface Captured { readonly _: string; readonly [field: string]: unknown }
interface Line { readonly kind: string; readonly hex: string; readonly seqno: number; readonly decoded: Captured }

/** Our object in the form of the captured JSON, so that values are compared and not only bytes. */
function toCaptured(value: unknown): unknown {
  if (value instanceof Uint8Array) return toHex(value);
  if (typeof value === 'bigint') return value.toString();
  if (Array.isArray(value)) return value.map(toCaptured);
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, toCaptured(item)]));
  }
  return value;
}

/** The captured JSON with its annotations reduced to the plain value. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  if ('$bytes' in value) return value.$bytes;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
}

/** Decodes and encodes `bytes` and every object nested in its `bytes` fields where the capture shows one; returns how many. */
function roundTrip(bytes: Uint8Array, captured: Captured): number {
  const object: TlObject | TlFunction = decodeBoxed(bytes);
  expect(toCaptured(object)).toEqual(plain(captured));
  expect(toHex(encodeBoxed(object))).toBe(toHex(bytes));
  let count = 1;
  for (const [field, item] of Object.entries(captured)) {
    if (typeof item === 'object' && item !== null && '$tl' in item) {
      count += roundTrip((object as unknown as Record<string, Uint8Array>)[field]!, item.$tl as Captured);
    }
  }
  return count;
}

const sessionFiles = ['wire/sessions', 'wire/sessions-errors'].flatMap((folder) =>
  readdirSync(vectors + folder).filter((name) => name.endsWith('.jsonl')).map((name) => `${folder}/${name}`));

describe('encodeBoxed, decodeBoxed: captured sessions', () => {
  it.each(sessionFiles)('%s: every frame keeps its bytes', (file) => {
    const lines = readFileSync(vectors + file, 'utf8').trim().split('\n').map((line) => JSON.parse(line) as Line);
    const frames = lines.filter(({ kind }) => kind === 'frame');
    expect(frames.length).toBeGreaterThan(3);
    for (const { hex, seqno, decoded } of frames) {
      const frame = fromHex(hex);
      const payload = frame.subarray(FRAME_HEADER_BYTES);
      expect(roundTrip(payload, decoded)).toBeGreaterThan(0);
      const packet = decodeBoxedAs('tcp.Packet', payload);
      expect(toHex(encodeFrame(seqno, encodeBoxed(packet)))).toBe(hex);
    }
  });

  it('nested objects are reached three levels deep', () => {
    const file = readFileSync(`${vectors}wire/sessions/client-runner.jsonl`, 'utf8').trim().split('\n');
    const depths = file.map((line) => JSON.parse(line) as Line).filter(({ kind }) => kind === 'frame')
      .map(({ hex, decoded }) => roundTrip(fromHex(hex).subarray(FRAME_HEADER_BYTES), decoded));
    expect(Math.max(...depths)).toBe(3);
  });
});

interface ProbeEntry { readonly dir: string; readonly hex?: string; readonly x?: Captured | string | null }

describe('encodeBoxed, decodeBoxed: probes and samples', () => {
  const probes = readJson('wire/probes/client-port.json') as Record<string, { readonly log: readonly ProbeEntry[] }>;

  it.each(Object.keys(probes))('probe %s: frames keep their bytes, malformed ones are refused', (name) => {
    for (const { hex, x } of probes[name]!.log) {
      if (hex === undefined) continue;
      const payload = fromHex(hex).subarray(FRAME_HEADER_BYTES);
      if (typeof x === 'string') {
        expect(() => {
          const packet = decodeBoxedAs('tcp.Packet', payload);
          decodeBoxed(packet._ === 'tcp.packet' ? packet.data : payload);
        }).toThrow(/unknown constructor/);
      } else if (name === 'trailing_bytes' && x?._ === 'tcp.ping') {
        expect(() => decodeBoxed(payload)).toThrow(/expected the end, got 4 more bytes/);
      } else if (x !== null && x !== undefined) {
        const { inner, ...outer } = x;
        roundTrip(payload, outer as Captured);
        if (typeof inner === 'object' && inner !== null) roundTrip(fromHex((outer.data as { $bytes: string }).$bytes), inner as Captured);
      }
    }
  });

  const { samples } = readJson('wire-2026-04/tl-samples.json') as { readonly samples: Record<string, string> };

  it.each(Object.entries(samples))('sample %s keeps its bytes', (name, hex) => {
    const object = decodeBoxed(fromHex(hex));
    expect(object._).toBe(name.split(' ')[0]);
    expect(toHex(encodeBoxed(object))).toBe(hex);
  });

  it('samples have the field values they were made from', () => {
    const query = fromHex('71756572792d6279746573');
    expect(decodeBoxed(fromHex(samples['client.runQueryEx proto<3 (flags=1)']!))).toEqual({
      _: 'client.runQueryEx', model_name: 'm', query, max_coefficient: 4000, max_tokens: 100, timeout: 114,
      request_id: new Uint8Array(32).fill(0x11), min_config_version: 7, flags: 1, enable_debug: false,
    });
    expect(decodeBoxed(fromHex(samples['proxy.runQueryEx proto>=3 (flags=3), empty payment']!))).toEqual({
      _: 'proxy.runQueryEx', query, signed_payment: { _: 'proxy.signedPaymentEmpty' }, coefficient: 1000n, timeout: 108.3,
      request_id: new Uint8Array(32).fill(0x11), flags: 3, enable_debug: true, private_key: new Uint8Array(32).fill(0x33),
    });
    expect(decodeBoxed(fromHex(samples['worker.connectToProxy flags=7']!))).toEqual({
      _: 'worker.connectToProxy', params: {
        _: 'worker.params', flags: 7, worker_owner_address: '0:00', model: 'm@c:v', coefficient: 1000, is_test: false, proxy_cnt: 1,
        max_active_requests: 60, min_proto_version: 3, max_proto_version: 4, machine_description_json: '{"gpu":1}',
      },
    });
  });

  it('rootConfig.configV5 and configV7 of the root contract vectors keep their bytes', () => {
    const v5 = (readJson('wire/onchain/root.json') as { root: Record<string, string>[] }).root.map((root) => root.tl_rootConfig_configV5);
    const v7 = (readJson('wire-2026-04/root-contract.json') as { roots: { cpp_9060ce5: unknown }[] }).roots
      .map((root) => (root.cpp_9060ce5 as Record<string, string> | null)?.tl_v7);
    const all = [...v5, ...v7].filter((hex) => hex !== undefined);
    expect(all.length).toBe(10);
    for (const hex of all) expect(toHex(encodeBoxed(decodeBoxed(fromHex(hex))))).toBe(hex);
  });
});
