// Parses NVIDIA's reference integrity manifests: SWID tags (ISO 19770-2) with the expected measurements of a driver or VBIOS
// and one enveloped XML signature. Refuses measurements that are ambiguous or out of form, and signatures of any other shape:
// several references, other transforms or algorithms, a signature elsewhere than at the end of the root.
import { fromHex } from '../../core/bytes.ts';
import type { AttestationError } from '../../core/errors.ts';
import { malformed } from '../refusal.ts';
import type { X509 } from '../x509/certificate.ts';
import { canonicalisationOf, canonicalise } from './c14n.ts';
import type { Canonicalisation } from './c14n.ts';
import { MEASUREMENT_DIGEST_BYTES } from './parse-spdm.ts';
import { CertificatePool } from './certificate-pool.ts';
import { parseXml } from './xml.ts';
import type { XmlElement } from './xml.ts';

const SWID = 'http://standards.iso.org/iso/19770/-2/2015/schema.xsd';
const DSIG = 'http://www.w3.org/2000/09/xmldsig#';
const HASHES = 'http://www.w3.org/2001/04/xmlenc#sha384';
const ALGORITHM = {
  enveloped: `${DSIG}enveloped-signature`, sha384: 'http://www.w3.org/2001/04/xmldsig-more#sha384', ecdsaSha384: 'http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384',
} as const;

const MAX_CERTIFICATES = 8;
const MAX_INDEX = 254;
const MAX_ALTERNATIVES = 32;
/** Tools of the same family write the measured size, which is always that of SHA-384. */
const SIZE = String(MEASUREMENT_DIGEST_BYTES);

export interface RimMeasurement {
  /** From 0; the SPDM index is one more. */
  readonly index: number;
  readonly active: boolean;
  readonly name: string;
  /** Any of these may be measured: SHA-384 values. */
  readonly alternatives: readonly Uint8Array[];
}

export interface Rim {
  /** Chip, for example `GH100`. */
  readonly product: string;
  /** `GPU` or `SWITCH`. */
  readonly edition: string;
  /** Version of the driver or VBIOS that it describes. */
  readonly version: string;
  /** Sorted by index, each at most once. */
  readonly measurements: readonly RimMeasurement[];
  /** Canonical form of everything but the signature, and the digest of it that is signed. */
  readonly content: Uint8Array;
  readonly digest: Uint8Array;
  /** Canonical form of what the signature is over, and the signature: r and s, 48 bytes each. */
  readonly signedInfo: Uint8Array;
  readonly signature: Uint8Array;
  /** Signer first. */
  readonly certificates: readonly X509[];
}

/** Parses the text of a manifest. Throws AttestationError (E_EVIDENCE_REFUSED for algorithms of certificates only). */
export function parseRim(text: string, pool: CertificatePool = new CertificatePool()): Rim {
  const root = parseXml(text, 'the manifest');
  if (root.namespace !== SWID || root.local !== 'SoftwareIdentity') throw problem(`has the root ${root.name}, expected a SoftwareIdentity`);
  const meta = only(root, SWID, 'Meta');
  const measurements = elements(only(root, SWID, 'Payload')).map(measurementOf).sort((a, b) => a.index - b.index);
  measurements.forEach(({ index }, at) => {
    if (measurements[at + 1]?.index === index) throw problem(`has measurement ${index} twice`);
  });
  return {
    product: attribute(meta, 'product'), edition: attribute(meta, 'edition'), version: attribute(meta, 'colloquialVersion'), measurements, ...signatureOf(root, pool),
  };
}

function measurementOf(resource: XmlElement): RimMeasurement {
  if (resource.namespace !== SWID || resource.local !== 'Resource' || attribute(resource, 'type') !== 'Measurement' || attribute(resource, 'size') !== SIZE) {
    throw problem(`has <${resource.name}> in its payload, expected measurements of ${SIZE} bytes`);
  }
  const index = decimal(resource, 'index', MAX_INDEX);
  const count = decimal(resource, 'alternatives', MAX_ALTERNATIVES);
  const active = attribute(resource, 'active');
  if (active !== 'True' && active !== 'False') throw problem(`has active="${active.slice(0, 16)}" at measurement ${index}, expected True or False`);
  const hashes = resource.attributes.filter(({ namespace }) => namespace === HASHES);
  if (count === 0 || hashes.length !== count) throw problem(`has ${hashes.length} values of measurement ${index}, expected the ${count} that it claims`);
  const alternatives = Array.from({ length: count }, (_, number) => {
    const hash = hashes.find(({ local }) => local === `Hash${number}`)?.value ?? '';
    if (!/^[0-9a-fA-F]{96}$/.test(hash)) throw problem(`has no SHA-384 value Hash${number} at measurement ${index}`);
    return fromHex(hash);
  });
  return { index, active: active === 'True', name: attribute(resource, 'name'), alternatives };
}

function signatureOf(root: XmlElement, pool: CertificatePool): Pick<Rim, 'content' | 'digest' | 'signedInfo' | 'signature' | 'certificates'> {
  const signature = only(root, DSIG, 'Signature');
  const [signedInfo, value, keyInfo] = sequence(signature, ['SignedInfo', 'SignatureValue', 'KeyInfo']);
  const [method, algorithm, reference] = sequence(signedInfo, ['CanonicalizationMethod', 'SignatureMethod', 'Reference']);
  const kind = methodOf(method);
  requireAlgorithm(algorithm, ALGORITHM.ecdsaSha384);
  requireAttributes(reference, ['URI']);
  if (attribute(reference, 'URI') !== '') throw problem('has a signature over a part of it, expected one over the whole');
  const [transforms, digestMethod, digest] = sequence(reference, ['Transforms', 'DigestMethod', 'DigestValue']);
  const [enveloped, canonical] = sequence(transforms, ['Transform', 'Transform']);
  requireAlgorithm(enveloped, ALGORITHM.enveloped);
  requireAlgorithm(digestMethod, ALGORITHM.sha384);
  const [data] = sequence(keyInfo, ['X509Data']);
  const certificates = elements(data);
  if (hasText(data) || certificates.length > MAX_CERTIFICATES || certificates.some(({ namespace, local }) => namespace !== DSIG || local !== 'X509Certificate')) {
    throw problem(`has ${certificates.length} parts in its key information, expected at most ${MAX_CERTIFICATES} certificates`);
  }
  return {
    content: canonicalise(root, methodOf(canonical), signature), digest: base64(digest, MEASUREMENT_DIGEST_BYTES),
    signedInfo: canonicalise(signedInfo, kind), signature: base64(value, 2 * MEASUREMENT_DIGEST_BYTES),
    certificates: certificates.map((certificate) => pool.parse(base64(certificate, null), 'certificate of the manifest')),
  };
}

function methodOf(element: XmlElement): Canonicalisation {
  requireAttributes(element, ['Algorithm']);
  if (elements(element).length > 0) throw problem(`has parameters in <${element.name}>, expected none`);
  const kind = canonicalisationOf(attribute(element, 'Algorithm'));
  if (kind === null) throw problem(`has the canonicalisation ${attribute(element, 'Algorithm').slice(0, 80)}, which is not accepted`);
  return kind;
}

function requireAlgorithm(element: XmlElement, wanted: string): void {
  requireAttributes(element, ['Algorithm']);
  const seen = attribute(element, 'Algorithm');
  if (seen !== wanted || elements(element).length > 0) throw problem(`has the algorithm ${seen.slice(0, 80)} in <${element.name}>, expected ${wanted} without parameters`);
}

const elements = (element: XmlElement): XmlElement[] => element.children.filter((child) => typeof child !== 'string');

const hasText = (element: XmlElement): boolean => element.children.some((child) => typeof child === 'string' && child.trim() !== '');

/** The one child of this name. */
function only(element: XmlElement, namespace: string, local: string): XmlElement {
  const [found, second] = elements(element).filter((child) => child.namespace === namespace && child.local === local);
  if (found === undefined || second !== undefined) throw problem(`has ${found === undefined ? 'no' : 'more than one'} <${local}>, expected one`);
  return found;
}

/** The children, which must be exactly these elements of the signature's namespace, with nothing between them. */
function sequence<const T extends readonly string[]>(element: XmlElement, names: T): { [K in keyof T]: XmlElement } {
  const children = elements(element);
  const fits = children.length === names.length && children.every(({ namespace, local }, at) => namespace === DSIG && local === names[at]);
  if (!fits || hasText(element)) throw problem(`has other parts in <${element.name}> than ${names.join(', ')}`);
  return children as unknown as { [K in keyof T]: XmlElement };
}

function requireAttributes(element: XmlElement, names: readonly string[]): void {
  if (element.attributes.length !== names.length || element.attributes.some(({ name }) => !names.includes(name))) {
    throw problem(`has other attributes at <${element.name}> than ${names.join(', ')}`);
  }
}

/** Value of an attribute without a namespace. */
function attribute(element: XmlElement, name: string): string {
  const found = element.attributes.find((candidate) => candidate.name === name);
  if (found === undefined) throw problem(`has no ${name} at <${element.name}>`);
  return found.value;
}

function decimal(element: XmlElement, name: string, max: number): number {
  const text = attribute(element, name);
  const value = /^(?:0|[1-9]\d{0,3})$/.test(text) ? Number(text) : Infinity;
  if (value > max) throw problem(`has ${name}="${text.slice(0, 16)}" at <${element.name}>, expected a number from 0 to ${max}`);
  return value;
}

/** Text of an element in base64, of exactly `bytes` bytes if given. Space and line ends in it do not count. */
function base64(element: XmlElement, bytes: number | null): Uint8Array {
  const [text = '', more] = element.children;
  const written = typeof text === 'string' && more === undefined ? text.replace(/[ \n\r]/g, '') : '';
  const decoded = Buffer.from(written, 'base64');
  if (written === '' || decoded.toString('base64') !== written) throw problem(`has no base64 text in <${element.name}>`);
  if (bytes !== null && decoded.length !== bytes) throw problem(`has ${decoded.length} bytes in <${element.name}>, expected ${bytes}`);
  return new Uint8Array(decoded);
}

const problem = (text: string): AttestationError => malformed(`the manifest ${text}`);
