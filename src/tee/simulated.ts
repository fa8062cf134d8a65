// Simulated evidence of a local network: `CCNSIM1\0` ‖ role u8 ‖ measurement[48] ‖ report data[64] ‖ network id[32] ‖
// Ed25519 signature[64] by that network's key over what precedes. It proves that whoever runs the local network made it
// and nothing about hardware. Refuses other magics, roles and lengths, other networks, and signatures by other keys.
import { createHash, sign, verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { equalBytes, toHex } from '../core/bytes.ts';
import { SIMULATED_EVIDENCE_BYTES } from './certificate-evidence.ts';
import { MEASUREMENT_BYTES } from './image-hash.ts';
import type { Role } from './peer.ts';
import { malformed, refused } from './refusal.ts';
import { REPORT_DATA_BYTES } from './report-data.ts';
import { ED25519_KEY_BYTES, publicKeyFromRaw } from './tls-keys.ts';

export const NETWORK_ID_BYTES = 32;

const MAGIC = Buffer.from('CCNSIM1\0', 'latin1');
const ROLE_OFFSET = MAGIC.length;
const MEASUREMENT_OFFSET = ROLE_OFFSET + 1;
const REPORT_DATA_OFFSET = MEASUREMENT_OFFSET + MEASUREMENT_BYTES;
const NETWORK_ID_OFFSET = REPORT_DATA_OFFSET + REPORT_DATA_BYTES;
const SIGNATURE_OFFSET = NETWORK_ID_OFFSET + NETWORK_ID_BYTES;
const SIGNATURE_BYTES = 64;

const ROLE_BYTE = { proxy: 1, worker: 2 } as const satisfies Record<Role, number>;

/** What must be known of a local network to accept its evidence. Both are public. */
export interface LocalNetwork {
  /** 32 random bytes made with the network. */
  readonly networkId: Uint8Array;
  /** Raw Ed25519 public key, 32 bytes. */
  readonly networkPublicKey: Uint8Array;
}

export interface SimulatedEvidence {
  readonly role: Role;
  /** 48 bytes. */
  readonly measurement: Uint8Array;
  /** 64 bytes. */
  readonly reportData: Uint8Array;
  /** 32 bytes. */
  readonly networkId: Uint8Array;
}

/** The 217 bytes of the certificate extension. Throws RangeError when a field has another length. */
export function makeSimulatedEvidence(fields: SimulatedEvidence, networkKey: KeyObject): Uint8Array {
  const bytes = new Uint8Array(SIMULATED_EVIDENCE_BYTES);
  bytes.set(MAGIC);
  bytes[ROLE_OFFSET] = ROLE_BYTE[fields.role];
  bytes.set(sized(fields.measurement, MEASUREMENT_BYTES, 'measurement'), MEASUREMENT_OFFSET);
  bytes.set(sized(fields.reportData, REPORT_DATA_BYTES, 'report data'), REPORT_DATA_OFFSET);
  bytes.set(sized(fields.networkId, NETWORK_ID_BYTES, 'network id'), NETWORK_ID_OFFSET);
  bytes.set(sign(null, bytes.subarray(0, SIGNATURE_OFFSET), networkKey), SIGNATURE_OFFSET);
  return bytes;
}

/** Parses without checking the signature: for showing what is claimed. Throws AttestationError. */
export function parseSimulatedEvidence(bytes: Uint8Array): SimulatedEvidence {
  if (bytes.length !== SIMULATED_EVIDENCE_BYTES) {
    throw malformed(`the simulated evidence has ${bytes.length} bytes, expected ${SIMULATED_EVIDENCE_BYTES}`);
  }
  const magic = bytes.subarray(0, MAGIC.length);
  if (!equalBytes(magic, MAGIC)) throw malformed(`the simulated evidence starts with ${toHex(magic)}, expected ${toHex(MAGIC)}`);
  const roleByte = bytes[ROLE_OFFSET];
  const role = roleByte === ROLE_BYTE.proxy ? 'proxy' : roleByte === ROLE_BYTE.worker ? 'worker' : null;
  if (role === null) throw malformed(`the simulated evidence has role ${roleByte}, expected 1 (proxy) or 2 (worker)`);
  return {
    role,
    measurement: bytes.slice(MEASUREMENT_OFFSET, REPORT_DATA_OFFSET),
    reportData: bytes.slice(REPORT_DATA_OFFSET, NETWORK_ID_OFFSET),
    networkId: bytes.slice(NETWORK_ID_OFFSET, SIGNATURE_OFFSET),
  };
}

/** Parses, then checks that the evidence belongs to `network` and that its key signed it. Throws AttestationError. */
export function verifySimulatedEvidence(bytes: Uint8Array, network: LocalNetwork): SimulatedEvidence {
  const fields = parseSimulatedEvidence(bytes);
  if (!equalBytes(fields.networkId, network.networkId)) {
    throw refused({
      check: 'network', seen: `simulated evidence of the local network ${toHex(fields.networkId)}`, wanted: toHex(network.networkId),
      meaning: 'the peer belongs to another local network',
      hint: 'Start client, proxy and node from the same --home.',
    });
  }
  const signature = bytes.subarray(SIGNATURE_OFFSET, SIGNATURE_OFFSET + SIGNATURE_BYTES);
  if (!verify(null, bytes.subarray(0, SIGNATURE_OFFSET), publicKeyFromRaw(network.networkPublicKey), signature)) {
    throw refused({
      check: 'evidence-signature', seen: 'a signature that does not verify',
      wanted: `one by the local network's key ${toHex(network.networkPublicKey)}`,
      meaning: 'the evidence was changed or made by somebody else',
    });
  }
  return fields;
}

/**
 * The measurement that a program of ours claims on a local network: SHA-384 over a tag, the role and the package version.
 * It names what was started, nothing measures it: on a local network the image check is exercised, not enforced.
 */
export function simulatedMeasurement(role: Role, packageVersion: string): Uint8Array {
  return new Uint8Array(createHash('sha384').update(`cocoon-simulated-measurement\0${role}\0${packageVersion}`, 'utf8').digest());
}

/** Throws RangeError unless the network's id and key have 32 bytes each. */
export function checkLocalNetwork(network: LocalNetwork): void {
  sized(network.networkId, NETWORK_ID_BYTES, 'network id');
  sized(network.networkPublicKey, ED25519_KEY_BYTES, 'network public key');
}

function sized(bytes: Uint8Array, length: number, what: string): Uint8Array {
  if (bytes.length !== length) throw new RangeError(`expected a ${what} of ${length} bytes, got ${bytes.length}`);
  return bytes;
}
