// NVIDIA's collateral for GPUs and switches: the reference manifests of drivers and VBIOSes, and OCSP answers about the
// certificates of the devices' chains and of the manifests' signers. Gives the shape that src/tee/nvidia/bundle.ts reads.
// Refuses chains that are too short to ask about.
import { malformed } from '../refusal.ts';
import type { NvidiaDevice } from '../nvidia/bundle.ts';
import { driverManifestId, plainVersion, vbiosManifestId } from '../nvidia/manifest-ids.ts';
import { gpuClaimsOf, switchClaimsOf } from '../nvidia/opaque.ts';
import { parseSpdm } from '../nvidia/parse-spdm.ts';
import type { X509 } from '../x509/certificate.ts';
import { field } from './document.ts';
import { ocspDocument } from './ocsp.ts';
import { rimDocument, signersOfRim } from './rim.ts';
import type { CollateralSource } from './source.ts';

/** UNTRUSTED: `collateral` of an NVIDIA bundle. */
export interface NvidiaCollateralTexts {
  /** Manifests as the XML text that NVIDIA signed. */
  readonly rims: readonly { readonly id: string; readonly rim: string }[];
  /** DER of the OCSPResponse and nonce of the request that it answers, both in hexadecimal. One for each of `ocspSubjects`. */
  readonly ocsp: readonly { readonly response: string; readonly nonce: string }[];
}

type DeviceQuestion = Pick<NvidiaDevice, 'architecture' | 'evidence' | 'chain'>;

const MIN_CHAIN = 3;

/** Ids of the manifests that a device's evidence must match: VBIOS, then driver where there is one. Throws AttestationError. */
export function rimIdsOf({ architecture, evidence }: DeviceQuestion): string[] {
  const { opaque } = parseSpdm(evidence);
  if (architecture === 'LS10') return [`NV_SWITCH_BIOS_5612_0002_890_${plainVersion(switchClaimsOf(opaque).vbiosVersion)}`];
  const claims = gpuClaimsOf(opaque);
  return [vbiosManifestId(claims), driverManifestId(architecture, claims)];
}

/**
 * Which certificates OCSP is asked about, each with its issuer: of a device's chain everything but the leaf, which the
 * device itself has made, and the root; of a manifest's signers everything but the root. Without repetitions.
 */
export function ocspSubjects(deviceChains: readonly (readonly X509[])[], signerChains: readonly (readonly X509[])[]): [subject: X509, issuer: X509][] {
  const chains = [...deviceChains.map((chain) => chain.slice(1)), ...signerChains];
  const pairs = chains.flatMap((chain) => chain.slice(0, -1).flatMap((subject, index): [X509, X509][] => {
    const issuer = chain[index + 1];
    return issuer === undefined ? [] : [[subject, issuer]];
  }));
  return [...new Map(pairs.map((pair) => [Buffer.from(pair[0].der).toString('base64'), pair])).values()];
}

/**
 * Gets what is needed to verify some devices of one machine; devices of the same kind share manifests and most answers.
 * UNTRUSTED until the GPU verifier has judged it. Throws AttestationError when a device does not say what it is, and as
 * `CollateralSource.get`.
 */
export async function assembleGpuCollateral(source: CollateralSource, devices: readonly DeviceQuestion[], signal?: AbortSignal): Promise<NvidiaCollateralTexts> {
  for (const { chain } of devices) {
    if (chain.length < MIN_CHAIN) throw malformed(`the chain of the device has ${chain.length} certificates, expected at least ${MIN_CHAIN}`);
  }
  const ids = [...new Set(devices.flatMap(rimIdsOf))];
  const manifests = await source.get(ids.map(rimDocument), signal);
  const rims = ids.map((id, index) => ({ id, rim: field(manifests[index] ?? {}, 'rim', `RIM ${id}`) }));
  const subjects = ocspSubjects(devices.map(({ chain }) => chain), rims.map(({ id, rim }) => signersOfRim(rim, `RIM ${id}`)));
  const answers = await source.get(subjects.map(([subject, issuer]) => ocspDocument(subject, issuer)), signal);
  const text = 'the OCSP answer';
  return { rims, ocsp: answers.map((content) => ({ response: field(content, 'response', text), nonce: field(content, 'nonce', text) })) };
}
