// The one place where a command decides how peers are verified and how it proves itself: by the network. A local network has
// simulated evidence and accepts nothing else; every other network has the evidence of the hardware that the program runs in,
// judged against the root contract's lists, and never a simulation.
import { createTlsIdentity } from '../tee/tls-identity.ts';
import { createVerifyPeer } from '../tee/verify-peer.ts';
import type { Context } from '../core/context.ts';
import type { LocalMembership } from '../localnet/membership.ts';
import type { Log } from '../core/log.ts';
import type { Settings } from '../core/settings.ts';
import type { CertificateEvidence } from '../tee/certificate-evidence.ts';
import type { CollectOptions } from '../tee/collect/collect.ts';
import type { HttpFetch } from '../tee/collateral/http.ts';
import type { Attester } from '../tee/fresh-attestation.ts';
import type { FreshnessRule } from '../tee/freshness.ts';
import type { EvidenceKind, Role, VerifyPeer } from '../tee/peer.ts';
import type { ImageLists } from '../tee/policy.ts';
import type { LocalNetwork } from '../tee/simulated.ts';
import type { TlsIdentitySource } from '../tee/tls-identity.ts';

/** What makes the evidence of this machine: for a certificate, and for challenges. */
export interface Machine {
  evidence(publicKey: Uint8Array): CertificateEvidence | Promise<CertificateEvidence>;
  attester(publicKey: Uint8Array): Attester;
}

/** `machine` makes simulated evidence; only proxies and nodes of the local network have one. */
export type AttestedNetwork =
  | { readonly kind: 'simulated'; readonly name: string; readonly local: LocalNetwork; readonly machine?: Machine }
  | { readonly kind: 'hardware'; readonly name: string; readonly isMainnet: boolean };

export interface AttestationOptions {
  readonly network: AttestedNetwork;
  /** What the network allows; `fixedLists`, or the live lists of its root contract. */
  readonly imageLists: ImageLists;
  readonly settings: Settings;
  readonly context: Pick<Context, 'clock' | 'cwd' | 'signal'>;
  readonly log?: Log;
  /** For tests: the kernel and tools that evidence is taken from, and the way to the services. */
  readonly ports?: { readonly collect?: CollectOptions; readonly http?: HttpFetch };
}

/** A role, or a client: its certificate has no evidence and nobody asks for any. */
export type Attested = Role | 'client';

export interface OwnIdentity extends TlsIdentitySource {
  /** What its certificate carries. */
  readonly evidence: EvidenceKind;
  /** As a root contract lists it, 32 bytes; null for a client. */
  readonly imageHash: Uint8Array | null;
}

export interface Attestation {
  /**
   * This program's certificates and answers to challenges; to be closed by the caller. Rejects with ConfigError E_NO_TEE where a
   * proxy or node is to prove itself and cannot, E_COLLECT, or NetworkError E_COLLATERAL.
   */
  identity(own: Attested): Promise<OwnIdentity>;
  /** How a peer of this kind is verified. Verdicts are shared by all verifiers of one Attestation. */
  verifyPeer(peer: Attested): VerifyPeer;
  /** The end of the session: forgets every verdict. Idempotent. */
  close(): void;
}

/** How one kind of network is dealt with. */
export interface NetworkAttestation {
  machine(own: Role): Machine;
  verifyPeer(peer: Role): VerifyPeer;
  close(): void;
}

/** Reads what the settings name. Throws ConfigError E_CONFIG for a policy, root or rule that cannot be used here. */
export async function createAttestation(options: AttestationOptions): Promise<Attestation> {
  const { context: { clock }, log } = options;
  const { network } = options;
  const inner = network.kind === 'simulated' ? simulated(network, options) : await (await import('./attestation-hardware.ts')).hardwareAttestation(network, options);
  return {
    async identity(own) {
      const onError = (error: unknown): void => log?.error('certificate not renewed', { error: String(error) });
      if (own === 'client') {
        return { ...await createTlsIdentity({ clock, evidence: () => ({ family: 'none' }), onError }), evidence: 'none', imageHash: null };
      }
      const machine = inner.machine(own);
      const source = await createTlsIdentity({ clock, onError, evidence: (publicKey) => machine.evidence(publicKey), attester: (publicKey) => machine.attester(publicKey) });
      return { ...source, ...await describe(source.current().certificateDer) };
    },
    verifyPeer: (peer) => (peer === 'client' ? createVerifyPeer({ kind: 'any' }, { clock }) : inner.verifyPeer(peer)),
    close: () => inner.close(),
  };
}

/** Which peers need to show that their evidence is of now. */
export function freshnessOf(settings: Settings): FreshnessRule {
  return settings.text('attest.freshness') === 'require' ? 'require' : 'prefer';
}

function simulated({ local, machine }: Extract<AttestedNetwork, { kind: 'simulated' }>, { imageLists, settings, context: { clock } }: AttestationOptions): NetworkAttestation {
  return {
    machine(own) {
      if (machine === undefined) throw new RangeError(`expected the machine of a ${own} of the local network`);
      return machine;
    },
    verifyPeer: (role) => createVerifyPeer({ kind: 'simulated', role, network: local, imageHashes: imageLists }, { clock, freshness: freshnessOf(settings) }),
    close: () => undefined,
  };
}

async function describe(certificateDer: Uint8Array): Promise<Pick<OwnIdentity, 'evidence' | 'imageHash'>> {
  const [{ certificateFile }, { statedImageHash }] = await Promise.all([import('../tee/evidence-file.ts'), import('../tee/stated-image.ts')]);
  const { certificate, cpu } = certificateFile(certificateDer);
  return { evidence: certificate?.evidence.family ?? 'none', imageHash: cpu === null ? null : statedImageHash(cpu) };
}

/** Lists that do not change. */
export function fixedLists(lists: Readonly<Record<Role, readonly Uint8Array[]>>): ImageLists {
  return { allowed: (role) => ({ imageHashes: lists[role], generation: '' }), onChange: () => () => undefined };
}

/** What `createAttestation` takes for the local network of this machine; `imageLists` may be replaced by those of its root contract. */
export function localAttestation(member: LocalMembership & Partial<Machine>): Pick<AttestationOptions, 'network' | 'imageLists'> {
  const { evidence, attester } = member;
  const [proxy, worker] = [member.policy('proxy'), member.policy('worker')];
  const machine = evidence === undefined || attester === undefined ? undefined : { evidence, attester };
  return {
    network: { kind: 'simulated', name: 'local', local: proxy.network, ...(machine !== undefined && { machine }) },
    imageLists: fixedLists({ proxy: proxy.imageHashes, worker: worker.imageHashes }),
  };
}
