// Roots of test PKIs from a file, in place of the manufacturers': one to four certificates, told apart by their names.
// Refuses what is no certificate, and two for the same place. Whoever uses them learns nothing about real hardware.
import { createHash } from 'node:crypto';
import { malformed } from './refusal.ts';
import type { TrustRoots } from './evidence-file-judge.ts';
import { NVIDIA_ROOTS } from './nvidia/roots.ts';
import { SNP_PRODUCTS } from './snp/products.ts';
import { parseX509 } from './x509/certificate.ts';
import type { X509 } from './x509/certificate.ts';
import { certificatesOfPem } from './x509/pem.ts';

const MAX_ROOTS = 4;
/** Of the file. */
export const MAX_ROOT_BYTES = 64 * 1024;
const PEM_START = 0x2d;

const spkiDigest = (algorithm: 'sha256' | 'sha384', { key }: X509): string => createHash(algorithm).update(key.spki).digest('hex');

/**
 * The roots in a PEM text or one DER certificate. "ARK-Genoa" and its like stand for AMD's root of that product (the others
 * are then not trusted), names with "CoRIM" and "Device Identity" for NVIDIA's two, every other name for Intel's.
 * Throws AttestationError E_EVIDENCE_MALFORMED.
 */
export function trustRootsOf(bytes: Uint8Array): TrustRoots {
  const ders = bytes[0] === PEM_START ? certificatesOfPem(bytes, 'the trust root', MAX_ROOTS) : [bytes];
  if (ders.length === 0) throw malformed('the trust root has no certificate, expected at least one');
  const byPlace = new Map<string, X509>();
  for (const der of ders) {
    const root = parseX509(der, 'trust root');
    const place = placeOf(root.subject.commonName);
    if (byPlace.has(place)) throw malformed(`the trust root has two certificates for ${place}, expected one`);
    byPlace.set(place, root);
  }
  const [intel, rim, device] = [byPlace.get('Intel'), byPlace.get('NVIDIA manifests'), byPlace.get('NVIDIA devices')];
  const pinOf = (product: string): string => {
    const root = byPlace.get(product);
    return root === undefined ? '' : spkiDigest('sha384', root);
  };
  return {
    ...(intel !== undefined && { intel: intel.der }),
    ...(SNP_PRODUCTS.some((product) => byPlace.has(product)) && { amd: { Milan: pinOf('Milan'), Genoa: pinOf('Genoa'), Turin: pinOf('Turin') } }),
    ...((rim !== undefined || device !== undefined) && {
      nvidia: { rim: rim === undefined ? NVIDIA_ROOTS.rim : spkiDigest('sha256', rim), device: device === undefined ? NVIDIA_ROOTS.device : spkiDigest('sha256', device) },
    }),
  };
}

function placeOf(commonName: string): string {
  const product = SNP_PRODUCTS.find((candidate) => commonName === `ARK-${candidate}`);
  if (product !== undefined) return product;
  if (/CoRIM/i.test(commonName)) return 'NVIDIA manifests';
  if (/Device Identity/i.test(commonName)) return 'NVIDIA devices';
  return 'Intel';
}
