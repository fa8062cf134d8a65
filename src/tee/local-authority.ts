// The signing key of one local network, and the file that keeps it: `CCNLAK1\0` ‖ network id[32] ‖ Ed25519 seed[32].
// Whoever can read the file can make evidence for that network, so it has mode 0600 and never leaves the machine.
// Refuses to replace an existing key, files that others may read, and files of any other length or beginning.
import { randomBytes } from 'node:crypto';
import { dirname } from 'node:path';
import { equalBytes } from '../core/bytes.ts';
import { ConfigError } from '../core/errors.ts';
import { ensureFolder, readBounded, writeFileAtomic } from '../core/files.ts';
import type { CertificateEvidence } from './certificate-evidence.ts';
import type { Role } from './peer.ts';
import { reportDataOf } from './report-data.ts';
import { NETWORK_ID_BYTES, makeSimulatedEvidence } from './simulated.ts';
import type { LocalNetwork } from './simulated.ts';
import { ED25519_KEY_BYTES, privateKeyFromSeed, tlsKeysOf } from './tls-keys.ts';

const MAGIC = Buffer.from('CCNLAK1\0', 'latin1');
const NETWORK_ID_OFFSET = MAGIC.length;
const SEED_OFFSET = NETWORK_ID_OFFSET + NETWORK_ID_BYTES;
const FILE_BYTES = SEED_OFFSET + ED25519_KEY_BYTES;

export interface LocalAuthority {
  /** The public half: what every member of the network needs to check evidence. */
  readonly network: LocalNetwork;
  /**
   * Certificate evidence for a TLS key (32 bytes) and a measurement (48 bytes, see simulatedMeasurement).
   * Throws RangeError on other lengths.
   */
  sign(role: Role, measurement: Uint8Array, tlsPublicKey: Uint8Array): Extract<CertificateEvidence, { family: 'simulated' }>;
  /** The same for any report data of 64 bytes: answers to challenges (fresh-attestation.ts). */
  signReportData(role: Role, measurement: Uint8Array, reportData: Uint8Array): Extract<CertificateEvidence, { family: 'simulated' }>;
}

/** Makes a network id and a key and stores them; the folder is made if it is missing. Throws ConfigError E_STATE when the file exists. */
export async function createLocalAuthority(path: string): Promise<LocalAuthority> {
  const content = Buffer.concat([MAGIC, randomBytes(NETWORK_ID_BYTES), randomBytes(ED25519_KEY_BYTES)]);
  await ensureFolder(dirname(path));
  await writeFileAtomic(path, content, { mode: 0o600, exclusive: true });
  return authorityOf(content);
}

/** Reads a stored key. Throws NotFoundError when there is none, ConfigError E_STATE when the file cannot be trusted or read. */
export async function loadLocalAuthority(path: string): Promise<LocalAuthority> {
  const content = await readBounded(path, FILE_BYTES, { private: true });
  if (content.length !== FILE_BYTES || !equalBytes(content.subarray(0, MAGIC.length), MAGIC)) {
    throw new ConfigError('E_STATE', `cannot use ${path} as the key of a local network: it has ${content.length} bytes, expected ${FILE_BYTES} that start with CCNLAK1`, {
      hint: 'Remove the file and start the local network anew; it makes another key.',
    });
  }
  return authorityOf(content);
}

function authorityOf(content: Uint8Array): LocalAuthority {
  const networkId = content.slice(NETWORK_ID_OFFSET, SEED_OFFSET);
  const { privateKey, publicKey } = tlsKeysOf(privateKeyFromSeed(content.subarray(SEED_OFFSET)));
  const signReportData: LocalAuthority['signReportData'] = (role, measurement, reportData) =>
    ({ family: 'simulated', evidence: makeSimulatedEvidence({ role, measurement, reportData, networkId }, privateKey) });
  return {
    network: { networkId, networkPublicKey: publicKey }, signReportData,
    sign: (role, measurement, tlsPublicKey) => signReportData(role, measurement, reportDataOf(tlsPublicKey)),
  };
}
