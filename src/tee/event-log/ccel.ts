// Parses the confidential computing event log (CCEL): TCG crypto-agile format (PC client platform firmware profile, section
// 10) with the registers of TDX (UEFI 2.10 section 38.4.1: index 0 is MRTD, 1 to 4 are RTMR0 to RTMR3).
// Refuses logs without SHA-384, other register indices, lengths out of bounds and bytes after the last event that are not filling.
import { createHash } from 'node:crypto';
import { equalBytes } from '../../core/bytes.ts';
import type { AttestationError } from '../../core/errors.ts';
import { malformed, refused } from '../refusal.ts';
import { ByteReader } from '../dcap/byte-reader.ts';
import { DIGEST_BYTES, REGISTERS } from './replay.ts';
import type { MeasuredEvent } from './replay.ts';

export const MAX_CCEL_BYTES = 4_194_304;
const MAX_EVENTS = 65_536;
const MAX_ALGORITHMS = 8;
const MAX_DIGEST_BYTES = 64;
const SHA1_BYTES = 20;
const EV_NO_ACTION = 3;
const SHA384 = 0x0c;
const SIGNATURE = Buffer.from('Spec ID Event03\0', 'latin1');
/** platformClass 4 bytes, three version bytes, size of UINTN. */
const SPEC_FIXED_BYTES = 8;

/** Parses a log of at most MAX_CCEL_BYTES. EV_NO_ACTION events are left out: they are never measured. Throws AttestationError. */
export function parseCcel(bytes: Uint8Array): MeasuredEvent[] {
  if (bytes.length > MAX_CCEL_BYTES) throw malformed(`the event log has ${bytes.length} bytes, expected at most ${MAX_CCEL_BYTES}`);
  const reader = new ByteReader(bytes, 'the event log');
  const algorithms = readSpecId(reader);
  const events: MeasuredEvent[] = [];
  for (let count = 0; !isFilling(bytes.subarray(reader.position)); count += 1) {
    if (count === MAX_EVENTS) throw malformed(`the event log has more than ${MAX_EVENTS} events`);
    const event = readEvent(reader, algorithms);
    if (event !== null) events.push(event);
  }
  return events;
}

/** Firmware reserves more room than it uses and fills the rest with ones or zeros. */
const isFilling = (rest: Uint8Array): boolean => rest.every((byte) => byte === 0xff) || rest.every((byte) => byte === 0);

/** The first event, in the old format, says which digests the others have: sizes by algorithm id. */
function readSpecId(reader: ByteReader): ReadonlyMap<number, number> {
  reader.u32('register index of the first event');
  const type = reader.u32('type of the first event');
  reader.bytes(SHA1_BYTES, 'digest of the first event');
  const spec = new ByteReader(reader.bytes(reader.u32('size of the first event'), 'first event'), 'the first event');
  if (type !== EV_NO_ACTION || !equalBytes(spec.bytes(SIGNATURE.length, 'signature'), SIGNATURE)) {
    throw malformed('the event log does not begin with a "Spec ID Event03"');
  }
  spec.bytes(SPEC_FIXED_BYTES, 'version');
  const count = spec.u32('number of algorithms');
  if (count > MAX_ALGORITHMS) throw malformed(`the event log has ${count} digest algorithms, expected at most ${MAX_ALGORITHMS}`);
  const sizes = new Map<number, number>();
  for (let index = 0; index < count; index += 1) {
    const id = spec.u16('algorithm id');
    const size = spec.u16('digest size');
    if (sizes.has(id)) throw malformed(`the event log lists the algorithm 0x${id.toString(16)} twice`);
    if (size === 0 || size > MAX_DIGEST_BYTES) throw malformed(`the event log has digests of ${size} bytes, expected 1 to ${MAX_DIGEST_BYTES}`);
    sizes.set(id, size);
  }
  spec.bytes(spec.u8('size of vendor data'), 'vendor data');
  spec.end();
  if (sizes.get(SHA384) !== DIGEST_BYTES) throw unmeasured('an event log without SHA-384');
  return sizes;
}

function readEvent(reader: ByteReader, algorithms: ReadonlyMap<number, number>): MeasuredEvent | null {
  const index = reader.u32('register index');
  const type = reader.u32('event type');
  const count = reader.u32('number of digests');
  if (count > algorithms.size) throw malformed(`an event has ${count} digests, expected at most ${algorithms.size}`);
  const digests = new Map<number, Uint8Array>();
  for (let i = 0; i < count; i += 1) {
    const id = reader.u16('digest algorithm');
    const size = algorithms.get(id);
    if (size === undefined) throw malformed(`an event has a digest of the unlisted algorithm 0x${id.toString(16)}`);
    if (digests.has(id)) throw malformed(`an event has two digests of the algorithm 0x${id.toString(16)}`);
    digests.set(id, reader.bytes(size, 'digest'));
  }
  const data = reader.bytes(reader.u32('event size'), 'event data');
  if (type === EV_NO_ACTION) return null;
  const register = index === 0 ? null : REGISTERS[index - 1];
  if (register === undefined) throw malformed(`an event is for register ${index}, expected 0 (MRTD) to 4 (RTMR3)`);
  const digest = digests.get(SHA384);
  if (digest === undefined) throw unmeasured(`an event of type 0x${type.toString(16)} without SHA-384`);
  return { register, type, digest, data, bound: equalBytes(createHash('sha384').update(data).digest(), digest), name: '' };
}

function unmeasured(seen: string): AttestationError {
  return refused({ check: 'event-log', seen, wanted: 'SHA-384, which the registers of TDX use', meaning: 'the log cannot be replayed' });
}
