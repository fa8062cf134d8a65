// What a member of the local network needs: the policies by which it checks the others, and for proxies and nodes the
// certificates with simulated evidence and the answers to challenges. Refuses when there is no local network or its key does not fit its description.
import { fromHex, equalBytes } from '../core/bytes.ts';
import { ConfigError } from '../core/errors.ts';
import { simulatedAttester } from '../tee/live/simulated-attester.ts';
import { loadLocalAuthority } from '../tee/local-authority.ts';
import { simulatedMeasurement } from '../tee/simulated.ts';
import { localnetLayout, readDescription } from './layout.ts';
import type { LocalnetDescription } from './layout.ts';
import type { CertificateEvidence } from '../tee/certificate-evidence.ts';
import type { Attester } from '../tee/fresh-attestation.ts';
import type { Role } from '../tee/peer.ts';
import type { SimulatedPolicy } from '../tee/policy.ts';

export interface LocalMembership {
  readonly description: LocalnetDescription;
  /** How a peer of this role is checked. */
  policy(role: Role): SimulatedPolicy & { readonly imageHashes: readonly Uint8Array[] };
}

function membershipOf(description: LocalnetDescription): LocalMembership {
  const network = { networkId: fromHex(description.networkId), networkPublicKey: fromHex(description.authorityPublicKey) };
  const hashes = { proxy: description.proxyImageHashes.map(fromHex), worker: description.workerImageHashes.map(fromHex) };
  return { description, policy: (role) => ({ kind: 'simulated', role, network, imageHashes: hashes[role] }) };
}

/** For clients: public facts only. Throws ConfigError when there is no local network under `home`. */
export async function joinAsClient(home: string): Promise<LocalMembership> {
  return membershipOf(await readDescription(localnetLayout(home)));
}

/** What makes the simulated evidence of a proxy or a node: for its certificate, and for challenges. */
export interface SimulatedMachine {
  evidence(publicKey: Uint8Array): CertificateEvidence;
  attester(publicKey: Uint8Array): Attester;
}

/** For proxies and nodes: also what makes their evidence. */
export async function joinAsRole(home: string, role: Role, version: string): Promise<LocalMembership & SimulatedMachine> {
  const layout = localnetLayout(home);
  const member = membershipOf(await readDescription(layout));
  const authority = await loadLocalAuthority(layout.authority);
  if (!equalBytes(authority.network.networkId, fromHex(member.description.networkId))) {
    throw new ConfigError('E_STATE', `the key "${layout.authority}" belongs to another local network than "${layout.description}"`, { hint: 'run `cocoon localnet stop`, remove both files and start again' });
  }
  const measurement = simulatedMeasurement(role, version);
  return {
    ...member,
    evidence: (publicKey) => authority.sign(role, measurement, publicKey),
    attester: (publicKey) => simulatedAttester(publicKey, (reportData) => authority.signReportData(role, measurement, reportData).evidence),
  };
}
