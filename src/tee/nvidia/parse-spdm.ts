// Parses the evidence of NVIDIA GPUs and switches: an SPDM 1.1 GET_MEASUREMENTS request followed by the signed
// MEASUREMENTS response (DMTF DSP0274 sections 10.11.1 and 10.11.2). Refuses other versions, codes and parameters, lengths
// that do not add up, indices that repeat, and measurements that are not SHA-384 values.
import { ByteReader } from '../dcap/byte-reader.ts';
import { malformed } from '../refusal.ts';
import { readOpaque } from './opaque.ts';
import type { OpaqueFields } from './opaque.ts';

export const MAX_EVIDENCE_BYTES = 65_536;
export const SPDM_NONCE_BYTES = 32;
export const MEASUREMENT_DIGEST_BYTES = 48;
/** r and s, 48 bytes each, big-endian. */
const SIGNATURE_BYTES = 96;

const SPDM_1_1 = 0x11;
const GET_MEASUREMENTS = 0xe0;
const MEASUREMENTS = 0x60;
const SIGNATURE_REQUESTED = 0x01;
const ALL_MEASUREMENTS = 0xff;
const SLOT = 0;
const DMTF = 0x01;
/** Type and size in front of each DMTF value. */
const DMTF_HEADER_BYTES = 3;

export interface SpdmEvidence {
  /** Request and response without the signature. */
  readonly signedBytes: Uint8Array;
  readonly signature: Uint8Array;
  /** The verifier's, in the request: 32 bytes. */
  readonly requestNonce: Uint8Array;
  /** The device's, in the response: 32 bytes. */
  readonly responseNonce: Uint8Array;
  /** SHA-384 values by SPDM index, which starts at 1. */
  readonly measurements: ReadonlyMap<number, Uint8Array>;
  readonly opaque: OpaqueFields;
}

/** Parses request and response; values are views into `bytes`. Throws AttestationError E_EVIDENCE_MALFORMED. */
export function parseSpdm(bytes: Uint8Array): SpdmEvidence {
  if (bytes.length > MAX_EVIDENCE_BYTES) throw malformed(`the SPDM evidence has ${bytes.length} bytes, expected at most ${MAX_EVIDENCE_BYTES}`);
  const reader = new ByteReader(bytes, 'the SPDM evidence');
  const expectByte = (wanted: number, what: string): void => {
    const seen = reader.u8(what);
    if (seen !== wanted) throw malformed(`the ${what} of the SPDM evidence is 0x${seen.toString(16)}, expected 0x${wanted.toString(16)}`);
  };
  expectByte(SPDM_1_1, 'version of the request');
  expectByte(GET_MEASUREMENTS, 'code of the request');
  expectByte(SIGNATURE_REQUESTED, 'attributes of the request');
  expectByte(ALL_MEASUREMENTS, 'operation of the request');
  const requestNonce = reader.bytes(SPDM_NONCE_BYTES, 'request nonce');
  expectByte(SLOT, 'slot of the request');
  expectByte(SPDM_1_1, 'version of the response');
  expectByte(MEASUREMENTS, 'code of the response');
  expectByte(0, 'first parameter of the response');
  expectByte(SLOT, 'slot of the response');
  const measurements = readMeasurements(reader);
  const responseNonce = reader.bytes(SPDM_NONCE_BYTES, 'response nonce');
  const opaque = readOpaque(reader.bytes(reader.u16('opaque length'), 'opaque data'));
  const signedBytes = bytes.subarray(0, reader.position);
  const signature = reader.bytes(SIGNATURE_BYTES, 'signature');
  reader.end();
  return { signedBytes, signature, requestNonce, responseNonce, measurements, opaque };
}

function readMeasurements(reader: ByteReader): Map<number, Uint8Array> {
  const blocks = reader.u8('number of measurements');
  const low = reader.u16('length of the measurements');
  const record = new ByteReader(reader.bytes(low + reader.u8('length of the measurements') * 65_536, 'measurements'), 'the measurements');
  const measurements = new Map<number, Uint8Array>();
  while (record.left > 0) {
    const index = record.u8('index');
    const what = `measurement ${index}`;
    const specification = record.u8(what);
    const size = record.u16(what);
    record.u8(what); // kind of measurement: says nothing about the value
    const valueSize = record.u16(what);
    if (specification !== DMTF || valueSize !== MEASUREMENT_DIGEST_BYTES || size !== valueSize + DMTF_HEADER_BYTES) {
      throw malformed(`${what} has format ${specification}, ${size} bytes and a value of ${valueSize}, expected format ${DMTF} and a value of ${MEASUREMENT_DIGEST_BYTES} bytes`);
    }
    if (index === 0 || measurements.has(index)) throw malformed(`${what} is ${index === 0 ? 'out of range' : 'there twice'}, expected each index from 1 to 255 at most once`);
    measurements.set(index, record.bytes(valueSize, what));
  }
  if (measurements.size !== blocks) throw malformed(`the SPDM evidence has ${measurements.size} measurements and claims ${blocks}`);
  return measurements;
}
