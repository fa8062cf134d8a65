// The event log of dstack guests, JSON: boot events as the firmware measured them, and runtime events in RTMR3 whose digest
// is computed here from their content, never taken from the log. Refuses runtime events whose stated digest is another one, and
// names with a colon: it stands between name and payload in what is hashed.
import { createHash } from 'node:crypto';
import { equalBytes } from '../../core/bytes.ts';
import { malformed, refused } from '../refusal.ts';
import { asHex, asObject, asText, fieldOf, hexField, integerField, textField } from '../dcap/json-reader.ts';
import type { JsonObject } from '../dcap/json-reader.ts';
import { DIGEST_BYTES, REGISTERS } from './replay.ts';
import type { MeasuredEvent } from './replay.ts';

export const MAX_RUNTIME_LOG_CHARACTERS = 4_194_304;
const MAX_EVENTS = 65_536;
const MAX_NAME = 1024;
const MAX_PAYLOAD_BYTES = 1_048_576;
const WHAT = 'a runtime log event';
/** Not a TCG type: dstack's own, for what a guest measures after boot. */
export const RUNTIME_EVENT_TYPE = 0x0800_0001;

/** Parses JSON text: a list of `{imr, event_type, digest, event, event_payload}`. Throws AttestationError. */
export function parseRuntimeLog(text: string): MeasuredEvent[] {
  if (text.length > MAX_RUNTIME_LOG_CHARACTERS) throw malformed(`the runtime log has ${text.length} characters, expected at most ${MAX_RUNTIME_LOG_CHARACTERS}`);
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch (cause) {
    throw malformed('the runtime log is not JSON', cause);
  }
  if (!Array.isArray(list)) throw malformed('the runtime log is no list');
  if (list.length > MAX_EVENTS) throw malformed(`the runtime log has ${list.length} events, expected at most ${MAX_EVENTS}`);
  return list.map((item) => parseEvent(asObject(item, WHAT)));
}

function parseEvent(event: JsonObject): MeasuredEvent {
  const register = REGISTERS[integerField(event, 'imr', WHAT, REGISTERS.length - 1)] ?? null;
  const type = integerField(event, 'event_type', WHAT, 0xffff_ffff);
  const name = textField(event, 'event', WHAT, MAX_NAME);
  const data = asHex(fieldOf(event, 'event_payload'), `event_payload of ${WHAT}`, MAX_PAYLOAD_BYTES);
  if (type !== RUNTIME_EVENT_TYPE) {
    const digest = hexField(event, 'digest', WHAT, DIGEST_BYTES);
    return { register, type, digest, data, bound: equalBytes(createHash('sha384').update(data).digest(), digest), name: '' };
  }
  // With a colon in the name, or text that has no bytes of its own, the same digest would stand for another name and payload.
  if (name.includes(':') || /\p{Surrogate}/u.test(name)) throw malformed(`the name ${JSON.stringify(name.slice(0, 32))} of a runtime event does not end where its payload begins`);
  if (register !== 'rtmr3') throw malformed(`the runtime event "${name}" is for ${String(register)}, expected rtmr3`);
  const digest = runtimeDigest(name, data);
  const stated = asText(fieldOf(event, 'digest') ?? '', `digest of ${WHAT}`, DIGEST_BYTES * 2);
  if (stated !== '' && !equalBytes(asHex(stated, `digest of ${WHAT}`, DIGEST_BYTES), digest)) {
    throw refused({ check: 'event-log', seen: `a digest of the runtime event "${name}" that is not of its content`, wanted: 'its own', meaning: 'the content was changed after it was measured' });
  }
  return { register, type, digest, data, bound: true, name };
}

/** SHA-384 of type (4 bytes, little-endian), name and payload, with colons between them. */
export function runtimeDigest(name: string, payload: Uint8Array): Uint8Array {
  const type = Uint8Array.of(RUNTIME_EVENT_TYPE & 0xff, (RUNTIME_EVENT_TYPE >> 8) & 0xff, (RUNTIME_EVENT_TYPE >> 16) & 0xff, RUNTIME_EVENT_TYPE >>> 24);
  return new Uint8Array(createHash('sha384').update(type).update(':').update(name, 'utf8').update(':').update(payload).digest());
}
