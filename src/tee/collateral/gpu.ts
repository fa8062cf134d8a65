// NVIDIA's collateral for one GPU or switch: the reference manifests of its driver and VBIOS, and OCSP answers about the
// certificates of its chain and of the manifests' signers. Refuses chains that are too short to ask about.
import { ConfigError } from '../../core/errors.ts';
import type { X509 } from '../x509/certificate.ts';
import { field } from './document.ts';
import type { DocumentContent, DocumentSpec } from './document.ts';
import { unusable } from './errors.ts';
import { ocspDocument } from './ocsp.ts';
import { rimDocument, signersOfRim } from './rim.ts';
import type { CollateralSource } from './source.ts';

/** What NVIDIA must be asked about one piece of evidence. */
export interface GpuQuestion {
  /** As `NV_GPU_DRIVER_GH100_550.90.07`; null for a switch, which has no driver of its own. */
  readonly driverRimId: string | null;
  /** As `NV_GPU_VBIOS_1010_0200_882_96005E0001` or `NV_SWITCH_BIOS_5612_0002_890_9610550001`. */
  readonly vbiosRimId: string;
  /** The device's certificates, leaf (attestation key) first, root last. */
  readonly deviceChain: readonly X509[];
}

/** An OCSP answer, and the nonce of the question that it answers. */
export interface OcspText {
  /** DER of the OCSPResponse in hexadecimal. */
  readonly response: string;
  /** 32 bytes in hexadecimal. */
  readonly nonce: string;
}

/** UNTRUSTED. Manifests as the XML text that NVIDIA signed. */
export interface GpuCollateralTexts {
  readonly driver_rim: string | null;
  readonly vbios_rim: string;
  /** One for each certificate of `ocspSubjects`, in its order, without repetitions. */
  readonly ocsp: readonly OcspText[];
}

/**
 * Which certificates OCSP is asked about, each with its issuer: of the device's chain everything but the leaf, which the
 * device itself has issued for one boot, and the root; of a manifest's signers everything but the root.
 */
export function ocspSubjects(deviceChain: readonly X509[], signerChains: readonly (readonly X509[])[]): [subject: X509, issuer: X509][] {
  const pairs = [deviceChain.slice(1), ...signerChains].flatMap((chain) => chain.slice(0, -1).flatMap((subject, index): [X509, X509][] => {
    const issuer = chain[index + 1];
    return issuer === undefined ? [] : [[subject, issuer]];
  }));
  const seen = new Set<string>();
  return pairs.filter(([{ der }]) => {
    const key = Buffer.from(der).toString('base64');
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

/** The manifests that one device needs: VBIOS, then driver where there is one. */
export function rimDocuments({ driverRimId, vbiosRimId }: Pick<GpuQuestion, 'driverRimId' | 'vbiosRimId'>): DocumentSpec[] {
  return [rimDocument(vbiosRimId), ...(driverRimId === null ? [] : [rimDocument(driverRimId)])];
}

/**
 * Gets what is needed to verify one piece of evidence; devices of the same kind share manifests and most answers.
 * UNTRUSTED until the GPU verifier has judged it. Errors as of `CollateralSource.get`.
 */
export async function assembleGpuCollateral(source: CollateralSource, question: GpuQuestion, signal?: AbortSignal): Promise<GpuCollateralTexts> {
  if (question.deviceChain.length < 3) {
    throw new ConfigError('E_CONFIG', `the device's chain has ${question.deviceChain.length} certificates, expected at least 3`);
  }
  const rims = (await source.get(rimDocuments(question), signal)).map((content) => field(content, 'rim', 'the collateral of the GPU'));
  const [vbios, driver = null] = rims;
  if (vbios === undefined) throw unusable('the collateral of the GPU');
  const subjects = ocspSubjects(question.deviceChain, rims.map((rim) => signersOfRim(rim, 'the collateral of the GPU')));
  const answers = await source.get(subjects.map(([subject, issuer]) => ocspDocument(subject, issuer)), signal);
  const ocspOf = (content: DocumentContent): OcspText => ({ response: field(content, 'response', 'an OCSP answer'), nonce: field(content, 'nonce', 'an OCSP answer') });
  return { driver_rim: driver, vbios_rim: vbios, ocsp: answers.map(ocspOf) };
}
