// Event logs: forged ones replay to what they say, real ones to the registers of their guests, broken ones are refused.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { toHex } from '../../../src/core/bytes.ts';
import { AttestationError } from '../../../src/core/errors.ts';
import { checkCcelTable } from '../../../src/tee/collect/event-log.ts';
import { parseQuote } from '../../../src/tee/dcap/parse-quote.ts';
import { parseCcel } from '../../../src/tee/event-log/ccel.ts';
import { checkReplay, replay } from '../../../src/tee/event-log/replay.ts';
import { parseRuntimeLog, RUNTIME_EVENT_TYPE, runtimeDigest } from '../../../src/tee/event-log/runtime-log.ts';
import { CheckList } from '../../../src/tee/verdict.ts';
import { SKIP_REASON, sharedFolder } from '../dcap/vectors.ts';
import { expectRefusal } from '../expect-error.ts';

const sha384 = (...parts: (Uint8Array | string)[]): Buffer => parts.reduce((hash, part) => hash.update(part), createHash('sha384')).digest();
const u16 = (value: number): Buffer => Buffer.from([value & 255, value >> 8]);
function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

const spec = (algorithms: readonly (readonly [number, number])[], vendor: Uint8Array = new Uint8Array(0), signature = 'Spec ID Event03\0'): Buffer => {
  const body = Buffer.concat([Buffer.from(signature, 'latin1'), Buffer.alloc(8), u32(algorithms.length), ...algorithms.flatMap(([id, size]) => [u16(id), u16(size)]), Uint8Array.of(vendor.length), vendor]);
  return Buffer.concat([u32(1), u32(3), Buffer.alloc(20), u32(body.length), body]);
};
const SPEC = spec([[12, 48]]);
const event = (index: number, type: number, digest: Uint8Array, data: Uint8Array, count = 1): Buffer =>
  Buffer.concat([u32(index), u32(type), u32(count), u16(12), digest, u32(data.length), data]);
const DATA = Buffer.from('measured');
const DIGEST = sha384(DATA);

describe('parseCcel and replay', () => {
  it('replay: extends each register in order, leaves MRTD and EV_NO_ACTION out', () => {
    const log = Buffer.concat([SPEC, event(0, 0x0b, DIGEST, DATA), event(1, 4, DIGEST, DATA), event(1, 4, sha384('x'), DATA), event(2, 3, DIGEST, DATA), event(4, 13, DIGEST, DATA)]);
    const events = parseCcel(log);
    expect(events.map(({ register, bound }) => [register, bound])).toEqual([[null, true], ['rtmr0', true], ['rtmr0', false], ['rtmr3', true]]);
    const once = sha384(Buffer.alloc(48), DIGEST);
    const registers = replay(events);
    expect([toHex(registers.rtmr0), toHex(registers.rtmr1), toHex(registers.rtmr3)]).toEqual([toHex(sha384(once, sha384('x'))), '00'.repeat(48), toHex(once)]);
  });

  it('parseCcel: takes the SHA-384 digest among several, and ends at the filling', () => {
    const two = Buffer.concat([u32(1), u32(4), u32(2), u16(4), Buffer.alloc(20, 1), u16(12), DIGEST, u32(0)]);
    for (const filling of [Buffer.alloc(0), Buffer.alloc(100, 0xff), Buffer.alloc(100)]) {
      const [only, ...more] = parseCcel(Buffer.concat([spec([[4, 20], [12, 48]], Uint8Array.of(1, 2)), two, filling]));
      expect([toHex(only?.digest ?? DATA), more]).toEqual([toHex(DIGEST), []]);
    }
  });

  const refused: readonly [string, Buffer][] = [
    ['no first event', Buffer.alloc(0)], ['another first event', spec([[12, 48]], new Uint8Array(0), 'Spec ID Event02\0')], ['no SHA-384', spec([[11, 32]])], ['SHA-384 of 32 bytes', spec([[12, 32]])], ['an algorithm twice', spec([[12, 48], [12, 48]])],
    ['digests of no bytes', spec([[12, 48], [4, 0]])], ['nine algorithms', spec(Array.from({ length: 9 }, (_, i) => [i + 12, 48] as const))], ['register 5', Buffer.concat([SPEC, event(5, 4, DIGEST, DATA)])],
    ['an unlisted algorithm', Buffer.concat([SPEC, u32(1), u32(4), u32(1), u16(11), Buffer.alloc(32, 1), u32(0)])], ['more digests than algorithms', Buffer.concat([SPEC, event(1, 4, DIGEST, DATA, 2)])],
    ['an event without SHA-384', Buffer.concat([spec([[4, 20], [12, 48]]), u32(1), u32(4), u32(1), u16(4), Buffer.alloc(20, 1), u32(0)])], ['a truncated event', Buffer.concat([SPEC, event(1, 4, DIGEST, DATA)]).subarray(0, -1)],
    ['an event that claims 4 GiB', Buffer.concat([SPEC, u32(1), u32(4), u32(1), u16(12), DIGEST, u32(0xffffffff)])], ['4 MiB and a byte', Buffer.alloc(4_194_305)],
  ];
  it.each(refused)('parseCcel: refuses %s', (_, log) => expect(() => parseCcel(log)).toThrow(AttestationError));

  it('parseCcel and parseRuntimeLog: typed errors only', () => {
    const good = Buffer.concat([SPEC, event(1, 4, DIGEST, DATA), event(2, 13, DIGEST, DATA)]);
    fc.assert(fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.tuple(fc.nat(good.length - 1), fc.nat(255)).map(([at, value]) => Buffer.from(good).fill(value, at, at + 1))), fc.oneof(fc.json(), fc.string()), (bytes, text) => {
      for (const parse of [() => parseCcel(bytes), () => parseRuntimeLog(text)]) {
        try {
          parse();
        } catch (error) {
          if (!(error instanceof AttestationError)) throw error;
        }
      }
    }), { numRuns: 500 });
  });

  it('checkReplay: one check a register, both ways', () => {
    const events = parseCcel(Buffer.concat([SPEC, event(1, 4, DIGEST, DATA)]));
    const list = new CheckList();
    checkReplay(events, { ...replay(events), rtmr2: Buffer.alloc(48, 1) }, ['rtmr0', 'rtmr2'], list);
    expect(list.verdict(null).checks.map(({ name, result }) => [name, result])).toEqual([['event-log-rtmr0', 'pass'], ['event-log-rtmr2', 'fail']]);
  });
});

describe('parseRuntimeLog', () => {
  const one = (changes: object = {}): string => JSON.stringify([{ imr: 3, event_type: RUNTIME_EVENT_TYPE, digest: toHex(runtimeDigest('app-id', DATA)), event: 'app-id', event_payload: toHex(DATA), ...changes }]);

  it('parseRuntimeLog: computes the digest of runtime events from their content', () => {
    const wanted = toHex(sha384(Uint8Array.of(1, 0, 0, 8), ':app-id:', DATA));
    for (const digest of [undefined, '', wanted, wanted.toUpperCase()]) {
      const [parsed] = parseRuntimeLog(one({ digest }));
      expect([toHex(parsed?.digest ?? DATA), parsed?.bound, parsed?.register, parsed?.name]).toEqual([wanted, true, 'rtmr3', 'app-id']);
    }
  });

  it('parseRuntimeLog: refuses a digest that is not of the content', () => {
    for (const changes of [{ event: 'app-ie' }, { event_payload: '00' }, { digest: '11'.repeat(48) }]) expectRefusal(() => parseRuntimeLog(one(changes)), 'E_EVIDENCE_REFUSED', /check "event-log"/);
  });

  it('parseRuntimeLog: refuses another split of the same hashed bytes into name and payload', () => {
    const payload = Buffer.from('a:b');
    expect(runtimeDigest('x', payload)).toEqual(runtimeDigest('x:a', Buffer.from('b')));
    const event = (name: string, data: Uint8Array): string => one({ event: name, event_payload: toHex(data), digest: toHex(runtimeDigest('x', payload)) });
    expect(parseRuntimeLog(event('x', payload))[0]?.name).toBe('x');
    expectRefusal(() => parseRuntimeLog(event('x:a', Buffer.from('b'))), 'E_EVIDENCE_MALFORMED', /does not end where its payload begins/);
    expectRefusal(() => parseRuntimeLog(one({ event: '\ud800', digest: '' })), 'E_EVIDENCE_MALFORMED', /does not end/);
  });

  it('parseRuntimeLog: the name of a boot event, which nothing measures, is left out', () => {
    const hashed = Buffer.concat([Uint8Array.of(1, 0, 0, 8), Buffer.from(':app-id:'), DATA]);
    const [event] = parseRuntimeLog(one({ event_type: 4, event: 'compose-hash', event_payload: toHex(hashed) }));
    expect([event?.bound, event?.name]).toEqual([true, '']);
  });

  it('parseRuntimeLog: takes boot events by their digest', () => {
    const [boot] = parseRuntimeLog(one({ imr: 0, event_type: 4, digest: toHex(DIGEST) }));
    expect([boot?.register, boot?.bound]).toEqual(['rtmr0', true]);
    expect(parseRuntimeLog(one({ imr: 0, event_type: 4, digest: '11'.repeat(48), event_payload: '' }))[0]?.bound).toBe(false);
  });

  it.each([[{ imr: 4 }], [{ imr: 0 }], [{ imr: '3' }], [{ event_type: -1 }], [{ digest: 'zz' }], [{ event: 5 }], [{ event_payload: 'abc' }], [{ event_type: 4, digest: '00' }]])('parseRuntimeLog: refuses %j', (changes) => {
    expectRefusal(() => parseRuntimeLog(one(changes)), 'E_EVIDENCE_MALFORMED', /./);
  });
});

const folder = sharedFolder('ccel');
const dcap = sharedFolder('dcap');
const real = folder !== null && dcap !== null ? it : it.skip;
const read = (name: string): Buffer => readFileSync(new URL(name, folder ?? 'file:///'));
const registersOf = (bytes: Uint8Array): Record<string, string> => {
  const { body } = parseQuote(bytes);
  if (body.tee !== 'tdx') throw new Error('expected a TDX quote');
  return { rtmr0: toHex(body.report.rtmr0), rtmr1: toHex(body.report.rtmr1), rtmr2: toHex(body.report.rtmr2), rtmr3: toHex(body.report.rtmr3) };
};
const replayed = (events: Parameters<typeof replay>[0]): Record<string, string> => Object.fromEntries(Object.entries(replay(events)).map(([name, value]) => [name, toHex(value)]));

describe(folder === null ? `real event logs: ${SKIP_REASON}` : 'real event logs', () => {
  real('parseCcel: every log is read to its end', () => {
    const counts = { 'confdotai-live1.ccel.bin': 20, 'confdotai-live2.ccel.bin': 20, 'dstack.ccel.bin': 18, 'google-cos113.ccel.bin': 43, 'trustee-CCEL_data.bin': 5, 'trustee-CCEL_data_gcp.bin': 21, 'trustee-CCEL_data_grub.bin': 37, 'trustee-CCEL_data_grub_gke.bin': 33, 'trustee-CCEL_data_ovmf.bin': 20 };
    for (const [name, count] of Object.entries(counts)) expect([name, parseCcel(read(name)).length]).toEqual([name, count]);
  });

  real('replay: a live guest\'s log gives the registers of its TDREPORT', () => {
    // TDREPORT: TDINFO at 512, its RTMRs after ATTRIBUTES, XFAM and four registers.
    const report = read('confdotai-live1.tdreport.bin');
    const at = (index: number): string => toHex(report.subarray(512 + 16 + 4 * 48 + index * 48, 512 + 16 + 5 * 48 + index * 48));
    expect(replayed(parseCcel(read('confdotai-live1.ccel.bin')))).toEqual({ rtmr0: at(0), rtmr1: at(1), rtmr2: at(2), rtmr3: at(3) });
  });

  real('replay: the firmware\'s part of a dstack log gives RTMR0 and RTMR2 of the quote of the same machine', () => {
    const quote = registersOf(readFileSync(new URL('tdx4-phala-tappd.quote.bin', dcap ?? 'file:///')));
    const { rtmr0, rtmr2 } = replayed(parseCcel(read('dstack.ccel.bin')));
    expect([rtmr0, rtmr2]).toEqual([quote['rtmr0'], quote['rtmr2']]);
  });

  real('replay: a live guest\'s log gives all registers of its quote', () => {
    expect(replayed(parseCcel(read('confdotai-live2.ccel.bin')))).toEqual(registersOf(readFileSync(new URL('tdx4-confdotai-live-2026.quote.bin', dcap ?? 'file:///'))));
  });

  real.each([['trustee-CCEL_data.bin', 'trustee-CCEL_data_out.json'], ['trustee-CCEL_data_ovmf.bin', 'trustee-CCEL_data_ovmf_out.json']])('parseCcel: the events of %s are those of its published parse', (log, parse) => {
    const { uefi_event_logs: published } = JSON.parse(read(parse).toString('utf8')) as { uefi_event_logs: readonly { readonly index: number; readonly event: string; readonly digests: readonly { readonly alg: string; readonly digest: string }[] }[] };
    const number = (register: string | null): number => (register === null ? 0 : Number(register.slice(-1)) + 1);
    expect(parseCcel(read(log)).map(({ register, digest, data }) => [number(register), toHex(digest), Buffer.from(data).toString('base64')]))
      .toEqual(published.map(({ index, digests, event: content }) => [index, digests.find(({ alg }) => alg === 'SHA-384')?.digest, content]));
  });

  real('checkCcelTable: a real ACPI table', () => { expect(checkCcelTable(read('google-cos113.ccel_table.bin'))).toBe(262_144); });

  real('parseRuntimeLog: a dstack guest\'s runtime events give RTMR3 of its quote', () => {
    // A SCALE structure: the quote, then events of imr, type, digest, name and payload with compact lengths.
    const bytes = read('dstack-attestation-with-rtmr3-eventlog.bin');
    let position = 2;
    const compact = (): number => {
      const first = bytes[position] ?? 0;
      const size = [1, 2, 4][first & 3] ?? 4;
      const value = Math.floor(bytes.readUIntLE(position, size) / 4);
      position += size;
      return value;
    };
    const take = (length: number): Buffer => bytes.subarray(position, position += length);
    const quote = take(compact());
    const events = Array.from({ length: compact() }, () => ({
      imr: take(4).readUInt32LE(), event_type: take(4).readUInt32LE(), digest: take(compact()).toString('hex'), event: take(compact()).toString(), event_payload: take(compact()).toString('hex'),
    }));
    expect(replayed(parseRuntimeLog(JSON.stringify(events)))).toEqual(registersOf(quote));
  });
});
